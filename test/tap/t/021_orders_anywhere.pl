# Orders of SQL on every node: one that has no peer of the region, a follower
# and the leader itself; what is refused says so, and so does nobody's answer.

use strict;
use warnings;

use Test::More;
use TikvSpread;
use TikvTest;

# What psql says of an error, with its SQLSTATE.
sub refusal
{
	my ($i, $sql) = @_;

	return (try_sql($i, "\\set VERBOSITY verbose\n$sql"))[2];
}

sub led_by
{
	my ($region, $node) = @_;

	wait_for("node $node to lead region $region", sub {
		return grep { $_->[0] == $region && defined $_->[1] && $_->[1] == $node } regions_of();
	});
	pass("node $node leads region $region");
}

# ---- the first node has all, the others nothing

my $first = start_first('orders');
is((pd('POST', 'config', { 'max-replicas' => 1 }))[0], 200, 'one replica is enough');
my @nodes = join_others('orders');
my ($region) = map { $_->[0] } regions_of();

is(sql($_, 'SELECT count(*) FROM tikv.regions'), '0', "node $_ has no peer") foreach 1, 2;
is(sql(2, q{SELECT tikv_split('m')}), $region, 'a split by SQL on a node without a peer');
is(sql(0, 'SELECT count(*) FROM tikv.regions'), '2', 'is made');
is(sql(1, q{SELECT tikv_split('q', true)}), $region, 'and one at a key of transactions');
is(sql(0, 'SELECT count(*) FROM tikv.regions'), '3', 'is made, too');
like(refusal(1, q{SELECT tikv_split('m')}), qr/ERROR:  55000: the region is not split.*\nDETAIL:  Store \d+ leads region/, 'a bound is no key to split at');

my @stores = map { store_of($_) } 0 .. 2;

like(refusal(2, "SELECT tikv_remove_peer($region, $stores[0])"),
	qr/ERROR:  55000: region $region does not take the order: .*\nDETAIL:  Store $stores[0] leads it; nothing was done/,
	'the leader does not remove itself, for nobody');
like(refusal(2, "SELECT tikv_transfer_leader($region, $stores[1])"), qr/ERROR:  42704: region $region has no peer on store $stores[1]/, 'nor hand over to who is not there');
like(refusal(2, 'SELECT tikv_remove_peer(99999, 1)'), qr/ERROR:  42704: there is no region 99999/, 'a region that there is not');
like(sql(2, "SELECT tikv_add_peer($region, $stores[1])"), qr/^\d+$/, 'a peer is added by SQL on a third node');

# ---- followers

is((pd('POST', 'config', { 'max-replicas' => 3 }))[0], 200, 'three replicas');
wait_for('three voters', sub {
	my @regions = regions_of();

	return @regions == 3 && !grep { $_->[2] != 3 || !defined $_->[1] } @regions;
});
foreach my $order ([ 2, 1 ], [ 0, 2 ], [ 2, 1 ], [ 1, 0 ], [ 1, 1 ])
{
	my ($on, $to) = @$order;

	is(sql($on, "SELECT tikv_transfer_leader($region, $stores[$to])"), '', "node $on orders that node $to is to lead");
	led_by($region, $to);
}
like(refusal(0, "SELECT tikv_transfer_leader($region, $stores[1])"), qr/ERROR:  55000: .* that store leads the region already/,
	'who leads is given nothing');
is(sql(2, q{SELECT tikv_split('t')}), $region, 'a split by SQL on a follower');
is(sql(2, qq{SELECT tikv_remove_peer($region, $stores[0])}), '', 'a follower has another one removed');
wait_for('node 0 to have none', sub {
	return sql(1, "SELECT $stores[0] = ANY (store_ids) FROM tikv.regions WHERE region_id = $region") eq 'f'
	  || sql(1, "SELECT conf_ver > 5 FROM tikv.regions WHERE region_id = $region") eq 't';
});
pass('it goes');
wait_for('three voters again', sub {
	my @regions = regions_of();

	return @regions == 4 && !grep { $_->[2] != 3 || !defined $_->[1] } @regions;
});

# ---- while PD says nothing: the board knows who leads

{
	my $session = $nodes[2]->background_psql('postgres');
	my @silent = map { pids($nodes[$_], 'tikv pd') } 0 .. 2;

	$session->query_safe("SELECT tikv_transfer_leader($region, $stores[0])");
	led_by($region, 0);
	kill 'STOP', @silent;
	ok(eval { $session->query_safe("SELECT tikv_transfer_leader($region, $stores[1])"); 1 },
		'an order is taken while PD is silent');
	kill 'CONT', @silent;
	$session->quit;
	led_by($region, 1);
}

# ---- roles are looked at where the SQL runs

$nodes[2]->safe_psql('postgres', 'CREATE ROLE nobody; CREATE ROLE writer; GRANT tikv_write TO writer');
like(refusal(2, qq{SET ROLE $_; SELECT tikv_transfer_leader($region, $stores[0])}), qr/ERROR:  42501: /, "$_ gives no orders")
  foreach 'nobody', 'writer';

# ---- nobody leads it

led_by($region, 1);
$nodes[1]->stop('immediate');
$nodes[2]->stop('immediate');
foreach my $sql ("SELECT tikv_transfer_leader($region, $stores[2])", q{SELECT tikv_split('z')})
{
	like(refusal(0, "SET tikv.request_timeout = '3s'; $sql"),
		qr/ERROR:  57P03: no store .*\nDETAIL:  Nothing was done within 3000 ms: .*\nHINT:  The store that leads the region must be reached/,
		"$sql: nobody takes it");
}
$nodes[$_]->start foreach 1, 2;
wait_serving($nodes[$_]) foreach 1, 2;
wait_for('an order to be taken again', sub {
	return (try_sql(0, q{SELECT tikv_split('z')}))[0] == 0;
});
pass('an order is taken again');
is($nodes[$_]->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), '0', "node $_ checks clean") foreach 0 .. 2;
$_->stop foreach @nodes;
done_testing();
