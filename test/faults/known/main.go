// Failures that are known from other systems, provoked on three instances:
// each test has the name under which it was reported and says how it tried.
// docs/testing.md lists them with those that are shown elsewhere.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand"
	"os"
	"strings"

	pclog "github.com/pingcap/log"
	"go.uber.org/zap/zapcore"

	"tikv_fdw/test/faults/cluster"
	"tikv_fdw/test/faults/nemesis"
)

// test is what a failure's test works with.
type test struct {
	*nemesis.Nemesis
	said string // what was done, for the report
}

func (t *test) say(format string, arguments ...any) {
	t.said = fmt.Sprintf(format, arguments...)
}

var tests = []struct {
	name, what string
	run        func(t *test) error
}{
	{"tikv/tikv#1593", "a lease does not survive the transfer of leadership", leaseAfterTransfer},
	{"tikv/tikv#964", "a process that was stopped does not read by its old lease", leaseAfterStop},
	{"tikv/tikv#9351", "no follower reads an old index after a transfer", indexAfterTransfer},
	{"tikv/tikv#1287", "a snapshot and entries in one turn are stored as one", snapshotAndEntries},
	{"tikv/tikv#10353", "no write is told that it failed and is committed", failedAndCommitted},
	{"tikv/client-rust#555", "no swap is told that it did not happen over its own value", swapsWhileNodesStop},
	{"ryogrid/gookv: proposal", "a proposal that fails is no success", failedProposal},
	{"ryogrid/gookv: prewrite", "a prewrite checked before a split is not carried out after it", prewriteAroundSplit},
	{"a commit around a split", "a commit checked before a split is not remembered after it", commitAroundSplit},
	{"ryogrid/gookv: scan", "no scan leaks over the border of its region", scanAtBorder},
	{"ryogrid/gookv: split", "the children of a split are there after a restart", splitAndRestart},
}

func main() {
	rounds := flag.Int("rounds", 0, "unused: each test is run once")
	dir := flag.String("dir", "", "folder of the cluster")
	basePort := flag.Int("base-port", 5000, "added to every port")
	script := flag.String("cluster", "scripts/cluster", "the script that starts clusters")
	seed := flag.Int64("seed", 1, "of the order in which processes are killed")
	only := flag.String("only", "", "tests whose name has this in it")
	flag.Parse()
	if *dir == "" || *rounds < 0 {
		flag.Usage()
		os.Exit(2)
	}
	pclog.SetLevel(zapcore.FatalLevel)
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	c := &cluster.Cluster{Script: *script, Dir: *dir, BasePort: *basePort, Nodes: 3}
	n, err := nemesis.New(c, rand.New(rand.NewSource(*seed)), "")
	if err != nil {
		log.Fatal(err)
	}
	c.Start()
	if err = n.WaitReplicas(); err != nil {
		log.Fatal(err)
	}
	failed, ran := 0, 0
	for _, one := range tests {
		if !strings.Contains(one.name, *only) {
			continue
		}
		ran++
		t := &test{Nemesis: n}
		err := one.run(t)
		n.Heal()
		c.Start()
		if err = errors.Join(err, c.CheckLogs()); err == nil {
			fmt.Printf("ok %d - %s: %s (%s)\n", ran, one.name, one.what, t.said)
			continue
		}
		failed++
		fmt.Printf("not ok %d - %s: %s\n# %s\n", ran, one.name, one.what,
			strings.ReplaceAll(err.Error(), "\n", "\n# "))
	}
	if err = n.CheckProxy(); err != nil {
		failed++
		fmt.Printf("not ok %d - the proxy: %v\n", ran+1, err)
	}
	fmt.Printf("1..%d\n", ran)
	if failed > 0 || ran == 0 {
		log.Fatalf("%d of %d tests failed", failed, ran)
	}
}
