// Package nemesis harms a cluster: it kills, stops and cuts off instances, one
// fault after the other, repairs each, and notes how long it took until
// somebody else led what the harmed instance had led.
package nemesis

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand"
	"slices"
	"strings"
	"time"

	"tikv_fdw/test/faults/cluster"
)

// Nemesis injects one fault after the other.
type Nemesis struct {
	Cluster *cluster.Cluster

	// Longest is how long an instance is stopped or cut off at most; longer
	// only until another one leads, the first time.
	Longest time.Duration

	// Disturbed: others use the machine, so what must be fast may be slow.
	Disturbed bool

	random  *rand.Rand
	network *network // nil: a single instance
	router  *Router
	chosen  []fault
	pending []fault // not injected yet
	first   bool    // the fault at work was not there before
	groups  []*group
	current string         // the kind of the fault at work
	ordered map[string]int // how often a kind was tried,
	counts  map[string]int // and how often it took effect
	told    []*evidence
	served  served
	splits  int
	clock   int  // seconds that all clocks are ahead
	ahead   int  // and those that one was, beyond them
	lapped  bool // each of all kinds was injected

	leaked   error     // of a cut by hand
	repaired time.Time // when the repair of the fault at work began
	times    []change
}

// proxied is added to the announced ports of several instances: a proxy's.  It
// keeps them between those of the nodes, of which there are five at most, and
// below the ports that outgoing connections get.
const proxied = 5

// New is for a cluster that has not been started; only names kinds of faults,
// separated by commas, "" means all that can be.
func New(c *cluster.Cluster, random *rand.Rand, only string) (*Nemesis, error) {
	n := newNemesis(c, random)
	for _, f := range faults {
		if (only == "" || slices.Contains(strings.Split(only, ","), f.name)) && c.Nodes >= f.nodes {
			n.chosen = append(n.chosen, f)
		}
	}
	if len(n.chosen) == 0 {
		return nil, fmt.Errorf("no fault %q for %d instances", only, c.Nodes)
	}
	n.pending = append(n.pending, n.chosen...)
	random.Shuffle(len(n.pending), func(i, j int) { n.pending[i], n.pending[j] = n.pending[j], n.pending[i] })
	if c.Nodes > 1 {
		var err error
		c.Proxied = proxied
		if n.network, err = startNetwork(c); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func newNemesis(c *cluster.Cluster, random *rand.Rand) *Nemesis {
	n := &Nemesis{Cluster: c, Longest: 30 * time.Second, random: random,
		counts: map[string]int{}, ordered: map[string]int{}, router: NewRouter(c)}
	n.groups = []*group{{name: "region", answers: n.writes}, {name: "PD", answers: n.givesTimestamp}}
	return n
}

// Kinds is how many kinds of faults there are.
func (n *Nemesis) Kinds() int {
	return len(n.chosen)
}

// WaitReplicas until the region and PD have the voters that so many instances
// can have: without them a fault would be another one.
func (n *Nemesis) WaitReplicas() error {
	wanted := min(3, (n.Cluster.Nodes+1)/2*2-1)
	var last error

	for began := time.Now(); time.Since(began) < 2*time.Minute; time.Sleep(200 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		last = n.countReplicas(ctx, wanted)
		cancel()
		if last == nil {
			return nil
		}
	}
	return fmt.Errorf("there are no %d replicas: %w", wanted, last)
}

func (n *Nemesis) countReplicas(ctx context.Context, wanted int) error {
	members, err := n.router.members(ctx)
	if err != nil {
		return err
	}
	if len(members.Members) < wanted {
		return fmt.Errorf("PD has %d members", len(members.Members))
	}
	if err = n.router.FindRegion(ctx, probeKey); err != nil {
		return err
	}
	voters := 0
	for _, peer := range n.router.Region.Peers {
		if peer.Role == 0 {
			voters++
		}
	}
	if voters < wanted || n.router.Pending > 0 {
		return fmt.Errorf("the region has %d voters, %d of them without all data", voters, n.router.Pending)
	}
	return nil
}

// next is each kind once, in an order of chance, and then any.
func (n *Nemesis) next() fault {
	n.first = len(n.pending) > 0
	if !n.first {
		return n.chosen[n.random.Intn(len(n.chosen))]
	}
	f := n.pending[0]
	n.pending = n.pending[1:]
	n.lapped = len(n.pending) == 0 && len(n.chosen) == len(faults)
	return f
}

// Run injects a fault; afterwards all instances are up, the network is whole,
// and each instance serves.  One that does not come about is tried again if its
// kind never did.
func (n *Nemesis) Run() error {
	f := n.next()
	for try := 1; ; try++ {
		err := n.inject(f)
		if err == nil {
			n.counts[f.name]++
		} else if !errors.Is(err, errNotInjected) {
			return fmt.Errorf("%s: %w", f.name, errors.Join(err, n.Cluster.CheckLogs()))
		}
		if wrong := errors.Join(n.eachServes(), n.Cluster.CheckLogs()); wrong != nil {
			return fmt.Errorf("after %s: %w", f.name, wrong)
		}
		if !goesOnTrying(err, n.counts[f.name], try) {
			return nil
		}
	}
}

// goesOnTrying to inject a fault of a kind that took effect so often.
func goesOnTrying(err error, counts, try int) bool {
	return err != nil && counts == 0 && try < injectTries
}

// inject a fault once, and repair it.
func (n *Nemesis) inject(f fault) error {
	for _, g := range n.groups {
		n.findLeader(g)
	}
	log.Printf("fault: %s (region led by node %d, PD by %d)", f.name, n.groups[0].leader, n.groups[1].leader)
	n.current = f.name
	n.ordered[f.name]++
	err := f.inject(n)
	if errors.Is(err, errNotInjected) {
		log.Print(err)
	}
	if n.network != nil {
		n.network.heal()
	}
	n.repaired = time.Now()
	n.Cluster.Start()
	n.settle(f.name)
	return err
}

// CheckProxy fails if the instances got past the proxy, so that no partition
// was one.  Once leaders have changed as often as all kinds of faults make them,
// each of three has spoken to each.
func (n *Nemesis) CheckProxy() error {
	if n.network == nil {
		return nil
	}
	if idle := n.network.unconnected(); len(idle) > 0 {
		return fmt.Errorf("no connection through the proxy was ever made from the nodes %v", idle)
	}
	if mute := n.network.mute(); len(mute) > 0 && n.lapped && n.Cluster.Nodes == 3 {
		return fmt.Errorf("no instance ever sent anything over the links %q, so they cannot be said to have been cut", mute)
	}
	return errors.Join(n.leaked, n.network.bypassed())
}
