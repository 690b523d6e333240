# A data directory that is another one than it was: a restored backup, a
# promoted standby, a copy that was put back, pg_upgrade.  A sole member takes
# it for its own, says so, and its timestamps go on after all that the original
# can have handed out.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::RecursiveCopy;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;
use Time::HiRes qw(time);

sub timestamp
{
	my ($node) = @_;
	my ($answer, $out) = rawctl($node, 'timestamp');

	is($answer, 0, 'PD gives a timestamp');
	return $out;
}

sub start_seq
{
	return $_[0]->safe_psql('postgres', 'SELECT start_seq FROM tikv_internal.store_meta');
}

# The time that a timestamp says, in seconds.
sub clock_of
{
	return ($_[0] >> 18) / 1000;
}

# What the log has said since a place in it.
sub log_has
{
	my ($node, $what, $since) = @_;

	return slurp_file($node->logfile, $since // 0) =~ $what;
}

# The store of a copy: serves $value, has started once more than $seq says, and
# is ahead of $before, and of the clock as it was when the copy was started.
sub check_adopted
{
	my ($node, $kind, $value, $seq, $before, $began, $how) = @_;
	my $now;

	is((rawctl($node, 'get', 'k'))[1], $value, "$kind: the data are served");
	is((rawctl($node, 'put', 'mine', $kind))[0], 0, "$kind: and written");
	is(start_seq($node), $seq + 1, "$kind: the start was counted");
	$now = timestamp($node);
	cmp_ok($now, '>', $before, "$kind: timestamps go on");
	cmp_ok(clock_of($now), '>', $began + 9, "$kind: ahead of the clock");
	ok(log_has($node, $how), "$kind: the log says what happened");
	ok(log_has($node, qr/the data may be a copy: timestamps go on/), "$kind: PD says so, too");
}

my $original = new_node('original');
my ($seq, $last);

$original->start;
serve($original);
rawctl($original, 'put', 'k', 'in the backup');
cmp_ok(clock_of(timestamp($original)), '<', time() + 1, 'a new node goes by the clock');

# A restart is none of it.
my $place = -s $original->logfile;
$original->restart;
wait_serving($original);
ok(!log_has($original, qr/adopts its data|may be a copy/, $place), 'a restart is no move');
cmp_ok(clock_of(timestamp($original)), '<', time() + 8, 'and no reason to jump');

# A base backup, restored while the original goes on.
$original->backup('base');
$seq = start_seq($original);
rawctl($original, 'put', 'k', 'after the backup');
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($original, 'base');
configure_node($restored, TikvTest::new_ports());
$last = timestamp($original);
my $began = time();
$restored->start;
wait_serving($restored);
check_adopted($restored, 'a restored backup', 'in the backup', $seq, $last, $began,
	qr/adopts its data: another data directory/);
is((rawctl($original, 'get', 'k'))[1], 'after the backup', 'the original is not disturbed');

# Adopted once, it is at home.
$place = -s $restored->logfile;
$restored->restart;
wait_serving($restored);
ok(!log_has($restored, qr/adopts its data/, $place), 'it adopts its data once');
$restored->stop;

# A standby, promoted.
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($original, 'base', has_streaming => 1);
configure_node($standby, TikvTest::new_ports());
$standby->start;
$original->wait_for_catchup($standby);
$last = timestamp($original);
$original->stop;
$began = time();
$standby->promote;
wait_serving($standby);
check_adopted($standby, 'a promoted standby', 'after the backup', $seq, $last, $began,
	qr/adopts its data: another data directory, .*another timeline|adopts its data: another data directory; another timeline/);
$standby->stop;

# A folder that was copied, went on, and was put back as it had been.
my $data = $original->data_dir;
PostgreSQL::Test::RecursiveCopy::copypath($data, "$data.copy");
$original->start;
wait_serving($original);
$seq = start_seq($original) - 1;
rawctl($original, 'put', 'k', 'is lost');
$last = timestamp($original);
$original->stop;
rename($data, "$data.gone") or die;
rename("$data.copy", $data) or die;
chmod 0700, $data;
$began = time();
$original->start;
wait_serving($original);
check_adopted($original, 'a reverted copy', 'after the backup', $seq, $last, $began,
	qr/adopts its data: another data directory/);

# pg_upgrade starts both servers, and nothing of ours works in them: the start
# that follows is the next one that is counted.
my $upgraded = new_node('upgraded');
$seq = start_seq($original);
$last = timestamp($original);
$original->stop;
chdir ${PostgreSQL::Test::Utils::tmp_check};
my $bin = $original->config_data('--bindir');
command_ok(
	[
		'pg_upgrade', '--no-sync', '--retain', '-b', $bin, '-B', $bin,
		'-d', $original->data_dir, '-D', $upgraded->data_dir,
		'-s', $original->host, '-p', $original->port, '-P', $upgraded->port,
	],
	'pg_upgrade');
my @logs = glob($upgraded->data_dir . '/pg_upgrade_output.d/*/log/pg_upgrade_server.log');
is(scalar(@logs), 1, 'its servers have left a log');
unlike(slurp_file($logs[0]), qr/tikv (?:store|pd|server|reader|status)/, 'in which nothing of ours appears');
$began = time();
$upgraded->start;
wait_serving($upgraded);
check_adopted($upgraded, 'an upgraded cluster', 'after the backup', $seq, $last, $began,
	qr/adopts its data: another data directory/);
is($upgraded->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), '0',
	'tikv_check finds nothing wrong');
$upgraded->stop;

done_testing();
