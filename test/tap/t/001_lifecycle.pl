# The extension comes and goes while the workers live: they wait for the
# database and the extension, wake at the commit of CREATE EXTENSION, survive
# DROP and CREATE again, and start empty after it.

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(time usleep);
use TikvTest;

my $node = new_node('lifecycle', 'tikv.database' => 'kv');
my ($answer, $out, $err);

# ---- no database yet
$node->start;
is($node->safe_psql('postgres', 'SELECT 1'), '1', 'starts without its database');
wait_for('the reason in pg_stat_activity', sub {
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'tikv store' AND query LIKE '%\"kv\"%does not exist%'");
});
pass('its workers are in pg_stat_activity and say why they wait');

# ---- the database comes, the extension not yet
$node->safe_psql('postgres', 'CREATE DATABASE kv');
usleep(1_500_000);
is($node->safe_psql('kv', 'SELECT 1'), '1', 'nothing is disturbed without the extension');

# ---- a write in the transaction that creates the extension
my $began = time();
($answer, $out, $err) = $node->psql('kv',
	q{BEGIN; CREATE EXTENSION tikv_fdw; SELECT tikv_put('k', 'v'); COMMIT});
isnt($answer, 0, 'a write in the transaction of CREATE EXTENSION is an error');
like($err, qr/commit/i, 'which says that the extension must be committed first');
cmp_ok(time() - $began, '<', 30, 'and no hang');

# ---- created and committed
$began = time();
$node->safe_psql('kv', 'CREATE EXTENSION tikv_fdw');
wait_for('the first write', sub {
	my ($code) = $node->psql('kv', q{SELECT tikv_put('first', 'v1')});
	return $code == 0;
});
elapsed_note('first tikv_put after CREATE EXTENSION', $began);
is($node->safe_psql('kv', q{SELECT convert_from(tikv_get('first'), 'UTF8')}), 'v1',
	'serves after CREATE EXTENSION');
($answer, $out) = rawctl($node, 'get', 'first');
is($out, 'v1', 'over gRPC, too');

# ---- elsewhere the functions refuse
$node->safe_psql('postgres', 'CREATE EXTENSION tikv_fdw');
($answer, $out, $err) = $node->psql('postgres', q{SELECT tikv_get('first')});
isnt($answer, 0, 'in another database the functions refuse');
like($err, qr/tikv\.database|"kv"/, 'with a hint at the right one');
$node->safe_psql('postgres', 'DROP EXTENSION tikv_fdw');
is($node->safe_psql('kv', q{SELECT convert_from(tikv_get('first'), 'UTF8')}), 'v1',
	'creating and dropping it there does not matter');

# ---- restart keeps
$node->restart;
wait_for('service after a restart', sub {
	my ($code, $value) = $node->psql('kv', q{SELECT convert_from(tikv_get('first'), 'UTF8')});
	return $code == 0 && $value eq 'v1';
});
pass('a restart keeps the data');

# ---- drop and create again
$node->safe_psql('kv', 'DROP EXTENSION tikv_fdw');
usleep(500_000);
($answer, $out, $err) = rawctl($node, 'get', 'first');
isnt($answer, 0, 'nothing is served after DROP EXTENSION');
is($node->safe_psql('kv',
		"SELECT count(*) FROM pg_namespace WHERE nspname IN ('tikv', 'tikv_internal')"),
	'0', 'and nothing is left of it');
$node->safe_psql('kv', 'CREATE EXTENSION tikv_fdw');
wait_for('service after re-creation', sub {
	my ($code) = $node->psql('kv', q{SELECT tikv_put('second', 'v2')});
	return $code == 0;
});
is($node->safe_psql('kv', q{SELECT tikv_get('first') IS NULL}), 't',
	'a new extension is empty');
is($node->safe_psql('kv', q{SELECT convert_from(tikv_get('second'), 'UTF8')}), 'v2',
	'and serves');

# ---- roles outlive it
$node->safe_psql('kv', 'DROP EXTENSION tikv_fdw');
is($node->safe_psql('kv',
		"SELECT count(*) FROM pg_roles WHERE rolname IN ('tikv_read', 'tikv_write', 'tikv_admin')"),
	'3', 'the roles outlive the extension');

$node->stop;
done_testing();
