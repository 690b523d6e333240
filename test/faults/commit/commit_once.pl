# An error behind the commit of a turn, on a node alone: what is durable is
# neither done again nor called undone.

use strict;
use warnings;

use Test::More;
use TikvCommit;
use TikvTest;

my $node = new_node('once');

$node->start;
serve($node);
use_node($node);

# A swap that is done again would find its own value.
sub swap
{
	my ($from, $to) = @_;
	my ($answer, $out, $err) = $node->psql('postgres',
		"SELECT swapped, convert_from(previous, 'UTF8') FROM tikv_cas('key', $from, '$to')");

	return $answer == 0 ? $out : $err;
}

sub same_store
{
	my ($before) = @_;

	wait_serving($node);
	return store_pid() == $before;
}

# Swap until an error comes, which is when the store has looked for points; what
# the key had before that, and would have.
my $n = 0;

sub swap_until
{
	my ($point, $ends) = @_;
	my $said;

	write_points("$point=1*error");
	wait_for("an error at $point", sub {
		$said = swap("'$n'", ++$n);
		return $ends->() || $said ne 't|' . ($n - 1);
	});
	clear_points();
	return $said;
}

sub hits
{
	my ($point) = @_;

	open my $in, '<', $node->data_dir . '/tikv_failpoint_hits' or return 0;
	return scalar grep { /^$point error/ } <$in>;
}

is(swap('NULL', 0), 't|', 'a swap');
my $store = store_pid();

like(swap_until('store_own_after_commit', sub { 0 }), qr/The outcome is unknown/,
	'an error behind the commit: the outcome is unknown');
ok(!same_store($store), 'the store has begun anew');
is(query(q{SELECT convert_from(tikv_get('key'), 'UTF8')}), $n, 'it is done');

$store = store_pid();
like(swap_until('store_own_before_commit', sub { hits('store_own_before_commit') > 0 }), qr/rolled back, nothing was written/,
	'an error before the commit: nothing was written');
is(query(q{SELECT convert_from(tikv_get('key'), 'UTF8')}), $n - 1, 'and nothing is');
ok(same_store($store), 'the store goes on');
$node->stop;
done_testing();
