# Splits where something is odd: a key with more versions than one look takes
# is counted, a bound that no store could show is refused, and a split that was
# given up is not made later.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

# More versions than a slice has rows, each with a row among the values, too.
my $versions = 3001;

my $node = new_node('odd', 'tikv.api_version' => '2', 'tikv.request_timeout' => '60s');

$node->start;
serve($node);

# ---- one key, many versions

$node->safe_psql('postgres', qq{
	DO \$\$
	BEGIN
		FOR i IN 1 .. $versions LOOP
			PERFORM tikv_txn_put('hot', convert_to(repeat(md5(i::text), 10), 'UTF8'));
			COMMIT;
		END LOOP;
	END \$\$});

my ($store) = pids($node, 'tikv store');

# Nobody knows how large the pieces are, so they are counted.
$node->safe_psql('postgres', q{SELECT tikv_split('m')});
wait_for('the pieces to be counted', sub {
	return (TikvTest::try_query($node, q{
		SELECT count(*) = 2 AND bool_and(approximate_size >= 0) FROM tikv_internal.raft_state}) // '') eq 't';
});
is((pids($node, 'tikv store'))[0], $store, 'the store has counted them without an accident');
is($node->safe_psql('postgres', 'SELECT max(approximate_keys) FROM tikv_internal.raft_state'),
	$versions, 'each version counts once');

# ---- a key that is longer than any

my ($refused, undef, $why) = $node->psql('postgres', q{SELECT tikv_split(convert_to('n' || repeat('x', 20000), 'UTF8'))});

isnt($refused, 0, 'a bound that no store could show is refused');
like($why, qr/too long/, '... and why is said');

# ---- an order that has to wait, and is given up

my $session = $node->background_psql('postgres');

$session->query_safe('BEGIN; LOCK TABLE tikv_internal.raft_log IN ACCESS EXCLUSIVE MODE');

my ($answer, $out, $err) = $node->psql('postgres', q{SELECT tikv_split('p')});

isnt($answer, 0, 'a split that cannot be made is given up');
like($err, qr/takes too long/, '... and says so');
$session->query_safe('ROLLBACK');
$session->quit;

# Orders are taken one after the other: that one was before this one.
wait_for('a split to be made', sub {
	return defined TikvTest::try_query($node, q{SELECT tikv_split('s')});
});
is($node->safe_psql('postgres', q{
	SELECT count(*) FROM tikv.regions WHERE position('p'::bytea IN start_key) > 0}),
	'0', 'it is not made later');
is($node->safe_psql('postgres', 'SELECT count(*) FROM tikv.regions'), '3', '... nor another one in its place');
is((pids($node, 'tikv store'))[0], $store, 'the store goes on');
is($node->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), '0', 'the tables are sound');
$node->stop;

done_testing();
