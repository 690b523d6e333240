package nemesis

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"tikv_fdw/test/faults/cluster"
)

func TestIneffective(t *testing.T) {
	bytes, refused, broken := loss{bytes: 1}, loss{refused: 1}, loss{broken: 1}
	isolate := apartFrom(3, 0).links
	tests := []struct {
		name  string
		nodes int
		cut   []link
		lost  map[link]loss
		idle  []string
	}{
		{"nothing was lost", 3, isolate, nil, []string{"0 to 1", "1 to 0", "0 to 2", "2 to 0"}},
		{"one link has lost nothing", 3, isolate, map[link]loss{{0, 1}: bytes, {1, 0}: refused, {0, 2}: broken},
			[]string{"2 to 0"}},
		{"a loss of none is none", 3, isolate[:1], map[link]loss{{0, 1}: {}}, []string{"0 to 1"}},
		{"other links do not count", 3, isolate[:1], map[link]loss{{1, 2}: bytes}, []string{"0 to 1"}},
		{"each has", 3, isolate, map[link]loss{{0, 1}: bytes, {1, 0}: refused, {0, 2}: broken, {2, 0}: bytes}, nil},
		{"of two that lead nothing one speaks", 3, apartFrom(3, 1).links,
			map[link]loss{{0, 1}: bytes, {1, 0}: bytes, {1, 2}: refused}, nil},
		{"of two that lead nothing none speaks", 3, apartFrom(3, 1).links,
			map[link]loss{{0, 1}: bytes, {1, 0}: bytes}, []string{"1 to 2"}},
		{"who hears the leader has nothing to say to others", 3, oneWayOf(3, 1, true).links,
			map[link]loss{{1, 0}: bytes}, nil},
		{"who hears no leader speaks to all", 3, []link{{0, 1}, {1, 2}}, map[link]loss{{0, 1}: bytes},
			[]string{"1 to 2"}},
		{"of five each instance has", 5, apartFrom(5, 0, 1).links,
			map[link]loss{{0, 2}: bytes, {3, 1}: bytes, {4, 0}: refused}, nil},
		{"of five one has not", 5, apartFrom(5, 0, 1).links,
			map[link]loss{{0, 2}: bytes, {3, 0}: bytes, {4, 0}: refused}, []string{"any at 1"}},
	}
	for _, test := range tests {
		if idle := ineffective(test.cut, test.lost, test.nodes, 0); !slices.Equal(idle, test.idle) {
			t.Errorf("%s: %q", test.name, idle)
		}
	}
}

func TestPartitions(t *testing.T) {
	tests := []struct {
		name  string
		got   partition
		links []link
	}{
		{"one is apart", apartFrom(3, 1), []link{{0, 1}, {1, 0}, {1, 2}, {2, 1}}},
		{"from one", oneWayOf(3, 2, true), []link{{2, 0}, {2, 1}}},
		{"to one", oneWayOf(3, 2, false), []link{{0, 2}, {1, 2}}},
		{"a ring of three", ringOf([]int{0, 1, 2}), []link{{0, 2}, {1, 0}, {2, 1}}},
	}
	for _, test := range tests {
		slices.SortFunc(test.got.links, func(a, b link) int { return 10*(a.from-b.from) + a.to - b.to })
		if !slices.Equal(test.got.links, test.links) {
			t.Errorf("%s: %v", test.name, test.got.links)
		}
	}
}

func TestWhyNotReplaced(t *testing.T) {
	tests := []struct {
		name  string
		p     partition
		nodes int
		until bool
		must  bool
	}{
		{"a leader alone, of three", apartFrom(3, 0), 3, true, true},
		{"not waited for", apartFrom(3, 0), 3, false, false},
		{"of two there is no majority", apartFrom(2, 0), 2, true, false},
		{"two of five", apartFrom(5, 0, 1), 5, true, false},
		{"a ring", ringOf([]int{2, 0, 1}), 3, true, false},
	}
	for _, test := range tests {
		if why := test.p.whyNotReplaced(test.nodes, test.until); (why == "") != test.must {
			t.Errorf("%s: %q", test.name, why)
		}
	}
}

