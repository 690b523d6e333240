# TikvTest.pm: nodes for the tests of whole instances.
#
# PostgreSQL::Test::Cluster makes instances for Postgres's own tests: fsync
# off, no restart after a crash, Unix sockets.  This module adds what a TiKV
# node needs on top (durability, ports of its own, the preloaded library) and
# the few questions that all tests ask.  It holds no assertions about results.

package TikvTest;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(
  new_node configure_node serve wait_serving wait_for wait_state status
  nearly_full pids hold_still rawctl rawctl_start txnctl txnctl_start try_query elapsed_note unflushed_writes
);

my $wait_s = 60;

# An initialised node with ports of its own, not started.  Settings override
# the defaults.
sub new_node
{
	my ($name, %settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init(allows_streaming => 1);
	configure_node($node, new_ports(), %settings);
	return $node;
}

# Ports for the addresses of a node.
sub new_ports
{
	my %ports;

	foreach my $what (qw(addr peer_addr status_addr pd_addr pd_http_addr))
	{
		$ports{"tikv.$what"} =
		  '127.0.0.1:' . PostgreSQL::Test::Cluster::get_free_port();
	}
	return %ports;
}

# Append settings to a node; later ones win.
sub configure_node
{
	my ($node, %settings) = @_;
	my %all = (
		'fsync' => 'on',
		'restart_after_crash' => 'on',
		'shared_preload_libraries' => 'tikv_fdw',
		'log_statement' => 'none',
		'max_connections' => '60',
		%settings);

	foreach my $name (sort keys %all)
	{
		(my $value = $all{$name}) =~ s/'/''/g;
		$node->append_conf('postgresql.conf', "$name = '$value'");
		$node->{tikv}{$name} = $all{$name};
	}
}

# Create the extension and wait until the node serves.
sub serve
{
	my ($node) = @_;

	$node->safe_psql('postgres', 'CREATE EXTENSION tikv_fdw');
	wait_serving($node);
}

# Wait until code returns something true, and return that; dies with what
# was awaited after a minute.
sub wait_for
{
	my ($what, $code) = @_;
	my $end = time() + $wait_s;

	while (time() < $end)
	{
		my $answer = $code->();

		return $answer if $answer;
		usleep(50_000);
	}
	die "gave up waiting for: $what";
}

# One value, or undef while the server cannot answer.
sub try_query
{
	my ($node, $sql) = @_;

	# A psql that is refused may be gone before it is told the query.
	my ($answer, $out, $err) = eval { $node->psql('postgres', $sql) };

	return defined $answer && $answer == 0 ? $out : undef;
}

# A tikv.reserve_space by which the disk has too little space left, and more
# than half of what it should have: slices rest, and followers take entries.
sub nearly_full
{
	my ($node) = @_;
	my $out = '';

	IPC::Run::run([ 'df', '-Pm', $node->data_dir ], '>', \$out) or die 'df failed';
	my ($free) = $out =~ /\s(\d+)\s+\d+%\s/ or die "no free space in: $out";

	return int($free * 1.5) . 'MB';
}

sub wait_serving
{
	my ($node) = @_;

	my $served = eval {
		wait_for('all workers serving', sub {
			my $out = try_query($node,
				"SELECT count(*) > 0 AND bool_and(state = 'serving') FROM tikv_status()");
			return defined $out && $out eq 't';
		});
	};

	$served or die $@, status($node);
}

# Rows of tikv_status() as text, for messages.
sub status
{
	my ($node) = @_;

	return try_query($node, 'SELECT worker, state, reason FROM tikv_status()')
	  // 'no answer';
}

# Wait until a worker has a state and its reason matches.
sub wait_state
{
	my ($node, $worker, $state, $reason) = @_;
	my $seen = '';

	return eval {
		wait_for("$worker to be $state ($reason)", sub {
			$seen = try_query($node,
				"SELECT state || '=' || coalesce(reason, '') FROM tikv_status() WHERE worker = '$worker'") // '';
			return $seen =~ /^\Q$state\E=/ && substr($seen, length "$state=") =~ $reason;
		});
	} // die "$@it is: $seen\n";
}

# Process ids of a worker, by its name in pg_stat_activity.
sub pids
{
	my ($node, $worker) = @_;

	return split /\n/, $node->safe_psql('postgres',
		"SELECT pid FROM pg_stat_activity WHERE backend_type = '$worker'");
}

# Stop processes of a node where they wait for work.  One that is stopped
# elsewhere may hold a lock that others of the same server then wait for, with
# no end.  A test lets them go with SIGCONT.
sub hold_still
{
	my ($node, @pids) = @_;

	foreach my $pid (@pids)
	{
		wait_for("process $pid to wait for work", sub {
			kill 'STOP', $pid;
			return 1 if waits_for_work($node, $pid);
			kill 'CONT', $pid;
			return 0;
		});
	}
}

sub waits_for_work
{
	my ($node, $pid) = @_;
	my ($out, $timed_out) = ('', 0);

	$node->psql('postgres',
		"SELECT wait_event_type IN ('Activity', 'Extension') FROM pg_stat_activity WHERE pid = $pid",
		stdout => \$out, timeout => 5, timed_out => \$timed_out);
	return !$timed_out && $out eq 't';
}

# Run a tool against the node's PD; returns (exit status, stdout, stderr).
sub run_tool
{
	my ($node, $tool, @arguments) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ $tool, '--pd', $node->{tikv}{'tikv.pd_addr'},
			@arguments ], '<', \undef, '>', \$out, '2>', \$err);
	my $answer = $? >> 8;

	chomp $out;
	note("@arguments: exit status $answer: $err") if $answer != 0;
	return ($answer, $out, $err);
}

