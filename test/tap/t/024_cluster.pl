# scripts/cluster, as a person uses it: it starts what is missing, applies
# settings and remembers them, tells how to connect, and removes nothing that
# it was not told to.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $script = "$ENV{TESTDIR}/scripts/cluster";
my $home = PostgreSQL::Test::Utils::tempdir_short();
my $dir = "$home/c";
# No port of it is among those of outgoing connections.
my $base = ($ENV{BASE_PORT} // 10000) + 400;
my $answer;

# Runs the script; returns what it prints, and leaves its exit status.
sub cluster
{
	my ($command, @options) = @_;
	my $out = '';

	IPC::Run::run([ $script, $command, '--dir', $dir, @options ],
		'<', \undef, '>&', \$out);
	$answer = $? >> 8;
	note("cluster $command @options: exit status $answer: $out") if $answer != 0;
	return $out;
}

# One value from the first node, by what `env` says.
sub ask
{
	my ($sql) = @_;
	my $out = '';
	my $err = '';
	my %env = cluster('env') =~ /^export (\w+)=(.*)$/mg;

	s/\\(.)/$1/g foreach values %env;

	local %ENV = (%ENV, %env);
	IPC::Run::run([ 'psql', '-XAtqc', $sql ], '<', \undef, '>', \$out, '2>', \$err);
	chomp $out;
	diag($err) if $err ne '';
	return $out;
}

# Whatever happens; the exit status is the test's.
END
{
	my $status = $?;

	cluster('stop', '--wipe');
	$? = $status;
}

like(cluster('status'), qr/no cluster in/, 'there is none yet');
isnt($answer, 0, 'which is an error');
like(cluster('env'), qr/no cluster in/, 'nor how to connect to it');
cluster('stop', '--wipe');
is($answer, 0, 'stopping it is none');
ok(!-e $dir, 'and makes nothing');

mkdir "$home/other";
append_to_file("$home/other/file", 'precious');
IPC::Run::run([ $script, 'start', '--dir', "$home/other", '--base-port', $base ], '<', \undef, '>&', \my $refused);
isnt($?, 0, 'a folder of something else is refused');
IPC::Run::run([ $script, 'stop', '--wipe', '--dir', "$home/other" ], '<', \undef, '>&', \$refused);
ok(-e "$home/other/file", 'and not wiped, either');

# ---- start, connect
cluster('start', '--base-port', $base, '--set', 'tikv.database=my keys', '--set', 'tikv.readers=0');
is($answer, 0, 'it starts, in a database that it makes');
my $env = cluster('env');
foreach my $line ('PGHOST=127.0.0.1', 'PGPORT=' . (54321 + $base), 'PGUSER=postgres',
	'TIKV_PD=127.0.0.1:' . (2379 + $base))
{
	like($env, qr/^export \Q$line\E$/m, "env: $line");
}
my $store_addr = '127.0.0.1:' . (20160 + $base);
like(cluster('status'), qr/store\b.*\bserving\b.*\Q$store_addr\E/, 'status shows the store');
is($answer, 0, 'and that all serves');
is(ask(q{SELECT tikv_put('k', 'v'); SELECT convert_from(tikv_get('k'), 'UTF8')}), "\nv", 'it serves keys');

# ---- again
my $pid = ask(q{SELECT pid FROM tikv_status() WHERE worker = 'store'});
cluster('start');
is($answer, 0, 'starting it again is harmless');
is(ask(q{SELECT pid FROM tikv_status() WHERE worker = 'store'}), $pid, 'and restarts nothing');
like(cluster('start', '--base-port', $base + 1), qr/--base-port/, 'at other ports it is another cluster');
isnt($answer, 0, 'which is refused');
like(cluster('status', '--nodes', 2), qr/1 node/, 'it is one node');
isnt($answer, 0, 'and not two');
like(cluster('leave', 0), qr/one node must stay/, 'which cannot leave');
isnt($answer, 0, 'with an error');
like(cluster('start', '--set', 'nonsense'), qr/name=value/, 'a setting has a name and a value');

# ---- what runs is what is installed: a node that was started with other
# libraries is restarted.  The libraries are copies, of which it knows nothing.
my $real = $ENV{PG_CONFIG};
my $lib = "$home/lib";

mkdir $lib;
chomp(my $installed = `$real --pkglibdir`);
foreach my $name (qw(tikv_fdw tikv_worker tikv_status))
{
	append_to_file("$lib/$name.so", slurp_file("$installed/$name.so"));
}
append_to_file("$home/pg_config", qq{#!/bin/sh\n[ "\$*" != --pkglibdir ] || exec echo '$lib'\nexec '$real' "\$@"\n});
chmod 0755, "$home/pg_config";
$ENV{PG_CONFIG} = "$home/pg_config";
unlike(cluster('start'), qr/restarted/, 'the same libraries, written anew, are no change');
is($answer, 0, 'starting it with them is harmless');
is(ask(q{SELECT pid FROM tikv_status() WHERE worker = 'store'}), $pid, 'and restarts nothing');
append_to_file("$lib/tikv_status.so", 'new');
like(cluster('start'), qr/node 0 is restarted.*installed is not what it was started with/, 'another build restarts the node, and says why');
is($answer, 0, 'it serves again');
isnt(ask(q{SELECT pid FROM tikv_status() WHERE worker = 'store'}), $pid, 'with new processes');
is(ask(q{SELECT convert_from(tikv_get('k'), 'UTF8')}), 'v', 'and its data');
unlike(cluster('start'), qr/restarted/, 'once');
$ENV{PG_CONFIG} = $real;
like(cluster('start'), qr/restarted/, 'so does the build before');

# ---- settings are applied and remembered; of few worker processes the store
# and PD come first
cluster('start', '--set', 'max_worker_processes=3', '--set', 'tikv.server_workers=2',
	'--set', '0:tikv.slow_log_threshold=7s', '--set', 'tikv.slow_log_threshold=6s',
	'--set', '1:tikv.slow_log_threshold=5s');
is($answer, 0, 'with few worker processes the node serves');
like(cluster('status'), qr/status\b.*not registered/, 'status says who goes without');
is($answer, 0, 'but all that run serve');
is(ask('SHOW tikv.slow_log_threshold'), '7s', 'settings are applied, one of the node before one of all');

# ---- so is an environment, and who has another one is restarted
my $value = q{CREATE TEMP TABLE seen (value text); COPY seen FROM PROGRAM 'echo "$TIKV_TEST"'; SELECT value FROM seen};

is(ask($value), '', 'the server has no variable that nobody gave it');
like(cluster('start', '--env', '0:TIKV_TEST=of node 0', '--env', 'TIKV_TEST=of all', '--env', '1:TIKV_TEST=of another'),
	qr/node 0 is restarted.*environment/, 'another environment restarts the node, and says why');
is(ask($value), 'of node 0', 'the server has it, that of the node before that of all');
unlike(cluster('start', '--env', '0:TIKV_TEST=of node 0'), qr/restarted/, 'the same one does not');
like(cluster('start', '--env', 'TIKV TEST=x'), qr/NAME=value/, 'a variable has a name and a value');
cluster('stop');
is($answer, 0, 'it stops');
like(cluster('status'), qr/not running/, 'status says so');
is($answer, 3, 'by its exit status, too');
cluster('start', '--set', 'max_worker_processes=8');
is($answer, 0, 'it starts with what it remembers');
is(ask(q{SELECT convert_from(tikv_get('k'), 'UTF8')}), 'v', 'its keys');
is(ask('SHOW tikv.slow_log_threshold'), '7s', 'its settings');
is(ask($value), 'of node 0', 'and its environment');

# ---- it grows, and nodes leave, the first one among them: the others serve on,
# are not restarted, and know that they are gone
my $pids = q{SELECT string_agg(pid::text, ' ' ORDER BY worker) FROM tikv_status() WHERE pid IS NOT NULL};

# One value of a node.
sub ask_node
{
	my ($node, $sql) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'psql', '-XAtq', '-h', '127.0.0.1', '-p', 54321 + $base + $node, '-U', 'postgres',
		'-c', $sql, 'my keys' ], '<', \undef, '>', \$out, '2>', \$err);
	chomp $out;
	diag($err) if $err ne '';
	return $out;
}

# Roles of the region's peers, and how many stores and members there are.
sub cluster_of
{
	my ($node) = @_;

	return ask_node($node, q{SELECT string_agg(role, ' ' ORDER BY role) FROM tikv.raft}) . ', '
	  . ask_node($node, q{SELECT count(*) FROM tikv.stores WHERE state = 'up'}) . ' stores, '
	  . ask_node($node, 'SELECT count(*) FROM tikv.members') . ' members';
}

my $before = ask_node(0, $pids);
unlike(cluster('start', '--nodes', 2), qr/restarted/, 'it grows');
is($answer, 0, 'and all serve');
is(ask_node(0, $pids), $before, 'the first node has the processes of before');
wait_for('a voter and a learner', sub { return cluster_of(0) eq 'leader learner, 2 stores, 2 members' });
cluster('start', '--nodes', 3);
is($answer, 0, 'it grows again');
is(ask_node(0, $pids), $before, 'with the same processes');
wait_for('three voters', sub { return cluster_of(0) eq 'follower follower leader, 3 stores, 3 members' });
like(cluster('start', '--nodes', 2), qr/3 node.*leave/, 'it does not shrink by a start');
isnt($answer, 0, 'which is an error');
is(ask_node(1, 'SHOW tikv.slow_log_threshold'), '5s', 'a new node has what is remembered for it');

like(cluster('leave', 7), qr/no node 7/, 'nobody leaves who is not there');
like(cluster('leave', 0, 1, 2), qr/one node must stay/, 'nor do all');
$before = ask_node(2, $pids);
like(cluster('leave', 0, '--wipe'), qr/node 0 has left/, 'the first one leaves');
is($answer, 0, 'the one that led');
ok(!-e "$dir/node0", 'and its folder is removed');
is(ask_node(2, $pids), $before, 'the last one has the processes of before');
wait_for('a voter and a learner', sub { return cluster_of(2) eq 'leader learner, 2 stores, 2 members' });
is(ask(q{SELECT convert_from(tikv_get('k'), 'UTF8')}), 'v', 'env tells of one that stays');
unlike(cluster('status'), qr/^node 0:/m, 'status knows that it is gone');
is($answer, 0, 'and that all others serve');
like(cluster('leave', 0), qr/no node 0, but 1 2/, 'it cannot leave twice');
cluster('restart');
is($answer, 0, 'the others start without it');
is(ask_node(2, q{SELECT convert_from(tikv_get('k'), 'UTF8')}), 'v', 'with their keys');
unlike(cluster('start'), qr/restarted/, 'and as they were');

cluster('start', '--nodes', 3);
is($answer, 0, 'a new node has its place');
wait_for('three voters again', sub { return cluster_of(0) eq 'follower follower leader, 3 stores, 3 members' });
is(ask_node(0, q{SELECT convert_from(tikv_get('k'), 'UTF8')}), 'v', 'and all keys');
cluster('leave', 1);
is($answer, 0, 'one leaves, and its folder stays');
ok(-e "$dir/node1/data/PG_VERSION", 'as it was');
like(cluster('status'), qr/^node 0:.*^node 2:/ms, 'two are there');
unlike(cluster('status'), qr/^node 1:/m, 'of three');
cluster('stop');
cluster('leave', 2);
isnt($answer, 0, 'who is stopped cannot leave');
cluster('stop', '--wipe');
is($answer, 0, 'wiping it stops it');
ok(!-e $dir, 'and removes its folder');

done_testing();
