# The API version of a cluster: a node that has another one is told so, and gets
# no data; put right it joins.  Locks and entries that are not applied are data.

use strict;
use warnings;

use Test::More;
use TikvCopies;
use TikvTest;

# ---- the first node, empty, may change its mind

my $one = new_node('one');

$one->start;
serve($one);
$one->append_conf('postgresql.conf', 'tikv.enable_ttl = on');
$one->restart;
wait_serving($one);
is((rawctl($one, 'put', 'key', 'value'))[0], 0, 'a node without data takes another API version');

# ---- a new node with another one

my $two = new_node('two', 'tikv.join' => $one->{tikv}{'tikv.pd_addr'});

$two->start;
$two->safe_psql('postgres', 'CREATE EXTENSION tikv_fdw');
wait_state($two, 'store', 'waiting',
	qr/the cluster's stores have tikv.api_version = 1, tikv.enable_ttl = on, the settings here are tikv.api_version = 1, tikv.enable_ttl = off; set them as on the other nodes/);
pass('a new node with another API version is told so');
is($one->safe_psql('postgres', 'SELECT count(*) FROM tikv.stores'), '1', 'the Placement Driver does not know it');
is((rawctl($one, 'get', 'key'))[1], 'value', 'the cluster goes on');

# ---- put right

$two->append_conf('postgresql.conf', 'tikv.enable_ttl = on');
$two->restart;
wait_serving($_) foreach $one, $two;
wait_for('the region at the new node', sub {
	return (try_query($two, 'SELECT count(*) FROM tikv_internal.raw') // 0) == 1;
});
pass('put right it gets the data');

# ---- nobody changes it alone any more

$two->append_conf('postgresql.conf', 'tikv.api_version = 2');
$two->restart;
wait_state($two, 'store', 'waiting', qr/the settings are tikv.api_version = 2; set them back/);
pass('a node with a peer takes no other one');
$_->stop('immediate') foreach $two, $one;

# ---- a cluster from before it was said: who has no data waits for who has

my $old = new_node('old');

$old->start;
serve($old);
is((rawctl($old, 'put', 'key', 'value'))[0], 0, 'a cluster');
my $new = new_node('new', 'tikv.join' => $old->{tikv}{'tikv.pd_addr'}, 'tikv.api_version' => '2');
$old->stop;
before_start($old, q{DO $$ BEGIN
	DELETE FROM tikv_internal.pd_kv WHERE key LIKE 'kv/key/%tikv_fdw/api_version';
	ASSERT FOUND, 'nobody has said it';
END $$});
$old->start;
wait_serving($old);
$new->start;
$new->safe_psql('postgres', 'CREATE EXTENSION tikv_fdw');
wait_state($new, 'store', 'waiting', qr/the cluster's stores have tikv.api_version = 1, tikv.enable_ttl = off/);
pass('says it when it starts, and a new node keeps to that');
$_->stop('immediate') foreach $new, $old;

# ---- a lock is data, and so is an entry that is not applied

my $lock = new_node('lock');

$lock->start;
serve($lock);
is((txnctl($lock, 'prewrite', (txnctl($lock, 'ts'))[1], 'key', 'value'))[0], 0, 'a transaction begins');
is($lock->safe_psql('postgres', q{SELECT count(*) FROM tikv_internal.lock_slot WHERE rec IS NOT NULL}), '1', 'a lock');
is($lock->safe_psql('postgres', q{SELECT count(*) FROM tikv_internal.write}), '0', 'and nothing else');
$lock->append_conf('postgresql.conf', 'tikv.enable_ttl = on');
$lock->restart;
wait_state($lock, 'store', 'waiting', qr/table lock_slot has rows/);
pass('a lock keeps the API version');
$lock->stop;
before_start($lock,
	q{UPDATE tikv_internal.lock_slot SET rec = NULL},
	q{INSERT INTO tikv_internal.raft_log
		SELECT region_id, applied_index + 1, applied_term, '' FROM tikv_internal.raft_state});
$lock->start;
wait_state($lock, 'store', 'waiting', qr/table raft_log has rows/);
pass('so does an entry that is not applied');
$lock->stop;
before_start($lock, q{DELETE FROM tikv_internal.raft_log});
$lock->start;
wait_serving($lock);
pass('without both it may change');
$lock->stop;
done_testing();
