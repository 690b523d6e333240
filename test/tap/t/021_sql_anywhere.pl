# SQL on every node: raw and transactional keys of regions that other nodes
# lead, on a node that leads none, one that leads some, and while leaders move
# and die.

use strict;
use warnings;

use Test::More;
use TikvSpread;
use TikvTest;
use Time::HiRes qw(time usleep);

# Two regions on node 1, the one between them on node 0; node 2 leads nothing.
my @nodes = make_spread('any', [ 'h', 'p' ], [ 0, 1, 0 ]);
my @regions = map { $_->[0] } regions_of();

# ---- raw keys

foreach my $i (0 .. 2)
{
	is(sql($i, qq{SELECT tikv_put('a$i', 'va$i'), tikv_put('k$i', 'vk$i'), tikv_put('z$i', 'vz$i')}), '||', "node $i: puts");
	is(sql($i, qq{SELECT convert_from(tikv_get('a$i') || tikv_get('k$i') || tikv_get('z$i'), 'UTF8')}), "va${i}vk${i}vz${i}", "node $i: gets");
	is(sql($i, q{SELECT tikv_get('none') IS NULL, tikv_get('zzz') IS NULL}), 't|t', "node $i: keys that are not there");
	is(sql($i, qq{SELECT swapped FROM tikv_cas('k$i', 'vk$i', 'swapped$i')}), 't', "node $i: a swap");
	is(sql($i, qq{SELECT swapped, convert_from(previous, 'UTF8') FROM tikv_cas('k$i', 'vk$i', 'again')}), "f|swapped$i", "node $i: one that fails");
	is((try_sql($i, qq{SELECT tikv_insert('k$i', 'x')}))[0], 3, "node $i: an insert of a key that exists");
	is(sql($i, qq{SELECT tikv_insert('ki$i', 'new')}), '', "node $i: an insert of one that does not");
	is(sql($i, qq{SELECT tikv_batch_put(ARRAY['b$i', 'l$i', 'y$i']::bytea[], ARRAY['1', '2', '3']::bytea[])}), '', "node $i: a batch over all regions");
}
my $all = 'a0,a1,a2,b0,b1,b2,k0,k1,k2,ki0,ki1,ki2,l0,l1,l2,y0,y1,y2,z0,z1,z2';
my $reversed = join ',', reverse split /,/, $all;

foreach my $i (0 .. 2)
{
	is(sql($i, q{SELECT string_agg(convert_from(key, 'UTF8'), ',') FROM tikv_scan('', '')}), $all, "node $i: a scan over all regions");
	is(sql($i, q{SELECT string_agg(convert_from(key, 'UTF8'), ',') FROM tikv_scan('', '', NULL, true)}), $reversed, "node $i: backwards");
	is(sql($i, q{SELECT string_agg(convert_from(key, 'UTF8'), ',') FROM tikv_scan('b1', 'l1', 4)}), 'b1,b2,k0,k1', "node $i: a part of it");
	is(sql($i, q{SELECT string_agg(convert_from(value, 'UTF8'), ',') FROM tikv_batch_get(ARRAY['z1', 'a2', 'nix', 'k0', 'b1']::bytea[])}), 'vz1,va2,swapped0,1', "node $i: a batch of gets, in their order");
	is(sql($i, q{SELECT total_kvs FROM tikv_checksum()}), '21', "node $i: a checksum");
}
is(sql($_, q{SELECT checksum FROM tikv_checksum()}),
	sql(0, q{SELECT checksum FROM tikv_checksum()}), "node $_: the same one") foreach 1, 2;
is(sql(2, q{SELECT tikv_delete('a0'), tikv_delete_range('k', 'z1')}), '|', 'node 2: deletions');
is(sql($_, q{SELECT string_agg(convert_from(key, 'UTF8'), ',') FROM tikv_scan('', '')}), 'a1,a2,b0,b1,b2,z1,z2', "node $_ sees them") foreach 0 .. 2;
is(sql(2, q{SELECT tikv_put('kbig', convert_to(repeat('x', 3000000), 'UTF8')), length(tikv_get('kbig'))}), '|3000000', 'node 2: a large value');
is(sql(2, q{SELECT tikv_batch_put(array_agg(convert_to('m' || lpad(i::text, 5, '0'), 'UTF8')), array_agg(convert_to(repeat('v', 100), 'UTF8'))) FROM generate_series(1, 1000) i}), '', 'node 2: many keys');
is(sql(2, q{SELECT count(*), min(convert_from(key, 'UTF8')), max(convert_from(key, 'UTF8')) FROM tikv_scan('m', 'n')}), '1000|m00001|m01000', 'in pages');

