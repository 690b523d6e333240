# The leader of a cluster leaves while the disk of another node is full, which
# the Placement Driver does not know yet: the third one leads, and takes writes.
# Then that one has little space left, and the other one some again: they change
# places, so that writes go on.  At last the new leader is to leave, too, and does
# when a node has joined: not for the one that has little space.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvCopies;
use TikvTest;

my %node = three_nodes();
my %store; # its id, of a node

sub reserve
{
	my ($name, $space) = @_;

	$node{$name}->append_conf('postgresql.conf', "tikv.reserve_space = '$space'");
	$node{$name}->reload;
}

# What the peers of the region are, by the node's store: "leader 4, learner 1".
sub roles
{
	my ($name) = @_;

	return try_query($node{$name},
		q{SELECT string_agg(role || ' ' || store_id, ', ' ORDER BY role, store_id) FROM tikv.raft}) // '';
}

sub wait_roles
{
	my ($name, $roles, $what) = @_;

	wait_for("$what: $roles", sub { roles($name) eq $roles });
	pass($what);
}

sub wait_store
{
	my ($name) = @_;

	wait_for("a peer at $name", sub {
		$store{$name} = try_query($node{$name}, 'SELECT store_id FROM tikv.raft WHERE is_local') // '';
		return $store{$name} ne '';
	});
}

sub put
{
	my ($name, $key) = @_;

	return (rawctl($node{$name}, 'put', $key, 'v'))[0];
}

# One leaves, as another one sees it.
sub wait_left
{
	my ($name, $other) = @_;

	wait_for("$name to have left", sub {
		return (try_query($node{$other}, "SELECT state FROM tikv.stores WHERE store_id = $store{$name}") // '') eq 'tombstone';
	});
	$node{$name}->stop;
}

sub leave
{
	my ($name, $other) = @_;

	$node{$name}->safe_psql('postgres', 'SELECT tikv_leave()');
	wait_left($name, $other);
}

wait_for('three voters', sub { voters_at($node{one}) eq '3' });
wait_store($_) foreach keys %node;
is(roles('one'), "follower $store{two}, follower $store{three}, leader $store{one}", 'the first one leads');

# Of equals the first one is chosen, in the order in which they have come.
reserve('two', '1000TB');
wait_for('its disk to be full', sub { slurp_file($node{two}->logfile) =~ /takes no entries/ });
leave('one', 'three');
wait_roles('three', "leader $store{three}, learner $store{two}", 'who has space votes, and leads');
is(put('three', 'left'), 0, 'and takes writes');

reserve('two', '-1');
wait_for('the other one to have all', sub {
	return (try_query($node{two}, q{SELECT count(*) FROM tikv_internal.raw WHERE key = 'left'}) // '') eq '1';
});
reserve('three', nearly_full($node{three}));
wait_roles('two', "leader $store{two}, learner $store{three}",
	'a learner with space takes the place of a voter without');
is(put('two', 'changed'), 0, 'and takes writes');

$node{two}->safe_psql('postgres', 'SELECT tikv_leave()');
$node{four} = new_node('four', 'tikv.join' => $node{three}{tikv}{'tikv.pd_addr'});
$node{four}->start;
serve($node{four});
wait_store('four');
wait_left('two', 'four');
wait_roles('four', "leader $store{four}, learner $store{three}", 'the new node leads, and not the one without space');
is(put('four', 'last'), 0, 'and takes writes');
is(try_query($node{four}, q{SELECT count(*) FROM tikv_scan('', '')}), '3', 'all that was acknowledged is there');
$node{$_}->stop foreach qw(three four);
done_testing();
