# A region is split at a key of raw clients: where transactions are, its bound
# is one that their clients can decode, and all keys stay where they are found.

use strict;
use warnings;

use HTTP::Tiny;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

# A key of transactions as a bound: groups of eight bytes, each with a marker.
sub encoded
{
	my ($key) = @_;
	my $pad = 8 - length($key) % 8;

	$key =~ s/(.{8})/$1\xff/gs;
	return $key . "\0" x $pad . chr(255 - $pad);
}

sub hex_of
{
	return join(' ', map { '\x' . unpack('H*', $_) } @_);
}

# What PD answers to a wish.
sub pd
{
	my ($node, $path, $body) = @_;
	my $answer = HTTP::Tiny->new(timeout => 60)->request('POST',
		'http://' . $node->{tikv}{'tikv.pd_addr'} . "/pd/api/v1/$path",
		{ content => encode_json($body) });

	return ($answer->{status}, $answer->{content});
}

sub bounds
{
	my ($node) = @_;

	return $node->safe_psql('postgres',
		q{SELECT string_agg(start_key::text, ' ' ORDER BY start_key) FROM tikv.regions WHERE start_key <> ''});
}

# Regions that begin at keys of the load generator: how many it says it made.
sub rpc_load_splits
{
	my ($node, $n_keys) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ $ENV{RPC_LOAD}, '--mode', 'split', '--pd', $node->{tikv}{'tikv.pd_addr'},
			'--keys', $n_keys, '--batch', 4 ], '<', \undef, '>', \$out, '2>', \$err);
	is($?, 0, 'rpc_load splits') or diag($err);
	return $out =~ /splits=(\d+)/ ? $1 : $out;
}

sub sound
{
	my ($node, $what) = @_;

	is($node->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), '0', "$what: the tables are sound");
	is($node->safe_psql('postgres', q{
		SELECT bool_and(end_key IS NOT DISTINCT FROM next) AND bool_or(start_key = '')
		FROM (SELECT start_key, end_key, lead(start_key) OVER (ORDER BY start_key) AS next FROM tikv.regions) r}),
		't', "$what: regions follow each other");
}

my $node = new_node('split');

$node->start;
serve($node);

# ---- raw keys alone: the key is the bound

$node->safe_psql('postgres', q{SELECT count(tikv_put(convert_to(k, 'UTF8'), 'raw')) FROM unnest(ARRAY['a', 'm', 'z']) k});
$node->safe_psql('postgres', q{SELECT tikv_split('m')});
is(bounds($node), hex_of('m'), 'without transactions a raw key is the bound itself');
like(($node->psql('postgres', q{SELECT tikv_txn_put('t', 'v')}))[2],
	qr/version 2/, 'no transaction goes there any more');
sound($node, 'raw');
$node->stop;

# ---- transactions first

$node = new_node('splittxn');
$node->start;
serve($node);
my @keys = ('a', 'm', 'm1', 'z');
my $list = join(', ', map { "'$_'" } @keys);

$node->safe_psql('postgres', qq{SELECT count(tikv_put(convert_to(k, 'UTF8'), 'raw')) FROM unnest(ARRAY[$list]) k});

# The lock alone speaks for transactions: there is no version yet.
$node->safe_psql('postgres', q{
	BEGIN; SELECT tikv_txn_put('m1', 'first'); SELECT tikv_split('m'); COMMIT});
is(bounds($node), hex_of(encoded('m')), 'a lock is enough for a bound of transactions');
is($node->safe_psql('postgres', q{SELECT encode(tikv_txn_get('m1'), 'escape')}), 'first', 'and its transaction goes on');
foreach my $key (@keys)
{
	$node->safe_psql('postgres', "SELECT tikv_txn_put('$key', 'txn')");
}
$node->safe_psql('postgres', q{SELECT tikv_split('m1'), tikv_split('abcdefgh')});
is(bounds($node), hex_of(map { encoded($_) } 'abcdefgh', 'm', 'm1'), 'so are versions, and groups of eight bytes');

# As bytes it is before the bound, as a key of transactions behind it.
$node->safe_psql('postgres', q{SELECT tikv_split('m1\000\000'::bytea)});
is(bounds($node), hex_of(map { encoded($_) } 'abcdefgh', 'm', 'm1', "m1\0\0"), 'a bound in another region than the raw key');

# ... and one that is encoded already stays as it is.
$node->safe_psql('postgres', "SELECT tikv_split('\\x" . unpack('H*', encoded('z')) . "'::bytea)");
is(bounds($node), hex_of(map { encoded($_) } 'abcdefgh', 'm', 'm1', "m1\0\0", 'z'), 'an encoded key is a bound as it is');

is($node->safe_psql('postgres', q{SELECT string_agg(encode(key, 'escape'), ',' ORDER BY key) FROM tikv_txn_scan('', '', 100)}),
	join(',', @keys), 'a scan of transactions finds all keys');
