# Keys and values that are too much for one answer, read on a node that does not
# lead them: every one is there, in pages that are as small as they must be.  And
# over gRPC, where a client must hear of it.  What else the leader refuses is an
# error of SQL: here the node takes longer keys, by mistake.

use strict;
use warnings;

use Test::More;
use TikvSpread;
use TikvTest;

# An answer of such a node holds 4 MB at most (an eighth).
my @nodes = (start_first('pages', 'tikv.memory_limit' => '32MB', 'tikv.max_key_size' => '1kB'),
	join_one('pages', 'tikv.memory_limit' => '32MB'));
my $n = 200;
my $all = "$n|" . 100_000 * $n;

move_leader($_->[0], 0) foreach regions_of();
sql(0, qq{SELECT tikv_put(convert_to('big' || to_char(i, 'FM000'), 'UTF8'),
	convert_to(repeat('v', 100000), 'UTF8')) FROM generate_series(1, $n) AS i});

my $keys = qq{(SELECT array_agg(convert_to('big' || to_char(i, 'FM000'), 'UTF8')) FROM generate_series(1, $n) AS i)};

foreach my $i (0, 1)
{
	is(sql($i, q{SELECT count(*), sum(length(value)) FROM tikv_scan('big', 'bih')}), $all,
		"node $i: a scan of 20 MB is whole");
	is(sql($i, q{SELECT count(*), sum(length(value)) FROM tikv_scan('big', 'bih', NULL, true)}), $all,
		"node $i: backwards");
	is(sql($i, qq{SELECT count(*), sum(length(value)) FROM tikv_batch_get($keys)}), $all,
		"node $i: a batch of gets");
}
my ($answer, $out, $err) = rawctl($nodes[0], 'scan', 'big', 1000);
isnt($answer, 0, 'a client that asks for all of it at once fails');
like($err, qr/the answer would exceed \d+ bytes: ask for fewer keys/, 'and hears why');

my $long = q{convert_to(repeat('long', 500), 'UTF8')};

foreach my $read ("tikv_get($long)", "tikv_batch_get(ARRAY['big001', $long])", "tikv_scan($long, 'm')")
{
	($answer, $out, $err) = try_sql(1, "SELECT $read");
	isnt($answer, 0, "what the leader refuses fails: $read");
	like($err, qr/refuses the read: max key size exceeded, size: 2000, limit: 1024/, 'with its reason');
}
is(sql(1, q{SELECT length(tikv_get('big001'))}), 100_000, 'the next read is served');

$_->stop foreach reverse @nodes;
done_testing();
