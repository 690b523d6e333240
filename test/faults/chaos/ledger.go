package main

import (
	"context"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"tikv_fdw/test/faults/cluster"
)

// ledger is keys that are written once, through any node: raw ones, and pairs of
// transactional ones in two regions.  What was acknowledged every node must have.
type ledger struct {
	cluster *cluster.Cluster
	cancel  context.CancelFunc
	wait    sync.WaitGroup
	next    atomic.Int64
	raw     atomic.Int64 // acknowledged since the beginning
	txn     atomic.Int64

	mutex   sync.Mutex
	keys    map[bool]map[string]string // acknowledged; true: transactional
	strange error
}

// Keys of a ledger begin with one of so many prefixes, with a region for each
// (splits), and there are some MB before anybody works.
const (
	prefixes    = 5
	loadEach    = 500
	loadValue   = 32 // MD5 sums
	ledgerLong  = 20 * time.Second
	ledgerPause = 5 * time.Millisecond
)

// Transactional keys are not for the isolation level that sessions have here.
var snapshot = pgx.TxOptions{IsoLevel: pgx.RepeatableRead}

func ledgerPrefix(i int) string { return fmt.Sprintf("grow/%03d/", i) }

func newLedger(c *cluster.Cluster) *ledger {
	return &ledger{cluster: c, keys: map[bool]map[string]string{false: {}, true: {}}}
}

// load the first of its keys.
func (l *ledger) load() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, l.cluster.DSN())
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	for i := 0; i < prefixes; i++ {
		rows, err := conn.Query(ctx, `WITH loaded AS MATERIALIZED (
			SELECT key, convert_to(repeat(md5(key), $2), 'UTF8') AS value
			FROM generate_series(1, $3::int) n, format('%sload/%s', $1::text, n) AS key),
			put AS MATERIALIZED (SELECT tikv_batch_put(array_agg(convert_to(key, 'UTF8')), array_agg(value)) FROM loaded)
			SELECT key, value FROM loaded, put`, ledgerPrefix(i), loadValue, loadEach)
		if err == nil {
			var key string
			var value []byte
			_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error {
				l.keys[false][key] = string(value)
				return nil
			})
		}
		if err != nil {
			return fmt.Errorf("the first keys: %w", err)
		}
	}
	if len(l.keys[false]) != prefixes*loadEach {
		return fmt.Errorf("%d keys were loaded, not %d", len(l.keys[false]), prefixes*loadEach)
	}
	return nil
}

func (l *ledger) start(writers int, seed int64) {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	for i := 0; i < writers; i++ {
		l.wait.Add(1)
		go func() {
			defer l.wait.Done()
			random := rand.New(rand.NewSource(seed + int64(i)))
			for ctx.Err() == nil {
				l.session(ctx, random)
				time.Sleep(retryPause)
			}
		}()
	}
}

func (l *ledger) stop() {
	l.cancel()
	l.wait.Wait()
}

// session with some node, until it breaks or has done enough.
func (l *ledger) session(parent context.Context, random *rand.Rand) {
	ctx, cancel := context.WithTimeout(parent, ledgerLong)
	defer cancel()
	node, asked := l.cluster.Some(random), time.Now()
	conn, err := pgx.Connect(ctx, l.cluster.DSNOf(node))
	if err != nil {
		l.note(l.cluster.ErrorOfSQL(node, asked, err))
		return
	}
	defer conn.Close(context.Background())
	for i := 0; i < 100 && parent.Err() == nil; i++ {
		asked = time.Now()
		if err = l.write(ctx, conn, random); err != nil {
			if parent.Err() == nil {
				l.note(l.cluster.ErrorOfSQL(node, asked, err))
			}
			return
		}
		time.Sleep(ledgerPause)
	}
}

