# A store that learns of a split when its peer of the piece has come and gone:
# the rows of the piece belong to nobody there, and go in slices, over crashes,
# while those of the region stay, and those of a new peer of the piece.
#
# The store gets a snapshot of the region from before the split, which waits
# until messages of the piece are there, too.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvLeft;
use TikvTest;
use Time::HiRes qw(sleep);

# Raw keys that are not of the piece.
my $kept = 300;

my @nodes = make_stores('piece');

# The node whose store is meant, and the others' leader.
my ($late, $leads) = (1, 0);
my $late_store = 4;

# Nothing is installed or removed while there is no space.
sub space
{
	my ($reserve) = @_;

	$nodes[$late]->append_conf('postgresql.conf', "tikv.reserve_space = '$reserve'");
	$nodes[$late]->reload;
}

sub crash
{
	$nodes[$late]->kill9;
	start_again($late);
	wait_serving($nodes[$late]);
}

my $dir = $nodes[$late]->data_dir . '/tikv_snapshots';

# ---- rows of all kinds, most of them in what becomes the piece

put_rows($leads, $nodes[$leads], 3000, 'txn-lock');
wait_for('raw keys of the rest', sub {
	(ask($leads, "SELECT count(tikv_put(convert_to('z' || i, 'UTF8'), 'stays')) FROM generate_series(1, $kept) i") // '') eq $kept;
});
my $all = all_rows_on($leads);
is($all, '3300 1000 1000', 'a store has rows of all kinds');

# ---- a snapshot of the region waits for the late store's turn

rename($dir, "$dir.away") or die;
order($leads, "tikv_add_peer(2, $late_store, learner => true)", 'a learner on the late store');
wait_for('its peer without data', sub { rows_on($late, 'raft_state') eq '1' });
wait_for('a snapshot', sub { grep { !/^\./ } slurp_dir($nodes[$leads]->data_dir . '/tikv_snapshots') });

my ($store) = pids($nodes[$late], 'tikv store');

# What the leader waits for is an answer: it comes while that is held.
hold_still($nodes[$late], $store);
sleep 1;
my $leader_held = hold_table($leads, 'raft_log', 'ACCESS EXCLUSIVE');
my $before = received($leads);
kill 'CONT', $store;
wait_for('an answer', sub { received($leads) > $before });
rename("$dir.away", $dir) or die;
my $late_held = hold_table($late, 'raft_log', 'ACCESS EXCLUSIVE');
let_table_go($leader_held);
wait_for('the snapshot to come', sub { grep { /\.snap$/ } slurp_dir($dir) });
space(nearly_full($nodes[$late]));

# ---- the region is split, and the piece's peer comes and goes

order($leads, q{tikv_split('u', true)}, 'the split');
my $piece = wait_for('the piece', sub { ask($leads, q{SELECT region_id FROM tikv.regions WHERE region_id <> 2}) });
is(ask($leads, "SELECT start_key FROM tikv.regions WHERE region_id = $piece"), '\x', 'it is the lower one');
sleep 3; # messages of the piece come after the snapshot
let_table_go($late_held);
wait_for("the piece's peer, before the split", sub { rows_on($late, 'raft_state') eq '2' });
is(all_rows_on($late), '0 0 0', 'nothing is installed yet');
order($leads, "tikv_remove_peer($piece, $late_store)", 'the late store loses it');
wait_for('it to go', sub { rows_on($late, 'raft_state') eq '1' });
is(rows_on($late, 'leftover'), '0', 'it has left nothing behind: it had nothing');

# ---- the late store comes to the split when it is installed

($store) = pids($nodes[$late], 'tikv store');
my $holder = hold_table($late, 'leftover', 'SHARE');
space('-1');
wait_for('the rows from before the split', sub { all_rows_on($late) eq $all });
wait_for('the snapshot to be done with', sub { rows_on($late, 'snapshot_install') eq '0' });
wait_state($nodes[$late], 'store', 'serving', qr/locked by process/);
is(rows_on($late, 'leftover'), '0', 'the split waits for the table that it writes to');
space(nearly_full($nodes[$late]));
sleep 1;
let_table_go($holder);
wait_for('the split', sub { rows_on($late, 'leftover') > 0 });
is_deeply([ pids($nodes[$late], 'tikv store') ], [$store], 'the store has outlived the lock');
is(ask($late, q{SELECT count(*) FROM tikv_internal.raft_state}), '1', 'no peer of the piece begins');
is(all_rows_on($late), $all, 'its rows are there, and belong to nobody');

# ---- crashes in between

crash();
is(rows_on($late, 'leftover'), '1', 'what is left is known after a crash');
is(all_rows_on($late), $all, '... and is there');
my $since = -s $nodes[$late]->logfile;
$holder = hold_table($late, 'leftover', 'SHARE');
space('-1');
wait_in_vain('the last slice', $nodes[$late], $since);
wait_last_slice($late, $kept);
is(raw_digest($late, q{key > 'u'}), raw_digest($leads, q{key > 'u'}), 'those of the region stay');
space(nearly_full($nodes[$late]));
$nodes[$late]->kill9;
eval { $holder->quit };
start_again($late);
wait_serving($nodes[$late]);
is(rows_on($late, 'leftover'), '1', 'what is not finished is known after another crash');

# ---- the piece comes back while its rows are being removed

order($leads, q{tikv_put('raw2', 'new')}, 'a new value');
order($leads, q{tikv_delete_range('raw25', 'raw26')}, 'some keys go');
order($leads, "tikv_add_peer($piece, $late_store, learner => true)", 'a new peer of the piece');
space('-1');
wait_for('it to be there', sub { rows_on($late, 'raft_state') eq '2' });
crash();
wait_for('the same rows', sub { all_rows_on($late) eq all_rows_on($leads) });
wait_for('nothing to be left over', sub { rows_on($late, 'leftover') eq '0' });
is(raw_digest($late, 'true'), raw_digest($leads, 'true'), 'nothing old is among the new');
is(rows_on($late, 'lock_slot WHERE rec IS NOT NULL'), rows_on($leads, 'lock_slot WHERE rec IS NOT NULL'), 'nor among the locks');
checks_clean($leads, $late);
$_->stop foreach @nodes;
done_testing();
