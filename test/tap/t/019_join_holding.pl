# A node that made a cluster of its own, and holds no data, but what its Placement
# Driver keeps for somebody: it does not give that up when tikv.join names another
# cluster.  What counts is in unit/test_pd_holding.c; here it is that the node asks.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $cluster = new_node('cluster');
my $lone = new_node('lone');
my $pd = $lone->{tikv}{'tikv.pd_addr'};

sub etcd
{
	my @command = @_;
	local $ENV{ETCDCTL_API} = 3;
	my ($out, $err) = run_command([ 'etcdctl', '--endpoints', "http://$pd", '--dial-timeout=10s', @command ]);

	diag($err) if $err ne '';
	return $out;
}

foreach my $node ($cluster, $lone)
{
	$node->start;
	serve($node);
}
my $own = $lone->safe_psql('postgres', 'SELECT cluster_id FROM tikv_internal.store_meta');
is(etcd('put', '/app/config', 'precious'), 'OK', 'a client keeps a key on the lone node');

configure_node($lone, 'tikv.join' => $cluster->{tikv}{'tikv.pd_addr'});
$lone->restart;
wait_state($lone, 'pd', 'waiting', qr/tikv\.join names cluster \d+, but this node belongs to cluster $own and is not empty: it holds keys of etcd's clients/);
pass('told to join another cluster, it waits, and says what it holds');
unlike(slurp_file($lone->logfile), qr/gave up the empty cluster/, 'it has not given its cluster up');

# What its owner does about it.
configure_node($lone, 'tikv.join' => '');
$lone->restart;
wait_serving($lone);
is(etcd('get', '--print-value-only', '/app/config'), 'precious', 'the key is there without the setting');
is(etcd('del', '/app/config'), '1', 'and is removed by its owner');
configure_node($lone, 'tikv.join' => $cluster->{tikv}{'tikv.pd_addr'});
$lone->restart;
wait_for('the node to join', sub {
	my $id = try_query($lone, 'SELECT cluster_id FROM tikv_internal.store_meta');
	return defined $id && $id ne '' && $id ne $own;
});
wait_serving($lone);
is($cluster->safe_psql('postgres', 'SELECT count(*) FROM tikv.members'), '2',
	'then it gives its cluster up, and joins');
$_->stop foreach $lone, $cluster;
done_testing();
