package nemesis

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"tikv_fdw/test/faults/cluster"
)

// network stands between the instances: each announces ports of this program,
// which passes on what the rules let through.  A connection's sender is found
// by its port, through /proc.  Clients, mostly in this process, always pass;
// who is neither passes only while no link is cut.
type network struct {
	cluster *cluster.Cluster
	mutex   sync.Mutex
	blocked map[link]bool
	lost    map[link]*loss // since links were cut
	traffic traffic
	leak    leak // of a proxy that is none; nil: of none
	posed   posed
	open    map[*pipe]bool
	healed  chan struct{} // closed when the links are open again
	passed  map[link]int  // connections between instances
	strange int           // connections of nobody known, that were not let through
	callers callers
	clients []int // processes besides this one
}

// Who is behind a connection that is no instance.
const (
	client   = -1
	stranger = -2
)

// link is the way from one instance to another; requests and their answers
// travel on the same connection, which belongs to who opened it.
type link struct{ from, to int }

type pipe struct {
	link  link // from: also a client or a stranger; changed with the mutex held
	a, b  net.Conn
	posed bool // by a probe, which is no evidence of what an instance does
}

func startNetwork(c *cluster.Cluster) (*network, error) {
	n := &network{cluster: c, blocked: map[link]bool{}, lost: map[link]*loss{},
		open: map[*pipe]bool{}, passed: map[link]int{}, healed: make(chan struct{})}
	for node := 0; node < c.Nodes; node++ {
		for _, target := range targetsOf(c, node) {
			if err := n.listen(node, target); err != nil {
				return nil, err
			}
		}
	}
	return n, nil
}

// targetsOf a node: where others than clients come, too.  Stores ask each other by
// the clients' port what clients would ask (src/kvserver/relay.h).
func targetsOf(c *cluster.Cluster, node int) []string {
	return []string{c.PeerAddressOf(node), c.AddressOf(node), c.PDAddressOf(node)}
}

func portOf(address string) int {
	_, text, _ := net.SplitHostPort(address)
	port, _ := strconv.Atoi(text)
	return port
}

func (n *network) listen(to int, target string) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", portOf(target)+n.cluster.Proxied))
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go n.serve(conn, to, target)
		}
	}()
	return nil
}

func (n *network) serve(conn net.Conn, to int, target string) {
	p := &pipe{link: link{to: to}, a: conn}
	if p.link.from, p.posed = n.posed.find(conn); !p.posed {
		p.link.from = n.nodeBehind(conn)
	}
	defer n.forget(p)
	if !n.admit(p) {
		return
	}
	there, err := net.DialTimeout("tcp", target, 3*time.Second)
	if err != nil {
		return
	}
	n.mutex.Lock()
	p.b = there
	n.mutex.Unlock()
	go n.pass(p, there, conn, true)
	n.pass(p, conn, there, false)
}

// pass copies until either side ends.  What comes while the link is blocked
// is lost, as if a cable had been cut: nobody is told, and after the repair
// the connection is of no use any more.  answers: to who has connected.
func (n *network) pass(p *pipe, from, to net.Conn, answers bool) {
	buffer := make([]byte, 64<<10)
	for {
		size, err := from.Read(buffer)
		over, kept := n.keepBack(p, size, err == nil, answers)
		if kept || err != nil {
			break
		}
		size, err = to.Write(buffer[:size])
		n.wrote(over, size, p.posed)
		if err != nil {
			break
		}
	}
	n.forget(p)
}

// admit says whether a new connection may go on, at once or when its link is
// healed, when it is of no use any more.
func (n *network) admit(p *pipe) bool {
	n.mutex.Lock()
	cut, healed := n.cuts(p.link, true, false), n.healed
	switch {
	case p.link.from == stranger && len(n.blocked) > 0:
		n.strange++
		n.mutex.Unlock()
		return false
	case cut && !p.posed:
		n.lossOf(p.link).refused++
	case !cut && p.link.from >= 0:
		n.traffic.over(p.link).connections++
		if !p.posed {
			n.passed[p.link]++
		}
	}
	n.open[p] = true
	n.mutex.Unlock()
	if cut {
		<-healed
	}
	return !cut
}

