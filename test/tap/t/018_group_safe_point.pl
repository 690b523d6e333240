# The GC safe point where a region has several peers: its leader, too, takes no
# late write whose rollback may have been collected (017_safe_point has one).

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;

my @nodes = make_group('group_safe_point');
my $node = $nodes[ wait_leader() ];

sub step
{
	my @arguments = @_;
	my ($answer, $out, $err) = txnctl($node, @arguments);

	is($answer, 0, "@arguments") or diag($err);
	return $out;
}

my $open = step('ts');
step('prewrite', $open, 'ended', 'v');
step('rollback', $open, 'ended');
my $begun = step('ts');

$node->safe_psql('postgres', "ALTER SYSTEM SET tikv.gc_life_time = '1s'");
$node->reload;
wait_for('a pass over the versions', sub {
	return $node->safe_psql('postgres',
		'SELECT coalesce(collected, 0) FROM tikv.gc') > $begun;
});

foreach my $late ([ 'prewrite', $open, 'ended', 'v' ],
	[ 'prewrite', $open, 'other', 'v' ], [ 'lock', $open, $open, -1, 'other' ],
	[ 'prepare-flashback', step('ts'), $open, 'a', 'z' ])
{
	my ($answer, $out, $err) = txnctl($node, @$late);

	is($answer, 3, "@$late: refused");
	like($err, qr/TxnAbortedByGC: timestamp \d+ is below the GC safe point \d+/,
		'and says why');
}

# What comes in time is served, and what conflicts anyway is told so.
$node->safe_psql('postgres', "ALTER SYSTEM SET tikv.gc_life_time = '1h'");
$node->reload;
my $start = step('ts');
step('prewrite', $start, 'k', 'v');
step('commit', $start, step('ts'), 'k');
is(step('get', step('ts'), 'k'), 'v', 'a new transaction');
is((txnctl($node, 'prewrite', $open, 'k', 'late'))[2] =~ /conflict/, 1,
	'a conflict stays one');

# A leader that was none while all that went on asks its PD, which is its own in this
# group, and does not wait for its next round.
my $old = leader();
my $new = ($old + 1) % 3;
is((rawctl($nodes[$new], 'collect', $begun + 1))[0], 0, 'its PD has a safe point');
my $store = (1, 4, 5)[$new];
wait_for('another leader', sub {
	ask(leader() // $old, "SELECT tikv_transfer_leader(2, $store)");
	return (leader() // $old) == $new;
});
$node = $nodes[$new];
wait_for('the new leader to know the safe point', sub {
	return $node->safe_psql('postgres',
		'SELECT coalesce(collected, 0) FROM tikv.gc') > $begun;
});
my ($answer, $out, $err) = txnctl($node, 'prewrite', $open, 'another', 'v');
is($answer, 3, 'a late prewrite at the new leader: refused');
like($err, qr/TxnAbortedByGC/, 'and says why');

$_->stop('immediate') foreach @nodes;
done_testing();
