package main

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed points.txt
var pointsText string

// role is of the node that crashes.
type role byte

const (
	leader   role = 'L'
	follower role = 'F'
	pdLeader role = 'P'
	newNode  role = 'N'
)

func (r role) String() string {
	return map[role]string{leader: "leader", follower: "follower", pdLeader: "pd-leader", newNode: "new node"}[r]
}

// point is a place in the sources where a process can be made to crash.
type point struct {
	name    string
	roles   string // who reaches it
	drive   string // what has to happen for it
	meaning string
}

func (p *point) reachedBy(r role) bool {
	return strings.IndexByte(p.roles, byte(r)) >= 0
}

// ofLeaders is a step that only who leads the region takes.
func (p *point) ofLeaders() bool {
	return p.reachedBy(leader) && !p.reachedBy(follower)
}

// ofOneFollower is a step of a follower that something is done to.
func (p *point) ofFollowers() bool {
	return p.reachedBy(follower) && !p.reachedBy(leader)
}

func readPoints() ([]*point, error) {
	var all []*point

	for _, line := range strings.Split(pointsText, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		if len(words) < 4 {
			return nil, fmt.Errorf("points.txt: %q", line)
		}
		p := &point{words[0], words[1], words[2], strings.Join(words[3:], " ")}
		if drives[p.drive] == nil && !p.reachedBy(newNode) {
			return nil, fmt.Errorf("points.txt: %s: nothing drives %q", p.name, p.drive)
		}
		all = append(all, p)
	}
	return all, nil
}

// selectPoints are those whose name begins with one of these words, or whose
// drive is one of them; "" is all.
func selectPoints(all []*point, words string) []*point {
	if words == "" {
		return all
	}
	var chosen []*point
	for _, p := range all {
		for _, word := range strings.Split(words, ",") {
			if strings.HasPrefix(p.name, word) || p.drive == word {
				chosen = append(chosen, p)
				break
			}
		}
	}
	return chosen
}
