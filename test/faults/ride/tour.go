package main

import (
	"fmt"
	"log"
	"slices"
	"strings"
	"time"

	"tikv_fdw/test/faults/nemesis"
)

// role of a node at the moment at which it is harmed.
type role int

const (
	leadsRegion role = iota
	leadsPD
	leadsNeither
)

var roles = []string{leadsRegion: "region's leader", leadsPD: "PD's leader", leadsNeither: "neither"}

const (
	// A harm that does not come about, or not to who was meant since
	// leadership moved just then, is tried again so often.
	tries = 5

	// What a client may take to get on; no machine is so busy.
	patience = 2 * time.Minute

	// How long a leader is kept from writing, if that is what the fault does.
	haltedFor = 5 * time.Second
)

type riders []*client

// silentPD has stopped clients from: the Rust client waits for a timestamp on its
// stream as long as that is open (client-rust 0.4, src/pd/timestamp.rs), and PD's
// leader that stands still leaves it open.
var silentPD = []string{"rust"}

// awaitMore of all; of transactions not from those without timestamps.
func (r riders) awaitMore(raw, txn int, without ...string) error {
	for _, cl := range r {
		txn := txn
		if slices.Contains(without, cl.name) {
			txn = 0
		}
		if err := cl.awaitMore(raw, txn, patience); err != nil {
			return err
		}
	}
	return nil
}

func (r riders) sofar() (all []ridden) {
	for _, cl := range r {
		all = append(all, cl.sofar())
	}
	return all
}

// tour is all faults, and to whom they came.
type tour struct {
	n      *nemesis.Nemesis
	riders riders
	kinds  []string
	faults int
	hits   map[string]map[role]int
}

// all kinds come to all roles.  A node that leads both is both.
func (t *tour) all(o options) (err error) {
	if t.kinds, err = kindsOf(o); err != nil {
		return err
	}
	for _, kind := range t.kinds {
		t.hits[kind] = map[role]int{}
		for r := range roles {
			if err = t.visit(kind, role(r)); err != nil {
				return err
			}
		}
	}
	return nil
}

// visit who has this role, unless the fault has been with one who has it.
func (t *tour) visit(kind string, r role) error {
	for try := 0; t.hits[kind][r] == 0; try++ {
		if try == tries {
			return fmt.Errorf("%s did not come to who is %s in %d attempts", kind, roles[r], tries)
		}
		node := t.whoIs(r)
		err := t.through(kind, node)
		if nemesis.NotInjected(err) {
			log.Print(err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s of node %d: %w", kind, node, err)
		}
		t.faults++
		region, pd := t.n.Led(node)
		if region {
			t.hits[kind][leadsRegion]++
		}
		if pd {
			t.hits[kind][leadsPD]++
		}
		if !region && !pd {
			t.hits[kind][leadsNeither]++
		}
	}
	return nil
}

func (t *tour) whoIs(r role) int {
	region, pd := t.n.Leaders()
	switch r {
	case leadsRegion:
		return region
	case leadsPD:
		return pd
	}
	node := 0
	for node == region || node == pd {
		node++
	}
	return node
}

// through one fault: all get on before it, while it lasts, and after it.  Who
// cannot write but leads is the exception: what it leads stands still meanwhile.
func (t *tour) through(kind string, node int) error {
	if err := t.riders.awaitMore(5, 2); err != nil {
		return fmt.Errorf("before anything: %w", err)
	}
	before := t.riders.sofar()
	err := t.n.With(kind, node, func() error {
		region, pd := t.n.Led(node)
		log.Printf("%s of node %d, which leads the region: %v, PD: %v", kind, node, region, pd)
		if nemesis.Halts(kind) && (region || pd) {
			time.Sleep(haltedFor)
			return nil
		}
		if kind == "stop" && pd {
			return t.riders.awaitMore(5, 2, silentPD...)
		}
		return t.riders.awaitMore(5, 2)
	})
	if err == nil {
		err = t.riders.awaitMore(5, 2)
	}
	if err == nil {
		err = t.n.FollowClock()
	}
	for i, after := range t.riders.sofar() {
		log.Printf("    %s: %s", t.riders[i].name, after.text(before[i]))
	}
	return err
}

// table of who met which fault.
func (t *tour) table() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%-26s %s\n", "fault at", strings.Join(roles, "  "))
	for _, kind := range t.kinds {
		fmt.Fprintf(&text, "%-26s", "at: "+kind)
		for r, title := range roles {
			fmt.Fprintf(&text, " %-*d ", len(title), t.hits[kind][role(r)])
		}
		fmt.Fprintln(&text)
	}
	return text.String()
}
