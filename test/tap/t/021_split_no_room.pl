# Regions whose bounds are so long that the board has no room for all of them:
# the log names those that are not shown once, not at each renewal of a lease.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(sleep);

my @nodes = make_group('room', 'tikv.max_regions' => 64, 'tikv.request_timeout' => '5s');

# How often the node's log says it of each region.
sub complaints
{
	my ($i) = @_;
	my $log = slurp_file($nodes[$i]->logfile);
	my %n;

	$n{$1}++ while $log =~ /region (\d+) cannot be read here/g;
	return %n;
}

my $leads = wait_leader();

foreach my $n (1 .. 20)
{
	my %n = complaints($leads);

	last if %n;
	ask($leads, sprintf q{SELECT tikv_split(convert_to('k%02d' || repeat('x', 7000), 'UTF8'))}, $n);
}
wait_for('a region without room', sub { my %n = complaints($leads); return scalar %n; });
sleep 3;
foreach my $i (0 .. 2)
{
	my %n = complaints($i);

	note("node $i, region $_: $n{$_}") foreach sort keys %n;
	is((grep { $_ > 2 } values %n) + 0, 0, "node $i says it when it changes");
}
$_->stop foreach @nodes;

done_testing();
