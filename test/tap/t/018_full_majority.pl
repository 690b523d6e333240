# The disks of so many stores are full that the others are no majority: writes
# are told so, with whose they are, and reads go on.  One that is full makes no
# difference.  Writes come back by themselves, also where the region sleeps.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(sleep);

my @stores = (1, 4, 5);
my @nodes = make_group('full_majority', 'tikv.request_timeout' => '10s');
my $leads = wait_leader();
my @follow = grep { $_ != $leads } 0 .. 2;
my $two = join ', ', sort map { $stores[$_] } @follow;

sub reserve
{
	my ($space, @which) = @_;

	foreach my $i (@which)
	{
		$nodes[$i]->append_conf('postgresql.conf', "tikv.reserve_space = '$space'");
		$nodes[$i]->reload;
	}
}

# Exit status and what was said.
sub put
{
	my ($key, %env) = @_;

	local @ENV{ keys %env } = values %env;
	my ($answer, $out, $err) = rawctl($nodes[$leads], 'put', $key, 'v');

	return ($answer, "$out$err");
}

sub wait_refused
{
	my ($what) = @_;
	my ($answer, $err);

	wait_for($what, sub {
		($answer, $err) = put('refused');
		return $err =~ /disk full/;
	});
	like($err, qr/no majority of voters without stores $two, which are short/, "$what: it says whose");
}

sub wait_taken
{
	my ($what) = @_;

	wait_for($what, sub { (put('taken'))[0] == 0 });
	pass($what);
}

# Does the region sleep, as its leader knows?
sub asleep
{
	return (ask($leads, 'SELECT hibernates FROM tikv.raft WHERE region_id = 2 AND is_local') // '') eq 't';
}

order($leads, q{tikv_put('before', 'v')}, 'a key');
wait_same('on all nodes');

# ---- almost full: ordinary writes are refused, others are not

reserve(nearly_full($nodes[$follow[0]]), $follow[0]);
sleep 2; # in which it is known
is((put('one'))[0], 0, 'one store that is almost full is no matter');
reserve(nearly_full($nodes[$follow[1]]), $follow[1]);
wait_refused('two are almost full');
is((put('more', RAWCTL_DISK_FULL_OPT => 1))[0], 0, 'a write that may use the reserve does');
is(ask($leads, q{SELECT count(*) FROM tikv_scan('more', 'morf')}), '1', 'and reads go on');
my ($answer, $out, $err) = $nodes[$leads]->psql('postgres', q{SELECT tikv_put('sql', 'v')});
isnt($answer, 0, 'SQL is refused, too');
like($err, qr/short of disk space/, 'for that reason');

# ---- full: nothing is written

reserve('1000TB', @follow);
foreach my $i (@follow)
{
	wait_for("node $i to take no entries", sub {
		return slurp_file($nodes[$i]->logfile) =~ /takes no entries/;
	});
}
sleep 2; # in which that is known
wait_for('no write to be taken', sub {
	return (put('none', RAWCTL_DISK_FULL_OPT => 2))[1] =~ /no majority of voters/;
});
is(ask($leads, q{SELECT count(*) FROM tikv_scan('more', 'morf')}), '1', 'reads go on');
$nodes[$leads]->restart;
wait_for('it to lead again', sub { wait_leader() == $leads });
is(ask($leads, q{SELECT count(*) FROM tikv_scan('more', 'morf')}), '1', 'also when a leader has begun its term then');
($answer, $out, $err) = $nodes[$leads]->psql('postgres', "SELECT tikv_transfer_leader(2, $stores[$follow[0]])");
isnt($answer, 0, 'leadership is not handed over');
like($err, qr/the disk of that store is full/, 'for that reason');

# ---- one has space again, then both

wait_for('the region to sleep', sub { asleep() });
reserve('-1', $follow[0]);
wait_taken('with one of them writes are taken again, where the region slept');
reserve('1000TB', $follow[0]);
wait_refused('and refused again');
reserve('-1', @follow);
wait_taken('and come back again');
wait_same('all nodes have the same');
checks_clean(0 .. 2);
$_->stop foreach @nodes;
done_testing();
