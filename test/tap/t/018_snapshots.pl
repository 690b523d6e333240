# A peer is added to a region with data: it gets a snapshot, whatever is
# written meanwhile, and whatever is killed while it is sent or installed.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use POSIX ();
use Test::More;
use TikvCopies;
use TikvTest;
use Time::HiRes qw(time usleep);

my $rows = $ENV{ROWS} // 30000;
my ($first, $second) = map { new_node("snapshot$_") } 0, 1;
my $other = 40; # id of the second store

$first->start;
serve($first);
my $region = $first->safe_psql('postgres', 'SELECT region_id FROM tikv.regions');
$first->stop;
copy_node($first, $second);

# Versions, long values and locks of transactions, as TiKV encodes them; no
# garbage collection, to which they are all older than anything.
my @transactions = (
	q{INSERT INTO tikv_internal.write (commit_ts, key, rec) SELECT 10 + i / 3000, ('t' || i % 3000)::bytea, '\x50057603' || 'abc'::bytea FROM generate_series(0, 8999) i},
	q{INSERT INTO tikv_internal.write (commit_ts, key, rec) SELECT 7, ('v' || i)::bytea, '\x5006' FROM generate_series(1, 500) i},
	q{INSERT INTO tikv_internal.value (start_ts, key, value) SELECT 6, ('v' || i)::bytea, convert_to(repeat(md5(i::text), 10), 'UTF8') FROM generate_series(1, 500) i},
	q{INSERT INTO tikv_internal.write (commit_ts, key, rec) SELECT 10 + i, 'versions', '\x50057601' || '7'::bytea FROM generate_series(1, 3000) i},
	q{INSERT INTO tikv_internal.lock_slot (slot, rec) SELECT i - 100, '\x08'::bytea || ('l' || i)::bytea || '\x5008'::bytea || ('l' || i)::bytea || '\x0801760161'::bytea FROM generate_series(100, 130) i});
$_->append_conf('postgresql.conf', 'tikv.gc_life_time = 0') foreach $first, $second;
before_start($first, store_record($first, $second, $other), @transactions);
before_start($second, store_record($first, $second, $other),
	"UPDATE tikv_internal.store_meta SET store_id = $other, machine = 0, device = 0, inode = 0, timeline = 0",
	'DELETE FROM tikv_internal.region',
	'DELETE FROM tikv_internal.raft_state',
	'DELETE FROM tikv_internal.raw',
	"DELETE FROM tikv_internal.pd_kv WHERE key LIKE 'raft/r/%'");
$_->start foreach $first, $second;
wait_serving($_) foreach $first, $second;

sub content
{
	my ($node) = @_;

	return $node->safe_psql('postgres', q{
		SELECT 'raw', count(*), md5(string_agg(cf::text || key::text || value::text || expires_at, ',' ORDER BY cf, key)) FROM tikv_internal.raw
		UNION ALL SELECT 'write', count(*), md5(string_agg(key::text || commit_ts || rec::text, ',' ORDER BY key, commit_ts)) FROM tikv_internal.write
		UNION ALL SELECT 'value', count(*), md5(string_agg(key::text || start_ts || value::text, ',' ORDER BY key, start_ts)) FROM tikv_internal.value
		UNION ALL SELECT 'locks', count(*), md5(string_agg(rec::text, ',' ORDER BY rec)) FROM tikv_internal.lock_slot WHERE rec IS NOT NULL
		ORDER BY 1});
}

my $peer; # on the second store

sub add
{
	$peer = $first->safe_psql('postgres', "SELECT tikv_add_peer($region, $other)");
}

# And once the file of its snapshot is there, rows that are in it, the first ones,
# are deleted as a range: the receiver has to do so, too.
sub add_and_delete
{
	my ($out) = split /\n/, $first->safe_psql('postgres', qq{
		SELECT tikv_add_peer($region, $other);
		DO \$\$ BEGIN FOR i IN 1 .. 10000 LOOP
			EXIT WHEN EXISTS (SELECT FROM pg_ls_dir('tikv_snapshots', true, false));
			PERFORM pg_sleep(0.001);
		END LOOP; END \$\$;
		SELECT tikv_delete_range('k0000000', 'k0000200');
	});

	$peer = $out;
}

# A removed peer hears of it when a newer one takes its place.
sub remove
{
	$first->safe_psql('postgres', "SELECT tikv_remove_peer($region, $other)");
	wait_for('the peer to go', sub {
		my $answer = try_query($first, "SELECT cardinality(peer_ids) FROM tikv_internal.region WHERE region_id = $region");

		return defined $answer && $answer eq '1';
	});
}

# Not before the region has a peer with all its data.
sub is_there
{
	my ($node) = @_;
	my $answer = try_query($node, "SELECT count(*) FROM tikv_internal.region WHERE region_id = $region AND state = 0 AND peer_ids <> '{}' AND peer_id = $peer");

	return defined $answer && $answer eq '1';
}

sub wait_same
{
	my ($what) = @_;

	eval { wait_for($what, sub { is_there($second) && content($first) eq content($second) }) };
	is(content($second), content($first), $what);
	diag($second->safe_psql('postgres', 'SELECT * FROM tikv.raft')) if $@;
	die $@ if $@;
}

