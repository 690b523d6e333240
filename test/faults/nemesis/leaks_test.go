package nemesis

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"tikv_fdw/test/faults/cluster"
)

// answering is three instances behind a proxy that send back all they are sent,
// and more now and then, at ports that nobody has.
func answering(t *testing.T) *network {
	for base := 1000; base < 9000; base += 170 {
		c := &cluster.Cluster{Nodes: 3, BasePort: base, Proxied: proxied}
		if listenAll(t, c) {
			if n, err := startNetwork(c); err == nil {
				return n
			}
		}
	}
	t.Fatal("there are no ports to listen at")
	return nil
}

func listenAll(t *testing.T, c *cluster.Cluster) bool {
	for node := 0; node < c.Nodes; node++ {
		for _, address := range targetsOf(c, node) {
			listener, err := net.Listen("tcp", address)
			if err != nil {
				return false
			}
			t.Cleanup(func() { listener.Close() })
			go answer(listener)
		}
	}
	return true
}

func answer(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(conn, conn)
			conn.Close()
		}()
		go func() {
			for err := error(nil); err == nil; time.Sleep(10 * time.Millisecond) {
				_, err = conn.Write([]byte("."))
			}
		}()
	}
}

// knockBehind a cut for a moment: what is wrong with it.
func knockBehind(t *testing.T, n *network, silently bool, links []link) string {
	probes, err := n.probe(links)
	if err != nil {
		t.Fatal(err)
	}
	defer probes.close()
	if err = n.block(silently, links...); err != nil {
		t.Fatal(err)
	}
	defer n.heal()
	probes.knock()
	time.Sleep(100 * time.Millisecond)
	return fmt.Sprint(n.sealed(), probes.answered())
}

// A proxy that is none is found out, whichever it is, and one that is one is not.
func TestLeaks(t *testing.T) {
	n := answering(t)
	const fine = "<nil> <nil>"
	for name, links := range map[string][]link{"all of one": apartFrom(3, 1).links,
		"one way": oneWayOf(3, 2, true).links, "a ring": ringOf([]int{0, 1, 2}).links} {
		for _, silently := range []bool{true, false} {
			if said := knockBehind(t, n, silently, links); said != fine {
				t.Errorf("%s, silently: %v: %s", name, silently, said)
			}
		}
	}
	for name := range leaks {
		if err := (&Nemesis{network: n}).Leak(name); err != nil {
			t.Fatal(err)
		}
		if said := knockBehind(t, n, true, apartFrom(3, 1).links); said == fine {
			t.Errorf("a proxy that leaks %s is taken for one", name)
		} else {
			t.Logf("%s: %s", name, strings.ReplaceAll(said, "\n", "; "))
		}
	}
	if len(n.losses()) != 0 {
		t.Errorf("what probes lose is taken for evidence: %v", n.losses())
	}
}

// What is under way when a link is cut is no leak, and what comes later is one.
func TestUnderWay(t *testing.T) {
	n := unconnectedNetwork()
	p := &pipe{link: link{0, 1}}
	p.a, p.b = net.Pipe()
	n.admit(p)
	if _, kept := n.keepBack(p, 10, true, false); kept {
		t.Fatal("it is cut")
	}
	go func() {
		time.Sleep(20 * time.Millisecond)
		n.wrote(p.link, 10, false)
	}()
	if err := n.block(true, p.link); err != nil || n.sealed() != nil {
		t.Errorf("%v, %v", err, n.sealed())
	}
	n.traffic.over(p.link).writing++
	if n.sealed() == nil {
		t.Error("somebody is writing over a link that is cut")
	}
	n.wrote(p.link, 1, false)
	if n.sealed() == nil {
		t.Error("a byte passed")
	}
	n.heal()
	if n.sealed() != nil {
		t.Error("nothing is cut any more")
	}
}

// Links that were cut and that no instance ever used; probes do not count.
func TestMute(t *testing.T) {
	n := unconnectedNetwork()
	_ = n.block(true, link{0, 1}, link{1, 0}, link{0, 2})
	n.lossOf(link{0, 2}).refused++
	n.heal()
	for over, posed := range map[link]bool{{0, 1}: false, {1, 0}: true, {2, 1}: false} {
		n.traffic.over(over).writing++
		n.wrote(over, 5, posed)
	}
	if mute := n.mute(); fmt.Sprint(mute) != "[1 to 0]" {
		t.Errorf("%q", mute)
	}
}

// A process that is connected to another instance's port is found.
func TestAround(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := portOf(listener.Addr().String())
	other := exec.Command("bash", "-c", fmt.Sprintf("exec 3<>/dev/tcp/127.0.0.1/%d; echo; exec sleep 60", port))
	out, err := other.StdoutPipe()
	if err == nil {
		err = other.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait()
	}()
	if _, err = out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	own, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	targets := map[int]int{port: 1}
	all := foreign(connectionsTo(targets))
	if len(all) != 1 {
		t.Fatalf("%v", all)
	}
	for node, found := range []bool{true, false, true} {
		if err := aroundBy(all, targets, map[int][]int{node: {os.Getpid(), other.Process.Pid}}); (err != nil) != found {
			t.Errorf("node %d: %v", node, err)
		}
	}
}
