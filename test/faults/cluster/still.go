package cluster

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// What a process may take until it is met waiting for work.
const stillWithin = 20 * time.Second

// HoldStill stops one worker of a node where it waits for work, and returns
// what lets it go on.  Stopped elsewhere it may hold a lock that others of the
// same server then wait for, with no end.
func (c *Cluster) HoldStill(node int, title string) (resume func(), err error) {
	for began := time.Now(); time.Since(began) < stillWithin; time.Sleep(7 * time.Millisecond) {
		pids := c.Workers(node, title)
		if len(pids) == 0 {
			continue
		}
		if err = syscall.Kill(pids[0], syscall.SIGSTOP); err != nil {
			continue
		}
		resume = func() { _ = syscall.Kill(pids[0], syscall.SIGCONT) }
		if c.waitsForWork(node, pids[0]) {
			return resume, nil
		}
		resume()
	}
	return nil, fmt.Errorf("%s of node %d was not met waiting for work in %v", title, node, stillWithin)
}

// waitsForWork by what it has told Postgres, if that can be asked: it may have
// been stopped while it was telling.  Who is in no database, as the flush
// process, tells nothing.
func (c *Cluster) waitsForWork(node, pid int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.DSNOf(node))
	if err != nil {
		return false
	}
	defer conn.Close(context.Background())
	var waits *bool
	err = conn.QueryRow(ctx, `SELECT bool_or(coalesce(wait_event_type IN ('Activity', 'Extension'), false))
		FROM pg_stat_activity WHERE pid = $1`, pid).Scan(&waits)
	if err == nil && waits == nil {
		return polls(pid)
	}
	return err == nil && *waits
}

// polls says whether a stopped process was in the system call by which it waits
// for a latch.  Locks in shared memory are waited for by another one, and what
// is done with one in hand is none.
func polls(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/syscall", pid))
	if err != nil {
		return false
	}
	number, err := strconv.Atoi(strings.SplitN(string(text), " ", 2)[0])
	return err == nil && (number == syscall.SYS_EPOLL_PWAIT || runtime.GOARCH == "amd64" && number == epollWait)
}

// Its name is not everywhere.
const epollWait = 232
