# Stops and crashes: a fast shutdown is fast, a crashed worker brings Postgres
# back serving, and unsafe settings are refused.

use strict;
use warnings;

use Test::More;
use TikvTest;
use Time::HiRes qw(time);

my $node = new_node('crash');
my $began;

$node->start;
serve($node);
rawctl($node, 'put', 'k', 'v0');

# ---- shutdown, idle and with a client
$began = time();
$node->stop('fast');
elapsed_note('fast shutdown', $began);
cmp_ok(time() - $began, '<', 20, 'a fast shutdown ends');
$began = time();
$node->start;
wait_serving($node);
elapsed_note('start until serving', $began);
is((rawctl($node, 'get', 'k'))[1], 'v0', 'data is there');

# ---- etcd-io/etcd#14370: the only member acknowledged what was not on disk yet
$node->append_conf('postgresql.conf', 'synchronous_commit = off');
$node->reload;
is(unflushed_writes($node, 20, sub { rawctl($node, 'put', "flush$_[0]", 'v') }),
	0, 'etcd-io/etcd#14370: a write over gRPC is acknowledged when it is on disk');
is(unflushed_writes($node, 10, sub { $node->safe_psql('postgres', "SELECT tikv_put('flush$_[0]', 'w')") }),
	0, 'etcd-io/etcd#14370: and one by SQL');

# ---- index entries of many rows, behind and amid others, are in the log
$node->safe_psql('postgres', q{
	CREATE EXTENSION amcheck;
	CREATE SERVER tikv FOREIGN DATA WRAPPER tikv_fdw;
	CREATE FOREIGN TABLE many (id int OPTIONS (key 'true'), v text) SERVER tikv OPTIONS (prefix 'many/');
	INSERT INTO many SELECT i * 4, 'first' FROM generate_series(1, 5000) AS i;
	CHECKPOINT;
	INSERT INTO many SELECT i * 4 + 1, 'amid' FROM generate_series(1, 5000) AS i;
	INSERT INTO many SELECT i, 'behind' FROM generate_series(30001, 35000) AS i;
	INSERT INTO many SELECT i * 4 + 2, 'down' FROM generate_series(5000, 1, -1) AS i;
});

# ---- each long-lived worker dies of SIGABRT: Postgres restarts all
foreach my $worker ('tikv store', 'tikv pd')
{
	my ($pid) = pids($node, $worker);

	rawctl($node, 'put', 'k', "before $worker");
	$began = time();
	kill 'ABRT', $pid;
	wait_for("a new $worker", sub {
		# The server may end while psql talks to it.
		my ($answer, $out) = eval {
			$node->psql('postgres', "SELECT pid FROM pg_stat_activity WHERE backend_type = '$worker' AND pid <> $pid");
		};
		return defined $answer && $answer == 0 && $out ne '';
	});
	wait_serving($node);
	elapsed_note("serving after SIGABRT of $worker", $began);
	is((rawctl($node, 'get', 'k'))[1], "before $worker", "nothing lost by SIGABRT of $worker");
	is((rawctl($node, 'put', 'k', "after $worker"))[0], 0, "writes after SIGABRT of $worker");
}

is($node->safe_psql('postgres', q{
	SELECT bt_index_check('tikv_internal.raw_key', true);
	SELECT count(*), count(DISTINCT id), min(id), max(id) FROM many}), "\n20000|20000|4|35000",
	'the index has all rows that were acknowledged, in order');

# ---- a polite end of a worker: it is started again
my ($pid) = pids($node, 'tikv store');
kill 'TERM', $pid;
wait_for('a new store', sub {
	my @now = pids($node, 'tikv store');
	return @now == 1 && $now[0] != $pid;
});
wait_serving($node);
is((rawctl($node, 'put', 'k', 'after TERM'))[0], 0, 'writes after SIGTERM of the store');

# ---- the postmaster dies while somebody holds its pipe open still, as a backend
# does that was just forked: the signal of its death says nothing then
{
	my $postmaster = $node->{_pid};
	my @before = map { pids($node, $_) } 'tikv store', 'tikv pd', 'tikv status', 'checkpointer';
	my ($read_end) = grep { /^pipe:/ } map { readlink } glob "/proc/$before[0]/fd/*";
	my @held;

	foreach my $fd (glob "/proc/$postmaster/fd/*")
	{
		next unless (readlink($fd) // '') =~ /^pipe:/;
		my $held;
		push @held, $held if open($held, '>', $fd);
	}
	ok(defined $read_end && @held > 0, "the postmaster's pipe is held open");
	$node->kill9;
	sleep(2);
	close($_) foreach @held;
	wait_for('all of its children to end', sub { !grep { -e "/proc/$_" } @before });
	pass('its workers notice');
	wait_for('a start', sub {
		$node->{_pid} = undef;
		return $node->start(fail_ok => 1);
	});
	wait_serving($node);
	is((rawctl($node, 'get', 'k'))[1], 'after TERM', 'and the next ones serve');
}

# ---- not without fsync
$node->append_conf('postgresql.conf', 'fsync = off');
$node->restart;
wait_state($node, 'store', 'waiting', qr/fsync/);
pass('with fsync off it does not serve and says why');
isnt((rawctl($node, 'put', 'k', 'unsafe'))[0], 0, 'and takes no write');
$node->append_conf('postgresql.conf', "fsync = on\nfull_page_writes = off");
$node->restart;
wait_state($node, 'store', 'waiting', qr/full_page_writes/);
pass('nor with full_page_writes off');
$node->append_conf('postgresql.conf', 'tikv.allow_unsafe = on');
$node->restart;
wait_serving($node);
is((rawctl($node, 'get', 'k'))[1], 'after TERM', 'unless tikv.allow_unsafe is on');

$node->stop;
done_testing();
