# A node of a cluster whose data directory is a copy: neither its member of the
# Placement Driver nor its store takes part, it says so, and its original is
# not disturbed.

use strict;
use warnings;

use HTTP::Tiny;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvCopies;
use TikvTest;

my $http = HTTP::Tiny->new(timeout => 5);
my %node;

sub ask_one
{
	my ($method, $path) = @_;

	return $http->request($method, 'http://' . $node{one}{tikv}{'tikv.pd_addr'} . "/pd/api/v1/$path");
}

sub delete_at_one
{
	return ask_one('DELETE', $_[0])->{status};
}

sub starts
{
	return $node{two}->safe_psql('postgres', 'SELECT start_seq FROM tikv_internal.pd_raft_state');
}

# Another directory in the place of the one that is there, which goes aside.
sub put_in_place
{
	my ($from, $aside) = @_;
	my $dir = $node{two}->data_dir;

	rename $dir, $aside or die "rename: $!";
	system('cp', '-a', $from, $dir) == 0 or die 'cp';
	chmod 0700, $dir;
}

# The original's directory again, with the inode that it had.
sub put_original_back
{
	my ($aside) = @_;
	my $dir = $node{two}->data_dir;

	system('rm', '-rf', $dir) == 0 or die 'rm';
	rename $aside, $dir or die "rename: $!";
}

%node = three_nodes();
my $join = $node{one}{tikv}{'tikv.pd_addr'};
is((rawctl($node{one}, 'put', 'key', 'value'))[0], 0, 'a key is put');
wait_for('all members to be known', sub {
	($node{two}->safe_psql('postgres', 'SELECT count(*) FROM tikv.members') eq '3');
});
wait_for('the region to be everywhere', sub {
	$node{two}->safe_psql('postgres', 'SELECT count(*) FROM tikv_internal.raw') eq '1';
});
wait_for('all to vote', sub { voters_at($node{two}) eq '3' });

# ---- a base backup of one that votes, restored in its place

my $two = $node{two};
my $aside = $two->data_dir . '.original';
my $copied = qr/the data are a copy \(another data directory\).*tikv_reset_store/;
my $start = starts();

$two->backup('base');
$two->safe_psql('postgres', q{SELECT tikv_create_keyspace('after')});
$two->stop('fast');
put_in_place($two->backup_dir . '/base', $aside);
foreach (1 .. 2)
{
	$two->start;
	wait_state($two, 'pd', 'waiting', $copied);
	wait_state($two, 'store', 'waiting', qr/./);
	is(starts(), $start, 'a copy of a member does not begin a start');
	$two->stop('fast');
}
is((rawctl($node{one}, 'put', 'key', 'next'))[0], 0, 'the others go on');

put_original_back($aside);
$two->start;
wait_serving($two);
is(starts(), $start + 1, 'the original takes part again');
is($two->safe_psql('postgres', q{SELECT count(*) FROM tikv.keyspaces WHERE name = 'after'}),
	'1', 'with what it has known');

# ---- the same directory at another address

my $address = $two->{tikv}{'tikv.pd_addr'};
configure_node($two, 'tikv.pd_advertise_addr' => '127.0.0.1:1');
$two->restart;
wait_state($two, 'pd', 'waiting', qr/the data are a copy \(the others know this member at \Q$address\E\)/);
configure_node($two, 'tikv.pd_advertise_addr' => '');
$two->restart;
wait_serving($two);
pass('where the others know it to be it takes part');

# ---- the way on: it begins anew, at another address, and is its own replacement

my $store = $two->safe_psql('postgres', 'SELECT store_id FROM tikv_internal.store_meta');
$two->stop('fast');
put_in_place($two->backup_dir . '/base', $aside);
$two->start;
wait_state($two, 'pd', 'waiting', $copied);
wait_for('it to be found silent', sub {
	ask_one('GET', 'health')->{content} =~ /"pd-\Q$address\E"[^}]*"health": ?false/
	  && ask_one('GET', "store/$store")->{content} =~ /"state_name": ?"Disconnected"/;
});
foreach my $what ("members/name/pd-$address", "store/$store")
{
	my $answer = ask_one('DELETE', $what);

	is($answer->{status}, 500, "$what is not removed before its replacement is there");
	like($answer->{content}, qr/does not answer, and of 3 voters 1 would stay.*force=true/, 'which is told');
}
configure_node($two, TikvTest::new_ports());
$two->restart;
wait_state($two, 'pd', 'waiting', $copied);
$two->safe_psql('postgres', "SELECT tikv_reset_store($store)");
wait_serving($two);
my $new = $two->safe_psql('postgres', 'SELECT store_id FROM tikv_internal.store_meta');
isnt($new, $store, 'it is another store');
is(delete_at_one("members/name/pd-$address"), 200, 'now the old member is removed');
is(delete_at_one("store/$store"), 200, 'and the old store');
wait_for('the old member to be gone', sub {
	$node{one}->safe_psql('postgres', 'SELECT count(*) FROM tikv.members') eq '3';
});
wait_for('it to vote in the place of the old one', sub { voters_at($two) eq '3' });
pass('there have always been three voters, or two of them');
is(wait_for('an answer', sub { (rawctl($two, 'get', 'key'))[1] }), 'next', 'clients find their data through it');

# ---- a store without peers on others, and without a member

my $outside = new_node('outside', 'tikv.pd_endpoints' => $join);
$outside->start;
serve($outside);
my $claimed = q{SELECT start_seq FROM tikv_internal.store_meta};
$outside->stop('fast');
my $clone = new_node('clone', 'tikv.pd_endpoints' => $join);
copy_node($outside, $clone);
$clone->start;
wait_state($clone, 'store', 'waiting', qr/the data are a copy \(another data directory\).*tikv_reset_store/);
my $seen = $clone->safe_psql('postgres', $claimed);
$outside->start;
wait_serving($outside);
is($outside->safe_psql('postgres', $claimed), $seen + 1, 'the original is served, as the next start');

# ---- what was moved as it was, while it was stopped

$outside->stop('fast');
$clone->stop('fast');
copy_node($outside, $clone);
before_start($clone,
	'UPDATE tikv_internal.store_meta SET machine = 0, device = 0, inode = 0, timeline = 0');
$clone->start;
wait_serving($clone);
pass('somebody who knows that the original is gone says so');
$_->stop('fast') foreach $clone, @node{qw(three two one)};

done_testing();
