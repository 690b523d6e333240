# A store that goes for good, of which nobody tells: after tikv.max_store_down_time
# its peers are replaced on a store that has room, without an order, while clients
# write.  When it comes back after all, what it has is no more and goes.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvSpread;
use TikvTest;

# Shorter than the ten seconds in which every store tells that it lives.
my %settings = ('tikv.max_store_down_time' => '5s');
my @cut = qw(key3 key6);
my @nodes = make_spread('down', \@cut, [ 0, 1, 2 ], %settings);

# The only peers that move are those that are replaced.
pd('POST', 'schedulers/balance-region-scheduler', { delay => 3600 });
push @nodes, join_one('down', %settings);
my ($dead, $new) = @nodes[ 2, 3 ];
my @store = map { store_of($_) } 0 .. 3;
my $n = 0;

# Of all regions, and acknowledged, all of them, or the test ends; a key is never
# written twice.
sub put_more
{
	my ($node) = @_;
	my $from = $n + 1;

	$n += 10;
	$node->safe_psql('postgres', "SELECT count(tikv_put(convert_to('key' || i % 10 || '-' || i, 'UTF8'), convert_to('value' || i, 'UTF8'))) FROM generate_series($from, $n) i");
}

# Where PD says that voters of the regions are, one region a word.
sub voters
{
	my ($status, $body) = pd('GET', 'regions');

	return '' if ref $body ne 'HASH';
	return join ' ', sort map {
		join '+', sort { $a <=> $b } map { $_->{role} ? "learner of $_->{store_id}" : $_->{store_id} } @{ $_->{peers} }
	} @{ $body->{regions} };
}

sub everywhere { return join ' ', (join '+', sort { $a <=> $b } @_) x (@cut + 1); }

# When each store was last heard of.
sub heard
{
	my %heard = map { split /\|/ } split /\n/,
	  $nodes[0]->safe_psql('postgres', 'SELECT store_id, last_heartbeat FROM tikv.stores');

	return @heard{@store};
}

# They grow with every change of peers.
sub conf_vers
{
	return $nodes[0]->safe_psql('postgres', 'SELECT string_agg(conf_ver::text, $$ $$ ORDER BY region_id) FROM tikv.regions');
}

sub rows
{
	my ($node) = @_;

	return $node->safe_psql('postgres', q{SELECT count(*) || ' ' || md5(string_agg(key::text || value::text, ',' ORDER BY key)) FROM tikv_internal.raw});
}

# ---- who lives is not replaced, though it says so less often

my ($conf_vers, @before) = (conf_vers(), heard());
wait_for('each store to be heard of again', sub {
	my @now = heard();
	return !grep { $now[$_] eq $before[$_] } 0 .. 3;
});
is(voters(), everywhere(@store[ 0 .. 2 ]), 'nobody is replaced who lives');
is(conf_vers(), $conf_vers, 'nor was in between');

# ---- one dies

put_more($nodes[0]) foreach 1 .. 20;
my $old_rows = rows($nodes[0]);
$dead->stop('immediate');
my $writes = 0;
wait_for('its peers to be replaced', sub {
	put_more($nodes[ $writes++ % 2 ]);
	return voters() eq everywhere(@store[ 0, 1, 3 ]);
});
cmp_ok($writes, '>', 1, "$writes times writes of all regions were acknowledged meanwhile");
wait_for('the new ones to vote', sub {
	# Told once a second.
	$new->safe_psql('postgres', q{SELECT count(*) FROM tikv.raft WHERE is_local AND role IN ('leader', 'follower')}) == @cut + 1;
});
is(voters(), everywhere(@store[ 0, 1, 3 ]), 'each region has three voters, and they stay');
is($nodes[0]->safe_psql('postgres', "SELECT state FROM tikv.stores WHERE store_id = $store[2]"), 'up', 'nobody has deleted the dead store');
put_more($nodes[0]);
wait_for('all data on the new one', sub { rows($new) eq rows($nodes[0]) });
is((split ' ', rows($new))[0], $n, 'all that was acknowledged is there');

# ---- it comes back

$dead->start;
wait_serving($dead);
wait_for('its peers to be gone', sub {
	$dead->safe_psql('postgres', 'SELECT (SELECT count(*) FROM tikv_internal.raft_state) + (SELECT count(*) FROM tikv_internal.leftover) + (SELECT count(*) FROM tikv_internal.raw)') eq '0';
});
is(voters(), everywhere(@store[ 0, 1, 3 ]), 'the regions stay where they are');
is($dead->safe_psql('postgres', q{SELECT count(*) FROM tikv_scan('key', 'kez')}), $n, 'and are read through it');
put_more($dead);
wait_for('the last ones', sub { rows($new) eq rows($nodes[0]) && rows($nodes[1]) eq rows($nodes[0]) });
foreach my $i (0 .. 3)
{
	is($nodes[$i]->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), '0', "node $i checks clean");
	unlike(slurp_file($nodes[$i]->logfile), qr/PANIC|TRAP|broken invariant/, "node $i has no assertion in its log");
}
$_->stop('immediate') foreach @nodes;
done_testing();
