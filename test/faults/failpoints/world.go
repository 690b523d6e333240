package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"github.com/tikv/client-go/v2/txnkv"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"tikv_fdw/test/faults/cluster"
	"tikv_fdw/test/faults/nemesis"
	"tikv_fdw/test/faults/once"
)

// world is the cluster as its clients see it.
type world struct {
	*cluster.Cluster
	id atomic.Uint64 // of the cluster, once PD has told

	mutex sync.Mutex
	conns map[string]*grpc.ClientConn
	turn  int

	storesMutex sync.Mutex
	addresses   map[uint64]string // of stores; they keep them

	txns        *txnkv.Client
	lastTS, nTS atomic.Uint64 // timestamps that were given out
	ts, ids     once.Given    // all of them, and the ids
	nIDs        atomic.Uint64
}

// place is where a key is.
type place struct {
	region *metapb.Region
	leader *metapb.Peer
}

const askTimeout = 2 * time.Second

var errNoPD = errors.New("no member of PD answers")

func newWorld(c *cluster.Cluster) *world {
	return &world{Cluster: c, conns: map[string]*grpc.ClientConn{}}
}

func (w *world) conn(address string) (*grpc.ClientConn, error) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if conn := w.conns[address]; conn != nil {
		return conn, nil
	}
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableRetry())
	if err == nil {
		w.conns[address] = conn
	}
	return conn, err
}

// suspect a connection: the next one is new, and does not wait as long as one
// that has failed often.
func (w *world) suspect(address string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if conn := w.conns[address]; conn != nil {
		conn.ResetConnectBackoff()
	}
}

// neverLeft is of a message that no store has got.
func neverLeft(err error) bool {
	return strings.Contains(err.Error(), "Error while dialing")
}

// ---- PD

// askPD calls with one member after the other until one answers.
func (w *world) askPD(ask func(ctx context.Context, pd pdpb.PDClient) error) error {
	last := errNoPD
	for i := 0; i < w.Nodes; i++ {
		w.mutex.Lock()
		w.turn++
		address := w.PDAddressOf(w.turn % w.Nodes)
		w.mutex.Unlock()
		conn, err := w.conn(address)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		last = ask(ctx, pdpb.NewPDClient(conn))
		cancel()
		if last == nil {
			return nil
		}
		w.suspect(address)
	}
	return last
}

func failed(header *pdpb.ResponseHeader, err error) error {
	if err == nil && header.GetError() != nil && header.Error.Type != pdpb.ErrorType_OK {
		err = errors.New(header.Error.String())
	}
	return err
}

func (w *world) header() *pdpb.RequestHeader {
	return &pdpb.RequestHeader{ClusterId: w.id.Load()}
}

func (w *world) members() (members *pdpb.GetMembersResponse, err error) {
	err = w.askPD(func(ctx context.Context, pd pdpb.PDClient) error {
		members, err = pd.GetMembers(ctx, &pdpb.GetMembersRequest{})
		if err = failed(members.GetHeader(), err); err == nil && members.GetLeader().GetMemberId() == 0 {
			err = errors.New("PD has no leader")
		}
		return err
	})
	if err == nil {
		w.id.Store(members.GetHeader().GetClusterId())
	}
	return members, err
}

func nodeOfPort(port, first, step int) int {
	return (port - first) / step
}

// pdNode leads PD.
func (w *world) pdNode() (int, error) {
	members, err := w.members()
	if err != nil {
		return -1, err
	}
	return w.nodeOfMember(members.GetLeader())
}

func (w *world) nodeOfMember(member *pdpb.Member) (int, error) {
	u, err := url.Parse(member.GetClientUrls()[0])
	if err != nil {
		return -1, err
	}
	port, err := strconv.Atoi(u.Port())
	return nodeOfPort(port, 2379+w.BasePort+w.Proxied, 10), err
}

// find asks PD who has a key.
func (w *world) find(key string) (found *place, err error) {
	if w.id.Load() == 0 {
		if _, err = w.members(); err != nil {
			return nil, err
		}
	}
	err = w.askPD(func(ctx context.Context, pd pdpb.PDClient) error {
		reply, err := pd.GetRegion(ctx, &pdpb.GetRegionRequest{Header: w.header(), RegionKey: []byte(key)})
		if err = failed(reply.GetHeader(), err); err != nil {
			return err
		}
		if reply.GetLeader().GetId() == 0 {
			return errors.New("PD knows no leader of the region")
		}
		found = &place{reply.Region, reply.Leader}
		return nil
	})
	return found, err
}

// stores are the addresses by id.
func (w *world) stores() (map[uint64]string, error) {
	addresses := map[uint64]string{}
	err := w.askPD(func(ctx context.Context, pd pdpb.PDClient) error {
		reply, err := pd.GetAllStores(ctx, &pdpb.GetAllStoresRequest{Header: w.header(), ExcludeTombstoneStores: true})
		for _, store := range reply.GetStores() {
			addresses[store.Id] = w.Unproxied(store.Address)
		}
		return failed(reply.GetHeader(), err)
	})
	return addresses, err
}

