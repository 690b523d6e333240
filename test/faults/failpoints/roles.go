package main

import (
	"errors"
	"fmt"
)

// Who is who: a trial casts its roles before it begins, and keeps them while it
// drives.  PD moves leaders for balance meanwhile, and on a busy machine
// elections do, and then who is to crash would wait in vain.

// focus is a key of the region that things are done to.
func (t *trial) focus() string {
	switch t.point.drive {
	case "split", "deadlock", "flashback", "sleep", "silence", "size":
		return highKey
	}
	return lowKey
}

func (t *trial) other(node int) int {
	return (node + 1) % t.w.Nodes
}

func (t *trial) otherThan(a, b int) int {
	for node := 0; node < t.w.Nodes; node++ {
		if node != a && node != b {
			return node
		}
	}
	return t.other(a)
}

// castRoles has the leaders where they are wanted; the target is who crashes.
func (t *trial) castRoles() error {
	return wait(recoverPatience, "the roles", func() error {
		leads, _, err := t.w.leaderNode(t.focus())
		if err != nil {
			return err
		}
		leadsPD, err := t.w.pdNode()
		if err != nil {
			return err
		}
		if t.leadsRegion() && t.role == pdLeader && leads != leadsPD {
			_ = t.w.transferRegion(t.focus(), leadsPD)
			return fmt.Errorf("node %d leads the region, node %d PD", leads, leadsPD)
		}
		if t.leadsApart() && leads == leadsPD {
			_ = t.w.transferRegion(t.focus(), t.other(leads))
			return fmt.Errorf("node %d leads both", leads)
		}
		switch t.role {
		case leader:
			t.target = leads
		case follower:
			t.target = t.otherThan(leads, leadsPD)
		case pdLeader:
			t.target = leadsPD
		}
		return nil
	})
}

// leadsRegion: the target has to, that of the focus.
func (t *trial) leadsRegion() bool {
	return t.role == leader || t.role == pdLeader && t.point.ofLeaders()
}

// leadsApart: one node leads the region, another one PD.
func (t *trial) leadsApart() bool {
	return t.role == leader || t.role == pdLeader && t.point.reachedBy(follower)
}

// movesRegion is true of what takes leadership of regions from the target, or
// gives it; movesPD of that of PD.
func movesRegion(drive string) bool {
	return drive == "transfer" || drive == "restart"
}

func movesPD(drive string) bool {
	return drive == "pdtransfer" || drive == "restart"
}

// keepsRegion is false of what has to be done by PD's leader, whoever leads the
// region.
func (t *trial) keepsRegion() bool {
	return !movesRegion(t.point.drive) && (t.leadsRegion() || t.leadsApart() || t.role == follower)
}

// keepRoles gives back what the target has lost, or takes what it has got.
func (t *trial) keepRoles() error {
	if !movesPD(t.point.drive) {
		leads, err := t.w.pdNode()
		if err != nil {
			return err
		}
		if to := t.goesTo(leads, t.role == pdLeader); to != leads {
			return errors.Join(t.w.transferPD(to), fmt.Errorf("node %d leads PD", leads))
		}
	}
	if t.keepsRegion() {
		leads, _, err := t.w.leaderNode(t.focus())
		if err != nil {
			return err
		}
		if to := t.goesTo(leads, t.leadsRegion()); to != leads {
			return errors.Join(t.w.transferRegion(t.focus(), to), fmt.Errorf("node %d leads the region", leads))
		}
	}
	return nil
}

// goesTo is who is to lead: the target, or anybody else.
func (t *trial) goesTo(leads int, target bool) int {
	switch {
	case target:
		return t.target
	case leads == t.target:
		return t.other(t.target)
	}
	return leads
}
