# Long reads go to a reader and come back whole, whatever happens to it; a
# client that floods leaves room for others; what is held is shown.

use strict;
use warnings;

use Http2 qw(frame call_headers grpc_message field region_context connect_http2 write_all);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(MSG_DONTWAIT);
use Test::More;
use TikvTest;

my $node = new_node('flow', 'tikv.memory_limit' => '300MB');
my $keys = 20_000;

sub metric
{
	my ($name, $worker) = @_;

	return $node->safe_psql('postgres', qq{
		SELECT value::int8 FROM tikv.metrics
		WHERE name = '$name' AND labels->>'worker' = '$worker'});
}

sub long_reads { return metric('tikv_fdw_long_reads_total', 'store'); }

sub fill
{
	my ($value_size) = @_;

	$node->safe_psql('postgres', qq{
		SELECT count(tikv_batch_put(k, v)) FROM (
			SELECT array_agg(convert_to('key' || to_char(i, 'FM00000'), 'UTF8')) k,
				array_agg(convert_to(repeat('v', $value_size), 'UTF8')) v
			FROM generate_series(1, $keys) i GROUP BY i / 500) batches});
}

sub scan_is
{
	my ($limit, $expected, $what) = @_;
	my ($answer, $out) = rawctl($node, 'scan', 'key', $limit);

	is("$answer $out", "0 $expected", $what);
}

$node->start;
serve($node);
fill(100);

# What is short is answered where it arrives, what is long is not.
is(scalar(pids($node, 'tikv reader')), 1, 'there is a reader');
my $before = long_reads();
scan_is(10, '10 1000 key00001 key00010', 'a short scan');
is(long_reads(), $before, 'stays with the store');
my $whole = "$keys " . 100 * $keys . ' key00001 key20000';
scan_is(1_000_000, $whole, 'a long one is whole');
is(long_reads(), $before + 1, 'and was handed over');
is(metric('tikv_fdw_request_memory_bytes', 'store'), 0, 'nothing is held afterwards');

# It reads what was written a moment ago.
$node->safe_psql('postgres', q{SELECT tikv_put('key00000', 'first'), tikv_delete('key20000')});
scan_is(1_000_000, "$keys " . (100 * ($keys - 1) + 5) . ' key00000 key19999',
	'it sees every write that was answered before');
$node->safe_psql('postgres', qq{SELECT tikv_delete('key00000'), tikv_put('key20000', convert_to(repeat('v', 100), 'UTF8'))});

# Its end is no end of service: another one comes, and meanwhile the store
# reads by itself.
my ($reader) = pids($node, 'tikv reader');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($reader)");
scan_is(1_000_000, $whole, 'a scan just after the reader was terminated');
ok(wait_for('another reader', sub {
	return $node->safe_psql('postgres', qq{
		SELECT count(*) FROM tikv_status() WHERE worker = 'reader 1'
			AND state = 'serving' AND pid <> $reader}) eq '1';
}), 'another reader serves');
$before = long_reads();
scan_is(1_000_000, $whole, 'a scan');
is(long_reads(), $before + 1, 'by it');

# An answer that the bus does not hold is made by the store.
configure_node($node, 'tikv.bus_memory' => '4MB');
$node->restart;
wait_serving($node);
$before = long_reads();
scan_is(1_000_000, $whole, 'an answer too large for the bus is whole, too');
is(long_reads(), $before + 1, 'though a reader tried');

# Several at once are answered, each whole: those that find no room in the bus
# wait for it.
my @clients = map {
	my $out = '';
	{ out => \$out,
		run => IPC::Run::start([ $ENV{RAWCTL}, '--pd', $node->{tikv}{'tikv.pd_addr'},
			'scan', 'key', 5000 ], '<', \undef, '>', \$out) }
} 1 .. 12;
$_->{run}->finish foreach @clients;
is(scalar(grep { ${ $_->{out} } eq "5000 500000 key00001 key05000\n" } @clients), 12,
	'twelve scans at once over little memory');

