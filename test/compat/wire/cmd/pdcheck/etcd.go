package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"google.golang.org/grpc/codes"

	"tikv_fdw/test/compat/wire/internal/node"
)

// etcdTester keeps its keys below a prefix of its own.
type etcdTester struct {
	*tester
	kv     etcdserverpb.KVClient
	lease  etcdserverpb.LeaseClient
	watch  etcdserverpb.WatchClient
	prefix string
}

func (t *tester) checkEtcdKeys() {
	e := &etcdTester{t, etcdserverpb.NewKVClient(t.PDConn), etcdserverpb.NewLeaseClient(t.PDConn),
		etcdserverpb.NewWatchClient(t.PDConn), fmt.Sprintf("compat/%d/", time.Now().UnixNano())}
	e.checkPutGet()
	e.checkTxn()
	e.checkWatch()
	e.checkLease()
	e.checkStatus()
	gone, err := e.kv.DeleteRange(t.ctx, &etcdserverpb.DeleteRangeRequest{Key: e.key(""), RangeEnd: e.end()})
	t.Check("etcd DeleteRange of all", first(err, node.Expect(gone.GetDeleted() > 0, "got %v", gone)))
}

func (e *etcdTester) key(name string) []byte { return []byte(e.prefix + name) }

func (e *etcdTester) end() []byte {
	end := []byte(e.prefix)
	end[len(end)-1]++
	return end
}

func (e *etcdTester) put(name, value string) *etcdserverpb.PutResponse {
	got, err := e.kv.Put(e.ctx, &etcdserverpb.PutRequest{Key: e.key(name), Value: []byte(value), PrevKv: true})
	e.Check("etcd Put "+name, err)
	return got
}

func (e *etcdTester) get(name string) *mvccpb.KeyValue {
	got, err := e.kv.Range(e.ctx, &etcdserverpb.RangeRequest{Key: e.key(name)})
	e.Check("etcd Range "+name, err)
	if len(got.GetKvs()) == 0 {
		return nil
	}
	return got.Kvs[0]
}

func (e *etcdTester) checkPutGet() {
	one := e.put("a", "1")
	two := e.put("a", "2")
	e.Check("etcd revisions", node.Expect(two.Header.Revision == one.Header.Revision+1 && one.PrevKv == nil && string(two.PrevKv.Value) == "1", "got %v then %v", one, two))
	kv := e.get("a")
	e.Check("etcd versions", node.Expect(kv.CreateRevision == one.Header.Revision && kv.ModRevision == two.Header.Revision && kv.Version == 2, "got %v", kv))
	for i := 0; i < 5; i++ {
		e.put(fmt.Sprintf("list/%d", i), fmt.Sprintf("%d", 9-i))
	}
	end := e.key("list0") // "0" follows "/"
	page, err := e.kv.Range(e.ctx, &etcdserverpb.RangeRequest{Key: e.key("list/"), RangeEnd: end, Limit: 2})
	e.Check("etcd Range with a limit", first(err, node.Expect(len(page.GetKvs()) == 2 && page.More && page.Count == 5, "got %v", page)))
	sorted, err := e.kv.Range(e.ctx, &etcdserverpb.RangeRequest{Key: e.key("list/"), RangeEnd: end,
		SortOrder: etcdserverpb.RangeRequest_ASCEND, SortTarget: etcdserverpb.RangeRequest_VALUE, KeysOnly: true})
	e.Check("etcd Range by value", first(err, node.Expect(len(sorted.GetKvs()) == 5 && string(sorted.Kvs[0].Key) == string(e.key("list/4")) && len(sorted.Kvs[0].Value) == 0, "got %v", sorted)))
	counted, err := e.kv.Range(e.ctx, &etcdserverpb.RangeRequest{Key: e.key("list/"), RangeEnd: end, CountOnly: true})
	e.Check("etcd Range that counts", first(err, node.Expect(counted.GetCount() == 5 && len(counted.Kvs) == 0, "got %v", counted)))
	_, err = e.kv.Range(e.ctx, &etcdserverpb.RangeRequest{Key: e.key("a"), Revision: one.Header.Revision})
	e.Check("etcd Range of an old revision", node.WantStatus(err, codes.OutOfRange, "compacted"))
	_, err = e.kv.Range(e.ctx, &etcdserverpb.RangeRequest{Key: e.key("a"), Revision: 1 << 60})
	e.Check("etcd Range of the future", node.WantStatus(err, codes.OutOfRange, "future"))
	_, err = e.kv.Put(e.ctx, &etcdserverpb.PutRequest{Value: []byte("x")})
	e.Check("etcd Put without a key", node.WantStatus(err, codes.InvalidArgument, "key is not provided"))
	_, err = e.kv.Put(e.ctx, &etcdserverpb.PutRequest{Key: e.key("big"), Value: make([]byte, 2<<20)})
	e.Check("etcd Put of too much", node.WantStatus(err, codes.InvalidArgument, "too large"))
	bytes := []byte{0xFF, 0x00, '%', 0xC3}
	_, err = e.kv.Put(e.ctx, &etcdserverpb.PutRequest{Key: append(e.key("bin"), bytes...), Value: bytes})
	e.Check("etcd Put of any bytes", err)
	binary := e.get("bin" + string(bytes))
	e.Check("etcd Range of any bytes", node.Expect(binary != nil && string(binary.Value) == string(bytes), "got %v", binary))
}

