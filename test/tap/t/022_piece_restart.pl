# A piece that a split made on a follower, and that is alone there after the
# other node has left: a turn that fails is undone, as anywhere else.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvCopies;
use TikvTest;
use Time::HiRes qw(sleep);

my $one = new_node('one');

$one->start;
serve($one);
$one->safe_psql('postgres', q{SELECT tikv_put('a', '1'), tikv_put('z', '1')});
my $two = new_node('two', 'tikv.join' => $one->{tikv}{'tikv.pd_addr'});

$two->start;
serve($two);

sub wait_answer
{
	my ($what, $sql, $wanted) = @_;

	wait_for($what, sub { (try_query($two, $sql) // '') eq $wanted });
	pass($what);
}

wait_answer('the rows', 'SELECT count(*) FROM tikv_internal.raw', '2');
wait_for('the split', sub { defined try_query($one, q{SELECT tikv_split('u', true)}) });
wait_answer('the piece on both', 'SELECT count(*) FROM tikv_internal.raft_state', '2');
$one->safe_psql('postgres', 'SELECT tikv_leave()');
wait_answer('it to be alone', 'SELECT count(*) FROM tikv.regions WHERE is_leader', '2');

# A log that has just been cut is empty, too: not behind the next writes.
my $without = 0;

wait_for('writes that need no log', sub {
	sleep 0.3;
	my $done = defined try_query($two, q{SELECT tikv_put('a', '2'), tikv_put('z', '2')})
	  && $two->safe_psql('postgres', 'SELECT count(*) FROM tikv_internal.raft_log') eq '0';

	$without = $done ? $without + 1 : 0;
	return $without == 4;
});

my ($store) = pids($two, 'tikv store');
my $since = -s $two->logfile;
my $holder = $two->background_psql('postgres');

foreach my $key ('a', 'z')
{
	$holder->query_safe('BEGIN');
	$holder->query_safe("SELECT 1 FROM tikv_internal.raw WHERE key = '$key' FOR UPDATE");
	my ($answer) = $two->psql('postgres', "SET tikv.request_timeout = '3s'; SELECT tikv_put('$key', '3')");

	isnt($answer, 0, "a write to a row that somebody holds fails, $key");
	$holder->query_safe('ROLLBACK');
}
$holder->quit;
wait_for('writes', sub { defined try_query($two, q{SELECT tikv_put('a', '4'), tikv_put('z', '4')}) });
unlike(slurp_file($two->logfile, $since), qr/broken invariant/, 'no invariant broke');
is_deeply([ pids($two, 'tikv store') ], [$store], 'the store is the same process');
$_->stop foreach $two, $one;
done_testing();