is($node->safe_psql('postgres', q{SELECT string_agg(encode(key, 'escape'), ',' ORDER BY key) FROM tikv_scan('', '', 100)}),
	join(',', @keys), 'and one of raw keys, too');
foreach my $key (@keys)
{
	is($node->safe_psql('postgres', "SELECT encode(tikv_txn_get('$key'), 'escape') || encode(tikv_get('$key'), 'escape')"),
		'txnraw', "$key is found either way");
	$node->safe_psql('postgres', "SELECT tikv_txn_put('$key', 'again'), tikv_put('$key', 'again')");
}
sound($node, 'both');
$node->restart;
wait_serving($node);
is($node->safe_psql('postgres', q{SELECT count(*) FROM tikv_txn_scan('', '', 100) WHERE value = 'again'}),
	scalar(@keys), 'all is there after a restart');

# A store that begins anew knows it again.
$node->safe_psql('postgres', q{SELECT tikv_split('q')});
like(bounds($node), qr/\Q@{[hex_of(encoded('q'))]}\E/, 'versions of before count');

# The load generator's keys share their first eight bytes.
my $regions = $node->safe_psql('postgres', 'SELECT count(*) FROM tikv.regions');

is(rpc_load_splits($node, 10), '9', 'rpc_load makes a region of every key beside transactions, too');
is($node->safe_psql('postgres', 'SELECT count(*) FROM tikv.regions') - $regions, 9, '... and counts those that were made');
is(rpc_load_splits($node, 10), '0', 'none is made twice');
sound($node, 'load');
$node->stop;

# ---- who knows what will come says so

$node = new_node('splitahead');
$node->start;
serve($node);
$node->safe_psql('postgres', q{SELECT tikv_split('m', true)});
is(bounds($node), hex_of(encoded('m')), 'a region is split for transactions that are to come');
$node->safe_psql('postgres', "SELECT tikv_txn_put('$_', 'v')") foreach @keys;
is($node->safe_psql('postgres', q{SELECT count(*) FROM tikv_txn_scan('', '', 100)}), '4', 'which work on both sides');
sound($node, 'ahead');
$node->stop;

# ---- more keys at once than one entry of the log holds

$node = new_node('splitmany');
$node->start;
serve($node);
my @bounds = map { sprintf('k%04d', $_) } 1 .. 200;
my $many = join(', ', map { "'$_'" } @bounds);

$node->safe_psql('postgres', qq{SELECT count(tikv_put(convert_to(k, 'UTF8'), convert_to(k, 'UTF8'))) FROM unnest(ARRAY[$many]) k});
is((rawctl($node, 'split', reverse(@bounds), 'k0007'))[1], '201', '200 keys make 201 regions');
is(bounds($node), hex_of(@bounds), 'at these keys');
sound($node, 'many keys');
is($node->safe_psql('postgres', qq{SELECT count(*) FROM unnest(ARRAY[$many]) k WHERE convert_from(tikv_get(convert_to(k, 'UTF8')), 'UTF8') = k}),
	'200', 'and every key is found');
$node->stop;

# ---- PD is given keys in a form that API V2 has not: all ranges would be wrong

$node = new_node('splitv2', 'tikv.api_version' => 2);
$node->start;
serve($node);
@keys = map { "key$_" } 1 .. 9;
$list = join(', ', map { "'$_'" } @keys);
$node->safe_psql('postgres', qq{SELECT count(tikv_put(convert_to(k, 'UTF8'), convert_to(k, 'UTF8'))) FROM unnest(ARRAY[$list]) k});

my $region = $node->safe_psql('postgres', 'SELECT region_id FROM tikv.regions');
my $stored = "r\0\0\0key";
my %split = (name => 'split-region', region_id => $region + 0, policy => 'usekey');

is((pd($node, 'operators', { %split, keys => [ unpack('H*', $stored . '3') ] }))[0], 200, 'PD knows no keys');
is((pd($node, 'operators', { %split, keys => [ map { unpack('H*', $_) } $stored . '4', encoded($stored . '5') ] }))[0], 200, 'nor of several');
wait_for('the region to be split', sub { bounds($node) ne '' });
is(bounds($node), hex_of(encoded($stored . '5')), 'the store splits at keys that are bounds alone');
is($node->safe_psql('postgres', qq{SELECT count(*) FROM unnest(ARRAY[$list]) k WHERE convert_from(tikv_get(convert_to(k, 'UTF8')), 'UTF8') = k}),
	'9', 'and every key is found');
sound($node, 'version 2');

# ---- nor is PD given more than it can go through

my ($status, $text) = pd($node, 'regions/split', { split_keys => [ map { sprintf('%08x', $_) } 1 .. 131073 ] });

is($status, 500, 'too many keys are refused');
like($text, qr/too many regions are to be split/, 'in words');
$node->stop;

done_testing();
