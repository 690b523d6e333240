# Foreign tables where a single SQL session cannot show it: keys that expire,
# keyspaces of API V2, a store that is down or does not answer.

use strict;
use warnings;

use Test::More;
use TikvTest;

my $node = new_node('fdw', 'tikv.api_version' => '2');

$node->start;
serve($node);

sub sql
{
	return $node->safe_psql('postgres', $_[0]);
}

# The error of a statement.
sub error_of
{
	my ($answer, $out, $err) = $node->psql('postgres', $_[0]);

	isnt($answer, 0, "fails: $_[0]");
	return $err;
}

sql(q{
	CREATE SERVER tikv FOREIGN DATA WRAPPER tikv_fdw;
	CREATE FOREIGN TABLE lease (name text OPTIONS (key 'true'), holder text, seconds int OPTIONS (ttl 'true'))
		SERVER tikv OPTIONS (prefix 'lease/', key_format 'plain');
	CREATE FOREIGN TABLE lease_until (name text OPTIONS (key 'true'), holder text, until timestamptz OPTIONS (ttl 'true'))
		SERVER tikv OPTIONS (prefix 'lease/', key_format 'plain');
	CREATE FOREIGN TABLE item (id int OPTIONS (key 'true'), v text) SERVER tikv OPTIONS (prefix 'item/');
	CREATE FOREIGN TABLE stock (id int OPTIONS (key 'true'), n int) SERVER tikv OPTIONS (prefix 'stock/', mode 'txn');
});

# ---- leases
is(sql(q{INSERT INTO lease VALUES ('stays', 'a', NULL), ('long', 'a', 1000), ('short', 'a', 1) RETURNING name}),
	"stays\nlong\nshort", 'leases are taken');
is(sql(q{SELECT name, holder, seconds BETWEEN 900 AND 1000 FROM lease WHERE name IN ('stays', 'long') ORDER BY name COLLATE "C"}),
	"long|a|t\nstays|a|", 'the time left is a column');
is(sql(q{SELECT until > now() + interval '15 min' AND until < now() + interval '17 min' FROM lease_until WHERE name = 'long'}),
	't', 'or the time of expiry');
is(sql(q{INSERT INTO lease VALUES ('long', 'b', 30) ON CONFLICT DO NOTHING RETURNING holder}), '',
	'a lease that is held is not taken');
wait_for('a lease to expire', sub {
	return sql(q{INSERT INTO lease VALUES ('short', 'b', 500) ON CONFLICT DO NOTHING RETURNING holder}) eq 'b';
});
pass('one that expired is');
sql(q{INSERT INTO lease SELECT 'many' || i, 'a', 1 FROM generate_series(100, 199) AS i});
wait_for('many leases to be taken again', sub {
	return sql(q{INSERT INTO lease SELECT 'many' || i, 'b', 1000 FROM generate_series(100, 199) AS i ON CONFLICT DO NOTHING;
		SELECT count(*) FROM lease WHERE holder = 'b' AND name LIKE 'many%'}) eq '100';
});
is(sql(q{SELECT count(*) FROM tikv_check()}), '0', 'each key has one row');
sql(q{DELETE FROM lease WHERE name LIKE 'many%'});
sql(q{UPDATE lease SET holder = 'c'});
is(sql(q{SELECT name, holder, seconds > 400 FROM lease ORDER BY name COLLATE "C"}), "long|c|t\nshort|c|t\nstays|c|",
	'an update leaves the time as it is');
sql(q{UPDATE lease SET seconds = 5000 WHERE name = 'stays'; UPDATE lease_until SET until = 'infinity' WHERE name = 'long'});
is(sql(q{SELECT name, seconds > 4000 FROM lease WHERE name <> 'short' ORDER BY name COLLATE "C"}), "long|\nstays|t",
	'or sets it');
is(sql(q{SELECT tikv_ttl('lease/stays') > 4000}), 't', 'as the function sees it');
sql(q{SELECT tikv_put('lease/far', (SELECT value FROM tikv_scan('lease/long', 'lease/m')), 9223372036854775807)});
is(sql(q{SELECT until FROM lease_until WHERE name = 'far'}), 'infinity', 'the end of time is infinity');
is(sql(q{SELECT seconds FROM lease WHERE name = 'far'}), '2147483647', 'or what the column holds');
like(error_of(q{INSERT INTO lease VALUES ('x', 'x', -1)}), qr/must not be negative/, 'no negative time');
like(error_of(q{INSERT INTO lease_until VALUES ('x', 'x', now() - interval '1 s')}), qr/has passed/, 'nor one that has passed');

# ---- keyspaces: rows, joins, and rights
my $other = sql(q{SELECT tikv_create_keyspace('other')});
sql(q{INSERT INTO item SELECT i, 'zero ' || i FROM generate_series(1, 3000) AS i});
sql(q{INSERT INTO stock SELECT i, i FROM generate_series(1, 3000) AS i});
is(sql(qq{SET tikv.keyspace_id = $other; SELECT count(*) FROM item}), '0', 'another keyspace has other rows');
sql(qq{SET tikv.keyspace_id = $other; INSERT INTO item VALUES (1, 'other'); INSERT INTO stock VALUES (1, -1)});
is(sql(qq{SET tikv.keyspace_id = $other; SELECT * FROM item JOIN stock USING (id)}), '1|other|-1', 'its own');
is(sql(q{SELECT count(*), min(id), max(id), sum(n) FROM item JOIN stock USING (id)}), '3000|1|3000|4501500',
	'those of the first are what they were');
