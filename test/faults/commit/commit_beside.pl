# A commit of a row and of keys as one, beside what changes the region of its
# keys or walks it: splits, deleted ranges, flashbacks, garbage collection,
# peers that are added (TikvBeside.pm says what happens meanwhile).

use strict;
use warnings;

use Test::More;
use TikvBeside;
use TikvCommit;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(usleep);

my %patient = ('tikv.request_timeout' => '10min', 'tikv.lock_wait_timeout' => '10min');
my @points = qw(sql_granted sql_rows_written);

# ---------------------------------------------------------------- its region

# What clients see of it goes back; rows are not theirs.
sub try_flashback
{
	my ($point) = @_;
	my $version = ts();
	my $start = ts();
	my @range = ('order/', 'order0');

	hold($point);
	my $prepare = txnctl_start($node, 'prepare-flashback', $start, $version, @range);
	my $what = "a flashback beside $point";

	held($what, $prepare);
	let_go($what, $prepare);
	my $between = ts();
	my $next = begin_commit($id + 1);

	ok(!finish($next), "$what: until it is done there is no other commit");
	like(${ $next->{err} }, qr/being (?:flashed|set) back/, "$what: which is told why");
	my ($answer, $out, $err) = txnctl($node, 'flashback', $start, ts(), $version, @range);

	is($answer, 0, "$what: and it is done") or diag($err);
	is(told_of_key("order/$id", $between), 'value', "$what: there was the key");
	is(told($id), 'absent', "$what: and is no more");
	agree($what, '1,0,1');
}

# Bounds of transactional regions are encoded: groups of eight bytes, padded.
sub encoded
{
	my ($key) = @_;
	my $out = '';

	for (my $at = 0; $at <= length $key; $at += 8)
	{
		my $group = substr $key, $at, 8;

		$out .= pack('a8C', $group, 0xff - 8 + length $group);
	}
	return unpack 'H*', $out;
}

# No other commit may begin in the region, lest the split waits for ever.
sub try_split
{
	my ($point) = @_;
	my $regions = query('SELECT count(*) FROM tikv.regions');
	my $what = "a split beside $point";

	hold($point);
	my $other_id = 1000 + $id;
	my $split = psql_start(sprintf(q{SELECT tikv_split('\x%s')}, encoded("order/$id")));

	held($what, $split);
	my $other = psql_start('SET tikv.local_atomic = require', 'BEGIN',
		"SELECT tikv_txn_put('order/$other_id', 'v')", "INSERT INTO orders VALUES ($other_id)", 'COMMIT');

	held("$what: another commit", $other);
	is(query('SELECT count(*) FROM tikv.regions'), $regions, "$what: the region is whole");
	let_go($what, $split, $other);
	is(query('SELECT count(*) FROM tikv.regions'), $regions + 1, "$what: it is done");
	is(query("SELECT count(*) FROM orders WHERE id = $other_id AND tikv_txn_get('order/$other_id') IS NOT NULL"),
		'1', "$what: so is the other commit");
	agree($what);
}

# A split that is given up keeps nobody waiting.
sub try_split_given_up
{
	my ($point) = @_;
	my $what = "a split given up beside $point";
	my $other_id = 1000 + $id;

	hold($point);
	my $split = psql_start(sprintf(q{SELECT tikv_split('\x%s')}, encoded("order/$id")));

	held($what, $split);
	my $other = psql_start('SET tikv.local_atomic = require', 'BEGIN',
		"SELECT tikv_txn_put('order/$other_id', 'v')", "INSERT INTO orders VALUES ($other_id)", 'COMMIT');

	held("$what: another commit", $other);
	set_points('store_split_patience=1*error');
	ok(!finish($split), "$what: it is an error");
	like(${ $split->{err} }, qr/takes too long/, "$what: which says so");
	clear_points();
	let_go($what, $other);
	is(query("SELECT count(*) FROM orders WHERE id = $other_id AND tikv_txn_get('order/$other_id') IS NOT NULL"),
		'1', "$what: so is the other commit");
	agree($what);
}

sub try_destroy
{
	my ($point, $verb) = @_;
	my $what = "$verb beside $point";

	hold($point);
	my $destroy = txnctl_start($node, $verb, 'order/', 'order0');

	held($what, $destroy);
	let_go($what, $destroy);
	is(query("SELECT count(*) FROM tikv_mvcc('order/', 'order0')"), '0', "$what: it comes last");
	agree($what, '1,0,1');
}

# Raw keys of the same names are others: nobody waits, and no key of it goes.
sub try_raw
{
	my ($point) = @_;
	my $what = "a raw range deleted beside $point";

	query("SELECT tikv_put('order/raw', 'v')");
	hold($point);
	is(query("SET tikv.request_timeout = '20s'; SELECT tikv_delete_range('order/', 'order0')"), '', "$what: it waits for nothing");
	is(query("SELECT tikv_get('order/raw') IS NULL"), 't', "$what: and is done");
	held($what);
	let_go($what);
	agree($what);
}