func TestCheckInjected(t *testing.T) {
	for _, test := range []struct {
		name      string
		kind      string
		ordered   int
		counts    int
		disturbed bool
		fine      bool
	}{
		{"never ordered", "ring", 0, 0, false, true},
		{"once of several times", "ring", 3, 1, false, true},
		{"never", "ring", 5, 0, false, false},
		{"never, among others", "ring", 5, 0, true, false},
		{"never fast enough", "restart-followers", 5, 0, false, false},
		{"never fast enough, among others", "restart-followers", 5, 0, true, true},
	} {
		n := &Nemesis{chosen: []fault{{name: test.kind}}, Disturbed: test.disturbed,
			ordered: map[string]int{test.kind: test.ordered}, counts: map[string]int{test.kind: test.counts}}
		if err := n.CheckInjected(); (err == nil) != test.fine {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestUntried(t *testing.T) {
	n := &Nemesis{chosen: []fault{{name: "ring"}, {name: "kill"}, {name: "minority"}}, ordered: map[string]int{"kill": 1}}
	if text := n.Untried(); text != "; never tried, 2 of 3 kinds: ring, minority" {
		t.Error(text)
	}
	n.ordered["ring"], n.ordered["minority"] = 1, 2
	if text := n.Untried(); text != "" {
		t.Error(text)
	}
}

func TestReportHasEvidence(t *testing.T) {
	n := &Nemesis{chosen: []fault{{name: "ring"}, {name: "minority"}}, current: "ring",
		ordered: map[string]int{"ring": 4}, counts: map[string]int{"ring": 3}}
	n.tell("bytes lost", 10)
	n.tell("bytes lost", 5)
	n.tell("connections refused", 2)
	for _, text := range []string{"ring: bytes lost 15, connections refused 2\n", "ring                             4            3"} {
		if report := n.Report(); !strings.Contains(report, text) {
			t.Errorf("%q is not in\n%s", text, report)
		}
	}
}

// unconnectedNetwork is one without instances.
func unconnectedNetwork() *network {
	return &network{cluster: &cluster.Cluster{Nodes: 3}, blocked: map[link]bool{}, lost: map[link]*loss{},
		open: map[*pipe]bool{}, passed: map[link]int{}, healed: make(chan struct{})}
}

func TestLosses(t *testing.T) {
	n := unconnectedNetwork()
	cut, other := &pipe{link: link{0, 1}}, &pipe{link: link{1, 2}}
	for _, p := range []*pipe{cut, other} {
		p.a, p.b = net.Pipe()
		if over, kept := n.keepBack(p, 10, true, false); !n.admit(p) || kept || over != p.link {
			t.Fatalf("%v is cut", p.link)
		}
		n.wrote(p.link, 10, false)
	}
	_ = n.block(true, link{0, 1})
	if _, kept := n.keepBack(other, 10, true, false); kept {
		t.Error("another link is cut")
	}
	n.wrote(other.link, 10, false)
	done := make(chan bool)
	go func() {
		_, kept := n.keepBack(cut, 7, true, false)
		done <- kept
	}()
	go func() { done <- !n.admit(&pipe{link: link{0, 1}}) }()
	for n.losses()[link{0, 1}] != (loss{bytes: 7, refused: 1}) {
		time.Sleep(time.Millisecond)
	}
	if n.admit(&pipe{link: link{stranger, 1}}) || n.strangers() != 1 {
		t.Error("somebody unknown is let through beside a cut")
	}
	if !n.admit(&pipe{link: link{client, 1}}) {
		t.Error("a client is not")
	}
	n.heal()
	if !<-done || !<-done {
		t.Error("something passed while the link was cut")
	}
	_ = n.block(false, link{1, 2})
	if got := n.losses(); got[link{1, 2}] != (loss{broken: 1}) || len(got) != 1 {
		t.Errorf("what was lost by a cut that breaks connections: %v", got)
	}
}

func TestUnconnected(t *testing.T) {
	n := unconnectedNetwork()
	n.passed = map[link]int{{0, 1}: 1, {1, 0}: 2, {2, 2}: 1, {client, 2}: 1}
	if idle := n.unconnected(); !slices.Equal(idle, []int{2}) {
		t.Errorf("%v", idle)
	}
	n.passed[link{2, 1}] = 1
	if idle := n.unconnected(); idle != nil {
		t.Errorf("%v", idle)
	}
}

func TestHits(t *testing.T) {
	before := map[string]int{}
	countHits("a pass 1\na error 1\nb delay 2\n", before)
	now := map[string]int{}
	countHits("a pass 1\na error 1\nb delay 2\na pass 1\nb delay 2\nb delay 2\nc err", now)
	if before["a"] != 1 || before["b"] != 1 || now["b"] != 3 || now["c"] != 0 {
		t.Errorf("%v, then %v", before, now)
	}
	if idle := notPassed([]string{"a", "b", "c"}, before, now); !slices.Equal(idle, []string{"a", "c"}) {
		t.Errorf("%q", idle)
	}
}

// A name that is needed is one that is set.
func TestNeeds(t *testing.T) {
	for _, f := range FailpointFaults {
		for _, name := range f.Needs {
			if !strings.Contains(";"+f.Set, ";"+name+"=") {
				t.Errorf("%s does not set %s", f.Name, name)
			}
		}
		if len(f.Needs) == 0 && f.Clock == 0 {
			t.Errorf("%s is never seen", f.Name)
		}
		if len(f.needs(1)) == 0 && f.Clock == 0 || len(f.needs(3)) != len(f.Needs) {
			t.Errorf("%s of one instance: %q, of three: %q", f.Name, f.needs(1), f.needs(3))
		}
	}
}

// A kind that never took effect is tried some times, others once.
func TestTries(t *testing.T) {
	for _, test := range []struct {
		err           error
		counts, tries int
	}{{nil, 1, 1}, {errNotInjected, 0, injectTries}, {errNotInjected, 1, 1}} {
		try := 1
		for goesOnTrying(test.err, test.counts, try) {
			try++
		}
		if try != test.tries {
			t.Errorf("%v after %d: %d tries", test.err, test.counts, try)
		}
	}
}
