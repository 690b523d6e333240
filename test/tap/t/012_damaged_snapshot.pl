# A row that cannot be read in a region that a new node is to get: the leader says
# so, goes on, and does not read the region again and again; mended, the node gets it.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvSpread;
use TikvTest;

my @nodes = (start_first('made', 'autovacuum' => 'off'));

sql(0, q{SELECT count(tikv_put(('a' || lpad(i::text, 6, '0'))::bytea, repeat('x', 960)::bytea)) FROM generate_series(1, 100) AS i});
my $block = sql(0, q{SELECT (ctid::text::point)[0]::int FROM tikv_internal.raw WHERE key = 'a000050'});
my $path = $nodes[0]->data_dir . '/' . sql(0, q{SELECT pg_relation_filepath('tikv_internal.raw')});
my $saved;

# What is there instead of the block; the node is down meanwhile.
sub change_block
{
	my ($bytes) = @_;
	my $old;

	$nodes[0]->stop;
	open my $file, '+<:raw', $path or die "$path: $!";
	seek $file, $block * 8192, 0;
	read $file, $old, 8192;
	seek $file, $block * 8192, 0;
	print $file $bytes;
	close $file;
	$nodes[0]->start;
	wait_serving($nodes[0]);
	return $old;
}

sub peers { return (try_sql(0, 'SELECT cardinality(store_ids) FROM tikv.regions'))[1] // '' }

$saved = change_block("\xff" x 8192);
push @nodes, join_one('made');
my $why = qr/damaged data, the server's log says where: 1 regions of which no snapshot can be made/;
wait_state($nodes[0], 'store', 'serving', $why);
sql(0, "SELECT tikv_put('b', 'v')");
is(sql(0, "SELECT tikv_get('b')"), '\x76', 'the leader goes on');
is(sql(1, 'SELECT count(*) FROM tikv_internal.raw'), 0, 'the new node has nothing of it');
sleep 6; # Raft asks for a snapshot several times; it is tried once a minute
my @errors = slurp_file($nodes[0]->logfile) =~ /ERROR: .*invalid page in block $block\b/g;
cmp_ok(scalar @errors, '<=', 2, 'the region was not read again and again');

change_block($saved);
wait_for('all rows at the new node', sub { sql(1, 'SELECT count(*) FROM tikv_internal.raw') == 101 });
unlike(sql(0, q{SELECT reason FROM tikv_status() WHERE worker = 'store'}) // '', $why, 'and nothing is said any more');
$_->stop foreach reverse @nodes;
done_testing();