sub files
{
	my ($node) = @_;

	return join ' ', grep { !/^\./ } slurp_dir($node->data_dir . '/tikv_snapshots');
}

# Its outcome does not matter; a node that is down must not end the process.
sub maybe
{
	my ($sql) = @_;

	eval { try_query($first, $sql) };
}

# Writes of all kinds, in the background, until the file is gone.
sub write_meanwhile
{
	my ($flag) = @_;
	my $pid = fork();

	return $pid if $pid != 0;
	srand(7);
	$SIG{PIPE} = 'IGNORE';
	for (my $n = 0; -e $flag; $n++)
	{
		my $i = 1 + int(rand($rows));

		my $key = sprintf 'k%07d', $i;

		maybe($n % 3 == 0 ? "SELECT tikv_put('$key', 'again $n')" :
			$n % 3 == 1 ? "SELECT tikv_delete('$key')" :
			  "SELECT tikv_batch_put(array_agg(('n' || $n || '-' || i)::bytea), array_agg('v'::bytea)) FROM generate_series(1, 50) i");
		maybe("SELECT tikv_delete_range('n$n', 'n$n-3')")
		  if $n % 20 == 19;
	}
	POSIX::_exit(0); # not the end of the test
}

my $dir = PostgreSQL::Test::Utils::tempdir();

sub with_writes
{
	my ($code) = @_;
	my $pid;

	append_to_file("$dir/go", "on\n");
	$pid = write_meanwhile("$dir/go");
	eval { $code->() };
	unlink "$dir/go";
	waitpid($pid, 0);
	die $@ if $@;
}

# ---- data: small values, large ones, keys that share a long beginning

$first->safe_psql('postgres', qq{
	SELECT tikv_batch_put(
		array_agg(('k' || lpad(i::text, 7, '0'))::bytea),
		array_agg(convert_to(repeat(md5(i::text), 3), 'UTF8')))
	FROM generate_series(1, $rows) i GROUP BY i / 1000;
	SELECT tikv_put(('large' || i)::bytea, convert_to(repeat('x', 2000000), 'UTF8')) FROM generate_series(1, 5) i;
	SELECT tikv_put(convert_to(repeat('p', 2048) || i, 'UTF8'), 'long key') FROM generate_series(1, 20) i});

# ---- a learner gets it while keys are written

is($first->safe_psql('postgres', 'SELECT * FROM tikv_check()'), '', 'rows of transactions are good');
my $began = time();
with_writes(sub {
	add_and_delete();
	wait_for('a snapshot to be installed', sub { is_there($second) });
});
elapsed_note("a snapshot of $rows rows", $began);
wait_same('the second store has what the first one has');
is(try_query($first, "SELECT waiting || ' ' || (removed > 0) FROM tikv.tasks WHERE task = 'send snapshots'"), '0 true', 'it was counted where it was sent');
is(try_query($second, "SELECT waiting || ' ' || removed FROM tikv.tasks WHERE task = 'install snapshots'"), '0 1', 'and where it was installed');
is(files($second), '', 'no file is left there');
$first->safe_psql('postgres', "SELECT tikv_put('after', 'it')");
wait_same('what follows is replicated');

# ---- removed and added again: what was there is replaced

remove();
$first->safe_psql('postgres', "SELECT tikv_delete_range('k0001', 'k0002')");
$first->safe_psql('postgres', "SELECT tikv_put('k0000001', 'changed meanwhile')");
add();
wait_same('a second snapshot replaces the first one');

# ---- the store is killed while it is installed, several times

remove();
$first->safe_psql('postgres', "SELECT tikv_delete_range('k0003', 'k0004')");
add();
my $killed = 0;
with_writes(sub {
	foreach my $round (1 .. 3)
	{
		# By a session that is there already: it may take no longer than a new one would.
		my $watch = $second->background_psql('postgres', on_error_stop => 0);
		my $seen;

		$watch->query("SET statement_timeout = '${\($round == 1 ? 60 : 5)}s'");
		$watch->query(q{DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM tikv_internal.snapshot_install) LOOP PERFORM pg_sleep(0.001); END LOOP; END $$});
		usleep(20_000 * ($round - 1));
		$seen = $watch->query('SELECT count(*) > 0 FROM tikv_internal.snapshot_install');
		$second->kill9;
		eval { $watch->quit };
		$killed++ if $seen eq 't';
		wait_for('it to start', sub {
			$second->{_pid} = undef;
			return $second->start(fail_ok => 1);
		});
		wait_serving($second);
	}
});
cmp_ok($killed, '>=', 1, 'tikv/tikv#12470: it was killed while it installed a snapshot');
wait_same('tikv/tikv#12470: and has all in the end');
is(files($second), '', 'no file is left');

# ---- the sender is killed while it makes or sends one

remove();
add();
wait_for('a file', sub { files($first) ne '' });
$first->kill9;
wait_for('it to start', sub {
	$first->{_pid} = undef;
	return $first->start(fail_ok => 1);
});
wait_serving($first);
wait_same('another one is made after a restart');

foreach my $node ($first, $second)
{
	is($node->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), '0', $node->name . ' checks clean');
	unlike(slurp_file($node->logfile), qr/PANIC|TRAP|broken invariant|damaged/, $node->name . ' has nothing bad in its log');
	$node->stop;
}
done_testing();
