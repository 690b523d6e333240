package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"

	"tikv_fdw/test/compat/wire/internal/node"
)

// More requests wait for one lock than fit into any queue on their way. Who
// holds the lock must still be served, or nobody would ever get it. Every
// connection may be served by another process.
func (t *tester) waiters() error {
	const connections, perConnection = 12, 150
	ts, err := t.now()
	if err != nil {
		return err
	}
	key := t.key("wanted")
	mutations := []*kvrpcpb.Mutation{{Op: kvrpcpb.Op_PessimisticLock, Key: key}}
	held, err := t.KV.KvPessimisticLock(t.ctx, &kvrpcpb.PessimisticLockRequest{Context: t.Context(), PrimaryLock: key,
		StartVersion: ts, ForUpdateTs: ts, LockTtl: 60000, Mutations: mutations})
	if err != nil || len(held.Errors) > 0 || held.RegionError != nil {
		return fmt.Errorf("lock: %v %v", held, err)
	}
	var clients []tikvpb.TikvClient
	for i := 0; i < connections; i++ {
		conn, err := node.Dial(t.StoreAddr)
		if err != nil {
			return err
		}
		defer conn.Close()
		clients = append(clients, tikvpb.NewTikvClient(conn))
	}
	var wait sync.WaitGroup
	for i := 0; i < connections*perConnection; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			start := ts + 1 + uint64(i)
			_, _ = clients[i%connections].KvPessimisticLock(t.ctx, &kvrpcpb.PessimisticLockRequest{Context: t.Context(), PrimaryLock: key,
				StartVersion: start, ForUpdateTs: start, LockTtl: 1, WaitTimeout: 1000, IsFirstLock: true, Mutations: mutations})
		}()
	}
	time.Sleep(500 * time.Millisecond)
	for i, client := range clients {
		beat, err := client.KvTxnHeartBeat(t.ctx, &kvrpcpb.TxnHeartBeatRequest{Context: t.Context(), PrimaryLock: key, StartVersion: ts, AdviseLockTtl: uint64(60001 + i)})
		if err != nil || beat.Error != nil || beat.RegionError != nil {
			return fmt.Errorf("heart beat over connection %d: %v %v", i, beat, err)
		}
	}
	wait.Wait()
	undone, err := t.KV.KVPessimisticRollback(t.ctx, &kvrpcpb.PessimisticRollbackRequest{Context: t.Context(), StartVersion: ts, ForUpdateTs: ts, Keys: [][]byte{key}})
	if err != nil || len(undone.Errors) > 0 || undone.RegionError != nil {
		return fmt.Errorf("rollback: %v %v", undone, err)
	}
	return nil
}
