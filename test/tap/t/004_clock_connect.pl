# The time of day goes back on a node that cannot reach another one, while it
# pauses between two tries to connect: when the other one is there again, it
# connects.

use strict;
use warnings;

use Test::More;
use TikvClock;
use TikvTest;

my $pd = new_node('pd');
my $node = new_node('outside', 'tikv.pd_endpoints' => $pd->{tikv}{'tikv.pd_addr'});

# A snapshot of its own, so a timestamp of the Placement Driver.
sub has_timestamps
{
	return defined try_query($node, q{SELECT tikv_txn_get('key')});
}

$pd->start;
serve($pd);
start_with_clock($node);
serve($node);
wait_for('timestamps', \&has_timestamps);
$pd->stop;
ok(!has_timestamps(), 'without the Placement Driver there are no timestamps');
set_clock($node, -3600);
cmp_ok($node->safe_psql('postgres', 'SELECT extract(epoch FROM clock_timestamp())'), '<', time() - 3000,
	'the node has another time of day');
ok(!has_timestamps(), 'nor are there any then');
$pd->start;
ok(eval { wait_for('timestamps', \&has_timestamps) }, 'when it is there again there are timestamps')
  or diag(status($node));
$node->stop;
$pd->stop;
done_testing();
