# What comes too late is not done, and what was seen too early is looked at
# again: writes whose time is up or whose client is gone while they wait for
# their turn, and a read during which the store is another process.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

# One process knows what waits and who is gone.
my $node = new_node('late', 'tikv.server_workers' => '0');

$node->start;
serve($node);

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

sub set_interval
{
	my ($us) = @_;

	sql("ALTER SYSTEM SET tikv.turn_min_interval = $us");
	$node->reload;
}

# No turn from here on for minutes: a hundred were paid at a second each, and of
# that debt the burst of a shorter interval allows next to nothing.
sub close_gate
{
	set_interval(1_000_000);
	wait_for('the store to know the interval', sub {
		return sql('SHOW tikv.turn_min_interval') eq '1000000';
	});
	sql(q{DO $$ BEGIN
		FOR i IN 1 .. 200 LOOP PERFORM tikv_put('debt', i::text::bytea); END LOOP; END $$});
	set_interval(1);
}

# A write that goes on in the background.
sub start_put
{
	my ($key, %env) = @_;
	my ($out, $err) = ('', '');

	local %ENV = (%ENV, %env);
	my $run = IPC::Run::start([ $ENV{RAWCTL}, '--pd', $node->{tikv}{'tikv.pd_addr'},
			'put', $key, 'v' ], '<', \undef, '>', \$out, '2>', \$err);

	return { run => $run, err => \$err };
}

sub wait_queued
{
	my ($n) = @_;

	wait_for("$n writes to wait", sub {
		return sql(q{SELECT value FROM tikv.metrics
			WHERE name = 'tikv_scheduler_contex_total'}) == $n;
	});
}

close_gate();
my $late = start_put('late', RAWCTL_MAX_MS => 1);
my $patient = start_put('patient', RAWCTL_MAX_MS => 600_000);
my $gone = start_put('gone');
wait_queued(3);
pass('writes wait for their turn');

# ---- SQL gives up, and says that it does not know
my ($answer, $out, $err) = $node->psql('postgres', q{
	\set VERBOSITY verbose
	SET tikv.request_timeout = '200ms';
	SELECT tikv_put('unknown', 'v')});
like($err, qr/08007: .*did not answer within 200 ms.*outcome is unknown/s,
	'a SQL call that gives up does not know the outcome');

# ---- a client dies
$gone->{run}->signal('KILL');
$gone->{run}->finish;

# The server hears of it when the connection closes.
wait_for('the call to be given up', sub {
	return sql(q{SELECT sum(value) FROM tikv.metrics
		WHERE name = 'tikv_fdw_grpc_calls_in_flight' AND labels->>'worker' = 'store'}) == 2;
});
set_interval(0);
$late->{run}->finish;
isnt($late->{run}->result(0), 0, 'a write that came too late is refused');
like(${ $late->{err} }, qr/deadline is exceeded/i, 'it says so');
$patient->{run}->finish;
is($patient->{run}->result(0), 0, 'one that has time is done');
is((rawctl($node, 'put', 'after', 'v'))[0], 0, 'and so are later ones');
is((rawctl($node, 'get', 'patient'))[1], 'v', 'the one in time is there');
is((rawctl($node, 'get', 'late'))[0], 2, 'what was too late was not written');
is((rawctl($node, 'get', 'gone'))[0], 2, 'nor what nobody waited for any more');

# ---- a read looks at the region, waits for a lock, and meanwhile the store is
# another process: what it saw says nothing any more
sql(q{
	CREATE SERVER tikv FOREIGN DATA WRAPPER tikv_fdw;
	CREATE FOREIGN TABLE pairs (key bytea, value bytea) SERVER tikv});
my $locker = $node->background_psql('postgres');
my $reader = $node->background_psql('postgres');
my $reader_pid = $reader->query_safe('SELECT pg_backend_pid()');
my $look = q{EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
	SELECT * FROM pairs WHERE key = 'patient'};
like($reader->query_safe($look), qr/Retries: 0/, 'undisturbed, one look is enough');
$locker->query_safe('BEGIN; LOCK TABLE tikv_internal.raw IN ACCESS EXCLUSIVE MODE');
$reader->query_until(qr/begun/, "\\echo begun\n$look;\n");
wait_for('the reader to wait', sub {
	return sql("SELECT wait_event_type FROM pg_stat_activity WHERE pid = $reader_pid") eq 'Lock';
});
my ($store) = pids($node, 'tikv store');
kill 'TERM', $store;
wait_for('another store', sub {
	my @now = pids($node, 'tikv store');
	return @now == 1 && $now[0] != $store;
});
wait_serving($node);
$locker->query_safe('COMMIT');
$locker->quit;
my $seen = $reader->query_safe('SELECT 1');
like($seen, qr/Retries: [1-9]/, 'a look at a store that is gone is repeated');
like($seen, qr/actual rows=1/, 'and then finds the key');
$reader->quit;

# ---- at its creation in a savepoint that is undone, the old one serves on
($answer, $out, $err) = $node->psql('postgres', q{
	BEGIN;
	SAVEPOINT s;
	DROP EXTENSION tikv_fdw CASCADE;
	CREATE EXTENSION tikv_fdw;
	ROLLBACK TO s;
	SELECT tikv_put('savepoint', 'v');
	COMMIT});
is($answer, 0, 'what was created and undone is no creation') or diag($err);
($answer, $out, $err) = $node->psql('postgres', q{
	BEGIN;
	DROP EXTENSION tikv_fdw CASCADE;
	SAVEPOINT s;
	CREATE EXTENSION tikv_fdw;
	RELEASE s;
	SAVEPOINT t;
	ROLLBACK TO t;
	SELECT tikv_put('savepoint', 'v');
	COMMIT});
isnt($answer, 0, 'one in a savepoint that was released is');
like($err, qr/not committed yet/, 'and says so');
is(sql(q{SELECT convert_from(tikv_get('savepoint'), 'UTF8')}), 'v', 'the old one serves on');

# ---- whoever writes just after the creation waits for the workers
is(sql(q{
	DROP EXTENSION tikv_fdw CASCADE;
	CREATE EXTENSION tikv_fdw;
	SELECT tikv_put('first', 'v'), convert_from(tikv_get('first'), 'UTF8')}), '|v',
	'the first write after a new creation needs no second try');

$node->stop;
done_testing();