# ---- a region begins with a raw key, behind all that transactions have of the
# region below; node 1 leads it, and node 0 what is below
sql(0, q{SELECT tikv_split('x', true)});
wait_for('a split at a raw key', sub { (try_sql(0, q{SELECT tikv_split('zz')}))[0] == 0 });
wait_for('PD to know all five', sub { my @all = regions_of(); @all == 5 && !grep { !defined $_->[1] } @all });
move_leader((regions_of())[4][0], 1);
is(sql($_, q{SET statement_timeout = '20s'; SELECT count(*) FROM tikv_txn_scan('y', '', NULL, true)}), '0', "node $_: a scan backwards ends") foreach 0 .. 2;

# ---- transactions

foreach my $i (0 .. 2)
{
	is(sql($i, qq{BEGIN; SELECT tikv_txn_put('ta$i', '1'), tikv_txn_put('tk$i', '2'), tikv_txn_put('q$i', '3'); COMMIT}), '||', "node $i: a transaction over regions of two stores");
	is(sql($i, qq{SELECT convert_from(tikv_txn_get('ta$i') || tikv_txn_get('q$i'), 'UTF8'), tikv_txn_get('nothing') IS NULL}), '13|t', "node $i: read again");
	is(sql(($i + 1) % 3, qq{SELECT convert_from(tikv_txn_get('ta$i') || tikv_txn_get('tk$i') || tikv_txn_get('q$i'), 'UTF8')}), '123', 'and on another node');
	is(sql($i, qq{BEGIN; SELECT tikv_txn_put('ta$i', 'x'); ROLLBACK; SELECT convert_from(tikv_txn_get('ta$i'), 'UTF8')}), "\n1", "node $i: a rollback");
	is(sql($i, qq{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT tikv_txn_put('c$i', '1'), tikv_txn_put('i$i', '1'); COMMIT}), '|', "node $i: in REPEATABLE READ");
}
is(sql($_, q{SELECT string_agg(convert_from(key, 'UTF8'), ',') FROM tikv_txn_scan('', '')}), 'c0,c1,c2,i0,i1,i2,q0,q1,q2,ta0,ta1,ta2,tk0,tk1,tk2', "node $_: a scan of versions") foreach 0 .. 2;
is(sql($_, q{SELECT string_agg(convert_from(key, 'UTF8'), ',') FROM tikv_txn_scan('', '', NULL, true)}), 'tk2,tk1,tk0,ta2,ta1,ta0,q2,q1,q0,i2,i1,i0,c2,c1,c0', "node $_: and backwards") foreach 0 .. 2;
is(sql($_, q{SELECT string_agg(convert_from(value, 'UTF8'), ',') FROM tikv_txn_batch_get(ARRAY['tk2', 'c1', 'none', 'q0']::bytea[])}), '2,1,3', "node $_: a batch") foreach 0 .. 2;

# Locks of one node's session are waited for by another's.
{
	my $holder = $nodes[2]->background_psql('postgres');

	$holder->query_safe(q{BEGIN; SELECT tikv_txn_put('i0', 'held')});
	my ($answer, $out, $err) = try_sql(0, q{SET tikv.lock_wait_timeout = '300ms'; SELECT tikv_txn_put('i0', 'no')});

	isnt($answer, 0, 'a lock that a session of another node holds');
	like($err, qr/could not obtain the lock/, 'is waited for in vain');
	$holder->query_safe('COMMIT');
	$holder->quit;
	is(sql(1, q{SELECT convert_from(tikv_txn_get('i0'), 'UTF8')}), 'held', 'and then gone');
}

# The heartbeats of a transaction whose primary another store leads: its lock
# outlives its first 20 s.
{
	my $holder = $nodes[2]->background_psql('postgres');

	$holder->query_safe(q{BEGIN; SELECT tikv_txn_put('i1', 'alive')});
	wait_for('two heartbeats', sub { sql(2, 'SELECT coalesce(max(heartbeats), 0) FROM tikv.transactions') >= 2 });
	isnt((try_sql(1, q{SET tikv.lock_wait_timeout = '300ms'; SELECT tikv_txn_put('i1', 'no')}))[0], 0, 'a lock is kept alive from afar');
	$holder->query_safe('COMMIT');
	$holder->quit;
	is(sql(1, q{SELECT convert_from(tikv_txn_get('i1'), 'UTF8')}), 'alive', 'and commits');
}

