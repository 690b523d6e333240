// Chaos test: clients read, write and swap registers while instances are
// killed, stopped and cut off from each other; what they saw must be
// linearizable (porcupine): each operation took effect at one moment between
// its request and its answer.  Nothing acknowledged is lost, nothing stale is
// read, and the clients get on once a fault has ended.
//
// A register is a raw key.  Some clients read from any peer (replica_read),
// some through SQL on any instance.  Transactions are the test `txn`'s.
package main

import (
	"context"
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

	"tikv_fdw/test/faults/cluster"
	"tikv_fdw/test/faults/nemesis"
)

type options struct {
	rounds, nodes, clients, registers, basePort int
	minutes                                     float64
	seed                                        int64
	dir, script, only, out                      string
}

func parseOptions() options {
	var o options

	flag.IntVar(&o.rounds, "rounds", 10, "faults")
	flag.Float64Var(&o.minutes, "minutes", 0, "go on for so long, however many faults that are")
	flag.IntVar(&o.nodes, "nodes", 1, "instances")
	flag.IntVar(&o.clients, "clients", 12, "clients; every fourth uses SQL, every fourth any peer")
	flag.IntVar(&o.registers, "registers", 6, "registers at a time")
	flag.Int64Var(&o.seed, "seed", time.Now().UnixNano(), "of the random choices")
	flag.StringVar(&o.dir, "dir", "", "folder of the cluster")
	flag.IntVar(&o.basePort, "base-port", 5000, "added to every port")
	flag.StringVar(&o.script, "cluster", "scripts/cluster", "the script that starts clusters")
	flag.StringVar(&o.only, "only", "", "one kind of fault")
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
	log.Printf("seed %d, %d faults on %d instances", o.seed, o.rounds, o.nodes)
	c := &cluster.Cluster{Script: o.script, Dir: o.dir, BasePort: o.basePort, Nodes: o.nodes}
	n, err := nemesis.New(c, rand.New(rand.NewSource(o.seed)), o.only)
	if err != nil {
		log.Fatal(err)
	}
	c.Start()
	h := newHistory(o.registers)
	stop := startClients(c, h, o)
	for round := 0; goesOn(round, h, o); round++ {
		if err := n.Run(); err != nil {
			log.Fatalf("round %d (seed %d): %v", round, o.seed, err)
		}
		if err := waitForProgress(h); err != nil {
			log.Fatalf("round %d (seed %d): %v", round, o.seed, err)
		}
	}
	stop()
	readAll(c, h)
	report, err := n.Report()
	if err != nil {
		log.Fatal(err)
	}
	if err := check(h, o.out); err != nil {
		log.Fatalf("seed %d: %v", o.seed, err)
	}
	fmt.Printf("ok: %s; %d operations answered, %d of unknown outcome, %d registers: linearizable\n",
		report, h.answered(), h.unknown, len(h.keys))
}

func goesOn(round int, h *history, o options) bool {
	if o.minutes > 0 {
		return time.Since(h.began).Minutes() < o.minutes
	}
	return round < o.rounds
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
			return
		}
		time.Sleep(time.Duration(random.Intn(4)) * time.Millisecond)
	}
}

// waitForProgress until operations are answered again, and some more.
func waitForProgress(h *history) error {
	const wanted = 200
	before := h.answered()
	began := time.Now()
	for time.Since(began) < time.Minute {
		if h.answered() >= before+wanted {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("%d operations in a minute after the fault ended", h.answered()-before)
}

// readAll reads every register that was ever used once more.
func readAll(c *cluster.Cluster, h *history) {
	cli := newClient(c)
	defer cli.close()
	for key := range h.keys {
		in := input{key: key, kind: get}
		call := int64(time.Since(h.began))
		out, err := cli.do(in)
		if err != nil {
			log.Fatalf("%s cannot be read: %v", key, err)
		}
		h.end(1000, 0, in, call, out)
	}
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
		path := filepath.Join(folder, "history.html")
		if err := porcupine.VisualizePath(register, info, path); err == nil {
			text += "; see " + path
		}
	}
	return fmt.Errorf("%s", text)
}
