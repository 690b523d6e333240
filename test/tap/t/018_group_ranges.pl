# Deletions of ranges where one store carries none out since its disk is nearly
# full: those that are committed are applied as far as there is room for them,
# the others wait, and the store goes on.

use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(time usleep);

# RANGE_DELETES_FULL, and some more.
my $full = 4096;
my $sessions = 8;
my $each = 700;

my @nodes = make_group('group_ranges', 'tikv.request_timeout' => '60s');
my $leads = wait_leader();
my $away = ($leads + 1) % 3;
my ($store) = pids($nodes[$away], 'tikv store');

sub reserve
{
	my ($space) = @_;

	$nodes[$away]->append_conf('postgresql.conf', "tikv.reserve_space = '$space'");
	$nodes[$away]->reload;
}

sub waiting
{
	return ask($away, q{SELECT waiting FROM tikv.tasks WHERE task = 'delete ranges'}) // -1;
}

# SQL asks for no deletion where there is nothing.
sub delete_one
{
	my ($session) = @_;

	return "tikv_put('gone$session/1', 'v'), tikv_delete_range('gone$session/', 'gone${session}0')";
}

# Deletions, one after the other: their number is what counts.
sub delete_many
{
	my ($session) = @_;
	my ($out, $err) = ('', '');

	return IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $nodes[$leads]->connstr('postgres'), '-c',
			"DO \$\$ BEGIN FOR i IN 1..$each LOOP PERFORM " . delete_one($session) . '; END LOOP; END $$' ],
		'<', \undef, '>', \$out, '2>', \$err);
}

order($leads, q{tikv_put('r/1', 'old')}, 'a key');
reserve('1000TB');
wait_for('a store that carries none out', sub {
	ask($leads, 'SELECT ' . delete_one(0));
	usleep(300_000);
	return waiting() > 0;
});
my $began = time();
my @deletions = map { delete_many($_) } 1 .. $sessions;
$_->finish foreach @deletions;
elapsed_note($sessions * $each . ' deletions', $began);
is(scalar(grep { $_->result(0) == 0 } @deletions), $sessions, 'more ranges are deleted than a store remembers');
order($leads, q{tikv_delete_range('r/', 'r0')}, 'and a key');
order($leads, q{tikv_put('r/2', 'new')}, 'which another one follows');

wait_for('the store to have enough of them', sub { waiting() >= $full });
like(slurp_file($nodes[$away]->logfile), qr/what is committed waits for \d+ deletions of ranges/, 'the log says what it waits for');
is((pids($nodes[$away], 'tikv store'))[0], $store, 'the store has not ended');
$nodes[$away]->restart;
wait_for('it to serve again', sub { waiting() >= $full });
($store) = pids($nodes[$away], 'tikv store');
isnt(ask($leads, q{SELECT count(*) FROM tikv_scan('r/', 'r0')}), undef, 'others read meanwhile');

reserve('-1');
foreach my $left (4000, 3000, 2000, 1000, 0)
{
	wait_for("no more than $left to be left where there is space again", sub { my $n = waiting(); $n >= 0 && $n <= $left });
}
wait_same('and all nodes have the same');
is((pids($nodes[$away], 'tikv store'))[0], $store, 'still by the same store');
is(ask(wait_leader(), q{SELECT convert_from(key, 'UTF8') FROM tikv_scan('r/', 'r0')}), 'r/2', 'the newer key');
checks_clean(0 .. 2);
$_->stop foreach @nodes;

done_testing();
