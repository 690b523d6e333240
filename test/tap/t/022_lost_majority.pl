# What docs/operations.md says of a cluster's backup, and of one that has lost
# most of its disks: keys are exported by COPY, from all nodes or from the one that
# is left, and imported into a cluster that begins anew.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvCopies;
use TikvTest;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $tables = q{
CREATE SERVER tikv FOREIGN DATA WRAPPER tikv_fdw;
CREATE FOREIGN TABLE raw_keys (key bytea, value bytea) SERVER tikv OPTIONS (mode 'raw');
CREATE FOREIGN TABLE txn_keys (key bytea, value bytea) SERVER tikv OPTIONS (mode 'txn');
};

# All pairs of a node's cluster, as text.
sub pairs
{
	my ($node) = @_;

	return $node->safe_psql('postgres', q{
		SELECT string_agg(md5(key || value), ' ' ORDER BY key) FROM raw_keys;
		SELECT string_agg(md5(key || value), ' ' ORDER BY key) FROM txn_keys});
}

my %node = three_nodes();
my ($one, $two, $three) = @node{qw(one two three)};
$one->safe_psql('postgres', $tables);
$one->safe_psql('postgres', q{
	INSERT INTO raw_keys SELECT convert_to('raw' || i, 'UTF8'), convert_to('value' || i, 'UTF8') FROM generate_series(1, 500) i});
# Keys with and without a tail of their own, values beside the record and in it.
$one->safe_psql('postgres', q{
	INSERT INTO raw_keys VALUES (convert_to(repeat('long', 700), 'UTF8'), '1');
	INSERT INTO txn_keys SELECT convert_to('txn' || i, 'UTF8'), convert_to(repeat('v', i * 3), 'UTF8') FROM generate_series(1, 500) i;
	UPDATE txn_keys SET value = 'new' WHERE key < 'txn3';
	DELETE FROM txn_keys WHERE key >= 'txn4'});
my $all = pairs($one);
wait_for('three replicas that have all', sub {
	$three->safe_psql('postgres', q{SELECT count(*) FROM tikv_internal.raw}) eq '501'
	  && $three->safe_psql('postgres', q{SELECT bool_and(lag = 0) AND count(*) = 3 FROM tikv.raft}) ne 'f'
	  && voters_at($three) eq '3';
});

# ---- a backup, while all are there, from a node that need not lead

$two->safe_psql('postgres', $tables);
$two->safe_psql('postgres', qq{
BEGIN ISOLATION LEVEL REPEATABLE READ;
COPY (SELECT key, value FROM txn_keys) TO '$dir/txn.copy';
COMMIT;
COPY (SELECT key, value FROM raw_keys) TO '$dir/raw.copy'});

# ---- two disks are lost

wait_for('it to have the last versions', sub {
	my $newest = 'SELECT count(*), max(commit_ts) FROM tikv_internal.write';

	return $three->safe_psql('postgres', $newest) eq $one->safe_psql('postgres', $newest);
});
$_->stop('immediate') foreach $one, $two;
sleep 8;
my ($code, $out, $err) = $three->psql('postgres', q{SET statement_timeout = '15s'; SELECT tikv_put('k', 'v')});
isnt($code, 0, 'nothing is written any more');
note($err);
($code, $out, $err) = $three->psql('postgres', q{SET tikv.request_timeout = '3s'; SELECT count(*) > 0 FROM tikv.mvcc});
is($out, 't', 'versions are shown all the same');
like($err, qr/WARNING:  \d+ regions? (is|are) shown as this store's replica/, 'and it is said whose');
$three->safe_psql('postgres', qq{
COPY (SELECT key || coalesce(key_rest, ''), value FROM tikv_internal.raw
      WHERE cf = 'd' AND (expires_at = 0 OR expires_at > extract(epoch FROM now())))
TO '$dir/raw.left';
COPY (SELECT key, value FROM
        (SELECT DISTINCT ON (key) key, op, value FROM tikv.mvcc
         WHERE kind = 'version' AND op IN ('put', 'delete') ORDER BY key, commit_ts DESC) newest
      WHERE op = 'put')
TO '$dir/txn.left'});

# ---- the one that is left makes a cluster of its own

$three->safe_psql('postgres', 'DROP EXTENSION tikv_fdw CASCADE');
configure_node($three, 'tikv.join' => '');
$three->restart;
serve($three);
$three->safe_psql('postgres', $tables);
is($three->safe_psql('postgres', 'SELECT (SELECT count(*) FROM raw_keys) + (SELECT count(*) FROM txn_keys)'), '0',
	'it begins anew, with nothing');
$three->safe_psql('postgres', qq{COPY raw_keys FROM '$dir/raw.left'; COPY txn_keys FROM '$dir/txn.left'});
is(pairs($three), $all, 'and has what the one that was left had');

# ---- the backup, into another one, whose keys have keyspaces

my $fresh = new_node('fresh', 'tikv.api_version' => '2');
$fresh->start;
serve($fresh);
$fresh->safe_psql('postgres', $tables);
$fresh->safe_psql('postgres', qq{COPY raw_keys FROM '$dir/raw.copy'; COPY txn_keys FROM '$dir/txn.copy'});
is(pairs($fresh), $all, 'a backup has all');
is($fresh->safe_psql('postgres', q{
	SELECT string_agg(md5(k || value), ' ' ORDER BY k)
	FROM (SELECT substr(key || coalesce(key_rest, ''), 5) AS k, value FROM tikv_internal.raw
	      WHERE cf = 'd' AND substr(key, 1, 4) = '\\x72000000') keys;
	SELECT string_agg(md5(key || value), ' ' ORDER BY key)
	FROM (SELECT DISTINCT ON (key) key, op, value FROM tikv.mvcc
	      WHERE kind = 'version' AND op IN ('put', 'delete') ORDER BY key, commit_ts DESC) newest
	WHERE op = 'put'}), $all, 'and what is left of one is read without the keyspace');
$_->stop('fast') foreach $three, $fresh;

done_testing();
