# A store whose Placement Driver is another node's, and has one member: its data
# directory is rolled back, and it does not serve, however often it is started.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $pd = new_node('driver');
my $node;

sub starts
{
	return $node->safe_psql('postgres', 'SELECT start_seq, claim_word <> 0 FROM tikv_internal.store_meta');
}

# In the same directory: by its place it cannot be told from the original.
sub replace_data
{
	my ($from) = @_;
	my $dir = $node->data_dir;

	system('find', $dir, '-mindepth', '1', '-delete') == 0 or die 'find';
	system('cp', '-a', "$from/.", $dir) == 0 or die 'cp';
}

sub save_data
{
	my ($to) = @_;

	system('cp', '-a', $node->data_dir, $to) == 0 or die 'cp';
	return $to;
}

$pd->start;
serve($pd);
$node = new_node('outside', 'tikv.pd_endpoints' => $pd->{tikv}{'tikv.pd_addr'});
$node->start;
serve($node);
my ($first) = split /\|/, starts();
$node->stop('fast');
my $old = save_data($node->data_dir . '.old');

foreach my $start (1 .. 2)
{
	$node->start;
	wait_serving($node);
	is(starts(), $first + $start . '|f', 'a start is counted and accepted');
	$node->stop('fast');
}
my $new = save_data($node->data_dir . '.new');

replace_data($old);
foreach my $start (1 .. 4)
{
	$node->start;
	wait_state($node, 'store', 'waiting', qr/is a copy, or was rolled back/);
	is(starts(), $first + 1 . '|t', 'rolled back it does not serve, and does not catch up');
	$node->stop($start % 2 ? 'fast' : 'immediate');
}

replace_data($new);
$node->start;
wait_serving($node);
is(starts(), $first + 3 . '|f', 'as it was it serves');

# Nor is the one that has the Placement Driver alone: it knows another store.
$pd->restart;
wait_serving($pd);
is($pd->safe_psql('postgres', q{SELECT count(*) FROM tikv_internal.pd_kv WHERE key LIKE 'kv/key/%tikv_fdw%start%'}),
	'2', 'both have claimed their starts');
$_->stop('fast') foreach $node, $pd;
done_testing();
