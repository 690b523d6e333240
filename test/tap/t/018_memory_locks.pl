# Pessimistic locks in memory: within the limits of region and node they have no
# row, beyond them they are durable, and nobody gets an error.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $node = new_node('memory_locks', 'tikv.in_memory_peer_size_limit' => '1kB');

sub step
{
	my @arguments = @_;
	my ($answer, $out, $err) = txnctl($node, @arguments);

	is($answer, 0, "@arguments") or diag($err);
	return $out;
}

sub locks
{
	my ($kind) = @_;

	return $node->safe_psql('postgres',
		qq{SELECT value::int8 FROM tikv.metrics
		   WHERE name = 'tikv_fdw_locks' AND labels->>'kind' = '$kind'});
}

sub set
{
	my ($setting) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET $setting");
	$node->reload;
	wait_for($setting, sub {
		my ($name, $value) = split / = /, $setting;
		return $node->safe_psql('postgres', "SHOW $name") eq $value =~ s/'//gr;
	});
}

$node->start;
serve($node);

# Each counts for more than a hundred bytes and less than three hundred.
my $start = step('ts');
my @keys = map { sprintf 'k%03d', $_ } 1 .. 20;
step('lock', $start, $start, -1, $_) foreach @keys;
my $in_memory = locks('memory');
cmp_ok($in_memory, '>=', 3, 'some of the locks are in memory');
cmp_ok($in_memory, '<=', 10, 'up to the limit of the region');
is(locks('durable'), @keys - $in_memory, 'the others are durable');

my $other = step('ts');
foreach my $key (@keys)
{
	my ($answer, $out, $err) = txnctl($node, 'lock', $other, $other, -1, $key);

	is($answer, 3, "$key is locked, wherever its lock is");
}
step('rollback', $start, $_) foreach @keys;
is(locks('memory') + locks('durable'), 0, 'all of them end');

# What has ended counts no more; and the store takes new limits as they come.
step('lock', $other, $other, -1, $_) foreach @keys;
is(locks('memory'), $in_memory, 'there is room again');
set("tikv.in_memory_peer_size_limit = '1MB'");
my $third = step('ts');
step('lock', $third, $third, -1, "more$_") foreach @keys;
is(locks('memory'), $in_memory + @keys, 'more room in the region');
set("tikv.in_memory_instance_size_limit = '1kB'");
step('lock', $third, $third, -1, 'last');
is(locks('memory'), $in_memory + @keys, 'none in the node');
step('rollback', $third, $_) foreach 'last', map { "more$_" } @keys;
step('rollback', $other, $_) foreach @keys;

# A restart loses those in memory alone, and keeps the others.
set("tikv.in_memory_instance_size_limit = '100MB'");
set("tikv.in_memory_peer_size_limit = '1kB'");
my $last = step('ts');
step('lock', $last, $last, -1, $_) foreach @keys;
$node->stop('immediate');
$node->start;
wait_serving($node);
is(locks('memory'), 0, 'a restart loses the locks in memory');
is(locks('durable'), @keys - $in_memory, 'and no durable one');
$node->stop;
done_testing();
