# SQL transactions over keys when somebody dies: a session, the store, all of
# Postgres; when the store cannot answer; and a session that idles for long.

use strict;
use warnings;

use Test::More;
use TikvTest;
use Time::HiRes qw(time);

my $node = new_node('sql_transactions');

$node->start;
serve($node);

sub query { return $node->safe_psql('postgres', $_[0]); }

sub value { return query("SELECT convert_from(tikv_txn_get('$_[0]'), 'UTF8')"); }

# A session in a transaction that has put a key.
sub writer
{
	my ($key, $value) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query_safe("BEGIN; SELECT tikv_txn_put('$key', '$value')");
	return $session;
}

sub pid_of
{
	return $_[0]->query_safe('SELECT pg_backend_pid()');
}

sub no_locks
{
	my ($what) = @_;

	wait_for("no lock after $what", sub {
		return query('SELECT count(*) FROM tikv.locks') eq '0';
	});
	pass("$what: no lock is left");
}

# ---- a session is terminated: its locks go at once
my $session = writer('k', 'terminated');
my $pid = pid_of($session);
query("SELECT pg_terminate_backend($pid, 10000)");
no_locks('a terminated session');
is(value('k'), '', 'nothing of it was written');
is(query("SELECT count(*) FROM tikv.transactions WHERE pid = $pid"), '0', 'and it is listed no more');
$session->{run}->finish;

# ---- so do those of a session that idles too long
$session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe("SET idle_in_transaction_session_timeout = '100ms'; BEGIN; SELECT tikv_txn_put('k', 'idle')");
no_locks('a session that idled too long');
is(value('k'), '', 'nothing of it was written');
$session->{run}->finish;

# ---- a session dies without a word, and Postgres restarts: its lock is not in
# the way for longer than it lives
query("SELECT tikv_txn_put('k', 'before')");
$session = writer('k', 'killed');
kill 'KILL', pid_of($session);
wait_for('the restart', sub {
	return defined try_query($node, 'SELECT 1');
});
wait_serving($node);
is(value('k'), 'before', 'a killed session wrote nothing');
query("SET tikv.lock_wait_timeout = '60s'; SELECT tikv_txn_put('k', 'after')");
is(value('k'), 'after', 'and the key can be written');
$session->{run}->finish;

# ---- tables and keys: each commit that was acknowledged has both, after a
# crash of everything, and no row is there without its key
query('CREATE TABLE orders (id int PRIMARY KEY)');
my $acknowledged = 0;
foreach my $round (1 .. 3)
{
	my $client = $node->background_psql('postgres', on_error_stop => 0);

	foreach my $i (1 .. 20)
	{
		my $id = $acknowledged + 1;

		$client->query_safe("BEGIN; INSERT INTO orders VALUES ($id);"
			  . " SELECT tikv_txn_put(('order/' || to_char($id, 'FM0000'))::bytea, '$id'), tikv_txn_put('orders', '$id'); COMMIT");
		$acknowledged = $id;
	}
	$client->query_safe("BEGIN; INSERT INTO orders VALUES (1000); SELECT tikv_txn_put('order/1000', 'x')");
	$node->stop('immediate');
	$client->{run}->finish;
	$node->start;
	wait_serving($node);
	is(query('SELECT count(*), max(id) FROM orders'), "$acknowledged|$acknowledged", "round $round: rows");
	is(query("SELECT count(*) FROM tikv_txn_scan('order/', 'order0')"), $acknowledged, "round $round: keys");
	is(value('orders'), $acknowledged, "round $round: the key of all commits");
	is(query("SELECT count(*) FROM tikv_check()"), '0', "round $round: the tables are sound");
}

# ---- the store cannot write: an error in time, and no half of a transaction
my $blocker = $node->background_psql('postgres');
$blocker->query_safe('BEGIN; LOCK TABLE tikv_internal.write IN SHARE MODE');
my $began = time();
my ($answer, $out, $err) = $node->psql('postgres',
	"SET tikv.request_timeout = '1s'; BEGIN; INSERT INTO orders VALUES (2000); SELECT tikv_txn_put('order/2000', 'x'); COMMIT");
