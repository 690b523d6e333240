# A leader whose disk is short leaves the region to a peer whose disk is well:
# writes go on, also where the region slept.  It stays where nobody's is.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;

my @stores = (1, 4, 5);
my @nodes = make_group('full_leader', 'tikv.request_timeout' => '30s');

sub reserve
{
	my ($space, @which) = @_;

	foreach my $i (@which)
	{
		$nodes[$i]->append_conf('postgresql.conf', "tikv.reserve_space = '$space'");
		$nodes[$i]->reload;
	}
}

# Exit status and what was said.
sub put
{
	my ($i, $key) = @_;
	my ($answer, $out, $err) = rawctl($nodes[$i], 'put', $key, 'v');

	return ($answer, "$out$err");
}

sub asleep
{
	my ($i) = @_;

	return (ask($i, 'SELECT hibernates FROM tikv.raft WHERE region_id = 2 AND is_local') // '') eq 't';
}

# Another node than `full` leads, and takes writes.
sub wait_left
{
	my ($full, $key, $what) = @_;
	my $leads;

	wait_for($what, sub {
		put($full, $key); # what is refused wakes the region
		$leads = wait_leader();
		return $leads != $full && (put($leads, $key))[0] == 0;
	});
	isnt($leads, $full, $what);
	return $leads;
}

my $first = wait_leader();

order($first, q{tikv_put('before', 'v')}, 'a key');
wait_same('on all nodes');

# ---- almost full: ordinary writes need another leader

wait_for('the region to sleep', sub { asleep($first) });
reserve(nearly_full($nodes[$first]), $first);
my $second = wait_left($first, 'almost', 'a leader that is almost full leaves it, where the region slept');

# ---- full: it takes nothing itself, and leaves it likewise

reserve('-1', $first);
wait_same('the first has space again, and all');
reserve('1000TB', $second);
my $third = wait_left($second, 'full', 'a leader that is full leaves it');

# ---- one more is full: writes find no majority, and reads go on

my ($well, $full) = grep { $_ != $third } 0 .. 2;

sub wait_full
{
	my ($i) = @_;

	reserve('1000TB', $i);
	wait_for("the disk of node $i to be full", sub {
		return try_query($nodes[$i], q{SELECT string_agg(reason, ' ') FROM tikv_status()}) =~ /disk full/;
	});
}

reserve('-1', 0 .. 2);
wait_same('all have space again');
wait_full($full);
sleep 2; # in which the leader is told
wait_full($third);
wait_for('the one that is well to lead', sub {
	put($third, 'full'); # a key that is there already, should it be taken
	return wait_leader() == $well;
});
is(ask($well, q{SELECT count(*) FROM tikv_scan('', '')}), '3', 'it serves reads');
wait_for('it to refuse writes', sub { (put($well, 'full'))[1] =~ /no majority of voters/ });
pass('and refuses writes');

# ---- space again

reserve('-1', 0 .. 2);
my $leads;
wait_for('a write', sub { $leads = wait_leader(); (put($leads, 'after'))[0] == 0 });
wait_same('all nodes have the same');
is(ask($leads, q{SELECT count(*) FROM tikv_scan('', '')}), '4', 'that is all that was acknowledged');
checks_clean(0 .. 2);
$_->stop foreach @nodes;
done_testing();
