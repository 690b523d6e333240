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
use TikvTest;
use Time::HiRes qw(sleep);

# What one slice removes at most, and raw keys that are not of the piece.
my $slice_rows = 512;
my $kept = 300;

my @nodes = make_stores('piece');
my @tables = qw(raw write value);

# The node whose store is meant, and the others' leader.
my ($late, $leads) = (1, 0);
my $late_store = 4;

sub order
{
	my ($sql, $what) = @_;

	wait_for($what, sub { defined ask($leads, "SELECT $sql") });
}

sub rows_on
{
	my ($i, $table) = @_;

	return ask($i, "SELECT count(*) FROM tikv_internal.$table") // -1;
}

sub all_rows_on
{
	my ($i) = @_;

	return join ' ', map { rows_on($i, $_) } @tables;
}

# Keys and values of a part of the raw keys.
sub raw_digest
{
	my ($i, $where) = @_;

	return ask($i, "SELECT md5(string_agg(key::text || value::text, ',' ORDER BY key)) FROM tikv_internal.raw WHERE $where") // "node $i is silent";
}

sub hold
{
	my ($i, $table, $mode) = @_;
	my $session = $nodes[$i]->background_psql('postgres');

	$session->query_safe("BEGIN; LOCK TABLE tikv_internal.$table IN $mode MODE");
	return $session;
}

sub let_go
{
	my ($session) = @_;

	$session->query_safe('ROLLBACK');
	$session->quit;
}

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

sub received
{
	my ($i) = @_;

	return ask($i, q{SELECT coalesce(sum(value), 0) FROM tikv.metrics WHERE name = 'tikv_fdw_raft_messages_received_total'}) // 0;
}

my $dir = $nodes[$late]->data_dir . '/tikv_snapshots';

# ---- rows of all kinds, most of them in what becomes the piece

