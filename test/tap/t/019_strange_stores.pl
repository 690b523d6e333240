# Messages between stores name whoever their sender likes.  A store remembers
# those with which it shares regions, not all that are made up: neither its
# memory nor its time goes to them.

use strict;
use warnings;

use Http2;
use Test::More;
use TikvTest;
use Time::HiRes qw(time);

my $beat = 1001;    # EXTRA_STORE_BEAT of peer_message.h
my $streams = 100;
my $per_stream = 1000;

local $SIG{PIPE} = 'IGNORE';

my $node = new_node('strange');

$node->start;
serve($node);

my ($cluster, $store) = split /\|/, $node->safe_psql('postgres',
	'SELECT cluster_id, store_id FROM tikv_internal.store_meta');
my ($pid) = pids($node, 'tikv store');

sub received
{
	return $node->safe_psql('postgres', q{SELECT coalesce(sum(value), 0) FROM tikv.metrics
		WHERE name = 'tikv_fdw_raft_messages_received_total'});
}

# Private memory of the store's worker.
sub memory_kb
{
	open my $file, '<', "/proc/$pid/status" or return 0;
	my ($kb) = map { /^RssAnon:\s+(\d+)/ ? $1 : () } <$file>;
	return $kb;
}

# raft_serverpb.RaftMessage: the store of this id lives.
sub beat_of
{
	my ($from) = @_;

	return field(1, ~0) . field(2, field(1, 1) . field(2, $from), 1)
	  . field(3, field(1, 1) . field(2, $store), 1) . field(10, field(1, $beat), 1);
}

# A BatchRaft stream with beats of so many stores, from this id on.
sub send_beats
{
	my ($up, $stream, $first) = @_;

	write_all($up->{socket}, frame('HEADERS', 4, $stream,
			call_headers('/tikvpb.Tikv/BatchRaft', 'tikv-cluster-id' => $cluster,
				'tikv-from-id' => 999_999, 'tikv-to-id' => $store,
				'tikv-start-seq' => 1 << 16)));
	return upload($up, $stream, join '', map { field(1, beat_of($first + $_), 1) } 0 .. $per_stream - 1);
}

my $up = begin_upload(connect_http2($node->{tikv}{'tikv.peer_addr'}));
my $before = received();

ok(send_beats($up, 1, 1_000_000), 'a store that nobody knows says that it lives');
wait_for('it to be heard', sub { received() >= $before + $per_stream });

my $memory = memory_kb();
my $begin = time();

foreach my $n (1 .. $streams)
{
	send_beats($up, 2 * $n + 1, 1_000_000 + $n * $per_stream) or die "stream $n is not read";
}
wait_for('all to be heard', sub { received() >= $before + ($streams + 1) * $per_stream });
is($node->safe_psql('postgres', q{SELECT tikv_put('k', 'v')}), '', 'the store writes');
note(sprintf 'after %.1f s', time() - $begin);
cmp_ok(memory_kb() - $memory, '<', 3000, 'a hundred thousand of them take no memory');
is(join(' ', pids($node, 'tikv store')), $pid, 'the store lives');
$node->stop;
done_testing();
