// keyspaces makes two keyspaces that lie side by side and works in both at
// once: the same keys are others there, and no scan, however open its bounds,
// leaves its own. With -make it makes one and prints its name and id.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/tikv/client-go/v2/config"
	"github.com/tikv/client-go/v2/rawkv"
	"github.com/tikv/client-go/v2/txnkv"
)

// space is a keyspace and the clients that work in it.
type space struct {
	name string
	id   int64
	raw  *rawkv.Client
	txn  *txnkv.Client
}

type run struct {
	ctx    context.Context
	sql    *pgx.Conn
	spaces []*space
}

type failed struct{ text string }

func (r *run) ok(err error, format string, args ...any) {
	if err != nil {
		panic(failed{fmt.Sprintf(format, args...) + ": " + err.Error()})
	}
}

func (r *run) same(got, want any, format string, args ...any) {
	if g, w := fmt.Sprintf("%q", got), fmt.Sprintf("%q", want); g != w {
		panic(failed{fmt.Sprintf("%s: got %s, want %s", fmt.Sprintf(format, args...), g, w)})
	}
}

// makeSpace names the keyspace by the time; a name has 20 letters at most.
func (r *run) makeSpace(name string) *space {
	s := &space{name: fmt.Sprintf("%s%d", name, time.Now().UnixMicro()%1e9)}
	r.ok(r.sql.QueryRow(r.ctx, "SELECT tikv_create_keyspace($1)", s.name).Scan(&s.id), "make keyspace %s", s.name)
	return s
}

func (s *space) connect(ctx context.Context) (err error) {
	addrs := strings.Split(os.Getenv("TIKV_PD"), ",")
	s.raw, err = rawkv.NewClientWithOpts(ctx, addrs, rawkv.WithSecurity(config.GetGlobalConfig().Security),
		rawkv.WithAPIVersion(kvrpcpb.APIVersion_V2), rawkv.WithKeyspace(s.name))
	if err != nil {
		return err
	}
	s.raw.SetAtomicForCAS(true)
	s.txn, err = txnkv.NewClient(addrs, txnkv.WithAPIVersion(kvrpcpb.APIVersion_V2), txnkv.WithKeyspace(s.name))
	return err
}

func main() {
	only := flag.Bool("make", false, "make a keyspace, print its name and id, and end")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	r := &run{ctx: ctx}
	if err := r.run(*only); err != nil {
		fmt.Fprintln(os.Stderr, "keyspaces:", err)
		os.Exit(1)
	}
}

func (r *run) run(only bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			f, ours := p.(failed)
			if !ours {
				panic(p)
			}
			err = fmt.Errorf("%s", f.text)
		}
	}()
	r.sql, err = pgx.Connect(r.ctx, "")
	r.ok(err, "connect")
	if only {
		s := r.makeSpace("compat")
		fmt.Println(s.name, s.id)
		return nil
	}
	config.UpdateGlobal(func(c *config.Config) {
		c.Security = config.NewSecurity(os.Getenv("TIKV_CA"), os.Getenv("TIKV_CERT"), os.Getenv("TIKV_KEY"), nil)
	})
	for _, name := range []string{"left", "right"} {
		s := r.makeSpace(name)
		r.ok(s.connect(r.ctx), "connect to keyspace %s", s.name)
		r.spaces = append(r.spaces, s)
	}
	r.same(r.spaces[1].id, r.spaces[0].id+1, "the id of the second keyspace")
	r.checkRaw()
	r.checkTxn()
	for _, s := range r.spaces {
		_ = s.raw.Close()
		_ = s.txn.Close()
	}
	time.Sleep(100 * time.Millisecond) // what the clients log at their end comes first
	fmt.Println("keyspaces: raw keys and transactions of two")
	return nil
}
