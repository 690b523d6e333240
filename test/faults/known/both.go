package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"

	"tikv_fdw/test/faults/nemesis"
)

// A snapshot and the entries behind it come to a follower in one turn.  A leader
// sends those entries when it knows that the snapshot has arrived and has then
// taken in an answer of the follower, which gives none while it is held.  So the
// follower's store is stopped at the beginning of the stream, for some
// heartbeats; the leader's turns are then held by a lock of the log, with which
// it goes on sending and receiving; the follower answers, and the leader's store
// is stopped before it ends the stream, until the follower's turns are held as
// well.  The leader's are let go when it knows that the snapshot has arrived,
// the follower's when the entries have.
//
// What the turn has stored is all there is when the process ends just after it,
// and when the node is killed while the snapshot is brought in: by then the
// follower has acknowledged the entries.

const (
	bothKeys   = "chaos/known/both/"
	bothGone   = bothKeys + "gone"
	bothTries  = 4
	bothLarge  = 16 // values: more than is sent before some of it was read
	bothValue  = 1 << 18
	bothWithin = 30 * time.Second
	bothBeats  = 1200 * time.Millisecond // two heartbeats
	bothAnswer = 300 * time.Millisecond

	bothBegins = "store_snapshot_admitted"
	bothEnds   = "transport_snapshot_end"
	bothSent   = "store_snapshot_sent"
	bothCame   = "store_snapshot_durable"
	bothSlowly = "store_before_install_commit=delay(300)"
	bothPoint  = "store_both_committed"
)

var errNotBoth = errors.New("a snapshot and entries did not come in one turn")

func snapshotAndEntries(t *test) error {
	tries := 0
	for _, crash := range []bool{true, false} {
		err := errNotBoth
		for try := 0; try < bothTries && errors.Is(err, errNotBoth); try++ {
			b := &both{test: t, crash: crash, name: fmt.Sprintf("%v/%d/", crash, try), values: map[string]string{}}
			if err = b.run(); errors.Is(err, errNotBoth) {
				log.Print(err)
			}
			tries++
		}
		if err != nil {
			return err
		}
	}
	t.say("a follower that ended when it had stored both, one that was killed when it had acknowledged both, in %d tries", tries)
	return nil
}

// both is one follower to whom that happens.
type both struct {
	*test
	crash  bool // just after the turn; else later, when it has acknowledged the entries
	name   string
	values map[string]string // by key, of what was acknowledged; "": deleted

	leader, behind         int
	leaderData, behindData string
	region                 uint64
	sent, came, stored     int // passes before
}

func (b *both) run() (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	defer func() { _ = b.setEach("", 0, 1, 2) }()
	defer b.Heal()
	if b.leader, b.region, _, err = b.leads(bothKeys); err != nil {
		return err
	}
	b.behind = (b.leader + 1) % 3
	b.leaderData, b.behindData = nemesis.DataFolder(b.Cluster, b.leader), nemesis.DataFolder(b.Cluster, b.behind)
	b.sent, b.came, b.stored = passes(b.leaderData, bothSent), passes(b.behindData, bothCame), passes(b.behindData, bothPoint)
	if err = b.fallBehind(ctx); err == nil {
		err = b.sendBoth(ctx)
	}
	if err == nil {
		err = b.harm()
	}
	if err == nil {
		err = b.check(ctx)
	}
	return err
}

// ------------------------------------------------------------ how it comes about

// write to the leader; "" deletes.
func (b *both) write(ctx context.Context, key, value string) error {
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if value != "" {
		if err := b.put(limited, b.leader, key, value); err != nil {
			return fmt.Errorf("%w: no write: %w", errNotBoth, err)
		}
		b.values[key] = value
		return nil
	}
	where, err := b.known(b.leader, key)
	if err != nil {
		return err
	}
	kv, err := b.Store(b.leader)
	if err != nil {
		return err
	}
	r, err := kv.RawDelete(limited, &kvrpcpb.RawDeleteRequest{Context: where, Key: []byte(key), ForCas: true})
	if err != nil || r.RegionError != nil || r.Error != "" {
		return fmt.Errorf("%w: no deletion: %v, %w", errNotBoth, r, err)
	}
	b.values[key] = ""
	return nil
}

