// Failpoint test: three instances, built with failpoints, and each point at
// which a process can be made to crash, once as the leader of the region, once
// as a follower, once as the leader of PD.
//
// During each crash clients read, write and swap registers, and whatever leads
// to the point is done (splits, changes of peers, snapshots, transfers ...).
// Afterwards the history must be linearizable (porcupine), transactions whole,
// the rows of all replicas the same, the crashed node's tables in order, and
// timestamps must never have gone back, nor they or ids been given out twice.  points.txt says who reaches a point:
// the test fails if one of them does not.
package main

import (
	"flag"
	"fmt"
	"log"
	"math/rand"
	"os"
	"slices"
	"sort"
	"strings"
	"time"

	"tikv_fdw/test/faults/cluster"
	"tikv_fdw/test/faults/nemesis"
)

// watchers of timestamps: two ask at the same time.
const watchers = 2

type options struct {
	dir, script, only, roles, out string
	basePort                      int
	seed                          int64
	one, faults                   bool
	stepClock                     string
}

func parseOptions() options {
	var o options

	flag.StringVar(&o.dir, "dir", "", "folder of the cluster")
	flag.IntVar(&o.basePort, "base-port", 5000, "added to every port")
	flag.StringVar(&o.script, "cluster", "scripts/cluster", "the script that starts clusters")
	flag.StringVar(&o.only, "only", "", "points whose names begin so, or that are driven so: a,b,...")
	flag.StringVar(&o.roles, "roles", "LFPN", "whose crashes")
	flag.StringVar(&o.out, "out", ".", "folder for what is left of a failure")
	flag.Int64Var(&o.seed, "seed", time.Now().UnixNano(), "of the random choices")
	flag.BoolVar(&o.one, "one", false, "each point as one who reaches it alone, by chance")
	flag.BoolVar(&o.faults, "faults", false, "slow and full disks and clocks that are off, too")
	flag.StringVar(&o.stepClock, "step-clock", "", "the library by which a clock is off")
	_ = flag.Int("rounds", 1, "not used: each point is crashed once")
	flag.Parse()
	if o.dir == "" {
		flag.Usage()
		os.Exit(2)
	}
	return o
}

func main() {
	o := parseOptions()
	log.SetFlags(log.Ltime)
	all, err := readPoints()
	if err != nil {
		log.Fatal(err)
	}
	chosen := selectPoints(all, o.only)
	log.Printf("seed %d, %d points of %d", o.seed, len(chosen), len(all))
	w := newWorld(&cluster.Cluster{Script: o.script, Dir: o.dir, BasePort: o.basePort, Nodes: 3})
	if o.faults {
		w.StepClock = o.stepClock
	}
	n, err := watching(w, o)
	if err != nil {
		log.Fatal(err)
	}
	w.Start()
	if err := prepare(w); err != nil {
		log.Fatal(err)
	}
	for i := 0; i < watchers; i++ {
		go w.watchTimestamps()
	}
	trials := runAll(w, n, chosen, o)
	if w.nTS.Load() == 0 || w.nIDs.Load() == 0 && slices.ContainsFunc(trials, func(t *trial) bool { return t.role != newNode }) {
		log.Fatalf("PD gave out %d timestamps and %d ids: nothing was compared", w.nTS.Load(), w.nIDs.Load())
	}
	report(trials, fmt.Sprintf("%d timestamps in order and %d ids, none of them twice", w.nTS.Load(), w.nIDs.Load()))
}

// watching what the nodes say to each other, for faults of disks and clocks: by
// that a clock is seen to be off.  A cluster without them has no proxy.
func watching(w *world, o options) (*nemesis.Nemesis, error) {
	if !o.faults {
		return nil, nil
	}
	return nemesis.Watching(w.Cluster, rand.New(rand.NewSource(o.seed)))
}

