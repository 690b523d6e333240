# An index whose pages have few entries each is rebuilt, while clients read and
# write; what a REINDEX CONCURRENTLY has left is dropped.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $keys = 80000;
my $kept = $keys / 16;
my $node = new_node('loose', 'tikv.request_timeout' => '60s', 'allow_system_table_mods' => 'on', 'max_wal_size' => '2GB',
	'autovacuum' => 'off');

sub one { return $node->safe_psql('postgres', $_[0]) }

sub blocks { return one("SELECT pg_relation_size('tikv_internal.$_[0]') / 8192") }

# Keys of 500 bytes; those that are kept come first, so that the table becomes short.
sub put_keys
{
	my ($which) = @_;

	foreach my $part (0 .. 7)
	{
		one(qq{SELECT tikv_batch_put(array_agg((lpad(i::text, 6, '0') || repeat('x', 494))::bytea), array_agg(i::text::bytea))
			FROM generate_series($part * $keys / 8 + 1, ($part + 1) * $keys / 8) AS i WHERE $which});
	}
}

# Others are waited for, in vain.
sub leave_behind
{
	my ($table, $index) = @_;
	my $holder = $node->background_psql('postgres');

	$holder->query_safe("BEGIN; LOCK TABLE tikv_internal.$table IN ROW EXCLUSIVE MODE");
	isnt($node->psql('postgres', "SET lock_timeout = '100ms'; REINDEX INDEX CONCURRENTLY tikv_internal.$index"),
		0, "a rebuilding of $index comes to nothing");
	$holder->query_safe('COMMIT');
	$holder->quit;
	is(leftovers($index), 1, 'and leaves something behind');
}

sub leftovers
{
	return one("SELECT count(*) FROM pg_class WHERE relname LIKE '$_[0]_cc%'");
}

$node->start;
serve($node);
one('CREATE EXTENSION amcheck');
put_keys('i % 16 = 0');
put_keys('i % 16 <> 0');
foreach my $part (0 .. 7)
{
	one(qq{SELECT tikv_batch_delete(array_agg((lpad(i::text, 6, '0') || repeat('x', 494))::bytea))
		FROM generate_series($part * $keys / 8 + 1, ($part + 1) * $keys / 8) AS i WHERE i % 16 <> 0});
}
one('VACUUM (TRUNCATE) tikv_internal.raw');
cmp_ok(blocks('raw'), '<', 1000, 'the table is short');
my $before = blocks('raw_key');
cmp_ok($before, '>', 4096, 'its index is long');
leave_behind('raw', 'raw_key');

# As behind its first steps: rows are entered there.
one('CREATE INDEX write_key_ccnew ON tikv_internal.write (key, commit_ts)');
one(q{UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tikv_internal.write_key_ccnew'::regclass});

# The store looks ten seconds after its start.
$node->restart;
wait_serving($node);
my $script = $node->basedir . '/load.sql';
append_to_file($script, q{\set i random(1, 5000)
SELECT tikv_put(('load/' || :i)::bytea, 'v'), tikv_get((lpad((:i * 16)::text, 6, '0') || repeat('x', 494))::bytea);
SELECT tikv_txn_put(('load/' || :client_id)::bytea, 'v');
});
my $load = IPC::Run::start([ $ENV{PGBENCH} // 'pgbench', '-n', '-c', '2', '-T', '16', '-f', $script, $node->connstr('postgres') ],
	'>', \my $out, '2>', \my $err);
wait_for('the index to be rebuilt', sub { return blocks('raw_key') < $before / 4 });
wait_for('what was left to go', sub { return leftovers('raw_key') + leftovers('write_key') == 0 });
ok($load->finish, 'clients go on') or diag($err);
unlike($err, qr/ERROR/, 'without an error');
is(one(q{SELECT count(*) FROM tikv_scan('0', 'l', 100000)}), $kept, 'all keys are there');
is(one(q{SELECT count(*) FROM tikv_check()}), '0', 'the tables are consistent');
is(one(q{SELECT bt_index_check('tikv_internal.raw_key', true)}), '', 'and so is the index');
like(slurp_file($node->logfile), qr/LOG:  index "raw_key" was rebuilt: \d+ blocks before, \d{1,3} now/, 'the log says so');
$node->stop;
done_testing();