// fallBehind: the leader gives up what the follower lacks of the log.
func (b *both) fallBehind(ctx context.Context) (err error) {
	random := rand.New(rand.NewSource(1))
	for i := 0; err == nil && i < bothLarge; i++ {
		noise := make([]byte, bothValue)
		_, _ = random.Read(noise)
		err = b.write(ctx, fmt.Sprintf("%slarge/%d", bothKeys, i), b.name+string(noise))
	}
	if err == nil {
		err = b.showEverywhere(ctx, bothGone, b.name)
	}
	if err != nil {
		return err
	}
	b.Isolate(b.behind)
	if err = b.write(ctx, bothGone, ""); err != nil {
		return err
	}
	var has, given int64
	err = b.Ask(b.behind, []any{&has}, "SELECT coalesce(max(log_index), 0) FROM tikv_internal.raft_log WHERE region_id = $1", int64(b.region))
	if err == nil {
		err = b.limitLog("4")
	}
	for i := 0; err == nil && given <= has; i++ {
		if err = b.write(ctx, fmt.Sprintf("%swhile/%d", bothKeys, i), b.name); err == nil {
			err = b.Ask(b.leader, []any{&given}, "SELECT truncated_index FROM tikv_internal.raft_state WHERE region_id = $1", int64(b.region))
		}
	}
	// What is behind the snapshot stays.
	return errors.Join(err, b.limitLog("-1"))
}

// limitLog of the leader to so many entries.
func (b *both) limitLog(count string) error {
	err := b.Order(b.leader, "ALTER SYSTEM SET tikv.raft_log_gc_count_limit = "+count)
	if err == nil {
		err = b.Order(b.leader, "SELECT pg_reload_conf()")
	}
	return err
}

// lock the log of a node: no turn begins until it is let go.
func (b *both) lock(ctx context.Context, node int) (letGo func(), err error) {
	conn, err := pgx.Connect(ctx, b.Cluster.DSNOf(node))
	if err != nil {
		return nil, err
	}
	letGo = func() { conn.Close(context.Background()) }
	if _, err = conn.Exec(ctx, "BEGIN; LOCK TABLE tikv_internal.raft_log IN ACCESS EXCLUSIVE MODE"); err != nil {
		letGo()
	}
	return letGo, err
}

// await what must come, or this try was none.
func await(what string, come func() bool) error {
	for began := time.Now(); time.Since(began) < bothWithin; time.Sleep(10 * time.Millisecond) {
		if come() {
			return nil
		}
	}
	return fmt.Errorf("%w: no %s in %v", errNotBoth, what, bothWithin)
}

// awaitStop at a failpoint once more than before; resume lets it go on.
func awaitStop(data, point string, before int) (resume func(), err error) {
	err = await("stop at "+point, func() bool { return len(stopsAt(data, point)) > before })
	return func() { goOn(data, point, before) }, err
}

