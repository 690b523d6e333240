# Nodes whose data are a copy, or were rolled back, begin anew as empty stores
# by one call, and by nobody's and nowhere else.

use strict;
use warnings;

use HTTP::Tiny;
use Test::More;
use TikvCopies;
use TikvTest;

my $http = HTTP::Tiny->new(timeout => 5);
my %node;

sub ask_pd
{
	my ($method, $path) = @_;

	return $http->request($method,
		'http://' . $node{one}{tikv}{'tikv.pd_addr'} . "/pd/api/v1/$path");
}

sub store_id
{
	return $_[0]->safe_psql('postgres', 'SELECT store_id FROM tikv_internal.store_meta');
}

# What a statement fails with; undef if it does not.
sub refusal
{
	my ($instance, $sql) = @_;
	my ($code, $out, $err) = $instance->psql('postgres', $sql);

	return $code == 0 ? undef : $err;
}

sub rows_of
{
	return $_[0]->safe_psql('postgres', 'SELECT count(*) FROM tikv_internal.raw');
}

# In the same directory: by its place it cannot be told from the original.
sub put_back
{
	my ($instance, $from) = @_;
	my $dir = $instance->data_dir;

	system('find', $dir, '-mindepth', '1', '-delete') == 0 or die 'find';
	system('cp', '-a', "$from/.", $dir) == 0 or die 'cp';
}


# ---- three nodes, of which one is rolled back by a start

%node = three_nodes();
my $join = $node{one}{tikv}{'tikv.pd_addr'};
my $three = $node{three};
is((rawctl($node{one}, 'put', 'key', 'value'))[0], 0, 'a key is put');
wait_for('it to be on the third node', sub { rows_of($three) > 0 });
wait_for('its vote', sub { voters_at($three) eq '3' });
$three->safe_psql('postgres', q{
	CREATE SERVER tikv FOREIGN DATA WRAPPER tikv_fdw;
	CREATE FOREIGN TABLE pairs (key text, value text) SERVER tikv OPTIONS (mode 'raw');
	CREATE ROLE somebody;
	GRANT EXECUTE ON FUNCTION tikv_reset_store(int8) TO somebody});
$three->stop('fast');
system('cp', '-a', $three->data_dir, $three->data_dir . '.old') == 0 or die 'cp';
$three->start;
wait_serving($three);
my $start = $three->safe_psql('postgres', 'SELECT start_seq FROM tikv_internal.pd_raft_state');
wait_for('its start to be known', sub { saved_start($node{one}, $node{three}) eq $start });
my $old = store_id($three);
like(refusal($three, "SELECT tikv_reset_store($old)"), qr/the store of this node serves/,
	'a node that serves is not reset');
$three->stop('fast');
put_back($three, $three->data_dir . '.old');
configure_node($three, 'tikv.join' => '');
$three->start;
wait_state($three, 'pd', 'waiting', qr/this data directory is a copy, or was rolled back/);
wait_state($three, 'store', 'waiting', qr/./);

# ---- who may not, and what is not enough

like(refusal($three, "SELECT tikv_reset_store($old)"), qr/tikv\.join is not set/,
	'a member does not make a cluster of its own');
configure_node($three, 'tikv.join' => $join);
$three->restart;
wait_state($three, 'pd', 'waiting', qr/this data directory is a copy, or was rolled back/);
wait_state($three, 'store', 'waiting', qr/./);
like(refusal($three, 'SELECT tikv_reset_store(999)'), qr/this is store $old\b.*All keys.*tikv_reset_store\($old\)/s,
	'another id does not confirm it');
like(refusal($three, 'SELECT tikv_reset_store()'), qr/this is store $old\b/, 'nor does none');
like(refusal($three, "SET ROLE somebody; SELECT tikv_reset_store($old)"), qr/only superusers/,
	'somebody who may call it may not do it');
like(refusal($three, "SET ROLE tikv_admin; SELECT tikv_reset_store($old)"), qr/permission denied/,
	'administrators of keys may not call it');
