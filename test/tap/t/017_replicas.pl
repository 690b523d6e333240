# Three instances, one region with a peer on each: writes are on all of them,
# and nothing acknowledged is lost while nodes are killed at random.

use strict;
use warnings;

use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(time usleep);

my @nodes = make_group('replica');

# ---- it replicates

my $leads = wait_leader();

ok(defined $leads, 'one of three leads');
is(ask($leads, "SELECT tikv_put('a', '1')"), '', 'a write is acknowledged');
is(ask($leads, "SELECT convert_from(tikv_get('a'), 'UTF8')"), '1', 'and read');
is(ask($leads, "SELECT swapped FROM tikv_cas('a', '1', '2')"), 't', 'a swap');
is(ask($leads, "SELECT swapped FROM tikv_cas('a', '1', '3')"), 'f', 'that another one sees');
is(ask($leads, "SELECT tikv_batch_put(ARRAY['b', 'c', 'd']::bytea[], ARRAY['1', '2', '3']::bytea[])"), '', 'a batch');
is(ask($leads, "SELECT tikv_delete('c')"), '', 'a deletion');
is(ask($leads, "SELECT tikv_put('big', convert_to(repeat('x', 3000000), 'UTF8'))"), '', 'a large value');
is(ask($leads, "SELECT tikv_delete_range('b', 'd')"), '', 'a deleted range');
wait_same('all three have the same rows');
is(ask($leads, "SELECT string_agg(convert_from(key, 'UTF8'), ',') FROM tikv_scan('', '')"), 'a,d', 'and those that were asked for');
is(ask($leads, "SELECT count(*) FROM tikv.metrics WHERE value > 0 AND name ~ '^tikv_raftstore_(append_log|commit_log|apply_log)_duration_seconds_count'"), '3', 'and where its time went is counted');
is(ask(($leads + 1) % 3, "SELECT tikv_put('x', 'y')"), '', "a follower's session writes at the leader");
is(ask(($leads + 2) % 3, "SELECT convert_from(tikv_get('x'), 'UTF8')"), 'y', "and another one's reads there");
is(ask(($leads + 1) % 3, "SELECT tikv_delete('x')"), '', 'or deletes');

# ---- who counts for a majority has it on disk: leader and followers

is(unflushed_writes(\@nodes, 20, sub {
		my ($i) = @_;

		wait_for('a write', sub { defined ask($leads, "SELECT tikv_put('flush$i', 'v')") });
	}),
	0, 'a write is acknowledged when it is on the disks of a majority');

# ---- the leader is killed: another one goes on, and it comes back

my $began = time();
$nodes[$leads]->kill9;
my $next = wait_leader($leads);
elapsed_note('a new leader after SIGKILL', $began);
is(ask($next, "SELECT convert_from(tikv_get('a'), 'UTF8')"), '2', 'nothing is lost');
is(ask($next, "SELECT tikv_put('after', 'kill')"), '', 'and it takes writes');
start_again($leads);
wait_same('the killed one has caught up');

# ---- a follower is away for more than the log remembers in memory

my $away = (wait_leader() + 1) % 3;
$nodes[$away]->stop('immediate');
$leads = wait_leader($away);
foreach my $from (map { $_ * 50 + 1 } 0 .. 29)
{
	wait_for("keys from $from", sub {
		(ask(wait_leader($away), "SELECT count(tikv_put(convert_to('many' || i, 'UTF8'), convert_to(repeat('v', 2000), 'UTF8'))) FROM generate_series($from, $from + 49) i") // '') eq '50';
	});
}
pass('two nodes are enough');
$nodes[$away]->start;
wait_same('it has caught up from the log');

# ---- writers, and nodes that are killed at random

my $dir = PostgreSQL::Test::Utils::tempdir();

# Puts keys in order, wherever the leader is; notes what was acknowledged.
sub writer
{
	my ($name, $until) = @_;
	my $at = 0;

	open(my $log, '>', "$dir/$name") or die;
	$log->autoflush(1);
	for (my $n = 1; time() < $until;)
	{
		my $answer = ask($at, "SELECT tikv_put('w-$name-$n', '$n')");

		if (defined $answer)
		{
			print $log "$n\n";
			$n++;
		}
		else
		{
			$at = ($at + 1) % 3;
			usleep(100_000);
		}
	}
	POSIX::_exit(0); # not the end of the test
}

# Counts by compare and swap; what is unknown is noted as such.
sub counter
{
	my ($name, $until) = @_;
	my $at = 0;

	open(my $log, '>', "$dir/$name") or die;
	$log->autoflush(1);
	while (time() < $until)
	{
		my $now = ask($at, "SELECT convert_from(coalesce(tikv_get('counter'), '0'), 'UTF8')");
		my $answer;

		if (!defined $now)
		{
			$at = ($at + 1) % 3;
			usleep(100_000);
			next;
		}
		my $expected = $now eq '0' ? 'NULL' : "'$now'";
		$answer = ask($at, "SELECT swapped FROM tikv_cas('counter', $expected, '" . ($now + 1) . "')");
		print $log "ok\n" if defined $answer && $answer eq 't';
		print $log "unknown\n" if !defined $answer;
	}
	POSIX::_exit(0); # not the end of the test
}

my $until = time() + 40;
my @children;

foreach my $name (1 .. 3)
{
	my $pid = fork();

	writer("w$name", $until) if $pid == 0;
	push @children, $pid;
}
foreach my $name (1 .. 2)
{
	my $pid = fork();

	counter("c$name", $until) if $pid == 0;
	push @children, $pid;
}
srand($ENV{SEED} // 1);
for (my $round = 0; time() < $until - 8; $round++)
{
	my $victim = $round % 2 == 0 ? (leader() // 0) : int(rand(3));

	usleep(500_000 + int(rand(1_500_000)));
	note("round $round: SIGKILL of node $victim");
	$nodes[$victim]->kill9;
	usleep(int(rand(4_000_000)));
	start_again($victim);
}
waitpid($_, 0) foreach @children;
$leads = wait_leader();
is(ask($leads, "SELECT tikv_put('last', 'one')"), '', 'it takes writes after all that');
wait_same('all three have the same rows after it');

my $lost = 0;
my $acknowledged = 0;
my $sum = 0;
my %present = map { $_ => 1 } split /\n/,
  ask($leads, "SELECT convert_from(key, 'UTF8') FROM tikv_internal.raw");

foreach my $name (1 .. 3)
{
	foreach my $n (split /\n/, slurp_file("$dir/w$name"))
	{
		$acknowledged++;
		next if $present{"w-w$name-$n"};
		$lost++;
		diag("lost: w-w$name-$n");
	}
}
note("$acknowledged writes were acknowledged");
cmp_ok($acknowledged, '>', 20, 'writers came through');
is($lost, 0, 'no acknowledged write is lost');

my ($ok, $unknown) = (0, 0);
foreach my $name (1 .. 2)
{
	foreach my $line (split /\n/, slurp_file("$dir/c$name"))
	{
		$ok++ if $line eq 'ok';
		$unknown++ if $line eq 'unknown';
	}
}
$sum = ask($leads, "SELECT convert_from(coalesce(tikv_get('counter'), '0'), 'UTF8')");
note("counter $sum, $ok swaps acknowledged, $unknown unknown");
cmp_ok($sum, '>=', $ok, 'every acknowledged swap counts');
cmp_ok($sum, '<=', $ok + $unknown, 'and nothing else');
checks_clean(0 .. 2);
$_->stop foreach @nodes;
done_testing();
