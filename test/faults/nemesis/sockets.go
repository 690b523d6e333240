package nemesis

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"tikv_fdw/test/faults/cluster"
)

// callers are the processes that connect to other instances.
type callers struct {
	mutex sync.Mutex
	nodes map[int]int // by process id

	refreshing sync.Mutex
	fresh      time.Time // when the last refresh began
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

// refresh unless that was begun since this moment.  Each looks through all of
// /proc: done for every connection that has ended meanwhile, and at the same
// time, they keep each other from ending.
func (c *callers) refresh(cluster *cluster.Cluster, since time.Time) {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	if c.fresh.After(since) {
		return
	}
	c.fresh = time.Now()
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

// closedInode is that of a connection whose process has given it up.
const closedInode = "0"

// socketInode of the connection from one port of 127.0.0.1 to another, which
// an instance may have made with a socket of IPv6.
func socketInode(from, to int) string {
	const v6 = "0000000000000000FFFF0000"

	if inode := inodeIn("/proc/net/tcp", "", from, to); inode != "" {
		return inode
	}
	return inodeIn("/proc/net/tcp6", v6, from, to)
}

func inodeIn(table, prefix string, from, to int) (inode string) {
	local := fmt.Sprintf("%s0100007F:%04X", prefix, from)
	remote := fmt.Sprintf("%s0100007F:%04X", prefix, to)
	eachSocket(table, func(fields []string) {
		if fields[1] == local && fields[2] == remote {
			inode = fields[9]
		}
	})
	return inode
}

// eachSocket of a table of /proc: its line's fields.
func eachSocket(table string, see func(fields []string)) {
	text, err := os.ReadFile(table)
	if err != nil {
		return
	}
	for _, line := range strings.Split(string(text), "\n") {
		if fields := strings.Fields(line); len(fields) > 9 {
			see(fields)
		}
	}
}

// connection by the port that it was made to, and the inode of who made it.
type connection struct {
	port  int
	inode string
}

// connectionsTo these ports that are established.
func connectionsTo(ports map[int]int) (all []connection) {
	const established = "01"
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		eachSocket(table, func(fields []string) {
			_, hex, _ := strings.Cut(fields[2], ":")
			port, err := strconv.ParseInt(hex, 16, 32)
			if _, asked := ports[int(port)]; err == nil && asked && fields[3] == established {
				all = append(all, connection{int(port), fields[9]})
			}
		})
	}
	return all
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

// socketsOf a process, by their inodes.
func socketsOf(pid int) map[string]bool {
	sockets := map[string]bool{}
	folder := fmt.Sprintf("/proc/%d/fd/", pid)
	files, err := os.Open(folder)
	if err != nil {
		return sockets
	}
	defer files.Close()
	names, _ := files.Readdirnames(-1)
	for _, name := range names {
		target, err := os.Readlink(folder + name)
		if inode, is := strings.CutPrefix(target, "socket:["); err == nil && is {
			sockets[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return sockets
}
