# Commands of many slices where a region has several peers: each slice is an entry
# of the log, and what it took to decide it is given back before the next.

use strict;
use warnings;

use List::Util qw(max);
use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;
use Time::HiRes qw(time usleep);

my $n = 20000;
my @parts = ('a', 'b', 'c');

# Private memory that the store may take for one of them, however many locks or
# versions it ends: a slice takes a third of a megabyte.
my $limit_kb = 16 * 1024;

my @nodes = make_group('group_slices', 'tikv.gc_life_time' => '1h');
my $node;

sub step
{
	my @arguments = @_;
	my ($answer, $out, $err) = txnctl($node, @arguments);

	is($answer, 0, substr("@arguments", 0, 60)) or diag($err);
	return $out;
}

# Private memory of the leader's store.
sub memory_kb
{
	my ($pid) = @_;

	open my $file, '<', "/proc/$pid/status" or die "/proc/$pid/status: $!";
	my ($kb) = map { /^RssAnon:\s+(\d+)/ ? $1 : () } <$file>;
	close $file;
	return $kb;
}

sub versions
{
	return $node->safe_psql('postgres', q{SELECT count(*) FROM tikv_internal.write WHERE key >= 'slices/'});
}

# The command, and how much more memory than before the store has meanwhile.
sub takes_little
{
	my ($what, @arguments) = @_;
	my ($pid) = pids($node, 'tikv store');
	my $before = memory_kb($pid);
	my $most = $before;
	my $began = time();
	my $command = txnctl_start($node, @arguments);

	while ($command->{run}->pumpable)
	{
		$command->{run}->pump_nb;
		$most = max($most, memory_kb($pid));
		usleep(20_000);
	}
	$command->{run}->finish;
	elapsed_note($what, $began);
	is($command->{run}->result(0), 0, $what) or diag(${ $command->{err} });
	note(sprintf '%s: from %d kB to %d kB', $what, $before, $most);
	cmp_ok($most - $before, '<', $limit_kb, "$what: memory is that of a slice");
}

$node = $nodes[ wait_leader() ];
my $version = step('ts');
my $start = step('ts');
step('prewrite-many', $start, "slices/$_", $n, 'v') foreach @parts;
takes_little('ResolveLock', 'resolve', $start, step('ts'), 'slices/');
is(versions(), $n * @parts, 'ResolveLock: all are committed');
is($node->safe_psql('postgres', 'SELECT count(*) FROM tikv_internal.lock_slot WHERE rec IS NOT NULL'),
	0, 'ResolveLock: and no lock is left');

my $back = step('ts');
takes_little('PrepareFlashbackToVersion', 'prepare-flashback', $back, $version, 'slices/', 'slices/~');
takes_little('FlashbackToVersion', 'flashback', $back, step('ts'), $version, 'slices/', 'slices/~');
is(versions(), 2 * $n * @parts, 'FlashbackToVersion: all have a newer version');
is((txnctl($node, 'get', step('ts'), 'slices/a00001'))[0], 2, 'FlashbackToVersion: that they are gone');

takes_little('DeleteRange', 'delete-range', 'slices/', 'slices/~');
is(versions(), 0, 'DeleteRange: all is gone');
wait_for('the others to have done so, too', sub {
	return !grep {
		(ask($_, q{SELECT count(*) FROM tikv_internal.write WHERE key >= 'slices/'}) // '') ne '0'
	} 0 .. 2;
});
pass('on every node');
checks_clean(0 .. 2);
$_->stop('immediate') foreach @nodes;
done_testing();
