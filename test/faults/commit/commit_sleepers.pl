# A lock in a log that the collecting store does not know to its end: its own
# peer sleeps behind, since messages of groups do not reach it.  The garbage
# collection must find and end it before its safe point passes it.

use strict;
use warnings;

use Test::More;
use TikvCommit;
use TikvSpread;
use TikvTest;
use Time::HiRes qw(usleep);

# Keys below h are led by node 0, which collects; others by node 1.
my @nodes = make_spread('sleepers', ['h'], [ 0, 1 ]);

sub all_asleep
{
	my (@of) = @_;

	wait_for('all groups to be asleep', sub {
		return !grep { (try_query($nodes[$_], 'SELECT bool_and(hibernates) FROM tikv.raft WHERE is_local') // '') ne 't' } @of;
	});
}

sub hits
{
	open my $in, '<', $nodes[0]->data_dir . '/tikv_failpoint_hits' or return 0;
	return scalar grep { /^store_group_message\b/ } <$in>;
}

is(sql(1, q{SELECT tikv_txn_put('z', 'v')}), '', 'a write');
all_asleep(0 .. 2);

# ---- the lock is committed by the two others
use_node($nodes[0]);
write_points('store_group_message=error');
usleep(1_500_000);
my (undef, $start) = txnctl($nodes[0], 'ts');

is((txnctl($nodes[0], 'prewrite', $start, 'zlock', 'v'))[0], 0, 'a client locks a key');
wait_for('a message that is dropped', sub { hits() > 0 });
is(sql(0, 'SELECT count(*) FROM tikv_internal.lock_slot WHERE rec IS NOT NULL'), '0', 'the collecting store does not know the lock');
is(sql(0, 'SELECT bool_and(hibernates) FROM tikv.raft WHERE is_local'), 't', 'all of its groups sleep');

# ---- rounds of the garbage collection, from now on
foreach my $node (@nodes)
{
	$node->append_conf('postgresql.conf', q{tikv.gc_life_time = '1s'});
	$node->reload;
}
wait_for('the safe point to pass it', sub { (sql(0, "SELECT gc_safe_point > $start FROM tikv.gc") // '') eq 't' });
is(sql(1, 'SELECT count(*) FROM tikv.locks'), '0', 'the lock was ended before');
my $applied = 'SELECT applied FROM tikv.raft WHERE is_local AND region_id = (SELECT region_id FROM tikv.regions WHERE end_key IS NULL)';
cmp_ok(sql(0, $applied), '<', sql(1, $applied), 'its peer is still behind');

# ---- all is well again
clear_points();
is((txnctl($nodes[0], 'get', (txnctl($nodes[0], 'ts'))[1], 'zlock'))[0], 2, 'it has not committed');
is(sql(0, q{SELECT convert_from(tikv_txn_get('z'), 'UTF8')}), 'v', 'what was there is');
foreach my $i (0 .. 2)
{
	is(sql($i, 'SELECT count(*) FROM tikv_check()'), '0', "node $i checks clean");
}
$_->stop foreach @nodes;

done_testing();
