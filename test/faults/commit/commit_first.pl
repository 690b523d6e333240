# A store that has saved the cluster's first region and crashes before it asks
# the Placement Driver, while another store is faster: it forgets the region.

use strict;
use warnings;

use HTTP::Tiny;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvCommit;
use TikvTest;

my $regions = q{SELECT coalesce(string_agg(region_id::text, ' '), 'none') FROM tikv_internal.region WHERE state = 0};
my $founder = new_node('founder');
my $pd = $founder->{tikv}{'tikv.pd_addr'};
my $slow = new_node('slow', 'tikv.pd_endpoints' => $pd);

# The store of the node, standing still at this point.
sub stopped_at
{
	my ($node, $point, $make) = @_;
	my $pid;

	use_node($node);
	write_points("$point=1*stop");
	$make->();
	wait_for("a stop at $point", sub {
		$pid = store_pid();
		return $pid && state_of($pid) eq 'T';
	});
	clear_points();
	return $pid;
}

$_->start foreach $founder, $slow;
my $first = stopped_at($founder, 'store_before_first_region', sub { query('CREATE EXTENSION tikv_fdw') });
is(query($regions), 'none', 'a store is about to save a first region');

my $second = stopped_at($slow, 'store_after_first_region', sub { query('CREATE EXTENSION tikv_fdw') });
my $prepared = query($regions);
like($prepared, qr/^\d+$/, 'another one has saved another, and asks nobody');

my $again = stopped_at($slow, 'store_peers_loaded', sub {
	kill 'KILL', $second;
	wait_for('its end', sub { state_of($second) eq '' });
});
is(query($regions), $prepared, 'it crashes, and starts with what it saved');

use_node($founder);
kill 'CONT', $first;
wait_serving($founder);
my $region = query($regions);
isnt($region, $prepared, "the first one's is the cluster's");
is(HTTP::Tiny->new->post("http://$pd/pd/api/v1/config", { content => '{"max-replicas": 1}' })->{status}, 200,
	'one replica is enough');
query(q{SELECT tikv_put('key', 'value')});

use_node($slow);
kill 'CONT', $again;
wait_serving($slow);
is(query($regions), 'none', 'the other one has forgotten its own');
like(slurp_file($slow->logfile), qr/gives up region $prepared, which it had prepared: the cluster has begun with region $region/,
	'and says so');
is(query(q{SELECT convert_from(tikv_get('key'), 'UTF8')}), 'value', "its sessions find the other one's key");
is($_->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), '0', 'the tables are sound') foreach $slow, $founder;
$_->stop foreach $slow, $founder;

done_testing();
