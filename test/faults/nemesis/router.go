package nemesis

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"tikv_fdw/test/faults/cluster"
)

// Router finds out from PD who has a key; it asks any member that answers, by
// its own port, so that nothing between the instances is in the way.
type Router struct {
	Region *metapb.Region // nil: to be asked for
	Leader *metapb.Peer

	Pending int // peers of the region that lack data, as PD was told

	cluster   *cluster.Cluster
	mutex     sync.Mutex
	conns     map[string]*grpc.ClientConn
	stores    map[uint64]string // addresses
	clusterID uint64
	turn      atomic.Int64
}

// NewRouter connects when it is asked something.
func NewRouter(c *cluster.Cluster) *Router {
	return &Router{cluster: c, conns: map[string]*grpc.ClientConn{}, stores: map[uint64]string{}}
}

// Conn is the connection to an address; there is one for all that ask.
func (r *Router) Conn(address string) (*grpc.ClientConn, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if conn := r.conns[address]; conn != nil {
		return conn, nil
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableRetry())
	if err == nil {
		r.conns[address] = conn
	}
	return conn, err
}

// Close ends all connections.
func (r *Router) Close() {
	for _, conn := range r.conns {
		conn.Close()
	}
}

// Has says whether the key is in the region that was asked for last.
func (r *Router) Has(key string) bool {
	return r.Region != nil && key >= string(r.Region.StartKey) &&
		(len(r.Region.EndKey) == 0 || key < string(r.Region.EndKey))
}

// askPD calls `ask` with one member after the other until one answers.  Whom there
// was no time for is not passed over: the next call begins there.  Were it counted,
// callers with less time than a member that stands still takes would meet that
// one first each time, and never another.
func (r *Router) askPD(ctx context.Context, ask func(ctx context.Context, pd pdpb.PDClient) error) error {
	var last error
	nodes := r.cluster.Here()
	for i := 0; i < len(nodes) && ctx.Err() == nil; i++ {
		turn := int(r.turn.Add(1))
		conn, err := r.Conn(r.cluster.PDAddressOf(nodes[turn%len(nodes)]))
		if err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, time.Second)
		last = ask(limited, pdpb.NewPDClient(conn))
		cancel()
		if last == nil {
			return nil
		}
	}
	if last == nil {
		return ctx.Err() // nobody was asked
	}
	return last
}

func (r *Router) header() *pdpb.RequestHeader {
	return &pdpb.RequestHeader{ClusterId: r.clusterID}
}

// Header of a request to PD.
func (r *Router) Header(ctx context.Context) (*pdpb.RequestHeader, error) {
	if r.clusterID == 0 {
		members, err := r.members(ctx)
		if err != nil {
			return nil, err
		}
		r.clusterID = members.GetHeader().GetClusterId()
	}
	return r.header(), nil
}

// pdError is of the header of an answer.
type pdError struct{ said *pdpb.Error }

func (e pdError) Error() string { return "PD says " + e.said.String() }

// Failed is the error of a call of PD, or that of its answer's header.
func Failed(header *pdpb.ResponseHeader, err error) error {
	if err == nil && header.GetError() != nil && header.Error.Type != pdpb.ErrorType_OK {
		err = pdError{header.Error}
	}
	return err
}

func (r *Router) members(ctx context.Context) (members *pdpb.GetMembersResponse, err error) {
	err = r.askPD(ctx, func(ctx context.Context, pd pdpb.PDClient) error {
		members, err = pd.GetMembers(ctx, &pdpb.GetMembersRequest{})
		return Failed(members.GetHeader(), err)
	})
	return members, err
}

// errNoRegion: a new leader of PD has not heard of it yet.
var errNoRegion = errors.New("PD knows no region")

