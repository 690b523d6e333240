# Commands of many slices, one of whose turns is undone: they are told so, what
# their first slices did stays, and repeating them finishes the work.  A turn is
# undone by a row that another session holds.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $n = 700;
my $node = new_node('slices', 'tikv.gc_life_time' => '1h');

# A step that has to succeed, and what it prints.
sub step
{
	my @arguments = @_;
	my ($answer, $out, $err) = txnctl($node, @arguments);

	is($answer, 0, substr("@arguments", 0, 60)) or diag($err);
	return $out;
}

sub is_undone
{
	my ($what, @arguments) = @_;
	my ($answer, $out, $err) = txnctl($node, @arguments);

	is($answer, 4, "$what: refused");
	like($err, qr/rolled back/, "$what: since its turn was rolled back");
}

sub one
{
	return $node->safe_psql('postgres', $_[0]);
}

sub versions_of
{
	return one("SELECT count(*) FROM tikv_internal.write WHERE key >= '$_[0]' AND key < '$_[0]~'");
}

# A session that holds the rows of one key: its versions, or its lock.
sub hold
{
	my ($table, $condition) = @_;
	my $session = $node->background_psql('postgres');

	is($session->query_safe(
			"BEGIN; SELECT count(*) FROM (SELECT 1 FROM tikv_internal.$table WHERE $condition FOR UPDATE) AS held"),
		1, "another session holds a row of $table");
	return $session;
}

sub hold_version
{
	my ($key) = @_;

	return hold('write',
		"key = '$key' AND commit_ts = (SELECT min(commit_ts) FROM tikv_internal.write WHERE key = '$key')");
}

sub hold_lock
{
	my ($key) = @_;

	return hold('lock_slot', "position('$key'::bytea IN rec) > 0");
}

sub give_back
{
	my ($session) = @_;

	$session->query_safe('ROLLBACK');
	$session->quit;
}

# Locks on n keys; returns the start.
sub lock_many
{
	my ($prefix) = @_;
	my $start = step('ts');

	step('prewrite-many', $start, $prefix, $n, 'v');
	return $start;
}

$node->start;
serve($node);

# ---- KvResolveLock, full: commits in slices
my $start = lock_many('resolve/');
my $commit = step('ts');
my $session = hold_lock(sprintf 'resolve/%05d', $n / 2);
is_undone('resolve', 'resolve', $start, $commit, 'resolve/');
my $done = versions_of('resolve/');
cmp_ok($done, '>=', 256, 'resolve: slices before it stay');
cmp_ok($done, '<', $n, 'resolve: those behind it are left');
give_back($session);
step('resolve', $start, $commit, 'resolve/');
is(versions_of('resolve/'), $n, 'resolve: repeated, all are committed');
is(scalar(split /\n/, step('scan', step('ts'), 'resolve/', 'resolve/~')), $n,
	'resolve: and nothing is locked');

# ---- PrepareFlashbackToVersion: rolls back in slices
my $version = step('ts');
my $left = lock_many('resolve/9/');
$start = step('ts');
$session = hold_lock(sprintf 'resolve/9/%05d', $n / 2);
is_undone('prepare', 'prepare-flashback', $start, $version, 'resolve/', 'resolve/~');
is(one('SELECT flashback_start_ts FROM tikv.regions'), $start,
	'prepare: the region has entered the state');
like(($node->psql('postgres', 'SELECT tikv_add_peer(region_id, 1) FROM tikv.regions'))[2],
	qr/flashback/, 'it gets no peers meanwhile');
like((txnctl($node, 'get', step('ts'), 'resolve/00001'))[2], qr/in flashback/,
	'prepare: and serves nothing new');
is(step('get', $version, 'resolve/00001'), 'v', 'prepare: but what was before');
foreach my $sql (q{SELECT tikv_get('raw')}, q{SELECT tikv_put('raw', 'v')}, q{SELECT * FROM tikv_scan('a', 'z', 9)})
{
	my ($answer, $out, $err) = $node->psql('postgres', $sql);

	like($err, qr/region \d+ is being set back to an older version/, "prepare: $sql is refused");
}
cmp_ok(versions_of('resolve/9/'), '>=', 256, 'prepare: slices before it stay');
cmp_ok(versions_of('resolve/9/'), '<', $n, 'prepare: those behind it are left');
give_back($session);

