# TikvGroup.pm: several instances as stores of one cluster.
#
# They are made from one: its data directory is copied, and the copies are told
# apart before they start.  So each has a Placement Driver of its own that knows
# all stores, and the tests of replicas need no other one.

package TikvGroup;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;
use TikvCopies;
use TikvTest;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(
  make_group make_stores ask order start_again leader wait_leader wait_same
  hold_table let_table_go received checks_clean
);

# Ids of the stores, and of the peers of region 2 where it has three.
my @stores = (1, 4, 5);
my @peers = (3, 6, 7);
my @nodes;

# A peer of the region on this node.
sub seed_peer
{
	my ($i) = @_;

	return (sprintf("UPDATE tikv_internal.region SET peer_id = %d, peer_ids = '{%s}', peer_stores = '{%s}', peer_roles = '{0,0,0}', conf_ver = 3",
			$peers[$i], join(',', @peers), join(',', @stores)),
		"UPDATE tikv_internal.raft_state SET term = applied_term, vote = 0, truncated_index = applied_index, truncated_term = applied_term");
}

# Only the first node has the region.
sub seed_nothing
{
	my ($i) = @_;

	return () if $i == 0;
	return ("DELETE FROM tikv_internal.region",
		"DELETE FROM tikv_internal.raft_state");
}

sub seed
{
	my ($i, @more) = @_;

	before_start($nodes[$i],
		"UPDATE tikv_internal.store_meta SET store_id = $stores[$i],
			machine = 0, device = 0, inode = 0, timeline = 0",
		@more,
		"DELETE FROM tikv_internal.pd_kv WHERE key LIKE 'raft/r/%'",
		map { store_record($nodes[0], $nodes[$_], $stores[$_]) } 1, 2);
}

sub make
{
	my ($seed, $name, %settings) = @_;

	@nodes = map { new_node("$name$_", %settings) } 0 .. 2;
	$nodes[0]->start;
	serve($nodes[0]);
	$nodes[0]->stop;
	copy_node($nodes[0], $nodes[$_]) foreach 1, 2;
	seed($_, $seed->($_)) foreach 0 .. 2;
	$_->start foreach @nodes;
	return @nodes;
}

# Three nodes with a peer of region 2 each.
sub make_group
{
	return make(\&seed_peer, @_);
}

# Three stores, 1, 4 and 5, of which the first has region 2 for itself.
sub make_stores
{
	return make(\&seed_nothing, @_);
}

sub ask
{
	my ($i, $sql) = @_;
	my $timed_out;
	my ($answer, $out) = eval {
		$nodes[$i]->psql('postgres', $sql, timeout => 20,
			timed_out => \$timed_out);
	};

	return defined $answer && $answer == 0 ? $out : undef;
}

# What a node is asked for until it does it.
sub order
{
	my ($i, $sql, $what) = @_;

	wait_for($what, sub { defined ask($i, "SELECT $sql") });
	pass($what);
}

# A session that keeps others from a table of a node, and so its turns.
sub hold_table
{
	my ($i, $table, $mode) = @_;
	my $session = $nodes[$i]->background_psql('postgres');

	$session->query_safe("BEGIN; LOCK TABLE tikv_internal.$table IN $mode MODE");
	return $session;
}

sub let_table_go
{
	my ($session) = @_;

	$session->query_safe('ROLLBACK');
	$session->quit;
}

# How many messages of groups have come to a node.
sub received
{
	my ($i) = @_;

	return $nodes[$i]->safe_psql('postgres', q{SELECT coalesce(sum(value), 0) FROM tikv.metrics WHERE name = 'tikv_fdw_raft_messages_received_total'});
}

# In the end: tables that are sound, and nothing bad in the logs.
sub checks_clean
{
	foreach my $i (@_)
	{
		is(ask($i, 'SELECT count(*) FROM tikv_check()'), '0', "node $i checks clean");
		unlike(slurp_file($nodes[$i]->logfile), qr/PANIC|TRAP|broken invariant/, "node $i has no assertion in its log");
	}
}

# A killed postmaster's children may need a moment to notice.
sub start_again
{
	my ($i) = @_;

	wait_for("node $i to start", sub {
		$nodes[$i]->{_pid} = undef;
		return $nodes[$i]->start(fail_ok => 1);
	});
}

# The node that says it leads region 2, if one does.
sub leader
{
	foreach my $i (0 .. 2)
	{
		my $answer = ask($i, 'SELECT is_leader FROM tikv.regions WHERE region_id = 2');

		return $i if defined $answer && $answer eq 't';
	}
	return undef;
}

sub wait_leader
{
	my ($besides) = @_;
	my $found;

	wait_for('a leader', sub {
		$found = leader();
		return defined $found && (!defined $besides || $found != $besides);
	});
	return $found;
}

sub rows
{
	return ask($_[0], q{SELECT md5(string_agg(key::text || value::text, ',' ORDER BY key)) || count(*) FROM tikv_internal.raw});
}

sub wait_same
{
	my ($what) = @_;

	wait_for($what, sub {
		my @rows = map { rows($_) // "node $_ is silent" } 0 .. 2;

		return $rows[0] eq $rows[1] && $rows[1] eq $rows[2];
	});
	pass($what);
}

1;