func putOp(key []byte, value string) *etcdserverpb.RequestOp {
	return &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestPut{RequestPut: &etcdserverpb.PutRequest{Key: key, Value: []byte(value)}}}
}

func getOp(key []byte) *etcdserverpb.RequestOp {
	return &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestRange{RequestRange: &etcdserverpb.RangeRequest{Key: key}}}
}

func txnOp(steps ...*etcdserverpb.RequestOp) *etcdserverpb.RequestOp {
	return &etcdserverpb.RequestOp{Request: &etcdserverpb.RequestOp_RequestTxn{RequestTxn: &etcdserverpb.TxnRequest{Success: steps}}}
}

func (e *etcdTester) checkTxn() {
	key := e.key("txn")
	absent := &etcdserverpb.Compare{Result: etcdserverpb.Compare_EQUAL, Target: etcdserverpb.Compare_CREATE, Key: key,
		TargetUnion: &etcdserverpb.Compare_CreateRevision{CreateRevision: 0}}
	create := &etcdserverpb.TxnRequest{Compare: []*etcdserverpb.Compare{absent},
		Success: []*etcdserverpb.RequestOp{putOp(key, "mine"), getOp(key)}, Failure: []*etcdserverpb.RequestOp{getOp(key)}}
	got, err := e.kv.Txn(e.ctx, create)
	e.Check("etcd Txn that creates", first(err, node.Expect(got.GetSucceeded() && len(got.Responses) == 2, "got %v", got)))
	if err == nil {
		seen := got.Responses[1].GetResponseRange().GetKvs()
		e.Check("etcd Txn sees its own put", node.Expect(len(seen) == 1 && string(seen[0].Value) == "mine" && seen[0].ModRevision == got.Header.Revision, "got %v", got))
	}
	again, err := e.kv.Txn(e.ctx, create)
	e.Check("etcd Txn that finds it", first(err, node.Expect(!again.GetSucceeded() && len(again.Responses) == 1, "got %v", again)))
	swap := &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{putOp(key, "theirs")}, Compare: []*etcdserverpb.Compare{
		{Result: etcdserverpb.Compare_EQUAL, Target: etcdserverpb.Compare_MOD, Key: key, TargetUnion: &etcdserverpb.Compare_ModRevision{ModRevision: got.GetHeader().GetRevision()}},
		{Result: etcdserverpb.Compare_EQUAL, Target: etcdserverpb.Compare_VALUE, Key: key, TargetUnion: &etcdserverpb.Compare_Value{Value: []byte("mine")}}}}
	did, err := e.kv.Txn(e.ctx, swap)
	e.Check("etcd Txn that swaps", first(err, node.Expect(did.GetSucceeded(), "got %v", did)))
	did, err = e.kv.Txn(e.ctx, swap)
	e.Check("etcd Txn that comes too late", first(err, node.Expect(!did.GetSucceeded(), "got %v", did)))
	_, err = e.kv.Txn(e.ctx, &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{putOp(key, "1"), putOp(key, "2")}})
	e.Check("etcd Txn with a key twice", node.WantStatus(err, codes.InvalidArgument, "duplicate key"))
	_, err = e.kv.Txn(e.ctx, &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{putOp(key, "1"), txnOp(putOp(key, "2"))}})
	e.Check("etcd Txn with a key twice, once inside", node.WantStatus(err, codes.InvalidArgument, "duplicate key"))
	many := &etcdserverpb.TxnRequest{}
	for i := 0; i < 129; i++ {
		many.Success = append(many.Success, putOp(e.key(fmt.Sprint("many", i)), "x"))
	}
	_, err = e.kv.Txn(e.ctx, many)
	e.Check("etcd Txn with too many steps", node.WantStatus(err, codes.InvalidArgument, "too many operations"))
	bad := &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{putOp(e.key("half"), "x"),
		{Request: &etcdserverpb.RequestOp_RequestPut{RequestPut: &etcdserverpb.PutRequest{Key: e.key("other"), Lease: 4711}}}}}
	_, err = e.kv.Txn(e.ctx, bad)
	e.Check("etcd Txn with an unknown lease", node.WantStatus(err, codes.NotFound, "lease not found"))
	e.Check("etcd Txn is all or nothing", node.Expect(e.get("half") == nil, "half of it is there"))
}

