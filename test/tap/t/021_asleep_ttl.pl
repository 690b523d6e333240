# Keys that expire while their region sleeps on all nodes are removed there, on
# each by itself: nobody wakes for it, and the stores' beats tell their clocks,
# without which nothing would be removed.

use strict;
use warnings;

use Test::More;
use TikvGroup;
use TikvTest;

my $keys = 1000;
my $seconds = 20;
my @nodes = make_group('asleep', 'tikv.enable_ttl' => 'on');
my $leads = wait_leader();

sub all_asleep
{
	my ($what) = @_;

	wait_for("all to be asleep: $what", sub {
		!grep { (ask($_, 'SELECT hibernates FROM tikv.raft WHERE region_id = 2 AND is_local') // '') ne 't' } 0 .. 2;
	});
	pass("all are asleep: $what");
}

sub rows_left
{
	return ask($_[0], q{SELECT count(*) FROM tikv_internal.raw WHERE cf = 'd' AND era >= 0});
}

sub woken
{
	return ask($_[0], q{SELECT value FROM tikv.metrics WHERE name = 'tikv_fdw_regions_woken_total'});
}

is(ask($leads, "SELECT tikv_batch_put(array_agg(('k' || i)::bytea), array_agg('v'::bytea), $seconds) FROM generate_series(1, $keys) AS i"),
	'', 'keys that will expire');
is(ask($leads, q{SELECT tikv_put('stays', 'v')}), '', 'and one that does not');
is(ask($leads, q{SELECT tikv_put('far', 'v', 9223372036854775807)}), '', 'and one at the end of time');
is(ask($_, q{SELECT tikv_ttl('stays'), tikv_ttl('far') > 1000000000000}), '0|t', "node $_ sees both") foreach 0 .. 2;
all_asleep('before they expire');
is(rows_left($_), $keys + 2, "node $_ has them all") foreach 0 .. 2;

my @woken = map { woken($_) } 0 .. 2;
my @received = map { received($_) } 0 .. 2;

wait_for('expired rows to go', sub { !grep { rows_left($_) ne '2' } 0 .. 2 });
pass('what has expired is gone from all nodes');
all_asleep('after that');
is_deeply([map { woken($_) } 0 .. 2], \@woken, 'nobody was woken');
cmp_ok(received($_), '>', $received[$_], "node $_ hears from the others") foreach 0 .. 2;
checks_clean(0 .. 2);
$_->stop foreach @nodes;
done_testing();
