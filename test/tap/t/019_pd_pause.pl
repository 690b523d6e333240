# Followers of the Placement Driver that pause for less than an election takes:
# its leader answers those who waited for timestamps behind others that still
# wait for a quorum, and goes on.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvSpread;
use TikvTest;
use Time::HiRes qw(time usleep);

my $first = start_first('pause');
my @nodes = join_others('pause');

wait_for('three voters of PD', sub {
	return 2 == (() = slurp_file($first->logfile) =~ /becomes a voter/g);
});

# Sessions of the leader's node that say the same over and over.
sub start_session
{
	my ($sql) = @_;
	my ($out, $err) = ('', '');
	my $all = "$sql;\n" x 200_000;

	return IPC::Run::start([ 'psql', '-XAtq', '-d', $first->connstr('postgres') ],
		'<', \$all, '>', \$out, '2>', \$err);
}

my @before = map { (pids($_, 'tikv pd'))[0] } @nodes;
my @sessions = (
	(map { start_session(q{SELECT tikv_txn_get('k')}) } 1 .. 3),
	(map { start_session("SELECT tikv_gc_barrier('b$_')") } 1 .. 3));

foreach my $round (1 .. 8)
{
	usleep(700_000);
	kill 'STOP', @before[1, 2];
	my $end = time() + 2.3;
	while (time() < $end)
	{
		$_->pump_nb foreach @sessions;
		usleep(20_000);
	}
	kill 'CONT', @before[1, 2];
	$_->pump_nb foreach @sessions;
}
$_->kill_kill foreach @sessions;
wait_serving($first);
is_deeply([ map { (pids($_, 'tikv pd'))[0] } @nodes ], \@before, 'no member had to start again');
unlike(slurp_file($_->logfile), qr/broken invariant/, 'and none was at a loss') foreach @nodes;
like($first->safe_psql('postgres', q{SELECT tikv_gc_barrier('c')}), qr/^\d+$/, 'changes get through');
$_->stop('immediate') foreach @nodes;
done_testing();
