# A leader that stands still while a write waits for another's latches, until
# the others have a leader of their own and have removed its peer: all that they
# have said meanwhile comes at once then.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvCommit;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(usleep);

my @stores = (1, 4, 5);
my @nodes = make_group('gone', 'tikv.request_timeout' => '60s');
my $leads = wait_leader();
my @others = grep { $_ != $leads } 0 .. 2;
my $node = $nodes[$leads];
my ($store) = pids($node, 'tikv store');
my @their = map { pids($nodes[$_], 'tikv store') } @others;

use_node($node);

sub ts
{
	return (txnctl($node, 'ts'))[1];
}

sub log_end
{
	return query('SELECT coalesce(max(log_index), 0) FROM tikv_internal.raft_log WHERE region_id = 2');
}

sub calls
{
	return query(q{SELECT value::int FROM tikv.metrics
		WHERE name = 'tikv_fdw_grpc_calls_in_flight' AND labels->>'worker' = 'store'});
}

# The others answer no more: the first is in the log, and the second waits for
# it.  When they do, the leader stops as it applies the first.
my @ts = map { ts() } 0 .. 1;
my $before = log_end();

kill 'STOP', @their;
my @writes = (txnctl_start($node, 'prewrite', $ts[0], 'key', 'v'));
wait_for('the first in the log', sub { log_end() > $before });
push @writes, txnctl_start($node, 'prewrite', $ts[1], 'key', 'w');
wait_for('the second behind it', sub { calls() == 2 });
write_points('store_apply_txn=1*stop');
usleep(300_000);
kill 'CONT', @their;
wait_for('the leader to stop', sub { state_of($store) eq 'T' });
clear_points();

# Its board still says that it leads.
my $new;
wait_for('another leader', sub {
	($new) = grep { (ask($_, 'SELECT is_leader FROM tikv.regions WHERE region_id = 2') // '') eq 't' } @others;
	return defined $new;
});
order($new, "tikv_remove_peer(2, $stores[$leads])", 'the old leader is removed');
wait_for('its peer to be none', sub {
	return (ask($new, 'SELECT cardinality(peer_ids) FROM tikv_internal.region WHERE region_id = 2') // '') eq '2';
});
usleep(1_000_000);
kill 'CONT', $store;
$_->{run}->finish foreach @writes;
note("write $_: ${ $writes[$_]{err} }") foreach 0, 1;
isnt($writes[1]{run}->result(0), 0, 'the second is refused');
wait_for('its store to remember that its peer was removed', sub {
	return (ask($leads, 'SELECT state FROM tikv_internal.region WHERE region_id = 2') // '') eq '2';
});
is((pids($node, 'tikv store'))[0], $store, 'and the store goes on');
checks_clean(0 .. 2);
$_->stop foreach @nodes;

done_testing();
