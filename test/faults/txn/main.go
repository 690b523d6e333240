// Crash test of transactions: clients of client-go and sessions of SQL move
// money, append to lists and count, with every way of committing mixed, while the server is killed
// at random. Afterwards, and by readers all the time: the total is constant,
// no acknowledged transaction is missing, none is half there, none that failed
// for certain is there, and who begins after an acknowledgement sees it. What was
// read and appended when is a history that history.go judges.
//
// With one instance the rounds are those of the crash test (SIGKILL to
// everything; every third time SIGABRT to the store, from which Postgres
// recovers by itself), and in every second one turns are undone all the time
// (poison.go). With several the faults are those of package nemesis. The clients
// go on beyond the repair, and tikv_check() finds nothing after any round.
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

	pclog "github.com/pingcap/log"
	"go.uber.org/zap/zapcore"

	"tikv_fdw/test/faults/bank"
	"tikv_fdw/test/faults/cluster"
	"tikv_fdw/test/faults/nemesis"
)

var crewSize = bank.Size{Transferrers: 16, Appenders: 8, Incrementers: 8, Readers: 3,
	SQLTransferrers: 6, SQLAppenders: 4, SQLReaders: 2}

type options struct {
	rounds   int
	nodes    int
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
	flag.IntVar(&o.nodes, "nodes", 1, "instances; with several all faults of the chaos test")
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
	c := &cluster.Cluster{Script: o.script, Dir: o.dir, BasePort: o.basePort, Nodes: o.nodes}
	if o.settings != "" {
		c.Settings = append(c.Settings, o.settings)
	}
	pclog.SetLevel(zapcore.FatalLevel) // a crash makes clients talk
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	log.Printf("seed %d, %d rounds", o.seed, o.rounds)
	var n *nemesis.Nemesis
	if o.nodes > 1 {
		var err error
		if n, err = nemesis.New(c, random, ""); err != nil {
			log.Fatal(err)
		}
	}
	c.Start()
	if n != nil {
		if err := n.WaitReplicas(); err != nil {
			log.Fatal(err)
		}
	}
	w := bank.NewWorld()
	if err := bank.WithClient(c, w.SetUp); err != nil {
		log.Fatalf("cannot begin: %v", err)
	}
	for round := 0; round < o.rounds; round++ {
		if err := runRound(round, o, c, n, w, random); err != nil {
			log.Fatalf("round %d (seed %d): %v", round, o.seed, err)
		}
	}
	untried := ""
	if n != nil {
		if err := errors.Join(n.CheckProxy(), n.CheckInjected()); err != nil {
			log.Fatalf("seed %d: %v", o.seed, err)
		}
		untried = n.Untried()
	}
	if err := w.Worked(); err != nil {
		log.Fatalf("seed %d: %v", o.seed, err)
	}
	if o.nodes == 1 && o.rounds > 1 && w.Poisoned.Load() == 0 {
		log.Fatalf("seed %d: no turn was undone", o.seed)
	}
	fmt.Printf("ok: %d rounds, %d transactions acknowledged (%d of SQL), %d of unknown outcome, %d refused, %d snapshots read: totals constant, nothing lost, nothing torn, nothing stale; %s%s\n",
		o.rounds, w.Committed.Load(), w.BySQL.Load(), w.Unknown.Load(), w.Failed.Load(), w.Reads.Load(), w.History(), untried)
}

// crash the only instance.  The clients go on meanwhile: what they repeat
// meets a server that has forgotten what was in memory only.
func crash(round int, c *cluster.Cluster, random *rand.Rand) error {
	if round%3 == 2 {
		if err := c.AbortStore(); err != nil {
			return err
		}
	} else {
		if err := c.KillAll(random); err != nil {
			return err
		}
		if random.Intn(3) == 0 {
			c.KillDuringRecovery(random)
		}
	}
	c.Start()
	return nil
}

// runRound works, crashes, waits for service, checks.
func runRound(round int, o options, c *cluster.Cluster, n *nemesis.Nemesis, w *bank.World, random *rand.Rand) error {
	crew, err := bank.StartCrew(c, w, crewSize, random.Int63())
	if err != nil {
		return fmt.Errorf("clients cannot connect: %w", err)
	}
	// An entry that cannot be applied stops a peer of several for good.
	if round%2 == 1 && n == nil {
		poison, err := startPoison(c, w)
		if err != nil {
			return fmt.Errorf("no poison: %w", err)
		}
		defer poison.stop()
	}
	time.Sleep(time.Duration((0.25 + 0.75*random.Float64()) * o.seconds * float64(time.Second)))
	crashed := time.Now()
	if n != nil {
		err = n.Run()
	} else {
		err = crash(round, c, random)
	}
	if err != nil {
		return err
	}
	took := time.Since(crashed)
	time.Sleep(time.Duration(random.Float64() * o.seconds / 2 * float64(time.Second)))
	if err = crew.Stop(); err != nil {
		return err
	}
	if err = bank.WithClient(c, w.Check); err != nil {
		return err
	}
	if err = errors.Join(bank.CheckTables(context.Background(), c), c.CheckLogs()); err != nil {
		return err
	}
	// The index of poison takes no longer lists, either.
	if round%2 == 1 {
		w.NewLists()
	}
	log.Printf("round %d: serving after %4d ms, %d transactions acknowledged so far, %d snapshots read",
		round, took.Milliseconds(), w.Committed.Load(), w.Reads.Load())
	return nil
}