// keepBack returns false at once if the link, which it names, is open, and what
// was read is to be written; else true when it is again: these bytes are lost.
func (n *network) keepBack(p *pipe, size int, read, answers bool) (over link, kept bool) {
	n.mutex.Lock()
	healed, cut := n.healed, n.cuts(p.link, false, answers)
	over = p.link
	switch {
	case cut && read && !p.posed:
		n.lossOf(over).bytes += int64(size)
	case !cut && read:
		n.traffic.over(over).writing++
	}
	n.mutex.Unlock()
	if cut {
		<-healed
	}
	return over, cut
}

// lossOf a link; the mutex is held.
func (n *network) lossOf(l link) *loss {
	if n.lost[l] == nil {
		n.lost[l] = &loss{}
	}
	n.traffic.over(l).lost = true
	return n.lost[l]
}

// losses since the links were cut.
func (n *network) losses() map[link]loss {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	all := map[link]loss{}
	for l, lost := range n.lost {
		all[l] = *lost
	}
	return all
}

func (n *network) forget(p *pipe) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	delete(n.open, p)
	p.end()
}

// block cuts these links.  Silently: what is sent is lost; else connections
// break at once, as when a switch refuses them.  Whose connection is not known
// is looked for again, and ended if nobody is found.  From its return on nothing
// passes, which sealed checks.
func (n *network) block(silently bool, links ...link) error {
	n.mutex.Lock()
	n.lost = map[link]*loss{}
	for _, l := range links {
		n.blocked[l] = true
	}
	n.mutex.Unlock()
	n.nameStrangers()
	n.breakOff(silently)
	return n.seal(links)
}

func (n *network) breakOff(silently bool) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	for p := range n.open {
		switch {
		case p.link.from == stranger:
			n.strange++
		case silently || !n.cuts(p.link, false, false):
			continue
		case !p.posed:
			n.lossOf(p.link).broken++
		}
		p.end()
	}
}

// end both connections; the mutex is held.
func (p *pipe) end() {
	p.a.Close()
	if p.b != nil {
		p.b.Close()
	}
}

func (n *network) strangers() int {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.strange
}

// nameStrangers among the open connections.
func (n *network) nameStrangers() {
	var strangers []*pipe
	n.mutex.Lock()
	for p := range n.open {
		if p.link.from == stranger {
			strangers = append(strangers, p)
		}
	}
	n.mutex.Unlock()
	for _, p := range strangers {
		from := n.nodeBehind(p.a)
		n.mutex.Lock()
		p.link.from = from
		n.mutex.Unlock()
	}
}

func (n *network) heal() {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.blocked = map[link]bool{}
	n.traffic.sealed = nil
	close(n.healed)
	n.healed = make(chan struct{})
}

// nodeBehind finds the instance that opened the connection, or that a client
// did, or nobody.  Nothing passes before that is known, so it must be quick:
// clients connect often, and instances give up within seconds.
func (n *network) nodeBehind(conn net.Conn) int {
	asked := time.Now()
	inode := socketInode(conn.RemoteAddr().(*net.TCPAddr).Port, conn.LocalAddr().(*net.TCPAddr).Port)
	if inode == "" || inode == closedInode {
		return stranger
	}
	if node := n.callers.find(inode); node >= 0 {
		return node
	}
	if n.isClient(inode) {
		return client
	}
	n.callers.refresh(n.cluster, asked)
	if node := n.callers.find(inode); node >= 0 {
		return node
	}
	return stranger
}

func (n *network) isClient(inode string) bool {
	if holdsSocket(os.Getpid(), inode) {
		return true
	}
	n.mutex.Lock()
	clients := n.clients
	n.mutex.Unlock()
	return slices.ContainsFunc(clients, func(pid int) bool { return holdsSocket(pid, inode) })
}

// unconnected are the instances that have connected to no other.
func (n *network) unconnected() (idle []int) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	made := map[int]bool{}
	for l := range n.passed {
		made[l.from] = made[l.from] || l.from != l.to
	}
	for node := 0; node < n.cluster.Nodes; node++ {
		if !made[node] {
			idle = append(idle, node)
		}
	}
	return idle
}
