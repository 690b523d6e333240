# A peer that has applied its own removal goes in the next turn.  If its server
# ends in between it goes when that starts again: nobody else could tell it, since
# what the others know of the region is no newer than what it knows itself.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvCopies;
use TikvGroup;
use TikvTest;

my @nodes = make_group('unheard');
my @stores = (1, 4, 5);
my @peers = (3, 6, 7);
my $known = 'SELECT conf_ver, peer_ids, peer_stores, peer_roles FROM tikv_internal.region WHERE region_id = 2';
my $first = wait_leader();
my $gone = ($first + 1) % 3;

wait_for('a write', sub { defined ask(leader() // $first, q{SELECT tikv_put('k', 'v')}) });
$nodes[$gone]->stop;
wait_for('the peer to be removed', sub {
	my $leads = leader();

	return 0 unless defined $leads;
	ask($leads, "SELECT tikv_remove_peer(2, $stores[$gone])");
	return (ask($leads, "SELECT cardinality(peer_stores) FROM tikv_internal.region WHERE region_id = 2") // '') eq '2';
});

# ---- its tables, as the entry that removes it leaves them

my ($conf_ver, $ids, $on, $roles) = split(/\|/, ask(leader(), $known));
before_start($nodes[$gone],
	"UPDATE tikv_internal.region SET conf_ver = $conf_ver, peer_ids = '$ids', peer_stores = '$on', peer_roles = '$roles' WHERE region_id = 2");
$nodes[$gone]->start;
wait_serving($nodes[$gone]);
wait_for('it to be destroyed', sub {
	(ask($gone, 'SELECT state FROM tikv_internal.region WHERE region_id = 2') // '') eq '2';
});
pass('it goes when its server starts');
like(slurp_file($nodes[$gone]->logfile), qr/peer $peers[$gone] of region 2 is removed/, 'which the log says');
is(ask($gone, 'SELECT count(*) FROM tikv.raft WHERE is_local'), '0', 'nobody sees it any more');
wait_for('its rows to go', sub { (ask($gone, 'SELECT count(*) FROM tikv_internal.raw') // '') eq '0' });
checks_clean(0 .. 2);
$_->stop('immediate') foreach @nodes;
done_testing();
