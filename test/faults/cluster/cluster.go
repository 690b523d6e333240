// Package cluster starts, kills and finds the processes of a throw-away
// cluster of scripts/cluster, for the programs that crash it.
package cluster

import (
	"errors"
	"fmt"
	"log"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Cluster is the instances: the script, their folder, what is added to ports.
// Functions that name no node mean the first.
type Cluster struct {
	Script   string
	Dir      string
	BasePort int
	Nodes    int      // 0 is 1
	Proxied  int      // added to the ports for stores, clients and PD that are announced; 0: none are
	Settings []string // name=value, or node:name=value, beyond those that every start has
	Disks    Disks

	// StepClock is the library by which the clock of a node can be set
	// (clocks.go); "": none can.
	StepClock string

	here here
	logs logs

	// GivenUp is called before the program ends since a node does not start.
	GivenUp func(error)
}

// Start waits until the instance serves; it also repairs a crashed one.
// synchronous_commit = off is the user's setting that must not matter: a
// write lost with the WAL buffers would show here.
func (c *Cluster) Start() {
	cmd := c.startCommand()
	cmd.Args = append(cmd.Args, "--set", "synchronous_commit=off",
		"--set", "default_transaction_isolation=serializable")
	for _, setting := range c.Settings {
		cmd.Args = append(cmd.Args, "--set", setting)
	}
	cmd.Args = append(cmd.Args, c.clockArguments()...)
	cmd.Stdout = os.Stdout
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		err = errors.Join(err, c.CheckLogs())
		if c.GivenUp != nil {
			c.GivenUp(err)
		}
		log.Fatalf("%s start: %v", c.Script, err)
	}
}

func (c *Cluster) startCommand() *exec.Cmd {
	cmd := exec.Command(c.Script, "start", "--dir", c.Dir, "--base-port", strconv.Itoa(c.BasePort))
	if nodes := len(c.Here()); nodes > 1 {
		cmd.Args = append(cmd.Args, "--nodes", strconv.Itoa(nodes))
	}
	if c.Proxied > 0 {
		cmd.Args = append(cmd.Args, "--proxied", strconv.Itoa(c.Proxied))
	}
	return cmd
}

// PDAddress is where its Placement Driver serves.
func (c *Cluster) PDAddress() string {
	return c.PDAddressOf(0)
}

// PDAddressOf is where that of a node serves.
func (c *Cluster) PDAddressOf(node int) string {
	return fmt.Sprintf("127.0.0.1:%d", 2379+10*node+c.BasePort)
}

// PDAddresses are those of all nodes that there are.
func (c *Cluster) PDAddresses() []string {
	var all []string
	for _, node := range c.Here() {
		all = append(all, c.PDAddressOf(node))
	}
	return all
}

// AddressOf is where the store of a node serves clients.
func (c *Cluster) AddressOf(node int) string {
	return fmt.Sprintf("127.0.0.1:%d", 20160+node+c.BasePort)
}

// PeerAddressOf is where the store of a node listens for other stores.
func (c *Cluster) PeerAddressOf(node int) string {
	return fmt.Sprintf("127.0.0.1:%d", 20170+node+c.BasePort)
}

// Unproxied is where a store serves that announces this address.
func (c *Cluster) Unproxied(announced string) string {
	for node := 0; node < c.Nodes; node++ {
		if announced == fmt.Sprintf("127.0.0.1:%d", 20160+node+c.BasePort+c.Proxied) {
			return c.AddressOf(node)
		}
	}
	return announced
}

// PortsOf a node: those for other nodes, for clients and for SQL, as it listens.
func (c *Cluster) PortsOf(node int) []int {
	base := c.BasePort + node
	return []int{20170 + base, 2379 + 9*node + base, 20160 + base, 54321 + base}
}

// DSN is how SQL reaches it.
func (c *Cluster) DSN() string {
	return c.DSNOf(0)
}

// DSNOf is how SQL reaches a node.
func (c *Cluster) DSNOf(node int) string {
	return fmt.Sprintf("host=127.0.0.1 port=%d user=postgres dbname=postgres sslmode=disable connect_timeout=5",
		54321+node+c.BasePort)
}

func (c *Cluster) nodeDir(node int) string {
	return filepath.Join(c.Dir, fmt.Sprintf("node%d", node))
}

func (c *Cluster) postmaster(node int) (int, error) {
	text, err := os.ReadFile(filepath.Join(c.nodeDir(node), "data/postmaster.pid"))
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.SplitN(string(text), "\n", 2)[0])
	if err != nil {
		return 0, err
	}
	// After a crash the file is stale, and the number may be somebody else's.
	title, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(title), c.nodeDir(node)+"/") {
		return 0, errors.New("the postmaster is not running")
	}
	return pid, nil
}

