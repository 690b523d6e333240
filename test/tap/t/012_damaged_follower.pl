# A follower whose table has a block with room that nobody can read: its store
# passes the block by once, and takes part again, as after a read that fails once.
# Where a row cannot be read that is written, its region stands still, and nothing
# else does.

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
my ($free, $used, $other, $ill) = map { sql(1, "SELECT (ctid::text::point)[0]::int FROM tikv_internal.raw WHERE key = '$_'") } 'a000500', 'a000700', 'a000900', 'a000300';
my $keys = sql(1, "SELECT array_agg(key) FROM tikv_internal.raw WHERE (ctid::text::point)[0]::int = $free");
sql(0, "SELECT tikv_batch_delete('$keys')");
wait_for('the deletions at the follower', sub { sql(1, 'SELECT count(*) FROM tikv_internal.raw') < 1000 });
my $rows = sql(1, 'SELECT count(*) FROM tikv_internal.raw');
sql(1, 'VACUUM tikv_internal.raw');
my $table = sql(1, q{SELECT pg_relation_filepath('tikv_internal.raw')});
my $path = $nodes[1]->data_dir . "/$table";
my $fails = $nodes[1]->basedir . '/read_error';

sub spoil
{
	my ($blocks, $meanwhile) = @_;

	$nodes[1]->stop;
	open my $file, '+<:raw', $path or die "$path: $!";
	foreach my $block (@$blocks)
	{
		seek $file, $block * 8192, 0;
		print $file "\xff" x 8192;
	}
	close $file;
	$meanwhile->();
	{
		local %ENV = (%ENV, LD_PRELOAD => $ENV{READ_ERROR}, TIKV_TEST_READ_ERROR => $fails);
		$nodes[1]->start;
	}
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

# One read fails on the way as well, and not again.
spoil([$free], sub {
	put_until_written('a000300');
	append_to_file($fails, $ill * 8192 . " $table");
});
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
my @ills = $log =~ m{ERROR: .*could not read block $ill in file "$table": Input/output error}g;
is(scalar @ills, 1, 'an error of the disk ends the store once');
is(scalar @said, 1, 'the follower says once that it passes the block by');
is(scalar @errors, 1, 'which it has met once');
like(sql(1, q{SELECT reason FROM tikv_status() WHERE worker = 'store'}), qr/^block $free of tikv_internal.raw cannot be read/,
	'tikv_status() says so, though the store began anew');

# ---- rows that are written and cannot be read

order(0, q{tikv_split('a000800')}, 'a split');
my @regions;
wait_for('two regions', sub { (@regions = regions_of()) == 2 });
my ($first, $second) = map { $_->[0] } @regions;
wait_for('the follower to have both', sub { sql(1, 'SELECT count(*) FROM tikv.raft WHERE is_local') == 2 });
move_leader($_, 0) foreach $first, $second;

# By the time that one is met its key is in a third region.
spoil([ $used, $other ], sub {
	put_until_written('a000700');
	order(0, q{tikv_split('a000750')}, 'the first region is split behind it');
	put_until_written('a000900');
});
my $bad = qr/block (?:$used|$other) of tikv_internal.raw cannot be read: its rows can be neither read nor written/;
my $why = 'on this store: what was committed meets a row that cannot be read';
wait_state($nodes[1], 'store', 'serving', qr/^$bad; regions (?:$first, $second|$second, $first) stand still $why$/);
put_until_written("p$_") foreach 1 .. 20;
wait_for('the follower to have what it does not apply', sub {
	my $known = sql(1, "SELECT applied, committed FROM tikv.raft WHERE is_local AND region_id = $second");
	my ($done, $known_to) = split /\|/, $known;

	return $known_to - $done > 20 ? $known : undef;
});
@errors = slurp_file($nodes[1]->logfile) =~ /ERROR: .*invalid page in block (?:$used|$other)\b/g;
cmp_ok(scalar @errors, '<=', 4, 'the follower that cannot apply what is committed stays up');
is(sql(0, q{SELECT count(*) FROM tikv_scan('p', 'q')}), 20, 'and the leader serves');
{
	local $ENV{RAWCTL_REPLICA} = store_of(1);
	local $ENV{RAWCTL_MAX_MS} = 20_000; # no retries
	my ($answer, $out, $err) = rawctl($nodes[0], 'get', 'p1');

	isnt($answer, 0, 'a read at the follower');
	like($err, qr/not leader for region $second, leader may be the given peer/, 'goes to the leader at once');
}

# ---- a peer goes, and stands still no more.  PD gives it another one, for whose
# rows the old ones cannot make room.

order(0, "tikv_remove_peer($second, " . store_of(1) . ')', 'the follower loses its peer');
wait_state($nodes[1], 'store', 'serving',
	qr/^damaged data, the server's log says where: 1 snapshots that cannot be installed; $bad; region $first stands still $why$/);
pass('what cannot be installed is said');
$_->stop foreach reverse @nodes;
done_testing();