# ---- through a restart, of either kind
foreach my $way (qw(fast immediate))
{
	$node->stop($way);
	$node->start;
	wait_serving($node);
	is(one('SELECT flashback_start_ts FROM tikv.regions'), $start,
		"$way stop: still in the state");
	like((txnctl($node, 'prewrite', step('ts'), 'resolve/00001', 'x'))[2],
		qr/in flashback/, "$way stop: and nobody else writes");
}
step('prepare-flashback', $start, $version, 'resolve/', 'resolve/~');

# ---- FlashbackToVersion: writes in slices; an unfinished one stays in the state
$commit = step('ts');
step('flashback', $start, $commit, $version, 'resolve/', 'resolve/~');
is(one('SELECT flashback_start_ts IS NULL FROM tikv.regions'), 't',
	'flashback: of locks alone, is finished');
like((txnctl($node, 'commit', $left, step('ts'), 'resolve/9/00001'))[2],
	qr/lock not found/, 'flashback: what was locked is rolled back');
$version = step('ts');
$left = lock_many('resolve/8/');
step('resolve', $left, step('ts'), 'resolve/');
$start = step('ts');
step('prepare-flashback', $start, $version, 'resolve/', 'resolve/~');
$commit = step('ts');

# The lock of the first key is in lock_slot: its end is the last slice's.
$session = hold('lock_slot', 'rec IS NOT NULL');
is_undone('flashback', 'flashback', $start, $commit, $version, 'resolve/', 'resolve/~');
give_back($session);
is(one('SELECT flashback_start_ts FROM tikv.regions'), $start,
	'flashback: still in the state');
step('flashback', $start, $commit, $version, 'resolve/', 'resolve/~');
is(one('SELECT flashback_start_ts IS NULL FROM tikv.regions'), 't',
	'flashback: repeated, it is finished');
is(scalar(split /\n/, step('scan', step('ts'), 'resolve/8/', 'resolve/8/~')), 0,
	'flashback: what came later is gone');
is(scalar(split /\n/, step('scan', step('ts'), 'resolve/', 'resolve/~')), $n,
	'flashback: the rest is as it was');

# ---- the same for the row of the region
$start = step('ts');
$session = $node->background_psql('postgres');
$session->query_safe('BEGIN; LOCK TABLE tikv_internal.region IN ACCESS EXCLUSIVE MODE');
is_undone('prepare under a lock', 'prepare-flashback', $start, $start, 'a', 'b');
give_back($session);
is(one('SELECT flashback_start_ts IS NULL FROM tikv.regions'), 't',
	'prepare under a lock: the region is not in the state');
is(step('get', step('ts'), 'resolve/00001'), 'v', 'prepare under a lock: and serves');

# ---- UnsafeDestroyRange
$session = hold_version(sprintf 'resolve/%05d', $n / 2);
is_undone('destroy', 'destroy-range', 'resolve/', 'resolve/~');
cmp_ok(versions_of('resolve/0'), '<', 2 * $n, 'destroy: slices before it stay');
cmp_ok(versions_of('resolve/0'), '>', 0, 'destroy: those behind it are left');
is(one('SELECT count(*) FROM tikv_check()'), 0, 'destroy: no record lacks its value');
give_back($session);
step('destroy-range', 'resolve/', 'resolve/~');
is(versions_of('resolve/'), 0, 'destroy: repeated, all is gone');

# ---- garbage collection
foreach my $value (qw(old new))
{
	$start = step('ts');
	step('prewrite-many', $start, 'gc/', $n, $value);
	step('resolve', $start, step('ts'), 'gc/');
}
is(versions_of('gc/'), 2 * $n, 'two versions each');
$session = hold_version(sprintf 'gc/%05d', $n / 2);
one("ALTER SYSTEM SET tikv.gc_life_time = '1s'");
$node->reload;
wait_for('a round to give up', sub {
	return one('SELECT gave_up_because FROM tikv.gc') =~ /refused|failed/;
});
pass('gc: a round gives up and says so');
cmp_ok(versions_of('gc/'), '>', $n, 'gc: the rest is left');
give_back($session);
wait_for('a whole pass', sub { return versions_of('gc/') == $n; });
pass('gc: the next goes on');
is(scalar(grep { /=new$/ } split /\n/, step('scan', step('ts'), 'gc/', 'gc/~')), $n,
	'gc: the newest are there');

# ---- nothing was left behind by all of it
is(one('SELECT count(*) FROM tikv_check()'), 0, 'tikv_check() is content');
is(one("SELECT count(*) FROM tikv_internal.lock_slot WHERE rec IS NOT NULL"), 0, 'no lock is left');
$node->stop;
done_testing();
