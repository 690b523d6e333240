# The GC safe point where other stores have removed the versions: a follower that
# is read, a new leader, and a peer with a snapshot have not heard of it from PD
# yet.  Nothing below it is answered from what is left.

use strict;
use warnings;

use IPC::Run;
use Test::More;
use TikvSpread;
use TikvTest;

my @nodes = make_spread('elsewhere', [], [ 0 ], 'tikv.gc_life_time' => '1h',
	'tikv.raft_log_gc_threshold' => 1, 'tikv.raft_log_gc_count_limit' => 4);
my ($region) = map { $_->[0] } regions_of();

sub step
{
	my @arguments = @_;
	my ($answer, $out, $err) = txnctl($nodes[0], @arguments);

	is($answer, 0, "@arguments") or diag($err);
	return $out;
}

sub store
{
	my ($key, $value) = @_;
	my $start = step('ts');

	step('prewrite', $start, $key, $value);
	step('commit', $start, step('ts'), $key);
	return;
}

# As node 1 says it, whether it leads or not.
sub get_at_1
{
	my ($replica, $ts, $key) = @_;
	my ($in, $out, $err) = ("\n", '', '');

	local $ENV{TXNCTL_STORE} = store_of(1);
	local $ENV{TXNCTL_REPLICA} = 1 if $replica;
	IPC::Run::run([ $ENV{TXNCTL}, '--pd', $nodes[0]{tikv}{'tikv.pd_addr'}, 'get', $ts, $key ],
		'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(60));
	$out =~ s/^ready\n//;
	return ($? >> 8, $out, $err);
}

sub is_not_answered
{
	my ($who, @read) = @_;
	my ($answer, $out, $err) = get_at_1(@read);

	is($answer, 3, "$who: refused") or diag("it answers $answer: '$out' $err");
	like($err, qr/TxnAbortedByGC/, "$who says why");
	return;
}

store('k', 'old');
my $seen = step('ts');
store('k', 'new');
my $moved = step('ts');
is((get_at_1(1, $seen, 'k'))[1], "old\n", 'a follower has the old version');

# Node 1 has a majority's log, and hears nothing from PD.
my $pd = (pids($nodes[1], 'tikv pd'))[0];
hold_still($nodes[1], $pd);
is((rawctl($nodes[0], 'collect', $moved))[0], 0, 'the safe point moves');
foreach my $i (0, 1)
{
	wait_for("the old version to go on node $i", sub {
		return sql($i, 'SELECT count(*) FROM tikv_internal.write') eq '1';
	});
}
is((txnctl($nodes[0], 'get', $seen, 'k'))[0], 3, 'the leader refuses a read of it');
is_not_answered('a follower', 1, $seen, 'k');

wait_for('node 1 to lead', sub {
	try_sql(0, "SELECT tikv_transfer_leader($region, " . store_of(1) . ')');
	return sql(1, "SELECT is_leader FROM tikv.regions WHERE region_id = $region") eq 't';
});
is_not_answered('a new leader', 0, $seen, 'k');
is((get_at_1(0, $moved, 'k'))[1], "new\n", 'what is newer is served');

# ---- the entry that says so is gone, too: it is brought by a snapshot
wait_for('node 0 to lead again', sub {
	try_sql(1, "SELECT tikv_transfer_leader($region, " . store_of(0) . ')');
	return sql(0, "SELECT is_leader FROM tikv.regions WHERE region_id = $region") eq 't';
});
$seen = step('ts');
store('k', 'newest');
$moved = step('ts');
is((get_at_1(1, $moved, 'k'))[1], "newest\n", 'the follower has all');
my $has = sql(1, "SELECT applied FROM tikv.raft WHERE is_local AND region_id = $region");
cmp_ok($has, '>', 5, 'up to an entry of its log');
my $store = (pids($nodes[1], 'tikv store'))[0];
hold_still($nodes[1], $store);

# More than the leader sends to one who does not answer.
sql(0, join(' ', map { "SELECT tikv_put('raw$_', 'v');" } 1 .. 600));
is((rawctl($nodes[0], 'collect', $moved))[0], 0, 'the safe point moves again');
wait_for('the version to go', sub {
	return sql(0, q{SELECT count(*) FROM tikv_internal.write WHERE key = 'k'}) eq '1';
});
wait_for('the log that the follower needs to go', sub {
	store('other', 'value');
	return sql(0, "SELECT min(log_index) > $has + 1 FROM tikv_internal.raft_log WHERE region_id = $region") eq 't';
});
kill 'CONT', $store;
wait_for('the follower to have the snapshot', sub {
	return sql(1, q{SELECT count(*) FROM tikv_internal.write WHERE key = 'k'}) eq '1';
});
is_not_answered('a peer with a snapshot', 1, $seen, 'k');
is((get_at_1(1, $moved, 'k'))[1], "newest\n", 'what is newer is served');

kill 'CONT', $pd;
$_->stop('immediate') foreach @nodes;
done_testing();
