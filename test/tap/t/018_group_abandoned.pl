# A write that waits for another one's entry in the log of a group, and whose
# client is gone when its turn comes: it ends there and holds up nobody.
#
# What it was made of is given back at that moment.  Freed memory is written
# over here, so a store that looks at it again dies of it.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;

# Of so many keys that the request is not in the block that its arena keeps.
my $many = 1000;

$ENV{MALLOC_PERTURB_} = 90;
my @nodes = make_group('abandoned', 'tikv.request_timeout' => '30s');
my $leads;

sub step
{
	my ($answer, $out, $err) = txnctl($nodes[$leads], @_);

	is($answer, 0, join(' ', @_)) or diag($err);
	return $out;
}

sub one
{
	return $nodes[$leads]->safe_psql('postgres', $_[0]);
}

# Calls that the store has not answered.
sub wait_calls
{
	my ($n, $what) = @_;

	wait_for($what, sub {
		return one(q{SELECT value::int FROM tikv.metrics
			WHERE name = 'tikv_fdw_grpc_calls_in_flight' AND labels->>'worker' = 'store'}) == $n;
	});
}

# The others answer no more, so what is proposed stays in the log.  It has three
# seconds: then a leader that hears of nobody steps down.
sub abandon_one
{
	my ($round) = @_;
	my @stores = map { pids($nodes[$_], 'tikv store') } grep { $_ != $leads } 0 .. 2;
	my $last = 'SELECT coalesce(max(log_index), 0) FROM tikv_internal.raft_log WHERE region_id = 2';
	my @ts = map { step('ts') } 0 .. 1;
	my $before = one($last);

	kill 'STOP', @stores;
	my $first = txnctl_start($nodes[$leads], 'prewrite', $ts[0], "$round/00000", 'v');
	wait_for('its entry', sub { one($last) > $before });
	my $second = txnctl_start($nodes[$leads], 'prewrite-many', $ts[1], "$round/", $many, 'v');
	wait_calls(2, 'a write that waits for it');
	$second->{run}->kill_kill;
	wait_calls(1, 'its client to be gone');
	kill 'CONT', @stores;
	$first->{run}->finish;
	note(${ $first->{err} });
	return $first->{run}->result(0) == 0 ? $ts[0] : undef;
}

my ($round, $ts, $store) = (0);

# A machine that is very slow may need another try.
wait_for('an entry that is applied by the leader that has proposed it', sub {
	$leads = wait_leader();
	($store) = pids($nodes[$leads], 'tikv store');
	return $ts = abandon_one(++$round);
});
pass('the first is applied');
step('commit', $ts, step('ts'), "$round/00000");
step('prewrite-many', step('ts'), "$round/", $many, 'w');
is((pids($nodes[$leads], 'tikv store'))[0], $store, 'the store has gone on');
wait_same('the others have the same');
checks_clean(0 .. 2);
unlike(slurp_file($nodes[$_]->logfile), qr/terminated by signal/, "node $_ has lost no process") foreach 0 .. 2;
$_->stop foreach @nodes;

done_testing();
