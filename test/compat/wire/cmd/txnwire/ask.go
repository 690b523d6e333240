package main

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const callTimeout = 20 * time.Second

// ask sends a request, with a context that is right if it has none, and
// expects that neither the call nor the region fails.
func ask[Response any](t *tester, request any) Response {
	response, err := send[Response](t, request)
	if err == nil {
		if region := regionError(response); region != nil {
			err = fmt.Errorf("region error %v", region)
		}
	}
	t.Check(fmt.Sprintf("%T", request), err)
	return response
}

func regionError(response any) *errorpb.Error {
	if r, ok := response.(interface{ GetRegionError() *errorpb.Error }); ok {
		return r.GetRegionError()
	}
	return nil
}

// send sends a request in the way that is tried.
func send[Response any](t *tester, request any) (Response, error) {
	var none Response
	field := reflect.ValueOf(request).Elem().FieldByName("Context")
	if field.IsNil() {
		field.Set(reflect.ValueOf(t.Context()))
	}
	ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
	defer cancel()
	wrapped := inBatch(request)
	if !t.batch || wrapped == nil {
		got, err := unary(ctx, t.KV, request)
		if err != nil {
			return none, err
		}
		return got.(Response), nil
	}
	whole, err := sendBatch(ctx, t, wrapped)
	if err != nil {
		return none, err
	}
	return outOfBatch[Response](whole)
}

func sendBatch(ctx context.Context, t *tester, wrapped *tikvpb.BatchCommandsRequest_Request) (*tikvpb.BatchCommandsResponse_Response, error) {
	stream, err := t.KV.BatchCommands(ctx)
	if err != nil {
		return nil, err
	}
	const id = 91
	if err = stream.Send(&tikvpb.BatchCommandsRequest{
		Requests: []*tikvpb.BatchCommandsRequest_Request{wrapped}, RequestIds: []uint64{id}}); err != nil {
		return nil, err
	}
	for {
		got, err := stream.Recv()
		if err != nil {
			return nil, err
		}
		for i, one := range got.RequestIds {
			if one == id {
				return got.Responses[i], nil
			}
		}
	}
}

// unary finds the call that takes such a request.
func unary(ctx context.Context, kv tikvpb.TikvClient, request any) (any, error) {
	client := reflect.ValueOf(kv)
	for i := 0; i < client.NumMethod(); i++ {
		method := client.Method(i)
		if method.Type().NumIn() != 3 || method.Type().In(1) != reflect.TypeOf(request) ||
			method.Type().Out(0).Kind() != reflect.Pointer {
			continue
		}
		out := method.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(request)})
		err, _ := out[1].Interface().(error)
		return out[0].Interface(), err
	}
	return nil, fmt.Errorf("no call takes a %T", request)
}

// inBatch wraps a request, or is nil if batches cannot hold it.
func inBatch(request any) *tikvpb.BatchCommandsRequest_Request {
	for _, one := range (*tikvpb.BatchCommandsRequest_Request)(nil).XXX_OneofWrappers() {
		kind := reflect.TypeOf(one).Elem()
		if kind.Field(0).Type == reflect.TypeOf(request) {
			wrapper := reflect.New(kind)
			wrapper.Elem().Field(0).Set(reflect.ValueOf(request))
			whole := &tikvpb.BatchCommandsRequest_Request{}
			reflect.ValueOf(whole).Elem().FieldByName("Cmd").Set(wrapper)
			return whole
		}
	}
	return nil
}

func outOfBatch[Response any](whole *tikvpb.BatchCommandsResponse_Response) (Response, error) {
	var none Response
	if whole.GetCmd() == nil {
		return none, errors.New("the response is empty")
	}
	inner := reflect.ValueOf(whole.Cmd).Elem().Field(0).Interface()
	response, ok := inner.(Response)
	if !ok {
		return none, fmt.Errorf("the response is a %T", inner)
	}
	return response, nil
}

// The requests that most checks send.

func put(key []byte, value string) *kvrpcpb.Mutation {
	return &kvrpcpb.Mutation{Op: kvrpcpb.Op_Put, Key: key, Value: []byte(value)}
}

func del(key []byte) *kvrpcpb.Mutation {
	return &kvrpcpb.Mutation{Op: kvrpcpb.Op_Del, Key: key}
}

// prewriteRequest is one of 2PC, whose primary is the first key.
func prewriteRequest(start uint64, mutations ...*kvrpcpb.Mutation) *kvrpcpb.PrewriteRequest {
	return &kvrpcpb.PrewriteRequest{Mutations: mutations, PrimaryLock: mutations[0].Key, StartVersion: start,
		LockTtl: 3000, TxnSize: uint64(len(mutations)), MinCommitTs: start + 1}
}

func (t *tester) prewrite(request *kvrpcpb.PrewriteRequest) *kvrpcpb.PrewriteResponse {
	return ask[*kvrpcpb.PrewriteResponse](t, request)
}

// mustPrewrite writes locks and gives the transaction's start timestamp.
func (t *tester) mustPrewrite(mutations ...*kvrpcpb.Mutation) uint64 {
	start := t.ts()
	got := t.prewrite(prewriteRequest(start, mutations...))
	t.want(len(got.GetErrors()) == 0, "prewrite", got)
	return start
}

