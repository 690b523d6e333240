# Writes whose client's time is over when they are decided, on a node alone:
# they are not done, and the client is told so; those that have time are.
#
# The store stands still whenever it has taken writes for a turn and has looked
# at none of them, for longer than the one client waits and not nearly as long as
# the other does: how fast anything is does not matter.

use strict;
use warnings;

use Test::More;
use TikvCommit;
use TikvTest;
use Time::HiRes qw(usleep);

my $kept_ms = 600;
my %limit_ms = (late => 200, soon => 60_000);
my $node = new_node('late', 'tikv.server_workers' => '0');

$node->start;
serve($node);
use_node($node);

# Let a client write while the store keeps each turn for a while; what it said.
sub kept
{
	my ($when, $start) = @_;
	my $store = store_pid();

	# One turn first, so that the store has surely heard of the point.
	write_points('store_turn_taken=stop');
	my $wake = psql_start(q{SELECT tikv_put('wake', 'up')});
	wait_for('the store to stand still', sub { state_of($store) eq 'T' });

	local $ENV{RAWCTL_MAX_MS} = $limit_ms{$when};
	my $client = $start->();
	wait_for('an answer to a write that was kept', sub {
		if (state_of($store) eq 'T')
		{
			usleep(1000 * $kept_ms);
			kill 'CONT', $store;
		}
		$client->{run}->pump_nb;
		return !$client->{run}->pumpable;
	});
	$client->{run}->finish;
	clear_points();
	kill 'CONT', $store;
	$wake->{run}->finish;
	return ($client->{run}->result(0), ${ $client->{err} });
}

# The same write, too late and then in time: $left tells what there is of it,
# before, and when it is done.
sub try_write
{
	my ($what, $start, $left, $before, $done) = @_;

	my ($answer, $err) = kept('late', $start);
	isnt($answer, 0, "$what that is too late is refused");
	like($err, qr/region error: Deadline is exceeded/, 'in words that clients know');
	is($left->(), $before, 'and is not done');

	($answer, $err) = kept('soon', $start);
	is($answer, 0, "$what that has time is acknowledged") or diag($err);
	is($left->(), $done, 'and is done');
}

sub raw
{
	my ($answer, $value) = rawctl($node, 'get', 'raw');

	return { 0 => $value, 2 => 'absent' }->{$answer} // 'error';
}

try_write('a put', sub { rawctl_start($node, 'put', 'raw', 'v') }, \&raw, 'absent', 'v');
try_write('a deletion', sub { rawctl_start($node, 'delete', 'raw') }, \&raw, 'v', 'absent');

my (undef, $start_ts) = txnctl($node, 'ts');
my $txn = sub { told_of_key('txn', (txnctl($node, 'ts'))[1]) };

try_write('a prewrite', sub { txnctl_start($node, 'prewrite', $start_ts, 'txn', 'v') }, $txn, 'absent', 'locked');

my (undef, $commit_ts) = txnctl($node, 'ts');

try_write('a commit', sub { txnctl_start($node, 'commit', $start_ts, $commit_ts, 'txn') }, $txn, 'locked', 'value');

$node->stop;
done_testing();
