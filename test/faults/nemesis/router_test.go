package nemesis

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"google.golang.org/grpc"

	"tikv_fdw/test/faults/cluster"
)

// member of PD that knows each store's address.
type member struct{ pdpb.UnimplementedPDServer }

const storeAddress = "127.0.0.1:1"

func (*member) GetStore(context.Context, *pdpb.GetStoreRequest) (*pdpb.GetStoreResponse, error) {
	return &pdpb.GetStoreResponse{Header: &pdpb.ResponseHeader{}, Store: &metapb.Store{Address: storeAddress}}, nil
}

// oneStill is a router of three members, the first of which takes connections
// and says nothing, as a process that is stopped.
func oneStill(t *testing.T) *Router {
	for base := 1000; base < 9000; base += 170 {
		c := &cluster.Cluster{Nodes: 3, BasePort: base}
		var all []net.Listener
		for node := 0; node < c.Nodes; node++ {
			if l, err := net.Listen("tcp", c.PDAddressOf(node)); err == nil {
				t.Cleanup(func() { l.Close() })
				all = append(all, l)
			}
		}
		if len(all) < c.Nodes {
			continue
		}
		for _, l := range all[1:] {
			s := grpc.NewServer()
			pdpb.RegisterPDServer(s, &member{})
			t.Cleanup(s.Stop)
			go func() { _ = s.Serve(l) }()
		}
		r := NewRouter(c)
		t.Cleanup(r.Close)
		return r
	}
	t.Fatal("there are no ports to listen at")
	return nil
}

// Who has less time than it takes to give up a member that stands still gets on
// all the same when it asks again, wherever it begins.
func TestAskedAgainOneStandsStill(t *testing.T) {
	for first := int64(0); first < 3; first++ {
		r := oneStill(t)
		r.turn.Store(first)
		var address string
		var err error
		for try := 0; try < 10 && address == ""; try++ {
			ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
			address, err = r.Address(ctx, 1)
			cancel()
		}
		if address != storeAddress {
			t.Fatalf("beginning behind member %d: %q, %v", first, address, err)
		}
	}
}