isnt($answer, 0, 'a commit that the store cannot make fails');
like($err, qr/busy|does not serve|did not answer/, 'and says why');
elapsed_note('the refusal', $began);
$blocker->query_safe('ROLLBACK');
$blocker->quit;
is(query('SELECT count(*) FROM orders WHERE id = 2000'), '0', 'no row was written');
wait_for('the key to be free', sub { return query("SELECT count(*) FROM tikv.locks") eq '0'; });
is(value('order/2000'), '', 'nor a key');

# ---- the store does not answer at all: no hang, and nothing is left behind
my ($store) = pids($node, 'tikv store');
hold_still($node, $store);
($answer, $out, $err) = $node->psql('postgres',
	"SET tikv.request_timeout = '1s'; SELECT tikv_txn_put('silent', 'x')");
isnt($answer, 0, 'a write fails when the store is silent');
like($err, qr/busy|did not answer/, 'and says why');
($answer, $out, $err) = $node->psql('postgres',
	"SET statement_timeout = '300ms'; SELECT tikv_txn_put('silent', 'x')");
like($err, qr/statement timeout/, 'it can be cancelled');
($answer, $out, $err) = $node->psql('postgres',
	"SET tikv.request_timeout = '1s'; SET tikv.txn_mode = optimistic; SELECT tikv_txn_put('silent', 'x')");
like($err, qr/busy|did not answer/, 'so does a commit');
is(value('k'), 'after', 'reads need no store');
kill 'CONT', $store;
wait_for('the store to forget', sub { return query("SELECT count(*) FROM tikv.locks") eq '0'; });
is(value('silent'), '', 'nothing was written');
query("SELECT tikv_txn_put('silent', 'y')");
is(value('silent'), 'y', 'and it goes on');

# ---- a session that idles longer than its lock would live: the store beats
$session = writer('k', 'patient');
$pid = pid_of($session);
my $ttl = query("SELECT ttl_ms FROM tikv.locks WHERE pid = $pid");
wait_for('a heartbeat', sub {
	return query("SELECT heartbeats > 0 FROM tikv.transactions WHERE pid = $pid") eq 't';
});
wait_for('a longer life of the lock', sub {
	return query("SELECT ttl_ms > $ttl FROM tikv.locks WHERE pid = $pid") eq 't';
});
pass('the lock lives longer');
$session->query_safe('COMMIT');
$session->quit;
is(value('k'), 'patient', 'it commits');

# ---- somebody else has garbage collected while a session reads the past, and
# nothing of before keeps the safe point back
query(q{ALTER SYSTEM SET tikv.gc_life_time = 0});
$node->reload;

# A session that has read for five seconds before the client comes is protected.
my ($reader, $now, $moved);
foreach my $try (1 .. 5)
{
	wait_for('barriers of ended transactions to go', sub {
		return query(q{SELECT count(*) FROM tikv.gc_barriers WHERE name LIKE 'tikv_fdw/%'}) == 0;
	});
	query("SELECT tikv_txn_put('past', 'old')");
	$reader = $node->background_psql('postgres', on_error_stop => 0);
	$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
	is($reader->query_safe("SELECT convert_from(tikv_txn_get('past'), 'UTF8')"), 'old', 'a session reads');
	query("SELECT tikv_txn_put('past', 'new')");
	$now = (txnctl($node, 'ts'))[1];
	$moved = (rawctl($node, 'collect', $now))[1];
	last if $moved eq $now;
	$reader->query('ROLLBACK');
	$reader->quit;
}
is($moved, $now, 'a client moves the safe point');
wait_for('the store to heed it', sub { return (txnctl($node, 'get', $now - 1, 'past'))[0] == 3; });
is(($reader->query("SELECT convert_from(tikv_txn_get('past'), 'UTF8')"))[0], '', 'the session gets no newer value');
like(($reader->query('\echo :LAST_ERROR_SQLSTATE'))[0], qr/72000/, 'but is told that its snapshot is too old');
$reader->query('ROLLBACK');
$reader->quit;
is(value('past'), 'new', 'a new one reads what is there');
query(q{ALTER SYSTEM RESET tikv.gc_life_time});
$node->reload;

