// Chaos test: clients read, write and swap registers, and others move money,
// while instances are killed, stopped and cut off from each other.
//
// What the registers showed must be linearizable (porcupine): each operation
// took effect at one moment between its request and its answer.  Nothing
// acknowledged is lost, nothing stale is read, and the clients get on once a
// fault has ended.  A register is a raw key; some clients read from any peer
// (replica_read), some through SQL on any instance.
//
// On several instances the transactions of package bank run beside them, by
// client-go and by SQL: totals stay constant, appends are there or not,
// counters do not go back, snapshots do not change.
//
// The faults of the first lap are each kind once, in an order of chance, those
// of later ones any.  After a lap the clients rest, and all is checked.
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
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/jackc/pgx/v5"
	pclog "github.com/pingcap/log"
	"go.uber.org/zap/zapcore"

	"tikv_fdw/test/faults/bank"
	"tikv_fdw/test/faults/cluster"
	"tikv_fdw/test/faults/nemesis"
)

// Few, since the registers' clients want to get on as well.
var crewSize = bank.Size{Transferrers: 4, Appenders: 2, Incrementers: 2, Readers: 1,
	SQLTransferrers: 2, SQLAppenders: 1, SQLReaders: 2}

type options struct {
	rounds, nodes, clients, registers, basePort int
	minutes                                     float64
	seed                                        int64
	dir, script, only, out                      string
	longest                                     time.Duration
}

func parseOptions() options {
	var o options

	flag.IntVar(&o.rounds, "rounds", 0, "faults; 0 is each kind once")
	flag.Float64Var(&o.minutes, "minutes", 0, "go on for so long, however many faults that are")
	flag.IntVar(&o.nodes, "nodes", 1, "instances")
	flag.IntVar(&o.clients, "clients", 12, "clients; every fourth uses SQL, every fourth any peer")
	flag.IntVar(&o.registers, "registers", 6, "registers at a time")
	flag.Int64Var(&o.seed, "seed", time.Now().UnixNano(), "of the random choices")
	flag.StringVar(&o.dir, "dir", "", "folder of the cluster")
	flag.IntVar(&o.basePort, "base-port", 5000, "added to every port")
	flag.StringVar(&o.script, "cluster", "scripts/cluster", "the script that starts clusters")
	flag.StringVar(&o.only, "only", "", "kinds of faults, separated by commas, instead of all")
	flag.DurationVar(&o.longest, "longest", 30*time.Second, "that an instance is stopped or cut off")
	flag.StringVar(&o.out, "out", "", "folder for the histories of a failure")
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
	log.Printf("seed %d, %d instances", o.seed, o.nodes)
	c := &cluster.Cluster{Script: o.script, Dir: o.dir, BasePort: o.basePort, Nodes: o.nodes}
	n, err := nemesis.New(c, rand.New(rand.NewSource(o.seed)), o.only)
	if err != nil {
		log.Fatal(err)
	}
	n.Longest = o.longest
	if o.rounds == 0 {
		o.rounds = n.Kinds()
	}
	c.Start()
	if err = n.WaitReplicas(); err != nil {
		log.Fatal(err)
	}
	r := &run{o: o, cluster: c, nemesis: n, began: time.Now(), clock: startClock(c)}
	err = r.all()
	if err = errors.Join(err, r.clock.stop()); err != nil {
		fmt.Print(n.Report())
		if r.world != nil {
			fmt.Print("what the bank's clients were told:\n" + r.world.Errors(20))
		}
		log.Fatalf("fault %d (seed %d): %v", r.faults, o.seed, err)
	}
	fmt.Print(n.Report())
	fmt.Println("ok: " + r.text())
}

// run is the faults and the clients of a run.
type run struct {
	o       options
	cluster *cluster.Cluster
	nemesis *nemesis.Nemesis
	began   time.Time
	faults  int

	// of the laps that are over
	answered, unknown, registers int

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
	if r.o.nodes > 1 {
		r.world = bank.NewWorld()
		if err := bank.WithClient(r.cluster, r.world.SetUp); err != nil {
			return fmt.Errorf("the bank cannot open: %w", err)
		}
	}
	for lap := 0; r.goesOn(); lap++ {
		if err := r.lap(lap); err != nil {
			return err
		}
	}
	if r.world != nil && (r.world.Committed.Load() == 0 || r.world.BySQL.Load() == 0 || r.world.ReadsBySQL.Load() == 0) {
		return errors.New("no transactions, or none of SQL")
	}
	return r.nemesis.CheckProxy()
}

// lap is some faults under one history, and its check.
func (r *run) lap(lap int) (err error) {
	h := newHistory(r.o.registers, lap)
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
		r.faults++
		if err == nil && crew != nil {
			err = crew.Violation()
		}
		if err == nil {
			err = r.clock.error()
		}
	}
	stop()
	if crew != nil {
		err = errors.Join(err, crew.Stop())
	}
	return errors.Join(err, r.check(h))
}

// check what the clients of a lap saw; nobody works.
func (r *run) check(h *history) error {
	if h.strange != nil {
		return h.strange
	}
	err := readAll(r.cluster, h)
	if err == nil {
		err = check(h, r.o.out)
	}
	if err == nil && r.world != nil {
		if err = bank.WithClient(r.cluster, r.world.Check); err != nil {
			r.world.Write(filepath.Join(r.o.out, "bank.json"))
		}
		r.world.NewLists()
	}
	if err == nil {
		err = bank.CheckTables(context.Background(), r.cluster)
	}
	r.answered += h.answered()
	r.unknown += h.unknown
	r.registers += len(h.keys)
	log.Printf("checked after %d faults: %s", r.faults, r.text())
	return err
}

