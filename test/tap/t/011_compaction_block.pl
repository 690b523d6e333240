# A block at the beginning of a long table cannot be read.  While the table is
# compacted what is written goes there first, and has to go past it.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $keys = 4400;
my $bad = 20;
my $node = new_node('block', 'tikv.request_timeout' => '10s', 'autovacuum' => 'off');

sub one { return $node->safe_psql('postgres', $_[0]) }

sub blocks { return one(q{SELECT pg_relation_size('tikv_internal.raw') / 8192}) }

# The store looks once a minute.
sub wait_long
{
	my ($what, $code) = @_;

	return eval { wait_for($what, $code) } // eval { wait_for($what, $code) } // wait_for($what, $code);
}

$node->start;
serve($node);

# A row fills most of a block.
foreach my $part (0 .. 10)
{
	one(qq{SELECT tikv_batch_put(array_agg(('key/' || lpad(i::text, 5, '0'))::bytea), array_agg(repeat('x', 4000)::bytea))
		FROM generate_series($part * $keys / 11 + 1, ($part + 1) * $keys / 11) AS i});
}
cmp_ok(blocks(), '>=', $keys, 'the table is long');

# The first blocks are empty; so many that VACUUM passes over all of them later.
one(q{SELECT tikv_batch_delete(array_agg(key)) FROM tikv_internal.raw WHERE (ctid::text::point)[0] BETWEEN 1 AND 50});
one('VACUUM tikv_internal.raw');
my $path = $node->data_dir . '/' . one(q{SELECT pg_relation_filepath('tikv_internal.raw')});
$node->stop;
open my $file, '+<:raw', $path or die "$path: $!";
seek $file, $bad * 8192, 0;
print $file "\xff" x 8192;
close $file;
$node->start;
wait_serving($node);

# Somebody meets it, and leaves a buffer behind that is known and not valid.
isnt($node->psql('postgres', "SELECT * FROM tikv_internal.raw WHERE ctid = '($bad,1)'"), 0, 'a block cannot be read');

# The store looks ten seconds after its start, or a minute later.
one(q{SELECT tikv_delete_range('key/00101', 'key0')});
one('VACUUM tikv_internal.raw');
wait_long('the compaction to begin', sub { one(q{SELECT waiting FROM tikv.tasks WHERE task = 'compact tables'}) > 0 });
my $refused = 0;
foreach my $i (1 .. 100)
{
	my ($answer, $out, $err) = $node->psql('postgres', "SELECT tikv_put('new/$i', repeat('y', 4000)::bytea)");

	next if $answer == 0;
	$refused++;
	diag($err) if $refused == 1;
}
is($refused, 0, 'no write fails while the table is compacted');
is(one(q{SELECT count(*) FROM tikv_scan('new/', 'new0') WHERE length(value) = 4000}), 100 - $refused, 'and all is there');

# By address, or the block would be read.
sub rows
{
	my ($where) = @_;

	return one("SET enable_seqscan = off; SELECT count(*) FROM tikv_internal.raw WHERE $where");
}

cmp_ok(rows("ctid < '($bad,0)'"), '>', 10, 'the blocks before it are full');
cmp_ok(rows("ctid >= '(@{[$bad + 1]},1)'"), '>', 10, 'there are rows behind it');
my @said = slurp_file($node->logfile) =~ /(block $bad of table "raw" cannot be read)/g;
is(scalar @said, 1, 'the log says so, once');
is(one(q{SELECT value FROM tikv.metrics WHERE name = 'tikv_fdw_unreadable_blocks_total'}), 1, 'and the metrics');
wait_long('the end to be cut off', sub { blocks() < 1000 });
is($node->psql('postgres', q{SELECT tikv_get('new/77')}), 0, 'it serves');
$node->stop;
done_testing();
