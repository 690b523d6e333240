# A raw write that a server worker has passed on, and of which it cannot know what
# became: the worker stops, or the store ends.  Its client is told that the
# outcome is unknown, and not that the call failed: it would send a swap again,
# which would meet its own value.

use strict;
use warnings;

use Http2 qw(field begin_call end_call);
use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(usleep);

# Each goes to the store or to its worker, as the kernel chooses.
my $calls = 16;

my @nodes = make_group('unknown_worker', 'tikv.server_workers' => 1,
	'max_worker_processes' => 16, 'tikv.request_timeout' => '30s');

# kvrpcpb.Context of region 2 at the node that leads it.
sub context
{
	my ($node) = @_;
	my ($conf_ver, $version, $peer, $store) = split /\|/, $node->safe_psql('postgres', q{
		SELECT conf_ver, version, peer_id, (SELECT store_id FROM tikv_internal.store_meta)
		FROM tikv.regions WHERE region_id = 2});

	return field(1, 2) . field(2, field(1, $conf_ver) . field(2, $version), 1)
	  . field(3, field(1, $peer) . field(2, $store), 1);
}

sub begin_calls
{
	my ($node, $method, $key, $rest) = @_;
	my $context = field(1, context($node), 1);

	return map {
		begin_call($node->{tikv}{'tikv.addr'}, "/tikvpb.Tikv/$method",
			$context . field(2, "$key$_", 1) . $rest)
	} 1 .. $calls;
}

# Of keys that nobody has.
sub begin_swaps
{
	my ($node, $key) = @_;

	return begin_calls($node, 'RawCompareAndSwap', $key, field(3, 'new', 1) . field(4, 1));
}

# All of them, so that nobody else comes to lead; the leader's is the last one.
sub hold_stores
{
	my ($leader) = @_;
	my @held;

	foreach my $node ((grep { $_ != $leader } @nodes), $leader)
	{
		push @held, pids($node, 'tikv store');
		hold_still($node, $held[-1]);
	}
	return @held;
}

# While the store stands still: some are at its worker, and in its queue.
sub wait_forwarded
{
	my ($node) = @_;

	wait_for('the worker to have some', sub {
		return $node->safe_psql('postgres', q{
			SELECT value::int8 FROM tikv.metrics
			WHERE name = 'tikv_fdw_request_memory_bytes' AND labels->>'worker' = 'server 1'}) > 0;
	});
	usleep(500_000);
}

# Those that are over by now, with their answers.
sub answers
{
	my %answer_of = map { $_ => end_call($_, 0.1) } @_;

	return map { $answer_of{$_} } grep { $_->{over} } @_;
}

# A region error with errorpb.Error.undetermined_result.
sub undetermined
{
	my ($reason, @answers) = @_;

	return scalar grep { defined $_ && /^\x0a.*\xb2\x01.*\Q$reason\E/s } @answers;
}

# ---- the worker stops

my $leader = $nodes[wait_leader()];
my (undef, $ts) = txnctl($leader, 'ts');
my ($worker) = pids($leader, 'tikv server');
my @stores = hold_stores($leader);
my @swaps = begin_swaps($leader, 'stop');
my @cleanups = begin_calls($leader, 'KvCleanup', 'clean', field(3, $ts));
wait_forwarded($leader);
kill 'TERM', $worker;
wait_for('the worker to end', sub { !kill 0, $worker });
my @told = answers(@swaps);
cmp_ok(scalar(@told), '>', 0, 'a worker that stops answers swaps');
is(undetermined('the worker is stopping', @told), scalar(@told), 'their outcome is unknown');
@told = answers(@cleanups);
cmp_ok(scalar(@told), '>', 0, 'and commands of transactions');
is(scalar(grep { defined } @told), 0, 'whose calls fail');
kill 'CONT', @stores;
wait_serving($leader);

# ---- the store ends when they are committed: it cannot store that they are

$leader = $nodes[wait_leader()];
wait_serving($leader);
$leader->safe_psql('postgres', 'CREATE TABLE kept (LIKE tikv_internal.raft_state)');
@stores = hold_stores($leader);
@swaps = begin_swaps($leader, 'end');
wait_forwarded($leader);
$leader->safe_psql('postgres', q{
	SET session_replication_role = replica;
	WITH gone AS (DELETE FROM tikv_internal.raft_state WHERE region_id = 2 RETURNING *)
	INSERT INTO kept SELECT * FROM gone});
kill 'CONT', reverse @stores;
wait_for('the store to end', sub { !kill 0, $stores[-1] });
usleep(500_000);
@told = answers(@swaps);
cmp_ok(undetermined('the store went away', @told), '>', 0, 'a store that ends: the outcome of swaps is unknown');
is(scalar(grep { !defined } @told), 0, 'and no call fails at the worker');
$leader->safe_psql('postgres', q{
	SET session_replication_role = replica;
	INSERT INTO tikv_internal.raft_state SELECT * FROM kept});
wait_serving($leader);
wait_for('them to be carried out', sub {
	return (ask(wait_leader(), q{SELECT count(*) > 0 FROM tikv_scan('end', 'enf')}) // '') eq 't';
});
pass('they have been carried out');
wait_same('by all');
checks_clean(0 .. 2);
$_->stop foreach @nodes;
done_testing();
