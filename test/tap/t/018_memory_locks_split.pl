# A pessimistic lock in memory, in a piece that is split off and elected on
# another store: it is gone.  Were it found again when its store leads the piece,
# its transaction would write over what others have committed since.
#
# Locks live in memory alone where the region has one peer, so it is locked
# first, and gets its other peers behind that.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;

my @nodes = make_stores('memory_locks_split');
my @stores = (1, 4, 5);

sub step
{
	my ($i, @arguments) = @_;
	my ($answer, $out, $err) = txnctl($nodes[$i], @arguments);

	is($answer, 0, "@arguments") or diag($err);
	return $out;
}

sub memory_locks
{
	return ask(0, q{SELECT value::int8 FROM tikv.metrics
		WHERE name = 'tikv_fdw_locks' AND labels->>'kind' = 'memory'});
}

my $piece;

sub leads
{
	my ($i) = @_;

	return (ask($i, "SELECT is_leader FROM tikv.regions WHERE region_id = $piece") // '') eq 't';
}

wait_serving($_) foreach @nodes;
my $start = step(0, 'ts');
step(0, 'lock', $start, $start, -1, 'apple');
is(memory_locks(), 1, 'a lock in memory');

foreach my $store (@stores[1, 2])
{
	order(0, "tikv_add_peer(2, $store)", "a peer on store $store");
}
wait_for('three voters that have everything', sub {
	ask(0, "SELECT tikv_add_peer(2, $_, false)") foreach @stores[1, 2];
	return (ask(0, q{SELECT count(*) FROM tikv.raft
		WHERE region_id = 2 AND lag = 0 AND role IN ('leader', 'follower')}) // '') eq '3';
});
is(memory_locks(), 1, 'the lock is still there');

# ---- this store splits the region, and nobody answers where it would lead the piece

my @workers = map { (pids($nodes[$_], 'tikv store'))[0] } 0 .. 2;

sub last_entry
{
	return ask($_[0], 'SELECT max(log_index) FROM tikv_internal.raft_log') // 0;
}

# Its turns, which wait while the table is held: messages wait with them.
sub hold_turns
{
	return map { hold_table($_, 'raft_log', 'ACCESS EXCLUSIVE') } @_;
}

# The others have the entry, and this one waits for their word.
my $before = last_entry(0);
hold_still($nodes[$_], $workers[$_]) foreach 1, 2;
my $split = txnctl_start($nodes[0], 'split', 'm');
wait_for('its entry', sub { last_entry(0) > $before });
my ($here) = hold_turns(0);
kill 'CONT', @workers[1, 2];
wait_for('the entry elsewhere', sub { last_entry(1) > $before && last_entry(2) > $before });

my @there = hold_turns(1, 2);
let_table_go($here);
wait_for('the piece', sub {
	$piece = ask(0, 'SELECT region_id FROM tikv_internal.raft_state WHERE region_id <> 2');
	return ($piece // '') ne '';
});
$split->{run}->finish;
hold_still($nodes[0], $workers[0]);
let_table_go($_) foreach @there;
my $leads;
wait_for('the piece to be led by another store', sub {
	($leads) = grep { leads($_) } 1, 2;
	return defined $leads;
});

# ---- meanwhile another transaction commits there, in one phase: without a lock

isnt(step($leads, 'prewrite-one-pc', step($leads, 'ts'), 'apple', 'theirs'), '', 'another transaction commits');

# ---- and this store is given the leadership of the piece

kill 'CONT', $workers[0];
wait_for('this store to lead the piece', sub {
	ask($leads, "SELECT tikv_transfer_leader($piece, $stores[0])");
	return leads(0);
});
is(memory_locks(), 0, 'the lock is not found again');
my ($answer, $out, $err) = txnctl($nodes[0], 'prewrite-locked', $start, 'apple', 'mine', $start);
is($answer, 3, 'and its transaction does not write over what was committed')
	or diag($err);
is(step(0, 'get', step(0, 'ts'), 'apple'), 'theirs', 'which is there');
checks_clean(0, 1, 2);
done_testing();
