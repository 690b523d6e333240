# A peer that is left alone with its region, and is begun again before the region
# was written to: async commit waits for a timestamp of PD, and is possible then.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;

my @nodes = make_group('group_alone');
my @stores = (1, 4, 5);
my $leads = wait_leader();
my $node = $nodes[$leads];

sub step
{
	my @arguments = @_;
	my ($answer, $out, $err) = txnctl($node, @arguments);

	is($answer, 0, "@arguments") or diag($err);
	return $out;
}

foreach my $i (grep { $_ != $leads } 0 .. 2)
{
	wait_for("store $stores[$i] to lose its peer", sub {
		return defined ask($leads, "SELECT tikv_remove_peer(2, $stores[$i])");
	});
	pass("store $stores[$i] loses its peer");
}
wait_for('a lone peer', sub {
	return (ask($leads, 'SELECT count(*) FROM tikv.raft WHERE region_id = 2') // '') eq '1';
});
is(ask($leads, 'SELECT count(*) > 0 FROM tikv_internal.raft_log WHERE region_id = 2'), 't', 'which has a log yet');

$node->stop('immediate');
start_again($leads);
wait_serving($node);
my $start = step('ts');
wait_for('an async commit', sub {
	return (txnctl($node, 'prewrite-async', $start, 'a', 'x', 'a', ''))[0] == 0;
});
pass('async commit is possible after the restart');
step('commit', $start, step('ts'), 'a');
is(step('get', step('ts'), 'a'), 'x', 'and what it wrote is there');
is(ask($leads, 'SELECT count(*) FROM tikv_internal.raft_log WHERE region_id = 2'), '0', 'the log is gone');
is(ask($leads, 'SELECT count(*) FROM tikv_check()'), '0', 'the node checks clean');

$_->stop('immediate') foreach @nodes;
done_testing();
