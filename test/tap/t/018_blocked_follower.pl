# A follower whose turns cannot begin, since somebody holds a table, reads no
# more messages than it has room for: the others wait at their senders, none is
# dropped, and it has all when the table is free.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;

# A quarter of that is the room for messages, which half of the keys fill.
my @nodes = make_group('blocked_follower', 'tikv.memory_limit' => '16MB', 'tikv.request_timeout' => '60s');
my $leads = wait_leader();
my ($blocked) = grep { $_ != $leads } 0 .. 2;
my $keys = 64;

sub metric
{
	my ($name) = @_;

	return $nodes[$blocked]->safe_psql('postgres', "SELECT coalesce(sum(value), 0) FROM tikv.metrics WHERE name = '$name'");
}

order($leads, q{tikv_put('before', 'v')}, 'a key');
wait_same('which all nodes have');
my $session = hold_table($blocked, 'raft_log', 'ACCESS EXCLUSIVE');

is(ask($leads, "SELECT count(tikv_put(('k' || i)::bytea, repeat('v', 150000)::bytea)) FROM generate_series(1, $keys) AS i"),
	$keys, 'large values');
is(ask($leads, q{SELECT count(*) FROM tikv_scan('k', 'l')}), $keys, 'the others go on');
is(metric('tikv_fdw_raft_received_dropped_total'), '0', 'the one that is blocked has dropped nothing');
let_table_go($session);
wait_same('it has all when the table is free');
is(metric('tikv_fdw_raft_received_dropped_total'), '0', 'and has dropped nothing then');
checks_clean(0 .. 2);
$_->stop foreach @nodes;
done_testing();
