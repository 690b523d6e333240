# Clients fill what the Placement Driver holds of etcd's keys.  Stores keep notes of
# their starts there, which have room of their own: one that is there starts again,
# and a new one joins.

use strict;
use warnings;

use IPC::Run;
use Test::More;
use TikvTest;

my $first = new_node('first');
my $pd = $first->{tikv}{'tikv.pd_addr'};

# Put a value of so many bytes: "" if it is done, or what etcdctl says.
sub put
{
	my ($key, $len) = @_;
	my $input = 'v' x $len;
	my ($out, $err) = ('', '');

	local $ENV{ETCDCTL_API} = 3;
	IPC::Run::run([ 'etcdctl', "--endpoints=http://$pd", '--command-timeout=60s', 'put', $key ],
		'<', \$input, '>', \$out, '2>', \$err)
	  and return '';
	return $err =~ /\S/ ? $err : 'failed without a word';
}

# Put as many of one size as there is room for, then smaller ones, to the last bytes.
sub fill
{
	my ($n, $refusal) = (0, '');

	for (my $len = 1_000_000; $len >= 1; $len = int($len / 2))
	{
		$n++ until $refusal = put("k$n", $len);
		return $refusal if $refusal !~ /database space exceeded/ || $n > 200;
	}
	return $refusal;
}

sub joined
{
	my ($name) = @_;
	my $node = new_node($name, 'tikv.join' => $pd);

	$node->start;
	serve($node);
	return $node;
}

$first->start;
serve($first);
my $second = joined('second');
like(fill(), qr/database space exceeded/, 'clients fill the keys');
is(put('k0', 1_000_000), '', 'what is there may be put again');

$second->restart;
wait_serving($second);
pass('a store that is there starts again');
my $third = joined('third');
is($first->safe_psql('postgres', q{SELECT count(*) FROM tikv.stores WHERE state = 'up'}), '3',
	'a new one joins');
$third->restart;
wait_serving($third);
pass('and starts again');
like(put('one more', 1), qr/database space exceeded/, 'while there is no room for clients');
$_->stop('fast') foreach $third, $second, $first;
done_testing();
