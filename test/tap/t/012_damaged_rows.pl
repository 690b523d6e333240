# A row of keys, one of transactions, and nobody can read either: what asks for
# them is told so, at once, and not what was asked beside it.  SQL hears of it on
# the node that has the rows, and on another one.

use strict;
use warnings;

use Http2 qw(field fields all_fields numbers region_context begin_stream speak hear);
use PostgreSQL::Test::Utils;
use Test::More;
use TikvSpread;
use TikvTest;

# Numbers of their fields in BatchCommands (proto/tikvpb.proto).
my %METHOD = (Get => 1, Scan => 2, BatchGet => 7, RawGet => 13, RawBatchGet => 14, RawScan => 19);
my $damaged = qr/damaged data: a row cannot be read, the server's log says why/;

my @nodes = (start_first('damage'), join_one('damage'));
my $toast = q{(SELECT reltoastrelid FROM pg_class WHERE oid = 'tikv_internal.raw'::regclass)};

move_leader($_->[0], 0) foreach regions_of();
wait_for('a peer on each node', sub { sql(0, 'SELECT cardinality(store_ids) FROM tikv.regions') eq '2' });
sql(0, q{SELECT tikv_put('good', 'value'), tikv_put('sound', 'value')});
sql(0, q{SELECT tikv_put('grim', convert_to(string_agg(md5(i::text), ''), 'UTF8')) FROM generate_series(1, 1000) AS i});
sql(0, q{BEGIN; SELECT tikv_txn_put('tgood', 'value'), tikv_txn_put('tgrim', 'value'); COMMIT});
my ($path, $blocks) = split /\|/, sql(0, "SELECT pg_relation_filepath($toast), pg_relation_size($toast) / 8192");
cmp_ok($blocks, '>', 0, 'the long value lies in a table of its own');
is(sql(0, q{SET session_replication_role = replica; UPDATE tikv_internal.write SET rec = '\xff' WHERE key = 'tgrim' RETURNING 1}), 1, 'the other row is spoiled');
$nodes[0]->stop;
open my $file, '+<:raw', $nodes[0]->data_dir . "/$path" or die "$path: $!";
print $file "\xff" x 8192 foreach 1 .. $blocks;
close $file;
$nodes[0]->start;
wait_serving($_) foreach @nodes;
move_leader($_->[0], 0) foreach regions_of();

# ---- side by side

my $context = field(1, region_context($nodes[0]), 1);
my ($answer, $now) = txnctl($nodes[0], 'ts');

sub command
{
	my ($method, @fields) = @_;

	return field($METHOD{$method}, join('', $context, @fields), 1);
}

my $good = command('RawGet', field(2, 'good', 1));
my $tgood = command('Get', field(2, 'tgood', 1), field(3, $now));
my $grim = command('RawGet', field(2, 'grim', 1));
my $tgrim = command('Get', field(2, 'tgrim', 1), field(3, $now));
my $rounds_sql = q{SELECT value FROM tikv.metrics WHERE name = 'tikv_fdw_read_round_requests_count' AND labels->>'worker' = 'store'};

sub rounds
{
	return sql(0, $rounds_sql);
}

# The answers to commands of one message, which are one round of reads: of each
# number of field => its last value.
sub ask_at_once
{
	my (@commands) = @_;
	my $stream = begin_stream($nodes[0]{tikv}{'tikv.addr'}, '/tikvpb.Tikv/BatchCommands');
	my $before = rounds();
	my %answers;

	speak($stream, join '', map { field(1, $commands[$_], 1) . field(2, $_) } 0 .. $#commands);
	while (keys %answers < @commands)
	{
		my @parts = all_fields(hear($stream, 60) // last);
		my @ids = map { numbers($_->[1]) } grep { $_->[0] == 2 } @parts;

		foreach my $part (grep { $_->[0] == 1 } @parts)
		{
			my ($method, $bytes) = fields($part->[1]);

			$answers{ shift @ids } = { fields($bytes) };
		}
	}
	is(rounds() - $before, 1, 'they are read together');
	return @answers{ 0 .. $#commands };
}

sub abort_of
{
	my ($error) = @_;
	my %error = fields($error // '');

	return $error{3};
}

# Of kvrpcpb.KvPair, and of errorpb.Error: what the clients take it for.
sub pair_error { return abort_of({ fields($_[0]) }->{1}) }

sub region_error
{
	my ($answer) = @_;
	my %error = fields($answer->{1} // '');

	return ($error{9} // 'is not too large') eq '' || exists $error{9} ? $error{1} : undef;
}

my @kinds = (
	[ 'a raw get', $grim, sub { $_[0]{2} } ],
	[ 'a get', $tgrim, sub { abort_of($_[0]{2}) } ],
	[ 'a raw batch of gets', command('RawBatchGet', field(2, 'good', 1), field(2, 'grim', 1)), \&region_error ],
	[ 'a raw scan', command('RawScan', field(2, 'g', 1), field(3, 10)), \&region_error ],
	[ 'a batch of gets', command('BatchGet', field(2, 'tgood', 1), field(2, 'tgrim', 1), field(3, $now)), sub { abort_of($_[0]{5}) } ],
	[ 'and in its pair', command('BatchGet', field(2, 'tgood', 1), field(2, 'tgrim', 1), field(3, $now)), sub { pair_error($_[0]{2}) } ],
	[ 'a scan', command('Scan', field(2, 't', 1), field(3, 10), field(4, $now)), sub { abort_of($_[0]{3}) } ],
	[ 'and in its pair', command('Scan', field(2, 't', 1), field(3, 10), field(4, $now)), sub { pair_error($_[0]{2}) } ]);

# Few of them, then more than a round puts up with.
foreach my $times (1, 10)
{
	my @commands = map { ($good, $_->[1], $tgood) } @kinds;
	my @answers = ask_at_once((@commands) x $times);
	my $served = grep { ($answers[$_]{3} // '') eq 'value' } grep { $_ % 3 != 1 } 0 .. $#answers;

	is($served, 2 * @kinds * $times, 'what can be read is, beside what cannot');
	foreach my $i (0 .. $#kinds)
	{
		my ($what, undef, $text_of) = @{ $kinds[$i] };
		my @told = grep { ($text_of->($answers[ 3 * ($i + @kinds * $_) + 1 ]) // '') =~ $damaged } 0 .. $times - 1;

		is(scalar @told, $times, "$what is told that a row is damaged");
	}
}
my $log = slurp_file($nodes[0]->logfile);
like($log, qr/table "write" holds a record that does not decode/, 'the log says which row of transactions');
like($log, qr/invalid page in block/, 'and which block of a raw one');

# ---- SQL, where the rows are and elsewhere

foreach my $i (0, 1)
{
	foreach my $read (q{tikv_get('grim')}, q{count(*) FROM tikv_scan('g', 'h')}, q{count(*) FROM tikv_batch_get('{good,grim}')},
		q{tikv_txn_get('tgrim')})
	{
		my ($failed, $out, $err) = try_sql($i, "SELECT $read");

		isnt($failed, 0, "node $i: $read fails");
		like($err, qr/damaged data|cannot read a row|invalid page|does not decode/, 'and says why');
	}
	is(sql($i, q{SELECT convert_from(tikv_get('good'), 'UTF8'), convert_from(tikv_txn_get('tgood'), 'UTF8')}), 'value|value',
		"node $i: the rows beside them are there");
}
$_->stop foreach reverse @nodes;
done_testing();
