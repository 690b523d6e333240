# Groups with nothing to do sleep, wake up with the next request, and notice
# when the store of their leader dies; a peer that was forgotten goes.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(time usleep);

my @nodes = make_group('hibernate', 'tikv.max_leader_missing_duration' => '5s');

# All nodes say that their peer of region 2 sleeps, or that none does.
sub all_are
{
	my ($what, @of) = @_;

	wait_for("all to be $what", sub {
		my @answers = map {
			ask($_, 'SELECT hibernates FROM tikv.raft WHERE region_id = 2 AND is_local') // ''
		} @of;

		return !grep { $_ ne ($what eq 'asleep' ? 't' : 'f') } @answers;
	});
	pass("all are $what");
}

my $leads = wait_leader();

is(ask($leads, q{SELECT tikv_put('a', '1')}), '', 'a write');
all_are('asleep', 0 .. 2);

# ---- the next request wakes them

is(ask($leads, q{SELECT tikv_put('a', '2')}), '', 'a write wakes the leader');
is(ask($leads, q{SELECT convert_from(tikv_get('a'), 'UTF8')}), '2', 'and is read');
wait_same('everybody has it');
all_are('asleep', 0 .. 2);

my $term = ask($leads, 'SELECT term FROM tikv.regions WHERE region_id = 2');

is(ask($leads, q{SELECT convert_from(tikv_get('a'), 'UTF8')}), '2',
	'a read wakes the leader, too: its lease is over');
foreach my $read (q{tikv_txn_get('t') IS NULL}, q{count(*) = 0 FROM tikv_txn_scan('t', 'u')},
	q{count(*) = 1 FROM tikv_scan('', '')}, q{count(*) = 0 FROM tikv_mvcc('t')})
{
	all_are('asleep', 0 .. 2);
	is(ask($leads, "SELECT $read"), 't', "as does $read");
}
all_are('asleep', 0 .. 2);
usleep(8_000_000);
all_are('asleep', 0 .. 2);
is(ask($leads, 'SELECT term FROM tikv.regions WHERE region_id = 2'), $term,
	'nobody has campaigned meanwhile');
is(ask($_, q{SELECT reason FROM tikv_status() WHERE worker = 'store'}), '', 'who sleeps has a leader') foreach 0 .. 2;

# ---- the garbage collection goes on, and wakes nobody who has no garbage

# Rounds follow each other by the second with this: who is woken by one, or by
# its passes over the versions, is not asleep for good.
sub collect
{
	my ($times, $what) = @_;

	foreach (1 .. $times)
	{
		my $point = ask($leads, 'SELECT gc_safe_point FROM tikv.gc');

		wait_for('another round', sub {
			(ask($leads, "SELECT gc_safe_point > $point FROM tikv.gc") // '') eq 't';
		});
	}
	pass("rounds of the garbage collection: $what");
}

my $awake_sql = q{SELECT value FROM tikv.metrics
	WHERE name = 'tikv_fdw_regions_woken_total'};

ask($leads, q{SELECT tikv_txn_put('t', 'old'), tikv_txn_put('t2', 'old')});
ask($leads, q{SELECT tikv_txn_put('t', 'new')});
$_->append_conf('postgresql.conf', 'tikv.gc_life_time = 1s') foreach @nodes;
$_->reload foreach @nodes;
wait_for('the old version to go', sub {
	(ask($leads, q{SELECT count(*) FROM tikv_mvcc('t')}) // '') eq '1';
});
all_are('asleep', 0 .. 2);
collect(2, 'it sleeps by now');
all_are('asleep', 0 .. 2);

my @woken = map { ask($_, $awake_sql) } 0 .. 2;

collect(5, 'nothing to do');
is_deeply([map { ask($_, $awake_sql) } 0 .. 2], \@woken, 'nobody was woken');

# A lock that a client has left behind is found in a group that sleeps.
my ($answer, $start) = txnctl($nodes[$leads], 'ts');

($answer) = txnctl($nodes[$leads], 'prewrite', $start, 'left', 'v');
is($answer, 0, 'a client locks a key and is gone');
$_->append_conf('postgresql.conf', 'tikv.gc_life_time = 10s') foreach @nodes;
$_->reload foreach @nodes;
wait_for('its lock to be ended', sub {
	(ask($leads, q{SELECT count(*) FROM tikv.locks}) // '') eq '0';
});
all_are('asleep', 0 .. 2);
is((txnctl($nodes[$leads], 'get', (txnctl($nodes[$leads], 'ts'))[1], 'left'))[0], 2,
	'it has not committed');
$_->append_conf('postgresql.conf', q{tikv.gc_life_time = '10min'}) foreach @nodes;
$_->reload foreach @nodes;


# ---- off, and on again

$_->append_conf('postgresql.conf', 'tikv.hibernate_regions = off') foreach @nodes;
$_->reload foreach @nodes;
is(ask($leads, q{SELECT tikv_put('a', '3')}), '', 'a write');
usleep(10_000_000);
all_are('awake', 0 .. 2);
$_->append_conf('postgresql.conf', 'tikv.hibernate_regions = on') foreach @nodes;
$_->reload foreach @nodes;
all_are('asleep', 0 .. 2);

# ---- the leader dies while all sleep: its store is missed

my $began = time();

$nodes[$leads]->kill9;

my $next = wait_leader($leads);

elapsed_note('a new leader of a sleeping group after SIGKILL', $began);
isnt($next, $leads, 'another one leads');
is(ask($next, q{SELECT convert_from(tikv_get('a'), 'UTF8')}), '3', 'nothing is lost');
usleep(8_000_000);
all_are('awake', grep { $_ != $leads } 0 .. 2);
start_again($leads);
wait_same('the killed one has caught up');
all_are('asleep', 0 .. 2);

# ---- all at once

$_->kill9 foreach @nodes;
start_again($_) foreach 0 .. 2;
$leads = wait_leader();
is(ask($leads, q{SELECT convert_from(tikv_get('a'), 'UTF8')}), '3', 'after all were killed, too');
all_are('asleep', 0 .. 2);

$_->stop foreach @nodes;
done_testing();
