# A store that cannot have its tables, is stopped while an order waits, finds
# a cursor that nobody needs, or whose clock is behind PD's.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvCopies;
use TikvTest;
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

# A turn that finds its tables locked is tried again so many times a second.
my $tries_per_s = 100;

my $node = new_node('odd', 'tikv.request_timeout' => '60s');

$node->start;
serve($node);
my $region = $node->safe_psql('postgres', 'SELECT region_id FROM tikv.regions');

# A statement in the background; its end is waited for with finish().
sub begin
{
	my ($sql) = @_;
	my %psql = (out => '', err => '');

	$psql{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$psql{out}, '2>', \$psql{err});
	return \%psql;
}

sub blocked_turns
{
	return $node->safe_psql('postgres',
		q{SELECT value FROM tikv.metrics WHERE name = 'tikv_fdw_blocked_turns_total'});
}

# ---- a session holds the log while an order waits: the store sleeps meanwhile

my $session = $node->background_psql('postgres');

$session->query_safe('BEGIN; LOCK TABLE tikv_internal.raft_log IN ACCESS EXCLUSIVE MODE');
my $split = begin(q{SELECT tikv_split('m', transactional => true)});
wait_for('the split to meet the lock', sub { blocked_turns() > 0 });
my $began = clock_gettime(CLOCK_MONOTONIC);
my $before = blocked_turns();
sleep 2;
my $tries = blocked_turns() - $before;
my $most = $tries_per_s * (clock_gettime(CLOCK_MONOTONIC) - $began) + 2;
cmp_ok($tries, '>', 0, 'it is tried again');
cmp_ok($tries, '<=', $most, 'and not more often than that');
$node->safe_psql('postgres', q{SELECT tikv_put('a', 'during the lock')});
pass('a region of one store needs no log to be written to');
$session->query_safe('ROLLBACK');
$split->{run}->finish;
is($split->{err}, '', 'the split is made when the lock is gone');
is($node->safe_psql('postgres', 'SELECT count(*) FROM tikv.regions'), '2', 'and there are two regions');

# ---- so it is with each table that a turn of groups may write to

my @pids = pids($node, 'tikv store');
my $bound = 'n';

foreach my $table (qw(region range_delete snapshot_install leftover raft_state))
{
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my $met = blocked_turns();

	$session->query_safe("BEGIN; LOCK TABLE tikv_internal.$table IN ACCESS EXCLUSIVE MODE");
	$split = begin("SELECT tikv_split('$bound', transactional => true)");
	wait_for("the split to meet the lock of $table", sub { blocked_turns() > $met });
	wait_state($node, 'store', 'serving', qr/locked by process $pid\b/);
	$session->query_safe('ROLLBACK');
	$split->{run}->finish;
	is($split->{err}, '', "$table: the split is made when the lock is gone");
	$bound++;
}
is_deeply([ pids($node, 'tikv store') ], \@pids, 'no lock has ended the store');
is($node->safe_psql('postgres', 'SELECT count(*) FROM tikv.regions'), '7', 'all splits are made');

# ---- the store is stopped while an order waits: who gave it is told why

$session->query_safe('BEGIN; LOCK TABLE tikv_internal.raft_log IN ACCESS EXCLUSIVE MODE');
$before = blocked_turns();
my $order = begin("SELECT tikv_transfer_leader($region, 1)");
wait_for('the order to meet the lock', sub { blocked_turns() > $before });
my ($store) = pids($node, 'tikv store');
kill 'TERM', $store;
$order->{run}->finish;
like($order->{err}, qr/the worker is stopping/, 'an order is answered when the store stops');
wait_for('the store to end', sub { return !kill 0, $store; });

# ---- nor does it begin without its log

wait_state($node, 'store', 'waiting', qr/the Raft log is locked/);
@pids = pids($node, 'tikv store');
sleep 1;
is_deeply([ pids($node, 'tikv store') ], \@pids, 'a store waits for its log to be let go');
$session->query_safe('ROLLBACK');
$session->quit;
wait_serving($node);
is_deeply([ pids($node, 'tikv store') ], \@pids, 'and serves then');

# ---- cursors of snapshots whose peers are gone, or have everything; and PD's
# time is an hour ahead of this node's clock

$node->stop;
before_start($node,
	"INSERT INTO tikv_internal.snapshot_install (region_id, log_index, log_term, loading, file_offset) VALUES ($region, 3, 2, true, 0), (999999, 3, 2, true, 0)",
	q{UPDATE tikv_internal.pd_kv SET value = convert_to(((extract(epoch FROM now()) + 3600) * 1000)::bigint::text, 'UTF8') WHERE key = 'timestamp'});
$node->start;
wait_serving($node);
is($node->safe_psql('postgres', 'SELECT count(*) FROM tikv_internal.snapshot_install'), '0',
	'cursors of no use are removed');
$node->safe_psql('postgres', q{SELECT tikv_put('a', 'b')});
is($node->safe_psql('postgres', q{SELECT convert_from(tikv_get('a'), 'UTF8')}), 'b',
	'and the region goes on');
cmp_ok(((rawctl($node, 'timestamp'))[1] >> 18) / 1000 - time(), '>', 3000, "PD's time is ahead");

my $old = $node->background_psql('postgres');

$old->query_safe(q{BEGIN; SELECT tikv_txn_put('old', 'v')});
wait_for('a barrier for it', sub {
	return $node->safe_psql('postgres',
		q{SELECT count(*) FROM tikv.gc_barriers WHERE name LIKE 'tikv_fdw/%'}) == 1;
});
pass('an old transaction has a barrier, whatever the clock says');
$old->query_safe('COMMIT');
$old->quit;
wait_for('it to go', sub {
	return $node->safe_psql('postgres',
		q{SELECT count(*) FROM tikv.gc_barriers WHERE name LIKE 'tikv_fdw/%'}) == 0;
});

is($node->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), '0', 'the tables are sound');
$node->stop;

done_testing();