// write a key, or two as one.
func (l *ledger) write(ctx context.Context, conn *pgx.Conn, random *rand.Rand) error {
	number := l.next.Add(1)
	one, two := random.Intn(prefixes), random.Intn(prefixes)
	keys := []string{fmt.Sprintf("%s%08d", ledgerPrefix(one), number)}
	value := fmt.Sprintf("written %d", number)
	if number%2 == 0 {
		if _, err := conn.Exec(ctx, "SELECT tikv_put($1, $2)", []byte(keys[0]), []byte(value)); err != nil {
			return err
		}
		l.acknowledged(false, value, keys...)
		return nil
	}
	keys = append(keys, fmt.Sprintf("%s%08d/second", ledgerPrefix(two), number))
	tx, err := conn.BeginTx(ctx, snapshot)
	for _, key := range keys {
		if err == nil {
			_, err = tx.Exec(ctx, "SELECT tikv_txn_put($1, $2)", []byte(key), []byte(value))
		}
	}
	if err == nil {
		err = tx.Commit(ctx)
	}
	if err == nil {
		l.acknowledged(true, value, keys...)
	}
	return err
}

func (l *ledger) acknowledged(transactional bool, value string, keys ...string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	for _, key := range keys {
		l.keys[transactional][key] = value
	}
	if transactional {
		l.txn.Add(1)
	} else {
		l.raw.Add(1)
	}
}

func (l *ledger) note(err error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.strange == nil {
		l.strange = err
	}
}

// mayNotBe is the first answer that is wrong in kind.
func (l *ledger) mayNotBe() error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.strange
}

// everywhere: each of the nodes has all that was acknowledged by now.
func (l *ledger) everywhere() error {
	for _, node := range l.cluster.Here() {
		for _, transactional := range []bool{false, true} {
			l.mutex.Lock()
			want := maps.Clone(l.keys[transactional])
			l.mutex.Unlock()
			has, err := l.read(node, transactional)
			if err != nil {
				return fmt.Errorf("node %d cannot be read: %w", node, err)
			}
			if err = lacks(want, has); err != nil {
				return fmt.Errorf("node %d, transactional %v: %w", node, transactional, err)
			}
		}
	}
	return nil
}

// lacks says what of the acknowledged is not there.
func lacks(want, has map[string]string) error {
	var gone []string
	for key, value := range want {
		if found, there := has[key]; !there || found != value {
			gone = append(gone, key)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	slices.Sort(gone)
	return fmt.Errorf("%d of %d acknowledged keys are not there, or another value: %s", len(gone), len(want),
		strings.Join(gone[:min(len(gone), 5)], ", "))
}

// read all keys by one statement of a node, which is repeated while it may fail.
func (l *ledger) read(node int, transactional bool) (has map[string]string, err error) {
	function := "tikv_scan"
	if transactional {
		function = "tikv_txn_scan"
	}
	for began := time.Now(); time.Since(began) < time.Minute; time.Sleep(100 * time.Millisecond) {
		asked := time.Now()
		if has, err = l.readOnce(node, function); err == nil {
			return has, nil
		}
		if e := l.cluster.ErrorOfSQL(node, asked, err); e != nil {
			return nil, e
		}
	}
	return nil, err
}

func (l *ledger) readOnce(node int, function string) (has map[string]string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, l.cluster.DSNOf(node))
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.Background())
	tx, err := conn.BeginTx(ctx, snapshot)
	if err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, "SELECT key, value FROM "+function+"('grow/', 'grow0')")
	if err != nil {
		return nil, err
	}
	has = map[string]string{}
	var key, value []byte
	_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error {
		has[string(key)] = string(value)
		return nil
	})
	return has, err
}

// forget one of the acknowledged keys behind the ledger's back: that it is
// missed shows that others would be.
func (l *ledger) forget() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, l.cluster.DSNOf(l.cluster.Here()[0]))
	if err != nil {
		return err
	}
	defer conn.Close(context.Background())
	key := ledgerPrefix(0) + "load/1"
	if _, err = conn.Exec(ctx, "SELECT tikv_delete($1)", []byte(key)); err != nil {
		return err
	}
	if err = l.everywhere(); err == nil {
		return fmt.Errorf("nobody misses %s, which was deleted", key)
	}
	if !strings.Contains(err.Error(), "1 of ") || !strings.Contains(err.Error(), key) {
		return fmt.Errorf("%s was deleted, and is not what is missed: %w", key, err)
	}
	return nil
}
