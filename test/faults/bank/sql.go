package bank

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"sort"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tikv_fdw/test/faults/cluster"
)

// session is a client that speaks SQL: the same keys, through tikv_txn_*, on
// any node.
type session struct {
	client
	cluster *cluster.Cluster
	conn    *pgx.Conn
	node    int // that it is connected to
}

func startSessions(ctx context.Context, c *cluster.Cluster, crew *Crew, w *World, size Size, seed int64) {
	jobs := []struct {
		n  int
		do func(*session, context.Context) error
	}{{size.SQLTransferrers, (*session).transfer}, {size.SQLAppenders, (*session).append},
		{size.SQLReaders, (*session).read}}
	n := 0
	for _, job := range jobs {
		for i := 0; i < job.n; i++ {
			s := &session{client: client{crew: crew, world: w, random: rand.New(rand.NewSource(seed - int64(n)))}, cluster: c}
			n++
			crew.wait.Add(1)
			go func() {
				defer crew.wait.Done()
				s.client.work(ctx, func(_ *client, ctx context.Context) error { return s.connected(ctx, job.do) })
				if s.conn != nil {
					_ = s.conn.Close(context.Background())
				}
			}()
		}
	}
}

// connected does a job over the session's connection, which an error may end.
func (s *session) connected(parent context.Context, do func(*session, context.Context) error) error {
	ctx, cancel := context.WithTimeout(parent, patience)
	defer cancel()
	asked := time.Now()
	if s.conn == nil || s.conn.IsClosed() {
		s.node = s.cluster.Some(s.random)
		conn, err := pgx.Connect(ctx, s.cluster.DSNOf(s.node))
		if e := s.cluster.ErrorOfSQL(s.node, asked, err); e != nil {
			return violation{e.Error()}
		}
		if err != nil {
			return err
		}
		s.conn = conn
	}
	err := do(s, ctx)
	if err != nil && !s.conn.IsClosed() {
		if e := s.cluster.ErrorOfSQL(s.node, asked, err); e != nil {
			return violation{e.Error()}
		}
		// Another node may serve what this one does not.
		if s.cluster.Nodes > 1 && isCode(err, "57P03") {
			_ = s.conn.Close(ctx)
			return err
		}
		if _, e := s.conn.Exec(ctx, "ROLLBACK"); e != nil {
			_ = s.conn.Close(ctx)
		}
	}
	return err
}

// open begins a transaction of a random kind; true if it locks what it reads.
func (s *session) open(ctx context.Context) (locks bool, err error) {
	mode := []string{"pessimistic", "optimistic"}[s.random.Intn(2)]
	level := "REPEATABLE READ"
	if mode == "pessimistic" && s.random.Intn(2) == 0 {
		level, locks = "READ COMMITTED", true
	}
	_, err = s.conn.Exec(ctx, "SET tikv.txn_mode = "+mode)
	if err == nil {
		_, err = s.conn.Exec(ctx, "BEGIN ISOLATION LEVEL "+level)
	}
	return locks, err
}

func (s *session) value(ctx context.Context, locks bool, key []byte) (v []byte, err error) {
	function := "tikv_txn_get"
	if locks {
		function = "tikv_txn_lock"
	}
	err = s.conn.QueryRow(ctx, "SELECT "+function+"($1)", key).Scan(&v)
	return v, err
}

func (s *session) put(ctx context.Context, key, value []byte) error {
	_, err := s.conn.Exec(ctx, "SELECT tikv_txn_put($1, $2)", key, value)
	return err
}

func isCode(err error, codes ...string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && slices.Contains(codes, e.Code)
}

// end commits. An error of the server is final, unless it says that it does not
// know.
func (s *session) end(ctx context.Context) (outcome, error) {
	_, err := s.conn.Exec(ctx, "COMMIT")
	if err == nil {
		s.world.Committed.Add(1)
		s.world.BySQL.Add(1)
		return committed, nil
	}
	if isCode(err, "40001", "40P01", "55P03") {
		s.world.Failed.Add(1)
		return refused, err
	}
	s.world.Unknown.Add(1)
	return unknown, err
}

