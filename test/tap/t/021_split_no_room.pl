# Bounds so long that the board has no room for all regions: no region is split
# beyond it.  Where there are more after all, since the leader's store has more room,
# the log names those that are not shown once, not at each renewal of a lease.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(sleep);

# How often the node's log says it of each region.
sub complaints
{
	my ($node) = @_;
	my $log = slurp_file($node->logfile);
	my %n;

	$n{$1}++ while $log =~ /region (\d+) cannot be read here/g;
	return %n;
}

sub split_at
{
	my ($n) = @_;

	return sprintf q{tikv_split(convert_to('k%02d' || repeat('x', 7000), 'UTF8'))}, $n;
}

my $lone = new_node('lone', 'tikv.max_regions' => 64);
my $refused;
my $split = 0;

$lone->start;
serve($lone);
foreach my $n (1 .. 20)
{
	my ($code, $out, $err) = $lone->psql('postgres', 'SELECT ' . split_at($n));

	$refused = $err;
	last if $code != 0;
	$split++;
}
cmp_ok($split, '>', 1, 'regions are split at long keys');
like($refused, qr/raise tikv\.max_regions/, 'until the store has no room for their bounds');
foreach my $n (0 .. $split)
{
	my $key = sprintf q{'k%02dy'}, $n;

	$lone->safe_psql('postgres', "SELECT tikv_put($key, 'v')");
	is($lone->safe_psql('postgres', "SELECT tikv_get($key)"), '\x76', "region $n can be read");
}
is_deeply({ complaints($lone) }, {}, 'all regions are shown');
$lone->stop;

my @nodes = make_group('room', 'tikv.max_regions' => 1024, 'tikv.request_timeout' => '5s');
my $leads = wait_leader();
my @others = @nodes[ grep { $_ != $leads } 0 .. 2 ];

foreach my $node (@others)
{
	$node->append_conf('postgresql.conf', 'tikv.max_regions = 64');
	$node->restart;
	wait_serving($node);
}
order($leads, split_at($_), "with more room one is split, $_") foreach 1 .. 8;
foreach my $node (@others)
{
	wait_for('a region without room', sub { my %n = complaints($node); return scalar %n; });
}
sleep 3;
foreach my $node (@nodes)
{
	my %n = complaints($node);

	note($node->name . ", region $_: $n{$_}") foreach sort keys %n;
	is((grep { $_ > 2 } values %n) + 0, 0, $node->name . ' says it when it changes');
}
$_->stop foreach @nodes;

done_testing();
