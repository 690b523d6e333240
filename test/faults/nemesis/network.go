package nemesis

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"tikv_fdw/test/faults/cluster"
)

// network stands between the instances: each announces ports of this program,
// which passes on what the rules let through.  A connection's sender is found
// by its port, through /proc; who is no instance (a client) always passes.
type network struct {
	cluster *cluster.Cluster
	mutex   sync.Mutex
	blocked map[link]bool
	open    map[*pipe]bool
	healed  chan struct{} // closed when the links are open again
	passed  int           // connections between instances
	callers callers
}

// link is the way from one instance to another; requests and their answers
// travel on the same connection, which belongs to who opened it.
type link struct{ from, to int }

type pipe struct {
	link link
	a, b net.Conn
}

func startNetwork(c *cluster.Cluster) (*network, error) {
	n := &network{cluster: c, blocked: map[link]bool{}, open: map[*pipe]bool{},
		healed: make(chan struct{})}
	for node := 0; node < c.Nodes; node++ {
		for _, target := range []string{c.PeerAddressOf(node), c.PDAddressOf(node)} {
			if err := n.listen(node, target); err != nil {
				return nil, err
			}
		}
	}
	return n, nil
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
	p := &pipe{link: link{n.nodeBehind(conn), to}, a: conn}
	defer n.forget(p)
	n.admit(p)
	if n.waitIfBlocked(p.link) {
		return
	}
	there, err := net.DialTimeout("tcp", target, 3*time.Second)
	if err != nil {
		return
	}
	n.mutex.Lock()
	p.b = there
	n.mutex.Unlock()
	go n.pass(p, conn, there)
	n.pass(p, there, conn)
}

// pass copies until either side ends.  What comes while the link is blocked
// is lost, as if a cable had been cut: nobody is told, and after the repair
// the connection is of no use any more.
func (n *network) pass(p *pipe, from, to net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		size, err := from.Read(buffer)
		if n.waitIfBlocked(p.link) || err != nil {
			break
		}
		if _, err = to.Write(buffer[:size]); err != nil {
			break
		}
	}
	n.forget(p)
}

func (n *network) admit(p *pipe) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	if p.link.from >= 0 {
		n.passed++
	}
	n.open[p] = true
}

// waitIfBlocked returns false at once if the link is open, else true when it
// is again.
func (n *network) waitIfBlocked(l link) bool {
	n.mutex.Lock()
	healed, blocked := n.healed, n.blocked[l]
	n.mutex.Unlock()
	if blocked {
		<-healed
	}
	return blocked
}

func (n *network) forget(p *pipe) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	delete(n.open, p)
	p.a.Close()
	if p.b != nil {
		p.b.Close()
	}
}

// block cuts these links.  Silently: what is sent is lost; else connections
// break at once, as when a switch refuses them.
func (n *network) block(silently bool, links ...link) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	for _, l := range links {
		n.blocked[l] = true
	}
	if silently {
		return
	}
	for p := range n.open {
		if n.blocked[p.link] {
			p.a.Close()
			if p.b != nil {
				p.b.Close()
			}
		}
	}
}

func (n *network) heal() {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.blocked = map[link]bool{}
	close(n.healed)
	n.healed = make(chan struct{})
}

// nodeBehind finds the instance that opened the connection; -1: none did.
// Nothing passes before that is known, so it must be quick: clients, which are
// in this process, connect often, and instances give up within seconds.
func (n *network) nodeBehind(conn net.Conn) int {
	inode := socketInode(conn.RemoteAddr().(*net.TCPAddr).Port, conn.LocalAddr().(*net.TCPAddr).Port)
	if inode == "" {
		return -1
	}
	if node := n.callers.find(inode); node >= 0 {
		return node
	}
	if holdsSocket(os.Getpid(), inode) {
		return -1
	}
	n.callers.refresh(n.cluster)
	return n.callers.find(inode)
}

// callers are the processes that connect to other instances.
type callers struct {
	mutex sync.Mutex
	nodes map[int]int // by process id
}

func (c *callers) find(inode string) int {
	c.mutex.Lock()
	nodes := c.nodes
	c.mutex.Unlock()
	for pid, node := range nodes {
		if holdsSocket(pid, inode) {
			return node
		}
	}
	return -1
}

func (c *callers) refresh(cluster *cluster.Cluster) {
	nodes := map[int]int{}
	for node := 0; node < cluster.Nodes; node++ {
		for _, pid := range cluster.Workers(node, "tikv store", "tikv pd", "tikv server") {
			nodes[pid] = node
		}
	}
	c.mutex.Lock()
	c.nodes = nodes
	c.mutex.Unlock()
}

// socketInode of the connection from one port of 127.0.0.1 to another, which
// an instance may have made with a socket of IPv6.
func socketInode(from, to int) string {
	const v6 = "0000000000000000FFFF0000"

	if inode := inodeIn("/proc/net/tcp", "", from, to); inode != "" {
		return inode
	}
	return inodeIn("/proc/net/tcp6", v6, from, to)
}

func inodeIn(table, prefix string, from, to int) string {
	text, err := os.ReadFile(table)
	if err != nil {
		return ""
	}
	local := fmt.Sprintf("%s0100007F:%04X", prefix, from)
	remote := fmt.Sprintf("%s0100007F:%04X", prefix, to)
	for _, line := range strings.Split(string(text), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 9 && fields[1] == local && fields[2] == remote {
			return fields[9]
		}
	}
	return ""
}

func holdsSocket(pid int, inode string) bool {
	folder := fmt.Sprintf("/proc/%d/fd/", pid)
	files, err := os.Open(folder)
	if err != nil {
		return false
	}
	defer files.Close()
	names, _ := files.Readdirnames(-1)
	for _, name := range names {
		if target, err := os.Readlink(folder + name); err == nil && target == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}
