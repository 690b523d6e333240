package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"tikv_fdw/test/faults/cluster"
)

// A request that hangs longer than this has an unknown outcome.
const requestTimeout = 10 * time.Second

// How long the clients may take to notice a crash.
const stopTimeout = 30 * time.Second

// write sends write number seq of a group.
type write func(ctx context.Context, g *group, seq uint64) error

// writers are the clients of one round.
type writers struct {
	done    sync.WaitGroup
	clients []*client
	tsError error
}

// startWriters connects and starts all clients; they write until their
// groups all rest, which a crash brings about, or until ctx ends.
func startWriters(ctx context.Context, c *cluster.Cluster, h *history, seed int64) (*writers, error) {
	w := &writers{}
	for i, groups := range h.groups {
		send, err := w.connect(ctx, c, i)
		if err != nil {
			return nil, err
		}
		w.done.Add(1)
		go w.run(ctx, h, groups, send, rand.New(rand.NewSource(seed+int64(i))))
	}
	client, err := dial(ctx, c.PDAddress())
	if err != nil {
		return nil, err
	}
	w.clients = append(w.clients, client)
	w.done.Add(1)
	go func() {
		defer w.done.Done()
		w.tsError = client.timestamps(ctx, h, 1<<30)
	}()
	return w, nil
}

// connect makes the sender of writer i.
func (w *writers) connect(ctx context.Context, c *cluster.Cluster, i int) (write, error) {
	if i >= unaryWriters+batchWriters {
		return connectSQL(ctx, c)
	}
	client, err := dial(ctx, c.PDAddress())
	if err != nil {
		return nil, err
	}
	w.clients = append(w.clients, client)
	return func(ctx context.Context, g *group, seq uint64) error {
		switch {
		case len(g.keys) > 1:
			return client.batchPut(ctx, g.keys, value(seq))
		case g.isDelete(seq):
			return client.remove(ctx, g.keys[0])
		default:
			return client.put(ctx, g.keys[0], value(seq))
		}
	}, nil
}

func connectSQL(ctx context.Context, c *cluster.Cluster) (write, error) {
	sql, err := pgx.Connect(ctx, c.DSN())
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, g *group, seq uint64) error {
		var err error
		if g.isDelete(seq) {
			_, err = sql.Exec(ctx, "SELECT tikv_delete($1)", []byte(g.keys[0]))
		} else {
			_, err = sql.Exec(ctx, "SELECT tikv_put($1, $2)", []byte(g.keys[0]), value(seq))
		}
		return err
	}, nil
}

// run writes to the groups in random order; a group whose last outcome is
// unknown rests.
func (w *writers) run(ctx context.Context, h *history, groups []*group, send write, random *rand.Rand) {
	defer w.done.Done()
	for ctx.Err() == nil {
		awake := make([]*group, 0, len(groups))
		for _, g := range groups {
			if !g.resting {
				awake = append(awake, g)
			}
		}
		if len(awake) == 0 {
			return
		}
		g := awake[random.Intn(len(awake))]
		seq := h.begin(g)
		limited, cancel := context.WithTimeout(context.Background(), requestTimeout)
		h.end(g, send(limited, g, seq))
		cancel()
	}
}

// stop ends the clients after a crash.
func (w *writers) stop(cancel context.CancelFunc) error {
	cancel()
	stopped := make(chan struct{})
	go func() {
		w.done.Wait()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(stopTimeout):
		return errors.New("clients hang after the crash")
	}
	for _, client := range w.clients {
		client.close()
	}
	if w.tsError != nil {
		return fmt.Errorf("timestamps: %w", w.tsError)
	}
	return nil
}
