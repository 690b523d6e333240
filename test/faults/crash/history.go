package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"tikv_fdw/test/faults/cluster"
)

// group is a set of keys always written together (mostly one key), so that
// all of them must show the same write.  It belongs to one writer at a time.
type group struct {
	keys    []string
	acked   uint64 // last write known to have succeeded
	tried   uint64 // last write sent; > acked: outcome unknown
	resting bool   // not written again before it was checked
}

// isDelete: some writes of single keys are deletions.
func (g *group) isDelete(seq uint64) bool {
	return seq == 0 || (len(g.keys) == 1 && seq%7 == 0)
}

// value of a write: its number, and enough bytes that TOAST gets some.
func value(seq uint64) []byte {
	size := 20
	if seq%50 == 49 {
		size = 5000
	}
	return []byte(strconv.FormatUint(seq, 10) + strings.Repeat(".", size))
}

// history is what the clients know, over all rounds.
type history struct {
	groups       [][]*group // by writer
	acknowledged uint64
	unknown      uint64
	timestamps   uint64
	lastTs       uint64 // newest timestamp handed out
	tsMutex      sync.Mutex
}

const (
	unaryWriters = 6
	batchWriters = 2
	sqlWriters   = 4
	keysEach     = 8
	batchSize    = 8
)

func newHistory() *history {
	h := &history{}
	for w := 0; w < unaryWriters+batchWriters+sqlWriters; w++ {
		var groups []*group
		for k := 0; k < keysEach; k++ {
			g := &group{}
			n := 1
			if w >= unaryWriters && w < unaryWriters+batchWriters {
				n = batchSize
			}
			for i := 0; i < n; i++ {
				g.keys = append(g.keys, fmt.Sprintf("crash/%02d/%02d/%02d", w, k, i))
			}
			groups = append(groups, g)
		}
		h.groups = append(h.groups, groups)
	}
	return h
}

// begin notes that the next write of a group is being sent.
func (h *history) begin(g *group) uint64 {
	g.tried++
	return g.tried
}

// end notes its outcome as the client saw it.
func (h *history) end(g *group, err error) {
	if err == nil {
		g.acked = g.tried
		atomic.AddUint64(&h.acknowledged, 1)
		return
	}
	g.resting = true
	atomic.AddUint64(&h.unknown, 1)
}

// timestamp notes one from the oracle; false if it did not grow.
func (h *history) timestamp(first, last uint64) error {
	h.tsMutex.Lock()
	defer h.tsMutex.Unlock()
	if first <= h.lastTs {
		return fmt.Errorf("timestamp %d after %d was handed out", first, h.lastTs)
	}
	h.lastTs = last
	h.timestamps++
	return nil
}

// check reads every key over gRPC and SQL and compares.  Afterwards nothing
// is unknown any more.
func (h *history) check(c *cluster.Cluster) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	client, err := dial(ctx, c.PDAddress())
	if err != nil {
		return 0, err
	}
	defer client.close()
	sql, err := pgx.Connect(ctx, c.DSN())
	if err != nil {
		return 0, err
	}
	defer sql.Close(ctx)

	if err := client.oneTimestamp(ctx, h); err != nil {
		return 0, err
	}
	seen := 0
	for _, groups := range h.groups {
		for _, g := range groups {
			if err := checkGroup(ctx, client, sql, g); err != nil {
				return seen, err
			}
			seen += len(g.keys)
		}
	}
	return seen, nil
}

// checkGroup compares one group; all its keys must show one and the same
// write: the last acknowledged, or the one whose outcome is unknown.
func checkGroup(ctx context.Context, client *client, sql *pgx.Conn, g *group) error {
	found := uint64(0)
	for i, key := range g.keys {
		got, present, err := client.get(ctx, key)
		if err != nil {
			return fmt.Errorf("get %s: %w", key, err)
		}
		if err := sameInSQL(ctx, sql, key, got, present); err != nil {
			return err
		}
		seq, err := explain(g, got, present)
		if err != nil {
			return fmt.Errorf("key %s: %w", key, err)
		}
		if i > 0 && seq != found {
			return fmt.Errorf("key %s shows write %d, %s of the same batch shows %d",
				key, seq, g.keys[0], found)
		}
		found = seq
	}
	g.acked, g.tried, g.resting = found, found, false
	return nil
}

// explain finds the write that a key shows among those it may show.
func explain(g *group, got []byte, present bool) (uint64, error) {
	for _, seq := range []uint64{g.tried, g.acked} {
		if g.isDelete(seq) != present && (!present || string(got) == string(value(seq))) {
			return seq, nil
		}
	}
	shown := "nothing"
	if present {
		shown = fmt.Sprintf("%.20q (%d bytes)", got, len(got))
	}
	return 0, fmt.Errorf("shows %s, but write %d was acknowledged (and %d tried)",
		shown, g.acked, g.tried)
}

func sameInSQL(ctx context.Context, sql *pgx.Conn, key string, want []byte, present bool) error {
	var got []byte

	err := sql.QueryRow(ctx, "SELECT tikv_get($1)", []byte(key)).Scan(&got)
	if err != nil {
		return fmt.Errorf("SQL get %s: %w", key, err)
	}
	if (got != nil) != present || string(got) != string(want) {
		return fmt.Errorf("key %s: gRPC and SQL disagree: %.20q, %.20q", key, want, got)
	}
	return nil
}