# Without a reader everything is as before.
configure_node($node, 'tikv.readers' => '0', 'tikv.server_workers' => '1');
$node->restart;
wait_serving($node);
is(scalar(pids($node, 'tikv reader')), 0, 'no reader');
scan_is(1_000_000, $whole, 'a long scan');
is(metric('tikv_fdw_long_reads_total', 'store') + metric('tikv_fdw_long_reads_total', 'server 1'),
	0, 'was not handed over');
configure_node($node, 'tikv.readers' => '2');
$node->restart;
wait_serving($node);
is(scalar(pids($node, 'tikv reader')), 2, 'two readers');
scan_is(1_000_000, $whole, 'a long scan of a server or the store') foreach 1 .. 4;
cmp_ok(metric('tikv_fdw_long_reads_total', 'store') + metric('tikv_fdw_long_reads_total', 'server 1'),
	'>=', 4, 'was handed over');

sub flood
{
	my $flood = { out => '', err => '' };

	$flood->{run} = IPC::Run::start([ $ENV{RPC_LOAD}, '--addr', $node->{tikv}{'tikv.addr'},
			'--pd', $node->{tikv}{'tikv.pd_addr'}, '--mode', 'stream-rawput', '--batch', 32,
			'--inflight', 256, '--seconds', 60 ],
		'<', \undef, '>', \$flood->{out}, '2>', \$flood->{err});
	return $flood;
}

# One that asks for long scans over and over has its share of what may be with
# the readers; when it has gone, its scans are not begun; nor are those that are
# too late.
configure_node($node, 'tikv.readers' => '1', 'tikv.server_workers' => '0');
$node->restart;
wait_serving($node);

sub read_by_reader
{
	return $node->safe_psql('postgres', q{
		SELECT coalesce(sum(value), 0)::int8 FROM tikv.metrics
		WHERE name = 'tikv_fdw_bus_requests_total' AND labels->>'worker' = 'reader 1'});
}

# In a process of its own, tried once only.
sub scan_start
{
	my ($max_ms) = @_;
	my ($out, $err) = ('', '');

	local $ENV{RAWCTL_MAX_MS} = $max_ms;
	return { out => \$out, err => \$err,
		run => IPC::Run::start([ $ENV{RAWCTL}, '--pd', $node->{tikv}{'tikv.pd_addr'},
				'scan', 'key', 1_000_000 ], '<', \undef, '>', \$out, '2>', \$err) };
}

scan_is(1_000_000, $whole, 'a scan before');
($reader) = pids($node, 'tikv reader');
$before = long_reads();
my $read_before = read_by_reader();
hold_still($node, $reader);
my $scan = grpc_message(field(1, region_context($node), 1) . field(2, 'key', 1)
	. field(3, 1_000_000) . field(4, 1));
my $scans = connect_http2($node->{tikv}{'tikv.addr'});
write_all($scans, join '', map {
	frame('HEADERS', 4, 2 * $_ + 1, call_headers('/tikvpb.Tikv/RawScan'))
	  . frame('DATA', 1, 2 * $_ + 1, $scan);
} 0 .. 299);
wait_for('long scans to be handed over', sub { return long_reads() >= $before + 128; });
sleep 1;
is(long_reads(), $before + 128, 'of 300 long scans of one connection 128 are with the reader');
my $other = scan_start(60_000);
wait_for('the scan of another', sub { return long_reads() > $before + 128; });
pass('that of another gets there');
my $held = metric('tikv_fdw_request_memory_bytes', 'store');
close $scans;
wait_for('the scans of who has gone to be forgotten', sub {
	return metric('tikv_fdw_request_memory_bytes', 'store') < $held / 4;
});
kill 'CONT', $reader;
$other->{run}->finish;
is(${ $other->{out} }, "$whole\n", 'and is answered') or diag(${ $other->{err} });
is(read_by_reader(), $read_before + 1, 'the scans of who has gone are not begun');

