# Safe points that no timestamp has reached: none is taken, and one that an older
# release has stored does not end all transactions for ever.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvCopies;
use TikvTest;

my $most = '18446744073709551615';
my $node = new_node('safe_beyond', 'tikv.gc_life_time' => '0');

# A step that has to succeed, and what it prints.
sub step
{
	my @arguments = @_;
	my ($answer, $out, $err) = txnctl($node, @arguments);

	is($answer, 0, "@arguments") or diag($err);
	return $out;
}

# Both phases of a transaction.
sub store
{
	my ($key, $value) = @_;
	my $start = step('ts');
	step('prewrite', $start, $key, $value);
	step('commit', $start, step('ts'), $key);
}

sub query
{
	return $node->safe_psql('postgres', $_[0]);
}

$node->start;
serve($node);
store('k', 'old');

# A caller that is wrong by its unit, and one that means everything.
foreach my $beyond ('1800000000000000000', $most)
{
	my ($answer, $out, $err) = rawctl($node, 'collect', $beyond);
	isnt($answer, 0, "a safe point of $beyond is refused");
	like($err, qr/no timestamp has reached, newest timestamp: \d+, given: $beyond/,
		'which says why');
}
is(query('SELECT txn_safe_point IS NULL AND gc_safe_point IS NULL FROM tikv.gc'),
	't', 'nothing moved');
store('k', 'new');

# A barrier there is none; what is shown of it is what was given.
is((rawctl($node, 'protect', 'far', $most))[0], 0, 'a barrier beyond all');
is(query("SELECT barrier_ts FROM tikv.gc_barriers WHERE name = 'far'"),
	$most, 'the view shows 64 bits without a sign');

# What an older release has stored.
my $point = step('ts');
is((rawctl($node, 'collect', $point))[0], 0, 'a safe point');
my $log = -s $node->logfile;
$node->stop;
before_start($node, qq{DO \$\$ BEGIN
	UPDATE tikv_internal.pd_kv SET value = '$most' WHERE key = 'gc/safe_point';
	ASSERT FOUND, 'the GC safe point';
	UPDATE tikv_internal.pd_kv SET value = '$most'
		WHERE key = '/tidb/store/gcworker/saved_safe_point';
	ASSERT FOUND, 'the txn safe point';
END \$\$});
$node->start;
wait_serving($node);
store('k', 'newer');
is(step('get', step('ts'), 'k'), 'newer', 'transactions go on');
is(query("SELECT gc_safe_point > $point AND gc_safe_point < $most "
	  . 'AND gc_safe_point = txn_safe_point FROM tikv.gc'),
	't', 'both were put back to where timestamps go on');
like(
	slurp_file($node->logfile, $log),
	qr/the saved safe points lie beyond all timestamps and are not believed/,
	'the log says so');
$point = step('ts');
is((rawctl($node, 'collect', $point))[0], 0, 'and can be moved on');
is(query('SELECT gc_safe_point FROM tikv.gc'), $point, 'to where they should be');
$node->stop;
$node->start;
wait_serving($node);
is(query('SELECT gc_safe_point FROM tikv.gc'), $point, 'which a restart keeps');
is(step('get', step('ts'), 'k'), 'newer', 'with what was written');

$node->stop;
done_testing();
