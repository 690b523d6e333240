# Settings of users that must not matter: acknowledged writes are durable and
# the workers alive, whatever the defaults of sessions say; and what a session
# sees of keys does not depend on its snapshot.

use strict;
use warnings;

use Test::More;
use TikvTest;

# A standby that does not exist would make every synchronous commit wait.
my $node = new_node('settings',
	'synchronous_commit' => 'off',
	'default_transaction_isolation' => 'serializable',
	'default_transaction_deferrable' => 'on',
	'statement_timeout' => '300ms',
	'lock_timeout' => '50ms',
	'idle_in_transaction_session_timeout' => '100ms',
	'synchronous_standby_names' => 'nobody',
	'wal_writer_delay' => '10s');

# The timeouts are for the workers to endure; the test's own sessions have none,
# for the machine may be busy.
$ENV{PGOPTIONS} = '-c statement_timeout=0 -c lock_timeout=0';
$node->start;
serve($node);
$node->append_conf('postgresql.conf', 'default_transaction_read_only = on');
$node->restart;
wait_serving($node);
my @before = (pids($node, 'tikv store'), pids($node, 'tikv pd'));

# ---- durable though synchronous_commit is off: kill without warning
foreach my $i (1 .. 20)
{
	my ($answer) = rawctl($node, 'put', "key$i", "value$i");

	is($answer, 0, "put $i is acknowledged") if $answer != 0 || $i == 20;
}
my ($answer, $out, $err) = $node->psql('postgres', q{SELECT tikv_put('sql', 'v')});
like($err, qr/read-only transaction/, 'a read-only transaction does not write');
is($node->safe_psql('postgres', q{BEGIN READ WRITE; SELECT tikv_put('sql', 'written'); COMMIT}),
	'', 'one that is not does');
$node->stop('immediate');
$node->start;
wait_serving($node);
my $found = grep { (rawctl($node, 'get', "key$_"))[1] eq "value$_" } 1 .. 20;
is($found, 20, 'all acknowledged writes are there after an immediate stop');
is($node->safe_psql('postgres', q{SELECT convert_from(tikv_get('sql'), 'UTF8')}),
	'written', 'that of SQL, too');

# ---- longer than all timeouts: the workers do not mind
my @pids = (pids($node, 'tikv store'), pids($node, 'tikv pd'));
{
	local $ENV{PGOPTIONS};
	delete $ENV{PGOPTIONS};
	wait_for('the settings to be shown', sub {
		my ($code, $shown) = $node->psql('postgres', 'SHOW statement_timeout');
		return $code == 0 && $shown eq '300ms';
	});
}
sleep 2;
is_deeply([ pids($node, 'tikv store'), pids($node, 'tikv pd') ], \@pids,
	'workers outlive statement_timeout and the idle timeouts');
is((rawctl($node, 'put', 'later', 'v'))[0], 0, 'and still write');

# ---- an old snapshot sees new keys
my $session = $node->background_psql('postgres', on_error_stop => 0);
$session->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL idle_in_transaction_session_timeout = 0');
$session->query_safe('SELECT count(*) FROM pg_class');
rawctl($node, 'put', 'after_snapshot', 'seen');
is($session->query_safe(q{SELECT convert_from(tikv_get('after_snapshot'), 'UTF8')}),
	'seen', 'REPEATABLE READ sees a key written after its snapshot');
is($session->query_safe(
		q{SELECT count(*) FROM tikv_scan('after_snapshot', 'after_snapshou', 10)}),
	'1', 'by a scan, too');

# ---- and ROLLBACK does not undo a write
$session->query_safe('ROLLBACK');
$session->query_safe('BEGIN READ WRITE');
$session->query_safe(q{SELECT tikv_put('rolled', 'kept')});
$session->query_safe('ROLLBACK');
is($session->query_safe(q{SELECT convert_from(tikv_get('rolled'), 'UTF8')}),
	'kept', 'ROLLBACK does not undo tikv_put, as documented');
$session->quit;

$node->stop;
done_testing();
