package main

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

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
	failed  int          // calls that the program has repeated
	moved   [2]time.Time // when each last grew
	longest [2]time.Duration
	last    string
	ended   bool
}

func start(name, command string, n *nemesis.Nemesis) (*client, error) {
	cl := &client{name: name, cmd: exec.Command("bash", "-c", "exec "+command)}
	cl.cmd.Env = append(os.Environ(), "TIKV_PD="+strings.Join(n.Cluster.PDAddresses(), ","))
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
	n.Client(cl.cmd.Process.Pid)
	go cl.listen(output)
	return cl, nil
}

func (cl *client) listen(output io.Reader) {
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		var count [2]int
		var failed int
		cl.mutex.Lock()
		if n, _ := fmt.Sscanf(lines.Text(), "raw %d txn %d failed %d", &count[0], &count[1], &failed); n == 3 {
			cl.note(count)
			cl.failed = failed
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

// ridden is what a client went through.
type ridden struct {
	raw, txn, failed int
	longest          [2]time.Duration // without success
}

// sofar since the start; the longest times since it was asked last.
func (cl *client) sofar() ridden {
	cl.mutex.Lock()
	defer cl.mutex.Unlock()
	r := ridden{cl.raw, cl.txn, cl.failed, cl.longest}
	cl.longest = [2]time.Duration{}
	return r
}

func (r ridden) text(before ridden) string {
	return fmt.Sprintf("%d raw (longest without: %.1f s), %d transactions (%.1f s), %d calls repeated",
		r.raw-before.raw, r.longest[0].Seconds(), r.txn-before.txn, r.longest[1].Seconds(), r.failed-before.failed)
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
