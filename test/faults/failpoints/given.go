package main

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/pingcap/kvproto/pkg/pdpb"
)

// What PD gives out, whoever leads it and whatever crashes: nobody gets an id
// or a timestamp that another one has got.

// watchTimestamps asks for them all the time: each that is asked for after
// another was given out is greater.  Several watch.
func (w *world) watchTimestamps() {
	for {
		time.Sleep(20 * time.Millisecond)
		before := w.lastTS.Load()
		last, err := w.takeTimestamps(takenAtOnce)
		if err != nil {
			continue
		}
		if err = w.noteTimestamps(before, last, takenAtOnce); err != nil {
			log.Fatal(err)
		}
	}
}

// takenAtOnce as one answer, so that ranges are compared.
const takenAtOnce = 3

func (w *world) takeTimestamps(n uint32) (last uint64, err error) {
	err = w.askPD(func(ctx context.Context, pd pdpb.PDClient) error {
		stream, err := pd.Tso(ctx)
		if err != nil {
			return err
		}
		if err = stream.Send(&pdpb.TsoRequest{Header: w.header(), Count: n}); err != nil {
			return err
		}
		reply, err := stream.Recv()
		if err = failed(reply.GetHeader(), err); err != nil {
			return err
		}
		_ = stream.CloseSend()
		if reply.Count != n {
			return fmt.Errorf("%d timestamps were given, not %d", reply.Count, n)
		}
		last = uint64(reply.Timestamp.Physical)<<18 | uint64(reply.Timestamp.Logical)
		return nil
	})
	return last, err
}

// noteTimestamps up to the last, which were asked for after another was there.
func (w *world) noteTimestamps(before, last, n uint64) error {
	if last-n+1 <= before {
		return fmt.Errorf("%d timestamps up to %d came after %d", n, last, before)
	}
	if err := w.ts.Add(last-n+1, last); err != nil {
		return fmt.Errorf("timestamps: %w", err)
	}
	for seen := w.lastTS.Load(); seen < last && !w.lastTS.CompareAndSwap(seen, last); seen = w.lastTS.Load() {
	}
	w.nTS.Add(n)
	return nil
}

// takeIDs is a drive.
func (t *trial) takeIDs() error {
	return t.w.takeID()
}

// idsEach are taken before a crash and after it, whatever it is: whoever leads PD
// then begins behind all that the one before has given out.
const idsEach = 100

func (w *world) takeSomeIDs() error {
	for i := 0; i < idsEach; i++ {
		if err := wait(recoverPatience, "an id", w.takeID); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) takeID() error {
	var id uint64
	err := w.askPD(func(ctx context.Context, pd pdpb.PDClient) error {
		reply, err := pd.AllocID(ctx, &pdpb.AllocIDRequest{Header: w.header()})
		id = reply.GetId()
		return failed(reply.GetHeader(), err)
	})
	if err != nil {
		return err
	}
	if err = w.noteID(id); err != nil {
		log.Fatal(err)
	}
	return nil
}

func (w *world) noteID(id uint64) error {
	if err := w.ids.Add(id, id); err != nil {
		return fmt.Errorf("ids: %w", err)
	}
	w.nIDs.Add(1)
	return nil
}
