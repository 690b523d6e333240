# The reserve of a disk is not for snapshots: one is not made, and none is taken,
# where it would be used up; with room again the peer gets its data.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $keys = 2000;
my $bytes = 100_000; # of each: 200 MB, of which tables and logs take little
my $none = '1000TB'; # no disk has that much
my $has = new_node('has');

$has->start;
serve($has);
$has->safe_psql('postgres',
	"SELECT tikv_put(convert_to('k' || i, 'UTF8'), convert_to(repeat('v', $bytes), 'UTF8')) FROM generate_series(1, $keys) i");
my $gets = new_node('gets', 'tikv.join' => $has->{tikv}{'tikv.pd_addr'});

sub reserve
{
	my ($node, $space) = @_;

	configure_node($node, 'tikv.reserve_space' => $space);
	$node->reload;
}

sub says
{
	my ($node, $text) = @_;

	return slurp_file($node->logfile) =~ $text;
}

sub files
{
	my ($node) = @_;

	return grep { !/^\./ } slurp_dir($node->data_dir . '/tikv_snapshots');
}

# Wait until the leader has heard more of the groups.
sub wait_heard
{
	my $sql = q{SELECT coalesce(sum(value), 0) FROM tikv.metrics WHERE name = 'tikv_fdw_raft_messages_received_total'};
	my $before = $has->safe_psql('postgres', $sql);

	wait_for('more messages', sub { $has->safe_psql('postgres', $sql) >= $before + 10 });
}

# A reserve above which half of the snapshot fits: twice its size is needed.
sub hardly_room
{
	my ($node) = @_;
	my ($free) = `df -Pm @{[ $node->data_dir ]}` =~ /\s(\d+)\s+\d+%\s/ or die 'no free space';

	return $free - int($keys * $bytes / 2e6) . 'MB';
}

# ---- the leader has no room for the file
reserve($has, $none);
wait_for('writes to be refused', sub { (rawctl($has, 'put', 'k2', 'v'))[0] != 0 });
$gets->start;
$gets->safe_psql('postgres', 'CREATE EXTENSION tikv_fdw');
ok(wait_for('the leader to say that it has no room', sub {
			return says($has, qr/no room for a snapshot of region \d+ above tikv\.reserve_space/);
		}), 'the leader says that it has no room');
ok(!says($has, qr/made a snapshot/), 'it has made none');
is(scalar(files($has)), 0, 'nor begun one');
is((rawctl($has, 'get', 'k1'))[1], 'v' x $bytes, 'it serves');

# ---- the new node has space, but not for that
ok(!says($gets, qr/takes no entries/), 'the new node is well');
reserve($gets, hardly_room($gets));
wait_heard();
reserve($has, '0');
ok(wait_for('the new node to refuse', sub {
			reserve($gets, hardly_room($gets)); # others use the disk, too
			return says($has, qr/could not be sent to peer \d+: .*the disk is almost full/);
		}), 'with room it makes one, for which the new node has no room');
is(scalar(files($gets)), 0, 'it has kept nothing');
is($gets->safe_psql('postgres', 'SELECT count(*) FROM tikv_internal.raw'), '0', 'nor taken a row');

# ---- a file that is not sent does not stay on a full disk
isnt(scalar(files($has)), 0, 'the leader keeps the file, to send it again');
reserve($has, $none);
ok(wait_for('the file to go', sub { return files($has) == 0 }), 'until its own disk is short');
reserve($has, '0');

# ---- both have
reserve($gets, '0');
wait_serving($gets);
ok(wait_for('all rows', sub {
			return try_query($gets, 'SELECT count(*) FROM tikv_internal.raw') eq $keys;
		}), 'with room on both it gets all');

$_->stop foreach $gets, $has;
done_testing();
