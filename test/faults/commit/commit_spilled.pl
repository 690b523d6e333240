# A commit of a row and of keys as one whose own locks found no room in memory
# (TikvBeside.pm says what happens meanwhile), with the store begun anew and with
# a crash.

use strict;
use warnings;

use Test::More;
use TikvBeside;
use TikvCommit;
use TikvTest;

# Transactions without an end, until there is no room for a lock in memory.
sub fill_memory
{
	my @fillers;

	wait_for('the memory of locks to be full', sub {
		my $filler = { ts => ts(), prefix => sprintf('fill/%02d/', scalar @fillers) };

		push @fillers, $filler;
		my ($answer, $out, $err) = txnctl($node, 'prewrite-many', $filler->{ts}, $filler->{prefix}, 1000, 'v');

		die $err if $answer != 0;
		return spilled() > 0;
	});
	return @fillers;
}

sub spilled { return query('SELECT count(*) FROM tikv_internal.lock_spill'); }

sub hold_spilled
{
	my ($action) = @_;
	my @fillers = fill_memory();
	my $before = spilled();
	my $gate = $node->background_psql('postgres');

	$gate->query_safe('SELECT pg_advisory_lock(1)');
	$id++;
	$commit = begin_commit($id, 'SELECT pg_advisory_xact_lock(1)');
	wait_for('its locks', sub { return query(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}) eq '1'; });
	is(spilled(), $before + 2, "$action: its locks are spilled");
	foreach my $filler (@fillers)
	{
		txnctl($node, 'resolve', $filler->{ts}, 0, "$filler->{prefix}00000");
	}
	wait_for('room', sub { return spilled() == 2; });
	set_points($action);
	$gate->quit;
}

sub try_spilled
{
	my ($point) = @_;
	my $what = "spilled locks, $point";

	hold_spilled("$point=1*stop");
	$pid = wait_stopped($commit, $point, 'B');
	held($what);
	let_go($what);
	is(spilled(), '0', "$what: they are gone");
	agree($what);

	hold_spilled("$point=1*stop");
	$pid = wait_stopped($commit, $point, 'B');
	my $store = store_pid();

	query("SELECT pg_terminate_backend($store)");
	wait_for('another store', sub { my $other = store_pid(); return $other && $other != $store; });
	wait_serving($node);
	held("$what, store restarted");
	let_go("$what, store restarted");
	agree("$what, store restarted");

	hold_spilled("$point=once:crash");
	ok(!finish($commit), "$what: a crash");
	wait_for('the server', sub { return defined try_query($node, 'SELECT 1') && store_pid(); });
	clear_points();
	wait_serving($node);
	is(query("SELECT count(*) FROM orders WHERE id = $id"), '0', "$what, crash: no row");
	is(query("SELECT tikv_txn_get('order/$id') IS NULL"), 't', "$what, crash: no key");

	# Locks of the dead are for those who meet them, after a while.
	query("SELECT tikv_resolve_lock('order/$id', force => true), tikv_resolve_lock('stock', force => true)")
	  if $point eq 'sql_granted';
	query("SELECT tikv_txn_delete('order/$id')");
	query("SELECT tikv_txn_put('stock', '')");
	agree("$what, crash", '0,0,0');
	is(spilled(), '0', "$what, crash: no lock");
}

use_new_node(start_new('spilled', 'tikv.request_timeout' => '10min', 'tikv.lock_wait_timeout' => '10min',
	'tikv.lock_memory' => '1MB'));
try_spilled($_) foreach qw(sql_granted sql_rows_written);
is(query('SELECT count(*) FROM tikv_check()'), '0', 'the tables are sound');
$node->stop;
done_testing();
