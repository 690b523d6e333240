# tikv.locks, tikv_mvcc() and tikv.mvcc on every node: one that leads, followers,
# and one without a peer of any region, all show the same; when a leader is
# silent they say so, and show what there is, or that there is nothing.

use strict;
use warnings;

use Test::More;
use TikvSpread;
use TikvTest;

# What psql says of an error or a warning, with its SQLSTATE.
sub refusal
{
	my ($i, $sql) = @_;

	return (try_sql($i, "\\set VERBOSITY verbose\n$sql"))[2];
}

# Digests of all that a node shows; of locks without pid, which is the node's own.
sub versions_on
{
	my ($i) = @_;

	return sql($i, q{SELECT count(*), count(DISTINCT key), md5(string_agg(m::text, ',' ORDER BY m::text)) FROM tikv.mvcc m});
}

sub locks_on
{
	my ($i) = @_;

	return sql($i, q{SELECT count(*), md5(string_agg((key, type, start_ts, primary_key, for_update_ts, min_commit_ts, async_commit, secondaries)::text, ',' ORDER BY key)) FROM tikv.locks});
}

# ---- the first node has all regions, the others nothing

my $first = start_first('inspect', 'tikv.bus_memory' => '4MB');
is((pd('POST', 'config', { 'max-replicas' => 1 }))[0], 200, 'one replica is enough');
my @nodes = join_others('inspect', 'tikv.bus_memory' => '4MB');

is(sql(0, qq{SELECT tikv_split('$_', true) IS NOT NULL}), 't', "a split at $_") foreach 'h', 'p';
is(sql($_, 'SELECT count(*) FROM tikv.regions'), '0', "node $_ has no peer") foreach 1, 2;
is(sql($_, 'SELECT count(*) FROM tikv.mvcc') . '|' . sql($_, 'SELECT count(*) FROM tikv.locks'), '0|0', "node $_ shows that there is nothing") foreach 0 .. 2;

# Versions of all kinds in all regions, more than a page, short and long.
is(sql(0, q{SELECT count(tikv_txn_put(convert_to(p || lpad(i::text, 4, '0'), 'UTF8'), convert_to(repeat('v', i), 'UTF8')))
	FROM unnest(ARRAY['a', 'k', 'z']) p, generate_series(0, 299) i}), '900', 'many keys');
sql(0, q{SELECT count(tikv_txn_delete(convert_to('k' || lpad(i::text, 4, '0'), 'UTF8'))) FROM generate_series(0, 99) i});
sql(0, q{BEGIN; SELECT tikv_txn_put('a0000', 'x'); SAVEPOINT s; SELECT tikv_txn_put('rolled', 'x'); ROLLBACK TO s; COMMIT});
sql(0, q{BEGIN; SELECT tikv_txn_put('z0000', 'x'), tikv_txn_put('a0001', 'x'); ROLLBACK});
sql(0, qq{SELECT tikv_txn_put('long', convert_to(repeat('l', $_ * 100000), 'UTF8'))}) foreach 1 .. 3;
is(sql(1, qq{SELECT count(*) FROM tikv_mvcc('$_')}), sql(0, qq{SELECT count(*) FROM tikv_mvcc('$_')}), "node 1 shows key $_") foreach 'a0000', 'k0000', 'z0000', 'long', 'nothing';
is(sql(2, q{SELECT string_agg(length(value)::text, ',' ORDER BY commit_ts DESC) FROM tikv_mvcc('long')}), '300000,200000,100000', 'with its values');
is(sql(2, q{SELECT value FROM tikv_mvcc('k0200', 'k0201')}), sql(0, q{SELECT value FROM tikv_mvcc('k0200', 'k0201')}), 'or a range');
is(sql(2, q{SELECT value = '' FROM tikv_mvcc('z0000') WHERE op = 'put' ORDER BY commit_ts LIMIT 1}), 't', 'an empty value is one');
my $versions = versions_on(0);
like($versions, qr/^\d{4}\|90[0-9]\|/, 'node 0 shows them all');
is(versions_on($_), $versions, "and so does node $_") foreach 1, 2;
is(sql(2, q{SELECT count(DISTINCT key) FROM tikv_mvcc('a0290', 'k0010')}), '20', 'a range over a border');

# ---- locks: durable ones of a client that is gone, those of a session in memory

my $start = (txnctl($nodes[0], 'ts'))[1];

is((txnctl($nodes[0], 'prewrite', $start, "$_", 'v'))[0], 0, "a client locks $_") foreach 'left', 'zleft';
my $holder = $nodes[2]->background_psql('postgres');

