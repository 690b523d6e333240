# A learner that has a snapshot and has not brought in its rows becomes no voter:
# not before it is done.

use strict;
use warnings;

use Test::More;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(time usleep);

my $rows = $ENV{ROWS} // 30000;
my @nodes = make_stores('promotion', 'tikv.request_timeout' => '30s');

sub installing
{
	return (ask(1, 'SELECT count(*) FROM tikv_internal.snapshot_install') // 0) > 0;
}

# Of the learner, as the leader knows it.
sub learner
{
	my ($what) = @_;

	return ask(0, "SELECT $what FROM tikv.raft WHERE region_id = 2 AND store_id = 4") // '';
}

sub promote
{
	my ($answer, $out, $err) = $nodes[0]->psql('postgres', 'SELECT tikv_add_peer(2, 4, false)');

	return ($answer, $err);
}

sub reserve
{
	my ($space) = @_;

	$nodes[1]->append_conf('postgresql.conf', "tikv.reserve_space = '$space'");
}

is(ask(0, qq{
	SELECT count(*) FROM (SELECT tikv_batch_put(
		array_agg(('k' || lpad(i::text, 7, '0'))::bytea),
		array_agg(convert_to(repeat(md5(i::text), 3), 'UTF8')))
	FROM generate_series(1, $rows) i GROUP BY i / 1000) puts}), int($rows / 1000) + 1, 'data');

# ---- it goes down in the middle, and comes up without room to go on

my $caught = 0;

for (my $try = 0; $try < 8 && !$caught; $try++)
{
	order(0, 'tikv_add_peer(2, 4)', 'a learner is added');
	my $until = time() + 60;

	usleep(1000) while !installing() && time() < $until;
	$nodes[1]->kill9;
	reserve(nearly_full($nodes[1]));
	start_again(1);
	wait_serving($nodes[1]);
	last if $caught = installing();
	reserve('-1');
	$nodes[1]->reload;
	order(0, 'tikv_remove_peer(2, 4)', 'and removed again');
	wait_for('it to be gone', sub { learner('1') eq '' });
}
ok($caught, 'a learner with a snapshot that is half installed');

# ---- it follows, and is no voter

wait_for('it to have all of the log', sub { learner('lag = 0') eq 't' });
wait_for('the leader to know what it is at', sub { learner('progress') eq 'snapshot' });
my ($answer, $err) = promote();
isnt($answer, 0, 'it is not promoted');
like($err, qr/waits for a snapshot, or installs one/, 'for that reason');
is(learner('role'), 'learner', 'and stays what it was');
is(ask(0, "SELECT tikv_put('during', 'it')"), '', 'writes go on');

# ---- it goes on

reserve('-1');
$nodes[1]->reload;
wait_for('the snapshot to be installed', sub { !installing() });
wait_for('it to be promoted', sub { (promote())[0] == 0 });
pass('then it is promoted');

# The Placement Driver wants an odd number of voters, so it may be a learner
# again by now.
is(ask(1, q{SELECT count(*) FROM tikv_internal.raw WHERE key LIKE 'k%'}), $rows, 'and has all data');
checks_clean(0, 1);
$_->stop foreach @nodes;

done_testing();
