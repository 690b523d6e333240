# A commit of a row and of keys as one, at each of its steps (points.txt): a
# crash, an error, a stop with readers beside it, the backend terminated, the
# store begun anew.  Row and keys agree, always: both or neither.

use strict;
use warnings;

use FindBin;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvCommit;
use TikvTest;
use Time::HiRes qw(usleep);

my $node = new_node('commit_steps');
my $id = 0;

# Name and who passes it, in the order of the steps.
sub points
{
	my %wanted = map { $_ => 1 } split ' ', $ENV{POINTS} // '';
	my @out;

	open my $in, '<', "$FindBin::Bin/points.txt" or die "points.txt: $!";
	while (my $line = <$in>)
	{
		next if $line =~ /^#/;
		my ($name, $who) = split ' ', $line;
		push @out, [ $name, $who ] if !%wanted || $wanted{$name};
	}
	return @out;
}

sub agree
{
	my ($what, $expected) = @_;
	my $seen = seen($id);

	if (defined $expected)
	{
		is($seen, join(',', ($expected) x 3), "$what: " . ($expected ? 'both' : 'neither'));
	}
	else
	{
		like($seen, qr/^(1,1,1|0,0,0)$/, "$what: both or neither");
	}
	wait_for('no lock to be left', sub { return query('SELECT count(*) FROM tikv.locks') eq '0'; });
	is(query("SELECT tikv_txn_put('order/$id', 'z') IS NULL"), 'f', "$what: the key can be written");
	query("SELECT tikv_txn_delete('order/$id') WHERE NOT EXISTS (SELECT FROM orders WHERE id = $id)");
}

sub wait_for_other_store
{
	my ($old) = @_;

	wait_for('another store', sub {
		my $out = try_query($node,
			"SELECT pid FROM pg_stat_activity WHERE backend_type = 'tikv store'");
		return defined $out && $out =~ /^\d+$/ && $out != $old;
	});
	clear_points();
	wait_serving($node);
}

# Is it decided once the point is passed?
sub is_after { return $_[0] =~ /^(sql_ended|grant_.*_end)$/; }

# Who reads the key first and has seen it must see the row, and the reverse.
sub start_readers
{
	my @readers;

	foreach my $order ([ 'key', 'row' ], [ 'row', 'key' ])
	{
		my ($out, $err) = ('', '');
		my %sql = (
			key => "SELECT (tikv_txn_get('order/$id') IS NOT NULL)::int",
			row => "SELECT count(*) FROM orders WHERE id = $id");
		my $run = IPC::Run::start(
			[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), map { ('-c', $sql{$_}) } @$order ],
			'<', \undef, '>', \$out, '2>', \$err);

		push @readers, { run => $run, out => \$out, err => \$err, order => "@$order" };
	}
	return @readers;
}

sub finish_readers
{
	my ($what, @readers) = @_;

	foreach my $reader (@readers)
	{
		$reader->{run}->finish;
		my ($first, $second) = split /\n/, ${ $reader->{out} };

		ok(defined $second && $first <= $second,
			"$what: a reader of $reader->{order} sees no half") or diag(${ $reader->{out} }, ${ $reader->{err} });
	}
}

sub try_crash
{
	my ($point) = @_;
	my $store = store_pid();

	$id++;
	set_points("$point=once:crash");
	finish(begin_commit($id));
	wait_for_other_store($store);
	agree("$point, crash", is_after($point) ? 1 : 0);
}

sub try_error
{
	my ($point) = @_;
	my $from = -s $node->logfile;

	# The store may reach its points after the session has its answer.
	$id++;
	set_points("$point=1*error");
	my $ok = finish(begin_commit($id));
	wait_for("$point to raise an error", sub {
		slurp_file($node->logfile, $from) =~ /failpoint $point\b/;
	});
	clear_points();
	wait_serving($node);
	ok($ok || !is_after($point), "$point, error: what is decided is not an error");
	agree("$point, error", $ok ? 1 : 0);
}

sub try_stop
{
	my ($point, $who) = @_;

	$id++;
	my ($commit, $pid) = stop_at($id, $point, $who);
	my @readers = start_readers();

	usleep(300_000);
	kill 'CONT', $pid;
	ok(finish($commit), "$point, stop: it goes on") or diag(${ $commit->{err} });
	finish_readers("$point, stop", @readers);
	agree("$point, stop", 1);
}

