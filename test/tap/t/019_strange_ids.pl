# Ids beyond what a table of Postgres can hold come in messages between stores,
# from whoever reaches the port: they are refused, and end no store.  And votes
# that a store may keep for later do not take its memory.

use strict;
use warnings;

use Http2;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(usleep);

my $too_large = 1 << 63;
my $vote = 5;    # eraftpb.MessageType

local $SIG{PIPE} = 'IGNORE';

# The second node has no region, so any may come to it.
my @nodes = make_stores('ids');
my $node = $nodes[1];

wait_serving($node);
my ($cluster, $store) = split /\|/, $node->safe_psql('postgres',
	'SELECT cluster_id, store_id FROM tikv_internal.store_meta');
my ($pid) = pids($node, 'tikv store');

# raft_serverpb.RaftMessage: a candidate asks for the vote of a peer that is new.
sub vote_of
{
	my ($region, $from, $to, $of) = @_;

	return field(1, $region) . field(2, field(1, $from) . field(2, 99), 1)
	  . field(3, field(1, $to) . field(2, $of // $store), 1)
	  . field(4, field(1, $vote) . field(2, $to) . field(3, $from) . field(4, 9) . field(5, 8)
		  . field(6, 100), 1)
	  . field(5, field(1, 1) . field(2, 1), 1);
}

# One message in a stream of its own, until the store has it.
sub send_message
{
	my ($i, $up, $stream, $message) = @_;
	my ($to) = $nodes[$i]->safe_psql('postgres', 'SELECT store_id FROM tikv_internal.store_meta');
	my $before = received($i);

	write_all($up->{socket}, frame('HEADERS', 4, $stream,
			call_headers('/tikvpb.Tikv/BatchRaft', 'tikv-cluster-id' => $cluster,
				'tikv-from-id' => 99, 'tikv-to-id' => $to, 'tikv-start-seq' => 1 << 16)));
	upload($up, $stream, field(1, $message, 1));
	wait_for('a vote to come', sub {
		my $now = eval { received($i) };
		return defined $now && $now > $before;
	});
}

sub rss_mb
{
	my ($of) = @_;
	my ($kb) = slurp_file("/proc/$of/status") =~ /VmRSS:\s+(\d+)/;

	return int($kb / 1024);
}

my $stream = 1;
my $up = begin_upload(connect_http2($node->{tikv}{'tikv.peer_addr'}));

foreach my $case ([ 'a region', $too_large + 7, 11, 12 ], [ 'a candidate', 77, $too_large + 11, 12 ],
	[ 'a voter', 78, 11, $too_large + 12 ])
{
	my ($what, @ids) = @$case;
	my $before = received(1);

	write_all($up->{socket}, frame('HEADERS', 4, $stream,
			call_headers('/tikvpb.Tikv/BatchRaft', 'tikv-cluster-id' => $cluster,
				'tikv-from-id' => 99, 'tikv-to-id' => $store, 'tikv-start-seq' => 1 << 16)));
	upload($up, $stream, field(1, vote_of(@ids), 1));
	$stream += 2;
	wait_for("the vote to come ($what)", sub {
		my $now = eval { received(1) };
		return defined $now && $now > $before;
	}) if join(' ', pids($node, 'tikv store')) eq $pid;
	usleep(500_000);
	is(join(' ', pids($node, 'tikv store')), $pid, "$what whose id is too large ends no store");
}
unlike(slurp_file($node->logfile), qr/too large to be stored/, 'and no turn fails');

# The first node has the region that all of these overlap, as pieces of it would.
my ($first) = $nodes[0]->safe_psql('postgres', 'SELECT store_id FROM tikv_internal.store_meta');
my ($of_first) = pids($nodes[0], 'tikv store');
my $long = begin_upload(connect_http2($nodes[0]->{tikv}{'tikv.peer_addr'}));
my $before = rss_mb($of_first);

send_message(0, $long, 2 * $_ - 1, vote_of(1000 + $_, 11, 12, $first) . field(30, 'x' x (8 << 20), 1))
  foreach 1 .. 32;
my $grown = rss_mb($of_first) - $before;
note("$grown MB");
cmp_ok($grown, '<', 128, 'votes of 256 MB that come too early are not kept');
$_->stop foreach @nodes;
done_testing();
