// The six workloads of YCSB by go-ycsb's own code, over transactions or raw
// keys, for some seconds; prints one line as rpc_load does.
//
//	ycsb -pd 127.0.0.1:2379 -workload a -records 10000 -threads 16 -seconds 5
//	ycsb -pd 127.0.0.1:2379 -load -records 10000 -threads 16
//	ycsb -db pg -workload a ...       the server of PGHOST, PGPORT and so on
//
// go-ycsb's program brings the drivers of two dozen databases along, so only
// its packages are used.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/magiconair/properties"
	_ "github.com/pingcap/go-ycsb/db/pg"
	_ "github.com/pingcap/go-ycsb/db/tikv"
	"github.com/pingcap/go-ycsb/pkg/client"
	"github.com/pingcap/go-ycsb/pkg/measurement"
	_ "github.com/pingcap/go-ycsb/pkg/workload"
	"github.com/pingcap/go-ycsb/pkg/ycsb"
	tikverr "github.com/tikv/client-go/v2/error"
)

// Shares of reads, updates, inserts, scans and read-modify-writes, and how
// keys are chosen (YCSB's files workloads/workloada to workloadf).
var mixes = map[string]struct {
	read, update, insert, scan, modify, keys string
}{
	"a": {"0.5", "0.5", "0", "0", "0", "zipfian"},
	"b": {"0.95", "0.05", "0", "0", "0", "zipfian"},
	"c": {"1", "0", "0", "0", "0", "zipfian"},
	"d": {"0.95", "0", "0.05", "0", "0", "latest"},
	"e": {"0", "0", "0.05", "0.95", "0", "zipfian"},
	"f": {"0.5", "0", "0", "0", "0.5", "zipfian"},
}

// counted measures what it passes on.
type counted struct {
	ycsb.Workload
	mu        sync.Mutex
	latencies []time.Duration
	conflicts int
	failed    error
}

func (c *counted) note(began time.Time, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil:
		c.latencies = append(c.latencies, time.Since(began))
	case tikverr.IsErrWriteConflict(err):
		c.conflicts++ // optimistic: the caller would try again
	default:
		c.failed = err
	}
}

// A transaction that has begun is brought to its end, or its locks would
// stand in the way of the next load.
func (c *counted) DoTransaction(ctx context.Context, db ycsb.DB) error {
	began := time.Now()
	err := c.Workload.DoTransaction(context.WithoutCancel(ctx), db)
	c.note(began, err)
	return err
}

func (c *counted) DoInsert(ctx context.Context, db ycsb.DB) error {
	began := time.Now()
	err := c.Workload.DoInsert(ctx, db)
	c.note(began, err)
	return err
}

func (c *counted) print(name string, took time.Duration) {
	if len(c.latencies) == 0 {
		log.Fatal("nothing was done")
	}
	slices.Sort(c.latencies)
	at := func(share float64) int64 {
		return c.latencies[int(share*float64(len(c.latencies)-1))].Microseconds()
	}
	fmt.Printf("mode=ycsb_%s ops=%d ops_per_s=%.0f p50_us=%d p99_us=%d conflicts=%d errors=0\n",
		name, len(c.latencies), float64(len(c.latencies))/took.Seconds(),
		at(0.5), at(0.99), c.conflicts)
}

func main() {
	pd := flag.String("pd", "127.0.0.1:2379", "address of PD")
	name := flag.String("workload", "a", "a to f")
	load := flag.Bool("load", false, "write the records")
	records := flag.Int("records", 10000, "number of records")
	threads := flag.Int("threads", 16, "clients at once")
	seconds := flag.Int("seconds", 5, "how long")
	kind := flag.String("type", "txn", "txn or raw")
	driver := flag.String("db", "tikv", "tikv or pg")
	flag.Parse()

	mix, known := mixes[*name]
	if !known {
		log.Fatalf("no workload %q", *name)
	}
	p := properties.LoadMap(map[string]string{
		"tikv.pd": *pd, "tikv.type": *kind, "tikv.conncount": "4",
		"pg.host": os.Getenv("PGHOST"), "pg.port": os.Getenv("PGPORT"),
		"pg.user": os.Getenv("PGUSER"), "pg.db": os.Getenv("PGDATABASE"),
		"recordcount":    strconv.Itoa(*records),
		"operationcount": strconv.Itoa(1 << 40),
		"threadcount":    strconv.Itoa(*threads),
		"dotransactions": strconv.FormatBool(!*load),
		"fieldcount":     "1", "fieldlength": "100", "silence": "true",
		"measurementtype": "histogram", "insertorder": "hashed",
		"readproportion": mix.read, "updateproportion": mix.update,
		"insertproportion": mix.insert, "scanproportion": mix.scan,
		"readmodifywriteproportion": mix.modify,
		"requestdistribution":       mix.keys, "maxscanlength": "100",
	})
	measurement.InitMeasure(p)
	core, err := ycsb.GetWorkloadCreator("core").Create(p)
	if err != nil {
		log.Fatal(err)
	}
	db, err := ycsb.GetDBCreator(*driver).Create(p)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	counted := &counted{Workload: core}
	ctx := context.Background()
	if !*load {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, time.Duration(*seconds)*time.Second)
		defer stop()
	}
	began := time.Now()
	client.NewClient(p, counted, db).Run(ctx)
	if counted.failed != nil {
		fmt.Fprintln(os.Stderr, "an operation failed:", counted.failed)
		os.Exit(1)
	}
	counted.print(*name, time.Since(began))
}
