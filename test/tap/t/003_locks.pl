# Somebody holds a lock on the tables: requests are answered ServerIsBusy at
# once instead of waiting, tikv_status() says who is in the way, and service
# goes on by itself when the lock is gone.

use strict;
use warnings;

use IPC::Run;
use Test::More;
use TikvTest;
use Time::HiRes qw(time);

my $node = new_node('locks');

$node->start;
serve($node);
rawctl($node, 'put', 'k', 'before');

# Run statements in an open transaction; while they hold their locks, writes
# are busy and tikv_status names the session; then all is well again.
sub check_blocked
{
	my ($what, $statement) = @_;
	my $session = $node->background_psql('postgres');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my ($answer, $out, $err);
	my $began;

	$session->query_safe("BEGIN; $statement");
	$began = time();
	($answer, $out, $err) = rawctl($node, 'put', 'k', "during $what");
	isnt($answer, 0, "$what: a write is refused");
	like($err, qr/region error: the tables are locked by process $pid\b/, "$what: as busy, with who is in the way");
	elapsed_note("$what: refusal after all retries", $began);

	# tikv_status() itself must not touch the locked tables.  It speaks of
	# writes that were refused lately, so there must be some.
	wait_for("$what to be named by tikv_status()", sub {
		rawctl($node, 'put', 'k', "during $what");
		return status($node) =~ /\b$pid\b/;
	});
	pass("$what: tikv_status() names the session");
	$session->query_safe('ROLLBACK');
	$session->quit;
	wait_for("service after $what", sub {
		return (rawctl($node, 'put', 'k', "after $what"))[0] == 0;
	});
	is((rawctl($node, 'get', 'k'))[1], "after $what", "$what: serves by itself afterwards");
}

my @pids = pids($node, 'tikv store');
check_blocked('ACCESS EXCLUSIVE', 'LOCK TABLE tikv_internal.raw IN ACCESS EXCLUSIVE MODE');
check_blocked('SHARE', 'LOCK TABLE tikv_internal.raw IN SHARE MODE');
check_blocked('DROP EXTENSION', 'DROP EXTENSION tikv_fdw');
check_blocked('REINDEX', 'REINDEX TABLE tikv_internal.raw');

# ---- a table rewritten under the store: new files, same keys
my $big = 'x' x 3000;
foreach my $i (1 .. 200)
{
	$node->safe_psql('postgres', "SELECT tikv_put('row$i', '$big$i')") if $i % 10 == 0;
}
foreach my $command ('VACUUM FULL tikv_internal.raw', 'REINDEX TABLE tikv_internal.raw',
	'REINDEX TABLE CONCURRENTLY tikv_internal.raw',
	'CLUSTER tikv_internal.raw USING raw_key', 'VACUUM tikv_internal.raw')
{
	$node->safe_psql('postgres', $command);
	is((rawctl($node, 'put', 'k', $command))[0], 0, "writes after $command");
	is((rawctl($node, 'get', 'k'))[1], $command, "reads its write after $command");
	is($node->safe_psql('postgres',
			"SELECT convert_from(tikv_get('row200'), 'UTF8') = '${big}200'"),
		't', "and an older one after $command");
}

# ---- an index is replaced; somebody who reads the table keeps the old one from going
sub served
{
	my ($when) = @_;

	is((rawctl($node, 'put', 'k', $when))[0], 0, "writes $when");
	is((rawctl($node, 'get', 'k'))[1], $when, "and reads $when");
	is((txnctl($node, 'get', (txnctl($node, 'ts'))[1], 'tk'))[1], 'tv', "also of transactions $when");
}

sub replaced
{
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_index WHERE indexrelid::regclass::text LIKE '%key_ccold' AND NOT indisvalid");
}

$node->safe_psql('postgres', q{SELECT tikv_txn_put('tk', 'tv')});
foreach my $table ('raw', 'write')
{
	my $holder = $node->background_psql('postgres');

	$holder->query_safe("BEGIN; SELECT count(*) FROM tikv_internal.$table");
	my $reindex = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c',
		"REINDEX INDEX CONCURRENTLY tikv_internal.${table}_key" ], '<', \'', '>', \my $out, '2>', \my $err);
	wait_for('the new index to be read', sub { return replaced() == 1 });
	served("while ${table}_key goes");
	$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'REINDEX%'");
	$reindex->finish;
	is(replaced(), 1, 'it stays when that is cancelled');
	served("while ${table}_key is left");
	$holder->query_safe('COMMIT');
	$holder->quit;
	$node->safe_psql('postgres', "DROP INDEX CONCURRENTLY IF EXISTS tikv_internal.${table}_key_ccold");
	served("when ${table}_key has gone");
}
# ---- one that is not built yet is no index to enter rows in
my $writer = $node->background_psql('postgres');

$writer->query_safe('BEGIN; LOCK TABLE tikv_internal.region IN ROW EXCLUSIVE MODE');
my $reindex = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c',
	'REINDEX TABLE CONCURRENTLY tikv_internal.region' ], '<', \'', '>', \my $out, '2>', \my $err);
wait_for('the new index to be there', sub {
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_index WHERE indexrelid::regclass::text LIKE '%region_pkey_ccnew' AND NOT indisready") == 1;
});
$node->safe_psql('postgres', q{SELECT tikv_split('m')});
served('after a split meanwhile');
$writer->query_safe('COMMIT');
$writer->quit;
ok($reindex->finish, 'the new index is built then') or diag($err);
$node->safe_psql('postgres', 'CREATE EXTENSION amcheck');
is($node->safe_psql('postgres', q{SELECT bt_index_check('tikv_internal.region_pkey', true)}),
	'', 'and has all rows');
is_deeply([ pids($node, 'tikv store') ], \@pids, 'the store was never restarted');

$node->stop;
done_testing();
