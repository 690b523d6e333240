# Regions that are too large are split by themselves, while they are written
# to; nothing is lost, and what was split off is there after a restart.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

# Keys with values of this size, in batches of 100.
my $rows = 5000;
my $few = 2000; # with three nodes, where each key looks for its leader
my $bytes = 2304;

sub load
{
	my ($node, $prefix, $from, $to) = @_;
	my $failed = 0;

	for (my $i = $from; $i < $to; $i += 100)
	{
		my $until = $i + 99;

		wait_for("keys $i to be written", sub {
			return ($node->psql('postgres', qq{
				SELECT tikv_batch_put(array_agg(convert_to('$prefix' || lpad(i::text, 8, '0'), 'UTF8')),
					array_agg(convert_to(repeat(md5(i::text), $bytes / 32), 'UTF8')))
				FROM generate_series($i, $until) i}))[0] == 0 || $failed++ > 1000;
		});
	}
	cmp_ok($failed, '<', 1000, 'writes go on');
}

# Regions in order, as the store of this node has them: without gap or overlap.
sub check_regions
{
	my ($node, $what, $least) = @_;

	wait_for("$least regions", sub {
		return $node->safe_psql('postgres', 'SELECT count(*) FROM tikv.regions') >= $least;
	});
	# A split may be under way, which this node knows by halves.
	ok(wait_for("$what: regions to follow each other", sub {
		return $node->safe_psql('postgres', q{
			SELECT bool_and(end_key = next OR (end_key IS NULL AND next IS NULL)) AND bool_or(start_key = '')
			FROM (SELECT start_key, end_key, lead(start_key) OVER (ORDER BY start_key) AS next FROM tikv.regions) r}) eq 't';
	}), "$what: regions follow each other");
}

sub check_rows
{
	my ($node, $prefix, $what) = @_;

	is($node->safe_psql('postgres', qq{
		SELECT count(*), min(key::text), max(key::text), sum(length(value)) FROM tikv_scan('$prefix'::bytea, '$prefix~'::bytea, 10000000)}),
		join('|', $rows, '\x' . unpack('H*', "${prefix}00000000"),
			'\x' . unpack('H*', sprintf('%s%08d', $prefix, $rows - 1)), $rows * $bytes),
		"$what: all keys are there");
}

# ---- a lone node: raw keys of API V1, bounds are raw

my $one = new_node('size', 'tikv.region_split_size' => '1MB');

$one->start;
serve($one);
is($one->safe_psql('postgres', 'SELECT approximate_size, approximate_keys FROM tikv_internal.raft_state'),
	'0|0', 'an empty region has no size');
load($one, 'k', 0, $rows);
check_regions($one, 'one node', 6);
check_rows($one, 'k', 'one node');
wait_for('sizes to be told', sub {
	return $one->safe_psql('postgres', q{
		SELECT bool_and(approximate_size IS NOT NULL AND approximate_size BETWEEN 1 AND 4000000) FROM tikv.regions}) eq 't';
});
my $sum = $one->safe_psql('postgres', 'SELECT sum(approximate_size) FROM tikv.regions');
cmp_ok($sum, '>', 0.9 * $rows * ($bytes + 9), 'together about what was written');
cmp_ok($sum, '<', 1.5 * $rows * ($bytes + 9), '... and not much more');
is($one->safe_psql('postgres', q{SELECT count(*) FROM tikv.raft WHERE role <> 'leader'}),
	'0', 'the node leads all of them');
like(($one->psql('postgres', q{SELECT tikv_txn_put('a', 'b')}))[2],
	qr/split at raw keys.*API version 2/s, 'transactions are refused over raw bounds');

my $before = $one->safe_psql('postgres', 'SELECT count(*), sum(approximate_size) > 0 FROM tikv.regions');

$one->stop('immediate');
$one->start;
wait_serving($one);
is($one->safe_psql('postgres', q{SELECT count(*) FROM tikv_internal.raft_state WHERE approximate_size < 0}),
	'0', 'sizes are stored');
check_regions($one, 'after a restart', (split /\|/, $before)[0]);
check_rows($one, 'k', 'after a restart');
is($one->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), '0', 'the tables are sound');
$one->stop;

# ---- versions: bounds are encoded keys

