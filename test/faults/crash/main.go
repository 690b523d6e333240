// Crash test: clients write known values while the server is killed at random;
// nothing acknowledged may be lost, nothing half done may show, and the
// timestamp oracle never goes back.
//
// Each round starts the cluster, lets writers run over gRPC and SQL, kills
// (mode "all": SIGKILL to the postmaster and all its children in random
// order; mode "worker": SIGABRT to the store, after which Postgres must come
// back by itself), waits until it serves again and compares every key with
// what its writer knows.
//
// A write whose outcome the client did not learn may be there or not, but
// nothing in between; its key then rests until the check has read it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand"
	"os"
	"time"

	"tikv_fdw/test/faults/cluster"
)

type options struct {
	rounds   int
	mode     string
	seed     int64
	dir      string
	basePort int
	cluster  string
}

func parseOptions() options {
	var o options

	flag.IntVar(&o.rounds, "rounds", 8, "crashes")
	flag.StringVar(&o.mode, "mode", "mixed", "all, worker, or mixed: every third round worker")
	flag.Int64Var(&o.seed, "seed", time.Now().UnixNano(), "of the random choices")
	flag.StringVar(&o.dir, "dir", "", "folder of the cluster")
	flag.IntVar(&o.basePort, "base-port", 5000, "added to every port")
	flag.StringVar(&o.cluster, "cluster", "scripts/cluster", "the script that starts clusters")
	flag.Parse()
	if o.dir == "" || (o.mode != "all" && o.mode != "worker" && o.mode != "mixed") {
		flag.Usage()
		os.Exit(2)
	}
	return o
}

// modeOf says how round i crashes.
func (o options) modeOf(round int) string {
	if o.mode != "mixed" {
		return o.mode
	}
	if round%3 == 2 {
		return "worker"
	}
	return "all"
}

func main() {
	o := parseOptions()
	random := rand.New(rand.NewSource(o.seed))
	c := &cluster.Cluster{Script: o.cluster, Dir: o.dir, BasePort: o.basePort}
	history := newHistory()

	log.SetFlags(log.Ltime | log.Lmicroseconds)
	log.Printf("seed %d, %d rounds", o.seed, o.rounds)
	c.Start()
	for round := 0; round < o.rounds; round++ {
		if err := runRound(round, o.modeOf(round), c, history, random); err != nil {
			log.Fatalf("round %d (seed %d): %v", round, o.seed, err)
		}
	}
	fmt.Printf("ok: %d rounds, %d writes acknowledged, %d of unknown outcome, none lost, none torn; %d timestamps, never backwards\n",
		o.rounds, history.acknowledged, history.unknown, history.timestamps)
}

// runRound writes, crashes, waits for service, checks.
func runRound(round int, mode string, c *cluster.Cluster, history *history, random *rand.Rand) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	writers, err := startWriters(ctx, c, history, random.Int63())
	if err != nil {
		return fmt.Errorf("clients cannot connect: %w", err)
	}

	time.Sleep(time.Duration(500+random.Intn(2000)) * time.Millisecond)
	crashed := time.Now()
	if mode == "worker" {
		err = c.AbortStore()
	} else {
		err = c.KillAll(random)
	}
	if err != nil {
		return err
	}
	if err = writers.stop(cancel); err != nil {
		return err
	}

	// Now and then the next crash comes while the server still recovers.
	if mode == "all" && random.Intn(3) == 0 {
		c.KillDuringRecovery(random)
	}
	c.Start()
	took := time.Since(crashed)
	seen, err := history.check(c)
	if err = errors.Join(err, c.CheckLogs()); err != nil {
		return err
	}
	log.Printf("round %d: %-6s serving after %4d ms, %d keys checked, %d writes acknowledged so far",
		round, mode, took.Milliseconds(), seen, history.acknowledged)
	return nil
}