is(sql(q{SELECT id FROM item ORDER BY id DESC LIMIT 2}), "3000\n2999", 'backwards as well');
is(sql(q{SELECT count(*) FROM item WHERE id IN (SELECT generate_series(1, 5000, 2))}), '1500', 'and in batches');
like(sql(q{EXPLAIN SELECT * FROM generate_series(1, 100) AS g JOIN item ON id = g}), qr/TikvLookupJoin/, 'by the join for it');
sql(qq{
	CREATE ROLE clerk LOGIN;
	GRANT ALL ON item, stock TO clerk;
	SET tikv.keyspace_id = $other;
	SELECT tikv_grant('clerk', 'item/'), tikv_grant('clerk', 'stock/', 'read');
});
is(sql(qq{SET tikv.keyspace_id = $other; SET ROLE clerk; SELECT v FROM item WHERE id = 1}), 'other',
	'a grant is for the keyspace it was given in');
is(sql(qq{SET tikv.keyspace_id = $other; SET ROLE clerk; SELECT n FROM stock}), '-1', 'for both kinds of keys');
is(sql(qq{SET tikv.keyspace_id = $other; SET ROLE clerk; SELECT count(*) FROM tikv_scan('item/', 'item0')}), '1', 'and for the functions');
like(error_of(q{SET ROLE clerk; SELECT v FROM item WHERE id = 1}), qr/permission denied for key/, 'not for others');
like(error_of(qq{SET tikv.keyspace_id = $other; SET ROLE clerk; SELECT * FROM tikv_scan()}), qr/permission denied for keys/,
	'nor for all of a keyspace');

# ---- a change of grants reaches sessions that have looked already
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe(qq{SET tikv.keyspace_id = $other; SET ROLE clerk});
is($session->query(q{SELECT count(*) FROM item}), '1', 'a session reads');
sql(qq{SET tikv.keyspace_id = $other; SELECT tikv_revoke('clerk', 'item/')});
is($session->query(q{SELECT count(*) FROM item}), '', 'until the grant is taken back');
$session->quit;

# ---- rows of one INSERT that belong into several regions
sql(q{CREATE FOREIGN TABLE wide (id int OPTIONS (key 'true'), v text) SERVER tikv OPTIONS (prefix 'wide/');
	INSERT INTO wide SELECT i, 'first' FROM generate_series(1, 3000) AS i});
my $bound = sql(q{SELECT quote_literal(key) FROM tikv_scan('wide/', 'wide0') OFFSET 1500 LIMIT 1});
sql(qq{SELECT tikv_split($bound)});
sql(q{TRUNCATE wide; INSERT INTO wide SELECT i, 'second' FROM generate_series(1, 3000) AS i});
is(sql(q{SELECT count(*), min(id), max(id) FROM wide WHERE v = 'second'}), '3000|1|3000', 'rows on both sides of a bound');
like(error_of(q{INSERT INTO wide SELECT i, 'third' FROM generate_series(6000, 2999, -1) AS i}), qr/duplicate key/,
	'a key that exists beyond them');
is(sql(q{SELECT count(*) FROM wide WHERE id > 3000 AND v = 'third'}), '2048', 'and what is before its batch');

# ---- a store that does not answer
my ($store) = pids($node, 'tikv store');
hold_still($node, $store);
like(error_of(q{SET tikv.request_timeout = '1s'; INSERT INTO item VALUES (5000, 'x')}),
	qr/did not answer within 1000 ms.*outcome is unknown|is busy.*Nothing was done/s,
	'a write gives up in time and says what may have happened');
like(error_of(q{SET tikv.request_timeout = '10min'; SET statement_timeout = '1s'; UPDATE item SET v = 'y' WHERE id = 5}),
	qr/canceling statement due to statement timeout/, 'and can be cancelled');
like(error_of(q{SET tikv.request_timeout = '1s'; INSERT INTO item SELECT i, 'x' FROM generate_series(7001, 7999) AS i}),
	qr/is busy.*Nothing was done|did not answer within 1000 ms.*outcome is unknown/s, 'many rows as well');
# The first batch is on its way when the statement fails by itself.
my $began = time;
like(error_of(q{INSERT INTO item SELECT i, (1 / (9100 - i))::text FROM generate_series(8001, 9999) AS i}), qr/division by zero/,
	'an error of the statement is told');
cmp_ok(time - $began, '<', 30, 'without waiting for a store that hangs');
kill 'CONT', $store;
wait_for('writes to go on', sub {
	my ($answer) = $node->psql('postgres', q{INSERT INTO item VALUES (6000, 'x') ON CONFLICT DO NOTHING});
	return $answer == 0;
});
is(sql(q{SELECT count(*) FROM item WHERE id = 6000}), '1', 'writes go on');

# ---- a store that does not serve
$node->stop;
$node->append_conf('postgresql.conf', 'fsync = off');
$node->start;
wait_state($node, 'store', 'waiting', qr/fsync/);
like(error_of(q{SET tikv.request_timeout = '1s'; SELECT count(*) FROM item}), qr/tikv store does not serve.*fsync/s,
	'a scan says that the store is down, and why');
like(error_of(q{SET tikv.request_timeout = '1s'; INSERT INTO item VALUES (7000, 'x')}), qr/tikv store does not serve/, 'so does a write');
like(error_of(q{SET tikv.request_timeout = '1s'; SELECT * FROM stock}), qr/does not serve|no region|is starting/, 'and a transaction');
like(error_of(q{SET tikv.request_timeout = '10min'; SET statement_timeout = '1s'; SELECT count(*) FROM item}),
	qr/canceling statement due to statement timeout/, 'the wait can be cancelled');
like(sql(q{EXPLAIN SELECT * FROM item WHERE id = 1}), qr/get/, 'plans need no store');
$node->append_conf('postgresql.conf', 'fsync = on');
$node->restart;
wait_serving($node);
is(sql(q{SELECT count(*) FROM item WHERE id = 6000}), '1', 'and then all is there');

$node->stop;
done_testing();
