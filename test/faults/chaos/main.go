// Chaos test: clients read, write and swap registers, and others move money,
// while instances are killed, stopped and cut off from each other.
//
// What the registers showed must be linearizable (porcupine): each operation
// took effect at one moment between its request and its answer.  Nothing
// acknowledged is lost, nothing stale is read, and the clients get on once a
// fault has ended.  A register is a raw key; some clients read from any peer
// (replica_read), some through SQL on any instance; two registers side by side
// are sometimes removed by one request for their range, and with -ttl values
// have times to live.
//
// How many server workers a node has is a matter of chance, too.
//
// On several instances the transactions of package bank run beside them, by
// client-go and by SQL: totals stay constant, appends are there or not,
// counters do not go back, snapshots do not change.
//
// The faults of the first lap are each kind once, in an order of chance, those
// of later ones any.  After a lap the clients rest, and all is checked.  With
// -minutes single processes are stopped as well, with -failpoints disks are slow
// and full and clocks step; the histories of all laps are kept.
//
// With -grow nodes join and leave instead (grow.go).
//
// A kind of fault that never took effect fails the run, and so does an answer
// that is wrong in kind (nemesis/answers.go, cluster/sql.go), and a line in a
// server's log that may not be there (cluster/logs.go).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand"
	"os"
	"path/filepath"
	"time"

	"github.com/anishathalye/porcupine"
	pclog "github.com/pingcap/log"
	"go.uber.org/zap/zapcore"

	"tikv_fdw/test/faults/bank"
	"tikv_fdw/test/faults/cluster"
	"tikv_fdw/test/faults/nemesis"
)

// Few, since the registers' clients want to get on as well.
var crewSize = bank.Size{Transferrers: 4, Appenders: 2, Incrementers: 2, Readers: 1,
	SQLTransferrers: 2, SQLAppenders: 1, SQLReaders: 2}

// sameWithin is how long nodes may take to hold the same when nobody works.
const sameWithin = 3 * time.Minute

type options struct {
	rounds, nodes, clients, registers, basePort int
	minutes                                     float64
	seed                                        int64
	dir, script, only, out, leak                string
	longest                                     time.Duration
	failpoints, ttl, disturbed, grow            bool
	stepClock                                   string
}

func parseOptions() options {
	var o options

	flag.IntVar(&o.rounds, "rounds", 0, "faults; 0 is each kind once")
	flag.Float64Var(&o.minutes, "minutes", 0, "go on for so long, however many faults that are")
	flag.IntVar(&o.nodes, "nodes", 1, "instances")
	flag.IntVar(&o.clients, "clients", 12, "clients, four at least; every fourth uses SQL, every fourth any peer")
	flag.IntVar(&o.registers, "registers", 6, "registers at a time")
	flag.Int64Var(&o.seed, "seed", time.Now().UnixNano(), "of the random choices")
	flag.StringVar(&o.dir, "dir", "", "folder of the cluster")
	flag.IntVar(&o.basePort, "base-port", 5000, "added to every port")
	flag.StringVar(&o.script, "cluster", "scripts/cluster", "the script that starts clusters")
	flag.StringVar(&o.only, "only", "", "kinds of faults, separated by commas, instead of all")
	flag.StringVar(&o.leak, "leak", "", "a proxy that is none (nemesis/leaks.go), with which the run must fail")
	flag.DurationVar(&o.longest, "longest", 30*time.Second, "that an instance is stopped or cut off")
	flag.StringVar(&o.out, "out", "", "folder for the histories of a failure, and of all laps with -minutes")
	flag.BoolVar(&o.failpoints, "failpoints", false, "the build has them: slow and full disks, clocks that step")
	flag.StringVar(&o.stepClock, "step-clock", "", "the library by which clocks step")
	flag.BoolVar(&o.ttl, "ttl", false, "values with times to live: no transactions, no clocks that step")
	flag.BoolVar(&o.grow, "grow", false, "nodes join and leave (grow.go), and nothing is harmed; rounds: of five nodes")
	flag.BoolVar(&o.disturbed, "disturbed", false, "others use the machine: times are not judged")
	flag.Parse()
	if o.dir == "" {
		flag.Usage()
		os.Exit(2)
	}
	return o
}