// process is a line of /proc.
type process struct {
	pid   int
	title string
}

// children of a process, by /proc.
func children(parent int) []process {
	var found []process

	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		// pid (name) state ppid ...; the name may hold blanks.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 2 || fields[1] != strconv.Itoa(parent) {
			continue
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		title, _ := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		found = append(found, process{pid, strings.TrimRight(string(title), "\x00 ")})
	}
	return found
}

// KillAll sends SIGKILL to the postmaster and all its children, in random
// order.  The postmaster is stopped first so that it starts nothing new.
func (c *Cluster) KillAll(random *rand.Rand) error {
	return c.KillNode(0, random)
}

// KillNode does so to one of several.
func (c *Cluster) KillNode(node int, random *rand.Rand) error {
	postmaster, err := c.postmaster(node)
	if err != nil {
		return err
	}
	if err = syscall.Kill(postmaster, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("postmaster %d: %w", postmaster, err)
	}
	victims := append(children(postmaster), process{pid: postmaster})
	random.Shuffle(len(victims), func(i, j int) { victims[i], victims[j] = victims[j], victims[i] })
	for _, victim := range victims {
		c.logs.kills(victim.pid)
		_ = syscall.Kill(victim.pid, syscall.SIGKILL)
		if random.Intn(4) == 0 {
			time.Sleep(time.Duration(random.Intn(3000)) * time.Microsecond)
		}
	}
	for _, victim := range victims {
		if err := waitGone(victim.pid); err != nil {
			return err
		}
	}
	return nil
}

// Shutdown ends a node as an operator does, and waits until it is gone.
func (c *Cluster) Shutdown(node int) error {
	postmaster, err := c.postmaster(node)
	if err != nil {
		return err
	}
	if err = syscall.Kill(postmaster, syscall.SIGINT); err != nil {
		return fmt.Errorf("postmaster %d: %w", postmaster, err)
	}
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(20 * time.Millisecond) {
		if _, err := c.postmaster(node); err != nil {
			return nil
		}
	}
	return fmt.Errorf("node %d does not shut down", node)
}

// waitGone waits until a killed process is gone, buried by its parent too: a
// postmaster does not start beside what it takes for a living one.
func waitGone(pid int) error {
	for i := 0; i < 3000; i++ {
		if syscall.Kill(pid, 0) == syscall.ESRCH {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return fmt.Errorf("process %d survives SIGKILL", pid)
}

// AbortStore crashes the store alone; Postgres restarts all its processes.
func (c *Cluster) AbortStore() error {
	return c.AbortWorker(0, "tikv store")
}

// AbortWorker crashes the worker of a node whose title has this in it.
func (c *Cluster) AbortWorker(node int, worker string) error {
	postmaster, err := c.postmaster(node)
	if err != nil {
		return err
	}
	for _, child := range children(postmaster) {
		if strings.Contains(child.title, worker) {
			c.logs.kills(child.pid)
			if err := syscall.Kill(child.pid, syscall.SIGABRT); err != nil {
				return err
			}
			return waitGone(child.pid)
		}
	}
	return fmt.Errorf("no process '%s' below the postmaster", worker)
}

// KillDuringRecovery starts the server and kills it again within moments.
func (c *Cluster) KillDuringRecovery(random *rand.Rand) {
	cmd := c.startCommand()
	if err := cmd.Start(); err != nil {
		log.Fatalf("%s start: %v", c.Script, err)
	}
	time.Sleep(time.Duration(100+random.Intn(700)) * time.Millisecond)
	if err := c.KillAll(random); err != nil {
		log.Printf("no second crash: %v", err)
	}
	// The script now waits for a server that is gone; its failure is expected.
	_ = cmd.Wait()
}

// Pause stops all processes of a node where they are, and returns what lets
// them go on.
func (c *Cluster) Pause(node int) (resume func(), err error) {
	postmaster, err := c.postmaster(node)
	if err != nil {
		return nil, err
	}
	if err = syscall.Kill(postmaster, syscall.SIGSTOP); err != nil {
		return nil, fmt.Errorf("postmaster %d: %w", postmaster, err)
	}
	stopped := []int{postmaster}
	for _, child := range children(postmaster) {
		if syscall.Kill(child.pid, syscall.SIGSTOP) == nil {
			stopped = append(stopped, child.pid)
		}
	}
	return func() {
		for _, pid := range stopped {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}, nil
}

// Workers are the processes of a node whose titles have one of these in them;
// none if it is down.
func (c *Cluster) Workers(node int, titles ...string) (pids []int) {
	postmaster, err := c.postmaster(node)
	if err != nil {
		return nil
	}
	for _, child := range children(postmaster) {
		for _, title := range titles {
			if strings.Contains(child.title, title) {
				pids = append(pids, child.pid)
			}
		}
	}
	return pids
}
