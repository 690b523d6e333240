# Records of transactions that cannot be read, by themselves and in a block that
# is gone: garbage collection passes their keys by, says which, and collects what
# is behind them.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $keys = 1000;
my $node = new_node('versions', 'tikv.gc_life_time' => '1h', 'autovacuum' => 'off');

sub one { return $node->safe_psql('postgres', $_[0]) }

sub gc { return one("SELECT $_[0] FROM tikv.gc") }

sub aborted { return one(q{SELECT sum(value) FROM tikv.metrics WHERE name = 'tikv_fdw_aborted_turns_total'}) }

sub put_all
{
	one(qq{SELECT count(tikv_txn_put(('t' || to_char(i, 'FM0000'))::bytea, '$_[0]')) FROM generate_series(1, $keys) AS i});
}

$node->start;
serve($node);
put_all('old');
put_all('new');
is(one(q{SET session_replication_role = replica; UPDATE tikv_internal.write SET rec = '\xff' WHERE key = 't0003' RETURNING 1}), "1\n1",
	'a key is spoiled');
my $bad = one(q{SELECT max((ctid::text::point)[0]) FROM tikv_internal.write WHERE key = 't0500'});
my $touched = one(qq{SELECT count(DISTINCT key) FROM tikv_internal.write WHERE (ctid::text::point)[0] = $bad OR key = 't0003'});
cmp_ok($touched, '>', 2, 'a block has records of several keys');
my $path = $node->data_dir . '/' . one(q{SELECT pg_relation_filepath('tikv_internal.write')});
$node->stop;
open my $file, '+<:raw', $path or die "$path: $!";
seek $file, $bad * 8192, 0;
read $file, my $saved, 8192;
seek $file, $bad * 8192, 0;
print $file "\xff" x 8192;
close $file;
$node->append_conf('postgresql.conf', q{tikv.gc_life_time = '1s'});
$node->start;
wait_serving($node);

wait_for('what can be read to be collected', sub { gc('versions_removed') == $keys - $touched });
wait_for('the round to end', sub { gc('step') eq 'idle' });
like(gc('gave_up_because'), qr/damaged data: a key is passed by/, 'tikv.gc says what was passed by');
like(one(q{SELECT string_agg(reason, ' ') FROM tikv_status()}),
	qr/damaged data, the server's log says where: $touched keys that garbage collection passes by/, 'tikv_status() how many keys');
my $log = slurp_file($node->logfile);
foreach my $key ('t0003', 't0500')
{
	my $hex = unpack 'H*', $key;

	like($log, qr/It is key \\x$hex of region \d+;/, "the log names $key");
}
like($log, qr/Its key has 5 bytes: \\x7430303033\./, 'so does what says that a record does not decode');

# ---- rounds go on beside them
my $before = aborted();
foreach my $i (1 .. 2)
{
	one(q{SELECT tikv_txn_put('u', 'old')});
	one(q{SELECT tikv_txn_put('u', 'new')});
	wait_for('another version to be collected', sub { gc('versions_removed') == $keys - $touched + $i + ($i - 1) });
}
is(aborted(), $before, 'and do not meet them again');
is(one(q{SELECT convert_from(tikv_txn_get('t0999'), 'UTF8')}), 'new', 'what is not garbage is there');

# ---- mended
$node->stop;
open $file, '+<:raw', $path or die "$path: $!";
seek $file, $bad * 8192, 0;
print $file $saved;
close $file;
$node->start;
wait_serving($node);
wait_for('the rest to be collected', sub {
	return one(q{SELECT count(*) FROM tikv_internal.write WHERE key >= 't' AND key < 'u' AND key <> 't0003'}) == $keys - 1;
});
wait_for('one key to be left', sub { (one(q{SELECT string_agg(reason, ' ') FROM tikv_status()}) // '') =~ /where: 1 keys/ });
pass('but for what is still damaged');
$node->stop;
done_testing();
