package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"tikv_fdw/test/faults/cluster"
)

// extraPorts is added to the ports of a node that comes beside the others.
const extraPorts = 100

// extraNode is one that joins and leaves, or that founds a cluster of its own.
type extraNode struct {
	w      *world // of the cluster; nil: it founds one
	self   *cluster.Cluster
	join   string
	joined bool
}

func newExtraNode(w *world, alone bool) *extraNode {
	e := &extraNode{self: &cluster.Cluster{Script: w.Script, Dir: w.Dir + ".extra",
		BasePort: w.BasePort + extraPorts, Nodes: 1}}
	if !alone {
		e.w = w
		e.join = strings.Join(w.PDAddresses(), ",")
	}
	return e
}

func (e *extraNode) data() string {
	return filepath.Join(e.self.Dir, "node0", "data")
}

// start it, with failpoints armed before its extension is created.
func (e *extraNode) start(failpoints string) error {
	args := []string{"start", "--dir", e.self.Dir, "--base-port", strconv.Itoa(e.self.BasePort)}
	if e.join != "" {
		args = append(args, "--set", "tikv.join="+e.join)
	}
	cmd := exec.Command(e.self.Script, args...)
	done := make(chan error, 1)
	output, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	text := make([]byte, 0, 4096)
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := output.Read(buffer)
			text = append(text, buffer[:n]...)
			if err != nil {
				break
			}
		}
		done <- cmd.Wait()
	}()
	for failpoints != "" {
		select {
		case err := <-done:
			return fmt.Errorf("it was not armed before it had started: %v: %s", err, text)
		case <-time.After(2 * time.Millisecond):
		}
		if _, err := os.Stat(filepath.Join(e.data(), "postmaster.pid")); err == nil {
			if err := armIn(e.self, 0, failpoints); err != nil {
				return err
			}
			break
		}
	}
	if err := <-done; err != nil {
		return fmt.Errorf("%v: %s", err, text)
	}
	return nil
}

func (e *extraNode) query(out interface{}, sql string, args ...interface{}) error {
	return newWorld(e.self).query(0, out, sql, args...)
}

// isMember of PD, or was one that has not left.
func (e *extraNode) isMember() bool {
	members, err := e.w.members()
	if err != nil {
		return true
	}
	for _, member := range members.Members {
		if strings.Contains(member.ClientUrls[0], strings.TrimPrefix(e.self.PDAddress(), "127.0.0.1")) {
			return true
		}
	}
	return false
}

// remove it: it leaves the cluster, and what it had is deleted.  The error is of
// what it has logged.
func (e *extraNode) remove() error {
	if e.w != nil && e.isMember() {
		_ = wait(recoverPatience, "leaving", func() error {
			if !e.isMember() {
				return nil
			}
			if err := e.query(nil, "SELECT tikv_leave()"); err != nil {
				_ = e.start("")
				return err
			}
			return nil
		})
		_ = wait(recoverPatience, "having left", func() error {
			if e.isMember() {
				return fmt.Errorf("it is still a member")
			}
			return nil
		})
	}
	err := e.self.CheckLogs()
	_ = exec.Command(e.self.Script, "stop", "--wipe", "--dir", e.self.Dir).Run()
	return err
}

// join: a new node comes.
func (t *trial) join() error {
	if t.extra == nil {
		t.extra = newExtraNode(t.w, false)
	}
	if err := t.extra.start(""); err != nil {
		return err
	}
	t.extra.joined = true
	// A voter's place, or a learner's, is found for it later.
	time.Sleep(time.Second)
	return nil
}

// joinAnew: another one comes, if somebody else led PD when the last one did.
func (t *trial) joinAnew() error {
	t.forgetExtra()
	if err := t.join(); err != nil {
		return err
	}
	for began := time.Now(); time.Since(began) < 20*time.Second && !t.crashed(); {
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// forgetExtra: what has joined goes for good; what has not is to go on.
func (t *trial) forgetExtra() {
	if t.extra != nil && t.extra.joined {
		t.logged = errors.Join(t.logged, t.extra.remove())
		t.extra = nil
	}
}

// leave: the node that came goes, or the next one if somebody else led PD.
func (t *trial) leave() error {
	if t.extra == nil || !t.extra.isMember() {
		t.forgetExtra()
		return t.join()
	}
	if err := t.extra.query(nil, "SELECT tikv_leave()"); err != nil {
		return err
	}
	return wait(20*time.Second, "having left", func() error {
		if t.extra.isMember() && !t.crashed() {
			return fmt.Errorf("it is still a member")
		}
		return nil
	})
}
