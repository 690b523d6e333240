# What one client can make the Placement Driver hold is bounded: answers that
# What one client can make the Placement Driver hold is bounded: answers that
# repeat one value, ranges in a transaction and in what it compares, many
# watchers of one key on many streams, regions with many buckets asked for on
# many streams, bodies over HTTP that do not end, requests that wait for a
# leader.  Others are served meanwhile.

use strict;
use warnings;

use HTTP::Tiny;
use Http2;
use IPC::Run;
use Test::More;
use TikvTest;
use Time::HiRes qw(usleep);

# Nobody else moves the safe point: that makes a revision.
my $node = new_node('pdmem', 'tikv.memory_limit' => '300MB', 'tikv.gc_life_time' => 0);
my $address = $node->{tikv}{'tikv.pd_addr'};
my $value = 'v' x 1_400_000;

local $SIG{PIPE} = 'IGNORE';

# Standard output and error of etcdctl, with its input.
sub etcd
{
	my ($input, @arguments) = @_;
	my ($out, $err) = ('', '');

	local $ENV{ETCDCTL_API} = 3;
	IPC::Run::run([ 'etcdctl', "--endpoints=http://$address", '--command-timeout=60s', @arguments ],
		'<', \$input, '>', \$out, '2>', \$err);
	chomp $out;
	return ($out, $err);
}

my $pid;

# Private memory of the process: now, or the most that it was since it began.
sub memory_mb
{
	my ($what) = @_;

	open my $file, '<', "/proc/$pid/status" or return 0;
	my ($kb) = map { /^$what:\s+(\d+)/ ? $1 : () } <$file>;
	return $kb / 1024;
}

# The most is counted anew from here on.
sub begin
{
	open my $file, '>', "/proc/$pid/clear_refs" or return;
	print $file '5';
	close $file;
	return memory_mb('VmHWM');
}

sub is_bounded
{
	my ($what, $before, $limit) = @_;
	my $most = memory_mb('VmHWM');

	cmp_ok($most - $before, '<', $limit, sprintf '%s: %.0f MB more', $what, $most - $before);
	is(join(' ', pids($node, 'tikv pd')), $pid, "$what: it lives");
	is(HTTP::Tiny->new(timeout => 30)->get("http://$address/pd/api/v1/health")->{status}, 200,
		"$what: others are served");
}

# A connection with room for whatever the server sends, which nobody reads.
sub open_connection
{
	my $socket = connect_http2($address, 4 => 0x7fffffff) or die 'no connection';

	write_all($socket, frame('WINDOW_UPDATE', 0, 0, pack 'N', 0x7fff0000));
	return $socket;
}

