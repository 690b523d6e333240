# Groups where something is odd: a log that grew before a restart, and a split
# that no other store can hear of.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;

my @nodes = make_group('odd', 'tikv.request_timeout' => '30s');

sub one
{
	my ($i, $sql) = @_;

	return $nodes[$i]->safe_psql('postgres', $sql);
}

# ---- a log that is too large gives up its older half, whatever a restart forgot

my $leads = wait_leader();
my $away = ($leads + 1) % 3;

$nodes[$away]->stop('immediate');
$leads = wait_leader($away);
foreach my $i (1 .. 6)
{
	wait_for("large value $i", sub {
		return defined ask(wait_leader($away), "SELECT tikv_put('large$i', convert_to(repeat('x', 1000000), 'UTF8'))");
	});
}
my @here = grep { $_ != $away } 0 .. 2;
my %truncated = map { $_ => one($_, 'SELECT truncated_index FROM tikv_internal.raft_state WHERE region_id = 2') } @here;
cmp_ok(one($here[0], 'SELECT sum(length(entry)) FROM tikv_internal.raft_log'), '>', 6_000_000,
	'the log is kept for the node that is away');
$nodes[$_]->stop foreach @here;
$nodes[$_]->append_conf('postgresql.conf', 'tikv.raft_log_gc_size_limit = 4MB') foreach 0 .. 2;
$nodes[$_]->start foreach @here;
$leads = wait_leader($away);
is(ask($leads, "SELECT tikv_put('after', 'it')"), '', 'two nodes go on');
wait_for('the log to give up its older half', sub {
	foreach my $i (@here)
	{
		my $now = ask($i, 'SELECT truncated_index FROM tikv_internal.raft_state WHERE region_id = 2');

		return 0 if !defined $now || $now <= $truncated{$i};
	}
	return 1;
});
pass('a log that is too large gives up its older half after a restart, too');
$nodes[$away]->start;
wait_same('and who was away has all');

# ---- from the proposal of a split to its application a leader has no lease

$leads = wait_leader();
my @stopped = map { pids($nodes[$_], 'tikv store') } grep { $_ != $leads } 0 .. 2;
my $last = "SELECT coalesce(max(log_index), 0) FROM tikv_internal.raft_log WHERE region_id = 2";

is(ask($leads, "SELECT tikv_put('a', '1')"), '', 'a write, and the lease that comes of it');
kill 'STOP', @stopped;
my $before = one($leads, $last);
my ($out, $err) = ('', '');
my $split = IPC::Run::start(
	[ 'psql', '-XAtq', '-d', $nodes[$leads]->connstr('postgres'), '-c', q{SELECT tikv_split('m')} ],
	'<', \undef, '>', \$out, '2>', \$err);
wait_for('the split to be in the log', sub { one($leads, $last) > $before });
my ($answer) = $nodes[$leads]->psql('postgres', q{SET tikv.request_timeout = '2s'; SELECT tikv_get('a')});
kill 'CONT', @stopped;
isnt($answer, 0, 'its leader reads nothing alone while a split is on its way');
$split->finish;
wait_for('the split to be made', sub {
	return (ask($leads, 'SELECT count(*) FROM tikv.regions') // 0) == 2;
});
wait_for('reads afterwards', sub {
	return (ask($leads, "SELECT convert_from(tikv_get('a'), 'UTF8')") // '') eq '1';
});
pass('and reads again when it is made');

foreach my $i (0 .. 2)
{
	wait_for("node $i to check clean", sub {
		return (ask($i, 'SELECT count(*) FROM tikv_check()') // '') eq '0';
	});
}
$_->stop foreach @nodes;

done_testing();
