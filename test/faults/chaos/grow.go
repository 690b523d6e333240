package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/tikv/client-go/v2/util/codec"

	"tikv_fdw/test/faults/bank"
	"tikv_fdw/test/faults/cluster"
	"tikv_fdw/test/faults/nemesis"
)

// With -grow nothing is harmed: nodes join and leave under the clients of the
// chaos test, one node becoming two, three, five, and three again.  Those who
// leave are who leads PD and another one that leads regions, at once.  After each step
//   - all regions and PD have the voters and followers that so many nodes have,
//     on these nodes alone,
//   - each node acknowledges a write, and answers with all that was ever
//     acknowledged; who has a peer of a region has it in its tables (copies.go),
//   - each kind of client has had answers during the step, and none had to wait
//     for too long.
// Who has left is stopped, and what it had is removed, before the clients end.
// Then the tables of the three nodes hold the same.

// The first round of steps, and those that come after it with -rounds: then the
// cluster becomes one node again, and numbers and addresses are used again.
var (
	firstSteps = []int{2, 3, 5, 3}
	moreSteps  = []int{5, 3, 2, 1, 2, 3, 5, 3}
)

const mostNodes = 5

// Few clients, since what joins wants to get on as well.
const registerClients = 8

var growCrew = bank.Size{Transferrers: 2, Appenders: 1, Incrementers: 1, Readers: 1,
	SQLTransferrers: 1, SQLAppenders: 1, SQLReaders: 1}

// Bounds of regions, before anybody joins.  Registers, the bank, its counters and
// lists, and what is in the ledger are in several.
var splits = []string{"bank/0021", "bank/0042", "chaos000", "chaos002", "count/0002", "grow/000", "grow/001",
	"grow/002", "grow/003", "list/0000/0006"}

// growth of a cluster.
type growth struct {
	o       options
	cluster *cluster.Cluster
	nemesis *nemesis.Nemesis
	router  *nemesis.Router
	random  *rand.Rand

	history *history
	world   *bank.World
	crew    *bank.Crew
	clock   *clock
	ledger  *ledger
	pulse   *pulse
	told    []string
}

// grow is the test.
func grow(o options) error {
	c := &cluster.Cluster{Script: o.script, Dir: o.dir, BasePort: o.basePort, Nodes: mostNodes}
	c.Begin()
	o.clients = min(o.clients, registerClients)
	random := rand.New(rand.NewSource(o.seed))
	configureWorkers(c, random)
	g := &growth{o: o, cluster: c, nemesis: nemesis.Attending(c, random), router: nemesis.NewRouter(c), random: random,
		history: newHistory(o.registers, 0), world: bank.NewWorld(), ledger: newLedger(c)}
	c.Start()
	if err := g.prepare(); err != nil {
		return err
	}
	err := g.all()
	g.history.write(filepath.Join(o.out, "registers.txt.gz"))
	g.world.Write(filepath.Join(o.out, "bank.json"))
	fmt.Println(strings.Join(g.told, "\n"))
	if err != nil {
		fmt.Print("what the bank's clients were told:\n" + g.world.Errors(20))
	}
	return err
}

// prepare keys in all regions.
func (g *growth) prepare() error {
	if err := bank.WithClient(g.cluster, g.world.SetUp); err != nil {
		return fmt.Errorf("the bank cannot open: %w", err)
	}
	if err := g.ledger.load(); err != nil {
		return err
	}
	for _, bound := range splits {
		if err := g.nemesis.Order(0, "SELECT tikv_split($1)", codec.EncodeBytes(nil, []byte(bound))); err != nil {
			return fmt.Errorf("no region begins at %s: %w", bound, err)
		}
	}
	return g.awaitSpread()
}

func (g *growth) all() (err error) {
	g.clock = startClock(g.cluster)
	stopRegisters := startClients(g.cluster, g.history, g.o)
	if g.crew, err = bank.StartCrew(g.cluster, g.world, growCrew, g.o.seed); err != nil {
		return err
	}
	g.ledger.start(3, g.o.seed)
	g.pulse = startPulse(
		beat{"registers", func() int64 { return int64(g.history.answered()) }},
		beat{"transactions", g.world.Committed.Load},
		beat{"snapshots", g.world.Reads.Load},
		beat{"timestamps", g.clock.asked.Load},
		beat{"keys", g.ledger.raw.Load},
		beat{"pairs of keys", g.ledger.txn.Load})
	err = waitForProgress(g.history, g.world)
	for i := 0; err == nil && i < g.steps(); i++ {
		err = g.step(i)
	}
	g.pulse.end()
	stopRegisters()
	g.ledger.stop()
	return errors.Join(err, g.crew.Stop(), g.clock.stop(), g.strange(), g.check(), g.cluster.CheckLogs())
}

