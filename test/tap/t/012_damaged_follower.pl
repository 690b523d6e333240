# A follower whose table has a block with room that nobody can read: its store
# passes the block by once, and takes part again.  Where a row cannot be read that
# is written, its region stands still, and nothing else does.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvSpread;
use TikvTest;

my %settings = ('autovacuum' => 'off', 'tikv.request_timeout' => '20s');
my @nodes = (start_first('follow', %settings), map { join_one('follow', %settings) } 1, 2);

move_leader($_->[0], 0) foreach regions_of();
wait_for('a peer on each node', sub { sql(0, 'SELECT cardinality(store_ids) FROM tikv.regions') eq '3' });
sql(0, q{SELECT count(tikv_put(('a' || lpad(i::text, 6, '0'))::bytea, repeat('x', 960)::bytea)) FROM generate_series(1, 1000) AS i});
wait_for('all rows at the follower', sub { sql(1, 'SELECT count(*) FROM tikv_internal.raw') == 1000 });
my ($free, $used) = map { sql(1, "SELECT (ctid::text::point)[0]::int FROM tikv_internal.raw WHERE key = '$_'") } 'a000500', 'a000700';
my $keys = sql(1, "SELECT array_agg(key) FROM tikv_internal.raw WHERE (ctid::text::point)[0]::int = $free");
sql(0, "SELECT tikv_batch_delete('$keys')");
wait_for('the deletions at the follower', sub { sql(1, 'SELECT count(*) FROM tikv_internal.raw') < 1000 });
my $rows = sql(1, 'SELECT count(*) FROM tikv_internal.raw');
sql(1, 'VACUUM tikv_internal.raw');
my $path = $nodes[1]->data_dir . '/' . sql(1, q{SELECT pg_relation_filepath('tikv_internal.raw')});

sub spoil
{
	my ($block, $meanwhile) = @_;

	$nodes[1]->stop;
	open my $file, '+<:raw', $path or die "$path: $!";
	seek $file, $block * 8192, 0;
	print $file "\xff" x 8192;
	close $file;
	$meanwhile->() if defined $meanwhile;
	$nodes[1]->start;
	wait_serving($_) foreach @nodes;
	move_leader($_->[0], 0) foreach regions_of();
	return;
}

# Nothing is read here of what cannot be: the length of a table alone.
sub put_until_written
{
	my ($key) = @_;

	return wait_for("$key to be written", sub { (try_sql(0, "SELECT tikv_put('$key', repeat('y', 900)::bytea)"))[0] == 0 });
}

sub order
{
	my ($i, $sql, $what) = @_;

	return wait_for($what, sub { (try_sql($i, "SELECT $sql"))[0] == 0 });
}

spoil($free);
put_until_written("n$_") foreach 1 .. 20;
my $told = qr/LOG: .*block $free of tikv_internal.raw cannot be read: new rows go to other blocks/;
wait_for('the follower to say so', sub { slurp_file($nodes[1]->logfile) =~ $told });
wait_serving($nodes[1]);
put_until_written("o$_") foreach 1 .. 20;

wait_for('the follower to have applied all', sub {
	my ($leads, $follows) = map { sql($_, 'SELECT applied FROM tikv.raft WHERE is_local') } 0, 1;

	return $leads > 20 && $leads == $follows;
});
my $log = slurp_file($nodes[1]->logfile);
my @said = $log =~ /$told/g;
my @errors = $log =~ /ERROR: .*invalid page in block $free\b/g;
is(scalar @said, 1, 'the follower says once that it passes the block by');
is(scalar @errors, 1, 'which it has met once');
like(sql(1, q{SELECT reason FROM tikv_status() WHERE worker = 'store'}), qr/^block $free of tikv_internal.raw cannot be read/,
	'tikv_status() says so, though the store began anew');

# ---- a row that is written and cannot be read

# By the time that it is met its key is in another region.
spoil($used, sub {
	put_until_written('a000700');
	order(0, q{tikv_split('a000800')}, 'the region is split behind it');
});
my $still = qr/region (\d+) stands still on this store: what was committed meets a row that cannot be read/;
wait_state($nodes[1], 'store', 'serving', qr/^block $used of tikv_internal.raw cannot be read: its rows can be neither read nor written; $still$/);
my ($region) = sql(1, q{SELECT reason FROM tikv_status() WHERE worker = 'store'}) =~ $still;
put_until_written("p$_") foreach 1 .. 20;
wait_for('the follower to have what it does not apply', sub {
	my $known = sql(1, 'SELECT applied, committed FROM tikv.raft WHERE is_local');
	my ($done, $known_to) = split /\|/, $known;

	return $known_to - $done > 20 ? $known : undef;
});
@errors = slurp_file($nodes[1]->logfile) =~ /ERROR: .*invalid page in block $used\b/g;
cmp_ok(scalar @errors, '<=', 2, 'the follower that cannot apply what is committed stays up');
is(sql(0, q{SELECT count(*) FROM tikv_scan('p', 'q')}), 20, 'and the leader serves');
order(0, "tikv_remove_peer($region, " . store_of(1) . ')', 'the follower loses its peer');
wait_state($nodes[1], 'store', 'serving', qr/^block $used of tikv_internal.raw cannot be read[^;]*$/);
pass('of which nothing stands still then');
$_->stop foreach reverse @nodes;
done_testing();