like(refusal($three, "BEGIN; SELECT tikv_reset_store($old); PREPARE TRANSACTION 'reset'"),
	qr/cannot PREPARE a transaction that has reset the store/, 'its commit is not left to others');
$three->safe_psql('postgres', "BEGIN; SELECT tikv_reset_store($old); ROLLBACK");
cmp_ok(rows_of($three), '>', 0, 'what is rolled back has not been');
is(store_id($three), $old, 'it is the same store');

# ---- it begins anew

$three->safe_psql('postgres', "SELECT tikv_reset_store($old)");
is(rows_of($three), '0', 'its keys are gone');
wait_state($three, 'pd', 'serving', qr/./);
pass('its old member is in the way, which the status tells');
wait_for('the old store to be found silent', sub {
	ask_pd('GET', "store/$old")->{content} =~ /"state_name": ?"Disconnected"/;
});
my $member = 'members/name/pd-' . $three->{tikv}{'tikv.pd_addr'};
foreach my $what ($member, "store/$old")
{
	my $answer = ask_pd('DELETE', $what);

	is($answer->{status}, 500, "$what is not removed, since of three voters one would be left");
	like($answer->{content}, qr/of 3 voters 1 would stay/, 'which is told');
}
is(ask_pd('DELETE', "$member?force=true")->{status}, 200, 'with force the old member is removed');
is(ask_pd('DELETE', "store/$old?force=true")->{status}, 200, 'and the old store');
wait_serving($three);
my $new = store_id($three);
isnt($new, $old, 'it is another store');

# Its member of PD may have been taken in a moment ago, and know no leader.
wait_for('an answer', sub { (rawctl($three, 'get', 'key'))[1] eq 'value' });
pass('clients find their data through it');
wait_for('its replica', sub { rows_of($three) > 0 });
pass('it gets the data from the others');
is($three->safe_psql('postgres', q{SELECT value FROM pairs WHERE key = 'key'}), 'value',
	'foreign tables are as they were');
wait_for('no region to be on the old store', sub {
	$node{one}->safe_psql('postgres', "SELECT state FROM tikv.stores WHERE store_id = $old") eq 'tombstone';
});
pass('the old store is buried');
is($three->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), '0', 'its tables are sound');
$three->restart;
wait_serving($three);
is(store_id($three), $new, 'it stays who it is');

# ---- a store without a member, of which there is a copy

my $outside = new_node('outside', 'tikv.pd_endpoints' => $node{two}{tikv}{'tikv.pd_addr'});
$outside->start;
serve($outside);
$outside->stop('fast');
my $clone = new_node('clone', 'tikv.pd_endpoints' => $node{two}{tikv}{'tikv.pd_addr'});
copy_node($outside, $clone);
before_start($clone, 'UPDATE tikv_internal.store_meta SET start_seq = start_seq + 5, machine = 0, device = 0, inode = 0, timeline = 0');
$outside->start;
wait_serving($outside);
$clone->start;
wait_serving($clone);
wait_state($outside, 'store', 'waiting', qr/tikv_reset_store/);
my $copied = store_id($outside);
$outside->safe_psql('postgres', "SELECT tikv_reset_store($copied)");
wait_serving($outside);
isnt(store_id($outside), $copied, 'a store of which there is a copy is another one now');
is(store_id($clone), $copied, 'and the copy is who it was');
is($outside->safe_psql('postgres', "SELECT count(*) FROM tikv.stores WHERE state = 'up'"), '5',
	'the cluster has both');
$_->stop('fast') foreach $clone, $outside;

# ---- one that waits for something else

my $full = new_node('full');
$full->start;
serve($full);
is((rawctl($full, 'put', 'key', 'its own'))[0], 0, 'a cluster of its own holds a key');
configure_node($full, 'tikv.join' => $join);
$full->restart;
wait_state($full, 'pd', 'waiting', qr/is not empty/);

# Its store waits, or serves if it was there before PD knew.
my $own = store_id($full);
like(refusal($full, "SELECT tikv_reset_store($own)"), qr/nothing has shown|the store of this node serves/,
	'and is not emptied since its settings name another one');
is(rows_of($full), '1', 'its key is there');

done_testing();
