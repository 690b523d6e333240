package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pingcap/kvproto/pkg/pdpb"

	"tikv_fdw/test/faults/cluster"
	"tikv_fdw/test/faults/nemesis"
	"tikv_fdw/test/faults/once"
)

// clock asks all members of PD for timestamps, whoever leads them: one that is
// asked for after another was answered is greater (tikv/pd#4884, #8836, #9157),
// and nobody gets what another one has got.
type clock struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup
	last   atomic.Uint64 // the greatest that was answered
	asked  atomic.Int64
	given  once.Given

	mutex sync.Mutex
	wrong error
}

func startClock(c *cluster.Cluster) *clock {
	ctx, cancel := context.WithCancel(context.Background())
	k := &clock{cancel: cancel}
	for node := 0; node < max(1, c.Nodes); node++ {
		for i := 0; i < 2; i++ {
			k.wait.Add(1)
			go func() {
				defer k.wait.Done()
				router := nemesis.NewRouter(c)
				defer router.Close()
				for ctx.Err() == nil {
					k.stream(ctx, router, c.PDAddressOf(node), uint32(1+i*9))
					time.Sleep(retryPause)
				}
			}()
		}
	}
	return k
}

// stream asks one member until it has no answer.
func (k *clock) stream(parent context.Context, router *nemesis.Router, address string, count uint32) {
	ctx, cancel := context.WithTimeout(parent, 10*time.Second)
	defer cancel()
	conn, err := router.Conn(address)
	if err != nil {
		return
	}
	header, err := router.Header(ctx)
	if err != nil {
		k.judge(parent, address, err)
		return
	}
	stream, err := pdpb.NewPDClient(conn).Tso(ctx)
	for err == nil {
		before := k.last.Load()
		// What ended the stream is what is received then.
		if err = stream.Send(&pdpb.TsoRequest{Header: header, Count: count}); err != nil && err != io.EOF {
			break
		}
		var r *pdpb.TsoResponse
		if r, err = stream.Recv(); err == io.EOF {
			return
		}
		if err = nemesis.Failed(r.GetHeader(), err); err != nil {
			break
		}
		if r.GetTimestamp() == nil {
			return
		}
		k.note(address, before, uint64(r.Timestamp.Physical)<<18+uint64(r.Timestamp.Logical), uint64(r.Count))
		time.Sleep(2 * time.Millisecond)
	}
	k.judge(parent, address, err)
}

// judge an answer that is no timestamp.
func (k *clock) judge(parent context.Context, address string, err error) {
	if parent.Err() != nil {
		return // it was given up here
	}
	if err = nemesis.ErrorOfPD(err); err == nil {
		return
	}
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if k.wrong == nil {
		k.wrong = fmt.Errorf("%s, asked for a timestamp: %w", address, err)
	}
}

// note the last of so many timestamps in a row.
func (k *clock) note(address string, before, ts, count uint64) {
	k.asked.Add(1)
	var err error
	if ts-count+1 <= before {
		err = fmt.Errorf("%d was given", before)
	}
	if err = errors.Join(err, k.given.Add(ts-count+1, ts)); err != nil {
		k.mutex.Lock()
		if k.wrong == nil {
			k.wrong = fmt.Errorf("%s gives %d timestamps up to %d: %w", address, count, ts, err)
		}
		k.mutex.Unlock()
	}
	for seen := k.last.Load(); seen < ts && !k.last.CompareAndSwap(seen, ts); seen = k.last.Load() {
	}
}

func (k *clock) stop() error {
	k.cancel()
	k.wait.Wait()
	return k.error()
}

func (k *clock) error() error {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	return k.wrong
}
