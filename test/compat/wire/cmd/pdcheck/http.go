package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"

	"github.com/pingcap/kvproto/pkg/pdpb"

	"tikv_fdw/test/compat/wire/internal/node"
)

// createKeyspace makes one the way that tools do.
func (t *tester) createKeyspace(name string) (uint32, error) {
	body, _ := json.Marshal(map[string]any{"name": name, "config": map[string]string{"made_by": "compat"}})
	answer, err := http.Post("http://"+t.PDAddr+"/pd/api/v2/keyspaces", "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%s: %s %v", answer.Status, text, err)
	}
	var made struct {
		ID    uint32 `json:"id"`
		State string `json:"state"`
	}
	err = json.Unmarshal(text, &made)
	return made.ID, first(err, node.Expect(made.ID > 0 && made.State == "ENABLED", "got %s", text))
}

// checkSafePointKey: the key of the safe point follows the GC state, and
// writing it moves the state.
func (t *tester) checkSafePointKey() {
	const key = "/tidb/store/gcworker/saved_safe_point"
	kv := etcdserverpb.NewKVClient(t.PDConn)
	state := t.gcState("for its key")
	put, err := kv.Put(t.ctx, &etcdserverpb.PutRequest{Key: []byte(key), Value: []byte(strconv.FormatUint(state.TxnSafePoint+1, 10))})
	t.Check("etcd Put of the safe point", first(err, node.Expect(put.GetHeader() != nil, "got %v", put)))
	t.Check("which moves it", node.Expect(t.gcState("after the put").TxnSafePoint == state.TxnSafePoint+1, "it does not"))
	_, err = kv.Put(t.ctx, &etcdserverpb.PutRequest{Key: []byte(key), Value: []byte("18446744073709551615")})
	t.Check("etcd Put of one beyond all timestamps", node.WantStatus(err, codes.FailedPrecondition))
	_, err = kv.Put(t.ctx, &etcdserverpb.PutRequest{Key: []byte(key), Value: []byte("1")})
	t.Check("etcd Put of a lower one", node.WantStatus(err, codes.FailedPrecondition))
	_, err = kv.Put(t.ctx, &etcdserverpb.PutRequest{Key: []byte(key), Value: []byte("soon")})
	t.Check("etcd Put of what is no number", node.WantStatus(err, codes.InvalidArgument))
	_, err = kv.DeleteRange(t.ctx, &etcdserverpb.DeleteRangeRequest{Key: []byte(key)})
	t.Check("etcd DeleteRange of it", node.WantStatus(err, codes.FailedPrecondition))
	move, err := t.PD.AdvanceTxnSafePoint(t.ctx, &pdpb.AdvanceTxnSafePointRequest{Header: t.Header(), KeyspaceScope: scope(), Target: state.TxnSafePoint + 2})
	t.Check("AdvanceTxnSafePoint", t.well(move.GetHeader(), err))
	got, err := kv.Range(t.ctx, &etcdserverpb.RangeRequest{Key: []byte(key)})
	t.Check("etcd Range of it", first(err, node.Expect(len(got.GetKvs()) == 1 && string(got.Kvs[0].Value) == strconv.FormatUint(move.GetNewTxnSafePoint(), 10), "got %v", got)))
}