# A call on this stream of it, with these messages.
sub call_on
{
	my ($socket, $stream, $path, $ends, @messages) = @_;
	my $bytes = frame('HEADERS', 4, $stream, call_headers($path));

	foreach my $i (0 .. $#messages)
	{
		my $message = grpc_message($messages[$i]);

		while ($message ne '')
		{
			my $piece = substr $message, 0, 16_000, '';

			$bytes .= frame('DATA', $ends && $i == $#messages && $message eq '', $stream, $piece);
		}
	}
	write_all($socket, $bytes);
}

# A connection on which a call was made.
sub call
{
	my $socket = open_connection();

	call_on($socket, 1, @_);
	return $socket;
}

# The same call on many streams.
sub calls
{
	my ($n, @call) = @_;
	my $socket = open_connection();

	call_on($socket, 2 * $_ + 1, @call) foreach 0 .. $n - 1;
	return $socket;
}

# The names of trailers are not compressed by who we are, but may be by the
# server: what counts is that an end comes, and how many bytes before it.
sub read_all
{
	my ($socket, $seconds) = @_;
	my $n = 0;
	my $silent = 0;

	while ($silent < $seconds)
	{
		my $got = sysread $socket, my $bytes, 1 << 20;

		last if defined $got && $got == 0;
		$silent = defined $got ? 0 : $silent + 1;
		$n += $got // 0;
	}
	return $n;
}

$node->start;
serve($node);
wait_for('PD to answer', sub { (etcd('', 'endpoint', 'status'))[0] ne '' });
($pid) = pids($node, 'tikv pd');

# ---- a safe point that stays where it is makes no revision
my $safe_point = '/tidb/store/gcworker/saved_safe_point';
my $revision = sub { (etcd('', @_, '-w', 'json'))[0] =~ /"revision":(\d+)/ ? $1 : 0 };
my $first = $revision->('put', $safe_point, '400000');
is($revision->('put', $safe_point, '400000'), $first, 'the same safe point: the same revision');
like((etcd('', 'get', $safe_point, "--rev=$first"))[0], qr/400000/, 'which can be read');

# ---- one setting, four hundred times
is((etcd($value, 'put', '/global/config/x'))[0], 'OK', 'a large setting');
my $before = begin();
my $socket = call('/pdpb.PD/LoadGlobalConfig', 1, field(1, "x", 1) x 400);
cmp_ok(read_all($socket, 3), '<', 1_000_000, 'it is not sent four hundred times');
is_bounded('a setting many times', $before, 300);
close $socket;
$socket = call('/pdpb.PD/LoadGlobalConfig', 1, field(1, 'x', 1) x 3);
cmp_ok(read_all($socket, 3), '>', 3 * length $value, 'but three times');
close $socket;

# ---- ranges in a transaction
etcd($value, 'put', sprintf 'big%02d', $_) foreach 1 .. 25;
$before = begin();
my ($out, $err) = etcd("\n" . "get --prefix big\n" x 20 . "\n\n", 'txn');
like($err, qr/too much memory/, 'twenty ranges of much in a transaction are refused');
is_bounded('ranges', $before, 400);
($out, $err) = etcd("\n" . "get --prefix big\n\n\n", 'txn');
cmp_ok(length $out, '>', 25 * length $value, 'one is answered');
etcd('', 'del', '--prefix', 'big');

# ---- ranges that a transaction compares
sub txn
{
	my ($message) = @_;
	my $call = begin_call($address, '/etcdserverpb.KV/Txn', $message);

	return (end_call($call, 60), $call->{headers});
}

my $keys = 40_000;

for (my $from = 0; $from < $keys; $from += 125)
{
	my $puts = join '', map {
		field(2, field(2, field(1, sprintf('many/%05d', $_), 1), 1), 1)
	} $from .. $from + 124;

	defined((txn($puts))[0]) or die 'no keys';
}
my $changed = field(1, field(1, 1) . field(2, 2) . field(3, 'many/', 1) . field(6, 0) . field(64, 'many0', 1), 1);

$before = begin();
ok(defined((txn($changed x 50))[0]), 'forty thousand keys are compared fifty times');
($out, $err) = txn($changed x 128);
ok(!defined $out, 'but not more often than is borne');
like($err, qr/too many operations/, 'as the error says');
is_bounded('compares', $before, 150);

# ---- deletions
($out, $err) = etcd('', 'del', '--prefix', 'many/');
like($err, qr/more than 16384 keys.*smaller ranges/, 'forty thousand keys are not deleted at once');
($out, $err) = etcd('', 'del', 'many/30000', 'many0');
is($out, '10000', 'ten thousand are');

# ---- a lease of many keys
sub count { return (etcd('', 'get', '--prefix', 'many/', '--limit=1', '-w', 'json'))[0] =~ /"count":(\d+)/ ? $1 : 0; }

ok(defined end_call(begin_call($address, '/etcdserverpb.Lease/LeaseGrant', field(1, 6000) . field(2, 7)), 30),
	'a lease');
for (my $from = 0; $from < 30_000; $from += 125)
{
	my $puts = join '', map {
		field(2, field(2, field(1, sprintf('many/%05d', $_), 1) . field(3, 7), 1), 1)
	} $from .. $from + 124;

	defined((txn($puts))[0]) or die 'no keys';
}
is(count(), '30000', 'and its keys');
$first = $revision->('put', 'before', 'v');
like((etcd('', 'lease', 'revoke', '7'))[0], qr/revoked/, 'it is revoked');
is(count(), '0', 'with all of them');
cmp_ok($revision->('put', 'after', 'v'), '>', $first + 2, 'which did not go at once');

# ---- watchers of one key, who do not read: all on one stream, then on many of
# one connection, then one on each of many connections
my @watch = ('/etcdserverpb.Watch/Watch', 0);
my $create = field(1, field(1, 'w', 1), 1);

foreach my $case (
	[ 'watchers', sub { call(@watch, ($create) x 400) } ],
	[ 'watchers on many streams', sub { calls(80, @watch, ($create) x 5) } ],
	[ 'watchers on many connections', sub { map { call(@watch, ($create) x 4) } 1 .. 100 } ])
{
	my ($what, $open) = @$case;

	$before = begin();
	my @sockets = $open->();
	usleep(1_000_000);
	foreach my $i (1 .. 3)
	{
		is((etcd($value, 'put', 'w'))[0], 'OK', "$what: what they watch is written");
		usleep(500_000);
	}
	is_bounded($what, $before, 450);
	close $_ foreach @sockets;
	usleep(500_000);
}

# ---- a region with large buckets, asked for on many streams: 6 MB for 20 bytes
my ($cluster) = HTTP::Tiny->new->get("http://$address/pd/api/v1/cluster")->{content} =~ /"id":\s*(\d+)/;
my $region = $node->safe_psql('postgres', 'SELECT region_id FROM tikv.regions');
my $header = field(1, field(1, $cluster), 1);
my $buckets = field(1, $region) . field(2, 1_000_000) . field(3, 'k' x 100, 1) x 60_000;
$socket = open_connection();
write_all($socket, frame('HEADERS', 4, 1, call_headers('/pdpb.PD/ReportBuckets')));
ok(upload(begin_upload($socket), 1, $header . field(3, $buckets, 1)), 'buckets are reported');
usleep(500_000);
close $socket;

my @query = ('/pdpb.PD/QueryRegion', 0, $header . field(2, 1) . field(3, varint($region), 1));
$socket = call(@query);
cmp_ok(read_all($socket, 2), '>', 6_000_000, 'and told to who asks for them');
close $socket;
$before = begin();
$socket = calls(120, @query);
usleep(2_000_000);
is_bounded('regions', $before, 350);
is((etcd('v', 'put', 'other'))[0], 'OK', 'regions: a key is put');
$socket->close;
my @scan = ('/pdpb.PD/BatchScanRegions', 1, $header . field(2, 1) . field(3, '', 1));
$socket = call(@scan);
cmp_ok(read_all($socket, 2), '>', 6_000_000, 'the same by a range');
close $socket;
$before = begin();
$socket = calls(120, @scan);
usleep(2_000_000);
is_bounded('ranges of regions', $before, 350);
$socket->close;

# ---- bodies that do not end
$before = begin();
my @held = map {
	my $body = connect_plain($address);

	write_all($body, "POST /pd/api/v1/config HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n"
		. ' ' x 3_900_000);
	usleep(20_000);
	$body;
} 1 .. 60;
is_bounded('bodies', $before, 150);
is(HTTP::Tiny->new(timeout => 30)->post("http://$address/pd/api/v1/config", { content => '{}' })->{status}, 200,
	'a small body of somebody else is taken');
write_all($held[-1], ' ' x 100_000);
sysread $held[-1], my $answer, 4096;
like($answer, qr/ 503 .*too many requests/s, 'the last one is refused');
close $_ foreach @held;

# ---- requests that wait for a leader, on a node that passes them on
my $passes = new_node('pdpass', 'tikv.pd_endpoints' => $address, 'tikv.memory_limit' => '32MB');
my $there = $passes->{tikv}{'tikv.pd_addr'};
my @list = ($there, '/etcdserverpb.Cluster/MemberList', '');

$passes->start;
serve($passes);
wait_for('requests to be passed on', sub { defined end_call(begin_call(@list), 5) });

# Its clients' watches, which the leader tells and they do not read.
my ($pid_there) = pids($passes, 'tikv pd');
my $address_here = $address;

($pid, $pid_there, $address) = ($pid_there, $pid, $there);
$before = begin();
$socket = calls(60, @watch, ($create) x 2);
usleep(1_000_000);
foreach my $i (1 .. 3)
{
	is((etcd($value, 'put', 'w'))[0], 'OK', 'passed on: what they watch is written');
	usleep(500_000);
}
# Without bounds they are 500 MB.
cmp_ok(memory_mb('VmHWM') - $before, '<', 200, 'passed on: memory is bounded');
ok(defined end_call(begin_call(@list), 10), 'passed on: others are served');
close $socket;
($pid, $address) = ($pid_there, $address_here);

# Bodies that do not end have a quarter of the memory there, 8 MB.
@held = map {
	my $body = connect_plain($there);

	write_all($body, "POST /pd/api/v1/config HTTP/1.1\r\nHost: x\r\nContent-Length: 4000000\r\n\r\n"
		. ' ' x 3_900_000);
	usleep(20_000);
	$body;
} 1 .. 3;
write_all($held[-1], ' ' x 100_000);
sysread $held[-1], $answer, 4096;
like($answer, qr/ 503 .*too many requests/s, 'passed on: the third large body is refused');
close $_ foreach @held;

# Requests, while nobody answers them.
hold_still($node, $pid);
$socket = connect_http2($there) or die 'no connection';
my $up = begin_upload($socket);
my $put = field(1, 'passed', 1) . field(2, $value, 1);
my $through = 0;

foreach my $stream (map { 2 * $_ + 1 } 0 .. 23)
{
	write_all($socket, frame('HEADERS', 4, $stream, call_headers('/etcdserverpb.KV/Put')));
	$through += upload($up, $stream, $put);
}
is($through, 24, 'a client has much wait for the leader');
my $theirs = begin_call(@list);
usleep(100_000);
kill 'CONT', $pid;
ok(defined end_call($theirs, 10), 'which keeps nobody else from waiting');
close $socket;
$passes->stop;

$node->stop;
done_testing();