func (s *session) transfer(ctx context.Context) error {
	a := s.random.Intn(accounts)
	b := (a + 1 + s.random.Intn(accounts-1)) % accounts
	keys := [][]byte{accountKey(a), accountKey(b)}
	locks, err := s.open(ctx)
	if err != nil {
		return err
	}
	var balance [2]uint64
	for i, k := range keys {
		v, err := s.value(ctx, locks, k)
		if err == nil {
			balance[i], err = parseNumber(v)
		}
		if err != nil {
			return err
		}
	}
	amount := min(uint64(s.random.Intn(20)), balance[0])
	padding := s.random.Intn(2) * 300
	// What a savepoint takes back must leave nothing.
	if s.random.Intn(4) == 0 {
		if _, err := s.conn.Exec(ctx, "SAVEPOINT s"); err != nil {
			return err
		}
		if err := s.put(ctx, keys[0], number(balance[0]+7, 0)); err != nil {
			return err
		}
		if _, err := s.conn.Exec(ctx, "ROLLBACK TO s"); err != nil {
			return err
		}
	}
	if err := s.put(ctx, keys[0], number(balance[0]-amount, padding)); err != nil {
		return err
	}
	if err := s.put(ctx, keys[1], number(balance[1]+amount, padding)); err != nil {
		return err
	}
	if s.dies() {
		return s.conn.Close(ctx)
	}
	_, err = s.end(ctx)
	return err
}

func (s *session) append(ctx context.Context) error {
	id := s.world.nextID.Add(1)
	on := []int{s.random.Intn(lists)}
	if other := s.random.Intn(lists); other != on[0] {
		on = append(on, other)
	}
	sort.Ints(on)
	s.note(id, on, unknown)
	asked := s.world.history.now()
	locks, err := s.open(ctx)
	var base []state
	for _, i := range on {
		var v []byte
		if err == nil {
			v, err = s.value(ctx, locks, s.world.listKey(i))
			base = append(base, stateOfValue(v))
		}
		if err == nil {
			err = s.put(ctx, s.world.listKey(i), append(append([]byte{}, v...), number(id, 0)...))
		}
	}
	if err != nil {
		// Nobody has asked for a commit.
		s.note(id, on, refused)
		return err
	}
	result, err := s.end(ctx)
	s.note(id, on, result)
	s.world.history.addAppend(listsAppend{id: id, on: on, base: base, asked: asked, answered: s.world.history.now(), result: result})
	return err
}

// total of the accounts as the session's transaction sees them.
func (s *session) total(ctx context.Context) (total uint64, err error) {
	rows, err := s.conn.Query(ctx, "SELECT value FROM tikv_txn_scan('bank/', 'bank0')")
	if err != nil {
		return 0, err
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return 0, err
	}
	for _, v := range values {
		balance, err := parseNumber(v)
		if err != nil {
			return 0, violation{err.Error()}
		}
		total += balance
	}
	if len(values) != accounts || total != accounts*opening {
		return 0, violation{fmt.Sprintf("SQL sees %d accounts that hold %d, not %d and %d", len(values), total, accounts, accounts*opening)}
	}
	return total, nil
}

// read is a snapshot: the total, counters that do not go back, the lists, and
// nothing of what others commit meanwhile.
func (s *session) read(ctx context.Context) error {
	var least, seen [counters]uint64
	for i := range least {
		least[i] = s.world.counted[i].Load()
	}
	asked := s.world.history.now()
	if _, err := s.conn.Exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return err
	}
	if _, err := s.total(ctx); err != nil {
		return err
	}
	for again := 0; again < 2; again++ {
		if err := s.readCounters(ctx, &least, &seen, again > 0); err != nil {
			return err
		}
		time.Sleep(time.Duration(s.random.Intn(20)) * time.Millisecond)
	}
	all, err := s.readLists(ctx)
	if err != nil {
		return err
	}
	if _, err := s.total(ctx); err != nil {
		return err
	}
	if _, err := s.conn.Exec(ctx, "COMMIT"); err != nil {
		return err
	}
	s.world.history.addRead(listsRead{0, asked, s.world.history.now(), all})
	s.world.Reads.Add(1)
	s.world.ReadsBySQL.Add(1)
	return nil
}

func (s *session) readCounters(ctx context.Context, least, seen *[counters]uint64, again bool) error {
	for i := range least {
		v, err := s.value(ctx, false, counterKey(i))
		if err != nil {
			return err
		}
		if n, err := parseNumber(v); err != nil || n < least[i] {
			return violation{fmt.Sprintf("SQL reads %d from counter %d, after %d was acknowledged (%v)", n, i, least[i], err)}
		} else if again && n != seen[i] {
			return violation{fmt.Sprintf("one snapshot of SQL reads %d and then %d from counter %d", seen[i], n, i)}
		} else {
			seen[i] = n
		}
	}
	return nil
}

func (s *session) readLists(ctx context.Context) (all [lists]state, err error) {
	for i := range all {
		v, err := s.value(ctx, false, s.world.listKey(i))
		if err != nil {
			return all, err
		}
		all[i] = stateOfValue(v)
	}
	return all, nil
}