// next reads one response of a watch, at most so long.
func next(stream etcdserverpb.Watch_WatchClient) (*etcdserverpb.WatchResponse, error) {
	type answer struct {
		got *etcdserverpb.WatchResponse
		err error
	}
	came := make(chan answer, 1)
	go func() {
		got, err := stream.Recv()
		came <- answer{got, err}
	}()
	select {
	case a := <-came:
		return a.got, a.err
	case <-time.After(20 * time.Second):
		return nil, fmt.Errorf("nothing came")
	}
}

func (e *etcdTester) watchFrom(stream etcdserverpb.Watch_WatchClient, id, revision int64, filters ...etcdserverpb.WatchCreateRequest_FilterType) (*etcdserverpb.WatchResponse, error) {
	err := stream.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CreateRequest{CreateRequest: &etcdserverpb.WatchCreateRequest{
		Key: e.key("w/"), RangeEnd: e.key("w0"), StartRevision: revision, WatchId: id, PrevKv: true, Filters: filters}}})
	if err != nil {
		return nil, err
	}
	return next(stream)
}

func (e *etcdTester) checkWatch() {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	stream, err := e.watch.Watch(ctx)
	e.Check("etcd Watch", err)
	if err != nil {
		return
	}
	made, err := e.watchFrom(stream, 0, 0)
	e.Check("etcd Watch begins", first(err, node.Expect(made.GetCreated() && !made.Canceled && made.WatchId == 0, "got %v", made)))
	put := e.put("w/1", "x")
	got, err := next(stream)
	e.Check("etcd Watch hears of a put", first(err, node.Expect(len(got.GetEvents()) == 1 && got.Events[0].Type == mvccpb.PUT && string(got.Events[0].Kv.Value) == "x" &&
		got.Events[0].Kv.ModRevision == put.Header.Revision && got.Events[0].PrevKv == nil, "got %v", got)))
	e.put("elsewhere", "x")
	_, err = e.kv.DeleteRange(e.ctx, &etcdserverpb.DeleteRangeRequest{Key: e.key("w/1")})
	e.Check("etcd DeleteRange", err)
	got, err = next(stream)
	e.Check("etcd Watch hears of a delete and of nothing else", first(err, node.Expect(len(got.GetEvents()) == 1 && got.Events[0].Type == mvccpb.DELETE && got.Events[0].PrevKv != nil && string(got.Events[0].PrevKv.Value) == "x", "got %v", got)))

	made, err = e.watchFrom(stream, 7, put.Header.Revision, etcdserverpb.WatchCreateRequest_NODELETE)
	e.Check("etcd Watch from the past begins", first(err, node.Expect(made.GetCreated() && made.WatchId == 7, "got %v", made)))
	got, err = next(stream)
	e.Check("etcd Watch hears of the past", first(err, node.Expect(got.GetWatchId() == 7 && len(got.Events) == 1 && got.Events[0].Type == mvccpb.PUT, "got %v", got)))
	twice, err := e.watchFrom(stream, 7, 0)
	e.Check("etcd Watch with a number twice", first(err, node.Expect(twice.GetCanceled() && twice.CancelReason != "", "got %v", twice)))
	err = stream.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_CancelRequest{CancelRequest: &etcdserverpb.WatchCancelRequest{WatchId: 7}}})
	if err == nil {
		got, err = next(stream)
	}
	e.Check("etcd Watch ends one", first(err, node.Expect(got.GetCanceled() && got.WatchId == 7, "got %v", got)))
	err = stream.Send(&etcdserverpb.WatchRequest{RequestUnion: &etcdserverpb.WatchRequest_ProgressRequest{ProgressRequest: &etcdserverpb.WatchProgressRequest{}}})
	if err == nil {
		got, err = next(stream)
	}
	e.Check("etcd Watch tells its progress", first(err, node.Expect(len(got.GetEvents()) == 0 && got.Header.Revision >= put.Header.Revision, "got %v", got)))

	_, err = e.kv.Compact(e.ctx, &etcdserverpb.CompactionRequest{Revision: got.GetHeader().GetRevision()})
	e.Check("etcd Compact", err)
	late, err := e.watchFrom(stream, 8, put.Header.Revision)
	if err == nil {
		late, err = next(stream)
	}
	e.Check("etcd Watch from what is forgotten", first(err, node.Expect(late.GetCanceled() && late.CompactRevision > put.Header.Revision, "got %v", late)))
	err = stream.CloseSend()
	if err == nil {
		_, err = stream.Recv()
	}
	e.Check("etcd Watch ends well", node.Expect(err == io.EOF, "got %v", err))
}

