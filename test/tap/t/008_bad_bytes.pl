# Wrong and random bytes on every port, and thousands of idle connections:
# nothing crashes, nothing leaks away, service goes on.

use strict;
use warnings;

use IO::Socket::INET;
use Test::More;
use TikvTest;
use Time::HiRes qw(time usleep);

my $node = new_node('badbytes');
my $preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
my $settings = "\0\0\0\4\0\0\0\0\0";

$node->start;
serve($node);
srand(42);
my @ports = map { $node->{tikv}{$_} } qw(tikv.addr tikv.pd_addr);
my @workers = (pids($node, 'tikv store'), pids($node, 'tikv pd'));

sub noise
{
	my ($length) = @_;

	return join '', map { chr int rand 256 } 1 .. $length;
}

sub open_connection
{
	my ($address) = @_;

	return IO::Socket::INET->new(PeerAddr => $address, Proto => 'tcp', Timeout => 5);
}

# ---- bytes that are not even HTTP/2, or only begin like it
local $SIG{PIPE} = 'IGNORE';
foreach my $address (@ports)
{
	foreach my $i (1 .. 200)
	{
		my $socket = open_connection($address) or next;
		my $kind = $i % 8;
		my $bytes =
			$kind == 0 ? noise(1 + int rand 2000)
		  : $kind == 1 ? substr($preface, 0, $i % length $preface)
		  : $kind == 2 ? $preface . noise(1 + int rand 2000)
		  # frames with random types, flags, lengths and streams
		  : $kind == 3 ? $preface . $settings . join('', map {
				pack('CnCCN', 0, int rand 100, int rand 12, int rand 256, int rand 8)
				  . noise(int rand 100)
			} 1 .. 20)
		  : $kind == 4 ? $preface . $settings . pack('CnCCN', 255, 65535, 0, 0, 1)
		  : $kind == 5 ? "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
		  : $kind == 6 ? $preface . $settings . pack('CnCCN', 0, 4, 3, 0, 1) x 500
		  : "";

		print $socket $bytes;
		$socket->flush;
		close $socket;
	}
}
is((rawctl($node, 'put', 'k', 'after noise'))[0], 0, 'serves after noise on its ports');

# ---- calls that are right with messages that are wrong
my %methods = (
	'tikv.addr' => [ map { "/tikvpb.Tikv/$_" } qw(RawGet RawBatchGet RawPut
		  RawBatchPut RawDelete RawBatchDelete RawScan BatchCommands
		  GetStoreSafeTS GetHealthFeedback KvGet Coprocessor Raft),
		'/grpc.health.v1.Health/Check', '/no.such/Method' ],
	'tikv.pd_addr' => [ map({ "/pdpb.PD/$_" } qw(GetMembers GetClusterInfo Tso
		  GetRegion GetPrevRegion GetRegionByID ScanRegions BatchScanRegions
		  QueryRegion GetStore GetAllStores GetGCState AllocID)),
		'/etcdserverpb.Cluster/MemberList', '/etcdserverpb.KV/Range',
		'/keyspacepb.Keyspace/LoadKeyspace', '/meta_storagepb.MetaStorage/Get',
		'/grpc.health.v1.Health/Check', '/no.such/Method' ]);
foreach my $name (sort keys %methods)
{
	my ($out, $err);

	IPC::Run::run([ $ENV{BADBYTES}, '--target', $node->{tikv}{$name}, '--seed', 42,
			'--calls', 3000, @{ $methods{$name} } ], '>', \$out, '2>', \$err);
	is($? >> 8, 0, "every bad message on $name is answered");
	note($out . $err);
}
is((rawctl($node, 'get', 'k'))[1], 'after noise', 'serves after bad messages');

# ---- many connections that do nothing
my @idle;
my $began = time();
while (@idle < 2000)
{
	my $socket = open_connection($ports[0]) or last;

	print $socket $preface . $settings;
	$socket->flush;
	push @idle, $socket;
}
is(scalar @idle, 2000, '2,000 connections are accepted');
elapsed_note('opening them', $began);
$began = time();
is((rawctl($node, 'put', 'k', 'beside idle ones'))[0], 0, 'a client beside them is served');
elapsed_note('its put', $began);
is((rawctl($node, 'get', 'k'))[1], 'beside idle ones', 'and reads');
close $_ foreach @idle;
wait_for('the connections to be forgotten', sub {
	my @open = glob "/proc/$workers[0]/fd/*";
	return @open < 500;
});
pass('their descriptors are closed afterwards');

is_deeply([ pids($node, 'tikv store'), pids($node, 'tikv pd') ], \@workers,
	'no worker was restarted by all this');
$node->stop;
done_testing();