my $txn = new_node('sizetxn', 'tikv.region_split_size' => '1MB');

$txn->start;
serve($txn);
for (my $i = 0; $i < 2000; $i += 500)
{
	my $until = $i + 499;

	wait_for('transactions', sub {
		($txn->psql('postgres', qq{
			SELECT tikv_txn_put(convert_to('t' || lpad(i::text, 8, '0'), 'UTF8'), convert_to(repeat(md5(i::text), $bytes / 32), 'UTF8'))
			FROM generate_series($i, $until) i}))[0] == 0;
	});
}
check_regions($txn, 'transactions', 2);
is($txn->safe_psql('postgres', q{
	SELECT count(*) FROM tikv.regions WHERE end_key IS NOT NULL AND (length(end_key) % 9 <> 0 OR get_byte(end_key, 8) <> 255)}),
	'0', 'bounds are encoded keys');
is($txn->safe_psql('postgres', q{SELECT count(*) FROM tikv_txn_scan('t', 'u', 1000000)}),
	'2000', 'all keys are there');
$txn->stop;

# ---- three nodes, one of them restarted in the middle

my %settings = ('tikv.region_split_size' => '1MB', 'tikv.request_timeout' => '1s');
my @nodes = (new_node('sizes0', %settings));
my $tries = 0;

$nodes[0]->start;
serve($nodes[0]);
foreach my $i (1, 2)
{
	push @nodes, new_node("sizes$i", %settings,
		'tikv.join' => $nodes[0]->{tikv}{'tikv.pd_addr'});
	$nodes[$i]->start;
	serve($nodes[$i]);
}
wait_for('three peers', sub {
	return (TikvTest::try_query($nodes[0], q{
		SELECT bool_and(n = 3) FROM (SELECT count(*) FILTER (WHERE role IN ('leader', 'follower')) AS n FROM tikv.raft GROUP BY region_id) r}) // '') eq 't';
});

# PD moves leaders about: a key is written where its region is led.
sub load_anywhere
{
	my ($from, $to) = @_;
	my $until = $to - 1;

	foreach my $node (@nodes)
	{
		return if ($node->psql('postgres', qq{
			SELECT tikv_batch_put(array_agg(convert_to('r' || lpad(i::text, 8, '0'), 'UTF8')),
				array_agg(convert_to(repeat(md5(i::text), $bytes / 32), 'UTF8')))
			FROM generate_series($from, $until) i}))[0] == 0;
	}
	die "key $from cannot be written" if $tries++ > 2000;
	my $middle = $to - $from > 1 ? int(($from + $to) / 2) : $to;

	load_anywhere($from, $middle);
	load_anywhere($middle, $to) if $middle < $to;
}

sub load_all
{
	my ($from, $to) = @_;

	for (my $i = $from; $i < $to; $i += 50)
	{
		load_anywhere($i, $i + 50);
	}
}

load_all(0, $few / 2);
$nodes[1]->stop('immediate');
wait_for('the node to start', sub {
	$nodes[1]->{_pid} = undef;
	return $nodes[1]->start(fail_ok => 1);
});
wait_serving($nodes[1]);
load_all($few / 2, $few);
foreach my $i (0 .. 2)
{
	check_regions($nodes[$i], "node $i", 3);
	wait_for("node $i to have all rows", sub {
		return $nodes[$i]->safe_psql('postgres', 'SELECT count(*), sum(length(value)) FROM tikv_internal.raw') eq join('|', $few, $few * $bytes);
	});
	pass("node $i: all keys are there");
	wait_for('three peers of all pieces', sub {
		return $nodes[$i]->safe_psql('postgres', q{SELECT count(*) FROM tikv_internal.region WHERE cardinality(peer_ids) <> 3}) eq '0';
	});
}
wait_for('the replicas to be the same', sub {
	my %seen = map { (TikvTest::try_query($nodes[$_], q{SELECT md5(string_agg(key::text || value::text, ',' ORDER BY key)) FROM tikv_internal.raw}) // rand()) => 1 } 0 .. 2;

	return keys %seen == 1;
});
is($nodes[$_]->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), '0', "node $_ is sound")
  foreach 0 .. 2;
$_->stop foreach @nodes;

done_testing();