sub try_terminate
{
	my ($point) = @_;

	$id++;
	my ($commit, $pid) = stop_at($id, $point, 'B');

	query("SELECT pg_terminate_backend($pid)");
	kill 'CONT', $pid;
	finish($commit);
	agree("$point, terminated", is_after($point) ? 1 : undef);
}

# Clients of the network, of a key whose commit stands there.
sub told_of
{
	my ($point) = @_;

	return $point =~ /before/ ? 'absent' : $point eq 'sql_ended' ? 'value' : 'locked';
}

# The new store knows of the grant before it serves.
sub try_restart
{
	my ($point) = @_;

	$id++;
	my $store = store_pid();
	my ($commit, $pid) = stop_at($id, $point, 'B');

	query("SELECT pg_terminate_backend($store)");
	wait_for_other_store($store);
	is(told($id), told_of($point), "$point, store restarted: what clients are told");
	my @readers = start_readers();
	usleep(300_000);
	kill 'CONT', $pid;
	ok(finish($commit), "$point, store restarted: the commit goes on") or diag(${ $commit->{err} });
	finish_readers("$point, store restarted", @readers);
	agree("$point, store restarted", 1);
}

# It ends while the store that gave the grant can look no more: the new one
# knows before it serves.
sub try_restart_unseen
{
	$id++;
	my $store = store_pid();

	set_points('sql_granted=1*stop;sql_ended=1*stop');
	my $commit = begin_commit($id);
	my $pid = wait_stopped($commit, 'sql_granted', 'B', $store);

	hold_still($node, $store);
	kill 'CONT', $pid;
	wait_for('the end of its transaction', sub {
		return state_of($pid) eq 'T' && query("SELECT count(*) FROM orders WHERE id = $id") eq '1';
	});
	write_points('grant_before_end=1*stop');
	query("SELECT pg_terminate_backend($store)");
	kill 'CONT', $store;
	wait_for('another store that stops or serves', sub {
		my ($other, $state) = split /,/, try_query($node,
			"SELECT pid || ',' || state FROM tikv_status() WHERE worker = 'store' AND pid > 0") // '';
		return 0 if !defined $other || $other == $store;
		return $state eq 'serving' if state_of($other) ne 'T';
		isnt($state, 'serving', 'ended unseen: the new store looks before it serves');
		kill 'CONT', $other;
	});
	wait_for_other_store($store);
	is(told($id), 'value', 'ended unseen, store restarted: what clients are told');
	kill 'CONT', $pid;
	ok(finish($commit), 'ended unseen, store restarted: the commit goes on') or diag(${ $commit->{err} });
	agree('ended unseen, store restarted', 1);
}

# A foreign client takes the transaction for dead, and waits for its end.
sub try_undo
{
	my ($point) = @_;

	$id++;
	my ($commit, $pid) = stop_at($id, $point, 'B');
	my $start_ts = query('SELECT start_ts FROM tikv.transactions ORDER BY since LIMIT 1');
	my $undo = txnctl_start($node, 'rollback', $start_ts, "order/$id");

	usleep(500_000);
	$undo->{run}->pump_nb;
	ok($undo->{run}->pumpable, "$point: a rollback by others waits");
	kill 'CONT', $pid;
	ok(finish($commit), "$point: and cannot undo it");
	$undo->{run}->finish;
	isnt($undo->{run}->result(0), 0, "$point: it is told that it is committed");
	agree("$point, rolled back by others", 1);
}

$node->start;
use_node($node);
serve($node);
query('CREATE TABLE orders (id int PRIMARY KEY)');
foreach my $point (points())
{
	my ($name, $who) = @$point;

	try_crash($name);
	try_error($name) if $name ne 'sql_ended';
	try_stop($name, $who);
	next if $who ne 'B';
	try_terminate($name);
	try_restart($name);
	try_undo($name) if $name =~ /granted|rows_written/;
}
try_restart_unseen() if grep { $_->[0] eq 'sql_ended' } points();
is(query('SELECT count(*) FROM orders'), query("SELECT count(*) FROM tikv_txn_scan('order/', 'order0')"), 'as many keys as rows');
is(query('SELECT count(*) FROM tikv_check()'), '0', 'the tables are sound');
$node->stop;
done_testing();
