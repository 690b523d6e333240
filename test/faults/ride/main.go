// Clients ride through faults: the programs `ride` of test/compat work, and
// each kind of fault that one node can have comes to who leads the region, to
// who leads PD, and to who leads neither.  During a fault and after it every
// client must get on, by repeating what failed and nothing else, and what it
// reads must be what it wrote.  How long each had to wait is told, how many
// calls it repeated, and how long it took until somebody else led.
//
// Between the nodes stands the proxy of package nemesis.  The clients reach a
// node that is cut off from the others: they meet a leader that is one no more,
// and a member of PD that knows no leader.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/rand"
	"os"
	"slices"
	"strings"
	"time"

	"tikv_fdw/test/faults/cluster"
	"tikv_fdw/test/faults/nemesis"
)

type options struct {
	programs   []string
	only       string
	failpoints bool
}

func main() {
	var o options
	flag.Func("ride", "name=command of a client; several times", func(text string) error {
		o.programs = append(o.programs, text)
		return nil
	})
	_ = flag.Int("rounds", 0, "not used: every kind of fault comes to every role once")
	dir := flag.String("dir", "", "folder of the cluster")
	basePort := flag.Int("base-port", 5000, "added to every port")
	script := flag.String("cluster", "scripts/cluster", "the script that starts clusters")
	seed := flag.Int64("seed", 1, "of the order in which processes are killed, and of how links are cut")
	flag.StringVar(&o.only, "only", "", "kinds of faults, separated by commas, instead of all")
	stepClock := flag.String("step-clock", "", "the library by which clocks step")
	flag.BoolVar(&o.failpoints, "failpoints", false, "the build has them: slow and full disks, clocks that step")
	flag.Parse()
	if *dir == "" || len(o.programs) == 0 {
		flag.Usage()
		os.Exit(2)
	}
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	c := &cluster.Cluster{Script: *script, Dir: *dir, BasePort: *basePort, Nodes: 3, StepClock: *stepClock}
	n, err := nemesis.Watching(c, rand.New(rand.NewSource(*seed)))
	if err != nil {
		log.Fatal(err)
	}
	c.Start()
	if err = errors.Join(n.WaitReplicas(), oneRegion(c)); err != nil {
		log.Fatal(err)
	}
	var all riders
	for _, program := range o.programs {
		name, command, _ := strings.Cut(program, "=")
		cl, err := start(name, command, n)
		if err != nil {
			log.Fatalf("%s: %v", name, err)
		}
		all = append(all, cl)
	}
	t := &tour{n: n, riders: all, hits: map[string]map[role]int{}}
	err = t.all(o)
	for _, cl := range all {
		if e := cl.stop(); err == nil {
			err = e
		}
	}
	fmt.Print(n.Report(), t.table())
	if err == nil {
		err = errors.Join(n.CheckProxy(), n.CheckInjected(), c.CheckLogs())
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("ok: %d clients rode through %d faults of %d kinds\n", len(all), t.faults, len(t.kinds))
}

// oneRegion: who leads the region of the probe leads all that the clients use.
func oneRegion(c *cluster.Cluster) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	router := nemesis.NewRouter(c)
	defer router.Close()
	if err := router.FindRegion(ctx, ""); err != nil {
		return err
	}
	if len(router.Region.StartKey)+len(router.Region.EndKey) > 0 {
		return fmt.Errorf("there are several regions: %v", router.Region)
	}
	return nil
}

// kindsOf the faults that are wanted.
func kindsOf(o options) (kinds []string, err error) {
	for _, kind := range nemesis.Harms(o.failpoints) {
		if o.only == "" || slices.Contains(strings.Split(o.only, ","), kind) {
			kinds = append(kinds, kind)
		}
	}
	if len(kinds) == 0 {
		err = fmt.Errorf("no fault %q; there are %q", o.only, nemesis.Harms(o.failpoints))
	}
	return kinds, err
}