func main() {
	o := parseOptions()
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	pclog.SetLevel(zapcore.FatalLevel) // a fault makes clients talk
	if o.grow {
		log.Printf("seed %d", o.seed)
		if err := grow(o); err != nil {
			log.Fatalf("seed %d: %v", o.seed, err)
		}
		return
	}
	log.Printf("seed %d, %d instances", o.seed, o.nodes)
	c := &cluster.Cluster{Script: o.script, Dir: o.dir, BasePort: o.basePort, Nodes: o.nodes}
	configure(c, o)
	n, err := nemesis.New(c, rand.New(rand.NewSource(o.seed)), o.only)
	if err != nil {
		log.Fatal(err)
	}
	n.Longest, n.Disturbed = o.longest, o.disturbed
	if o.leak != "" {
		if err = n.Leak(o.leak); err != nil {
			log.Fatal(err)
		}
	}
	if o.rounds == 0 {
		o.rounds = n.Kinds()
	}
	c.Start()
	if err = n.WaitReplicas(); err != nil {
		log.Fatal(err)
	}
	r := &run{o: o, cluster: c, nemesis: n, began: time.Now(), clock: startClock(c), tally: map[string]int{}}
	c.GivenUp = r.givenUp
	err = r.all()
	if err = errors.Join(err, r.clock.stop()); err != nil {
		r.report(n.Report() + tallyText(r.tally) + fmt.Sprintf("failed at fault %d: %v\n", r.faults, err))
		if r.world != nil {
			fmt.Print("what the bank's clients were told:\n" + r.world.Errors(20))
		}
		log.Fatalf("fault %d (seed %d): %v", r.faults, o.seed, err)
	}
	judged, err := r.judgeTimes()
	result := "ok: "
	if err != nil {
		result = "failed, by that time alone: "
	}
	r.report(n.Report() + judged + "\n" + tallyText(r.tally) + result + r.text() + r.nemesis.Untried() + "\n")
	if err != nil {
		log.Fatalf("seed %d: %v", o.seed, err)
	}
}

// configure the cluster and the faults that it is to meet.
func configure(c *cluster.Cluster, o options) {
	configureWorkers(c, rand.New(rand.NewSource(o.seed)))
	if o.ttl {
		c.Settings = append(c.Settings, "tikv.enable_ttl=on")
	}
	if o.minutes > 0 || o.only != "" {
		nemesis.UsePauses()
	}
	if o.failpoints {
		nemesis.UseFailpoints(!o.ttl)
		if !o.ttl {
			c.StepClock = o.stepClock
		}
	}
}

func configureWorkers(c *cluster.Cluster, random *rand.Rand) {
	for node := 0; node < c.Nodes; node++ {
		workers := 2 * random.Intn(2)
		log.Printf("node %d has %d server workers", node, workers)
		c.Settings = append(c.Settings, fmt.Sprintf("%d:tikv.server_workers=%d", node, workers))
	}
}

// run is the faults and the clients of a run.
type run struct {
	o       options
	cluster *cluster.Cluster
	nemesis *nemesis.Nemesis
	began   time.Time
	faults  int

	// of the laps that are over
	answered, unknown, registers, ranges int
	tally                                map[string]int

	at    *history // of this lap
	clock *clock
	world *bank.World // nil: no transactions
}

func (r *run) goesOn() bool {
	if r.o.minutes > 0 {
		return time.Since(r.began).Minutes() < r.o.minutes
	}
	return r.faults < r.o.rounds
}

