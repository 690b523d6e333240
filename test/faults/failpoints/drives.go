package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	pclog "github.com/pingcap/log"
	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/txnkv"
	"github.com/tikv/client-go/v2/txnkv/transaction"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
)

// drives are what has to happen for a point to be passed; each is called again
// and again until the process has crashed.  What fails is tried again.
var drives = map[string]func(t *trial) error{
	"write":        nothing, // the registers' clients do it
	"tso":          nothing, // so does who asks for timestamps
	"compact":      nothing,
	"heartbeat":    nothing,
	"txn":          (*trial).transact,
	"reads":        (*trial).readElsewhere,
	"txnreads":     (*trial).readElsewhere,
	"split":        (*trial).split,
	"replace":      (*trial).replace,
	"transfer":     (*trial).transfer,
	"alone":        (*trial).shrinkAndGrow,
	"repair":       (*trial).shrinkAndGrow,
	"restart":      (*trial).restartTarget,
	"restartother": (*trial).restartOther,
	"deleterange":  (*trial).deleteRange,
	"pdtransfer":   (*trial).transferPD,
	"pdkeys":       (*trial).fillPD,
	"pdids":        (*trial).takeIDs,
	"safepoint":    (*trial).raiseSafePoints,
	"sqlread":      (*trial).readBySQL,
	"opentxn":      (*trial).keepOpen,
	"deadlock":     (*trial).deadlock,
	"detect":       (*trial).deadlock,
	"gc":           (*trial).collect,
	"gcspread":     (*trial).collect,
	"gcsleep":      (*trial).collectAsleep,
	"lockwait":     (*trial).waitForLock,
	"flashback":    (*trial).flashBack,
	"sleep":        (*trial).sleep,
	"silence":      (*trial).beSilent,
	"size":         (*trial).grow,
	"stale":        (*trial).goStale,
	"longtable":    (*trial).longTable,
	"join":         (*trial).joinAnew,
	"leave":        (*trial).leave,
}

// beside are what has to fail or wait for a point to be passed for sure.
var beside = map[string]string{
	// what is left behind stays there for a while
	"store_create_waits":   ";store_leftover_log_slice=1*error",
	"store_leftover_taken": ";store_leftover_keys_slice=delay(150)",
	// who is not told that it is removed
	"store_stale_asks": ";store_message_received=error",
	"store_stale_gone": ";store_message_received=error",
}

func nothing(*trial) error {
	return nil
}

// ---- transactions, of client-go

// txnWrite is a transaction of two keys and what its client was told.
type txnWrite struct {
	name  string
	a, b  string // its keys; the name is their value
	acked bool
}

// startClient connects when the first transaction is wanted.
func (w *world) startClient() (*txnkv.Client, error) {
	if w.txns == nil {
		pclog.SetLevel(zapcore.FatalLevel) // what is broken on purpose makes it talk
		cli, err := txnkv.NewClient(w.PDAddresses())
		if err != nil {
			return nil, err
		}
		w.txns = cli
	}
	return w.txns, nil
}

func (t *trial) transact() error {
	cli, err := t.w.startClient()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for i := 0; i < 10 && !t.crashed(); i++ {
		if err := t.transactOnce(ctx, cli); err != nil {
			return err
		}
	}
	return nil
}

// transactOnce with a lock, a prewrite and a commit, each a request of its own.
func (t *trial) transactOnce(ctx context.Context, cli *txnkv.Client) error {
	name := fmt.Sprintf("tx/%s/%d", t.name, len(t.txns))
	txn, err := t.lockOne(ctx, cli, []byte(name+"/a"))
	if err != nil {
		return err
	}
	written, err := t.write(ctx, txn, name)
	t.txns = append(t.txns, written)
	return err
}

// write two keys and commit.
func (t *trial) write(ctx context.Context, txn *transaction.KVTxn, name string) (txnWrite, error) {
	return t.writeKeys(ctx, txn, txnWrite{name: name, a: name + "/a", b: name + "/b"})
}

func (t *trial) writeKeys(ctx context.Context, txn *transaction.KVTxn, written txnWrite) (txnWrite, error) {
	err := errors.Join(txn.Set([]byte(written.a), []byte(written.name)), txn.Set([]byte(written.b), []byte(written.name)))
	if err != nil {
		_ = txn.Rollback()
		return written, err
	}
	err = txn.Commit(ctx)
	written.acked = err == nil
	return written, err
}

