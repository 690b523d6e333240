# Deletions of ranges where one store carries none out since its disk is nearly
# full: those that are committed are applied as far as there is room for them,
# the others wait, and the store goes on.  So do its other regions, and the log
# of the one that waits takes no more of the disk.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(time usleep);

# RANGE_DELETES_FULL, and some more.
my $full = 4096;
my $sessions = 8;
my $each = 700;

my @nodes = make_group('group_ranges', 'tikv.request_timeout' => '60s',
	'tikv.raft_log_gc_threshold' => 1);
my @stores = (1, 4, 5);
my $leads = wait_leader();
my $away = ($leads + 1) % 3;
my ($store) = pids($nodes[$away], 'tikv store');
my $other; # the region of keys below 'c'

sub reserve
{
	my ($space) = @_;

	$nodes[$away]->append_conf('postgresql.conf', "tikv.reserve_space = '$space'");
	$nodes[$away]->reload;
}

sub waiting
{
	return ask($away, q{SELECT waiting FROM tikv.tasks WHERE task = 'delete ranges'}) // -1;
}

sub lead_other
{
	my ($to) = @_;

	wait_for("node $to to lead the other region", sub {
		return 1 if (ask($to, "SELECT is_leader FROM tikv.regions WHERE region_id = $other") // '') eq 't';
		ask($_, "SELECT tikv_transfer_leader($other, $stores[$to])") foreach 0 .. 2;
		usleep(300_000);
		return 0;
	});
}

# So many entries of their own.
sub put_many
{
	my ($prefix, $n) = @_;

	return ask($leads, "SELECT count(tikv_put(convert_to('$prefix' || i, 'UTF8'), 'v')) FROM generate_series(1, $n) i");
}

# What the store that is away has of a region.
sub applied
{
	return ask($away, "SELECT applied_index FROM tikv_internal.raft_state WHERE region_id = $_[0]") // 0;
}

sub of_log
{
	my ($region, $what) = @_;

	return ask($away, "SELECT $what FROM tikv_internal.raft_log WHERE region_id = $region") // '';
}

# SQL asks for no deletion where there is nothing.
sub delete_one
{
	my ($session) = @_;

	return "tikv_put('gone$session/1', 'v'), tikv_delete_range('gone$session/', 'gone${session}0')";
}

# Deletions, one after the other: their number is what counts.
sub delete_many
{
	my ($session) = @_;
	my ($out, $err) = ('', '');

	return IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $nodes[$leads]->connstr('postgres'), '-c',
			"DO \$\$ BEGIN FOR i IN 1..$each LOOP PERFORM " . delete_one($session) . '; END LOOP; END $$' ],
		'<', \undef, '>', \$out, '2>', \$err);
}

order($leads, q{tikv_split('c', true)}, 'the region is split');
wait_for('the other region', sub {
	$other = ask($away, 'SELECT region_id FROM tikv.regions WHERE region_id <> 2');
	return $other;
});
lead_other($away);
my (undef, $start_ts) = txnctl($nodes[$away], 'ts');

# Its Placement Driver may not know yet who leads.
wait_for('a prewrite', sub {
	return (txnctl($nodes[$away], 'prewrite', $start_ts, 'a', 'value'))[0] == 0;
});
order($leads, q{tikv_put('r/1', 'old')}, 'a key');
reserve(nearly_full($nodes[$away]));
wait_for('a store that carries none out', sub {
	ask($leads, 'SELECT ' . delete_one(0));
	usleep(300_000);
	return waiting() > 0;
});
my $began = time();
my @deletions = map { delete_many($_) } 1 .. $sessions;
$_->finish foreach @deletions;
elapsed_note($sessions * $each . ' deletions', $began);
is(scalar(grep { $_->result(0) == 0 } @deletions), $sessions, 'more ranges are deleted than a store remembers');
order($leads, q{tikv_delete_range('r/', 'r0')}, 'and a key');
order($leads, q{tikv_put('r/2', 'new')}, 'which another one follows');

wait_for('the store to have enough of them', sub { waiting() >= $full });
wait_for('its log to say so', sub {
	return slurp_file($nodes[$away]->logfile) =~ /what is committed waits for \d+ deletions of ranges/;
});

# Its other region, which it leads, or has left to another by now: without space.
my (undef, $commit_ts) = txnctl($nodes[$away], 'ts');
wait_for('a commit in the other region', sub {
	return grep { (txnctl($nodes[$_], 'commit', $start_ts, $commit_ts, 'a'))[0] == 0 } 0 .. 2;
});
pass('a commit in the other region is answered');
lead_other($leads);
my $from = applied($other);
is(put_many('b', 300), '300', 'others write there');
wait_for('it to apply that', sub { applied($other) >= $from + 300 });
wait_for('the log of that to be given up', sub {
	my $rows = of_log($other, 'count(*)');

	return $rows ne '' && $rows < 100;
});
pass('it goes on applying, and the log stays small');

# The one that waits.
$from = of_log(2, 'max(log_index)');
is(put_many('h', 300), '300', 'others write in the region that waits');
is(of_log(2, 'max(log_index)'), $from, 'whose log does not grow where there is no space');
is((pids($nodes[$away], 'tikv store'))[0], $store, 'the store has not ended');
$nodes[$away]->restart;
wait_for('it to serve again', sub { waiting() >= $full });
($store) = pids($nodes[$away], 'tikv store');
isnt(ask($leads, q{SELECT count(*) FROM tikv_scan('r/', 'r0')}), undef, 'others read meanwhile');

reserve('-1');
foreach my $left (4000, 3000, 2000, 1000, 0)
{
	wait_for("no more than $left to be left where there is space again", sub { my $n = waiting(); $n >= 0 && $n <= $left });
}
wait_same('and all nodes have the same');
is((pids($nodes[$away], 'tikv store'))[0], $store, 'still by the same store');
is(ask(wait_leader(), q{SELECT convert_from(key, 'UTF8') FROM tikv_scan('r/', 'r0')}), 'r/2', 'the newer key');
checks_clean(0 .. 2);
$_->stop foreach @nodes;

done_testing();
