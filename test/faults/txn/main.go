// Crash test of transactions: clients of client-go move money, append to lists
// and count, with every way of committing mixed, while the server is killed
// at random. Afterwards, and by readers all the time: the total is constant,
// no acknowledged transaction is missing, none is half there, none that failed
// for certain is there, and who begins after an acknowledgement sees it.
//
// The rounds are those of the crash test (mode "all": SIGKILL to everything;
// mode "worker": SIGABRT to the store, from which Postgres recovers by itself).
// In every second one turns are undone all the time (poison.go). The clients
// go on beyond the restart, and tikv_check() finds nothing after any round.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math/rand"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	pclog "github.com/pingcap/log"
	"github.com/tikv/client-go/v2/txnkv"
	"go.uber.org/zap/zapcore"

	"tikv_fdw/test/faults/cluster"
)

type options struct {
	rounds   int
	seed     int64
	seconds  float64
	dir      string
	basePort int
	script   string
	settings string
}

func parseOptions() options {
	var o options

	flag.IntVar(&o.rounds, "rounds", 5, "crashes")
	flag.Int64Var(&o.seed, "seed", time.Now().UnixNano(), "of the random choices")
	flag.Float64Var(&o.seconds, "seconds", 4, "of work before a crash, at most")
	flag.StringVar(&o.dir, "dir", "", "folder of the cluster")
	flag.IntVar(&o.basePort, "base-port", 5000, "added to every port")
	flag.StringVar(&o.script, "cluster", "scripts/cluster", "the script that starts clusters")
	flag.StringVar(&o.settings, "set", "", "name=value of the server")
	flag.Parse()
	if o.dir == "" {
		flag.Usage()
		os.Exit(2)
	}
	return o
}

func main() {
	o := parseOptions()
	random := rand.New(rand.NewSource(o.seed))
	c := &cluster.Cluster{Script: o.script, Dir: o.dir, BasePort: o.basePort}
	if o.settings != "" {
		c.Settings = append(c.Settings, o.settings)
	}
	pclog.SetLevel(zapcore.FatalLevel) // a crash makes clients talk
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	log.Printf("seed %d, %d rounds", o.seed, o.rounds)
	c.Start()
	w := newWorld()
	if err := withClient(c, w.setUp); err != nil {
		log.Fatalf("cannot begin: %v", err)
	}
	for round := 0; round < o.rounds; round++ {
		if err := runRound(round, o, c, w, random); err != nil {
			log.Fatalf("round %d (seed %d): %v", round, o.seed, err)
		}
	}
	if w.committed.Load() == 0 || w.reads.Load() == 0 || (o.rounds > 1 && w.poisoned.Load() == 0) {
		log.Fatalf("nothing was done")
	}
	fmt.Printf("ok: %d rounds, %d transactions acknowledged, %d of unknown outcome, %d refused, %d snapshots read: totals constant, nothing lost, nothing torn, nothing stale\n",
		o.rounds, w.committed.Load(), w.unknown.Load(), w.failed.Load(), w.reads.Load())
}

func withClient(c *cluster.Cluster, do func(ctx context.Context, cli *txnkv.Client) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cli, err := txnkv.NewClient([]string{c.PDAddress()})
	if err != nil {
		return err
	}
	defer cli.Close()
	return do(ctx, cli)
}

// checkTables asks the server whether its tables agree with each other.
func checkTables(ctx context.Context, c *cluster.Cluster) error {
	sql, err := pgx.Connect(ctx, c.DSN())
	if err != nil {
		return err
	}
	defer sql.Close(ctx)
	rows, err := sql.Query(ctx, "SELECT * FROM tikv_check() AS problem")
	if err != nil {
		return err
	}
	problems, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("tikv_check: %q", problems)
	}
	return err
}

// runRound works, crashes, waits for service, checks.
func runRound(round int, o options, c *cluster.Cluster, w *world, random *rand.Rand) error {
	mode := "all"
	if round%3 == 2 {
		mode = "worker"
	}
	crew, err := startCrew(c, w, random.Int63())
	if err != nil {
		return fmt.Errorf("clients cannot connect: %w", err)
	}
	if round%2 == 1 {
		poison, err := startPoison(c, w)
		if err != nil {
			return fmt.Errorf("no poison: %w", err)
		}
		defer poison.stop()
	}
	time.Sleep(time.Duration((0.25 + 0.75*random.Float64()) * o.seconds * float64(time.Second)))
	crashed := time.Now()
	if mode == "worker" {
		err = c.AbortStore()
	} else {
		err = c.KillAll(random)
	}
	if err != nil {
		return err
	}
	// The clients go on meanwhile: what they repeat meets a server that has
	// forgotten what was in memory only.
	if mode == "all" && random.Intn(3) == 0 {
		c.KillDuringRecovery(random)
	}
	c.Start()
	took := time.Since(crashed)
	time.Sleep(time.Duration(random.Float64() * o.seconds / 2 * float64(time.Second)))
	if err = crew.stop(); err != nil {
		return err
	}
	if err = withClient(c, w.check); err != nil {
		return err
	}
	if err = checkTables(context.Background(), c); err != nil {
		return err
	}
	log.Printf("round %d: %-6s serving after %4d ms, %d transactions acknowledged so far, %d snapshots read",
		round, mode, took.Milliseconds(), w.committed.Load(), w.reads.Load())
	return nil
}
