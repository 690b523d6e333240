# Stops in the middle of transactions: one has prewritten, one holds a
# pessimistic lock, others wait for it.  Whoever waits is told, nothing hangs,
# and what was durable goes on after the start.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;
use Time::HiRes qw(time usleep);

my $node = new_node('stops');
my $n = 0;

# A step that has to succeed, and what it prints.
sub step
{
	my @arguments = @_;
	my ($answer, $out, $err) = txnctl($node, @arguments);

	is($answer, 0, "@arguments") or diag($err);
	return $out;
}

# Transactions in the middle: keys, timestamps, and the requests that wait.
sub begin_transactions
{
	my %t = (prewritten => 'p' . ++$n, held => 'h' . $n, other => 'o' . $n);

	$t{prewrite_ts} = step('ts');
	step('prewrite', $t{prewrite_ts}, $t{prewritten}, "v$n");
	$t{lock_ts} = step('ts');
	step('lock', $t{lock_ts}, $t{lock_ts}, -1, $t{held});
	my $ts = step('ts');
	$t{waiters} = [ map {
		txnctl_start($node, 'lock', $ts + $_, $ts + $_, 20_000, $t{held})
	} 1 .. 4 ];
	wait_for('somebody to wait', sub {
		return $node->safe_psql('postgres',
			"SELECT value >= 1 FROM tikv.metrics WHERE name = 'tikv_fdw_lock_waiters'") eq 't';
	});
	return \%t;
}

# They were told, and no call ran into its own deadline (status 4).
sub waiters_end
{
	my ($t, $what, $expected) = @_;

	foreach my $waiter (@{ $t->{waiters} })
	{
		$waiter->{run}->finish;
		my $err = ${ $waiter->{err} };

		chomp $err;
		note("$what: $err");
		like($err, $expected, "$what: who waits is told");
		unlike($err, qr/status 4\b/, "$what: and does not hang");
	}
}

# What was durable is; new transactions on all keys succeed.
sub transactions_go_on
{
	my ($t, $what) = @_;

	step('commit', $t->{prewrite_ts}, step('ts'), $t->{prewritten});
	is(step('get', step('ts'), $t->{prewritten}), "v$n", "$what: what was prewritten commits");
	step('rollback', $t->{lock_ts}, $t->{held});
	foreach my $key ($t->{held}, $t->{other})
	{
		my $start = step('ts');

		step('prewrite', $start, $key, $what);
		step('commit', $start, step('ts'), $key);
	}
	is(step('get', step('ts'), $t->{held}), $what, "$what: and new ones, too");
}

# Ended by itself, or by what happened; the waits last a second at most.  A call
# that gRPC has received and not handed over yet is CANCELLED by it, as in TiKV;
# clients repeat it.
my $told = qr/region error|locked by|conflict with|status 14|status [12]\b/;

$node->start;
serve($node);

# ---- the server stops (txn-semantics 5.2 row 8: as busy, which clients know
# how to repeat, where TiKV gives a text alone)
foreach my $way (qw(smart fast immediate))
{
	my $t = begin_transactions();
	my $began = time();

	$node->stop($way);
	elapsed_note("a $way stop", $began);
	waiters_end($t, $way, $told);
	$node->start;
	wait_serving($node);
	transactions_go_on($t, $way);
}

# ---- the store alone, asked and killed
foreach my $signal (qw(TERM KILL))
{
	my $t = begin_transactions();
	my ($store) = pids($node, 'tikv store');

	kill $signal, $store;
	waiters_end($t, $signal, $told);
	wait_for('the store to end', sub { return !kill 0, $store; });
	wait_serving($node);
	transactions_go_on($t, $signal);
}

# ---- DROP EXTENSION that is undone
my $t = begin_transactions();
my $session = $node->background_psql('postgres');
$session->query_safe('BEGIN; DROP EXTENSION tikv_fdw');
my ($answer, $out, $err) = txnctl($node, 'commit', $t->{prewrite_ts}, $t->{prewrite_ts} + 9, $t->{prewritten});
is($answer, 4, 'DROP in progress: a commit is refused');
like($err, qr/region error/, 'DROP in progress: as busy');
($answer, $out, $err) = txnctl($node, 'get', $t->{prewrite_ts}, $t->{other});
is($answer, 4, 'DROP in progress: so is a read');
waiters_end($t, 'DROP in progress', $told);
$session->query_safe('ROLLBACK');
$session->quit;
wait_serving($node);
transactions_go_on($t, 'undone');

# ---- and one that is not
$t = begin_transactions();
$node->safe_psql('postgres', 'DROP EXTENSION tikv_fdw');
waiters_end($t, 'DROP', $told);
($answer, $out, $err) = txnctl($node, 'commit', $t->{prewrite_ts}, $t->{prewrite_ts} + 9, $t->{prewritten});
isnt($answer, 0, 'DROP: nothing commits any more');
like($err, qr/status \d+|region error/, 'DROP: and says so');
serve($node);
is((txnctl($node, 'get', step('ts'), $t->{prewritten}))[0], 2, 'a new extension is empty');
my $start = step('ts');
step('prewrite', $start, $t->{held}, 'again');
step('commit', $start, step('ts'), $t->{held});
is(step('get', step('ts'), $t->{held}), 'again', 'and takes transactions');

is($node->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), 0, 'tikv_check() is content');
$node->stop;
done_testing();
