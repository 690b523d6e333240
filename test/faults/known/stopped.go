package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"tikv_fdw/test/faults/nemesis"
)

// A reader that is stopped between its look at the lease and its snapshot, or
// between that and the second look, at a failpoint: the rest of its node goes
// on, cut off from the others, until one of these leads and has taken a write.
// What the reader answers when it goes on was refused, or is current.

const stoppedKey = "chaos/known/stopped"

const (
	stopTries    = 5
	stopWithin   = 20 * time.Second
	answerAlone  = 3 * time.Second // while its node is cut off
	answerWithin = time.Minute
)

// stoppedReads: where, and by whom the read is made.
var stoppedReads = []struct {
	point string
	sql   bool
}{
	{"read_before_tables", false},
	{"read_after_snapshot", false},
	{"sql_read_looked", true},
	{"read_after_snapshot", true},
}

var errNotStopped = errors.New("nobody was stopped; is it a build with failpoints?")

// readersStopped at each of these points; it returns how many refused or waited,
// and how many gave the new value.
func (t *test) readersStopped() (refused, current int, err error) {
	for i, s := range stoppedReads {
		err = errNotStopped
		for try := 0; try < stopTries && errors.Is(err, errNotStopped); try++ {
			var value string
			r := &stoppedRead{test: t, point: s.point, sql: s.sql, was: fmt.Sprintf("%d-%d-old", i, try),
				now: fmt.Sprintf("%d-%d-new", i, try)}
			value, err = r.run()
			switch {
			case err != nil:
			case value == r.now:
				current++
			case value == "":
				refused++
			default:
				return refused, current, fmt.Errorf("%s: %s shows %q after %q was acknowledged", s.point, r.reader(), value, r.now)
			}
		}
		if err != nil {
			return refused, current, fmt.Errorf("%s, by SQL %v: %w", s.point, s.sql, err)
		}
	}
	return refused, current, nil
}

// stoppedRead is one read that is stopped.
type stoppedRead struct {
	*test
	point    string
	sql      bool
	was, now string // values before and after it was stopped
	old      int    // the node that leads, and reads
	data     string
}

func (r *stoppedRead) reader() string {
	if r.sql {
		return fmt.Sprintf("SQL at node %d", r.old)
	}
	return fmt.Sprintf("node %d", r.old)
}

// run it; the value is "" if the read was refused.
func (r *stoppedRead) run() (value string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if r.old, _, _, err = r.leads(stoppedKey); err != nil {
		return "", err
	}
	r.data = nemesis.DataFolder(r.Cluster, r.old)
	if err = r.putSomewhere(ctx, r.was, -1); err != nil {
		return "", err
	}
	read, done, err := r.reading(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	if value, err = read(); err != nil || value != r.was {
		return "", fmt.Errorf("%w: before that it answers %q, %v", errNotStopped, value, err)
	}
	pid, answer, err := r.stopRead(read)
	if err != nil {
		return "", err
	}
	resume := func() { _ = syscall.Kill(pid, syscall.SIGCONT) }
	defer resume()
	defer r.Heal()
	r.Isolate(r.old)
	if _, err = r.AwaitLeader(r.old); err == nil {
		err = r.putSomewhere(ctx, r.now, r.old)
	}
	if err != nil {
		return "", err
	}
	resume()
	select {
	case value = <-answer:
		return value, nil
	case <-time.After(answerAlone):
	}
	// It asks the others, who are heard again.
	r.Heal()
	select {
	case value = <-answer:
		return value, nil
	case <-time.After(answerWithin):
		return "", errors.New("the reader gives no answer at all")
	}
}

// reading is how the node is asked, over a connection that is there already.
func (r *stoppedRead) reading(ctx context.Context) (read func() (string, error), done func(), err error) {
	if !r.sql {
		return func() (string, error) { return r.get(ctx, r.old, stoppedKey, false) }, func() {}, nil
	}
	conn, err := pgx.Connect(ctx, r.Cluster.DSNOf(r.old))
	if err != nil {
		return nil, nil, err
	}
	read = func() (string, error) {
		var value []byte
		err := conn.QueryRow(ctx, "SELECT tikv_get($1)", []byte(stoppedKey)).Scan(&value)
		return string(value), err
	}
	return read, func() { conn.Close(context.Background()) }, nil
}

// stopRead begins to read and waits until the reader stands still; its answer
// comes when it goes on, "" if it is none.
func (r *stoppedRead) stopRead(read func() (string, error)) (pid int, answer chan string, err error) {
	// Who was the first to be stopped by that name, in an earlier round.
	_ = os.Remove(filepath.Join(r.data, "tikv_failpoint."+r.point))
	before := len(r.stops())
	if err = nemesis.SetFailpoints(r.data, r.point+"=once:stop"); err != nil {
		return 0, nil, err
	}
	defer func() { _ = nemesis.SetFailpoints(r.data, "") }()
	answer = make(chan string, 1)
	go func() {
		value, err := read()
		if err != nil {
			value = ""
		}
		answer <- value
	}()
	for began := time.Now(); time.Since(began) < stopWithin; time.Sleep(10 * time.Millisecond) {
		if pids := r.stops(); len(pids) > before {
			return pids[len(pids)-1], answer, nil
		}
		if len(answer) > 0 {
			break // leadership has moved
		}
	}
	return 0, nil, errNotStopped
}

func (r *stoppedRead) stops() []int {
	return stopsAt(r.data, r.point)
}

// stopsAt a failpoint in a data folder: the processes that were stopped there,
// from the first one on.
func stopsAt(data, point string) (pids []int) {
	text, _ := os.ReadFile(filepath.Join(data, "tikv_failpoint_hits"))
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) == 3 && words[0] == point && words[1] == "stop" {
			if pid, err := strconv.Atoi(words[2]); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// putSomewhere: any node but this one takes it.
func (r *stoppedRead) putSomewhere(ctx context.Context, value string, besides int) (err error) {
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(50 * time.Millisecond) {
		for node := 0; node < 3; node++ {
			if node == besides {
				continue
			}
			limited, cancel := context.WithTimeout(ctx, 2*time.Second)
			err = r.put(limited, node, stoppedKey, value)
			cancel()
			if err == nil {
				return nil
			}
		}
	}
	return fmt.Errorf("nobody takes %q: %w", value, err)
}
