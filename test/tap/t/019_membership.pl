# A region grows from one store to three and back while it is written to, and
# is split: data arrive as snapshots, pieces have peers wherever it had, and
# every acknowledged write is where it belongs.

use strict;
use warnings;

use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(time usleep);

my @nodes = make_stores('member');
my $dir = PostgreSQL::Test::Utils::tempdir();
my @stores = (1, 4, 5);

# As the leader on node $i sees the peer of region 2 on a store.
sub peer_is
{
	my ($i, $store, $role) = @_;

	wait_for("the peer on store $store to be a $role that has all", sub {
		my $found = ask($i, "SELECT role FROM tikv.raft WHERE region_id = 2 AND store_id = $store AND lag = 0 AND progress IS DISTINCT FROM 'silent'");

		return defined $found && $found eq $role;
	});
	pass("the peer on store $store is a $role that has all");
}

# What psql says of an error, with its SQLSTATE.
sub refusal
{
	my ($i, $sql) = @_;

	return ($nodes[$i]->psql('postgres', "\\set VERBOSITY verbose\n$sql"))[2];
}

# ---- one store, then two, then three, under load

foreach my $from (map { $_ * 100 + 1 } 0 .. 19)
{
	wait_for("old keys from $from", sub {
		(ask(0, "SELECT count(tikv_put(convert_to('old' || i, 'UTF8'), convert_to(repeat('v', 1000), 'UTF8'))) FROM generate_series($from, $from + 99) i") // '') eq '100';
	});
}
is(ask(0, q{SELECT count(*) FROM tikv_scan('old', 'old~')}), '2000', 'a lone peer has data');
is(ask(0, 'SELECT count(*) FROM tikv_internal.raft_log'), '0', 'and no log');

my $until = time() + 25;
my $pid = fork();

if ($pid == 0)
{
	my $at = 0;

	open(my $log, '>', "$dir/writer") or POSIX::_exit(1);
	$log->autoflush(1);
	for (my $n = 1; time() < $until;)
	{
		if (defined ask($at, "SELECT tikv_put('new$n', '$n')"))
		{
			print $log "$n\n";
			$n++;
		}
		else
		{
			$at = ($at + 1) % 3;
		}
	}
	POSIX::_exit(0);
}
order(0, 'tikv_add_peer(2, 4)', 'a learner is added');
peer_is(0, 4, 'learner');
ok(!defined ask(0, 'SELECT tikv_add_peer(2, 4)'), 'not twice');
like(refusal(1, 'SELECT tikv_add_peer(2, 4)'), qr/ERROR:  55000: region 2 does not take the order.*\nDETAIL:  Store 1 leads it; nothing was done/,
	'nor by the node that has it, which hears why');
order(0, 'tikv_add_peer(2, 5)', 'and another one');
peer_is(0, 5, 'learner');
order(1, 'tikv_add_peer(2, 4, false)', 'the first is promoted, on its own node');
order(0, 'tikv_add_peer(2, 5, false)', 'the second is promoted');
peer_is(0, 4, 'follower');
peer_is(0, 5, 'follower');
ok(!defined ask(0, 'SELECT tikv_remove_peer(2, 1)'), 'the leader does not remove itself');
like(refusal(1, 'SELECT tikv_remove_peer(2, 1)'), qr/ERROR:  55000: region 2 does not take the order/,
	'nor for a follower');
like(refusal(1, 'SELECT tikv_remove_peer(2, 77)'), qr/ERROR:  42704: region 2 has no peer on store 77/, 'a peer that there is not');
like(refusal(1, 'SELECT tikv_transfer_leader(99999, 4)'), qr/ERROR:  42704: there is no region 99999/, 'a region that there is not');
order(2, 'tikv_transfer_leader(2, 4)', 'the leader hands over, as a third node wants it');
is(wait_leader(0), 1, 'to whom it was told to');
waitpid($pid, 0);
wait_same('all three have the same rows');

sub acknowledged
{
	my ($i) = @_;
	my %present = map { $_ => 1 } split /\n/,
	  ask($i, q{SELECT convert_from(key, 'UTF8') FROM tikv_internal.raw});
	my @lost = grep { !$present{"new$_"} }
	  split /\n/, slurp_file("$dir/writer");

	return join ',', @lost;
}

is(acknowledged($_), '', "node $_ has all that was acknowledged") foreach 0 .. 2;

# ---- orders that are sent past SQL, of a stranger

sub number
{
	my ($field, $value) = @_;

	return pack('C', $field << 3) . join '', map { chr(($value >> 7 * $_ & 127) | ($value >> 7 * ($_ + 1) ? 128 : 0)) } grep { $_ == 0 || $value >> 7 * $_ } 0 .. 8;
}

sub part
{
	my ($field, $bytes) = @_;

	return pack('C C', $field << 3 | 2, length $bytes) . $bytes;
}

# What the store of node 1 answers to an order for region 2.
sub stranger
{
	my ($cluster, $version, $admin) = @_;
	my ($peer, $conf_ver) = split /\|/, ask(1, 'SELECT peer_id, conf_ver FROM tikv.regions WHERE region_id = 2');
	my $order = part(1, number(1, 2) . part(2, number(1, $peer) . number(2, 4))
		  . part(4, pack('Q>', $cluster)) . part(5, number(1, $conf_ver) . number(2, $version)))
	  . part(3, $admin);

	open(my $file, '>:raw', "$dir/order") or die $!;
	print $file pack('C N', 0, length $order), $order;
	close $file;
	return (run_command([ 'curl', '-s', '-D', '-', '-o', '/dev/null', '--max-time', 20, '--http2-prior-knowledge',
		'-H', 'Content-Type: application/grpc', '-H', 'TE: trailers', '--data-binary', "\@$dir/order",
		"http://$nodes[1]{tikv}{'tikv.addr'}/tikv_fdw.Store/Order" ]))[0];
}

my $cluster = ask(1, 'SELECT cluster_id FROM tikv_internal.store_meta');
my $version = ask(1, 'SELECT version FROM tikv.regions WHERE region_id = 2');
my $to_itself = number(1, 4) . part(5, part(1, number(1, 1000) . number(2, 1)));

like(stranger($cluster + 1, $version, $to_itself), qr/^grpc-status: 3\b.*another store or cluster|another store or cluster.*^grpc-status: 3\b/ms, 'an order of another cluster is refused');
like(stranger($cluster, $version, number(1, 3) . part(4, number(1, 1) . number(2, 1))), qr/^grpc-status: 3\b/m, 'so is a command that is none of SQL');
like(stranger($cluster, $version + 1, $to_itself), qr/^grpc-status: 0\b/m, 'one for another epoch is answered with the region as it is');
like(stranger($cluster, $version, $to_itself), qr/^grpc-status: 9\b/m, 'and one that cannot be is refused by the region');
is(wait_leader(), 1, 'nothing came of them');

# ---- it is set back to an older version, by entries of the log

my $now = (txnctl($nodes[1], 'ts'))[1];
is((txnctl($nodes[1], 'prepare-flashback', $now, $now - 1, 'a', 'b'))[0], 0, 'a flashback of several peers begins');
ok(!defined ask(1, "SELECT tikv_put('during', 'x')"), 'and nothing is written meanwhile');
my $later = (txnctl($nodes[1], 'ts'))[1];
is((txnctl($nodes[1], 'flashback', $now, $later, $now - 1, 'a', 'b'))[0], 0, 'it ends');
is(ask(1, "SELECT tikv_put('during', 'x'), tikv_delete('during')"), '|', 'and writes go on');

# ---- the log is given up once all have it

wait_for('the log to be given up', sub {
	return ask(1, 'SELECT count(*) < 100 FROM tikv_internal.raft_log') eq 't';
});
pass('the log does not grow for ever');

# ---- a split

order(0, q{tikv_split('new2')}, 'the region is split, by SQL on a follower');
order(1, q{tikv_split('old')}, 'and again');
wait_for('all stores to have three regions', sub {
	return 3 == grep {
		(ask($_, q{SELECT count(*) || string_agg(version::text, '' ORDER BY start_key) FROM tikv.regions}) // '') eq '3233'
		  || (ask($_, 'SELECT count(*) FROM tikv.regions') // '') eq '3'
	} 0 .. 2;
});
pass('every store has the pieces');
wait_for('one store to lead all pieces', sub {
	return (ask(1, 'SELECT bool_and(is_leader) FROM tikv.regions') // '') eq 't';
});
pass('led by the store that led the region');
is(ask(1, q{SELECT count(*) FROM (SELECT start_key, lag(end_key) OVER (ORDER BY start_key) AS before FROM tikv.regions) r WHERE before IS DISTINCT FROM start_key AND before IS NOT NULL}), '0', 'without a gap');
is(ask(1, q{SELECT count(tikv_put(convert_to(p, 'UTF8'), 'split')) FROM unnest(ARRAY['a', 'new20', 'new3', 'old5', 'z']) p}), '5', 'all pieces take writes');
is(ask(1, q{SELECT count(*) FROM tikv_scan('', '')}), ask(1, 'SELECT count(*) FROM tikv_internal.raw'), 'a scan goes over their borders');
ok(!defined ask(1, q{SELECT tikv_split('old')}), 'a bound is no key to split at');
wait_same('the same rows after it');

# ---- all are killed and come back

$_->kill9 foreach @nodes;
start_again($_) foreach 0 .. 2;
wait_for('leaders for all pieces', sub {
	my %led;

	foreach my $i (0 .. 2)
	{
		$led{$_} = 1 foreach split /\n/, ask($i, 'SELECT region_id FROM tikv.regions WHERE is_leader') // '';
	}
	return keys %led == 3;
});
pass('every piece has a leader after all were killed');
wait_same('with the same rows');
is(acknowledged($_), '', "node $_ still has all that was acknowledged") foreach 0 .. 2;

# ---- back to one store

my $leads = wait_leader();
my @others = grep { $_ != $leads } 0 .. 2;

order($leads, "tikv_remove_peer(2, $stores[$_])", "store $stores[$_] loses its peer") foreach @others;
wait_for('a lone peer without a log', sub {
	return (ask($leads, q{SELECT count(*) || bool_and(lease_ms = 'infinity')::text FROM tikv.raft WHERE region_id = 2}) // '') eq '1true';
});
pass('one peer is left, with a lease that has no end');
foreach my $i (@others)
{
	wait_for("node $i to forget the region", sub {
		return (ask($i, 'SELECT count(*) FROM tikv.regions WHERE region_id = 2') // '') eq '0';
	});
	is(ask($i, 'SELECT state FROM tikv_internal.region WHERE region_id = 2'), '2', "node $i remembers that it was removed");
}
is(ask($leads, q{SELECT tikv_put('zz', 'alone')}), '', 'and it takes writes');
wait_for('its log to be gone', sub {
	ask($leads, q{SELECT tikv_put('zz', 'again')});
	return (ask($leads, 'SELECT count(*) FROM tikv_internal.raft_log WHERE region_id = 2') // '') eq '0';
});
pass('without keeping a log');
checks_clean(0 .. 2);
$_->stop foreach @nodes;
done_testing();
