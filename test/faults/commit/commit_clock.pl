# A clock that is an hour ahead for some seconds, of the leader or of a follower:
# that node reads as if keys had expired, and removes none of them.  Nor does one
# that starts so: it has no older time to go by, and PD's is its own clock's.

use strict;
use warnings;

use Test::More;
use TikvCommit;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(usleep);

my $keys = 2000;
my @stores = (1, 4, 5);
my @nodes = make_group('clock', 'tikv.enable_ttl' => 'on', 'tikv.hibernate_regions' => 'off');
my $leads = wait_leader();

sub rows
{
	my ($i, $prefix) = @_;

	return ask($i, "SELECT count(*) FROM tikv_internal.raw WHERE starts_with(convert_from(key, 'UTF8'), '$prefix')") // -1;
}

sub put_many
{
	my ($prefix, $ttl) = @_;

	order($leads, "tikv_batch_put(array_agg(('$prefix' || i)::bytea), array_agg('v'::bytea), $ttl) FROM generate_series(1, $keys) AS i",
		"keys for $ttl s");
}

# What sweeps is awake, and has begun with the rows of this table.
put_many('short', 1);
wait_for('expired rows to go', sub { !grep { rows($_, 'short') != 0 } 0 .. 2 });
put_many('long', 1200);
wait_same('on all nodes');

foreach my $wrong (($leads + 1) % 3, $leads)
{
	my $who = $wrong == $leads ? 'the leader' : 'a follower';

	use_node($nodes[$wrong]);
	write_points('clock=3600');
	usleep(5_000_000);
	is(rows($wrong, 'long'), $keys, "$who is an hour ahead: no row is removed");
	clear_points();
	usleep(1_000_000);
	is(rows($wrong, 'long'), $keys, 'nor when it is not any more');
}
foreach my $wrong (($leads + 1) % 3, $leads)
{
	my $who = $wrong == $leads ? 'the leader' : 'a follower';

	use_node($nodes[$wrong]);
	$nodes[$wrong]->stop;
	write_points('clock=3600');
	$nodes[$wrong]->start;
	wait_serving($nodes[$wrong]);
	cmp_ok(((txnctl($nodes[$wrong], 'ts'))[1] >> 18) / 1000 - time, '>', 3000,
		"$who starts an hour ahead, and its Placement Driver");
	usleep(8_000_000);
	is(rows($wrong, 'long'), $keys, 'no row is removed');
	clear_points();
	wait_same('all nodes have the same again');
}
$leads = wait_leader();
put_many('late', 1);
wait_for('what has expired to go', sub { !grep { rows($_, 'late') != 0 } 0 .. 2 });
wait_same('all nodes have the same');
my $next = ($leads + 1) % 3;
order($leads, 'tikv_transfer_leader(2, ' . $stores[$next] . ')', 'another one is to lead');
wait_for('that', sub { (leader() // -1) == $next });
is(ask($next, q{SELECT count(*) FROM tikv_scan('long', 'lonh')}), $keys, 'which has all keys');
checks_clean(0 .. 2);
$_->stop foreach @nodes;

done_testing();