# The deletion has looked at the records of its key, and goes on to values when
# the commit has written both.
sub try_between
{
	my ($verb) = @_;
	my $what = "a commit between the slices of $verb";
	my $store = store_pid();
	my $gate = $node->background_psql('postgres');

	query(q{SELECT count(tikv_txn_put(('order/fill' || i)::bytea, repeat('x', 300)::bytea)) FROM generate_series(1, 2000) AS i});
	$gate->query_safe('SELECT pg_advisory_lock(1)');
	$id++;
	$commit = begin_commit($id, 'SELECT pg_advisory_xact_lock(1)');
	wait_for('its locks', sub { return query(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}) eq '1'; });
	write_points('store_before_txn_reply=1*stop');
	my $destroy = txnctl_start($node, $verb, 'order/', 'order0');

	wait_stopped($commit, 'the end of a slice', 'S', $store);
	$gate->quit;
	usleep(500_000);
	kill 'CONT', $store;
	ok(finish($commit), "$what: it goes on") or diag(${ $commit->{err} });
	ok(finish($destroy), "$what: and the other") or diag(${ $destroy->{err} });
	is(query("SELECT count(*) FROM tikv_txn_scan('order/fill', 'order0')"), '0', "$what: what was there before is gone");
	is(query('SELECT count(*) FROM tikv_check()'), '0', "$what: the tables are sound");
	like(seen($id), qr/^1,[01],1$/, "$what: the key is there or not");
	agree($what, seen($id));
}

# Old versions of its own keys go, and it stays.
sub try_gc
{
	my ($point) = @_;
	my $what = "garbage collection beside $point";
	my $versions = q{SELECT count(*) FROM tikv_mvcc('stock')};

	query("SELECT tikv_txn_put('stock', 'old$_')") for 1 .. 5;
	hold($point);
	my $start_ts = query('SELECT start_ts FROM tikv.transactions ORDER BY since LIMIT 1');

	wait_for('the safe point to meet it', sub {
		return query("SELECT oldest_transaction = $start_ts AND now() - txn_safe_time > interval '3 s' FROM tikv.gc") eq 't';
	});
	held($what);
	is(query("SELECT txn_safe_point <= $start_ts FROM tikv.gc"), 't', "$what: the safe point does not pass it");
	let_go($what);
	is(seen($id), '1,1,1', "$what: both");
	wait_for('old versions to go', sub { return query($versions) eq '1'; });
	pass("$what: old versions go");
	agree($what);
}

# ---------------------------------------------------------------------- peers

# A region that gets company is not the node's alone: the commit comes first,
# and what it wrote is in the data that the new peer gets.
sub try_peer
{
	my ($point) = @_;
	my $what = "a peer added beside $point";
	my $peers = 'SELECT count(*) FROM tikv.raft WHERE region_id = 2 AND store_id = 4';

	hold($point);
	my $add = psql_start('SELECT tikv_add_peer(2, 4)');

	held($what, $add);
	is(query($peers), '0', "$what: there is none");
	let_go($what, $add);
	wait_for('the peer to have all', sub {
		return query("$peers AND lag = 0 AND progress IS DISTINCT FROM 'silent'") eq '1';
	});
	is(seen($id), '1,1,1', "$what: both");
	my $next = begin_commit($id + 1);

	ok(!finish($next), "$what: the next one is not as one");
	like(${ $next->{err} }, qr/other peers/, "$what: and told why");
	foreach my $table (qw(write value))
	{
		my $rows = "SELECT count(*) || md5(string_agg(t::text, ',' ORDER BY t::text)) FROM tikv_internal.$table AS t";

		wait_for("the same rows of $table", sub { return (ask(1, $rows) // '') eq query($rows); });
		pass("$what: the new peer has its rows of $table");
	}
	like(query("SELECT count(*) FROM tikv_internal.value"), qr/[1-9]/, "$what: of which there are some");
}

# ----------------------------------------------------------------------- runs

use_new_node(start_new('beside', %patient, 'tikv.gc_life_time' => '1s'));
try_gc($_) foreach @points;
$node->append_conf('postgresql.conf', "tikv.gc_life_time = '10min'");
$node->reload;
foreach my $verb (qw(destroy-range delete-range))
{
	try_destroy($_, $verb) foreach @points;
	try_between($verb);
}
try_raw($_) foreach @points;
try_flashback($_) foreach @points;
try_split_given_up('sql_rows_written');
try_split($_) foreach @points;
is(query('SELECT count(*) FROM tikv_check()'), '0', 'the tables are sound');
$node->stop;

my @nodes = make_stores('peers', %patient);

wait_serving($nodes[0]);
use_new_node($nodes[0]);
try_peer('sql_rows_written');
is(query('SELECT count(*) FROM tikv_check()'), '0', 'the tables are sound');
$_->stop('immediate') foreach @nodes;
done_testing();
