# API version 2: keys carry mode and keyspace, requests must be of version 2,
# and SQL works in one keyspace at a time.

use strict;
use warnings;

use Test::More;
use TikvTest;

my $node = new_node('v2', 'tikv.api_version' => '2');

$node->start;
serve($node);

sub one
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

# ---- a client of version 1 is refused
my ($answer, $out, $err) = rawctl($node, 'put', 'k', 'v');
isnt($answer, 0, 'a request of version 1 is refused');
like($err, qr/Api version in request does not match with TiKV storage, cmd: raw_put, storage: V2, request: V1/,
	'with TiKV\'s words');

# ---- SQL: every function in its keyspace
one(q{SELECT tikv_put('a', '1'), tikv_put('b', '2', 1000), tikv_insert('c', '3')});
is(one(q{SELECT encode(key, 'hex') FROM tikv_internal.raw ORDER BY key}), "7200000061\n7200000062\n7200000063",
	'a stored key begins with mode and keyspace');
is(one(q{SELECT convert_from(tikv_get('a'), 'UTF8'), tikv_ttl('a'), tikv_ttl('b') > 900}), '1|0|t', 'get and ttl');
is(one(q{SELECT string_agg(convert_from(key || value, 'UTF8'), ' ') FROM tikv_scan()}), 'a1 b2 c3', 'scan');
is(one(q{SELECT string_agg(convert_from(key || value, 'UTF8'), ' ') FROM tikv_scan('b', NULL, 9, true)}), 'c3 b2', 'reverse');
is(one(q{SELECT string_agg(convert_from(key || value, 'UTF8'), ' ') FROM tikv_batch_get(array['c', 'x', 'a']::bytea[])}), 'c3 a1', 'batch get');
is(one(q{SELECT swapped, convert_from(previous, 'UTF8') FROM tikv_cas('a', '1', '11')}), 't|1', 'compare and swap');
like(($node->psql('postgres', q{SELECT tikv_insert('a', 'x')}))[2], qr/DETAIL:  Key is \\x61/, 'errors show the key as SQL has it');

one(q{SET tikv.keyspace_id = 1; SELECT tikv_batch_put(array['a', 'z']::bytea[], array['other', 'other']::bytea[])});
is(one(q{SELECT string_agg(convert_from(key || value, 'UTF8'), ' ') FROM tikv_scan()}), 'a11 b2 c3', 'another keyspace is not seen');
is(one(q{SET tikv.keyspace_id = 1; SELECT string_agg(convert_from(key || value, 'UTF8'), ' ') FROM tikv_scan('', '', 9, true)}),
	'zother aother', 'but from itself, from its end on');
is(one(q{SET tikv.keyspace_id = 16777215; SELECT tikv_put('last', 'v'); SELECT count(*) FROM tikv_scan(); SELECT count(*) FROM tikv_scan('', '', 9, true)}),
	"\n1\n1", 'the last keyspace has an end, too');
is(one(q{SELECT total_kvs, total_bytes FROM tikv_checksum()}), '3|19', 'a checksum counts the prefix');
one(q{SELECT tikv_delete('c'), tikv_delete_range('', '')});
is(one(q{SELECT count(*) FROM tikv_scan()}), '0', 'a whole keyspace is deleted');
is(one(q{SET tikv.keyspace_id = 1; SELECT count(*) FROM tikv_scan()}), '2', 'and no other');
is(one(q{SELECT * FROM tikv_check()}), '', 'the tables are consistent');

# ---- keys expire in every keyspace
one(q{SET tikv.keyspace_id = 7; SELECT tikv_put('gone', 'v', 1)});
wait_for('a row to be removed', sub {
	return one(q{SELECT count(*) FROM tikv_internal.raw WHERE key >= '\x72000007' AND key < '\x72000008'}) eq '0';
});
pass('a key of another keyspace expires');

# ---- and the version stays with the data
$node->append_conf('postgresql.conf', 'tikv.api_version = 1');
$node->restart;
wait_state($node, 'store', 'waiting', qr/written with tikv.api_version = 2, the settings are tikv.api_version = 1/);
pass('version 1 is refused over data of version 2');

$node->stop;
done_testing();
