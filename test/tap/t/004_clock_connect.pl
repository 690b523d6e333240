# The time of day goes back on a node that cannot reach another one, while it
# pauses between two tries to connect: when the other one is there again, it
# connects.

use strict;
use warnings;

use Test::More;
use TikvTest;

my $pd = new_node('pd');
my $node = new_node('outside', 'tikv.pd_endpoints' => $pd->{tikv}{'tikv.pd_addr'});
my $clock = $node->basedir . '/clock';

# Seconds that the time of day of the node's processes is off from now on
# (test/faults/clock/clock.c).
sub set_clock
{
	my ($seconds) = @_;

	open my $file, -e $clock ? '+<' : '>', $clock or die $!;
	print $file pack('q', $seconds * 1_000_000_000);
	close $file or die $!;
}

sub start
{
	local %ENV = (%ENV, LD_PRELOAD => $ENV{STEP_CLOCK}, TIKV_TEST_CLOCK => $clock);

	set_clock(0);
	$node->start;
}

# A snapshot of its own, so a timestamp of the Placement Driver.
sub has_timestamps
{
	return defined try_query($node, q{SELECT tikv_txn_get('key')});
}

$pd->start;
serve($pd);
start();
serve($node);
wait_for('timestamps', \&has_timestamps);
$pd->stop;
ok(!has_timestamps(), 'without the Placement Driver there are no timestamps');
set_clock(-3600);
cmp_ok($node->safe_psql('postgres', 'SELECT extract(epoch FROM clock_timestamp())'), '<', time() - 3000,
	'the node has another time of day');
ok(!has_timestamps(), 'nor are there any then');
$pd->start;
ok(eval { wait_for('timestamps', \&has_timestamps) }, 'when it is there again there are timestamps')
  or diag(status($node));
$node->stop;
$pd->stop;
done_testing();
