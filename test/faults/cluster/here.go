package cluster

import (
	"bytes"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// here are the nodes that there are, of a cluster that grows and shrinks.
type here struct {
	mutex sync.Mutex
	nodes []int // nil: all
	left  int
}

// Here are the nodes that there are, rising: all, unless they come and go.
func (c *Cluster) Here() []int {
	c.here.mutex.Lock()
	defer c.here.mutex.Unlock()
	if c.here.nodes != nil {
		return slices.Clone(c.here.nodes)
	}
	all := make([]int, max(1, c.Nodes))
	for node := range all {
		all[node] = node
	}
	return all
}

// Some node of those.
func (c *Cluster) Some(random *rand.Rand) int {
	nodes := c.Here()
	return nodes[random.Intn(len(nodes))]
}

// Begin with the first of the nodes alone; others come by Grow.
func (c *Cluster) Begin() {
	c.setHere([]int{0})
}

func (c *Cluster) setHere(nodes []int) {
	c.here.mutex.Lock()
	defer c.here.mutex.Unlock()
	c.here.nodes = nodes
}

// Grow to so many nodes, while those that there are go on serving.
func (c *Cluster) Grow(nodes int) error {
	if err := c.run("start", "--nodes", strconv.Itoa(nodes)); err != nil {
		return err
	}
	all, err := c.remembered()
	if err == nil && len(all) != nodes {
		err = fmt.Errorf("the nodes %v are there, not %d", all, nodes)
	}
	if err == nil {
		c.setHere(all)
	}
	return err
}

// Leave takes these nodes away, at once: others have all that they had, their
// servers are stopped, and their folders removed but for the logs.
func (c *Cluster) Leave(nodes ...int) error {
	var arguments []string
	for _, node := range nodes {
		arguments = append(arguments, strconv.Itoa(node))
	}
	if err := c.run("leave", arguments...); err != nil {
		return err
	}
	all, err := c.remembered()
	if err != nil {
		return err
	}
	c.setHere(all)
	for _, node := range nodes {
		if slices.Contains(all, node) {
			return fmt.Errorf("node %d is still there", node)
		}
		if _, err = c.postmaster(node); err == nil {
			return fmt.Errorf("the server of node %d runs", node)
		}
		if err = c.remove(node); err != nil {
			return err
		}
	}
	return nil
}

// remove what a node had; its log stays, in a folder beside.
func (c *Cluster) remove(node int) error {
	c.here.left++
	beside := fmt.Sprintf("%s.left%d", c.nodeDir(node), c.here.left)
	if err := os.Mkdir(beside, 0o755); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(c.nodeDir(node), "log"), filepath.Join(beside, "log")); err != nil {
		return err
	}
	return os.RemoveAll(c.nodeDir(node))
}

// run the script; what it says is part of the error.
func (c *Cluster) run(command string, arguments ...string) error {
	arguments = append([]string{command, "--dir", c.Dir}, arguments...)
	output, err := exec.Command(c.Script, arguments...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", c.Script, strings.Join(arguments, " "), err, bytes.TrimSpace(output))
	}
	return err
}

// remembered by the script are these nodes.
func (c *Cluster) remembered() (nodes []int, err error) {
	text, err := os.ReadFile(filepath.Join(c.Dir, "cluster.conf"))
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		list, is := strings.CutPrefix(line, "numbers=")
		for _, field := range strings.Fields(list) {
			node, err := strconv.Atoi(field)
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, node)
		}
		if is {
			return nodes, nil
		}
	}
	return nil, fmt.Errorf("cluster.conf tells of no nodes: %q", text)
}
