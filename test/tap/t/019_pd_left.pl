# A node whose member has left the Placement Driver, while its store has not: it
# finds who leads, also when that is another one than when it left.  Nobody tells
# it, and its regions are handed over only if PD hears of them.

use strict;
use warnings;

use HTTP::Tiny;
use JSON::PP;
use Test::More;
use TikvCopies;
use TikvTest;
use Time::HiRes qw(usleep);

my $http = HTTP::Tiny->new(timeout => 5);
my %node = three_nodes();

sub url
{
	return "http://$node{$_[0]}{tikv}{'tikv.pd_addr'}/pd/api/v1/";
}

# The name of the member that leads, as a node knows it; '': none.
sub leader_at
{
	my $answer = $http->get(url($_[0]) . 'leader');

	return $answer->{success} ? JSON::PP->new->decode($answer->{content})->{name} : '';
}

sub name_of
{
	return "pd-$node{$_[0]}{tikv}{'tikv.pd_addr'}";
}

# Leadership goes to this node.
sub lead
{
	my ($name) = @_;

	wait_for("$name to lead", sub {
		return 1 if leader_at($name) eq name_of($name);
		# HTTP::Tiny does not follow a POST that is redirected.
		$http->post(url($_) . 'leader/transfer/' . name_of($name)) foreach qw(one two three);
		usleep(200_000);
		return 0;
	});
}

sub stores_at
{
	return try_query($node{ $_[0] }, 'SELECT count(*) FROM tikv.stores') // 'none';
}

wait_for('three voters', sub { return voters_at($node{one}) eq '3' });
$node{four} = new_node('four', 'tikv.join' => $node{one}{tikv}{'tikv.pd_addr'});
$node{four}->start;
serve($node{four});
lead('one');
is(stores_at('four'), '4', 'a fourth node has joined');

$node{four}->safe_psql('postgres', 'SELECT tikv_leave()');
wait_for('its member to have left', sub {
	return $node{one}->safe_psql('postgres', 'SELECT count(*) FROM tikv.members') eq '3';
});
is(stores_at('four'), '4', 'who has left still finds who leads');

foreach my $name (qw(two three one))
{
	lead($name);
	wait_for("the one that has left to find $name", sub { return stores_at('four') eq '4' });
	pass("and finds $name when that leads");
}
wait_for('its store to have left', sub {
	return $node{one}->safe_psql('postgres', q{SELECT count(*) FROM tikv.stores WHERE state = 'tombstone'}) eq '1';
});
$_->stop('fast') foreach @node{qw(four three two one)};

done_testing();
