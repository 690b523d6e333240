# A leader that ends with entries in the others' logs: they commit them, so who
# sent them is told that the outcome is unknown.  "Stale command" would have
# clients send them again, and a swap meet its own value.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;

# Whoever needs room among the buffers for a changed page flushes the WAL, too:
# of the tests' 1 MB others may, at any moment.
my @nodes = make_group('unknown', 'tikv.request_timeout' => '30s',
	shared_buffers => '64MB');
my $per_round = 4;
my @flushing = ('walwriter', 'background writer', 'checkpointer',
	'autovacuum launcher', 'tikv pd');

# Sent once, and given up after ten seconds.
$ENV{RAWCTL_MAX_MS} = 20_000;

# Whatever flushes the WAL of the followers: they store what comes, and
# acknowledge nothing.
sub hold_flushes
{
	my @held;

	foreach my $node (@_)
	{
		my @all = map { pids($node, $_) } @flushing;
		my $flush = `ps -o pid=,args= --ppid $node->{_pid}`;

		hold_still($node, @all);
		push @held, @all;
		# Not in pg_stat_activity: it has no database.
		push @held, $1 while $flush =~ /(\d+) .*tikv flush/g;
	}
	cmp_ok(scalar(@held), '==', (@flushing + 1) * @_, 'nobody flushes at the followers');
	kill 'STOP', @held;
	return @held;
}

sub start_sql
{
	my ($node, $sql) = @_;
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$out, '2>', \$err);

	return { run => $run, out => \$out, err => \$err };
}

sub log_end
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'SELECT coalesce(max(log_index), 0) FROM tikv_internal.raft_log WHERE region_id = 2');
}

sub answers
{
	my ($started) = @_;

	$started->{run}->finish;
	return ${ $started->{err} };
}

# Writes that the followers have, and whose leader ends; what each is told.
sub round
{
	my ($way, $end) = @_;
	my $leads = wait_leader();
	my $leader = $nodes[$leads];
	my @followers = map { $nodes[$_] } grep { $_ != $leads } 0 .. 2;

	is(ask($leads, "SELECT tikv_put('before', '$way')"), '', "$way: a write is acknowledged");
	wait_same("$way: by all");
	my ($answer, $ts) = txnctl($leader, 'ts');
	my @held = hold_flushes(@followers);
	my $from = log_end($leader);
	my @raw = map { rawctl_start($leader, 'put', "$way$_", $way) } 1 .. $per_round;
	my @txn = map { txnctl_start($leader, 'prewrite', $ts, "$way-txn$_", $way) } 1 .. $per_round;
	my $sql = $way eq 'TERM' ? start_sql($leader, "SELECT tikv_put('TERM-sql', 'TERM')") : undef;
	my $n = 2 * $per_round + (defined $sql ? 1 : 0);

	foreach my $node ($leader, @followers)
	{
		wait_for('the writes to be in a log', sub { log_end($node) >= $from + $n });
	}
	$end->($leader);
	foreach my $told (map { answers($_) } @raw)
	{
		like($told, qr/(?:region error|status 14): .*: outcome unknown/, "$way: a raw write is told so");
		unlike($told, qr/stale command/, "$way: and not to try again");
	}
	like(answers($_), qr/status 14: .*outcome unknown/, "$way: a prewrite's call fails") foreach @txn;
	like(answers($sql), qr/outcome of the write is unknown/, "$way: SQL is told") if defined $sql;
	kill 'CONT', @held;
	return ($leads, (map { $way . $_ } 1 .. $per_round), defined $sql ? 'TERM-sql' : ());
}

sub is_carried_out
{
	my ($way, @keys) = @_;

	foreach my $key (@keys)
	{
		my $value;

		wait_for("$key to be read", sub {
			$value = ask(wait_leader(), "SELECT convert_from(tikv_get('$key'), 'UTF8')");
			return defined $value;
		});
		is($value, $way, "$way: $key was written");
	}
}

my ($leads, @keys) = round('TERM', sub { kill 'TERM', pids($_[0], 'tikv store') });
is_carried_out('TERM', @keys);
wait_serving($nodes[$leads]);

($leads, @keys) = round('fast', sub { $_[0]->stop('fast') });
is_carried_out('fast', @keys);
$nodes[$leads]->start;
wait_same('all have the same in the end');
checks_clean(0 .. 2);
$_->stop foreach @nodes;
done_testing();
