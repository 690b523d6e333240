# Blocks of a lone node's tables cannot be read.  What is new goes elsewhere,
# though they have room; who writes to a row of theirs is told so, and what is
# written beside that in one turn is written.

use strict;
use warnings;

use Http2 qw(field fields all_fields numbers region_context begin_stream speak hear);
use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $node = new_node('writes', 'tikv.request_timeout' => '20s', 'autovacuum' => 'off');
my $damaged = qr/damaged data: a row cannot be read, the server's log says why/;

sub one { return $node->safe_psql('postgres', $_[0]) }

sub spoil
{
	my ($path, @blocks) = @_;

	open my $file, '+<:raw', $node->data_dir . "/$path" or die "$path: $!";
	foreach my $block (@blocks)
	{
		seek $file, $block * 8192, 0;
		print $file "\xff" x 8192;
	}
	close $file;
	return;
}

$node->start;
serve($node);

my $toast = one(q{SELECT reltoastrelid::regclass FROM pg_class WHERE oid = 'tikv_internal.raw'::regclass});
my $long = q{(SELECT convert_to(string_agg(md5((i * 7919 + random())::text), ''), 'UTF8') FROM generate_series(1, 400) AS i)};

one(q{SELECT count(tikv_put(('a' || lpad(i::text, 6, '0'))::bytea, repeat('x', 960)::bytea)) FROM generate_series(1, 3000) AS i});
one("SELECT tikv_put('long$_', $long)") foreach 1 .. 3;
one('SELECT tikv_delete(\'long1\'), tikv_delete(\'long2\')');
my ($free, $used, $last) = map { one("SELECT (ctid::text::point)[0]::int FROM tikv_internal.raw WHERE key = '$_'") } 'a001500', 'a002500', 'long3';
one("SELECT tikv_batch_delete((SELECT array_agg(key) FROM tikv_internal.raw WHERE (ctid::text::point)[0]::int = $free))");
one('VACUUM tikv_internal.raw');
my @spoilt = split /\n/, one("SELECT convert_from(key, 'UTF8') FROM tikv_internal.raw WHERE (ctid::text::point)[0]::int = $used");
cmp_ok(scalar @spoilt, '>', 3, 'a block has several rows');
my ($path, $toast_path, $blocks) = split /\|/, one("SELECT pg_relation_filepath('tikv_internal.raw'), pg_relation_filepath('$toast'), pg_relation_size('tikv_internal.raw') / 8192");
is($last, $blocks - 1, 'one of them is the last of its table');
one('CREATE TABLE t (i int)');
one(q{SELECT count(tikv_txn_put(('w' || lpad(i::text, 6, '0'))::bytea, repeat('x', 200)::bytea)) FROM generate_series(1, 200) AS i});
my $room = one(q{SELECT (ctid::text::point)[0]::int FROM tikv_internal.write WHERE key = 'w000100'});
one("SET session_replication_role = replica; DELETE FROM tikv_internal.write WHERE (ctid::text::point)[0]::int = $room");
one('VACUUM tikv_internal.write');
my $write_path = one(q{SELECT pg_relation_filepath('tikv_internal.write')});
one(q{BEGIN; SELECT tikv_txn_put('tgood', 'value'), tikv_txn_put('tgrim', 'value'); COMMIT});
is(one(q{SET session_replication_role = replica; UPDATE tikv_internal.write SET rec = '\xff' WHERE key = 'tgrim' RETURNING 1}), 1, 'a row of transactions is spoiled');
$node->stop;
spoil($path, $free, $used, $last);
spoil($toast_path, 0);
spoil($write_path, $room);
$node->start;
wait_serving($node);

# ---- what is new

my $refused = grep { ($node->psql('postgres', "SELECT tikv_put('n$_', repeat('y', 900)::bytea)"))[0] != 0 } 1 .. 20;
is($refused, 0, 'new keys are written past blocks with room that cannot be read');
$refused = grep { ($node->psql('postgres', "SELECT tikv_put('long9$_', $long)"))[0] != 0 } 1 .. 3;
is($refused, 0, 'and long values, whose rows have a table of their own');
is(one(q{SELECT count(*) FROM tikv_scan('n', 'o')}), 20, 'they can be read');

