# Regions led by two stores: deadlocks that no store sees alone, locks that
# garbage collection finds and ends on both, versions that go everywhere, and a
# session of a third node that holds them.

use strict;
use warnings;

use Test::More;
use TikvSpread;
use TikvTest;
use Time::HiRes qw(time usleep);

# Keys below h on node 0, which detects deadlocks; others on node 1.
my @nodes = make_spread('locks', ['h'], [ 0, 1 ], 'tikv.request_timeout' => '60s');

sub ts
{
	my ($answer, $out) = txnctl($nodes[0], 'ts');

	die 'no timestamp' if $answer != 0;
	chomp $out;
	return $out;
}

# ---- deadlocks: two clients lock crosswise; the second to wait is told

# Either client's wait may close the cycle; each waits a second at a time.
sub deadlock
{
	my ($what, $early, $late) = @_;
	my ($t1, $t2) = (ts(), ts());
	my $found;

	is((txnctl($nodes[0], 'lock', $t1, $t1, 0, "a$what"))[0], 0, "$what: the first client's lock");
	is((txnctl($nodes[0], 'lock', $t2, $t2, 0, "z$what"))[0], 0, "$what: the second client's lock");
	my %wants = (first => [ $t1, "z$what" ], second => [ $t2, "a$what" ]);
	wait_for('a deadlock', sub {
		my ($ts, $key) = @{ $wants{$early} };
		my $waiting = txnctl_start($nodes[0], 'lock', $ts, $ts, 1000, $key);
		my ($answer, $out, $err);

		usleep(200_000);
		($ts, $key) = @{ $wants{$late} };
		($answer, $out, $err) = txnctl($nodes[0], 'lock', $ts, $ts, 1000, $key);
		IPC::Run::finish($waiting->{run});
		$found = [ $late, $err ] if $err =~ /deadlock/;
		$found = [ $early, ${ $waiting->{err} } ] if ${ $waiting->{err} } =~ /deadlock/;
		return $found;
	});
	my ($mine, $other) = $found->[0] eq 'first' ? ($t1, $t2) : ($t2, $t1);

	like($found->[1], qr/deadlock with $other/, "$what: with the other client");
	like($found->[1], qr/$other waits for $mine on/, "$what: whose wait is in the chain");
	like($found->[1], qr/$mine waits for $other on/, "$what: as is its own");
	txnctl($nodes[0], 'rollback', $t1, "a$what");
	txnctl($nodes[0], 'rollback', $t2, "z$what");
	txnctl($nodes[0], 'resolve', $t1, 0, "a$what");
	txnctl($nodes[0], 'resolve', $t2, 0, "z$what");
}

deadlock('x', 'first', 'second');
deadlock('y', 'second', 'first');

# The detector moves with the first region.
my @regions = map { $_->[0] } regions_of();

move_leader($regions[0], 2);
deadlock('moved', 'second', 'first');
move_leader($regions[0], 0);

# Sessions of two nodes.
{
	my @sessions = map { $nodes[$_]->background_psql('postgres', on_error_stop => 0) } 1, 2;
	my @keys = ('as', 'zs');

	foreach my $i (0, 1)
	{
		$sessions[$i]->query_safe("SET tikv.lock_wait_timeout = '60s'; BEGIN; SELECT tikv_txn_put('$keys[$i]', 'x')");
	}
	$sessions[0]->query_until(qr/waits/, "\\echo waits\nSELECT tikv_txn_put('zs', 'x');\n\\echo done-waiting\n");
	my ($out, $failed) = $sessions[1]->query("SELECT tikv_txn_put('as', 'x'); ROLLBACK");
	my $second = $sessions[1]->{stderr};

	$sessions[0]->query_until(qr/done-waiting/, '');
	like($second . $sessions[0]->{stderr}, qr/deadlock detected/, 'sessions of two nodes: a deadlock is found');
	$sessions[$_]->query('ROLLBACK') foreach 0, 1;
	$_->quit foreach @sessions;
}

# ---- garbage collection

foreach my $n (1 .. 5)
{
	sql(2, "BEGIN; SELECT tikv_txn_put('gc', 'v$n'), tikv_txn_put('zgc', 'v$n'); COMMIT");
}
my $reader = $nodes[2]->background_psql('postgres');

is($reader->query_safe(q{BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT convert_from(tikv_txn_get('gc'), 'UTF8')}), 'v5', 'a session begins to read');
sql(2, "BEGIN; SELECT tikv_txn_put('gc', 'new'), tikv_txn_put('zgc', 'new'); COMMIT");

# A client died between its prewrites: its primary key is of the one store, its
# other key of the other.
my $dead = ts();