// -rounds 0 is the first alone.
func (g *growth) steps() int {
	return len(firstSteps) + max(0, g.o.rounds-1)*len(moreSteps)
}

func (g *growth) size(i int) int {
	if i < len(firstSteps) {
		return firstSteps[i]
	}
	return moreSteps[(i-len(firstSteps))%len(moreSteps)]
}

// step to another size, and all that must be so afterwards.
func (g *growth) step(i int) error {
	began, before, size := time.Now(), g.cluster.Here(), g.size(i)
	name := fmt.Sprintf("%d nodes become %d", len(before), size)
	log.Print(name)
	g.pulse.step(began)
	var err error
	if size > len(before) {
		err = g.cluster.Grow(size)
	} else {
		var gone string
		gone, err = g.shrink(len(before) - size)
		name += gone
	}
	joined := time.Since(began)
	if err == nil {
		err = g.awaitSpread()
	}
	spread := time.Since(began)
	if err == nil {
		err = errors.Join(g.nemesis.EachServes(), waitForProgress(g.history, g.world))
	}
	counts, dead := g.pulse.judge()
	if err == nil {
		err = errors.Join(dead, g.ledger.everywhere(), g.copies())
	}
	if err = errors.Join(err, g.strange()); err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	g.told = append(g.told, fmt.Sprintf("%s: done after %.1f s, spread after %.1f s; answered: %s", name,
		joined.Seconds(), spread.Seconds(), counts))
	log.Print(g.told[len(g.told)-1])
	return err
}

// shrink by so many nodes: who leads PD, then who leads most regions.
func (g *growth) shrink(by int) (text string, err error) {
	pd, regions, err := g.leaders()
	if err != nil {
		return "", err
	}
	nodes := g.cluster.Here()
	sort.Slice(nodes, func(i, j int) bool {
		return nodes[i] == pd || nodes[j] != pd && regions[nodes[i]] > regions[nodes[j]]
	})
	leave := nodes[:by]
	text = fmt.Sprintf(" (node %d, which leads PD and %d regions", leave[0], regions[leave[0]])
	for _, node := range leave[1:] {
		text += fmt.Sprintf(", node %d, which leads %d regions", node, regions[node])
	}
	text += ")"
	if by > 1 && !slices.ContainsFunc(leave, func(node int) bool { return regions[node] > 0 }) {
		return text, fmt.Errorf("nobody of those who are to leave leads a region: %v", regions)
	}
	g.random.Shuffle(by, func(i, j int) { leave[i], leave[j] = leave[j], leave[i] })
	log.Printf("the nodes %v leave%s", leave, text)
	return text, g.cluster.Leave(leave...)
}

// strange is an answer that may never be, or a value, or what a server logs.
func (g *growth) strange() error {
	return errors.Join(g.history.mayNotBe(), g.clock.error(), g.crew.Violation(), g.ledger.mayNotBe(), g.cluster.CheckLogs())
}

// check everything; nobody works.
func (g *growth) check() error {
	err := readAll(g.cluster, g.history)
	if err == nil {
		err = check(g.history, g.o.out)
	}
	if err == nil {
		err = missing(g.history.tally, wanted)
	}
	if err == nil {
		err = bank.WithClient(g.cluster, g.world.Check)
	}
	// Not of each step: one session may wait for others, and for locks of the dead, for all of it.
	if err == nil {
		err = g.world.Worked()
	}
	if err == nil {
		err = errors.Join(g.ledger.everywhere(), g.copies())
	}
	if err == nil {
		err = g.cluster.AwaitSameRows(sameWithin)
	}
	if err == nil {
		err = bank.CheckTables(context.Background(), g.cluster)
	}
	if err != nil {
		return err
	}
	g.told = append(g.told, fmt.Sprintf("%d operations on %d registers: linearizable; %s", g.history.answered(), len(g.history.keys),
		strings.TrimSpace(tallyText(g.history.tally))))
	g.told = append(g.told, fmt.Sprintf("%d transactions of the bank (%d of SQL), %d snapshots: totals constant, nothing lost, torn or stale; "+
		"timestamps %d times, never backwards, none of them twice", g.world.Committed.Load(), g.world.BySQL.Load(), g.world.Reads.Load(), g.clock.asked.Load()))
	g.told = append(g.told, fmt.Sprintf("%d keys and %d pairs of keys acknowledged, beside %d from before: each node that stays has them",
		g.ledger.raw.Load(), g.ledger.txn.Load(), prefixes*loadEach))
	return g.ledger.forget()
}
