# A standby waits and says why; promoted, it serves what the primary had.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use Test::More;
use TikvTest;

# what the standby makes of the log of pages is compared with them
my $primary = new_node('primary', 'shared_buffers' => '16MB', 'wal_consistency_checking' => 'heap,heap2,btree');
my ($answer, $out, $err);

$primary->start;
serve($primary);
rawctl($primary, 'put', 'k', 'of the primary');
$primary->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
configure_node($standby, TikvTest::new_ports());
$standby->start;
$primary->wait_for_catchup($standby);

wait_state($standby, 'store', 'waiting', qr/recovery|standby/i);
pass('a standby waits and says why');
($answer, $out, $err) = $standby->psql('postgres', q{SELECT tikv_put('k', 'v')});
isnt($answer, 0, 'its functions do not write');
isnt((rawctl($standby, 'get', 'k'))[0], 0, 'its ports do not serve');
is((rawctl($primary, 'put', 'k', 'once more'))[0], 0, 'the primary is not disturbed');

# index entries of many rows, amid others and behind them
$primary->safe_psql('postgres', q{
	CREATE EXTENSION amcheck;
	CREATE SERVER tikv FOREIGN DATA WRAPPER tikv_fdw;
	CREATE FOREIGN TABLE many (id int OPTIONS (key 'true'), v text) SERVER tikv OPTIONS (prefix 'many/');
	INSERT INTO many SELECT i * 2, 'first' FROM generate_series(1, 5000) AS i;
	INSERT INTO many SELECT i * 2 + 1, 'second' FROM generate_series(1, 7000) AS i;
});
$primary->wait_for_catchup($standby);

$primary->stop;
$standby->promote;
wait_serving($standby);
is((rawctl($standby, 'get', 'k'))[1], 'once more', 'promoted, it serves the data');
is($standby->safe_psql('postgres', q{
	SELECT bt_index_check('tikv_internal.raw_key', true);
	SELECT count(*), count(DISTINCT id), min(id), max(id) FROM many}), "\n12000|12000|2|14001", 'and its index has all rows');
is((rawctl($standby, 'put', 'k', 'of the standby'))[0], 0, 'and writes');
is((rawctl($standby, 'get', 'k'))[1], 'of the standby', 'which last');

$standby->stop;
done_testing();
