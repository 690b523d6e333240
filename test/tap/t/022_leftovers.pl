# What a region leaves behind on a store that has lost its peer goes away, in
# slices, over restarts, and never together with what comes after it.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;

# What one slice removes at most.
my $slice_rows = 512;

my @nodes = make_stores('left');
my @tables = qw(raw write value);

sub order
{
	my ($sql, $what) = @_;

	wait_for($what, sub { defined ask(0, "SELECT $sql") });
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

# A session that keeps the last slice from ending: its row cannot be taken away.
sub hold
{
	my ($i) = @_;
	my $session = $nodes[$i]->background_psql('postgres');

	$session->query_safe('BEGIN; LOCK TABLE tikv_internal.leftover IN SHARE MODE');
	return $session;
}

sub let_go
{
	my ($session) = @_;

	$session->query_safe('ROLLBACK');
	$session->quit;
}

# ---- rows of all kinds, more than some slices

foreach my $from (map { $_ * 200 + 1 } 0 .. 29)
{
	wait_for("raw keys from $from", sub {
		(ask(0, "SELECT count(tikv_put(convert_to('raw' || i, 'UTF8'), convert_to(repeat('v', 100), 'UTF8'))) FROM generate_series($from, $from + 199) i") // '') eq '200';
	});
}
foreach my $from (map { $_ * 100 + 1 } 0 .. 9)
{
	wait_for("keys of transactions from $from", sub {
		(ask(0, "SELECT count(tikv_txn_put(convert_to('txn' || i, 'UTF8'), convert_to(repeat('v', 300), 'UTF8'))) FROM generate_series($from, $from + 99) i") // '') eq '100';
	});
}
my ($now) = (txnctl($nodes[0], 'ts'))[1];
is((txnctl($nodes[0], 'prewrite', $now, 'locked', 'x'))[0], 0, 'a lock stays');
my $all = all_rows_on(0);
is($all, '6000 1000 1000', 'a store has rows of all kinds');
order('tikv_add_peer(2, 4)', 'a peer on store 4');
order('tikv_add_peer(2, 5)', 'a peer on store 5');
peer_has_all($_) foreach 4, 5;
is(all_rows_on(1), $all, 'a replica has all of them');

# ---- the region moves away

order('tikv_remove_peer(2, 4)', 'store 4 loses its peer');
wait_for('all its rows to go', sub { all_rows_on(1) eq '0 0 0' });
wait_for('that to be over', sub { task(1, 'waiting') eq '0' });
cmp_ok(task(1, 'removed'), '>=', 8000, 'they are counted');
is(rows_on(1, 'leftover'), '0', 'nothing is left to be done');
is(rows_on(1, 'raft_log'), '0', 'nor of its log');
is(ask(1, 'SELECT count(*) FROM tikv_internal.lock_slot WHERE rec IS NOT NULL'), '0', 'nor a lock');
is(ask(1, 'SELECT count(*) FROM tikv_check()'), '0', 'its tables are sound');
is(all_rows_on(2), $all, 'the other replica has all it had');

# ---- without space it waits, and the store is killed before the last slice

$nodes[2]->append_conf('postgresql.conf', "tikv.reserve_space = '1000TB'");
$nodes[2]->restart;
wait_serving($nodes[2]);
order('tikv_remove_peer(2, 5)', 'store 5 loses its peer');
wait_for('the peer to be gone', sub { rows_on(2, 'leftover') > 0 });
is(all_rows_on(2), $all, 'nothing is removed while the disk is full');
my $since = -s $nodes[2]->logfile;
my $holder = hold(2);
$nodes[2]->append_conf('postgresql.conf', 'tikv.reserve_space = -1');
$nodes[2]->reload;
wait_for('the last slice to be in vain', sub {
	slurp_file($nodes[2]->logfile, $since) =~ /could not obtain lock on .*"leftover"|leftover.*lock/i;
});
wait_for('all but the last slice', sub {
	my $left = 0;

	$left += rows_on(2, $_) foreach @tables;
	return $left >= 0 && $left <= $slice_rows;
});
cmp_ok(rows_on(2, 'leftover'), '>', 0, 'what is not finished is written down');
$nodes[2]->kill9;
eval { $holder->quit };
start_again(2);
wait_for('the rest to go after the restart', sub { all_rows_on(2) eq '0 0 0' });
wait_for('and what said so', sub { rows_on(2, 'leftover') eq '0' });
pass('a store that was killed goes on with it');

# ---- the region comes back while its rows are being removed

wait_for('a key to be put', sub { defined ask(0, q{SELECT tikv_put('raw1', 'new')}) });
order('tikv_add_peer(2, 5)', 'a peer on store 5, again');
peer_has_all(5);
foreach my $round (1 .. 3)
{
	order('tikv_remove_peer(2, 5)', 'store 5 loses its peer');
	wait_for('keys to be deleted', sub {
		my $from = $round * 1000;
		defined ask(0, "SELECT tikv_delete_range('raw$from', 'raw$from~')");
	});
	order('tikv_add_peer(2, 5)', 'and gets one');
	wait_for('the same rows', sub { all_rows_on(2) eq all_rows_on(0) });
}
is(ask(2, q{SELECT md5(string_agg(key::text || value::text, ',' ORDER BY key)) FROM tikv_internal.raw}),
	ask(0, q{SELECT md5(string_agg(key::text || value::text, ',' ORDER BY key)) FROM tikv_internal.raw}),
	'nothing old is among the new');
wait_for('nothing to be left over', sub { rows_on(2, 'leftover') eq '0' });

# ---- of two regions one goes: the other's rows stay, and it is served

order(q{tikv_split('raw3', true)}, 'the region is split');
my $low = wait_for('its pieces', sub {
	ask(2, q{SELECT region_id FROM tikv.regions WHERE start_key = ''});
});
my $high = ask(0, "SELECT region_id FROM tikv.regions WHERE region_id <> $low");
my $gone = $high;
wait_for('the leader of both', sub { (ask(0, 'SELECT count(*) FROM tikv.regions WHERE is_leader') // '') eq '2' });
order("tikv_remove_peer($gone, 5)", 'store 5 loses the one');
wait_for('its rows to go', sub { task(2, 'waiting') eq '0' && rows_on(2, 'write') eq '0' });
# of raw keys this one is left of the bound, its encoded form
is(rows_on(2, 'raw'), ask(0, q{SELECT count(*) FROM tikv_internal.raw WHERE key <= 'raw3'}), 'those of the other stay');
is(ask(0, q{SELECT convert_from(tikv_get('raw1'), 'UTF8')}), 'new', 'and it is served');
foreach my $i (0 .. 2)
{
	is(ask($i, 'SELECT count(*) FROM tikv_check()'), '0', "node $i checks clean");
	unlike(slurp_file($nodes[$i]->logfile), qr/PANIC|TRAP|broken invariant/, "node $i has no assertion in its log");
}
$_->stop foreach @nodes;
done_testing();
