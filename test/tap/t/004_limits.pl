# Bounds: long keys, big values, the reserved disk space, the bus.

use strict;
use warnings;

use Test::More;
use TikvTest;

my $node = new_node('limits', 'tikv.bus_slots' => 8);

$node->start;
serve($node);

# ---- keys around the prefix in the index and up to the limit
foreach my $length (1, 2047, 2048, 2049, 4096, 8192)
{
	my $answer = $node->safe_psql('postgres', qq{
		SELECT tikv_put(convert_to(repeat('k', $length), 'UTF8'), '$length')});
	is($node->safe_psql('postgres', qq{
			SELECT convert_from(tikv_get(convert_to(repeat('k', $length), 'UTF8')), 'UTF8')}),
		$length, "a key of $length bytes");
}
my ($answer, $out, $err) = $node->psql('postgres',
	q{SELECT tikv_put(convert_to(repeat('k', 8193), 'UTF8'), 'v')});
isnt($answer, 0, 'a key over the limit is refused');
is($node->safe_psql('postgres', q{SELECT count(*) FROM tikv_scan('k', 'l', 100)}), '6',
	'a scan finds the long keys');
is($node->safe_psql('postgres', q{
		SELECT bool_and(length(key) > coalesce(before, 0)) FROM (
			SELECT key, lag(length(key)) OVER () AS before
			FROM tikv_scan('k', 'l', 100)) AS s}), 't', 'in order');

# ---- values
foreach my $length (0, 100, 3000, 1_000_000, 6_000_000)
{
	$node->safe_psql('postgres', qq{
		SELECT tikv_put('big', convert_to(repeat('v', $length), 'UTF8'))});
	is($node->safe_psql('postgres', q{SELECT length(tikv_get('big'))}), $length,
		"a value of $length bytes");
}
($answer, $out, $err) = $node->psql('postgres',
	q{SELECT tikv_put('big', convert_to(repeat('v', 9000000), 'UTF8'))});
isnt($answer, 0, 'an entry over 8 MiB is refused');
is($node->safe_psql('postgres', q{SELECT length(tikv_get('big'))}), '6000000',
	'and the value before it kept');

# ---- more callers than the bus has slots: some are refused, none hangs
my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 20;
my $lock = $node->background_psql('postgres');
foreach my $session (@sessions)
{
	$session->query_until(qr/begun/, q{
		\echo begun
		DO $$ BEGIN
			FOR i IN 1 .. 100 LOOP
				BEGIN
					PERFORM tikv_put('bus', i::text::bytea);
				EXCEPTION WHEN OTHERS THEN
					NULL;
				END;
			END LOOP;
		END $$;
	});
}
foreach my $session (@sessions)
{
	$session->query('SELECT 1');
	$session->quit;
}
$lock->quit;
is($node->safe_psql('postgres', q{SELECT tikv_put('bus', 'free')}), '',
	'the bus is free again after a flood of callers');
is($node->safe_psql('postgres', q{SELECT convert_from(tikv_get('bus'), 'UTF8')}),
	'free', 'and carries writes');

# ---- a queue that is full answers at once (txn-semantics 5.2 row 2,
# txn-semantics 27 row 5)
$node->safe_psql('postgres', q{ALTER SYSTEM SET tikv.max_pending_bytes = '64kB'});
$node->reload;
wait_for('writes over what may wait to be refused', sub {
	($answer, $out, $err) = rawctl($node, 'put', 'full', 'v' x 100_000);
	return $answer != 0;
});
like($err, qr/scheduler is busy: too many writes wait/, 'more than may wait is refused as busy');
my $start = (txnctl($node, 'ts'))[1];
($answer, $out, $err) = txnctl($node, 'prewrite', $start, 'full', 'v' x 100_000);
like($err, qr/scheduler is busy: too many writes wait/, 'a prewrite, too');
is((rawctl($node, 'put', 'full', 'little'))[0], 0, 'what fits goes on');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET tikv.max_pending_bytes');
$node->reload;
wait_for('large writes again', sub {
	return (rawctl($node, 'put', 'full', 'v' x 100_000))[0] == 0;
});

# ---- reserve space: no disk has that much
$node->append_conf('postgresql.conf', "tikv.reserve_space = '1000TB'");
$node->reload;
wait_for('writes refused for lack of space', sub {
	($answer, $out, $err) = rawctl($node, 'put', 'full', 'v');
	return $answer != 0;
});
like($err, qr/disk|space/i, 'a write below the reserve says that the disk is full');
($answer, $out, $err) = $node->psql('postgres', q{SELECT tikv_put('full', 'v')});
like($err, qr/disk|space/i, 'SQL, too');
{
	local $ENV{RAWCTL_DISK_FULL_OPT} = 2;
	is((rawctl($node, 'put', 'urgent', 'v'))[0], 0,
		'a request that may use the reserve is carried out: disk_full_opt');
}
is((rawctl($node, 'get', 'bus'))[1], 'free', 'reads go on over gRPC');
is($node->safe_psql('postgres', q{SELECT convert_from(tikv_get('bus'), 'UTF8')}),
	'free', 'and in SQL');
$node->append_conf('postgresql.conf', 'tikv.reserve_space = -1');
$node->reload;
wait_for('writes again', sub { return (rawctl($node, 'put', 'full', 'no more'))[0] == 0; });
is((rawctl($node, 'get', 'full'))[1], 'no more', 'writes go on when there is space again');

$node->stop;
done_testing();