func (r *run) all() error {
	if r.o.nodes > 1 && !r.o.ttl {
		r.world = bank.NewWorld()
		if err := bank.WithClient(r.cluster, r.world.SetUp); err != nil {
			return fmt.Errorf("the bank cannot open: %w", err)
		}
	}
	r.forgetHistories()
	for lap := 0; r.goesOn(); lap++ {
		if err := r.lap(lap); err != nil {
			return err
		}
	}
	if r.world != nil {
		if err := r.world.Worked(); err != nil {
			return err
		}
	}
	if r.clock.asked.Load() == 0 {
		return errors.New("nobody was given a timestamp")
	}
	return errors.Join(r.nemesis.CheckProxy(), r.nemesis.CheckInjected(), missing(r.tally, wanted))
}

// lap is some faults under one history, and its check.
func (r *run) lap(lap int) (err error) {
	h := newHistory(r.o.registers, lap)
	r.at = h
	stop := startClients(r.cluster, h, r.o)
	var crew *bank.Crew
	if r.world != nil {
		if crew, err = bank.StartCrew(r.cluster, r.world, crewSize, r.o.seed+int64(lap)); err != nil {
			return err
		}
	}
	for i := 0; i < r.nemesis.Kinds() && r.goesOn() && err == nil; i++ {
		if err = r.nemesis.Run(); err == nil {
			err = waitForProgress(h, r.world)
		}
		if err == nil {
			err = r.nemesis.FollowClock()
		}
		r.faults++
		if err == nil && crew != nil {
			err = crew.Violation()
		}
		if err == nil {
			err = errors.Join(h.mayNotBe(), r.clock.error())
		}
	}
	stop()
	if crew != nil {
		err = errors.Join(err, crew.Stop())
	}
	r.keep(h)
	return errors.Join(err, r.check(h), r.cluster.CheckLogs())
}

// check what the clients of a lap saw; nobody works.
func (r *run) check(h *history) error {
	err := readAll(r.cluster, h)
	if strange := h.mayNotBe(); strange != nil {
		return strange
	}
	if err == nil {
		err = check(h, r.o.out)
	}
	if err == nil && r.world != nil {
		if err = bank.WithClient(r.cluster, r.world.Check); err != nil {
			r.world.Write(filepath.Join(r.o.out, "bank.json"))
		}
		r.world.NewLists()
	}
	// Each of the nodes has all regions.
	if err == nil {
		err = r.cluster.AwaitSameRows(sameWithin)
	}
	if err == nil {
		err = bank.CheckTables(context.Background(), r.cluster)
	}
	r.answered += h.answered()
	r.unknown += h.unknown
	r.registers += len(h.keys)
	r.ranges += h.ranges
	for name, count := range h.tally {
		r.tally[name] += count
	}
	log.Printf("checked after %d faults: %s", r.faults, r.text())
	return err
}

// readAll reads every register that was ever used once more.
func readAll(c *cluster.Cluster, h *history) error {
	cli := newClient(c, h.note)
	defer cli.close()
	for key := range h.keys {
		in := input{key: key, kind: get}
		call := int64(time.Since(h.began))
		out, err := cli.do(in)
		if err != nil {
			return fmt.Errorf("%s cannot be read: %w", key, err)
		}
		h.end(1000, 0, in, call, out)
	}
	return nil
}

// check asks porcupine; a history that it cannot decide in time fails, too.
func check(h *history, folder string) error {
	result, info := porcupine.CheckOperationsVerbose(register, h.ops, 5*time.Minute)
	if result == porcupine.Ok {
		return nil
	}
	text := "the history is not linearizable"
	if result == porcupine.Unknown {
		text = "the checker could not decide in 5 minutes"
	}
	if folder != "" {
		h.write(filepath.Join(folder, "history.txt.gz"))
		path := filepath.Join(folder, "history.html")
		if err := porcupine.VisualizePath(register, info, path); err == nil {
			text += "; see " + path
		}
	}
	return fmt.Errorf("%s", text)
}
