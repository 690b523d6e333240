# A table that a snapshot has made long becomes short again, with all rows, while
# clients read and write, and over a crash in the middle of it.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use Test::More;
use TikvTest;
use Time::HiRes qw(usleep);

my $keys = 6000;
my $node = new_node('compaction', 'tikv.request_timeout' => '120s', 'tikv.enable_ttl' => 'on', 'shared_buffers' => '8MB',
	'autovacuum_naptime' => '1s', 'max_wal_size' => '2GB', 'wal_keep_size' => '8GB',
	'wal_consistency_checking' => 'heap,heap2,btree');

$node->start;
serve($node);
$node->safe_psql('postgres', 'CREATE EXTENSION amcheck');
$node->backup('base');

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
configure_node($standby, TikvTest::new_ports(), 'wal_consistency_checking' => 'heap,heap2,btree');
$standby->start;

sub one { return $node->safe_psql('postgres', $_[0]) }

# Values of a kilobyte and more, so that a block has few of them; and some with
# all that may be out of line.
sub put_all
{
	my ($round) = @_;

	one(qq{
		SELECT tikv_batch_put(array_agg(('key/' || i)::bytea),
			array_agg((i || '/$round/' || repeat('x', 1100))::bytea), 100000)
		FROM generate_series(1, $keys) AS i;
		SELECT tikv_batch_put(array_agg((repeat('long', 1000) || i)::bytea),
			array_agg((i || '/$round/' || repeat('y', 20000))::bytea), 100000)
		FROM generate_series(1, 20) AS i});
}

sub blocks { return one(q{SELECT pg_relation_size('tikv_internal.raw') / 8192}) }
sub last_row { return one(q{SELECT max((ctid::text::point)[0]) FROM tikv_internal.raw}) }

sub task
{
	my ($column) = @_;

	return one("SELECT $column FROM tikv.tasks WHERE task = 'compact tables'");
}

# The store looks once a minute, so it may take longer than a minute.
sub wait_long
{
	my ($what, $code) = @_;

	return eval { wait_for($what, $code) } // eval { wait_for($what, $code) } // wait_for($what, $code);
}

sub hold_snapshot
{
	my $holder = $node->background_psql('postgres');

	$holder->set_query_timer_restart;
	$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class;');
	return $holder;
}

# A session may last as long as its last query was not long ago.
sub let_go
{
	my ($holder) = @_;

	$holder->query_safe('COMMIT');
	$holder->quit;
}

# Every round adds a table's worth of rows while somebody holds a snapshot.
sub make_long
{
	my $holder = hold_snapshot();

	put_all($_) foreach 1 .. 8;
	let_go($holder);
}

sub all_there
{
	my ($what) = @_;

	is(one(q{SELECT count(*), count(DISTINCT key), bool_and(tikv_ttl(key) BETWEEN 90000 AND 100000)
		FROM tikv_scan('key/', 'key0')}), "$keys|$keys|t", "$what: all keys are there, with their times to live");
	is(one(q{SELECT count(*) FROM generate_series(1, } . $keys . q{) AS i
		WHERE tikv_get(('key/' || i)::bytea) = (i || '/8/' || repeat('x', 1100))::bytea}), $keys,
		"$what: each has its value");
	is(one(q{SELECT count(*) FROM generate_series(1, 20) AS i
		WHERE tikv_get((repeat('long', 1000) || i)::bytea) = (i || '/8/' || repeat('y', 20000))::bytea}), 20,
		"$what: and so have long keys of large values");
	is(one(q{SELECT count(*) FROM tikv_check()}), '0', "$what: the tables are consistent");
	one(q{SELECT bt_index_check('tikv_internal.raw_key', true)});
}

# ---- nothing is moved while a snapshot is held, however empty the table is

# It is old only beside a transaction that began after it, and VACUUM must not
# empty the table before there is one: ten seconds' worth would be moved.
put_all(0);
one('ALTER TABLE tikv_internal.raw SET (autovacuum_enabled = off)');
make_long();
one(q{SELECT tikv_batch_put(array_agg(('soon/' || i)::bytea), array_agg('v'::bytea), 240) FROM generate_series(1, 100) AS i});
my $holder = hold_snapshot();
my $long = blocks();

one('ALTER TABLE tikv_internal.raw RESET (autovacuum_enabled)');
cmp_ok($long, '>', 6000, 'the table is long');
wait_long('VACUUM to have been there', sub {
	return one(q{SELECT n_dead_tup < 1000 FROM pg_stat_all_tables WHERE relid = 'tikv_internal.raw'::regclass}) eq 't';
});
for (1 .. 80)
{
	one('SELECT txid_current()');
	sleep 1;
}
cmp_ok(last_row(), '>', $long - 500, 'its rows are where they were after more than a minute');
let_go($holder);

# ---- and all of it afterwards

# Clients meanwhile: keys of their own, each of which has what was written last.
my $script = $node->basedir . '/clients.sql';
open my $file, '>', $script or die $!;
print $file <<'END';
\set i random(1, 50)
SELECT tikv_put(('own/' || :client_id || '/' || :i)::bytea, 'v'::bytea, 1000);
SELECT 1 / (tikv_get(('own/' || :client_id || '/' || :i)::bytea) IS NOT NULL)::int;
SELECT 1 / (count(*) = 100)::int FROM tikv_scan('key/', 'key0', 100);
SELECT 1 / (tikv_get('key/77') IS NOT NULL)::int;
END
close $file;
chmod 0644, $script;
my ($out, $err) = ('', '');
my $clients = IPC::Run::start(
	[ 'env', 'PGAPPNAME=clients', 'pgbench', '-n', '-c', '3', '-T', '300', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'<', \undef, '>', \$out, '2>', \$err);

wait_long('the compaction to begin', sub { return task('waiting') > 0 });
wait_long('rows to be moved', sub { return last_row() < $long / 2 });
wait_long('the end to be cut off', sub { return blocks() < $long / 3 });
wait_long('the compaction to end', sub { return task('waiting') == 0 });
cmp_ok(task('removed'), '>', $long / 2, 'blocks were cut off');
cmp_ok(blocks(), '<', 2600, 'the table is as long as its rows need, about');
cmp_ok(one(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'clients'}), '>', 0, 'clients were at it');
one(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'clients'});
$clients->finish;
unlike($err, qr/division by zero|ERROR/, 'and none has met anything odd');
all_there('compacted');

# The sweeper has been where they are now, and had no reason to come again soon.
wait_long('rows that were moved to be removed when they expire', sub {
	return one(q{SELECT count(*) FROM tikv_internal.raw WHERE key >= 'soon/' AND key < 'soon0'}) == 0;
});

# ---- over a crash of the store in the middle
make_long();
$long = blocks();
wait_long('the compaction to be under way', sub { return task('waiting') > 0 && task('waiting') < $long - 200 });
kill 'KILL', pids($node, 'tikv store');
wait_for('the server to come back', sub { return defined try_query($node, 'SELECT 1') });
wait_serving($node);
all_there('after a crash');
wait_long('the compaction to begin again, and to end', sub { return blocks() < $long / 3 && task('waiting') == 0 });
all_there('compacted after a crash');

# ---- a standby has followed all that
$node->wait_for_catchup($standby);
$node->stop;
$standby->promote;
wait_serving($standby);
is($standby->safe_psql('postgres', q{
	SELECT bt_index_check('tikv_internal.raw_key', true);
	SELECT count(*) FROM tikv_scan('key/', 'key0');
	SELECT count(*) FROM tikv_check()}), "\n$keys\n0", 'promoted, a standby has it all');
$standby->stop;
done_testing();