func (w *world) storeConn(id uint64) (conn *grpc.ClientConn, address string, err error) {
	addresses, err := w.storesOnce()
	if err != nil {
		return nil, "", err
	}
	address = addresses[id]
	if address == "" {
		w.forgetStores()
		return nil, "", fmt.Errorf("there is no store %d", id)
	}
	conn, err = w.conn(address)
	return conn, address, err
}

// storesOnce asks PD until it has told as many as there are nodes.
func (w *world) storesOnce() (map[uint64]string, error) {
	w.storesMutex.Lock()
	defer w.storesMutex.Unlock()
	if len(w.addresses) >= w.Nodes {
		return w.addresses, nil
	}
	found, err := w.stores()
	if err == nil {
		w.addresses = found
	}
	return found, err
}

// forgetStores: there is one that was not there.
func (w *world) forgetStores() {
	w.storesMutex.Lock()
	defer w.storesMutex.Unlock()
	w.addresses = nil
}

// nodeOfStore by the port of its address.
func (w *world) nodeOfStore(id uint64) (int, error) {
	addresses, err := w.storesOnce()
	if err != nil {
		return -1, err
	}
	_, text, err := net.SplitHostPort(addresses[id])
	if err != nil {
		return -1, err
	}
	port, err := strconv.Atoi(text)
	return nodeOfPort(port, 20160+w.BasePort, 1), err
}

func (w *world) storeOfNode(node int) (uint64, error) {
	addresses, err := w.storesOnce()
	if err != nil {
		return 0, err
	}
	for id := range addresses {
		if n, err := w.nodeOfStore(id); err == nil && n == node {
			return id, nil
		}
	}
	return 0, fmt.Errorf("node %d has no store", node)
}

// leaderNode leads the region of the key.
func (w *world) leaderNode(key string) (int, *place, error) {
	found, err := w.find(key)
	if err != nil {
		return -1, nil, err
	}
	node, err := w.nodeOfStore(found.leader.StoreId)
	return node, found, err
}

// ---- SQL

// queryLeader asks the node that leads the region of the key.
func (w *world) queryLeader(key string, out interface{}, sql string, args ...interface{}) error {
	node, _, err := w.leaderNode(key)
	if err != nil {
		return err
	}
	return w.query(node, out, sql, args...)
}

// session of SQL; the server's default, serializable, is not for transactions
// of keys.
func (w *world) session(ctx context.Context, node int) (*pgx.Conn, error) {
	return pgx.Connect(ctx, w.DSNOf(node)+" default_transaction_isolation='read committed'")
}

// query one value of a node; an error if that takes too long.
func (w *world) query(node int, out interface{}, sql string, args ...interface{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := w.session(ctx, node)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if out == nil {
		_, err = conn.Exec(ctx, sql, args...)
		return err
	}
	return conn.QueryRow(ctx, sql, args...).Scan(out)
}

// wait until it is so; what is the last error then.
func wait(patience time.Duration, what string, so func() error) error {
	var err error

	for began := time.Now(); time.Since(began) < patience; time.Sleep(50 * time.Millisecond) {
		if err = so(); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s: not within %v: %w", what, patience, err)
}

// ---- failpoints of a node

func (w *world) dataFile(node int, name string) string {
	return filepath.Join(nemesis.DataFolder(w.Cluster, node), name)
}

// arm sets what is to take place on a node; "" is nothing.  What earlier ones
// left is forgotten.
func (w *world) arm(node int, text string) error {
	return armIn(w.Cluster, node, text)
}

func armIn(c *cluster.Cluster, node int, text string) error {
	dir := nemesis.DataFolder(c, node)
	c.NoteCrashes(dir)
	claims, _ := filepath.Glob(filepath.Join(dir, "tikv_failpoint.*"))
	for _, file := range append(claims, filepath.Join(dir, "tikv_failpoint_hits")) {
		if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	c.NoteCrashes(dir)
	return nemesis.SetFailpoints(dir, text)
}

// hits of a point on a node since it was armed, and whether it crashed.
func (w *world) hits(node int, name string) (passed int, crashed bool) {
	return hitsIn(nemesis.DataFolder(w.Cluster, node), name)
}

func hitsIn(dir, name string) (passed int, crashed bool) {
	text, _ := os.ReadFile(filepath.Join(dir, "tikv_failpoint_hits"))
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != name {
			continue
		}
		if words[1] == "crash" {
			crashed = true
		} else {
			passed++
		}
	}
	return passed, crashed
}

// buried: the process that crashed is gone, and its postmaster knows.
func (w *world) buried(node int) error {
	text, err := os.ReadFile(w.dataFile(node, "tikv_failpoint_hits"))
	if err != nil {
		return err
	}
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) < 3 || words[1] != "crash" {
			continue
		}
		pid, _ := strconv.Atoi(words[2])
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			return fmt.Errorf("process %d is still there", pid)
		}
	}
	return nil
}
