package nemesis

import (
	"fmt"
	"os"
	"time"
)

// A connection between instances that is not the proxy's is cut by nothing.

// How often they are looked for while links are cut.
const lookAround = 500 * time.Millisecond

// around is the search for such connections during a cut.
type around struct {
	stop  chan struct{}
	found chan error
}

func (n *network) watchAround() *around {
	a := &around{make(chan struct{}), make(chan error, 1)}
	go func() {
		err := n.bypassed()
		for err == nil {
			select {
			case <-a.stop:
				a.found <- n.bypassed()
				return
			case <-time.After(lookAround):
				err = n.bypassed()
			}
		}
		a.found <- err
	}()
	return a
}

func (a *around) end() error {
	close(a.stop)
	return <-a.found
}

// bypassed fails if any process of an instance is connected to what another one
// listens at, be it for other instances, for clients or for SQL.
func (n *network) bypassed() error {
	targets := map[int]int{} // nodes, by port
	processes := map[int][]int{}
	for node := 0; node < n.cluster.Nodes; node++ {
		for _, port := range n.cluster.PortsOf(node) {
			targets[port] = node
		}
	}
	others := foreign(connectionsTo(targets))
	if len(others) == 0 {
		return nil
	}
	for node := 0; node < n.cluster.Nodes; node++ {
		processes[node] = n.cluster.Workers(node, "")
	}
	return aroundBy(others, targets, processes)
}

// foreign connections: not of this program, which is the proxy and most clients.
func foreign(all []connection) (others []connection) {
	own := socketsOf(os.Getpid())
	for _, c := range all {
		if c.inode != closedInode && !own[c.inode] {
			others = append(others, c)
		}
	}
	return others
}

func aroundBy(all []connection, targets map[int]int, processes map[int][]int) error {
	for node, pids := range processes {
		for _, pid := range pids {
			sockets := socketsOf(pid)
			for _, c := range all {
				if sockets[c.inode] && targets[c.port] != node {
					return fmt.Errorf("process %d of node %d is connected to port %d of node %d, around the proxy",
						pid, node, c.port, targets[c.port])
				}
			}
		}
	}
	return nil
}
