package main

import (
	"context"
	"strings"

	"github.com/pingcap/kvproto/pkg/tikvpb"

	"tikv_fdw/test/compat/wire/internal/node"
)

// So many commands at once that it takes longer than a millisecond to read them,
// which comes before any is done.
const lateCommands = 20000

// checkTimeLimit sends commands that may take a millisecond each, far more than
// can be done in one, in one message: from then on it counts. Each is done in time,
// refused since too many wait, or refused as too late, in both spellings that
// clients look for, and some are (txn-semantics 5.2 row 4).
func (t *tester) checkTimeLimit() {
	for _, cmd := range t.commands {
		if cmd.batch == nil {
			continue
		}
		late, err := t.sendLate(cmd)
		if err == nil {
			err = node.Expect(late > 0, "all %d in a millisecond", lateCommands)
		}
		t.Check("time limit, "+cmd.name+" in a batch", err)
	}
}

// sendLate tells how many were too late.
func (t *tester) sendLate(cmd command) (late int, err error) {
	ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
	defer cancel()
	stream, err := t.KV.BatchCommands(ctx)
	if err != nil {
		return 0, err
	}
	request := &tikvpb.BatchCommandsRequest{}
	c := t.Context()
	c.MaxExecutionDurationMs = 1
	for id := uint64(0); id < lateCommands; id++ {
		request.Requests = append(request.Requests, cmd.batch(c, []byte(t.prefix+"late"), []byte("v")))
		request.RequestIds = append(request.RequestIds, id)
	}
	if err = stream.Send(request); err != nil {
		return 0, err
	}
	for answered := 0; answered < lateCommands; {
		got, err := stream.Recv()
		if err != nil {
			return late, err
		}
		answered += len(got.Responses)
		for _, response := range got.Responses {
			a, present := batchAnswer(response)
			if !present {
				return late, node.Expect(false, "got %v", response)
			}
			if a.region == nil && a.text == "" {
				continue
			}
			if a.region.GetServerIsBusy() == nil || a.text != "" {
				return late, node.Expect(false, "got %v %q", a.region, a.text)
			}
			if strings.Contains(a.region.Message, "Deadline is exceeded") &&
				strings.Contains(a.region.ServerIsBusy.Reason, "deadline is exceeded") {
				late++
			}
		}
	}
	return late, nil
}
