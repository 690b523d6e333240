# A table of versions that is mostly empty becomes short, while SQL transactions
# commit keys and tables as one: their backends write rows of it themselves, and
# would have to commit one after the other while it is locked.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use Test::More;
use TikvTest;

my $node = new_node('compaction_txn', 'tikv.request_timeout' => '120s',
	'shared_buffers' => '64MB', 'autovacuum_naptime' => '1s');

sub one { return $node->safe_psql('postgres', $_[0]) }

sub blocks { return one(q{SELECT pg_relation_size('tikv_internal.write') / 8192}) }

# The store looks once a minute.
sub wait_long
{
	my ($what, $code) = @_;

	return eval { wait_for($what, $code) } // eval { wait_for($what, $code) } // wait_for($what, $code);
}

$node->start;
serve($node);
one(q{
	CREATE EXTENSION amcheck;
	CREATE SERVER tikv FOREIGN DATA WRAPPER tikv_fdw OPTIONS (mode 'txn');
	CREATE FOREIGN TABLE t (id int OPTIONS (key 'true'), v text) SERVER tikv OPTIONS (prefix 't/');
	CREATE TABLE here (id int)});
one("INSERT INTO t SELECT i, repeat('x', 235) FROM generate_series($_ * 10000 + 1, $_ * 10000 + 10000) AS i") foreach 0 .. 13;
my $long = blocks();
cmp_ok($long, '>', 4096, 'the table is long');

# What garbage collection leaves where most keys were short-lived, at once.
one(q{SET session_replication_role = replica;
	DELETE FROM tikv_internal.write WHERE ((ctid::text::point)[0]::int * 7 + (ctid::text::point)[1]::int) % 20 <> 0});
one('CREATE TABLE kept AS SELECT id FROM t');
my $rows = one('SELECT count(*) FROM kept');
cmp_ok($rows, '>', 5000, 'some rows are left');

# Every client changes keys of its own that were there before, with a local row.
my $script = $node->basedir . '/commits.sql';
open my $file, '>', $script or die $!;
print $file <<'END';
\set n random(1, 1000)
BEGIN;
UPDATE t SET v = v || 'y' WHERE id = (SELECT id FROM kept WHERE id % 3 = :client_id ORDER BY id OFFSET :n LIMIT 1);
INSERT INTO here VALUES (:n);
COMMIT;
END
close $file;
chmod 0644, $script;
my ($out, $err) = ('', '');
my $clients = IPC::Run::start(
	[ 'env', 'PGAPPNAME=clients', 'PGOPTIONS=-c tikv.local_atomic=require', 'pgbench', '-n', '-c', '3', '-T', '300', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'<', \undef, '>', \$out, '2>', \$err);

# By what is cut off: quick clients make it longer meanwhile.
sub removed { return one(q{SELECT removed FROM tikv.tasks WHERE task = 'compact tables'}) }
wait_long('a third of the table to be cut off', sub { return removed() >= $long / 3 });
pass('the table has become shorter');
one(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'clients'});
$clients->finish;
unlike($err, qr/ERROR/, 'no commit has met a row that was moved, or a table that was locked');
is(one(q{SELECT count(*) FROM kept JOIN t USING (id) WHERE v LIKE repeat('x', 235) || '%'}), $rows, 'all rows are there');
is(one(q{SELECT sum(length(v) - 235) FROM t}), one('SELECT count(*) FROM here'), 'with every change of a commit');
is(one('SELECT count(*) FROM tikv_check()'), '0', 'the tables are consistent');
one(q{SELECT bt_index_check('tikv_internal.write_key', true)});
$node->stop;
done_testing();