func (t *trial) committed() (n int) {
	for _, txn := range t.txns {
		if txn.acked {
			n++
		}
	}
	return n
}

// checkTxns: what was acknowledged is there, the rest is whole or not there.
func (t *trial) checkTxns() error {
	if len(t.txns) == 0 {
		return nil
	}
	return wait(recoverPatience, "the transactions' keys", func() error {
		txn, err := t.w.txns.Begin()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for _, written := range t.txns {
			a, errA := valueOf(ctx, txn, written.a)
			b, errB := valueOf(ctx, txn, written.b)
			if err := errors.Join(errA, errB); err != nil {
				return err
			}
			if a != b || written.acked && a != written.name {
				log.Fatalf("transaction %s, acknowledged %v, has left %q and %q", written.name, written.acked, a, b)
			}
		}
		return nil
	})
}

// valueOf is a key's value, "" if there is none.
func valueOf(ctx context.Context, txn *transaction.KVTxn, key string) (string, error) {
	value, err := txn.Get(ctx, []byte(key))
	if tikverr.IsErrNotFound(err) {
		return "", nil
	}
	return string(value.Value), err
}

// ---- reads by an index: at the target if followers do it, else elsewhere

func (t *trial) readElsewhere() error {
	node, at, err := t.w.leaderNode(t.focus())
	if err != nil {
		return err
	}
	reader := t.target
	if t.target == node {
		reader = t.other(node)
	}
	store, err := t.w.storeOfNode(reader)
	if err != nil {
		return err
	}
	conn, _, err := t.w.storeConn(store)
	if err != nil {
		return err
	}
	where := &kvrpcpb.Context{RegionId: at.region.Id, RegionEpoch: at.region.RegionEpoch, ReplicaRead: true}
	for _, peer := range at.region.Peers {
		if peer.StoreId == store {
			where.Peer = peer
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	kv := tikvpb.NewTikvClient(conn)
	if _, err = kv.RawGet(ctx, &kvrpcpb.RawGetRequest{Context: where, Key: []byte(t.focus())}); err != nil {
		return err
	}
	_, err = kv.KvGet(ctx, &kvrpcpb.GetRequest{Context: where, Key: []byte("tx/0"), Version: t.w.lastTS.Load()})
	return err
}

// ---- regions

// split the region of the registers, between two of them.
func (t *trial) split() error {
	t.cuts++
	return t.cut(t.shelf.cut(t.cuts))
}

// cutOff the last region from the first one.
func (t *trial) cutOff() error {
	return t.cut([]byte("zz/"))
}

func (t *trial) cut(at []byte) error {
	node, _, err := t.w.leaderNode(t.focus())
	if err != nil {
		return err
	}
	var id int64
	return t.w.query(node, &id, "SELECT tikv_split($1)", at)
}

// replace a peer: the target's if it is a follower that something is done to,
// else another one.  In turn both if the point does not say which.
func (t *trial) replace() error {
	node, at, err := t.w.leaderNode(t.focus())
	if err != nil {
		return err
	}
	victim := t.target
	t.replaced++
	other := t.leadsRegion() || t.point.reachedBy(leader) && t.replaced%2 != 0
	if other || victim == node {
		victim = t.otherThan(node, t.target)
	}
	store, err := t.w.storeOfNode(victim)
	if err != nil {
		return err
	}
	region := int64(at.region.Id)
	if peer := peerOn(at.region, store); peer != nil {
		err = t.w.query(node, nil, "SELECT tikv_remove_peer($1, $2)", region, int64(store))
		if err != nil {
			return err
		}
	}
	_ = t.waitFor(5*time.Second, func(r *metapb.Region) bool { return peerOn(r, store) == nil })
	// PD brings it back by itself; who is faster does not matter.
	var id int64
	_ = t.w.query(node, &id, "SELECT tikv_add_peer($1, $2)", region, int64(store))
	return t.waitFor(20*time.Second, func(r *metapb.Region) bool {
		peer := peerOn(r, store)
		return peer != nil && peer.Role == metapb.PeerRole_Voter
	})
}

func peerOn(region *metapb.Region, store uint64) *metapb.Peer {
	for _, peer := range region.Peers {
		if peer.StoreId == store {
			return peer
		}
	}
	return nil
}

// waitFor the region to be so, or the crash.
func (t *trial) waitFor(patience time.Duration, so func(r *metapb.Region) bool) error {
	for began := time.Now(); time.Since(began) < patience; time.Sleep(50 * time.Millisecond) {
		if t.crashed() {
			return nil
		}
		if at, err := t.w.find(t.focus()); err == nil && so(at.region) {
			return nil
		}
	}
	return errors.New("the region does not become so")
}

// transfer leadership away from the target if it leads, else to it.
func (t *trial) transfer() error {
	node, _, err := t.w.leaderNode(t.focus())
	if err != nil {
		return err
	}
	to := t.target
	if node == t.target {
		to = t.other(node)
	}
	return t.w.transferRegion(t.focus(), to)
}

func (w *world) transferRegion(key string, to int) error {
	from, at, err := w.leaderNode(key)
	if err != nil || from == to {
		return err
	}
	store, err := w.storeOfNode(to)
	if err != nil {
		return err
	}
	return w.query(from, nil, "SELECT tikv_transfer_leader($1, $2)", int64(at.region.Id), int64(store))
}

func (w *world) setReplicas(n uint32) error {
	return w.askPD(func(ctx context.Context, pd pdpb.PDClient) error {
		reply, err := pd.PutClusterConfig(ctx, &pdpb.PutClusterConfigRequest{Header: w.header(),
			Cluster: &metapb.Cluster{Id: w.id.Load(), MaxPeerCount: n}})
		return failed(reply.GetHeader(), err)
	})
}

// shrinkAndGrow the regions to one peer and back.
func (t *trial) shrinkAndGrow() error {
	if err := t.w.setReplicas(1); err != nil {
		return err
	}
	_ = t.waitFor(20*time.Second, func(r *metapb.Region) bool { return len(r.Peers) == 1 })
	time.Sleep(500 * time.Millisecond)
	// Without its peer the target could not get its role back.
	if err := wait(20*time.Second, "the number of replicas", func() error { return t.w.setReplicas(3) }); err != nil {
		return err
	}
	return t.waitFor(20*time.Second, func(r *metapb.Region) bool { return len(r.Peers) == 3 })
}

// deleteRange of keys that nobody else writes; what is acknowledged is empty
// from then on (checkDeleted).
func (t *trial) deleteRange() error {
	nDeleted++
	prefix := fmt.Sprintf("dr/%06d/", nDeleted)
	err := t.w.queryLeader(t.focus(), nil, `SELECT tikv_batch_put(array_agg(convert_to($1::text || i, 'UTF8')),
		array_agg('x'::bytea)) FROM generate_series(1, 600) i`, prefix)
	if err != nil {
		return err
	}
	t.deleting = prefix
	return t.finishDelete()
}

// finishDelete of a range, or delete one if none ever was.
func (t *trial) finishDelete() error {
	if t.deleting == "" && len(t.deleted) == 0 {
		return t.deleteRange()
	}
	if t.deleting == "" {
		return nil
	}
	err := t.w.queryLeader(t.focus(), nil,
		"SELECT tikv_delete_range(convert_to($1::text, 'UTF8'), convert_to($1::text || '~', 'UTF8'))", t.deleting)
	if err == nil {
		t.deleted, t.deleting = append(t.deleted, t.deleting), ""
	}
	return err
}

var nDeleted int

// checkDeleted: nothing of an acknowledged deletion is there.
func (t *trial) checkDeleted() error {
	for _, prefix := range t.deleted {
		var left int
		err := wait(recoverPatience, "the deleted range", func() error {
			return t.w.queryLeader(t.focus(), &left,
				"SELECT count(*) FROM tikv_scan(convert_to($1::text, 'UTF8'), convert_to($1::text || '~', 'UTF8'), 10000)", prefix)
		})
		if err == nil && left > 0 {
			err = fmt.Errorf("the deletion of %s was acknowledged, and %d keys of 600 are there", prefix, left)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ---- restarts

func (t *trial) restartTarget() error {
	_ = t.w.AbortWorker(t.target, "tikv store")
	return t.awaitServing(t.target)
}

func (t *trial) restartOther() error {
	node := t.other(t.target)
	_ = t.w.AbortWorker(node, "tikv store")
	return t.awaitServing(node)
}

func (t *trial) awaitServing(node int) error {
	for began := time.Now(); time.Since(began) < 20*time.Second && !t.crashed(); time.Sleep(50 * time.Millisecond) {
		if t.w.serving(node) == nil {
			return nil
		}
	}
	return nil
}

// ---- PD

// transferPD to the target, or away from it, while clients want ids: what they
// get waits for a quorum, and so does who wants the first timestamp.
func (t *trial) transferPD() error {
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for i := 0; i < 4; i++ {
		asking.Add(1)
		go func() {
			defer asking.Done()
			for {
				select {
				case <-stop:
					return
				default:
					_ = t.w.takeID()
				}
			}
		}()
	}
	defer asking.Wait()
	defer close(stop)
	now, err := t.w.pdNode()
	if err != nil {
		return err
	}
	to := t.target
	if now == t.target {
		to = t.other(now)
	}
	if err = t.w.transferPD(to); err != nil {
		return err
	}
	time.Sleep(300 * time.Millisecond)
	return nil
}

func (w *world) transferPD(to int) error {
	members, err := w.members()
	if err != nil {
		return err
	}
	for _, member := range members.Members {
		if node, err := w.nodeOfMember(member); err != nil || node != to {
			continue
		}
		now, _ := w.nodeOfMember(members.Leader)
		if now == to {
			return nil
		}
		return post(fmt.Sprintf("http://%s/pd/api/v1/leader/transfer/%s", w.PDAddressOf(now), member.Name))
	}
	return fmt.Errorf("node %d is no member of PD", to)
}

func post(url string) error {
	client := http.Client{Timeout: askTimeout}
	reply, err := client.Post(url, "", nil)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	text, _ := io.ReadAll(reply.Body)
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, text)
	}
	return nil
}

// fillPD makes its log long.
func (t *trial) fillPD() error {
	for i := 0; i < 200 && !t.crashed(); i++ {
		err := t.w.askPD(func(ctx context.Context, pd pdpb.PDClient) error {
			_, err := pd.StoreGlobalConfig(ctx, &pdpb.StoreGlobalConfigRequest{ConfigPath: "/global/config/fp",
				Changes: []*pdpb.GlobalConfigItem{{Name: "key", Payload: fmt.Append(nil, i)}}})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// raiseSafePoints a little: what is live is not reached.
func (t *trial) raiseSafePoints() error {
	t.safePoint++
	if err := t.w.askPD(func(ctx context.Context, pd pdpb.PDClient) error {
		_, err := pd.UpdateGCSafePoint(ctx, &pdpb.UpdateGCSafePointRequest{Header: t.w.header(), SafePoint: t.safePoint})
		return err
	}); err != nil {
		return err
	}
	if err := t.w.askPD(func(ctx context.Context, pd pdpb.PDClient) error {
		_, err := pd.UpdateServiceGCSafePoint(ctx, &pdpb.UpdateServiceGCSafePointRequest{Header: t.w.header(),
			ServiceId: []byte("fp"), TTL: 1, SafePoint: t.w.lastTS.Load()})
		return err
	}); err != nil {
		return err
	}
	if err := t.advance("AdvanceTxnSafePoint"); err != nil {
		return err
	}
	return t.advance("AdvanceGCSafePoint")
}

// advance calls what this version of kvproto does not have yet.
func (t *trial) advance(method string) error {
	const nullKeyspace = 0xffffffff

	header, err := t.w.header().Marshal()
	if err != nil {
		return err
	}
	scope := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), nullKeyspace)
	request := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), header)
	request = protowire.AppendBytes(protowire.AppendTag(request, 2, protowire.BytesType), scope)
	request = protowire.AppendVarint(protowire.AppendTag(request, 3, protowire.VarintType), t.safePoint)
	node, err := t.w.pdNode()
	if err != nil {
		return err
	}
	conn, err := t.w.conn(t.w.PDAddressOf(node))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	return conn.Invoke(ctx, "/pdpb.PD/"+method, request, new([]byte), grpc.ForceCodec(bytesCodec{}))
}

// bytesCodec is for messages that are encoded already.
type bytesCodec struct{}

func (bytesCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

func (bytesCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}

func (bytesCodec) Name() string { return "proto" }
