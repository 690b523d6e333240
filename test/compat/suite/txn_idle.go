package suite

import (
	"context"
	"fmt"
	"time"
)

// RunTxnIdle leaves the client alone for so long, after which everything has
// to work at once: a client refuses all reads once it has not heard of the
// safe point for a while, and connections may have died unnoticed.
func RunTxnIdle(client Txns, name string, quiet time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), quiet+time.Minute)
	defer cancel()
	r := &txnRun{ctx: ctx, client: client}
	r.prefix = []byte(fmt.Sprintf("compat/%s/%d/idle/", name, time.Now().UnixNano()))
	return r.perform(txnStep{"idle", func(r *txnRun) {
		m := r.mostly(50)
		r.store(m)
		before := r.now()
		time.Sleep(quiet)
		r.expectModel(r.client.Snapshot(r.now()), m, "now")
		r.expectModel(r.client.Snapshot(before), m, "as of before")
		for _, way := range everyWay() {
			txn := r.begin(way)
			for key := range m {
				if way.Pessimistic {
					r.mustLock(txn, []byte(key))
				}
				m[key] = []byte(way.String())
				r.ok(txn.Set([]byte(key), m[key]), "set")
			}
			r.ok(txn.Commit(r.ctx), "%v: commit", way)
			r.expectModel(r.client.Snapshot(r.now()), m, way.String())
		}
	}})
}
