# What the store refuses to serve, and turns that fail: a foreign storage
# format, API version or cluster is named, and so is a setting that is none; a turn
# that throws is undone whole and the next one works.

use strict;
use warnings;

use Test::More;
use TikvTest;

my $node = new_node('guards');

$node->start;
serve($node);
is((rawctl($node, 'put', 'k', 'kept'))[0], 0, 'a key is there');

# ---- tables that this library must not serve

# Returns how many starts were counted before the one that follows.
sub tamper
{
	my ($change) = @_;
	my $starts = $node->safe_psql('postgres', qq{
		ALTER TABLE tikv_internal.store_meta DISABLE TRIGGER ALL;
		UPDATE tikv_internal.store_meta SET $change RETURNING start_seq;
		ALTER TABLE tikv_internal.store_meta ENABLE TRIGGER ALL;});

	$node->restart;
	return $starts;
}

foreach my $case (
	['storage_format = storage_format + 98', qr/storage format 99/, 'storage_format = storage_format - 98'],
	['api_version = 2', qr/written with tikv.api_version = 2/, 'api_version = 0'],
	['cluster_id = cluster_id + 1', qr/belongs to cluster/, 'cluster_id = cluster_id - 1'])
{
	my ($break, $reason, $mend) = @$case;

	my $starts = tamper($break);
	wait_state($node, 'store', 'waiting', $reason);
	is($node->safe_psql('postgres', 'SELECT start_seq FROM tikv_internal.store_meta'),
		$starts, "not served, and nothing written: $break");
	isnt((rawctl($node, 'get', 'k'))[0], 0, 'and not read');
	tamper($mend);
	wait_serving($node);
	is((rawctl($node, 'get', 'k'))[1], 'kept', "served again: $mend");
}

# ---- settings that are none

foreach my $case (['tikv.api_version', '1ttl', 1], ['tikv.join', 'nowhere', ''],
	['tikv.enable_ttl', 'maybe', 'off'])
{
	my ($name, $value, $good) = @$case;

	$node->append_conf('postgresql.conf', "$name = '$value'");
	$node->restart;
	foreach my $worker (qw(store pd))
	{
		wait_state($node, $worker, 'waiting', qr/\Q$name = '$value'\E is not a value/);
	}
	isnt((rawctl($node, 'get', 'k'))[0], 0, "nothing is served with $name = '$value'");
	$node->append_conf('postgresql.conf', "$name = '$good'");
	$node->restart;
	wait_serving($node);
}
$node->append_conf('postgresql.conf', "tikv.enable_ttl = 'no'\ntikv.api_version = ' 0x1'");
$node->restart;
wait_serving($node);
is((rawctl($node, 'get', 'k'))[1], 'kept', 'other spellings of the same are taken');

# ---- a turn that throws: a superuser holds a row of ours
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN');
$holder->query_safe(q{SELECT 1 FROM tikv_internal.raw WHERE key = 'k' FOR UPDATE});
my ($answer, $out, $err) = $node->psql('postgres',
	q{SET tikv.request_timeout = '1s'; SELECT tikv_batch_put(ARRAY['a', 'k']::bytea[], ARRAY['1', '2']::bytea[])});
isnt($answer, 0, 'a write to a row that somebody locked fails');
is($node->safe_psql('postgres', q{SELECT tikv_get('a') IS NULL}), 't',
	'and leaves nothing of its batch behind');
is((rawctl($node, 'put', 'other', 'served'))[0], 0, 'other keys are written meanwhile');
is((rawctl($node, 'get', 'k'))[1], 'kept', 'and the locked one is read');
$holder->query_safe('ROLLBACK');
$holder->quit;
is((rawctl($node, 'put', 'k', 'written'))[0], 0, 'afterwards it is written');
is((rawctl($node, 'get', 'k'))[1], 'written', 'and read');
is($node->safe_psql('postgres', 'SELECT * FROM tikv_check()'), '', 'the tables are consistent');

$node->stop;
done_testing();
