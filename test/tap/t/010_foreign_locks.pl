# Other sessions lock what they should leave alone: rows of the placement
# driver, catalogs, or tables under an index of their own.  No worker waits for
# them, none ends, and tikv_status() names the session but not its statement.

use strict;
use warnings;

use Test::More;
use TikvTest;
use Time::HiRes qw(time usleep);

my $node = new_node('foreign_locks');
my $ts = 1000;

$node->start;
serve($node);
rawctl($node, 'put', 'k', 'before');
is((rawctl($node, 'protect', 'known', $ts))[0], 0, 'PD writes');
my @workers = (pids($node, 'tikv store'), pids($node, 'tikv pd'));

# A session in a transaction that has run a statement, and its process id.
sub locking
{
	my ($statement) = @_;
	my $session = $node->background_psql('postgres');
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_safe("BEGIN; $statement");
	return ($session, $pid);
}

sub unlock
{
	my ($session) = @_;

	$session->query_safe('ROLLBACK');
	$session->quit;
}

sub protects_again
{
	my ($what) = @_;

	wait_for("PD to write after $what", sub {
		return (rawctl($node, 'protect', 'known', ++$ts))[0] == 0;
	});
	pass("PD writes again after $what");
}

# Lock; PD refuses to write, at once and with a reason, and answers all else.
sub check_pd
{
	my ($what, $statement) = @_;
	my ($session, $pid) = locking($statement);
	my $began = time();
	my ($answer, $out, $err) = rawctl($node, 'protect', 'known', ++$ts);

	elapsed_note("$what: a refusal", $began);
	isnt($answer, 0, "$what: PD refuses a change");
	like($err, qr/status 14: .*locked by process $pid\b/, "$what: and names the session");
	unlike($err, qr/SELECT|UPDATE|LOCK TABLE|BEGIN/, "$what: but not its statement");
	is((rawctl($node, 'get', 'k'))[1], 'before', "$what: PD answers what needs no change");
	wait_for("$what to be named by tikv_status()", sub {
		rawctl($node, 'protect', 'known', ++$ts);
		return status($node) =~ /^pd\|serving\|changes are refused: .*process $pid\b/m;
	});
	pass("$what: tikv_status() names the session");
	unlock($session);
	protects_again($what);
	wait_for("tikv_status() to forget $what", sub {
		return status($node) =~ /^pd\|serving\|$/m;
	});
}

check_pd('the locked state', 'SELECT term FROM tikv_internal.pd_raft_state FOR UPDATE');
check_pd('locked records', 'SELECT key FROM tikv_internal.pd_kv FOR UPDATE');
check_pd('records locked for sharing', 'SELECT key FROM tikv_internal.pd_kv FOR SHARE');
check_pd('locked tables', 'LOCK TABLE tikv_internal.pd_kv IN SHARE MODE');
is_deeply([ pids($node, 'tikv store'), pids($node, 'tikv pd') ], \@workers,
	'the workers are the same processes');

# ---- a key that nobody can lock before it exists: inserted, not committed
my $key = $node->safe_psql('postgres',
	"SELECT key FROM tikv_internal.pd_kv WHERE key LIKE '%known'");
(my $next = $key) =~ s/known$/next/;
my ($session) = locking("SET LOCAL session_replication_role = replica;"
	  . " INSERT INTO tikv_internal.pd_kv VALUES ('$next', '1 1')");
my $log = -s $node->logfile;
my $began = time();
my ($answer, $out, $err) = rawctl($node, 'protect', 'next', $ts);
elapsed_note('a key in the making: a refusal', $began);
isnt($answer, 0, 'a key in the making: PD gives the round up');
like($err, qr/status 14/, 'a key in the making: answered UNAVAILABLE');
wait_serving($node);
is((rawctl($node, 'get', 'k'))[1], 'before', 'a lost round: PD knows at once who leads');
protects_again('a lost round');
cmp_ok(() = slurp($log) =~ /lock timeout/g, '<', 5, 'the log says it, but not over and over');
unlock($session);
is((rawctl($node, 'protect', 'next', $ts))[0], 0, 'the key can be written then');

# The server's log from a place on.
sub slurp
{
	my ($from) = @_;

	open my $file, '<', $node->logfile or die "cannot read the log: $!";
	seek $file, $from, 0;
	local $/;
	return scalar <$file>;
}

# ---- PD is asked to stop while somebody locks its rows
($session) = locking('SELECT term FROM tikv_internal.pd_raft_state FOR UPDATE');
rawctl($node, 'protect', 'known', ++$ts);
my ($pd) = pids($node, 'tikv pd');
kill 'TERM', $pd;
wait_for('PD to end', sub { return !kill 0, $pd; });
pass('PD ends when asked to, whoever locks its rows');
wait_state($node, 'pd', 'waiting', qr/locked by process/);
pass('its successor says what it waits for');
unlock($session);
wait_serving($node);
is((rawctl($node, 'get', 'k'))[1], 'before', 'and knows at once who leads');

# ---- catalogs that the workers look at every second
@workers = (pids($node, 'tikv store'), pids($node, 'tikv pd'));
foreach my $catalog (qw(pg_extension pg_depend pg_namespace))
{
	($session) = locking("LOCK TABLE pg_catalog.$catalog IN ACCESS EXCLUSIVE MODE");

	# Longer than the workers' interval between two looks.
	usleep(2_500_000);
	is((rawctl($node, 'put', 'k', $catalog))[0], 0, "$catalog locked: the store writes");
	is((rawctl($node, 'protect', 'known', ++$ts))[0], 0, "$catalog locked: PD writes");
	unlock($session);
}
is_deeply([ pids($node, 'tikv store'), pids($node, 'tikv pd') ], \@workers,
	'no worker ended');

# ---- an index that writers cannot keep
is((rawctl($node, 'put', 'k', 'plain'))[0], 0, 'a write before the foreign index');
$node->safe_psql('postgres', 'CREATE INDEX foreign_hash ON tikv_internal.raw USING hash (key)');
($answer, $out, $err) = rawctl($node, 'put', 'k', 'indexed');
isnt($answer, 0, 'a foreign index: writes are refused');
is((rawctl($node, 'get', 'k'))[1], 'plain', 'a foreign index: reads go on');
wait_for('the index to be named', sub {
	rawctl($node, 'put', 'k', 'indexed');
	return status($node) =~ /index "foreign_hash" .*drop it/;
});
pass('a foreign index: tikv_status() says to drop it');
is_deeply([ pids($node, 'tikv store'), pids($node, 'tikv pd') ], \@workers,
	'a foreign index: no worker ended');
$node->safe_psql('postgres', 'DROP INDEX tikv_internal.foreign_hash');
wait_for('service without the index', sub {
	return (rawctl($node, 'put', 'k', 'after'))[0] == 0;
});
is((rawctl($node, 'get', 'k'))[1], 'after', 'and then serves again');

# ---- names that are not text
($answer, $out, $err) = rawctl($node, 'protect', "name\xff", $ts);
like($err, qr/status 3: service_id is not valid UTF-8/, 'a service must have a name in UTF-8');
is((rawctl($node, 'protect', "caf\xc3\xa9", $ts))[0], 0, 'of any letters');

$node->stop;
done_testing();
