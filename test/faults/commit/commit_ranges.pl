# A deletion of a range that its leader has acknowledged, which the next leader
# has in its log and learns at its election alone that it was committed: until
# its rows are gone nobody reads them there.

use strict;
use warnings;

use Test::More;
use TikvCommit;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(usleep);

my $rows = 2000;
my @nodes = make_group('ranges', 'tikv.request_timeout' => '60s', 'tikv.hibernate_regions' => 'off');
my $old = wait_leader();
my ($new, $third) = grep { $_ != $old } 0 .. 2;
my ($store) = pids($nodes[$new], 'tikv store');
my $scan = q{SELECT count(*) FROM tikv_scan('p/', 'p0')};
my $stored = q{SELECT count(*) FROM tikv_internal.raw WHERE key >= 'p/' AND key < 'p0'};

# ---- two nodes are a majority, and one of them does not hear that it was
order($old, qq{tikv_batch_put(array_agg(('p/' || i)::bytea), array_agg('v'::bytea)) FROM generate_series(1, $rows) AS i},
	'keys are written');
wait_same('on all nodes');
$nodes[$third]->stop;
use_node($nodes[$new]);
write_points('store_apply_raw=1*stop');
usleep(500_000);
is(ask($old, q{SELECT tikv_delete_range('p/', 'p0')}), '', 'their deletion is acknowledged');
wait_for('a follower to stop before it applies that', sub { state_of($store) eq 'T' });
is(ask($old, $stored), '0', 'the leader has none of them');
$nodes[$_]->stop('immediate') foreach $old, $new;

# ---- it is elected, and no slice of the deletion comes to its end
write_points('store_range_slice=error');
start_again($_) foreach $third, $new;
is(wait_leader($old), $new, 'who has it in its log is elected');
wait_for('what its group takes for a lease', sub {
	return (ask($new, 'SELECT lease_ms > 0 FROM tikv.raft WHERE region_id = 2 AND is_local') // '') eq 't';
});
foreach my $i (1 .. 4)
{
	is(ask($i % 2 ? $new : $third, $scan), '0', "look $i: nobody reads what was deleted");
}
is(ask($new, $stored), $rows, 'although all rows are there');
clear_points();
wait_for('the rows to go', sub { (ask($new, $stored) // '') eq '0' });
is(ask($new, $scan), '0', 'nobody reads them then, either');
start_again($old);
wait_same('and on all nodes');
checks_clean(0 .. 2);
$_->stop foreach @nodes;

done_testing();
