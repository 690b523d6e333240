# What a leader keeps in memory for a follower that lags is bounded for all its
# regions together, and given back when nothing happens; the follower gets what
# it lacks all the same, a part of it in each turn.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;

# A quarter of that is for the logs; a region by itself keeps up to 1 MiB.
my @nodes = make_group('cached_logs', 'tikv.memory_limit' => '16MB', 'tikv.request_timeout' => '60s');
my $bound = 4 << 20;
my @bounds = map { chr } ord('b') .. ord('l');
my $leads = wait_leader();
my ($lags) = grep { $_ != $leads } 0 .. 2;

sub reserve
{
	my ($space) = @_;

	$nodes[$lags]->append_conf('postgresql.conf', "tikv.reserve_space = '$space'");
	$nodes[$lags]->reload;
}

sub kept
{
	return ask($leads, q{SELECT value FROM tikv.metrics WHERE name = 'tikv_fdw_raft_cached_bytes'}) // 0;
}

# More than a MiB for each region.
sub fill
{
	return ask($leads, q{SELECT count(tikv_put((chr(ascii('a') + r) || i)::bytea, repeat('v', 100000)::bytea))
		FROM generate_series(1, 12) AS i, generate_series(0, 11) AS r});
}

order($leads, qq{tikv_split('$_')}, "a region up to $_") foreach @bounds;
wait_same('all have them');
is(ask($leads, 'SELECT count(*) FROM tikv.regions WHERE is_leader'), 1 + @bounds, 'one node leads them all');

# ---- a follower that is there, and takes nothing

my $since = -s $nodes[$lags]->logfile;

reserve('1000TB');
wait_for('it to take nothing', sub {
	slurp_file($nodes[$lags]->logfile, $since) =~ /takes no entries of its regions' leaders/;
});

my $most = 0;

wait_for('the leader to keep what it lacks', sub {
	is(fill(), 12 * 12, 'large values');

	my $now = kept();

	$most = $now if $now > $most;
	return $most > 1 << 20;
});
foreach (1 .. 3)
{
	is(fill(), 12 * 12, 'more of them');

	my $now = kept();

	$most = $now if $now > $most;
}
cmp_ok($most, '<=', $bound, 'it does not keep more than the bound, in all regions');

# ---- nothing is written, and it still lacks them

wait_for('all of that to be given back', sub { kept() == 0 });
pass('groups that do nothing keep nothing');
is(ask($lags, 'SELECT count(*) FROM tikv_internal.raw'), '0', 'though the follower has nothing yet');

# ---- it gets them from the tables

reserve('-1');
wait_same('it has all when it takes entries again');
checks_clean(0 .. 2);
$_->stop foreach @nodes;
done_testing();
