package nemesis

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// What passes is counted where it was passed on, apart from the rules that
// decide what may: if anything went over a link after it was cut, no partition
// was one, whatever was kept back besides.

// What was let through before a cut may take until it has arrived.  Who does
// not read it by then is stopped, and loses the connection.
const arrivesWithin = 5 * time.Second

// carried is what went over a link, to its end and back.
type carried struct {
	bytes       int64 // written, those of probes as well
	own         int64 // of these what instances sent
	lost        bool  // an instance has lost something here, at some time
	connections int
	writing     int // is decided, and not written yet
}

// traffic of the links; the network's mutex is held.
type traffic struct {
	links  map[link]*carried
	sealed map[link]carried // those that are cut, when they were; nil: none is
	cut    map[link]bool    // that were at some time
}

func (t *traffic) over(l link) *carried {
	if t.links == nil {
		t.links = map[link]*carried{}
	}
	if t.links[l] == nil {
		t.links[l] = &carried{}
	}
	return t.links[l]
}

// wrote what keepBack has let through.
func (n *network) wrote(over link, size int, posed bool) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	c := n.traffic.over(over)
	c.writing--
	c.bytes += int64(size)
	if !posed {
		c.own += int64(size)
	}
}

// seal takes down what links carried until they were cut, when all of that has
// arrived.
func (n *network) seal(links []link) error {
	for began := time.Now(); !n.arrived(links); time.Sleep(time.Millisecond) {
		if time.Since(began) > 2*arrivesWithin {
			return errors.New("the proxy is still writing what it has let through before the cut")
		}
		if time.Since(began) > arrivesWithin {
			n.endAll(links)
		}
	}
	return nil
}

func (n *network) arrived(links []link) bool {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	for _, l := range links {
		if n.traffic.over(l).writing > 0 {
			return false
		}
	}
	if n.traffic.cut == nil {
		n.traffic.cut = map[link]bool{}
	}
	n.traffic.sealed = map[link]carried{}
	for _, l := range links {
		n.traffic.sealed[l] = *n.traffic.over(l)
		n.traffic.cut[l] = true
	}
	return true
}

// endAll connections on these links.
func (n *network) endAll(links []link) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	for p := range n.open {
		if slices.Contains(links, p.link) {
			p.end()
		}
	}
}

// sealed fails if anything went over a link since it was cut.
func (n *network) sealed() error {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	var wrong []error
	for l, before := range n.traffic.sealed {
		now := n.traffic.over(l)
		if bytes, made := now.bytes-before.bytes, now.connections-before.connections; bytes > 0 || made > 0 || now.writing > 0 {
			wrong = append(wrong, fmt.Errorf("%d bytes and %d connections passed from node %d to %d, which was cut",
				bytes, made, l.from, l.to))
		}
	}
	return errors.Join(wrong...)
}

// mute are links that were cut and over which no instance has sent anything, or
// tried to, before or since.
func (n *network) mute() (all []string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	for l := range n.traffic.cut {
		if c := n.traffic.over(l); c.own == 0 && !c.lost {
			all = append(all, fmt.Sprintf("%d to %d", l.from, l.to))
		}
	}
	slices.Sort(all)
	return all
}

// text for the report: what instances sent to each other.
func (n *network) text() (text string) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	for from := 0; from < n.cluster.Nodes; from++ {
		for to := 0; to < n.cluster.Nodes; to++ {
			if from != to {
				text += fmt.Sprintf(", %d to %d: %d", from, to, n.traffic.over(link{from, to}).own)
			}
		}
	}
	return "bytes of instances over each link" + text + "\n"
}

// leak of a link that is cut: what the proxy passes on all the same.  made: a new
// connection, else bytes; answers: those to who has connected.
type leak func(l link, made, answers bool) bool

// leaks are proxies that are none.  Each must fail a run.
var leaks = map[string]leak{
	"everything": func(link, bool, bool) bool { return true },
	"one-way":    func(l link, _, _ bool) bool { return l.from > l.to },
	"one-link":   func(l link, _, _ bool) bool { return l == link{1, 2} || l == link{2, 1} },
	"requests":   func(_ link, made, answers bool) bool { return !made && !answers },
	"answers":    func(_ link, made, answers bool) bool { return !made && answers },
	"open":       func(_ link, made, _ bool) bool { return !made },
	"new":        func(_ link, made, _ bool) bool { return made },
}

// Leak makes the proxy one that is none, to see that this is found out.
func (n *Nemesis) Leak(name string) error {
	if leaks[name] == nil || n.network == nil {
		return fmt.Errorf("no leak %q, or no proxy", name)
	}
	n.network.mutex.Lock()
	defer n.network.mutex.Unlock()
	n.network.leak = leaks[name]
	return nil
}

// cuts says whether the proxy keeps this back; the mutex is held.
func (n *network) cuts(l link, made, answers bool) bool {
	return n.blocked[l] && (n.leak == nil || !n.leak(l, made, answers))
}