// goOn with what was stopped at a failpoint since.
func goOn(data, point string, before int) {
	for _, pid := range stopsAt(data, point)[before:] {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

func (b *both) sendBoth(ctx context.Context) error {
	_ = os.Remove(filepath.Join(b.behindData, "tikv_failpoint."+bothPoint))
	then := bothPoint + "=count;" + bothSlowly
	if b.crash {
		then = bothPoint + "=once:crash"
	}
	begun, ended := len(stopsAt(b.behindData, bothBegins)), len(stopsAt(b.leaderData, bothEnds))
	err := errors.Join(b.setEach(bothEnds+"=stop;"+bothSent+"=count", b.leader), b.setEach(bothBegins+"=stop;"+bothCame+"=count;"+then, b.behind))
	if err != nil {
		return err
	}
	b.Heal()
	defer func() { goOn(b.leaderData, bothEnds, ended); goOn(b.behindData, bothBegins, begun) }()
	resume, err := awaitStop(b.behindData, bothBegins, begun)
	for i := 0; err == nil && i < 3; i++ {
		err = b.write(ctx, fmt.Sprintf("%safter/%d", bothKeys, i), b.name)
	}
	if err == nil {
		time.Sleep(bothBeats)
		err = b.holdBoth(ctx, resume)
	}
	if err == nil {
		err = await("turn that stores both", func() bool { return passes(b.behindData, bothPoint) > b.stored })
	}
	return err
}

// holdBoth until the follower has both; `resume` lets it take in the snapshot.
func (b *both) holdBoth(ctx context.Context, resume func()) error {
	ended := len(stopsAt(b.leaderData, bothEnds))
	leaderGoes, err := b.lock(ctx, b.leader)
	if err != nil {
		return err
	}
	defer leaderGoes()
	resume()
	end, err := awaitStop(b.leaderData, bothEnds, ended)
	if err != nil {
		return err
	}
	time.Sleep(bothAnswer)
	behindGoes, err := b.lock(ctx, b.behind)
	if err != nil {
		return err
	}
	defer behindGoes()
	end()
	if err = await("snapshot that has arrived", func() bool { return passes(b.leaderData, bothSent) > b.sent }); err != nil {
		return err
	}
	leaderGoes()
	time.Sleep(bothAnswer)
	return nil
}

// ------------------------------------------------------------ what comes of it

// harm the follower when it has stored both.
func (b *both) harm() error {
	if b.crash {
		return nil // it is dead already; Postgres begins again
	}
	if err := await("acknowledgement", b.acknowledged); err != nil {
		return err
	}
	// A start would remove what was left of the log before the snapshot.
	err := b.checkLog()
	if err != nil {
		return err
	}
	var installing bool
	err = b.Ask(b.behind, []any{&installing}, "SELECT count(*) > 0 FROM tikv_internal.snapshot_install WHERE region_id = $1", int64(b.region))
	if err == nil {
		err = b.Cluster.KillNode(b.behind, rand.New(rand.NewSource(1)))
	}
	if err != nil {
		return err
	}
	b.Cluster.Start()
	if !installing {
		return fmt.Errorf("%w: the snapshot was installed before the node was killed", errNotBoth)
	}
	return nil
}

// acknowledged: the leader knows that its follower has all of the log.
func (b *both) acknowledged() bool {
	var has bool
	err := b.Ask(b.leader, []any{&has}, `SELECT bool_and(lag = 0) FROM tikv.raft WHERE region_id = $1`, int64(b.region))
	return err == nil && has
}

// check the follower by itself: it has all without another snapshot, which would
// hide what was lost, and leads with that.
func (b *both) check(ctx context.Context) error {
	if err := errors.Join(b.setEach("", b.leader), b.setEach(bothCame+"=count", b.behind)); err != nil {
		return err
	}
	if err := b.awaitShown(ctx); err != nil {
		return err
	}
	if n := passes(b.behindData, bothCame) - b.came; n != 1 {
		return fmt.Errorf("node %d needed %d snapshots: it has lost what it had stored with the first", b.behind, n)
	}
	err := errors.Join(b.checkLog(), b.checkTables())
	if err != nil {
		return err
	}
	leader, _, _, err := b.leads(bothKeys)
	if err == nil && leader != b.behind {
		_, err = b.handOver(bothKeys, (b.behind-leader+3)%3, func() {}, func(int) {})
	}
	if err != nil {
		return err
	}
	return b.checkValues(ctx)
}

// awaitShown: the follower is asked for what came last.
func (b *both) awaitShown(ctx context.Context) (err error) {
	last := bothKeys + "after/2"
	for began := time.Now(); time.Since(began) < bothWithin; time.Sleep(50 * time.Millisecond) {
		limited, cancel := context.WithTimeout(ctx, 2*time.Second)
		var value string
		value, err = b.get(limited, b.behind, last, true)
		cancel()
		if err == nil && value == b.name {
			return nil
		}
		if err == nil {
			return fmt.Errorf("node %d shows %q for %s", b.behind, value, last)
		}
	}
	return fmt.Errorf("node %d does not show the entries behind the snapshot: %w", b.behind, err)
}

// checkLog of the follower: it goes on where what was given up ends.
func (b *both) checkLog() error {
	var truncated, applied, first, last, rows int64
	err := b.Ask(b.behind, []any{&truncated, &applied, &first, &last, &rows}, `SELECT truncated_index, applied_index,
		coalesce(min(log_index), truncated_index + 1), coalesce(max(log_index), truncated_index), count(log_index)
		FROM tikv_internal.raft_state LEFT JOIN tikv_internal.raft_log USING (region_id) WHERE region_id = $1
		GROUP BY truncated_index, applied_index`, int64(b.region))
	if err != nil {
		return err
	}
	if first > truncated+1 || rows != last-first+1 || applied > last {
		return fmt.Errorf("the log of node %d has a gap: %d entries from %d to %d, given up to %d, applied to %d",
			b.behind, rows, first, last, truncated, applied)
	}
	return nil
}

func (b *both) checkTables() error {
	var defects int64
	err := b.Ask(b.behind, []any{&defects}, "SELECT count(*) FROM tikv_check()")
	if err == nil && defects > 0 {
		err = fmt.Errorf("tikv_check() of node %d finds %d defects", b.behind, defects)
	}
	return err
}

// checkValues of the follower, which leads by now.
func (b *both) checkValues(ctx context.Context) error {
	for key, value := range b.values {
		shown, err := b.get(ctx, b.behind, key, false)
		if err != nil {
			return err
		}
		if shown != value {
			return fmt.Errorf("node %d leads, and shows %.40q for %s after %.40q was acknowledged", b.behind, shown, key, value)
		}
	}
	return nil
}
