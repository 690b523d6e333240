// sqlcheck lets SQL transactions and those of client-go meet on the same keys:
// each sees the other's commits, waits for its locks and loses or wins a
// conflict as between two of a kind.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/tikv/client-go/v2/config"
	tikverr "github.com/tikv/client-go/v2/error"
	"github.com/tikv/client-go/v2/txnkv"
	"github.com/tikv/client-go/v2/txnkv/transaction"

	"tikv_fdw/test/compat/suite"
)

// run is one run of the program: its clients, and a prefix for its keys.
type run struct {
	ctx    context.Context
	client *txnkv.Client
	prefix string
}

// failed is what ends a check.
type failed struct{ text string }

func (r *run) fail(format string, args ...any) {
	panic(failed{fmt.Sprintf(format, args...)})
}

func (r *run) ok(err error, format string, args ...any) {
	if err != nil {
		r.fail("%s: %v", fmt.Sprintf(format, args...), err)
	}
}

func (r *run) same(got, want any, format string, args ...any) {
	if got != want {
		r.fail("%s: got %v, want %v", fmt.Sprintf(format, args...), got, want)
	}
}

func (r *run) key(name string) []byte {
	return []byte(r.prefix + name)
}

// session is a SQL session.
type session struct {
	*pgx.Conn
	r *run
}

func (r *run) session() *session {
	conn, err := pgx.Connect(r.ctx, "")
	r.ok(err, "connect to SQL")
	return &session{conn, r}
}

func (s *session) close() { _ = s.Close(s.r.ctx) }

// try runs a statement and gives its SQLSTATE, "" if it succeeded.
func (s *session) try(sql string, args ...any) (string, *pgconn.PgError) {
	_, err := s.Exec(s.r.ctx, sql, args...)
	return state(s.r, err, sql)
}

func state(r *run, err error, sql string) (string, *pgconn.PgError) {
	var e *pgconn.PgError
	if err == nil {
		return "", nil
	}
	if !errors.As(err, &e) {
		r.fail("%s: %v", sql, err)
	}
	return e.Code, e
}

func (s *session) do(sql string, args ...any) {
	if code, e := s.try(sql, args...); code != "" {
		s.r.fail("%s: %s %s (%s)", sql, code, e.Message, e.Detail)
	}
}

func (s *session) get(key []byte) string {
	var value []byte
	s.r.ok(s.QueryRow(s.r.ctx, "SELECT tikv_txn_get($1)", key).Scan(&value), "tikv_txn_get")
	return string(value)
}

func (s *session) put(key []byte, value string) (string, *pgconn.PgError) {
	return s.try("SELECT tikv_txn_put($1, $2)", key, []byte(value))
}

// later runs a statement elsewhere; its state comes when it ends.
func (s *session) later(sql string, args ...any) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := s.Exec(s.r.ctx, sql, args...)
		done <- err
	}()
	return done
}

// begin starts a transaction of client-go, pessimistic or not.
func (r *run) begin(pessimistic bool) *transaction.KVTxn {
	txn, err := r.client.Begin()
	r.ok(err, "begin")
	txn.SetPessimistic(pessimistic)
	txn.SetEnable1PC(true)
	txn.SetEnableAsyncCommit(true)
	return txn
}

func (r *run) goGet(key []byte) string {
	entry, err := r.begin(false).Get(r.ctx, key)
	if tikverr.IsErrNotFound(err) {
		return ""
	}
	r.ok(err, "get %q", key)
	return string(entry.Value)
}

func (r *run) goPut(key []byte, value string) {
	txn := r.begin(false)
	r.ok(txn.Set(key, []byte(value)), "set %q", key)
	r.ok(txn.Commit(r.ctx), "commit %q", key)
}

// waitFor asks until a query answers true.
func (s *session) waitFor(sql string, args ...any) {
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var yes bool
		s.r.ok(s.QueryRow(s.r.ctx, sql, args...).Scan(&yes), "%s", sql)
		if yes {
			return
		}
	}
	s.r.fail("never came true: %s", sql)
}

func main() {
	store, err := suite.StoreFromEnv()
	if err != nil || os.Getenv("TIKV_PD") == "" {
		fmt.Fprintln(os.Stderr, "sqlcheck: TIKV_PD:", os.Getenv("TIKV_PD"), err)
		os.Exit(2)
	}
	config.UpdateGlobal(func(c *config.Config) { c.Security = security() })
	atomic.StoreUint64(&transaction.ManagedLockTTL, uint64(suite.LockTTL.Milliseconds()))
	var options []txnkv.ClientOpt
	if store.API == "V2" {
		options = append(options, txnkv.WithAPIVersion(kvrpcpb.APIVersion_V2), txnkv.WithKeyspace("DEFAULT"))
	}
	client, err := txnkv.NewClient(strings.Split(os.Getenv("TIKV_PD"), ","), options...)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sqlcheck:", err)
		os.Exit(1)
	}
	for _, c := range checks {
		if err := runCheck(client, c); err != nil {
			fmt.Fprintf(os.Stderr, "sqlcheck: %s: %v\n", c.name, err)
			os.Exit(1)
		}
		fmt.Println("ok", c.name)
	}
	_ = client.Close()
	time.Sleep(100 * time.Millisecond) // what the client logs at its end comes first
	fmt.Printf("sqlcheck: %d checks\n", len(checks))
}

// security is what TIKV_CA, TIKV_CERT and TIKV_KEY name: TLS, if they are set.
func security() config.Security {
	return config.NewSecurity(os.Getenv("TIKV_CA"), os.Getenv("TIKV_CERT"), os.Getenv("TIKV_KEY"), nil)
}

func runCheck(client *txnkv.Client, c check) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			f, ours := p.(failed)
			if !ours {
				panic(p)
			}
			err = errors.New(f.text)
		}
	}()
	c.run(&run{ctx, client, fmt.Sprintf("sqlcheck/%d/", time.Now().UnixNano())})
	return nil
}
