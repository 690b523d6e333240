# TikvCommit.pm: a SQL commit of a row and of keys as one, stopped on its way.
#
# The row is orders.id, the keys are order/ID and stock, all of one number.

package TikvCommit;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

our @EXPORT = qw(
  use_node query write_points set_points clear_points begin_sql begin_commit
  finish state_of wait_stopped stop_at store_pid seen told told_of_key psql_start
);

my $node;
my $file;

sub use_node
{
	($node) = @_;
	$file = $node->data_dir . '/tikv_failpoints';
}

sub query { return $node->safe_psql('postgres', $_[0]); }

# Only tikv workers and backends that commit read it, before the first step.
sub write_points
{
	my ($text) = @_;

	open my $out, '>', "$file.new" or die "$file: $!";
	print $out "$text\n";
	close $out;
	rename "$file.new", $file or die "$file: $!";
}

sub set_points
{
	write_points(@_);

	# The store looks each time that it wakes.
	query("SELECT tikv_put('wake', 'up')") for 1 .. 2;
}

sub clear_points
{
	open my $out, '>', $file or die "$file: $!";
	close $out;
}

# A session that runs these statements, one after the other, and ends.
sub psql_start
{
	my (@statements) = @_;
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), map { ('-c', $_) } @statements ],
		'<', \undef, '>', \$out, '2>', \$err);

	return { run => $run, out => \$out, err => \$err };
}

# The first lock of a transaction is its primary, and durable or in memory.
# What is between the keys and the row may wait for others.
sub begin_commit
{
	my ($id, @between) = @_;

	return psql_start('SET tikv.local_atomic = require', 'BEGIN', 'SELECT pg_backend_pid()',
		"SELECT tikv_txn_put('stock', '$id'), tikv_txn_put('order/$id', repeat('x', 300)::bytea)",
		@between, "INSERT INTO orders VALUES ($id)", 'COMMIT');
}

sub finish
{
	my ($commit) = @_;

	$commit->{run}->finish;
	note(${ $commit->{err} }) if ${ $commit->{err} } ne '';
	return $commit->{run}->result(0) == 0;
}

sub state_of
{
	my ($pid) = @_;

	open my $in, '<', "/proc/$pid/stat" or return '';
	return (split ' ', <$in> =~ s/.*\)//r)[0] // '';
}

# Wait until somebody stands still at the point: B, its backend, or S, the
# store; who it is.
sub wait_stopped
{
	my ($commit, $point, $who, $store) = @_;
	my $stopped;

	wait_for("a stop at $point", sub {
		$commit->{run}->pump_nb;
		my ($backend) = ${ $commit->{out} } =~ /^(\d+)/;
		$stopped = $who eq 'S' ? $store : $backend;
		return defined $stopped && state_of($stopped) eq 'T';
	});
	clear_points();
	return $stopped;
}

sub stop_at
{
	my ($id, $point, $who) = @_;
	my $store = store_pid();

	set_points("$point=1*stop");
	my $commit = begin_commit($id);

	return ($commit, wait_stopped($commit, $point, $who, $store));
}

sub store_pid
{
	my ($pid) = eval { pids($node, 'tikv store') };

	return $pid // 0;
}

# Both (1), neither (0), or halves: the row, its key, the key of all.
sub seen
{
	my ($id) = @_;

	return query("SELECT (SELECT count(*) FROM orders WHERE id = $id) || ',' ||"
		  . " (tikv_txn_get('order/$id') IS NOT NULL)::int || ',' ||"
		  . " (coalesce(convert_from(tikv_txn_get('stock'), 'UTF8'), '') = '$id')::int");
}

# A client of the network: what it is told of a key at a time.
sub told_of_key
{
	my ($key, $ts) = @_;
	my ($answer) = txnctl($node, 'get', $ts, $key);

	return { 0 => 'value', 2 => 'absent', 3 => 'locked' }->{$answer} // 'error';
}

sub told
{
	my ($id) = @_;

	return told_of_key("order/$id", (txnctl($node, 'ts'))[1]);
}

1;
