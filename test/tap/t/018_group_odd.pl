# Groups where something is odd: a log that grew before a restart, a split that
# no other store can hear of, and writes behind one.

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

# Bytes that the store of a node holds for as long as it lives.
sub lasting_memory
{
	my ($i) = @_;
	my ($pid) = pids($nodes[$i], 'tikv store');
	my $seen = length slurp_file($nodes[$i]->logfile);

	one($i, "SELECT pg_log_backend_memory_contexts($pid)");
	return wait_for('what the store holds', sub {
		return substr(slurp_file($nodes[$i]->logfile), $seen) =~ /\[$pid\].*TopMemoryContext: .* (\d+) used/ && $1;
	});
}

# A statement that runs beside others.
sub start_sql
{
	my ($i, $sql) = @_;
	my ($out, $err) = ('', '');

	return IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $nodes[$i]->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$out, '2>', \$err);
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

# ---- the log is locked while its end is nowhere but in the table

$leads = wait_leader();
my @store = pids($nodes[$leads], 'tikv store');
my @quiet = map { pids($nodes[$_], 'tikv store') } grep { $_ != $leads } 0 .. 2;
my $end = "SELECT coalesce(max(log_index), 0) FROM tikv_internal.raft_log WHERE region_id = 2";

kill 'STOP', @quiet;
my $stored = one($leads, $end);
my $put = start_sql($leads, q{SELECT tikv_put('big', convert_to(repeat('y', 3000000), 'UTF8'))});
wait_for('a large value in the log', sub { one($leads, $end) > $stored });
my $session = hold_table($leads, 'raft_log', 'ACCESS EXCLUSIVE');

# Longer than the second between two looks of what people may know of groups.
sleep 3;
is_deeply([ pids($nodes[$leads], 'tikv store') ], \@store, 'a store whose log is locked goes on');
kill 'CONT', @quiet;
sleep 1;
let_table_go($session);
wait_for('the value', sub {
	return (ask($leads, q{SELECT length(tikv_get('big'))}) // 0) == 3_000_000;
});
$put->finish;
is_deeply([ pids($nodes[$leads], 'tikv store') ], \@store, 'and has never ended');

# ---- from the proposal of a split to its application a leader has no lease

$leads = wait_leader();
my @stopped = map { pids($nodes[$_], 'tikv store') } grep { $_ != $leads } 0 .. 2;
my $last = "SELECT coalesce(max(log_index), 0) FROM tikv_internal.raft_log WHERE region_id = 2";

is(ask($leads, "SELECT tikv_put('a', '1')"), '', 'a write, and the lease that comes of it');
kill 'STOP', @stopped;
my $before = one($leads, $last);
my $split = start_sql($leads, q{SELECT tikv_split('m')});
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

# ---- writes that come behind a split in the log are told of all its pieces

$leads = wait_leader();
@stopped = map { pids($nodes[$_], 'tikv store') } grep { $_ != $leads } 0 .. 2;
is(ask($leads, "SELECT tikv_put('o', '1')"), '', 'another write');
my $held = lasting_memory($leads);
kill 'STOP', @stopped;
$before = one($leads, $last);
$split = start_sql($leads, q{SELECT tikv_split('t')});
wait_for('another split in the log', sub { one($leads, $last) > $before });
my @puts = map { start_sql($leads, "SELECT tikv_put('p$_', '1')") } 1 .. 10;
wait_for('writes behind it', sub { one($leads, $last) >= $before + 11 });
kill 'CONT', @stopped;
$_->finish foreach $split, @puts;
is(scalar(grep { $_->result(0) == 0 } @puts), 10, 'they are tried again, and done');
cmp_ok(lasting_memory($leads) - $held, '<', 50_000, 'and leave nothing in the memory of the store');

foreach my $i (0 .. 2)
{
	wait_for("node $i to check clean", sub {
		return (ask($i, 'SELECT count(*) FROM tikv_check()') // '') eq '0';
	});
}
$_->stop foreach @nodes;

done_testing();