foreach my $from (map { $_ * 200 + 1 } 0 .. 14)
{
	wait_for("raw keys from $from", sub {
		(ask($leads, "SELECT count(tikv_put(convert_to('raw' || i, 'UTF8'), convert_to(repeat('v', 100), 'UTF8'))) FROM generate_series($from, $from + 199) i") // '') eq '200';
	});
}
wait_for('raw keys of the rest', sub {
	(ask($leads, "SELECT count(tikv_put(convert_to('z' || i, 'UTF8'), 'stays')) FROM generate_series(1, $kept) i") // '') eq $kept;
});
wait_for('keys of transactions', sub {
	(ask($leads, "SELECT count(tikv_txn_put(convert_to('txn' || i, 'UTF8'), convert_to(repeat('v', 300), 'UTF8'))) FROM generate_series(1, 1000) i") // '') eq '1000';
});
my ($now) = (txnctl($nodes[$leads], 'ts'))[1];
is((txnctl($nodes[$leads], 'prewrite', $now, 'txn-lock', 'x'))[0], 0, 'a lock stays');
my $all = all_rows_on($leads);
is($all, '3300 1000 1000', 'a store has rows of all kinds');

# ---- a snapshot of the region waits for the late store's turn

rename($dir, "$dir.away") or die;
order("tikv_add_peer(2, $late_store, learner => true)", 'a learner on the late store');
wait_for('its peer without data', sub { rows_on($late, 'raft_state') eq '1' });
wait_for('a snapshot', sub { grep { !/^\./ } slurp_dir($nodes[$leads]->data_dir . '/tikv_snapshots') });

my ($store) = pids($nodes[$late], 'tikv store');

# What the leader waits for is an answer: it comes while that is held.
kill 'STOP', $store;
sleep 1;
my $leader_held = hold($leads, 'raft_log', 'ACCESS EXCLUSIVE');
my $before = received($leads);
kill 'CONT', $store;
wait_for('an answer', sub { received($leads) > $before });
rename("$dir.away", $dir) or die;
my $late_held = hold($late, 'raft_log', 'ACCESS EXCLUSIVE');
let_go($leader_held);
wait_for('the snapshot to come', sub { grep { /\.snap$/ } slurp_dir($dir) });
space('1000TB');

# ---- the region is split, and the piece's peer comes and goes

order(q{tikv_split('u', true)}, 'the split');
my $piece = wait_for('the piece', sub { ask($leads, q{SELECT region_id FROM tikv.regions WHERE region_id <> 2}) });
is(ask($leads, "SELECT start_key FROM tikv.regions WHERE region_id = $piece"), '\x', 'it is the lower one');
sleep 3; # messages of the piece come after the snapshot
let_go($late_held);
wait_for("the piece's peer, before the split", sub { rows_on($late, 'raft_state') eq '2' });
is(all_rows_on($late), '0 0 0', 'nothing is installed yet');
order("tikv_remove_peer($piece, $late_store)", 'the late store loses it');
wait_for('it to go', sub { rows_on($late, 'raft_state') eq '1' });
is(rows_on($late, 'leftover'), '0', 'it has left nothing behind: it had nothing');

# ---- the late store comes to the split when it is installed

my $since = -s $nodes[$late]->logfile;
my $holder = hold($late, 'leftover', 'SHARE');
space('-1');
wait_for('the split to be in vain', sub {
	slurp_file($nodes[$late]->logfile, $since) =~ /could not obtain lock on .*"leftover"|leftover.*lock/i;
});
is(all_rows_on($late), $all, 'the snapshot has the rows from before the split');
space('1000TB');
sleep 1;
let_go($holder);
wait_for('the split', sub { rows_on($late, 'leftover') > 0 });
is(ask($late, q{SELECT count(*) FROM tikv_internal.raft_state}), '1', 'no peer of the piece begins');
is(all_rows_on($late), $all, 'its rows are there, and belong to nobody');

# ---- crashes in between

crash();
is(rows_on($late, 'leftover'), '1', 'what is left is known after a crash');
is(all_rows_on($late), $all, '... and is there');
$since = -s $nodes[$late]->logfile;
$holder = hold($late, 'leftover', 'SHARE');
space('-1');
wait_for('the last slice to be in vain', sub {
	slurp_file($nodes[$late]->logfile, $since) =~ /could not obtain lock on .*"leftover"|leftover.*lock/i;
});
wait_for('all but the last slice', sub {
	my $left = -$kept;

	$left += rows_on($late, $_) foreach @tables;
	return $left >= 0 && $left <= $slice_rows;
});
is(raw_digest($late, q{key > 'u'}), raw_digest($leads, q{key > 'u'}), 'those of the region stay');
space('1000TB');
$nodes[$late]->kill9;
eval { $holder->quit };
start_again($late);
wait_serving($nodes[$late]);
is(rows_on($late, 'leftover'), '1', 'what is not finished is known after another crash');

# ---- the piece comes back while its rows are being removed

order(q{tikv_put('raw2', 'new')}, 'a new value');
order(q{tikv_delete_range('raw25', 'raw26')}, 'some keys go');
order("tikv_add_peer($piece, $late_store, learner => true)", 'a new peer of the piece');
space('-1');
wait_for('it to be there', sub { rows_on($late, 'raft_state') eq '2' });
crash();
wait_for('the same rows', sub { all_rows_on($late) eq all_rows_on($leads) });
wait_for('nothing to be left over', sub { rows_on($late, 'leftover') eq '0' });
is(raw_digest($late, 'true'), raw_digest($leads, 'true'), 'nothing old is among the new');
is(rows_on($late, 'lock_slot WHERE rec IS NOT NULL'), rows_on($leads, 'lock_slot WHERE rec IS NOT NULL'), 'nor among the locks');
foreach my $i ($leads, $late)
{
	is(ask($i, 'SELECT count(*) FROM tikv_check()'), '0', "node $i checks clean");
	unlike(slurp_file($nodes[$i]->logfile), qr/PANIC|TRAP|broken invariant/, "node $i has no assertion in its log");
}
$_->stop foreach @nodes;
done_testing();
