package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
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

const (
	opTimeout      = 8 * time.Second // then the client gives up
	attemptTimeout = 3 * time.Second
	retryPause     = 20 * time.Millisecond
)

// client speaks the protocol plainly and retries only what certainly did
// nothing, so that every outcome is known or known to be unknown.
type client struct {
	cluster   *cluster.Cluster
	mutex     sync.Mutex
	conns     map[string]*grpc.ClientConn
	clusterID uint64
	region    *metapb.Region
	leader    *metapb.Peer
	follower  bool // reads ask any peer, as replica_read does
	turn      int
}

func newClient(c *cluster.Cluster) *client {
	return &client{cluster: c, conns: map[string]*grpc.ClientConn{}}
}

func (c *client) conn(address string) (*grpc.ClientConn, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if conn := c.conns[address]; conn != nil {
		return conn, nil
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableRetry())
	if err == nil {
		c.conns[address] = conn
	}
	return conn, err
}

func (c *client) close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

// askPD calls `ask` with one member after the other until one answers.
func (c *client) askPD(ctx context.Context, ask func(ctx context.Context, pd pdpb.PDClient) error) error {
	var last error
	for i := 0; i < max(1, c.cluster.Nodes); i++ {
		c.turn++
		conn, err := c.conn(c.cluster.PDAddressOf(c.turn % max(1, c.cluster.Nodes)))
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
	return last
}

func (c *client) header() *pdpb.RequestHeader {
	return &pdpb.RequestHeader{ClusterId: c.clusterID}
}

func failed(header *pdpb.ResponseHeader, err error) error {
	if err == nil && header.GetError() != nil && header.Error.Type != pdpb.ErrorType_OK {
		err = errors.New(header.Error.String())
	}
	return err
}

func (c *client) members(ctx context.Context) (members *pdpb.GetMembersResponse, err error) {
	err = c.askPD(ctx, func(ctx context.Context, pd pdpb.PDClient) error {
		members, err = pd.GetMembers(ctx, &pdpb.GetMembersRequest{})
		return failed(members.GetHeader(), err)
	})
	return members, err
}

// findRegion asks PD where the key is.
func (c *client) findRegion(ctx context.Context, key string) error {
	if c.clusterID == 0 {
		members, err := c.members(ctx)
		if err != nil {
			return err
		}
		c.clusterID = members.GetHeader().GetClusterId()
	}
	return c.askPD(ctx, func(ctx context.Context, pd pdpb.PDClient) error {
		r, err := pd.GetRegion(ctx, &pdpb.GetRegionRequest{Header: c.header(), RegionKey: []byte(key)})
		if err = failed(r.GetHeader(), err); err != nil {
			return err
		}
		if r.Region == nil || len(r.Region.Peers) == 0 {
			return errors.New("PD knows no region")
		}
		c.region, c.leader = r.Region, r.Leader
		if c.leader.GetId() == 0 {
			c.leader = r.Region.Peers[0]
		}
		return nil
	})
}

// address of a store, as the client's own port: nothing is between them.
func (c *client) address(ctx context.Context, store uint64) (address string, err error) {
	err = c.askPD(ctx, func(ctx context.Context, pd pdpb.PDClient) error {
		r, err := pd.GetStore(ctx, &pdpb.GetStoreRequest{Header: c.header(), StoreId: store})
		address = r.GetStore().GetAddress()
		return failed(r.GetHeader(), err)
	})
	return address, err
}

// response of any raw command.
type response interface {
	GetRegionError() *errorpb.Error
	GetError() string
}

var errUnknown = errors.New("the outcome is unknown")

// call sends a command until it was answered or its outcome is unknown.  What
// came before an error that says that nothing was done is forgotten.
func (c *client) call(key string, read bool,
	send func(ctx context.Context, kv tikvpb.TikvClient, context *kvrpcpb.Context) (response, error)) error {
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	for ctx.Err() == nil {
		if c.region == nil {
			if c.findRegion(ctx, key) != nil {
				time.Sleep(retryPause)
				continue
			}
		}
		done, err := c.attempt(ctx, read, send)
		if done {
			return err
		}
		if err != nil && !read {
			return fmt.Errorf("%w: %w", errUnknown, err)
		}
		time.Sleep(retryPause)
	}
	return fmt.Errorf("%w: given up before it was sent", errNothing)
}

// errNothing is of a command that certainly did nothing.
var errNothing = errors.New("nothing was done")

// attempt is one message: done if it was answered; else err is nil if it did
// nothing.
func (c *client) attempt(ctx context.Context, read bool,
	send func(ctx context.Context, kv tikvpb.TikvClient, context *kvrpcpb.Context) (response, error)) (done bool, err error) {
	peer := c.leader
	if read && c.follower {
		c.turn++
		peer = c.region.Peers[c.turn%len(c.region.Peers)]
	}
	address, err := c.address(ctx, peer.StoreId)
	if err != nil {
		return false, nil
	}
	conn, err := c.conn(address)
	if err != nil {
		return false, nil
	}
	limited, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	r, err := send(limited, tikvpb.NewTikvClient(conn), &kvrpcpb.Context{
		RegionId: c.region.Id, RegionEpoch: c.region.RegionEpoch, Peer: peer,
		ReplicaRead: read && c.follower})
	if err != nil {
		c.region = nil
		if strings.Contains(err.Error(), "Error while dialing") {
			return false, nil // never left
		}
		return false, err
	}
	if regionError := r.GetRegionError(); regionError != nil {
		return false, c.note(regionError)
	}
	if r.GetError() != "" {
		return false, errors.New(r.GetError())
	}
	return true, nil
}

// note learns from a region error; what it returns says that the command may
// yet be carried out.
func (c *client) note(e *errorpb.Error) error {
	if notLeader := e.GetNotLeader(); notLeader != nil && notLeader.GetLeader().GetId() != 0 {
		c.leader = notLeader.Leader
		return nil
	}
	c.region = nil
	// The entry may be committed by a later leader (tikv/tikv#10353).
	if e.GetStaleCommand() != nil {
		return errors.New(e.String())
	}
	return nil
}

// do carries out one operation.
func (c *client) do(in input) (output, error) {
	var out output

	err := c.call(in.key, in.kind == get,
		func(ctx context.Context, kv tikvpb.TikvClient, context *kvrpcpb.Context) (response, error) {
			switch in.kind {
			case get:
				r, err := kv.RawGet(ctx, &kvrpcpb.RawGetRequest{Context: context, Key: []byte(in.key)})
				out.value = string(r.GetValue())
				return r, err
			case put:
				return kv.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: context, Key: []byte(in.key),
					Value: []byte(in.value), ForCas: true})
			case remove:
				return kv.RawDelete(ctx, &kvrpcpb.RawDeleteRequest{Context: context, Key: []byte(in.key),
					ForCas: true})
			default:
				r, err := kv.RawCompareAndSwap(ctx, &kvrpcpb.RawCASRequest{Context: context, Key: []byte(in.key),
					Value: []byte(in.value), PreviousNotExist: in.expected == absent, PreviousValue: []byte(in.expected)})
				out.value, out.swapped = string(r.GetPreviousValue()), r.GetSucceed()
				return r, err
			}
		})
	out.unknown = errors.Is(err, errUnknown)
	return out, err
}
