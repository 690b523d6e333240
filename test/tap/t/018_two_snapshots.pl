# Two snapshots that overlap reach a store in one turn, of a region as it was
# before a split and of what was split off: one is taken, the other is not.
#
# Two stores that know nothing of each other lead the two, as a store that is
# cut off and one that went on would.  Each gets a learner on the third store,
# whose folder of snapshots is away until both have to send theirs.
#
# A leader that finds on its way that the learner was silent for too long waits
# for one more answer, which a store that is held does not give: on a busy
# machine it may take more than one try with three new nodes.

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

my @nodes;
my %region_of = ($whole => 2, $piece => 10);
my $dir;
my @log_lock = ('raft_log', 'ACCESS EXCLUSIVE');

sub one
{
	my ($i, $sql) = @_;

	return $nodes[$i]->safe_psql('postgres', $sql);
}

sub made
{
	my ($i) = @_;

	return grep { !/^\./ } slurp_dir($nodes[$i]->data_dir . '/tikv_snapshots');
}

# Both want to send a snapshot, and cannot.
sub want_both
{
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
}

# What both wait for is an answer of their learners: it comes while they are
# held; both snapshots then come while the third store is.
sub send_both
{
	my ($store) = pids($nodes[$target], 'tikv store');

	hold_still($nodes[$target], $store);
	sleep 1;
	my %held = map { $_ => hold_table($_, @log_lock) } $whole, $piece;
	my %before = map { $_ => received($_) } keys %held;
	kill 'CONT', $store;
	foreach my $i (keys %held)
	{
		wait_for("answers to region $region_of{$i}", sub { received($i) > $before{$i} });
	}
	rename("$dir.away", $dir) or die;
	my $session = hold_table($target, @log_lock);
	let_table_go($_) foreach values %held;
	return $session;
}

sub both_came
{
	my $end = time() + 15;

	until (grep({ /\.snap$/ } made($target)) == 2)
	{
		return 0 if time() >= $end;
		sleep 0.05;
	}
	return 1;
}

my $session;
my $came = 0;

foreach my $try (1 .. 4)
{
	@nodes = TikvGroup::make(\&seed_regions, "two$try");
	wait_serving($_) foreach @nodes;
	$dir = $nodes[$target]->data_dir . '/tikv_snapshots';
	want_both();
	$session = send_both();
	$came = both_came();
	last if $came;
	note("try $try: only one of them came");
	let_table_go($session);
	$_->stop('immediate') foreach @nodes;
}
ok($came, 'two snapshots came while the store is held') or die;

my ($store) = pids($nodes[$target], 'tikv store');

is(one($target, q{SELECT count(*) FROM tikv_internal.region WHERE peer_ids <> '{}'}), '0', 'two snapshots wait for one turn');
let_table_go($session);
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