is((txnctl($nodes[0], 'prewrite', $dead, 'dead', 'x'))[0], 0, 'a lock of a client that died');
is((txnctl($nodes[0], 'prewrite-under', $dead, 'zdead', 'x', 'dead'))[0], 0, 'and its other one');

# One that committed asynchronously, with all its keys prewritten.
my $async = ts();

foreach my $key (qw(async async2 zasync zasync2))
{
	is((txnctl($nodes[0], 'prewrite-async', $async, $key, 'done', 'async', 'async2,zasync,zasync2'))[0], 0, "an async commit of a client that died: $key");
}
foreach my $i (0 .. 2)
{
	$nodes[$i]->safe_psql('postgres', q{ALTER SYSTEM SET tikv.gc_life_time = '9s'});
	$nodes[$i]->reload;
}

sub versions
{
	my ($i, $key) = @_;

	return sql($i, "SELECT count(*) FROM tikv_internal.write WHERE key = '$key'");
}

wait_for('old versions to go from the one store', sub { versions(0, 'gc') == 2 });
wait_for('old versions to go from the other store', sub { versions(1, 'zgc') == 2 });
pass('versions that nobody reads go on both stores, but for those that a session does');
is($reader->query_safe(q{SELECT convert_from(tikv_txn_get('gc') || tikv_txn_get('zgc'), 'UTF8')}), 'v5v5', 'the session of a third node reads them still');
isnt((txnctl($nodes[0], 'get', $dead, 'gc'))[0], 1, 'the store answers');
is($reader->query_safe('COMMIT; SELECT 1'), '1', 'it ends');
$reader->quit;
wait_for('its versions to go', sub { versions(0, 'gc') == 1 && versions(1, 'zgc') == 1 });
pass('and what it read goes, too');
wait_for('the locks of the dead client to go', sub {
	sql(1, 'SELECT count(*) FROM tikv.locks') == 0;
});
is(sql(0, q{SELECT count(*) FROM tikv.locks}), '0', 'locks are ended on both stores');
foreach my $key (qw(async async2 zasync zasync2))
{
	is((txnctl($nodes[0], 'get', ts(), $key))[1], "done", "the async commit is one, on both stores: $key");
}
is(sql(2, q{SELECT convert_from(tikv_txn_get('gc') || tikv_txn_get('zgc'), 'UTF8')}), 'newnew', 'the newest versions are there');
is(versions(2, 'gc'), '1', 'replicas lose the same versions');

# ---- a flashback, whose leader dies in the middle

sql(2, "BEGIN; SELECT tikv_txn_put('k1', 'old'), tikv_txn_put('k2', 'old'); COMMIT");
my $version = ts();

sql(2, "BEGIN; SELECT tikv_txn_put('k1', 'newer'), tikv_txn_delete('k2'), tikv_txn_put('k3', 'newer'); COMMIT");
is((txnctl($nodes[0], 'prepare-flashback', ts(), $version, 'h', 'l'))[0], 0, 'a flashback that nobody goes on with');
my $start = ts();

is((txnctl($nodes[0], 'prepare-flashback', $start, $version, 'h', 'l'))[0], 0, 'another takes its place');
is((txnctl($nodes[0], 'prepare-flashback', $start, $version, 'h', 'l'))[0], 0, 'again');
isnt((txnctl($nodes[0], 'prewrite', ts(), 'k4', 'x'))[0], 0, 'nothing else is written');
isnt((txnctl($nodes[0], 'get', ts(), 'k1'))[0], 0, 'or read');
is((txnctl($nodes[0], 'get', $version, 'k1'))[0], 0, 'but for what was before');
$nodes[1]->stop('immediate');
wait_for('another leader', sub {
	my ($region) = grep { $_->[0] == $regions[1] } regions_of();

	return defined $region->[1] && $region->[1] != 1;
});
wait_for('the new leader to refuse', sub {
	(txnctl($nodes[0], 'prewrite', ts(), 'k4', 'x'))[2] =~ /flashback/i;
});
pass('a new leader knows of it');
wait_for('the flashback to end', sub {
	(txnctl($nodes[0], 'flashback', $start, ts(), $version, 'h', 'l'))[0] == 0;
});
is(sql(2, q{SELECT string_agg(convert_from(key || value, 'UTF8'), ',') FROM tikv_txn_scan('k', 'l')}), 'k1old,k2old', 'all is as it was');
is(sql(2, q{SELECT tikv_txn_put('k4', 'x')}), '', 'and writes go on');
$nodes[1]->start;
wait_for('the node that was away', sub {
	(try_sql(1, q{SELECT string_agg(convert_from(key || value, 'UTF8'), ',') FROM tikv_txn_scan('k', 'l')}))[1] eq 'k1old,k2old,k4x';
});
wait_for('its replica', sub { versions(1, 'k1') eq versions(2, 'k1') });
pass('it has the same');

done_testing();