// shortLived writes locks that live for a millisecond.
func (t *tester) shortLived(mutations ...*kvrpcpb.Mutation) uint64 {
	request := prewriteRequest(t.ts(), mutations...)
	request.LockTtl = 1
	got := t.prewrite(request)
	t.want(len(got.GetErrors()) == 0, "prewrite", got)
	return request.StartVersion
}

// later is a timestamp at which they are dead.
func (t *tester) later() uint64 {
	time.Sleep(4 * time.Millisecond)
	return t.ts()
}

func (t *tester) commit(start, commit uint64, keys ...[]byte) *kvrpcpb.CommitResponse {
	return ask[*kvrpcpb.CommitResponse](t, &kvrpcpb.CommitRequest{StartVersion: start, CommitVersion: commit, Keys: keys})
}

// store commits a value and gives both timestamps.
func (t *tester) store(key []byte, value string) (start, commit uint64) {
	start = t.mustPrewrite(put(key, value))
	commit = t.ts()
	got := t.commit(start, commit, key)
	t.want(got.GetError() == nil && got.GetCommitVersion() == commit, "commit", got)
	return start, commit
}

func (t *tester) rollback(start uint64, keys ...[]byte) *kvrpcpb.BatchRollbackResponse {
	return ask[*kvrpcpb.BatchRollbackResponse](t, &kvrpcpb.BatchRollbackRequest{StartVersion: start, Keys: keys})
}

func (t *tester) get(key []byte, version uint64) *kvrpcpb.GetResponse {
	return ask[*kvrpcpb.GetResponse](t, &kvrpcpb.GetRequest{Key: key, Version: version})
}

// expect reads at a new timestamp; "" means absent.
func (t *tester) expect(key []byte, value string, what string) {
	got := t.get(key, t.ts())
	t.want(got.GetError() == nil && string(got.GetValue()) == value && got.GetNotFound() == (value == ""), what, got)
}

// status asks after a transaction by its primary key.
func (t *tester) status(request *kvrpcpb.CheckTxnStatusRequest) *kvrpcpb.CheckTxnStatusResponse {
	return ask[*kvrpcpb.CheckTxnStatusResponse](t, request)
}

// lockRequest is one of a transaction that locks its first key.
func lockRequest(start, forUpdate uint64, keys ...[]byte) *kvrpcpb.PessimisticLockRequest {
	request := &kvrpcpb.PessimisticLockRequest{PrimaryLock: keys[0], StartVersion: start, ForUpdateTs: forUpdate,
		LockTtl: 20000, WaitTimeout: -1, MinCommitTs: forUpdate + 1}
	for _, key := range keys {
		request.Mutations = append(request.Mutations, &kvrpcpb.Mutation{Op: kvrpcpb.Op_PessimisticLock, Key: key})
	}
	return request
}

func (t *tester) lock(request *kvrpcpb.PessimisticLockRequest) *kvrpcpb.PessimisticLockResponse {
	return ask[*kvrpcpb.PessimisticLockResponse](t, request)
}

// mustLock takes pessimistic locks and gives the start timestamp.
func (t *tester) mustLock(keys ...[]byte) uint64 {
	start := t.ts()
	got := t.lock(lockRequest(start, start, keys...))
	t.want(len(got.GetErrors()) == 0, "pessimistic lock", got)
	return start
}

// lone makes sure that nothing but the named part of a key error is set.
func lone(e *kvrpcpb.KeyError, part string) bool {
	if e == nil {
		return false
	}
	value := reflect.ValueOf(e).Elem()
	for i := 0; i < value.NumField(); i++ {
		field := value.Type().Field(i)
		if len(field.Name) > 4 && field.Name[:4] == "XXX_" || field.Name == "DebugInfo" {
			continue
		}
		// A text for people stands beside some of the others.
		optional := field.Name == "Retryable" && (part == "Conflict" || part == "TxnLockNotFound")
		if value.Field(i).IsZero() == (field.Name == part) && !optional {
			return false
		}
	}
	return true
}

func first(errs []*kvrpcpb.KeyError) *kvrpcpb.KeyError {
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}

// aborts makes sure that a key error is only a text with such a name in it.
func aborts(e *kvrpcpb.KeyError, name string) bool {
	return lone(e, "Abort") && strings.Contains(e.Abort, name)
}

// answered makes sure that a request gets an answer of its own, be it a
// refusal: neither silence nor a broken connection.
func answered(t *tester, request any) {
	var err error
	wrapped := inBatch(request)
	field := reflect.ValueOf(request).Elem().FieldByName("Context")
	field.Set(reflect.ValueOf(t.Context()))
	ctx, cancel := context.WithTimeout(t.ctx, callTimeout)
	defer cancel()
	if t.batch && wrapped != nil {
		_, err = sendBatch(ctx, t, wrapped)
	} else {
		_, err = unary(ctx, t.KV, request)
	}
	if code := status.Code(err); code == codes.InvalidArgument {
		err = nil
	}
	t.Check(fmt.Sprintf("%T %v", request, request), err)
}
