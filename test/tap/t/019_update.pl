# The extension's version 0.1 under this library: nothing is served and
# everybody says what to do; ALTER EXTENSION UPDATE then makes of it exactly
# what CREATE EXTENSION makes anew.  (Data of that version: test/upgrade.sh.)

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use Test::More;
use TikvTest;

my $node = new_node('update');

# All that belongs to the extension, one line each.
my $objects = q{
	SELECT pg_describe_object(classid, objid, 0) || ' | ' ||
		coalesce(obj_description(objid, classid::regclass::name), '') || ' | ' ||
		CASE classid
			WHEN 'pg_proc'::regclass THEN
				(SELECT pg_get_functiondef(oid) || coalesce(proacl::text, '') || proowner::regrole
					FROM pg_proc WHERE oid = objid)
			WHEN 'pg_class'::regclass THEN
				(SELECT relkind::text || coalesce(reloptions::text, '') || coalesce(relacl::text, '')
					|| CASE relkind::text WHEN 'v' THEN pg_get_viewdef(oid) ELSE '' END
					|| (SELECT coalesce(string_agg(concat_ws(' ', attnum, attname,
							format_type(atttypid, atttypmod), attnotnull, attstorage,
							pg_get_expr(adbin, adrelid), col_description(attrelid, attnum)),
							', ' ORDER BY attnum), '')
						FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
						WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)
					|| (SELECT coalesce(string_agg(pg_get_indexdef(indexrelid), ', '
							ORDER BY indexrelid::regclass::text), '')
						FROM pg_index WHERE indrelid = c.oid)
					|| (SELECT coalesce(string_agg(pg_get_triggerdef(oid), ', ' ORDER BY tgname), '')
						FROM pg_trigger WHERE tgrelid = c.oid AND NOT tgisinternal)
					|| coalesce((SELECT reloptions::text FROM pg_class t WHERE t.oid = c.reltoastrelid), '')
				FROM pg_class c WHERE oid = objid)
			WHEN 'pg_namespace'::regclass THEN
				(SELECT coalesce(nspacl::text, '') FROM pg_namespace WHERE oid = objid)
			ELSE '' END
	FROM pg_depend
	WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'tikv_fdw')
		AND classid <> 'pg_type'::regclass
	ORDER BY 1};

$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE fresh');
$node->safe_psql('fresh', 'CREATE EXTENSION tikv_fdw');

# As it was released, under this library.
$node->safe_psql('postgres', q{CREATE EXTENSION tikv_fdw VERSION '0.1'});
my $advice = qr/of version 0\.1 and the library of [0-9.]+: run ALTER EXTENSION tikv_fdw UPDATE/;
wait_state($node, 'store', 'waiting', $advice);
pass('the store waits and says what to do');
wait_state($node, 'pd', 'waiting', $advice);
foreach my $call (q{tikv_put('k', 'v')}, q{tikv_insert('k', 'v')}, q{tikv_get('k')},
	q{tikv_batch_put('{k}', '{v}')}, q{tikv_scan()})
{
	my ($answer, $out, $err) = $node->psql('postgres', "SELECT $call");

	like($err, $advice, "$call says so, too");
}

# A right that somebody was given stays.
$node->safe_psql('postgres', q{CREATE ROLE somebody; GRANT EXECUTE ON FUNCTION tikv_get(bytea) TO somebody});
$node->safe_psql('postgres', 'ALTER EXTENSION tikv_fdw UPDATE');
wait_serving($node);
pass('updated, it serves');
is($node->safe_psql('postgres', q{SELECT has_function_privilege('somebody', 'tikv_get(bytea)', 'EXECUTE')}),
	't', 'rights that were given are kept');
$node->safe_psql('postgres', q{REVOKE EXECUTE ON FUNCTION tikv_get(bytea) FROM somebody});
is($node->safe_psql('postgres', $objects), $node->safe_psql('fresh', $objects),
	'an update and a new installation are the same');
is((rawctl($node, 'put', 'k', 'v'))[0], 0, 'clients can write');
is($node->safe_psql('postgres', q{SELECT convert_from(tikv_get('k'), 'UTF8')}), 'v', 'and SQL can read');
is($node->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), '0', 'tikv_check finds nothing wrong');

$node->stop;
done_testing();
