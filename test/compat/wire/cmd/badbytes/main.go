// badbytes sends both ports what no client would: random bytes, HTTP/1.1,
// broken HTTP/2, broken gRPC framing, and random messages to every method.
// The node has to go on: streams opened before everything else must outlive
// it, and new connections must be served after each part.
//
// It writes and deletes keys below compat/ only, and no request that could
// change the cluster carries the cluster's id.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand"
	"time"

	"github.com/pingcap/kvproto/pkg/pdpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"

	"tikv_fdw/test/compat/wire/internal/node"
)

type tester struct {
	*node.Node
	random *rand.Rand
	rounds int
}

func main() {
	seed := flag.Int64("seed", time.Now().UnixNano(), "where the random bytes start")
	rounds := flag.Int("rounds", 40, "how often each kind of random input is tried")
	flag.Parse()

	report := node.NewReport("badbytes")
	n, err := node.Connect(context.Background())
	report.Fatal(err)
	t := &tester{n, rand.New(rand.NewSource(*seed)), *rounds}
	canary, err := startCanary(n)
	report.Fatal(err)

	for _, part := range []struct {
		name string
		run  func() error
	}{
		{"random bytes", t.randomBytes},
		{"HTTP/1.1", t.plainHTTP},
		{"broken HTTP/2", t.brokenFrames},
		{"cut conversations", t.cutConversations},
		{"broken gRPC framing", t.brokenMessages},
		{"random messages", t.randomMessages},
		{"compressed bombs", t.bombs},
	} {
		name := fmt.Sprintf("%s (seed %d)", part.name, *seed)
		report.Check(name, part.run())
		report.Check(name+": the node still answers", n.Alive(context.Background()))
		report.Check(name+": older streams live", canary.sings())
	}
	report.Exit()
}

// A canary holds a stream to each port. A worker that crashed and came back
// would have ended them.
type canary struct {
	*node.Node
	batch tikvpb.Tikv_BatchCommandsClient
	tso   pdpb.PD_TsoClient
	id    uint64
}

func startCanary(n *node.Node) (*canary, error) {
	batch, err := n.KV.BatchCommands(context.Background())
	if err != nil {
		return nil, err
	}
	tso, err := n.PD.Tso(context.Background())
	if err != nil {
		return nil, err
	}
	c := &canary{n, batch, tso, 0}
	return c, c.sings()
}

// sings asks both streams once more.
func (c *canary) sings() error {
	c.id++
	done := make(chan error, 1)
	go func() { done <- errors.Join(c.askStore(), c.askPD()) }()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		return fmt.Errorf("no answer within 20 s")
	}
}

func (c *canary) askStore() error {
	err := c.batch.Send(&tikvpb.BatchCommandsRequest{
		Requests: []*tikvpb.BatchCommandsRequest_Request{{Cmd: &tikvpb.BatchCommandsRequest_Request_Empty{
			Empty: &tikvpb.BatchCommandsEmptyRequest{TestId: c.id}}}},
		RequestIds: []uint64{c.id}})
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	for {
		got, err := c.batch.Recv()
		if err != nil {
			return fmt.Errorf("store: %w", err)
		}
		for _, one := range got.Responses {
			if one.GetEmpty().GetTestId() == c.id {
				return nil
			}
		}
	}
}

func (c *canary) askPD() error {
	if err := c.tso.Send(&pdpb.TsoRequest{Header: c.Header(), Count: 1}); err != nil {
		return fmt.Errorf("PD: %w", err)
	}
	_, err := c.tso.Recv()
	return err
}
