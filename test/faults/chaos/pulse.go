package main

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// pulse watches counters that must go up during each step of a growth, and for
// how long each stood still.
type pulse struct {
	beats []beat
	stop  chan struct{}
	wait  sync.WaitGroup

	mutex sync.Mutex
	seen  []stand
}

type beat struct {
	name  string
	count func() int64
}

// stand of a counter in a step.
type stand struct {
	from, at int64
	moved    time.Time
	still    time.Duration // the longest
}

const (
	beatEvery = 20 * time.Millisecond
	// What moves a leader, or a member of PD that led, takes an election at most,
	// and so long no more than this on a machine that others use.
	mostStill = 30 * time.Second
)

func startPulse(beats ...beat) *pulse {
	p := &pulse{beats: beats, stop: make(chan struct{}), seen: make([]stand, len(beats))}
	p.step(time.Now())
	p.wait.Add(1)
	go func() {
		defer p.wait.Done()
		for {
			select {
			case <-p.stop:
				return
			case now := <-time.After(beatEvery):
				p.look(now)
			}
		}
	}()
	return p
}

// step: another one begins.
func (p *pulse) step(now time.Time) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for i, b := range p.beats {
		count := b.count()
		p.seen[i] = stand{from: count, at: count, moved: now}
	}
}

func (p *pulse) look(now time.Time) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for i, b := range p.beats {
		s := &p.seen[i]
		s.still = max(s.still, now.Sub(s.moved))
		if count := b.count(); count != s.at {
			s.at, s.moved = count, now
		}
	}
}

// judge the step: what was counted, and an error if something never was, or
// stood still for too long.
func (p *pulse) judge() (text string, err error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	var parts, dead []string
	for i, b := range p.beats {
		s := p.seen[i]
		part := fmt.Sprintf("%s %d (%.1f s without)", b.name, s.at-s.from, s.still.Seconds())
		parts = append(parts, part)
		if s.at == s.from || s.still > mostStill {
			dead = append(dead, part)
		}
	}
	slices.Sort(parts)
	if len(dead) > 0 {
		err = fmt.Errorf("too few were answered, or too late (%v is the most): %s", mostStill, strings.Join(dead, ", "))
	}
	return strings.Join(parts, ", "), err
}

func (p *pulse) end() {
	close(p.stop)
	p.wait.Wait()
}
