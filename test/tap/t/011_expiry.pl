# Keys that expire: gone from their second on, removed later in slices, by a
# store that was restarted or whose table was rewritten as well; and the API
# version with times to live, which stays with the data.

use strict;
use warnings;

use Test::More;
use TikvTest;

my $node = new_node('expiry', 'tikv.enable_ttl' => 'on');

$node->start;
serve($node);

sub rows
{
	return $node->safe_psql('postgres', 'SELECT count(*) FROM tikv_internal.raw');
}

sub put_many
{
	my ($prefix, $n, $ttl) = @_;

	$node->safe_psql('postgres', qq{
		SELECT tikv_batch_put(array_agg(('$prefix' || i)::bytea), array_agg('v'::bytea), $ttl)
		FROM generate_series(1, $n) AS i});
}

# ---- txn-semantics 26.2 row 3: RawPut, RawGetKeyTTL
$node->safe_psql('postgres', q{
	SELECT tikv_put('stays', 'v'), tikv_put('short', 'v', 1), tikv_put('long', 'v', 1000), tikv_put('forever', 'v', 9223372036854775807)});
is($node->safe_psql('postgres', q{SELECT tikv_ttl('stays'), tikv_ttl('none') IS NULL}), '0|t',
	'0 seconds are left to a key that stays, none to one that is absent');
is($node->safe_psql('postgres', q{SELECT tikv_ttl('long') BETWEEN 900 AND 1000, tikv_ttl('forever') > 1000000000}), 't|t',
	'and those it was given to another');
wait_for('a key to expire', sub {
	return $node->safe_psql('postgres', q{SELECT tikv_get('short') IS NULL}) eq 't';
});
is($node->safe_psql('postgres', q{
	SELECT (SELECT count(*) FROM tikv_scan('short', 'shoru')), tikv_ttl('short') IS NULL,
		(SELECT count(*) FROM tikv_batch_get(array['short', 'stays']::bytea[])),
		(SELECT total_kvs FROM tikv_checksum('short', 'shorv'))}), '0|t|1|0',
	'it is gone for every read');
is((rawctl($node, 'get', 'short'))[0], 2, 'over gRPC, too');
$node->safe_psql('postgres', q{SELECT tikv_insert('short', 'again')});
is($node->safe_psql('postgres', q{SELECT tikv_ttl('short')}), '0', 'and may be inserted again');
is($node->safe_psql('postgres', q{SELECT * FROM tikv_cas('long', 'v', 'w', 500)}), 't|\x76',
	'txn-semantics 26.2 row 7: RawCompareAndSwap with a ttl');
is($node->safe_psql('postgres', q{SELECT tikv_ttl('long') BETWEEN 400 AND 500}), 't', 'sets it anew');
$node->safe_psql('postgres', q{SELECT tikv_put('long', 'x')});
is($node->safe_psql('postgres', q{SELECT tikv_ttl('long')}), '0', 'a put without one takes it away');

# ---- the sweeper removes what has expired and nothing else
put_many('mass', 5000, 1);
put_many('keep', 3000, 1000);
put_many('plain', 3000, 0);
wait_for('expired rows to be removed', sub { return rows() == 6004 });
is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM tikv_scan('keep', 'keeq')), (SELECT count(*) FROM tikv_scan('plain', 'plaio'))}),
	'3000|3000', 'the others are all there');
wait_for('progress to be told', sub {
	return $node->safe_psql('postgres', q{SELECT removed >= 5000 AND waiting = 0 FROM tikv.tasks WHERE task = 'expire'}) eq 't';
});

# ---- a key that is written again in time stays
put_many('again', 1000, 2);
put_many('again', 1000, 0);
put_many('late', 1000, 1);
wait_for('the others of their time to be removed', sub {
	return $node->safe_psql('postgres', q{SELECT count(*) FROM tikv_internal.raw WHERE key >= 'late' AND key < 'latf'}) eq '0';
});
is($node->safe_psql('postgres', q{SELECT count(*) FROM tikv_scan('again', 'agaio')}), '1000', 'a key written again stays');

# ---- over a restart: what had expired, and what will
put_many('before', 1000, 1);
put_many('after', 1000, 4);
$node->stop('immediate');
$node->start;
wait_serving($node);
wait_for('rows of before the crash to be removed', sub {
	return $node->safe_psql('postgres', q{SELECT count(*) FROM tikv_internal.raw WHERE key >= 'before' AND key < 'beforf'
		OR key >= 'after' AND key < 'aftes'}) eq '0';
});
pass('a restart forgets no row');

# ---- in a table that was rewritten, so that every row is somewhere else
put_many('moved', 1000, 5);
$node->safe_psql('postgres', q{DO $$ BEGIN PERFORM tikv_delete_range('plain', 'plaio'); END $$});
wait_for('VACUUM FULL', sub {
	my ($answer) = $node->psql('postgres', 'VACUUM FULL tikv_internal.raw');
	return $answer == 0;
});
wait_for('rows that were moved to be removed', sub {
	return $node->safe_psql('postgres', q{SELECT count(*) FROM tikv_internal.raw WHERE key >= 'moved' AND key < 'movee'}) eq '0';
});
pass('a rewritten table is looked through again');
is($node->safe_psql('postgres', q{SELECT count(*) FROM tikv_scan('keep', 'keeq')}), '3000', 'nothing else is gone');
is($node->safe_psql('postgres', 'SELECT * FROM tikv_check()'), '', 'the tables are consistent');

# ---- the API version stays with the data
foreach my $case (
	['tikv.enable_ttl = off', qr/api_version = 1, tikv.enable_ttl = on, the settings are tikv.api_version = 1, tikv.enable_ttl = off/],
	['tikv.api_version = 2', qr/the settings are tikv.api_version = 2/])
{
	my ($setting, $reason) = @$case;

	$node->append_conf('postgresql.conf', $setting);
	$node->restart;
	wait_state($node, 'store', 'waiting', $reason);
	pass("not served over existing data: $setting");
	isnt((rawctl($node, 'get', 'stays'))[0], 0, 'and not read');
}
$node->append_conf('postgresql.conf', "tikv.api_version = 1\ntikv.enable_ttl = on");
$node->restart;
wait_serving($node);
is((rawctl($node, 'get', 'stays'))[1], 'v', 'served again with the settings of before');

# ---- without data it may change
$node->safe_psql('postgres', q{SELECT tikv_delete_range('', '')});
$node->append_conf('postgresql.conf', 'tikv.api_version = 2');
$node->restart;
wait_serving($node);
is($node->safe_psql('postgres', 'SELECT api_version FROM tikv_internal.store_meta'), '2',
	'an empty store takes another API version');
$node->append_conf('postgresql.conf', "tikv.api_version = 1\ntikv.enable_ttl = off");
$node->restart;
wait_serving($node);
is((rawctl($node, 'put', 'k', 'v'))[0], 0, 'and back');

$node->stop;
done_testing();
