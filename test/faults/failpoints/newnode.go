package main

import (
	"errors"
	"fmt"
	"log"
	"math/rand"
	"path/filepath"
	"strings"
)

// newTrials are the crashes of a node that is new.  It passes its points in one
// go, so they have their load in common, and what that finds.
type newTrials struct {
	node   *extraNode
	load   *world // whom the clients ask: who is joined, or who is founded
	name   string
	all    []*trial
	loaded bool // clients have had answers before the crashes
}

func crashNewNodes(w *world, points []*point, o options, random *rand.Rand) []*trial {
	var trials []*trial

	joining, founding := newNodePoints(points)
	for _, one := range []struct {
		name   string
		points []*point
	}{{"found", founding}, {"join", joining}} {
		if len(one.points) == 0 {
			continue
		}
		n := &newTrials{node: newExtraNode(w, one.name == "found"), load: w, name: "new/" + one.name, loaded: true}
		if n.node.w == nil {
			n.load, n.loaded = newWorld(n.node.self), false
		}
		for i, p := range one.points {
			n.all = append(n.all, &trial{w: w, point: p, role: newNode, at: 1, passed: 1, inCommon: i > 0})
		}
		n.run(o.out, random)
		trials = append(trials, n.all...)
	}
	for i, t := range trials {
		log.Printf("%3d %s", i+1, t)
	}
	return trials
}

func newNodePoints(points []*point) (joining, founding []*point) {
	for _, p := range points {
		if p.reachedBy(newNode) && p.drive == "join" {
			joining = append(joining, p)
		} else if p.reachedBy(newNode) {
			founding = append(founding, p)
		}
	}
	return joining, founding
}

// run them, with clients at the registers of the cluster that is joined, or of
// the one that is founded: they wait until there is one.
func (n *newTrials) run(out string, random *rand.Rand) {
	r := startRegisters(n.load, n.name, shelf{}, random)
	err := n.crash(r)
	if checked := r.finish(); err == nil {
		err = checked
	}
	if err != nil {
		r.visualize(filepath.Join(out, strings.ReplaceAll(n.name, "/", "-")+".html"))
	}
	if err == nil {
		err = newWorld(n.node.self).checkTables(0)
	}
	for _, t := range n.all {
		t.ops, t.unknown, t.gap, t.err = len(r.ops), r.unknown, r.gap, err
	}
	n.fail(n.node.remove())
	if n.loaded {
		n.fail(n.checkOthers())
	}
}

// allCrashed: some points are passed while the node serves already.
func (n *newTrials) allCrashed() error {
	for _, t := range n.all {
		if _, crashed := hitsIn(n.node.data(), t.point.name); !crashed {
			return fmt.Errorf("%v never gets to %s", t.role, t.point.name)
		}
	}
	return nil
}

// fail all, by what they have in common.
func (n *newTrials) fail(err error) {
	for _, t := range n.all {
		t.err = errors.Join(t.err, err)
	}
}

// crash it at each of the points in turn: it must get there nevertheless, and
// clients get on.
func (n *newTrials) crash(r *registers) error {
	if n.loaded {
		if err := r.waitForAnswers(50, recoverPatience); err != nil {
			return fmt.Errorf("before the crashes: %w", err)
		}
	}
	var armed []string
	for _, t := range n.all {
		armed = append(armed, t.point.name+"=once:crash")
	}
	err := n.node.start(strings.Join(armed, ";"))
	for i := 0; err != nil && i < 5; i++ {
		err = n.node.start("")
	}
	if err == nil {
		err = wait(recoverPatience, "the last crash", n.allCrashed)
	}
	if err == nil {
		err = n.node.works()
	}
	if err != nil {
		return err
	}
	if err = r.waitForAnswers(100, recoverPatience); err != nil {
		return fmt.Errorf("after the crashes: %w", err)
	}
	return nil
}

// checkOthers, whom the new node has left again.
func (n *newTrials) checkOthers() error {
	err := wait(recoverPatience, "all peers", n.load.whole)
	if err == nil {
		err = n.load.checkReplicas(0)
	}
	return errors.Join(err, n.load.CheckLogs())
}

// works: it serves, and either stores and finds, or knows the others.
func (e *extraNode) works() error {
	return wait(recoverPatience, "the new node", func() error {
		var value string
		err := newWorld(e.self).serving(0)
		if err == nil && e.w != nil {
			err = e.query(&value, "SELECT CASE count(*) WHEN 4 THEN 'there' ELSE count(*) || ' stores' END FROM tikv.stores WHERE state = 'up'")
		} else if err == nil {
			if err = e.query(nil, "SELECT tikv_put('fp/new', 'there')"); err == nil {
				err = e.query(&value, "SELECT convert_from(tikv_get('fp/new'), 'UTF8')")
			}
		}
		if err == nil && value != "there" {
			err = fmt.Errorf("it has %q", value)
		}
		return err
	})
}
