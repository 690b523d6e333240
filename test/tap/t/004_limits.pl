# Bounds: long keys, big values, the reserved disk space, the bus.

use strict;
use warnings;

use Http2 qw(begin_call end_call field fields region_context);
use Test::More;
use TikvTest;

my $node = new_node('limits', 'tikv.bus_slots' => 8, 'tikv.memory_limit' => 0);

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

# ---- answers, also where clients may have the node hold as much as they like
sub gets_of_big
{
	my ($n) = @_;
	my $call = begin_call($node->{tikv}{'tikv.addr'}, '/tikvpb.Tikv/RawBatchGet',
		field(1, region_context($node), 1) . field(2, 'big', 1) x $n);

	return fields(end_call($call, 60) // '');
}
my %much = gets_of_big(45);
like($much{1} // '', qr/the answer would exceed 268435456 bytes: ask for fewer keys/,
	'45 times in one answer is more than 256 MB');

# ---- many keys, each of which takes its place in the log
sub put_many
{
	my ($n) = @_;

	return $node->psql('postgres', qq{
		SELECT tikv_batch_put(array_agg(int4send(i)), array_agg(''::bytea)) FROM generate_series(1, $n) i});
}
($answer, $out, $err) = put_many(170_000);
isnt($answer, 0, 'a write of very many small keys is refused');
like($err, qr/the write is too large/, 'as too large');
is($node->safe_psql('postgres', q{SELECT count(*) FROM tikv_scan('', 'a', 10)}), '0', 'with nothing written');
is((put_many(150_000))[0], 0, 'one of many is not');
is($node->safe_psql('postgres', q{SELECT count(*) FROM tikv_scan('', 'a', 1000000)}), '150000', 'and is all there');

# ---- more callers than the bus has slots: those are refused, none hangs
my ($store) = pids($node, 'tikv store');
my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 20;
hold_still($node, $store);
foreach my $session (@sessions)
{
	$session->query_until(qr/begun/, q{
		\echo begun
		SELECT tikv_put('bus', 'v');
		\set state :SQLSTATE
	});
}
sleep 2;
kill 'CONT', $store;
my %states;
foreach my $session (@sessions)
{
	my ($state) = $session->query('\echo state=:state') =~ /state=(\w+)/;
	$states{$state // 'none'}++;
	$session->quit;
}
# The workers' own requests take slots, too.
my ($served, $refused) = map { $states{$_} // 0 } '00000', '53000';
ok($served > 0 && $refused >= 12 && $served + $refused == 20,
	'more callers than slots are told so, the others served')
	or diag(explain(\%states));
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
my ($ends, $given_up, $left) = map { (txnctl($node, 'ts'))[1] } 1 .. 3;
is((txnctl($node, 'prewrite', $ends, 'ends', 'v'))[0], 0, 'a transaction that will commit');
is((txnctl($node, 'prewrite', $given_up, 'given up', 'v'))[0], 0, 'one that will not');
is((txnctl($node, 'prewrite', $left, 'left', 'v'))[0], 0, 'and one that others will end');
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

# txn-semantics 6 disk full: what begins a transaction is refused, what ends one
# is not, or the disk could never be cleared.
foreach my $begins ([ 'prewrite', 'other', 'v' ], [ 'lock' ])
{
	my ($command, @rest) = @$begins;
	my $ts = (txnctl($node, 'ts'))[1];

	@rest = ($ts, -1, 'other') if $command eq 'lock';
	($answer, $out, $err) = txnctl($node, $command, $ts, @rest);
	is($answer, 4, "$command below the reserve: a region error");
	like($err, qr/disk|space/i, "$command: which says that the disk is full");
}
is((txnctl($node, 'commit', $ends, (txnctl($node, 'ts'))[1], 'ends'))[0], 0,
	'a commit goes on below the reserve');
is((txnctl($node, 'get', (txnctl($node, 'ts'))[1], 'ends'))[1], 'v', 'and can be read');
is((txnctl($node, 'rollback', $given_up, 'given up'))[0], 0, 'so does a rollback');
is((txnctl($node, 'resolve', $left, 0, 'left'))[0], 0, 'and what resolves locks');
is((txnctl($node, 'get', (txnctl($node, 'ts'))[1], $_))[0], 2, "nothing is left of '$_'")
  foreach 'given up', 'left';
is((txnctl($node, 'delete-range', 'ends', 'ends~'))[0], 0, 'ranges can be deleted');
is((txnctl($node, 'get', (txnctl($node, 'ts'))[1], 'ends'))[0], 2, 'and are gone');
$node->append_conf('postgresql.conf', 'tikv.reserve_space = -1');
$node->reload;
wait_for('writes again', sub { return (rawctl($node, 'put', 'full', 'no more'))[0] == 0; });
is((rawctl($node, 'get', 'full'))[1], 'no more', 'writes go on when there is space again');

$node->stop;
done_testing();