hold_still($node, $reader);
$before = long_reads();
my $late = scan_start(500);
wait_for('another long scan', sub { return long_reads() > $before; });
sleep 1;
kill 'CONT', $reader;
$late->{run}->finish;
like(${ $late->{err} }, qr/deadline is exceeded/i, 'a scan that is too late is not begun');
scan_is(1_000_000, $whole, 'one that is not is whole');

# Three clients that want more than the queue of writes holds are refused; one
# that wants little, beside them, never is, wherever they are connected.
sub beside_floods
{
	my ($workers) = @_;
	my $where = "$workers server worker(s)";

	configure_node($node, 'tikv.max_pending_writes' => '64',
		'tikv.server_workers' => $workers, 'max_worker_processes' => '16');
	$node->restart;
	wait_serving($node);
	my @floods = map { flood() } 1 .. 3;
	my ($good, $busy) = (0, 0);

	foreach my $i (1 .. 40)
	{
		my ($answer, $out, $err) = rawctl($node, 'put', "light$i", 'v');

		$good++ if $answer == 0;
		$busy++ if $err =~ /busy/;

		# They end by themselves when they have been refused often enough.
		foreach my $flood (@floods)
		{
			$flood->{run}->pump_nb;
			next if $flood->{run}->pumpable;
			$flood->{run}->finish;
			$flood->{refused}++ if $flood->{err} =~ /busy/;
			%$flood = (%{ flood() }, refused => $flood->{refused});
		}
	}
	is($good, 40, "$where: beside floods a client can write");
	is($busy, 0, "$where: and is never told that the server is busy");
	foreach my $flood (@floods)
	{
		wait_for('a flood to be refused', sub {
			$flood->{run}->pump_nb;
			return $flood->{refused} || $flood->{err} =~ /busy/;
		});
		$flood->{run}->signal('KILL');
		$flood->{run}->finish;
	}
	pass("$where: they are");
}

beside_floods($_) foreach 1, 0;

# One that asks for a lock over and over may wait, but not instead of others:
# these get in line, and the lock's holder ends what all wait for.
my $holder = (txnctl($node, 'ts'))[1];
is((txnctl($node, 'prewrite', $holder, 'hot', 'v'))[0], 0, 'a key is locked');
my $waiter = (txnctl($node, 'ts'))[1];
my $ask = grpc_message(field(1, region_context($node), 1)
	. field(2, field(1, 5) . field(2, 'hot', 1), 1) . field(3, 'hot', 1)
	. field(4, $waiter) . field(5, 20000) . field(6, $waiter) . field(7, 1) . field(8, 1000));
my $socket = connect_http2($node->{tikv}{'tikv.addr'});
write_all($socket, frame('WINDOW_UPDATE', 0, 0, pack 'N', 0x7fff0000));
my ($stream, $in_line) = (1, 0);
foreach my $attempt (1 .. 5)
{
	foreach my $burst (1 .. 8)
	{
		write_all($socket, join '', map {
			my $one = $stream + 2 * $_;

			frame('HEADERS', 4, $one, call_headers('/tikvpb.Tikv/KvPessimisticLock'))
			  . frame('DATA', 1, $one, $ask);
		} 0 .. 19);
		$stream += 40;
		select undef, undef, undef, 0.01;
	}
	my ($answer, $out, $err) = txnctl($node, 'lock', $waiter, $waiter, 1, 'hot');

	$in_line++ if $err =~ /locked by $holder/;
	recv $socket, my $answers, 1 << 20, MSG_DONTWAIT;
}
is($in_line, 5, 'beside one that fills the line for a lock others get into it');
is((txnctl($node, 'commit', $holder, (txnctl($node, 'ts'))[1], 'hot'))[0], 0,
	'and who holds the lock can commit');
close $socket;

$node->stop;
done_testing();
