# What the garbage collection learns of groups that sleep: an async commit that
# comes after the look is above the safe point, and regions of which the
# collecting store has no peer are not woken, either.

use strict;
use warnings;

use Test::More;
use TikvSpread;
use TikvTest;
use Time::HiRes qw(usleep);

# Keys below h are led by node 0, which collects; others by node 1.
my @nodes = make_spread('gcs', ['h'], [ 0, 1 ]);

pd('POST', 'schedulers/balance-region-scheduler', { delay => 3600 });

sub woken
{
	my ($i) = @_;

	return sql($i, q{SELECT value FROM tikv.metrics WHERE name = 'tikv_fdw_regions_woken_total'});
}

sub safe_point { return sql(0, 'SELECT coalesce(gc_safe_point, 0) FROM tikv.gc'); }

sub rounds
{
	my ($n) = @_;

	foreach (1 .. $n)
	{
		my $point = safe_point();

		wait_for('another round', sub { safe_point() > $point });
	}
}

sub collect_after
{
	my ($life) = @_;

	$nodes[0]->append_conf('postgresql.conf', "tikv.gc_life_time = '$life'");
	$nodes[0]->reload;
}

# Rounds by the second keep a group awake that another store leads: what it is
# asked comes as of a client, and sleep takes six seconds of nothing.
sub fall_asleep
{
	collect_after('10min');
	usleep(1_500_000); # until it is shown who was woken just now
	wait_for('all groups to be asleep', sub { all_asleep() });
	collect_after('1s');
}

sub all_asleep
{
	return !grep { (try_query($_, 'SELECT bool_and(hibernates) FROM tikv.raft WHERE is_local') // 'f') ne 't' } @nodes;
}

is(sql(1, q{SELECT tikv_txn_put('z', 'v')}), '', 'a write');

# ---- an async commit whose prewrite comes after the look

# Its store refuses it if it happens to have heard of the safe point before, or
# if its group was awake, and so was scanned.
my $tried = 0;

foreach my $i (1 .. 12)
{
	fall_asleep();
	my $woken = woken(1);
	my (undef, $start) = txnctl($nodes[0], 'ts');

	wait_for('the safe point to pass the start of a transaction', sub { safe_point() > $start });
	my $point = safe_point();

	next if !all_asleep() || woken(1) != $woken;
	my ($answer, $commit) = txnctl($nodes[0], 'prewrite-async', $start, "za$i", 'v', "za$i", '');

	next if $answer != 0;
	cmp_ok($commit, '>', $point, 'an async commit is above the safe point that was reached before');
	is((txnctl($nodes[0], 'commit', $start, $commit, "za$i"))[0], 0, 'it commits');
	last if ++$tried == 2;
}
ok($tried > 0, 'one was not too old');

# ---- a region of which the collecting store has no peer

push @nodes, join_one('gcs');
my ($region) = map { $_->[0] } (regions_of())[1];

# PD gives it another one, which has more room there.
wait_for('the peers to be elsewhere', sub {
	my $stores = sql(1, "SELECT string_agg(store_id::text, ',') FROM tikv.raft WHERE region_id = $region AND role IN ('leader', 'follower')");
	my %at = map { $_ => 1 } split /,/, $stores // '';
	my $from = store_of(0);

	return 1 if !$at{$from} && keys %at == 3;
	try_sql(1, "SELECT tikv_remove_peer($region, $from)") if $at{$from} && keys %at == 3;
	usleep(500_000);
	return 0;
});
is(sql(0, "SELECT count(*) FROM tikv.raft WHERE is_local AND region_id = $region"), '0', 'the collecting store has none');
fall_asleep();
rounds(2);
my @woken = map { woken($_) } 0 .. 3;

rounds(5);
is_deeply([ map { woken($_) } 0 .. 3 ], \@woken, 'five rounds wake nobody');
ok(all_asleep(), 'and all sleep');

# A lock that a client has left behind is found there.
foreach my $how (qw(asleep awake))
{
	collect_after('10min') if $how eq 'asleep';
	my (undef, $start) = txnctl($nodes[0], 'ts');

	is((txnctl($nodes[0], 'prewrite', $start, "zleft$how", 'v'))[0], 0, "$how: a client locks a key and is gone");
	fall_asleep() if $how eq 'asleep';
	wait_for('the safe point to pass it', sub { safe_point() > $start });
	is(sql(1, 'SELECT count(*) FROM tikv.locks'), '0', "$how: its lock was ended before");
	is((txnctl($nodes[0], 'get', (txnctl($nodes[0], 'ts'))[1], "zleft$how"))[0], 2, "$how: it has not committed");
}
foreach my $i (0 .. 3)
{
	is(sql($i, 'SELECT count(*) FROM tikv_check()'), '0', "node $i checks clean");
}
$_->stop foreach @nodes;

done_testing();
