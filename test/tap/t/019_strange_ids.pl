# Ids beyond what a table of Postgres can hold come in messages between stores,
# from whoever reaches the port: they are refused, and end no store.

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
	my ($region, $from, $to) = @_;

	return field(1, $region) . field(2, field(1, $from) . field(2, 99), 1)
	  . field(3, field(1, $to) . field(2, $store), 1)
	  . field(4, field(1, $vote) . field(2, $to) . field(3, $from) . field(4, 9) . field(5, 8)
		  . field(6, 100), 1)
	  . field(5, field(1, 1) . field(2, 1), 1);
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
$_->stop foreach @nodes;
done_testing();