$holder->query_safe(q{BEGIN; SELECT count(tikv_txn_put(convert_to('held' || lpad(i::text, 4, '0'), 'UTF8'), 'v')) FROM generate_series(1, 600) i});
$holder->query_safe(q{SELECT tikv_txn_put('zheld', 'v')});
is(sql($_, q{SELECT count(*) FROM tikv.locks WHERE key IN ('left', 'zleft', 'zheld')}), '3', "node $_ shows the locks") foreach 0 .. 2;
my $locks = locks_on(0);
like($locks, qr/^603\|/, 'all of them');
is(locks_on($_), $locks, "and so does node $_") foreach 1, 2;
is(sql(2, q{SELECT count(pid) FROM tikv.locks}), '601', 'the node of the session knows who it is');
is(sql(1, q{SELECT count(pid) FROM tikv.locks}), '0', 'others do not');
is(sql($_, q{SELECT count(*) FROM tikv_mvcc('held0001') WHERE kind = 'lock'}), '1', "tikv_mvcc() has the lock, too, on node $_") foreach 0 .. 2;
is(sql(1, q{SELECT tikv_resolve_lock('held0001')}), 'alive', 'a node without a peer finds a lock to be ended');
is(sql(1, q{SELECT tikv_resolve_lock('left', true), tikv_resolve_lock('zleft', true), tikv_resolve_lock('none')}), 'resolved|resolved|not locked', 'and ends it');
is(sql(2, q{SELECT count(*) FROM tikv.locks WHERE key IN ('left', 'zleft')}), '0', 'it is gone');
$holder->query_safe('COMMIT');
$holder->quit;
wait_for('no lock to be left', sub { sql(2, 'SELECT count(*) FROM tikv.locks') eq '0' });

# ---- a key with more versions than fit between processes

sql(0, qq{SELECT tikv_txn_put('zzhuge', convert_to(repeat('h', 1900000), 'UTF8'))}) foreach 1, 2, 3;
like(refusal(1, q{SELECT count(*) FROM tikv.mvcc}), qr/ERROR:  54000: a key has too many versions to be listed from another store\nDETAIL:  It is the first one from .* on\.\nHINT:  Ask on store \d+, which leads region \d+; or raise tikv.bus_memory/,
	'what cannot be shown is said, and not left out');
is(sql(0, q{SELECT count(*) FROM tikv_mvcc('zzhuge')}), '3', 'it can be where the region is led');

# ---- the leader is silent: nothing to show, or a replica

my @silent = pids($nodes[0], 'tikv store');

kill 'STOP', @silent;
foreach my $what ('count(*) FROM tikv.mvcc', 'count(*) FROM tikv.locks', q{tikv_resolve_lock('left')})
{
	like(refusal(2, "SET tikv.request_timeout = '3s'; SELECT $what"),
		qr/ERROR:  57P03: region \d+ cannot be shown\nDETAIL:  Store \d+, which leads it, did not answer within 3000 ms\.\nHINT:  The store that leads the region must be reached/,
		"$what: nothing is shown in part");
}
kill 'CONT', @silent;
is((pd('POST', 'config', { 'max-replicas' => 3 }))[0], 200, 'three replicas');
wait_for('three voters', sub {
	my @regions = regions_of();

	return @regions == 3 && !grep { $_->[2] != 3 || !defined $_->[1] } @regions;
});
my @regions = map { $_->[0] } regions_of();

move_leader($_, 0) foreach @regions;
wait_for('all replicas to have all', sub {
	my $counts = q{SELECT count(*) || '|' || coalesce(max(commit_ts), 0) FROM tikv_internal.write};

	return sql(1, $counts) eq sql(0, $counts) && sql(2, $counts) eq sql(0, $counts);
});
$versions = sql(0, q{SELECT count(*), max(commit_ts) FROM tikv_mvcc('', 'zy')});
$nodes[$_]->stop('immediate') foreach 0, 1;
my ($answer, $out, $err) = try_sql(2, q{SET tikv.request_timeout = '3s'; SELECT count(*), max(commit_ts) FROM tikv_mvcc('', 'zy')});

is($out, $versions, 'a replica is shown when nobody leads');
like($err, qr/WARNING:  3 regions are shown as this store's replicas have them\nDETAIL:  A leader did not answer within 3000 ms/, 'with a warning');
$nodes[$_]->start foreach 0, 1;
wait_serving($nodes[$_]) foreach 0, 1;
wait_for('a leader to answer', sub {
	my @answer = try_sql(2, q{SELECT count(*), max(commit_ts) FROM tikv_mvcc('', 'zy')});

	return $answer[0] == 0 && $answer[1] eq $versions && $answer[2] eq '';
});
pass('without one when there is a leader again');
is($nodes[$_]->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), '0', "node $_ checks clean") foreach 0 .. 2;

$_->stop foreach @nodes;
done_testing();
