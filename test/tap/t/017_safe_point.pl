# The GC safe point: nothing below it is served or written, whoever asks, for
# the versions that a read would see may be gone, and so may the rollback that
# a late write would have to meet.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;
use Time::HiRes qw(usleep);

my $node = new_node('safe_point', 'tikv.gc_life_time' => '1h');

# A step that has to succeed, and what it prints.
sub step
{
	my @arguments = @_;
	my ($answer, $out, $err) = txnctl($node, @arguments);

	is($answer, 0, "@arguments") or diag($err);
	return $out;
}

# Both phases of a transaction; returns the commit timestamp.
sub store
{
	my ($key, $value) = @_;
	my $start = step('ts');
	step('prewrite', $start, $key, $value);
	my $commit = step('ts');
	step('commit', $start, $commit, $key);
	return $commit;
}

sub is_refused
{
	my ($what, @arguments) = @_;
	my ($answer, $out, $err) = txnctl($node, @arguments);

	is($answer, 3, "$what: refused");
	is($out, '', "$what: no value");
	like($err, qr/TxnAbortedByGC: timestamp \d+ is below the GC safe point \d+/,
		"$what: says why");
}

$node->start;
serve($node);

store('k', 'old');
my $before = step('ts');
my ($open, $newest);
store('k', 'new');
is(step('get', $before, 'k'), 'old', 'the old version, while it lives');

# A client moves the safe point: the store looks for it between its rounds.
store('moved', 'old');
my $seen = step('ts');
store('moved', 'new');
my $moved = step('ts');
is((rawctl($node, 'collect', $moved))[0], 0, 'a client moves the safe point');
wait_for('the store to hear of it', sub {
	return (txnctl($node, 'get', $seen, 'moved'))[0] == 3;
});
is_refused('a read below it', 'get', $seen, 'moved');
is(step('get', $moved, 'moved'), 'new', 'a read at it');

# Nor does it stay behind when its own round finds the points beyond where it would
# move them.
$node->safe_psql('postgres', "ALTER SYSTEM SET tikv.gc_life_time = '2h'");
$node->reload;
my $later = step('ts');
is((rawctl($node, 'collect', $later))[0], 0, 'a client moves it again');
wait_for('the store to hear of that', sub {
	return (txnctl($node, 'get', $moved, 'moved'))[0] == 3;
});
is_refused('a read below it', 'get', $moved, 'moved');
$before = step('ts');
$open = step('ts');
step('prewrite', $open, 'ended', 'v');
step('rollback', $open, 'ended');
$newest = store('k', 'new');

# Collected, and seen to be by the view.  Not sooner than a busy machine takes for
# the steps of a transaction, whose locks would be ended.
$node->safe_psql('postgres', "ALTER SYSTEM SET tikv.gc_life_time = '6s'");
$node->reload;
sub collected
{
	return $node->safe_psql('postgres',
		'SELECT coalesce(collected, 0) FROM tikv.gc');
}
wait_for('a pass over the versions', sub { collected() > $newest });

is_refused('a read', 'get', $before, 'k');
is_refused('a scan', 'scan', $before, 'a', 'z');
is_refused('a prewrite', 'prewrite', $open, 'other', 'late');
is_refused('a prewrite after its rollback', 'prewrite', $open, 'ended', 'v');
is_refused('a lock', 'lock', $open, $open, -1, 'other');
my $flashback = step('ts');
is_refused('a flashback to it', 'prepare-flashback', $flashback, $before, 'a', 'z');
is((txnctl($node, 'prewrite', $open, 'k', 'late'))[2] =~ /conflict/, 1,
	'what conflicts anyway is told so');
is(step('get', step('ts'), 'k'), 'new', 'what is newer is served');
store('k', 'newer');

# Never past a barrier: the safe point comes to it and stays, while rounds go on.
store('kept', 'old');
my $barrier = step('ts');
is((rawctl($node, 'protect', 'keeper', $barrier))[0], 0, 'a barrier');
store('kept', 'new');
sub gc_view
{
	return $node->safe_psql('postgres', "SELECT $_[0] FROM tikv.gc");
}
wait_for('the safe point to reach the barrier', sub {
	return gc_view('txn_safe_point') == $barrier;
});
usleep(2_500_000);    # two rounds
is(gc_view('txn_safe_point'), $barrier, 'the safe point stays there');
cmp_ok(gc_view('gc_safe_point'), '<=', $barrier, 'so does the other');
is(step('get', $barrier, 'kept'), 'old', 'and what it protects is served');
is((rawctl($node, 'protect', 'keeper', '18446744073709551615'))[0], 0, 'the barrier goes');
wait_for('the safe point to pass it', sub {
	return gc_view('gc_safe_point') > $barrier;
});
pass('the safe point goes on without it');

# Locks that contradict each other: the view says who holds up the collection.
my $odd = step('ts');
step('prewrite-under', $odd, 'one', 'v', 'two');
step('prewrite-under', $odd, 'two', 'v', 'one');
wait_for('collection to give up on them', sub {
	return gc_view('gave_up_on') eq $odd;
});
like(gc_view('gave_up_because'), qr/contradicts/, 'tikv.gc says why');
step('rollback', $odd, $_) foreach qw(one two);
wait_for('collection to go on', sub { return gc_view('gave_up_because') eq ''; });
pass('and forgets it once they are gone');

# Clients that died: an async commit whose keys are in three regions, all of them
# prewritten, and a lock that more transactions share than a scan lists at once.
sub locks
{
	return $node->safe_psql('postgres', 'SELECT count(*) FROM tikv.locks');
}
$node->safe_psql('postgres', "ALTER SYSTEM SET tikv.gc_life_time = '1h'");
$node->reload;
step('split', $_) foreach qw(h q);
my $async = step('ts');
my @async = qw(async1 kasync lasync zasync);
step('prewrite-async', $async, $_, 'async', $async[0], join ',', @async[1 .. 3]) foreach @async;
step('lock-shared', step('ts'), 300, 'shared', 'nobody');
step('prewrite', step('ts'), 'sharee', 'behind it');
is(locks(), 4 + 300 + 1, 'locks of clients that died');
$node->safe_psql('postgres', "ALTER SYSTEM SET tikv.gc_life_time = '6s'");
$node->reload;
wait_for('their locks to go', sub { return locks() == 0; });
is(step('get', step('ts'), $_), 'async', "an async commit over regions ends: $_")
  foreach @async;

# A restart forgets nothing, also where it collects no more.
$node->safe_psql('postgres', "ALTER SYSTEM SET tikv.gc_life_time = '1d'");
foreach my $way (qw(fast immediate))
{
	$node->stop($way);
	$node->start;
	wait_serving($node);
	is_refused("a read after $way", 'get', $before, 'k');
	is_refused("a prewrite after $way", 'prewrite', $open, 'ended', 'v');
	is(step('get', step('ts'), 'k'), 'newer', "$way: what is newer is served");
}
$node->stop;
done_testing();