# The session writes the rows itself: what it meets, the store passes by.
$refused = grep { ($node->psql('postgres', "BEGIN; INSERT INTO t VALUES (1); SELECT tikv_txn_put('x$_', repeat('y', 150)::bytea); COMMIT"))[0] != 0 } 1 .. 5;
is($refused, 1, 'one transaction of keys and tables meets such a block, and the next ones do not');
is(one('SELECT count(*) FROM t') . one(q{SELECT count(*) FROM tikv_txn_scan('x', 'y')}), '44', 'both parts of them are there');

my $log = slurp_file($node->logfile);
foreach my $place ("block $room of tikv_internal.write", "block $free of tikv_internal.raw", "block $last of tikv_internal.raw", "block 0 of $toast")
{
	my @said = $log =~ /LOG: .*\Q$place\E cannot be read: new rows go to other blocks/g;

	is(scalar @said, 1, "the log says once that $place is passed by");
}
like(one(q{SELECT reason FROM tikv_status() WHERE worker = 'store'}), qr/^block \d+ of \S+ cannot be read: new rows go to other blocks$/,
	'and tikv_status() of the last one');

# ---- what is written to rows that cannot be read, beside others

my ($answer, $out, $err) = $node->psql('postgres', q{SELECT tikv_put('a002500', 'new')});
like($err, qr/damaged data/, 'who writes a damaged row is told so');
($answer, $out, $err) = $node->psql('postgres', q{BEGIN; SELECT tikv_txn_put('tgrim', 'new'); COMMIT});
like($err, qr/damaged data/, 'in a transaction as well');
like(one(q{SELECT reason FROM tikv_status() WHERE worker = 'store'}), qr/^block $used of tikv_internal.raw cannot be read: its rows can be neither read nor written$/,
	'tikv_status() names the block');

$node->psql('postgres', "SELECT tikv_put('$_', 'new')") foreach 'long3', 'a002500', 'long3', 'a002500';
foreach my $block ($used, $last)
{
	my @said = slurp_file($node->logfile) =~ /LOG: .*block $block of tikv_internal.raw cannot be read/g;

	is(scalar @said, 1, "the log names block $block once, whichever of them is met last");
}

my $context = field(1, region_context($node), 1);

sub put { return field(15, join('', $context, field(2, $_[0], 1), field(3, 'new', 1)), 1) }

# One message is one turn.  Of each command its answer's fields.
sub ask_at_once
{
	my (@commands) = @_;
	my $stream = begin_stream($node->{tikv}{'tikv.addr'}, '/tikvpb.Tikv/BatchCommands');
	my %answers;

	speak($stream, join '', map { field(1, $commands[$_], 1) . field(2, $_) } 0 .. $#commands);
	while (keys %answers < @commands)
	{
		my @parts = all_fields(hear($stream, 60) // last);
		my @ids = map { numbers($_->[1]) } grep { $_->[0] == 2 } @parts;

		foreach my $part (grep { $_->[0] == 1 } @parts)
		{
			my (undef, $bytes) = fields($part->[1]);

			$answers{ shift @ids } = { fields($bytes) };
		}
	}
	return @answers{ 0 .. $#commands };
}

my $aborted = one(q{SELECT value FROM tikv.metrics WHERE name = 'tikv_fdw_aborted_turns_total'});
my @answers = ask_at_once(map { put($spoilt[ $_ % @spoilt ]), put("good$_") } 0 .. 199);
my @told = grep { ($answers[ 2 * $_ ]{2} // '') =~ $damaged } 0 .. 199;
my @done = grep { !%{ $answers[ 2 * $_ + 1 ] // { 1 => 'none' } } } 0 .. 199;
is(scalar @told, 200, 'all writes of damaged rows are told so');
is(scalar @done, 200, 'all beside them are done');
$aborted = one(q{SELECT value FROM tikv.metrics WHERE name = 'tikv_fdw_aborted_turns_total'}) - $aborted;
is($aborted, scalar @spoilt, 'each row costs one more turn, however many write to it');
is(one(q{SELECT count(*) FROM tikv_scan('good', 'gooe')}), 200, 'and they are there');
$node->stop;
done_testing();