func (e *etcdTester) checkLease() {
	grant, err := e.lease.LeaseGrant(e.ctx, &etcdserverpb.LeaseGrantRequest{TTL: 3})
	e.Check("etcd LeaseGrant", first(err, node.Expect(grant.GetID() > 0 && grant.TTL == 3, "got %v", grant)))
	_, err = e.lease.LeaseGrant(e.ctx, &etcdserverpb.LeaseGrantRequest{TTL: 3, ID: grant.GetID()})
	e.Check("etcd LeaseGrant twice", node.WantStatus(err, codes.FailedPrecondition, "already exists"))
	_, err = e.kv.Put(e.ctx, &etcdserverpb.PutRequest{Key: e.key("leased"), Lease: grant.GetID()})
	e.Check("etcd Put with a lease", err)
	left, err := e.lease.LeaseTimeToLive(e.ctx, &etcdserverpb.LeaseTimeToLiveRequest{ID: grant.GetID(), Keys: true})
	e.Check("etcd LeaseTimeToLive", first(err, node.Expect(left.GetTTL() >= 0 && left.GrantedTTL == 3 && len(left.Keys) == 1, "got %v", left)))
	all, err := e.lease.LeaseLeases(e.ctx, &etcdserverpb.LeaseLeasesRequest{})
	e.Check("etcd LeaseLeases", first(err, node.Expect(len(all.GetLeases()) > 0, "got %v", all)))

	alive, err := e.lease.LeaseKeepAlive(e.ctx)
	for i := 0; err == nil && i < 5; i++ {
		time.Sleep(time.Second)
		var got *etcdserverpb.LeaseKeepAliveResponse
		if err = alive.Send(&etcdserverpb.LeaseKeepAliveRequest{ID: grant.GetID()}); err == nil {
			got, err = alive.Recv()
		}
		err = first(err, node.Expect(got.GetTTL() == 3, "got %v", got))
	}
	e.Check("etcd LeaseKeepAlive", err)
	e.Check("a key kept alive is there", node.Expect(e.get("leased") != nil, "it is gone"))
	gone := false
	for i := 0; i < 200 && !gone; i++ {
		time.Sleep(100 * time.Millisecond)
		got, err := e.kv.Range(e.ctx, &etcdserverpb.RangeRequest{Key: e.key("leased")})
		gone = err == nil && len(got.Kvs) == 0
	}
	e.Check("a key whose lease ran out goes", node.Expect(gone, "it is still there"))
	left, err = e.lease.LeaseTimeToLive(e.ctx, &etcdserverpb.LeaseTimeToLiveRequest{ID: grant.GetID()})
	e.Check("etcd LeaseTimeToLive of what is gone", first(err, node.Expect(left.GetTTL() == -1, "got %v", left)))
	other, err := e.lease.LeaseGrant(e.ctx, &etcdserverpb.LeaseGrantRequest{TTL: 600})
	e.Check("etcd LeaseGrant of another", err)
	_, err = e.kv.Put(e.ctx, &etcdserverpb.PutRequest{Key: e.key("revoked"), Lease: other.GetID()})
	e.Check("etcd Put with it", err)
	_, err = e.lease.LeaseRevoke(e.ctx, &etcdserverpb.LeaseRevokeRequest{ID: other.GetID()})
	e.Check("etcd LeaseRevoke", first(err, node.Expect(e.get("revoked") == nil, "its key is still there")))
	_, err = e.lease.LeaseRevoke(e.ctx, &etcdserverpb.LeaseRevokeRequest{ID: other.GetID()})
	e.Check("etcd LeaseRevoke twice", node.WantStatus(err, codes.NotFound, "lease not found"))
}

func (e *etcdTester) checkStatus() {
	client := etcdserverpb.NewMaintenanceClient(e.PDConn)
	status, err := client.Status(e.ctx, &etcdserverpb.StatusRequest{})
	e.Check("etcd Status", first(err, node.Expect(status.GetLeader() == e.Members.Leader.MemberId && status.Version != "" && status.RaftTerm > 0 && status.Header.ClusterId == e.ClusterID, "got %v", status)))
	alarms, err := client.Alarm(e.ctx, &etcdserverpb.AlarmRequest{})
	e.Check("etcd Alarm", first(err, node.Expect(len(alarms.GetAlarms()) == 0, "got %v", alarms)))
}