# ---- a key in more bytes than a write may have in the log
{
	my ($answer, $out, $err) = $node->psql('postgres', q{SELECT tikv_txn_put('huge', convert_to(repeat('v', 9000000), 'UTF8'))});

	is($answer, 3, 'a value of 9 MB is refused');
	like($err, qr/8 MiB together: raft entry is too large, region \d+, entry size 90000\d\d\./, 'with its size');
}

# ---- keys and a row in more bytes than the bus has
$node->append_conf('postgresql.conf', "tikv.bus_memory = '1MB'");
$node->restart;
wait_serving($node);
foreach my $atomic (qw(require auto))
{
	my ($answer, $out, $err) = $node->psql('postgres', join ' ', "SET tikv.local_atomic = $atomic;",
		"BEGIN; CREATE TABLE bus_$atomic ();",
		q{SELECT count(tikv_txn_put(('bus/' || i)::bytea, convert_to(repeat('v', 400000), 'UTF8'))) FROM generate_series(1, 4) i;},
		'COMMIT');

	is($answer, $atomic eq 'auto' ? 0 : 3, "a transaction larger than the bus ($atomic)");
	like($err, qr/request has \d+ bytes, tikv.bus_memory is 1024 kB/, 'is told why not') if $atomic eq 'require';
}
is(query(q{SELECT sum(length(value)) FROM tikv_txn_scan('bus/', 'bus0')}), '1600000', 'its keys are there');
is(query(q{SELECT to_regclass('bus_auto') IS NOT NULL, to_regclass('bus_require') IS NULL}), 't|t', 'and so is its table');
$node->append_conf('postgresql.conf', "tikv.bus_memory = '64MB'");
$node->restart;
wait_serving($node);

# ---- the extension is dropped under a transaction
$session = writer('k', 'dropped');
my $dropper = $node->background_psql('postgres', on_error_stop => 0);
$dropper->query_safe("DROP EXTENSION tikv_fdw CASCADE");
my ($text) = $session->query('COMMIT');
$session->quit;
$dropper->quit;
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_extension WHERE extname = 'tikv_fdw'"), '0', 'dropped');
serve($node);
is(value('k'), '', 'a new extension has no old key');

# ---- a region that was split at raw keys, before there were transactions
foreach my $key (q{'raw'}, q{'raw\\000'}, q{'raw1'}, q{'rawlongest0'})
{
	wait_for("a split at $key", sub { return defined try_query($node, "SELECT tikv_split($key)"); });
}
is(query('SELECT count(*) FROM tikv.regions'), '5', 'a region is split at raw keys');
foreach my $range (q{}, q{'ra', 'rb'}, q{'ra', 'rb', NULL, true})
{
	is(query("SELECT count(*) FROM tikv_txn_scan($range)"), '0', "a scan ends ($range)");
}
is(query(q{SELECT count(*) FROM tikv_mvcc('ra', 'rb')}), '0', 'so do versions');
is(query('SELECT count(*) FROM tikv.locks'), '0', 'and locks');
foreach my $atomic (qw(off auto require))
{
	my ($answer, $out, $err) = $node->psql('postgres',
		"SET tikv.local_atomic = $atomic; SET tikv.txn_mode = optimistic; BEGIN; CREATE TEMP TABLE t (); SELECT tikv_txn_put('raw1', 'w'); COMMIT");

	isnt($answer, 0, "no transaction writes there ($atomic)");
	like($err, qr/split at raw keys/, 'and is told why');
}

$node->stop;
done_testing();
