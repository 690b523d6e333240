package main

import (
	"fmt"
	"io"
	"time"

	"github.com/pingcap/kvproto/pkg/pdpb"
	"google.golang.org/grpc/codes"

	"tikv_fdw/test/compat/wire/internal/node"
)

const logicalBits = 18

// batch is the timestamps of one answer, from first to last.
type batch struct{ first, last uint64 }

func (t *tester) tsoBatch(request *pdpb.TsoRequest, got *pdpb.TsoResponse, err error) (batch, error) {
	err = t.well(got.GetHeader(), err)
	stamp, count := got.GetTimestamp(), int64(request.Count)
	if err == nil && (stamp == nil || got.Count != request.Count) {
		err = fmt.Errorf("asked for %d, got %v", request.Count, got)
	}
	if err == nil && (stamp.Logical >= 1<<logicalBits || stamp.Logical < count-1 || stamp.SuffixBits != 0) {
		err = fmt.Errorf("no room for %d in %v", count, stamp)
	}
	if off := time.Since(time.UnixMilli(stamp.GetPhysical())); err == nil && (off > time.Minute || off < -time.Minute) {
		err = fmt.Errorf("%v away from the clock", off)
	}
	last := uint64(stamp.GetPhysical())<<logicalBits + uint64(stamp.GetLogical())
	return batch{last - uint64(count) + 1, last}, err
}

func (t *tester) checkTso() {
	stream, err := t.PD.Tso(t.ctx)
	t.Check("Tso", err)
	if err != nil {
		return
	}
	before := batch{}
	var counts []uint32
	for i := 0; i < 40; i++ {
		counts = append(counts, 1, 2, 64, 10000, 100000, 262143)
	}
	for _, count := range counts {
		request := &pdpb.TsoRequest{Header: t.Header(), Count: count}
		if err = stream.Send(request); err != nil {
			break
		}
		got, err1 := stream.Recv()
		var now batch
		now, err = t.tsoBatch(request, got, err1)
		err = first(err, node.Expect(now.first > before.last, "batch %v of %d begins before the end of %v", now, count, before))
		if err != nil {
			break
		}
		before = now
	}
	t.Check("batches of timestamps", err)

	t.checkTsoEnds(before)
	t.checkTsoErrors()
	min, err := t.PD.GetMinTS(t.ctx, &pdpb.GetMinTSRequest{Header: t.Header()})
	t.Check("GetMinTS", first(t.well(min.GetHeader(), err), node.Expect(min.GetTimestamp().GetPhysical() > 0, "got %v", min)))
}

// checkTsoEnds: one request as if the call were unary, and several requests
// that are still waiting at the half-close. Both end well.
func (t *tester) checkTsoEnds(before batch) {
	for _, count := range []int{1, 5, 200} {
		err := func() error {
			stream, err := t.PD.Tso(t.ctx)
			if err != nil {
				return err
			}
			request := &pdpb.TsoRequest{Header: t.Header(), Count: 3}
			for i := 0; i < count; i++ {
				if err := stream.Send(request); err != nil {
					return err
				}
			}
			if err := stream.CloseSend(); err != nil {
				return err
			}
			for i := 0; i < count; i++ {
				got, err := stream.Recv()
				now, err := t.tsoBatch(request, got, err)
				if err != nil {
					return err
				}
				if now.first <= before.last {
					return fmt.Errorf("batch %v after %v", now, before)
				}
				before = now
			}
			_, err = stream.Recv()
			return node.Expect(err == io.EOF, "after the last answer: %v", err)
		}()
		t.Check(fmt.Sprintf("Tso with %d requests and an end", count), err)
	}
	// Streams that are given up without reading on.
	for i := 0; i < 50; i++ {
		stream, err := t.PD.Tso(t.ctx)
		if err == nil {
			err = stream.Send(&pdpb.TsoRequest{Header: t.Header(), Count: 1})
		}
		if err == nil {
			_, err = stream.Recv()
		}
		t.Check("Tso in a stream of its own", err)
	}
}

// checkTsoErrors: wrong requests end the stream with a status.
func (t *tester) checkTsoErrors() {
	for what, request := range map[string]*pdpb.TsoRequest{
		"no timestamps":   {Header: t.Header(), Count: 0},
		"a wrong cluster": {Header: &pdpb.RequestHeader{ClusterId: t.ClusterID + 1}, Count: 1},
	} {
		stream, err := t.PD.Tso(t.ctx)
		if err == nil {
			err = stream.Send(request)
		}
		var got *pdpb.TsoResponse
		if err == nil {
			got, err = stream.Recv()
		}
		t.Check("Tso for "+what, node.Expect(err != nil && err != io.EOF, "got %v", got))
		if request.Count > 0 {
			t.Check("Tso status for "+what, node.WantStatus(err, codes.FailedPrecondition, "mismatch cluster id"))
		}
	}
}
