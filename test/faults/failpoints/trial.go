package main

import (
	"errors"
	"fmt"
	"math/rand"
	"path/filepath"
	"strings"
	"time"
)

// trial is one crash: of a node that has a role, at a point.
type trial struct {
	w      *world
	point  *point
	role   role
	name   string
	target int
	out    string // folder for what is left of a failure

	stopped   chan struct{}
	txns      []txnWrite
	deleted   []string // ranges, by their prefix
	deleting  string   // one that is not acknowledged
	shelf     shelf
	cuts      int
	safePoint uint64
	extra     *extraNode
	settings  map[string]bool // that are not the default
	back      *back
	stale     uint64 // the peer that was removed
	replaced  int

	at       int // the hit that it crashes at
	passed   int
	recovery time.Duration
	gap      time.Duration
	ops      int
	unknown  int
	inCommon bool  // the operations are those of the trial before
	logged   error // by nodes that have gone, what none may
	err      error
}

// reachPatience is how long a point may take to be reached.
const (
	reachPatience   = 2 * time.Minute
	recoverPatience = 90 * time.Second
)

func (t *trial) crashed() bool {
	_, crashed := t.w.hits(t.target, t.point.name)
	return crashed
}

// run the trial; what was found wrong is in t.err.
func (t *trial) run(random *rand.Rand) {
	t.err = t.steps(random)
	if t.extra != nil {
		t.logged = errors.Join(t.logged, t.extra.remove())
	}
	t.err = errors.Join(t.err, t.logged, t.w.CheckLogs())
}

func (t *trial) steps(random *rand.Rand) error {
	if err := t.castRoles(); err != nil {
		return err
	}
	if err := t.w.takeSomeIDs(); err != nil {
		return err
	}
	if t.point.drive == "leave" {
		if err := t.join(); err != nil {
			return err
		}
	}
	t.shelf = t.newShelf()
	r := startRegisters(t.w, t.name, t.shelf, random)
	err := t.crashDuring(r, random)
	if checked := r.finish(); err == nil {
		err = checked
	}
	t.ops, t.unknown, t.gap = len(r.ops), r.unknown, r.gap
	if err != nil {
		r.visualize(filepath.Join(t.out, strings.ReplaceAll(t.name, "/", "-")+".html"))
		return err
	}
	if err = errors.Join(t.checkTxns(), t.checkDeleted()); err != nil {
		return err
	}
	return t.w.checkReplicas(t.target)
}

func (t *trial) crashDuring(r *registers, random *rand.Rand) error {
	if err := r.waitForAnswers(50, recoverPatience); err != nil {
		return fmt.Errorf("before the crash: %w", err)
	}
	t.at = 1
	if t.point.drive == "write" {
		t.at += random.Intn(20)
	}
	if err := t.w.arm(t.target, fmt.Sprintf("%s=once:%d*crash%s", t.point.name, t.at, beside[t.point.name])); err != nil {
		return err
	}
	// What is to sleep sleeps.
	r.rest(mustSleep(t.point.drive))
	err := t.driveUntilCrash()
	r.rest(false)
	t.passed, _ = t.w.hits(t.target, t.point.name)
	err = errors.Join(err, t.w.arm(t.target, ""), wait(recoverPatience, "the settings", t.resetSettings))
	if err == nil {
		err = t.recover(r)
	}
	return err
}

// drive once, by who still is what it was cast as.  A flashback that has begun
// comes to its end first: nothing else goes on in its region.
func (t *trial) drive() error {
	if t.back == nil {
		if err := t.keepRoles(); err != nil {
			return err
		}
	}
	return drives[t.point.drive](t)
}

// driveUntilCrash does what the point needs, beside the registers' clients.
func (t *trial) driveUntilCrash() error {
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		var err error
		for {
			select {
			case <-stop:
				stopped <- err
				return
			default:
				err = t.drive()
				time.Sleep(20 * time.Millisecond)
			}
		}
	}()
	began := time.Now()
	for !t.crashed() && time.Since(began) < reachPatience {
		time.Sleep(10 * time.Millisecond)
	}
	close(stop)
	crashed := t.crashed()
	var served error
	if crashed {
		served = t.serveAgain()
	}
	if err := <-stopped; !crashed {
		return fmt.Errorf("%v never gets there; the last that failed: %v", t.role, err)
	}
	return served
}

// serveAgain waits for the end of the crashed process, and for the next one.
func (t *trial) serveAgain() error {
	began := time.Now()
	err := wait(recoverPatience, "the end of the process", func() error { return t.w.buried(t.target) })
	if err == nil {
		err = wait(recoverPatience, "the crashed node", func() error { return t.w.serving(t.target) })
	}
	t.recovery = time.Since(began)
	return err
}

// finish what the crash came in between, so that there is something to check.
// Nobody is answered by a region that is being set back, so that comes first.
func (t *trial) finish() error {
	switch {
	case t.back != nil:
		return t.finishBack()
	case t.point.drive == "split":
		return t.split()
	case t.point.drive == "deleterange":
		return t.finishDelete()
	}
	return nil
}

// recover waits until everybody has all, and clients get on.
func (t *trial) recover(r *registers) error {
	if err := wait(recoverPatience, "the end of what was begun", t.finish); err != nil {
		return err
	}
	if err := t.w.takeSomeIDs(); err != nil {
		return err
	}
	if err := r.waitForAnswers(100, recoverPatience); err != nil {
		return fmt.Errorf("after the crash: %w", err)
	}
	if t.point.drive == "alone" || t.point.drive == "repair" {
		if err := wait(recoverPatience, "three replicas", func() error { return t.w.setReplicas(3) }); err != nil {
			return err
		}
	}
	return wait(recoverPatience, "all peers", t.w.whole)
}

// ---- what a cluster must be like

func (w *world) serving(node int) error {
	var serving bool
	err := w.query(node, &serving, "SELECT count(*) > 0 AND bool_and(state = 'serving') FROM tikv_status()")
	if err == nil && !serving {
		err = fmt.Errorf("node %d does not serve", node)
	}
	return err
}

// whole: all nodes serve, all regions have three voters that have all.
func (w *world) whole() error {
	for node := 0; node < w.Nodes; node++ {
		if err := w.serving(node); err != nil {
			return err
		}
		var bad string
		err := w.query(node, &bad, `SELECT coalesce(string_agg(format('region %s on store %s: %s, lag %s, %s of %s',
				region_id, store_id, role, lag, progress, n), '; '), '')
			FROM (SELECT *, count(*) OVER (PARTITION BY region_id) AS n FROM tikv.raft) r
			WHERE role NOT IN ('leader', 'follower') OR n <> 3 OR progress = 'silent'`)
		if err == nil && bad != "" {
			err = fmt.Errorf("node %d: %s", node, bad)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