sub rawctl
{
	my ($node, @arguments) = @_;

	return run_tool($node, $ENV{RAWCTL}, @arguments);
}

# One step of a transaction.
sub txnctl
{
	my ($node, @arguments) = @_;

	return run_tool($node, $ENV{TXNCTL}, @arguments);
}

# The same, while others go on: a harness whose `finish` waits, and references
# to what it prints.
sub txnctl_start
{
	my ($node, @arguments) = @_;

	return start_tool($node, $ENV{TXNCTL}, @arguments);
}

sub rawctl_start
{
	my ($node, @arguments) = @_;

	return start_tool($node, $ENV{RAWCTL}, @arguments);
}

sub start_tool
{
	my ($node, $tool, @arguments) = @_;
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start([ $tool, '--pd',
			$node->{tikv}{'tikv.pd_addr'}, @arguments ],
		'<', \undef, '>', \$out, '2>', \$err);

	return { run => $run, out => \$out, err => \$err };
}

# A session that answers within moments: returns a sub that takes a query of one
# value.
sub quick_session
{
	my ($node) = @_;
	my ($in, $out) = ('', '');
	my $psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$in, '>', \$out);

	return sub {
		my ($sql) = @_;

		if (!defined $sql)
		{
			$in .= "\\q\n";
			return $psql->finish;
		}
		$out = '';
		$in .= "$sql;\n";
		$psql->pump until $out =~ /\n/;
		chomp $out;
		return $out;
	};
}

# Each flush of these nodes waits for a tenth of a second, or no more.
sub delay_flushes
{
	my ($on, @nodes) = @_;

	foreach my $node (@nodes)
	{
		$node->append_conf('postgresql.conf', $on ?
			"commit_delay = 100000\ncommit_siblings = 0" : "commit_delay = 0\ncommit_siblings = 5");
		$node->reload;
	}
}

# Of so many writes, how many were acknowledged before the WAL was on disk, of a
# node or, of several (a reference), of a majority?
# The WAL writers stand still, so that nobody else flushes it by chance, and who
# flushes waits for a tenth of a second before: an answer that does not wait for
# the flush is there long before it.  Of one that only goes ahead of it the
# outcome is the same when the server is killed, since the system still has what
# was not flushed; so it is the flushed position that is looked at.
sub unflushed_writes
{
	my ($group, $n, $write) = @_;
	my @nodes = ref $group eq 'ARRAY' ? @$group : ($group);
	my @walwriters = map { pids($_, 'walwriter') } @nodes;
	my $unflushed = 0;

	delay_flushes(1, @nodes);
	my @asks = map { quick_session($_) } @nodes;
	my $done = eval {
		hold_still($nodes[$_], $walwriters[$_]) foreach 0 .. $#nodes;
		foreach my $i (1 .. $n)
		{
			my @before = map { $_->('SELECT pg_current_wal_insert_lsn()') } @asks;

			$write->($i);
			my $flushed = grep {
				$asks[$_]->("SELECT pg_current_wal_flush_lsn() > '$before[$_]'") eq 't'
			} 0 .. $#nodes;
			$unflushed++ if 2 * $flushed <= @nodes;
		}
		1;
	};
	my $why = $@;

	kill 'CONT', @walwriters;
	$_->() foreach @asks;
	delay_flushes(0, @nodes);
	die $why if !$done;
	return $unflushed;
}

# Times are reported, not asserted: the machine may be busy.
sub elapsed_note
{
	my ($what, $began) = @_;

	note(sprintf '%s took %.0f ms', $what, 1000 * (time() - $began));
}

1;
