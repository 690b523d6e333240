// Clients ride through faults: the programs `ride` of test/compat work, and
// each instance in turn is killed, shut down and stopped.  While it is away and
// after it is back every client must get on, by repeating what failed and
// nothing else, and what it reads must be what it wrote.  How long each had to
// wait is told, and how long it took until somebody else led.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"log"
	"math/rand"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"tikv_fdw/test/faults/cluster"
	"tikv_fdw/test/faults/nemesis"
)

// client is a program at work.
type client struct {
	name  string
	cmd   *exec.Cmd
	input io.WriteCloser

	mutex   sync.Mutex
	raw     int
	txn     int
	moved   [2]time.Time // when each last grew
	longest [2]time.Duration
	last    string
	ended   bool
}

func start(name, command string, c *cluster.Cluster) (*client, error) {
	cl := &client{name: name, cmd: exec.Command("bash", "-c", "exec "+command)}
	cl.cmd.Env = append(os.Environ(), "TIKV_PD="+strings.Join(c.PDAddresses(), ","))
	cl.cmd.Stderr = os.Stderr
	output, err := cl.cmd.StdoutPipe()
	if err == nil {
		cl.input, err = cl.cmd.StdinPipe()
	}
	if err == nil {
		err = cl.cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	go cl.listen(output)
	return cl, nil
}

func (cl *client) listen(output io.Reader) {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		var count [2]int
		cl.mutex.Lock()
		if n, _ := fmt.Sscanf(lines.Text(), "raw %d txn %d", &count[0], &count[1]); n == 2 {
			cl.note(count)
		} else {
			cl.last = lines.Text()
		}
		cl.mutex.Unlock()
	}
	cl.mutex.Lock()
	cl.ended = true
	cl.mutex.Unlock()
}

func (cl *client) note(count [2]int) {
	before := [2]int{cl.raw, cl.txn}
	for i := range count {
		if count[i] == before[i] {
			continue
		}
		if !cl.moved[i].IsZero() {
			cl.longest[i] = max(cl.longest[i], time.Since(cl.moved[i]))
		}
		cl.moved[i] = time.Now()
	}
	cl.raw, cl.txn = count[0], count[1]
}

// awaitMore until so much more has succeeded.
func (cl *client) awaitMore(raw, txn int, most time.Duration) error {
	cl.mutex.Lock()
	wantRaw, wantTxn := cl.raw+raw, cl.txn+txn
	cl.mutex.Unlock()
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		cl.mutex.Lock()
		done, ended, now := cl.raw >= wantRaw && cl.txn >= wantTxn, cl.ended, [2]int{cl.raw, cl.txn}
		cl.mutex.Unlock()
		switch {
		case done:
			return nil
		case ended:
			return fmt.Errorf("the %s client has ended", cl.name)
		case time.Since(began) > most:
			return fmt.Errorf("the %s client does not get on: raw %d of %d, transactions %d of %d after %v",
				cl.name, now[0], wantRaw, now[1], wantTxn, most)
		}
	}
}

// waited the longest since it was asked last.
func (cl *client) waited() (raw, txn time.Duration) {
	cl.mutex.Lock()
	defer cl.mutex.Unlock()
	raw, txn = cl.longest[0], cl.longest[1]
	cl.longest = [2]time.Duration{}
	return raw, txn
}

// stop lets it end and look at what it knows once more.
func (cl *client) stop() error {
	_ = cl.input.Close()
	done := make(chan error, 1)
	go func() { done <- cl.cmd.Wait() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("the %s client: %w", cl.name, err)
		}
		log.Printf("%s: %s", cl.name, cl.last)
		return nil
	case <-time.After(2 * time.Minute):
		_ = cl.cmd.Process.Kill()
		return fmt.Errorf("the %s client does not end", cl.name)
	}
}

type riders []*client

func (r riders) awaitMore(raw, txn int) error {
	for _, cl := range r {
		if err := cl.awaitMore(raw, txn, 2*time.Minute); err != nil {
			return err
		}
	}
	return nil
}

// through one fault: all get on while the node is away, and when it is back.
func (r riders) through(n *nemesis.Nemesis, kind string, node int) error {
	if err := r.awaitMore(5, 2); err != nil {
		return fmt.Errorf("before anything: %w", err)
	}
	for _, cl := range r {
		cl.waited()
	}
	err := n.With(kind, node, func() error {
		return r.awaitMore(5, 2)
	})
	if err == nil {
		err = r.awaitMore(5, 2)
	}
	if err != nil {
		return fmt.Errorf("%s of node %d: %w", kind, node, err)
	}
	var waits []string
	for _, cl := range r {
		raw, txn := cl.waited()
		waits = append(waits, fmt.Sprintf("%s %.1f s raw, %.1f s transactions", cl.name, raw.Seconds(), txn.Seconds()))
	}
	log.Printf("%s of node %d: longest without success: %s", kind, node, strings.Join(waits, "; "))
	return nil
}

func main() {
	var programs []string
	flag.Func("ride", "name=command of a client; several times", func(text string) error {
		programs = append(programs, text)
		return nil
	})
	_ = flag.Int("rounds", 0, "not used: every kind of fault comes to every node once")
	dir := flag.String("dir", "", "folder of the cluster")
	basePort := flag.Int("base-port", 5000, "added to every port")
	script := flag.String("cluster", "scripts/cluster", "the script that starts clusters")
	seed := flag.Int64("seed", 1, "of the order in which processes are killed")
	flag.Parse()
	if *dir == "" || len(programs) == 0 {
		flag.Usage()
		os.Exit(2)
	}
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	c := &cluster.Cluster{Script: *script, Dir: *dir, BasePort: *basePort, Nodes: 3}
	n := nemesis.Watching(c, rand.New(rand.NewSource(*seed)))
	c.Start()
	if err := n.WaitReplicas(); err != nil {
		log.Fatal(err)
	}
	var all riders
	for _, program := range programs {
		name, command, _ := strings.Cut(program, "=")
		cl, err := start(name, command, c)
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
		all = append(all, cl)
	}
	err := func() error {
		for node := 0; node < c.Nodes; node++ {
			for _, kind := range []string{"kill", "shutdown", "stop"} {
				if err := all.through(n, kind, node); err != nil {
					return err
				}
			}
		}
		return nil
	}()
	for _, cl := range all {
		if e := cl.stop(); err == nil {
			err = e
		}
	}
	fmt.Print(n.Report())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("ok: %d clients rode through %d faults\n", len(all), 3*c.Nodes)
}
