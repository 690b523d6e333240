# A voter that has a snapshot, and has not brought in its rows: it is pending for
# the Placement Driver, is not handed leadership and does not take it, since
# nobody could read or write the region until it is done.

use strict;
use warnings;

use HTTP::Tiny;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(time usleep);

my $rows = $ENV{ROWS} // 30000;
my @nodes = make_group('installing', 'tikv.request_timeout' => '30s',
	'tikv.raft_log_gc_size_limit' => '4MB', 'tikv.raft_log_gc_threshold' => 1);
my @stores = (1, 4, 5);
my $leads = wait_leader();
my $behind = ($leads + 1) % 3;

sub installing
{
	return (ask($behind, 'SELECT count(*) FROM tikv_internal.snapshot_install') // 0) > 0;
}

# Of the region, as the leader has told PD.
sub pending
{
	my $answer = HTTP::Tiny->new(timeout => 10)->get(
		"http://$nodes[$leads]{tikv}{'tikv.pd_addr'}/pd/api/v1/region/id/2");

	return $answer->{content} =~ /"pending_peers"/ ? 1 : 0;
}

sub of_peer
{
	my ($what) = @_;

	return ask($leads, "SELECT $what FROM tikv.raft WHERE region_id = 2 AND store_id = $stores[$behind]") // '';
}

sub hand_over
{
	my ($answer, $out, $err) = $nodes[$leads]->psql('postgres', "SELECT tikv_transfer_leader(2, $stores[$behind])");

	return ($answer, $err);
}

# The node falls behind by more than the log of the others has.
sub fall_behind
{
	my ($try) = @_;

	$nodes[$behind]->stop('immediate');
	my $end = ask($leads, 'SELECT applied_index FROM tikv_internal.raft_state WHERE region_id = 2');

	# The log's size is estimated where it has been cut, so it may take some more.
	wait_for('the log to be given up', sub {
		ask($leads, "SELECT tikv_put('large$try', convert_to(repeat('x', 1000000), 'UTF8'))");
		usleep(200_000);
		return (ask($leads, 'SELECT truncated_index FROM tikv_internal.raft_state WHERE region_id = 2') // 0) > $end;
	});
}

# ---- it goes down in the middle, and comes up without room to go on

is(ask($leads, qq{
	SELECT count(*) FROM (SELECT tikv_batch_put(
		array_agg(('k' || lpad(i::text, 7, '0'))::bytea),
		array_agg(convert_to(repeat(md5(i::text), 3), 'UTF8')))
	FROM generate_series(1, $rows) i GROUP BY i / 1000) puts}), int($rows / 1000) + 1, 'data');

my $caught = 0;

for (my $try = 0; $try < 8 && !$caught; $try++)
{
	fall_behind($try);
	start_again($behind);
	my $until = time() + 60;

	usleep(1000) while !installing() && time() < $until;
	$nodes[$behind]->kill9;
	$nodes[$behind]->append_conf('postgresql.conf', "tikv.reserve_space = '" . nearly_full($nodes[$behind]) . "'");
	start_again($behind);
	wait_serving($nodes[$behind]);
	last if $caught = installing();
	$nodes[$behind]->append_conf('postgresql.conf', 'tikv.reserve_space = -1');
	$nodes[$behind]->reload;
}
ok($caught, 'a snapshot that is half installed');

# ---- it follows, and that is all

$leads = wait_leader();
is(ask($leads, "SELECT tikv_put('during', 'it')"), '', 'writes go on');
wait_for('the peer to have all of the log', sub { of_peer('lag = 0') eq 't' });
is(of_peer('progress'), 'snapshot', 'the leader knows what it is at');
wait_for('PD to be told', sub { pending() });
pass('and so does PD');
my ($answer, $err) = hand_over();
isnt($answer, 0, 'leadership is not handed to it');
like($err, qr/not fit/, 'for that reason');

# ---- the leader goes, and the other one has to lead

my $old = $leads;

$nodes[$old]->stop('immediate');
$leads = wait_leader($old);
isnt($leads, $behind, 'nor does it take it');
is(ask($leads, "SELECT tikv_put('without the leader', 'it')"), '', 'but what it acknowledges counts');
ok(installing(), 'it is still at it');
$nodes[$old]->start;

# ---- it goes on

$nodes[$behind]->append_conf('postgresql.conf', 'tikv.reserve_space = -1');
$nodes[$behind]->reload;
wait_for('the snapshot to be installed', sub { !installing() });
wait_for('PD to be told', sub { !pending() });
wait_for('leadership to be handed over', sub { (hand_over())[0] == 0 });
wait_for('the node to lead', sub { (leader() // -1) == $behind });
is(ask($behind, "SELECT convert_from(tikv_get('without the leader'), 'UTF8')"), 'it', 'it leads, and has everything');
wait_same('as the others have');
checks_clean(0 .. 2);
$_->stop foreach @nodes;
done_testing();