// text of what was checked.
func (r *run) text() string {
	text := fmt.Sprintf("%d faults; %d operations answered, %d of unknown outcome, %d registers: linearizable",
		r.faults, r.answered, r.unknown, r.registers)
	text += fmt.Sprintf("; %d timestamps, never backwards", r.clock.asked.Load())
	if w := r.world; w != nil {
		text += fmt.Sprintf("; %d transactions acknowledged (%d of SQL), %d of unknown outcome, %d refused, "+
			"%d snapshots read (%d by SQL): totals constant, nothing lost, torn or stale", w.Committed.Load(),
			w.BySQL.Load(), w.Unknown.Load(), w.Failed.Load(), w.Reads.Load(), w.ReadsBySQL.Load())
	}
	return text
}

// startClients lets them work until the function returned is called.
func startClients(c *cluster.Cluster, h *history, o options) (stop func()) {
	var done sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())

	for id := 0; id < o.clients; id++ {
		done.Add(1)
		random := rand.New(rand.NewSource(o.seed + int64(id) + 1))
		go func() {
			defer done.Done()
			if id%4 == 3 {
				useSQL(ctx, c, h, id, random)
			} else {
				use(ctx, c, h, id, random)
			}
		}()
	}
	return func() {
		cancel()
		done.Wait()
	}
}

// choose an operation; most read or swap, since those tell something.
func choose(h *history, random *rand.Rand, key, seen string) input {
	in := input{key: key, kind: get}
	switch dice := random.Intn(10); {
	case dice < 5:
	case dice < 7:
		in.kind, in.value = put, h.newValue()
	case dice < 8:
		in.kind = remove
	default:
		in.kind, in.value, in.expected = swap, h.newValue(), seen
	}
	return in
}

func use(ctx context.Context, c *cluster.Cluster, h *history, id int, random *rand.Rand) {
	cli := newClient(c)
	cli.follower = id%4 == 2
	defer cli.close()
	seen := map[string]string{}
	for ctx.Err() == nil {
		number := random.Intn(len(h.places))
		key, call := h.begin(number)
		in := choose(h, random, key, seen[key])
		out, err := cli.do(in)
		switch {
		case err == nil && in.kind != put && in.kind != remove:
			seen[key] = out.value
		case err != nil && !out.unknown:
			continue // nothing was done
		}
		h.end(id, number, in, call, out)
		time.Sleep(time.Duration(random.Intn(4)) * time.Millisecond)
	}
}

// useSQL reads, and writes now and then, through the SQL functions.
func useSQL(ctx context.Context, c *cluster.Cluster, h *history, id int, random *rand.Rand) {
	for ctx.Err() == nil {
		limited, cancel := context.WithTimeout(context.Background(), opTimeout)
		conn, err := pgx.Connect(limited, c.DSNOf(random.Intn(max(1, c.Nodes))))
		if err == nil {
			sessionOf(ctx, conn, h, id, random)
			conn.Close(limited)
		}
		cancel()
		time.Sleep(retryPause)
	}
}

// sessionOf works until the connection breaks or it has done enough.
func sessionOf(ctx context.Context, conn *pgx.Conn, h *history, id int, random *rand.Rand) {
	for i := 0; i < 100 && ctx.Err() == nil; i++ {
		number := random.Intn(len(h.places))
		key, call := h.begin(number)
		in := input{key: key, kind: get}
		if random.Intn(4) == 0 {
			in.kind, in.value = put, h.newValue()
		}
		var out output
		var value []byte
		var err error
		limited, cancel := context.WithTimeout(context.Background(), opTimeout)
		if in.kind == get {
			err = conn.QueryRow(limited, "SELECT tikv_get($1)", []byte(key)).Scan(&value)
			out.value = string(value)
		} else {
			_, err = conn.Exec(limited, "SELECT tikv_put($1, $2)", []byte(key), []byte(in.value))
		}
		cancel()
		out.unknown = err != nil
		h.end(id, number, in, call, out)
		if err != nil {
			h.note(cluster.ErrorOfSQL(err))
			return
		}
		time.Sleep(time.Duration(random.Intn(4)) * time.Millisecond)
	}
}

// Clients that do not get on by then never will, however busy the machine is.
const progressWithin = 3 * time.Minute

// waitForProgress until operations are answered again, and some more.
func waitForProgress(h *history, w *bank.World) error {
	const operations, transactions = 100, 10
	before := h.answered()
	var committed int64
	if w != nil {
		committed = w.Committed.Load()
	}
	began := time.Now()
	var first time.Duration // until the operations
	for ; time.Since(began) < progressWithin; time.Sleep(20 * time.Millisecond) {
		if h.answered() < before+operations {
			continue
		}
		if first == 0 {
			first = time.Since(began)
		}
		if w == nil || w.Committed.Load() >= committed+transactions {
			log.Printf("the clients get on after %.1f s, those of the bank after %.1f s",
				first.Seconds(), time.Since(began).Seconds())
			return nil
		}
	}
	text := fmt.Sprintf("%d operations", h.answered()-before)
	if w != nil {
		text += fmt.Sprintf(" and %d transactions", w.Committed.Load()-committed)
	}
	return fmt.Errorf("%s in %v after the fault ended", text, progressWithin)
}

// readAll reads every register that was ever used once more.
func readAll(c *cluster.Cluster, h *history) error {
	cli := newClient(c)
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
		h.write(filepath.Join(folder, "history.txt"))
		path := filepath.Join(folder, "history.html")
		if err := porcupine.VisualizePath(register, info, path); err == nil {
			text += "; see " + path
		}
	}
	return fmt.Errorf("%s", text)
}
