# Two snapshots that overlap reach a store in one turn, of a region as it was
# before a split and of what was split off: one is taken, the other is not.
#
# Two stores that know nothing of each other lead the two, as a store that is
# cut off and one that went on would.  Each gets a learner on the third store,
# whose folder of snapshots is away until both have to send theirs.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(sleep);

# By their places in TikvGroup.
my ($whole, $target, $piece) = (0, 1, 2);
my $target_store = 4;
my $piece_store = 5;

sub seed_regions
{
	my ($i) = @_;

	return () if $i == $whole;
	return ('DELETE FROM tikv_internal.region', 'DELETE FROM tikv_internal.raft_state')
	  if $i == $target;
	return ("UPDATE tikv_internal.region SET region_id = 10, peer_id = 11, start_key = 'm', version = version + 1,
			peer_ids = '{11}', peer_stores = '{$piece_store}'",
		'UPDATE tikv_internal.raft_state SET region_id = 10');
}

my @nodes = TikvGroup::make(\&seed_regions, 'two');
my %region_of = ($whole => 2, $piece => 10);

wait_serving($_) foreach @nodes;

sub one
{
	my ($i, $sql) = @_;

	return $nodes[$i]->safe_psql('postgres', $sql);
}

my $dir = $nodes[$target]->data_dir . '/tikv_snapshots';

sub made
{
	my ($i) = @_;

	return grep { !/^\./ } slurp_dir($nodes[$i]->data_dir . '/tikv_snapshots');
}

sub received
{
	my ($i) = @_;

	return one($i, q{SELECT coalesce(sum(value), 0) FROM tikv.metrics WHERE name = 'tikv_fdw_raft_messages_received_total'});
}

# A session that keeps the node's turns from going on.
sub hold
{
	my ($i) = @_;
	my $session = $nodes[$i]->background_psql('postgres');

	$session->query_safe('BEGIN; LOCK TABLE tikv_internal.raft_log IN ACCESS EXCLUSIVE MODE');
	return $session;
}

sub give_back
{
	my ($session) = @_;

	$session->query_safe('ROLLBACK');
	$session->quit;
}

# ---- both want to send a snapshot, and cannot

one($whole, q{SELECT tikv_put('z', 'before the split')});
one($piece, q{SELECT tikv_put('z', 'after the split')});
rename($dir, "$dir.away") or die;
foreach my $i ($whole, $piece)
{
	one($i, "SELECT tikv_add_peer($region_of{$i}, $target_store, learner => true)");
}
wait_for('two peers without data', sub {
	return (ask($target, "SELECT count(*) FROM tikv_internal.raft_state") // '') eq '2';
});
foreach my $i ($whole, $piece)
{
	wait_for("a snapshot of region $region_of{$i}", sub { made($i) > 0 });
}

# ---- what both wait for is an answer of their learners: it comes while they
# are held

my ($store) = pids($nodes[$target], 'tikv store');

kill 'STOP', $store;
sleep 1;
my %held = map { $_ => hold($_) } $whole, $piece;
my %before = map { $_ => received($_) } keys %held;
kill 'CONT', $store;
foreach my $i (keys %held)
{
	wait_for("answers to region $region_of{$i}", sub { received($i) > $before{$i} });
}

# ---- both snapshots come while the third store is held

rename("$dir.away", $dir) or die;
my $session = hold($target);
give_back($_) foreach values %held;
wait_for('two snapshots', sub { (grep { /\.snap$/ } made($target)) == 2 });
is(one($target, q{SELECT count(*) FROM tikv_internal.region WHERE peer_ids <> '{}'}), '0', 'two snapshots wait for one turn');
give_back($session);
wait_for('a region', sub {
	return (ask($target, q{SELECT count(*) > 0 FROM tikv_internal.region WHERE peer_ids <> '{}'}) // '') eq 't';
});
is(one($target, q{SELECT count(*) FROM tikv_internal.region WHERE peer_ids <> '{}'}), '1', 'one of them is taken');
wait_for('it to be installed', sub {
	return (ask($target, q{SELECT count(*) FROM tikv_internal.region WHERE peer_ids <> '{}' AND state = 0}) // '') eq '1';
});

my $taken = one($target, q{SELECT region_id FROM tikv_internal.region WHERE peer_ids <> '{}'});
my ($value) = one($target, q{SELECT string_agg(convert_from(value, 'UTF8'), ',') FROM tikv_internal.raw});

is($value, $taken == 2 ? 'before the split' : 'after the split', 'with its rows alone');
is(one($target, 'SELECT count(*) FROM tikv_check()'), '0', 'the tables are sound');
is((pids($nodes[$target], 'tikv store'))[0], $store, 'the store goes on');
$_->stop foreach @nodes;

done_testing();