// FindRegion asks PD where the key is.
func (r *Router) FindRegion(ctx context.Context, key string) error {
	header, err := r.Header(ctx)
	if err != nil {
		return err
	}
	return r.askPD(ctx, func(ctx context.Context, pd pdpb.PDClient) error {
		reply, err := pd.GetRegion(ctx, &pdpb.GetRegionRequest{Header: header, RegionKey: []byte(key)})
		if err = Failed(reply.GetHeader(), err); err != nil {
			return err
		}
		if reply.Region == nil || len(reply.Region.Peers) == 0 {
			return errNoRegion
		}
		r.mutex.Lock()
		defer r.mutex.Unlock()
		r.Region, r.Leader, r.Pending = reply.Region, reply.Leader, len(reply.PendingPeers)
		if r.Leader.GetId() == 0 {
			r.Leader = reply.Region.Peers[0]
		}
		return nil
	})
}

// Address of a store, as the client's own port: nothing is between them.  A
// store keeps it here.
func (r *Router) Address(ctx context.Context, store uint64) (address string, err error) {
	r.mutex.Lock()
	address = r.stores[store]
	r.mutex.Unlock()
	if address != "" {
		return address, nil
	}
	err = r.askPD(ctx, func(ctx context.Context, pd pdpb.PDClient) error {
		reply, err := pd.GetStore(ctx, &pdpb.GetStoreRequest{Header: r.header(), StoreId: store})
		address = r.cluster.Unproxied(reply.GetStore().GetAddress())
		return Failed(reply.GetHeader(), err)
	})
	if err == nil && address != "" {
		r.mutex.Lock()
		r.stores[store] = address
		r.mutex.Unlock()
	}
	return address, err
}

// Regions are all that PD has heard of.
func (r *Router) Regions(ctx context.Context) (all []*pdpb.Region, err error) {
	header, err := r.Header(ctx)
	if err != nil {
		return nil, err
	}
	err = r.askPD(ctx, func(ctx context.Context, pd pdpb.PDClient) error {
		reply, err := pd.ScanRegions(ctx, &pdpb.ScanRegionsRequest{Header: header, Limit: 1000})
		all = reply.GetRegions()
		return Failed(reply.GetHeader(), err)
	})
	return all, err
}

// peerOf a node in the region of a key, as PD knew it last; nil: none.
func (r *Router) peerOf(ctx context.Context, key string, node int) (*metapb.Peer, *metapb.Region) {
	region := r.known()
	if region == nil {
		if r.FindRegion(ctx, key) != nil {
			return nil, nil
		}
		if region = r.known(); region == nil {
			return nil, nil
		}
	}
	for _, peer := range region.Peers {
		address, err := r.Address(ctx, peer.StoreId)
		if err == nil && address == r.cluster.AddressOf(node) {
			return peer, region
		}
	}
	return nil, nil
}

func (r *Router) known() *metapb.Region {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.Region
}

func (r *Router) forget() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.Region = nil
}

// puts says whether the node acknowledges a write of the key, over gRPC.
func (r *Router) puts(ctx context.Context, key string, node int) bool {
	peer, region := r.peerOf(ctx, key, node)
	if peer == nil {
		return false
	}
	conn, err := r.Conn(r.cluster.AddressOf(node))
	if err != nil {
		return false
	}
	reply, err := tikvpb.NewTikvClient(conn).RawPut(ctx, &kvrpcpb.RawPutRequest{
		Context: &kvrpcpb.Context{RegionId: region.Id, RegionEpoch: region.RegionEpoch, Peer: peer},
		Key:     []byte(key), Value: []byte("x"), ForCas: true})
	if err == nil && reply.GetRegionError() != nil && reply.RegionError.GetNotLeader() == nil {
		r.forget()
	}
	return err == nil && reply.GetRegionError() == nil && reply.GetError() == ""
}

// Undetermined says that a region error leaves open what becomes of a write:
// UndeterminedResult, which this module's kvproto does not have yet, so by its
// text (src/service/region_error.c).
func Undetermined(e *errorpb.Error) bool {
	return strings.HasSuffix(e.GetMessage(), "outcome unknown")
}
