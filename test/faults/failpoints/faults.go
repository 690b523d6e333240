package main

import (
	"errors"
	"fmt"
	"log"
	"math/rand"
	"time"

	"tikv_fdw/test/faults/nemesis"
)

// How long a fault lasts.
const faultTime = 8 * time.Second

// sicken has the disk or the clock of one node go wrong for a while, as the
// leader of the region, as a follower, as the leader of PD.  Everything that
// holds for crashes must hold; where the node must go on serving, writes and
// transactions are answered meanwhile.  A fault that is not seen to be one fails.
func sicken(w *world, n *nemesis.Nemesis, o options, random *rand.Rand) []*trial {
	var trials []*trial

	for _, f := range nemesis.FailpointFaults {
		p := &point{name: f.Name, roles: "LFP", drive: "txn"}
		for _, r := range whoCrashes(p, o, random) {
			t := &trial{w: w, point: p, role: r, out: o.out, name: fmt.Sprintf("%s/%c", f.Name, r)}
			t.err = errors.Join(t.sick(n, f, random), w.CheckLogs())
			trials = append(trials, t)
			log.Printf("    %s", t)
			if t.err != nil && !restore(w) {
				return trials
			}
		}
	}
	return trials
}

func (t *trial) sick(n *nemesis.Nemesis, f nemesis.FailpointFault, random *rand.Rand) error {
	if err := t.castRoles(); err != nil {
		return err
	}
	r := startRegisters(t.w, t.name, shelf{}, random)
	err := t.sickDuring(n, f, r)
	if checked := r.finish(); err == nil {
		err = checked
	}
	t.ops, t.unknown, t.gap = len(r.ops), r.unknown, r.gap
	if err == nil {
		err = t.checkTxns()
	}
	if err == nil {
		err = t.w.checkReplicas(t.target)
	}
	return err
}

func (t *trial) sickDuring(n *nemesis.Nemesis, f nemesis.FailpointFault, r *registers) error {
	if err := r.waitForAnswers(50, recoverPatience); err != nil {
		return fmt.Errorf("before the fault: %w", err)
	}
	n.Leaders()
	if err := t.begin(f); err != nil {
		return err
	}
	began := time.Now()
	var last error
	for time.Since(began) < faultTime {
		if err := t.transact(); err != nil {
			last = err
		}
		time.Sleep(50 * time.Millisecond)
	}
	if f.Serves && t.committed() == 0 {
		_ = t.end(f)
		return fmt.Errorf("no transaction in %v; the last failed: %v", faultTime, last)
	}
	if f.Serves {
		if err := r.waitForAnswers(20, recoverPatience); err != nil {
			return fmt.Errorf("during the fault: %w", err)
		}
	}
	if err := errors.Join(n.AwaitEffect(f, t.target), t.end(f)); err != nil {
		return err
	}
	began = time.Now()
	err := wait(recoverPatience, "all peers", t.w.whole)
	t.recovery = time.Since(began)
	if err == nil {
		err = r.waitForAnswers(100, recoverPatience)
	}
	return err
}

func (t *trial) begin(f nemesis.FailpointFault) error {
	if f.Clock != 0 {
		return t.w.SetClock(t.target, f.Clock)
	}
	return t.w.arm(t.target, f.Set)
}

func (t *trial) end(f nemesis.FailpointFault) error {
	if f.Clock != 0 {
		return t.w.SetClock(t.target, 0)
	}
	return t.w.arm(t.target, "")
}
