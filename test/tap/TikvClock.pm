# A node whose time of day can be set (test/faults/clock/clock.c).
package TikvClock;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT = qw(set_clock start_with_clock);

sub clock_of
{
	my ($node) = @_;

	return $node->basedir . '/clock';
}

# Seconds that the time of day of the node's processes is off from now on.
sub set_clock
{
	my ($node, $seconds) = @_;
	my $clock = clock_of($node);

	open my $file, -e $clock ? '+<' : '>', $clock or die $!;
	print $file pack('q', $seconds * 1_000_000_000);
	close $file or die $!;
	return;
}

sub start_with_clock
{
	my ($node) = @_;
	local %ENV = (%ENV, LD_PRELOAD => $ENV{STEP_CLOCK}, TIKV_TEST_CLOCK => clock_of($node));

	set_clock($node, 0);
	$node->start;
	return;
}

1;