# ---- foreign tables

foreach my $i (0 .. 2)
{
	$nodes[$i]->safe_psql('postgres', q{
		CREATE SERVER kv FOREIGN DATA WRAPPER tikv_fdw;
		CREATE USER MAPPING FOR CURRENT_USER SERVER kv;
		CREATE FOREIGN TABLE raws (id int OPTIONS (key 'true'), name text) SERVER kv OPTIONS (mode 'raw', prefix 'kf');
		CREATE FOREIGN TABLE txns (id int OPTIONS (key 'true'), name text) SERVER kv OPTIONS (mode 'txn', prefix 'kt');
	});
}
foreach my $table ('raws', 'txns')
{
	is(sql(2, qq{INSERT INTO $table SELECT i, 'n' || i FROM generate_series(1, 50) i RETURNING id}), join("\n", 1 .. 50), "$table: rows are inserted on node 2");
	is(sql($_, qq{SELECT count(*), sum(id), max(name) FROM $table WHERE id > 10}), '40|1220|n50', "$table: and read on node $_") foreach 0 .. 2;
	isnt((try_sql(2, qq{INSERT INTO $table VALUES (7, 'twice')}))[0], 0, "$table: not twice");
	is(sql(2, qq{INSERT INTO $table VALUES (7, 'twice'), (51, 'new') ON CONFLICT DO NOTHING RETURNING id}), '51', "$table: but for those that are new");
	is(sql(2, qq{UPDATE $table SET name = 'changed' WHERE id = 7 RETURNING name}), 'changed', "$table: a row is changed");
	is(sql(0, qq{SELECT name FROM $table WHERE id = 7}), 'changed', "$table: seen elsewhere");
	is(sql(2, qq{DELETE FROM $table WHERE id BETWEEN 20 AND 29 RETURNING id}), join("\n", 20 .. 29), "$table: rows are deleted");
	is(sql(1, qq{SELECT count(*) FROM $table}), '41', "$table: for all");
}

# ---- views that read keys

is(sql(2, q{SELECT count(*) FROM tikv_mvcc('ta0') WHERE kind = 'version'}), '1', 'versions on a node that leads nothing');

# ---- leaders move, and die

move_leader($regions[1], 2);
is(sql($_, qq{SELECT tikv_put('kmove', '$_'), convert_from(tikv_get('kmove'), 'UTF8')}), "|$_", "node $_ after the leader moved") foreach 0 .. 2;
move_leader($regions[1], 1);

my $session = $nodes[2]->background_psql('postgres', on_error_stop => 0);

$session->query_safe('SET tikv.request_timeout = 20000');
$nodes[1]->stop('immediate');
wait_for('a session to go on', sub {
	my ($out) = $session->query(q{SELECT tikv_txn_put('kdead', '1') IS NULL, tikv_get('kmove') IS NULL});

	return ($out // '') eq 'f|f';
});
pass('a session goes on when a leader is killed');
$session->quit;
is(sql(2, q{SELECT convert_from(tikv_get('kmove'), 'UTF8')}), '2', 'what was written is there');
$nodes[1]->start;

# ---- nobody answers: the time is up, a cancel is heard

wait_serving($nodes[1]);
move_leader($regions[1], 1);
is(sql(2, q{SELECT convert_from(tikv_get('kmove'), 'UTF8')}), '2', 'a last look');
my @pids = map { pids($nodes[$_], 'tikv store') } 0, 1;

kill 'STOP', @pids;
my $began = time();
my ($answer, $out, $err) = try_sql(2, q{SET tikv.request_timeout = 2000; SELECT tikv_put('kmove', '3')});

isnt($answer, 0, 'a write whose store hangs');
like($err, qr/outcome is unknown|Nothing was done/, 'says what became of it');
cmp_ok(time() - $began, '<', 30, 'and ends');
($answer, $out, $err) = try_sql(2, q{SET statement_timeout = '700ms'; SELECT tikv_get('kmove')});
like($err, qr/statement timeout/, 'statement_timeout is obeyed');
kill 'CONT', @pids;
wait_for('the cluster to be itself again', sub { (try_sql(2, q{SELECT tikv_put('kend', '1')}))[0] == 0 });

done_testing();
