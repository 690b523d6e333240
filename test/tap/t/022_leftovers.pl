# What a region leaves behind on a store that has lost its peer goes away, in
# slices, over restarts, and never together with what comes after it.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvLeft;
use TikvTest;

my @nodes = make_stores('left');

# The removal of peers' rows, as node $i tells of it.
sub task
{
	my ($i, $column) = @_;

	return ask($i, "SELECT $column FROM tikv.tasks WHERE task = 'remove regions'") // -1;
}

sub peer_has_all
{
	my ($store) = @_;

	wait_for("the peer on store $store to have all", sub {
		(ask(0, "SELECT lag = 0 AND progress IS DISTINCT FROM 'silent' FROM tikv.raft WHERE region_id = 2 AND store_id = $store") // '') eq 't';
	});
}

# ---- rows of all kinds, more than some slices

put_rows(0, $nodes[0], 6000, 'locked');
my $all = all_rows_on(0);
is($all, '6000 1000 1000', 'a store has rows of all kinds');
order(0, 'tikv_add_peer(2, 4)', 'a peer on store 4');
order(0, 'tikv_add_peer(2, 5)', 'a peer on store 5');
peer_has_all($_) foreach 4, 5;
is(all_rows_on(1), $all, 'a replica has all of them');

# ---- the region moves away

# Held up meanwhile: what it leaves behind cannot be written down.
my ($store) = pids($nodes[1], 'tikv store');
my $lock = hold_table(1, 'leftover', 'ACCESS EXCLUSIVE');

order(0, 'tikv_remove_peer(2, 4)', 'store 4 loses its peer');
wait_state($nodes[1], 'store', 'serving', qr/locked by process/);
sleep 1;
is(rows_on(1, 'raft_state'), '1', 'its state stays while a session holds a table');
let_table_go($lock);
is_deeply([ pids($nodes[1], 'tikv store') ], [$store], 'and the store lives');
wait_for('all its rows to go', sub { all_rows_on(1) eq '0 0 0' });
wait_for('that to be over', sub { task(1, 'waiting') eq '0' });
cmp_ok(task(1, 'removed'), '>=', 8000, 'they are counted');
is(rows_on(1, 'leftover'), '0', 'nothing is left to be done');
is(rows_on(1, 'raft_log'), '0', 'nor of its log');
is(ask(1, 'SELECT count(*) FROM tikv_internal.lock_slot WHERE rec IS NOT NULL'), '0', 'nor a lock');
is(ask(1, 'SELECT count(*) FROM tikv_check()'), '0', 'its tables are sound');
is(all_rows_on(2), $all, 'the other replica has all it had');

# ---- without space it waits, and the store is killed before the last slice

$nodes[2]->append_conf('postgresql.conf', "tikv.reserve_space = '" . nearly_full($nodes[2]) . "'");
$nodes[2]->restart;
wait_serving($nodes[2]);
order(0, 'tikv_remove_peer(2, 5)', 'store 5 loses its peer');
wait_for('the peer to be gone', sub { rows_on(2, 'leftover') > 0 });
is(all_rows_on(2), $all, 'nothing is removed while the disk is full');
my $since = -s $nodes[2]->logfile;
# its row cannot be taken away: the last slice does not end
my $holder = hold_table(2, 'leftover', 'SHARE');
$nodes[2]->append_conf('postgresql.conf', 'tikv.reserve_space = -1');
$nodes[2]->reload;
wait_in_vain('the last slice', $nodes[2], $since);
wait_last_slice(2, 0);
cmp_ok(rows_on(2, 'leftover'), '>', 0, 'what is not finished is written down');
$nodes[2]->kill9;
eval { $holder->quit };
start_again(2);
wait_for('the rest to go after the restart', sub { all_rows_on(2) eq '0 0 0' });
wait_for('and what said so', sub { rows_on(2, 'leftover') eq '0' });
pass('a store that was killed goes on with it');

# ---- the region comes back while its rows are being removed

wait_for('a key to be put', sub { defined ask(0, q{SELECT tikv_put('raw1', 'new')}) });
order(0, 'tikv_add_peer(2, 5)', 'a peer on store 5, again');
peer_has_all(5);
foreach my $round (1 .. 3)
{
	order(0, 'tikv_remove_peer(2, 5)', 'store 5 loses its peer');
	wait_for('keys to be deleted', sub {
		my $from = $round * 1000;
		defined ask(0, "SELECT tikv_delete_range('raw$from', 'raw$from~')");
	});
	order(0, 'tikv_add_peer(2, 5)', 'and gets one');
	wait_for('the same rows', sub { all_rows_on(2) eq all_rows_on(0) });
}
is(raw_digest(2, 'true'), raw_digest(0, 'true'), 'nothing old is among the new');
wait_for('nothing to be left over', sub { rows_on(2, 'leftover') eq '0' });

# ---- of two regions one goes: the other's rows stay, and it is served

order(0, q{tikv_split('raw3', true)}, 'the region is split');
my $low = wait_for('its pieces', sub {
	ask(2, q{SELECT region_id FROM tikv.regions WHERE start_key = ''});
});
my $high = ask(0, "SELECT region_id FROM tikv.regions WHERE region_id <> $low");
my $gone = $high;
wait_for('the leader of both', sub { (ask(0, 'SELECT count(*) FROM tikv.regions WHERE is_leader') // '') eq '2' });
order(0, "tikv_remove_peer($gone, 5)", 'store 5 loses the one');
wait_for('its rows to go', sub { task(2, 'waiting') eq '0' && rows_on(2, 'write') eq '0' });
# of raw keys this one is left of the bound, its encoded form
is(rows_on(2, 'raw'), ask(0, q{SELECT count(*) FROM tikv_internal.raw WHERE key <= 'raw3'}), 'those of the other stay');
is(ask(0, q{SELECT convert_from(tikv_get('raw1'), 'UTF8')}), 'new', 'and it is served');
checks_clean(0 .. 2);
$_->stop foreach @nodes;
done_testing();
