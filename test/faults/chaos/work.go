package main

import (
	"context"
	"fmt"
	"log"
	"math/rand"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"tikv_fdw/test/faults/bank"
	"tikv_fdw/test/faults/cluster"
)

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
				use(ctx, c, h, id, random, o.ttl)
			}
		}()
	}
	return func() {
		cancel()
		done.Wait()
	}
}

// One register of a place is busier than the others: what many do to one tells
// more than what they do to several.
func chooseRegister(random *rand.Rand) int {
	if random.Intn(4) > 0 {
		return 0
	}
	return random.Intn(perPlace)
}

// choose an operation; most read or swap, since those tell something.  Of the
// puts few have a time to live: until it ends there are two things that may be.
func choose(h *history, random *rand.Rand, prefix string, seen map[string]string, ttl bool) input {
	in := input{key: keyOf(prefix, chooseRegister(random)), kind: get}
	switch dice := random.Intn(20); {
	case dice < 10:
	case dice < 14:
		in.kind, in.value = put, h.newValue()
		if ttl && random.Intn(8) == 0 {
			in.ttl = ttlSeconds
		}
	case dice < 15:
		in.kind = remove
	case dice < 16:
		in.kind, in.key = removeRange, prefix
	default:
		in.kind, in.value, in.expected = swap, h.newValue(), seen[in.key]
	}
	return in
}

// chooseSQL reads, or writes now and then.
func chooseSQL(h *history, random *rand.Rand, prefix string) input {
	in := input{key: keyOf(prefix, chooseRegister(random)), kind: get}
	switch random.Intn(16) {
	case 0:
		in.kind, in.key = removeRange, prefix
	case 1, 2, 3:
		in.kind, in.value = put, h.newValue()
	}
	return in
}

func use(ctx context.Context, c *cluster.Cluster, h *history, id int, random *rand.Rand, ttl bool) {
	cli := newClient(c, h.note)
	cli.follower = id%4 == 2
	defer cli.close()
	seen := map[string]string{}
	for ctx.Err() == nil {
		number := random.Intn(len(h.places))
		prefix, call := h.begin(number)
		in := choose(h, random, prefix, seen, ttl)
		if cli.follower && in.kind == get {
			in.by = toAnyPeer
		}
		out, err := cli.do(in)
		switch {
		case err == nil && (in.kind == get || in.kind == swap):
			seen[in.key] = out.value
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
		node, asked := c.Some(random), time.Now()
		conn, err := pgx.Connect(limited, c.DSNOf(node))
		if err == nil {
			sessionOf(ctx, c, node, conn, h, id, random)
			conn.Close(limited)
		} else {
			h.note(c.ErrorOfSQL(node, asked, err))
		}
		cancel()
		time.Sleep(retryPause)
	}
}

// sessionOf works until the connection breaks or it has done enough.
func sessionOf(ctx context.Context, c *cluster.Cluster, node int, conn *pgx.Conn, h *history, id int, random *rand.Rand) {
	for i := 0; i < 100 && ctx.Err() == nil; i++ {
		number := random.Intn(len(h.places))
		prefix, call := h.begin(number)
		in := chooseSQL(h, random, prefix)
		in.by = bySQL
		limited, cancel := context.WithTimeout(context.Background(), opTimeout)
		asked := time.Now()
		out, err := doSQL(limited, conn, in)
		cancel()
		// Of a range some regions may have done their part.
		if in.kind == removeRange || !cluster.NothingDone(err) {
			h.end(id, number, in, call, out)
		} else {
			h.nothing(in)
		}
		if err != nil {
			h.note(c.ErrorOfSQL(node, asked, err))
			return
		}
		time.Sleep(time.Duration(random.Intn(4)) * time.Millisecond)
	}
}

// doSQL carries out one operation; without an answer its outcome is unknown.
func doSQL(ctx context.Context, conn *pgx.Conn, in input) (out output, err error) {
	var value []byte
	switch in.kind {
	case get:
		err = conn.QueryRow(ctx, "SELECT tikv_get($1)", []byte(in.key)).Scan(&value)
		out.value = string(value)
	case removeRange:
		_, err = conn.Exec(ctx, "SELECT tikv_delete_range($1, $2)", []byte(in.key), []byte(endOf(in.key)))
	default:
		_, err = conn.Exec(ctx, "SELECT tikv_put($1, $2)", []byte(in.key), []byte(in.value))
	}
	out.unknown = err != nil
	return out, err
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