// prepare fills the tables, so that a snapshot takes several pieces.
func prepare(w *world) error {
	if err := wait(recoverPatience, "a cluster of three", w.whole); err != nil {
		return err
	}
	if _, err := w.members(); err != nil {
		return err
	}
	if err := w.queryLeader("tx/", nil, "SELECT tikv_txn_put('tx/0', 'x')"); err != nil {
		return err
	}
	// PD's log is cut, so that who joins needs a snapshot.
	if err := wait(recoverPatience, "PD's log", (&trial{w: w, point: &point{}}).fillPD); err != nil {
		return err
	}
	return w.queryLeader("fill/", nil, `SELECT tikv_batch_put(array_agg(convert_to('fill/' || n, 'UTF8')),
		array_agg(convert_to(repeat(md5(n::text), 16), 'UTF8'))) FROM generate_series(1, 3000) n`)
}

// order: what leaves many regions behind comes last.
func order(points []*point) {
	sort.SliceStable(points, func(i, j int) bool {
		a, b := points[i].drive, points[j].drive
		if leavesRegions(a) != leavesRegions(b) {
			return leavesRegions(b)
		}
		return a < b
	})
}

func runAll(w *world, n *nemesis.Nemesis, points []*point, o options) []*trial {
	var trials []*trial
	random := rand.New(rand.NewSource(o.seed))

	order(points)
	if strings.ContainsRune(o.roles, rune(newNode)) {
		trials = append(trials, crashNewNodes(w, points, o, random)...)
	}
	for _, p := range points {
		for _, r := range whoCrashes(p, o, random) {
			t := &trial{w: w, point: p, role: r, out: o.out,
				name: fmt.Sprintf("%s/%c/%d", p.name, r, len(trials)), safePoint: uint64(len(trials)) * 1000}
			t.run(random)
			trials = append(trials, t)
			log.Printf("%3d %s", len(trials), t)
			if t.err != nil && !restore(w) {
				return trials
			}
		}
	}
	// At the end: timestamps stay ahead of a clock that was ahead.
	if o.faults {
		trials = append(trials, sicken(w, n, o, random)...)
	}
	return trials
}

// whoCrashes of those who reach the point, and are wanted.
func whoCrashes(p *point, o options, random *rand.Rand) []role {
	var wanted []role

	for _, r := range []role{leader, follower, pdLeader} {
		if p.reachedBy(r) && strings.ContainsRune(o.roles, rune(r)) {
			wanted = append(wanted, r)
		}
	}
	if o.one && len(wanted) > 1 {
		i := random.Intn(len(wanted))
		wanted = wanted[i : i+1]
	}
	return wanted
}

// restore what a failure left; false if that cannot be done.
func restore(w *world) bool {
	for node := 0; node < w.Nodes; node++ {
		_ = w.arm(node, "")
		if w.StepClock != "" {
			_ = w.SetClock(node, 0)
		}
	}
	_ = w.setReplicas(3)
	if err := wait(recoverPatience, "all peers after a failure", w.whole); err != nil {
		log.Printf("the rest is left out: %v", err)
		return false
	}
	return true
}

const columns = "%-28s %-9s %5v %6v %9v %7v %6v %6v  %s"

func (t *trial) String() string {
	crashed, verdict := "yes", "ok"
	if t.err != nil {
		verdict = t.err.Error()
		if strings.Contains(verdict, "never gets there") {
			crashed = "no"
		}
	}
	return fmt.Sprintf(columns, t.point.name, t.role, t.passed, crashed,
		t.recovery.Round(100*time.Millisecond), t.gap.Round(100*time.Millisecond), t.ops, t.unknown, verdict)
}

// report prints the table, and ends the program badly if something was wrong.
func report(trials []*trial, given string) {
	failed, ops := 0, 0

	fmt.Printf(columns+"\n", "point", "role", "hits", "crash", "recovery", "silence", "ops", "unsure", "result")
	sort.SliceStable(trials, func(i, j int) bool { return trials[i].point.name < trials[j].point.name })
	for _, t := range trials {
		fmt.Println(t)
		if !t.inCommon {
			ops += t.ops
		}
		if t.err != nil {
			failed++
		}
	}
	if len(trials) == 0 || failed > 0 {
		log.Fatalf("%d of %d crashes went wrong", failed, len(trials))
	}
	fmt.Printf("ok: %d crashes, %d operations linearizable, %s\n", len(trials), ops, given)
}
