# The cluster's first region: of two stores that have prepared one each, one
# forgets its own, and who joins a cluster makes none.

use strict;
use warnings;

use HTTP::Tiny;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvCopies;
use TikvTest;

# A region as it is between its store's first save and PD's answer.
sub prepared
{
	my ($region, $peer, $store) = @_;

	return (
		"DELETE FROM tikv_internal.region",
		"DELETE FROM tikv_internal.raft_state",
		"INSERT INTO tikv_internal.region (region_id, peer_id, start_key, end_key, conf_ver, version, flashback_start_ts, peer_ids, peer_stores, peer_roles, state)
			VALUES ($region, $peer, '', '', 1, 1, 0, '{$peer}', ARRAY[$store], '{0}', 0)",
		"INSERT INTO tikv_internal.raft_state (region_id, term, vote, commit_index, applied_index, applied_term, truncated_index, truncated_term, approximate_size, approximate_keys)
			VALUES ($region, 5, 0, 5, 5, 5, 5, 5, 0, 0)");
}

sub column
{
	my ($node, $sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

my $stores = q{SELECT store_id FROM tikv_internal.store_meta};
my $regions = q{SELECT coalesce(string_agg(region_id::text, ' ' ORDER BY region_id), 'none') FROM tikv_internal.region WHERE state = 0};

my $founder = new_node('founder');
$founder->start;
serve($founder);
my $pd = $founder->{tikv}{'tikv.pd_addr'};
my ($region, $peer) = split /\|/,
  column($founder, 'SELECT region_id, peer_id FROM tikv_internal.region');
is((rawctl($founder, 'put', 'key', 'value'))[0], 0, 'a key is put');

# One replica, so that what the other store has is its own.
is(HTTP::Tiny->new->post("http://$pd/pd/api/v1/config",
		{ content => '{"max-replicas": 1}' })->{status}, 200, 'one replica is enough');

# ---- a store that saw no first region, prepared one, and went down

my $slow = new_node('slow', 'tikv.pd_endpoints' => $pd);
$slow->start;
serve($slow);
my $id = column($slow, $stores);
is(column($slow, $regions), 'none', 'a store that comes later has no region');
$slow->stop;
before_start($slow, prepared(1001, 1002, $id));
$slow->start;
wait_serving($slow);
is(column($slow, $regions), 'none', 'what it had prepared is gone, since another store was faster');
is(column($slow, 'SELECT count(*) FROM tikv_internal.raft_state'), '0', 'with its Raft state');
like(slurp_file($slow->logfile), qr/gives up region 1001, which it had prepared: the cluster has begun with region $region/,
	'which the log says');
is((rawctl($founder, 'get', 'key'))[1], 'value', "clients find the faster one's");
is(column($slow, 'SELECT count(*) FROM tikv_check()'), '0', 'its tables are sound');
$slow->stop;

# ---- the store that was faster, down before it has led

my $id_of_founder = column($founder, $stores);
$founder->stop;
before_start($founder, prepared($region, $peer, $id_of_founder));
$founder->start;
wait_serving($founder);
is(column($founder, $regions), $region, 'a region that was taken is kept');
is((rawctl($founder, 'get', 'key'))[1], 'value', 'and served');

# ---- a PD that does not know is not believed

$founder->stop;
before_start($founder, prepared($region, $peer, $id_of_founder),
	q{CREATE TABLE kept AS SELECT * FROM tikv_internal.pd_kv WHERE key LIKE 'raft/r/%'},
	q{DELETE FROM tikv_internal.pd_kv WHERE key LIKE 'raft/r/%'});
$founder->start;
wait_state($founder, 'store', 'waiting', qr/has a first region, and does not know which|region not found/i);
is(column($founder, $regions), $region, 'nothing is given up');
$founder->stop;
before_start($founder, q{INSERT INTO tikv_internal.pd_kv SELECT * FROM kept}, 'DROP TABLE kept');
$founder->start;
wait_serving($founder);
is((rawctl($founder, 'get', 'key'))[1], 'value', 'it goes on when PD knows again');

# ---- who joins founds nothing: the founder's store is not up yet

$founder->stop;
before_start($founder,
	'UPDATE tikv_internal.store_meta SET storage_format = storage_format + 1000',
	q{DELETE FROM tikv_internal.pd_kv WHERE key = 'raft' OR key LIKE 'raft/%'});
$founder->start;
wait_state($founder, 'store', 'waiting', qr/storage format/);
my $joins = new_node('joins', 'tikv.join' => $pd);
$joins->start;
$joins->safe_psql('postgres', 'CREATE EXTENSION tikv_fdw');
wait_state($joins, 'store', 'waiting', qr/has no first region yet/);
is(column($joins, $regions), 'none', 'it makes none');
$founder->stop;
before_start($founder,
	'UPDATE tikv_internal.store_meta SET storage_format = storage_format - 1000');
$founder->start;
wait_serving($_) foreach $founder, $joins;
is(wait_for('the key', sub { (rawctl($joins, 'get', 'key'))[1] }), 'value',
	"the founder's region is the cluster's");
is(column($joins, q{SELECT count(*) FROM tikv_check()}), '0', 'the tables of both are sound');
$_->stop foreach $joins, $founder;

done_testing();
