package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"

	"tikv_fdw/test/faults/cluster"
	"tikv_fdw/test/faults/nemesis"
)

const (
	opTimeout      = 8 * time.Second // then the client gives up
	attemptTimeout = 3 * time.Second
	retryPause     = 20 * time.Millisecond
)

// client speaks the protocol plainly and retries only what certainly did
// nothing, so that every outcome is known or known to be unknown.
type client struct {
	cluster  *cluster.Cluster
	router   *nemesis.Router
	strange  func(error) // told what may never be answered; nil is nothing
	follower bool        // reads ask any peer, as replica_read does
	turn     int
}

func newClient(c *cluster.Cluster, strange func(error)) *client {
	return &client{cluster: c, router: nemesis.NewRouter(c), strange: strange}
}

func (c *client) close() {
	c.router.Close()
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
		if !c.router.Has(key) {
			if err := c.router.FindRegion(ctx, key); err != nil {
				c.strange(nemesis.ErrorOfPD(err))
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
	peer := c.router.Leader
	if read && c.follower {
		c.turn++
		peer = c.router.Region.Peers[c.turn%len(c.router.Region.Peers)]
	}
	address, err := c.router.Address(ctx, peer.StoreId)
	if err != nil {
		c.strange(nemesis.ErrorOfPD(err))
		return false, nil
	}
	conn, err := c.router.Conn(address)
	if err != nil {
		return false, nil
	}
	limited, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	asked := time.Now()
	r, err := send(limited, tikvpb.NewTikvClient(conn), &kvrpcpb.Context{
		RegionId: c.router.Region.Id, RegionEpoch: c.router.Region.RegionEpoch, Peer: peer,
		ReplicaRead: read && c.follower})
	if err != nil {
		c.router.Region = nil
		c.strange(nemesis.ErrorOfCall(err))
		if strings.Contains(err.Error(), "Error while dialing") {
			return false, nil // never left
		}
		return false, err
	}
	if regionError := r.GetRegionError(); regionError != nil {
		c.strange(nemesis.ErrorOfRegion(regionError, nemesis.Asked{AnyPeer: read && c.follower,
			Full: c.cluster.Disks.Full(c.cluster.NodeOf(address), asked)}))
		return false, c.note(regionError)
	}
	if r.GetError() != "" {
		err = fmt.Errorf("a store refuses a raw command: %s", r.GetError())
		c.strange(err)
		return false, err
	}
	return true, nil
}

// note learns from a region error; what it returns says that the command may
// yet be carried out.
func (c *client) note(e *errorpb.Error) error {
	if notLeader := e.GetNotLeader(); notLeader != nil && notLeader.GetLeader().GetId() != 0 {
		c.router.Leader = notLeader.Leader
		return nil
	}
	c.router.Region = nil
	// The entry may be committed by a later leader; who says StaleCommand
	// knows that it cannot be (tikv/tikv#10353).
	if nemesis.Undetermined(e) {
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
					Value: []byte(in.value), Ttl: uint64(in.ttl), ForCas: true})
			case removeRange:
				return kv.RawDeleteRange(ctx, &kvrpcpb.RawDeleteRangeRequest{Context: context,
					StartKey: []byte(in.key), EndKey: []byte(endOf(in.key))})
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
