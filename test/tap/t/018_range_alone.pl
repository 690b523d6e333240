# A deletion of a range that an earlier leader has acknowledged and that this
# peer has yet to carry out, when it leads and its group shrinks to it alone:
# nobody reads the keys, before a restart and after it.

use strict;
use warnings;

use Test::More;
use TikvGroup;
use TikvTest;

my $rows = 500;
my @stores = (1, 4, 5);
my @nodes = make_group('range_alone', 'tikv.request_timeout' => '10s');
my $old = wait_leader();
my ($new, $third) = grep { $_ != $old } 0 .. 2;
my $stored = q{SELECT count(*) FROM tikv_internal.raw WHERE key >= 'p/' AND key < 'p0'};
my $scan = q{SELECT count(*) FROM tikv_scan('p/', 'p0')};

sub reserve
{
	my ($space) = @_;

	$nodes[$new]->append_conf('postgresql.conf', "tikv.reserve_space = '$space'");
	$nodes[$new]->reload;
}

sub waiting
{
	return ask($new, q{SELECT waiting FROM tikv.tasks WHERE task = 'delete ranges'}) // -1;
}

# ---- a follower that carries out no deletion

order($old, qq{tikv_batch_put(array_agg(('p/' || i)::bytea), array_agg('v'::bytea)) FROM generate_series(1, $rows) AS i}, 'keys');
wait_same('on all nodes');
my $holder = $nodes[$new]->background_psql('postgres');

# all of them are one slice
$holder->query_safe(q{BEGIN; SELECT 1 FROM tikv_internal.raw WHERE key = 'p/1' FOR UPDATE});
order($old, q{tikv_delete_range('p/', 'p0')}, 'the deletion is acknowledged');
wait_for('it to be applied', sub { waiting() > 0 });
is(ask($new, $stored), $rows, 'and all rows are there');

# ---- it leads, with others and alone

order($old, "tikv_transfer_leader(2, $stores[$new])", 'leadership is handed to it');
wait_for('it to lead', sub { (leader() // -1) == $new });
is(ask($new, $scan), '0', 'it serves, and shows none of them');
order($new, "tikv_remove_peer(2, $stores[$_])", "store $stores[$_] loses its peer") foreach $old, $third;
wait_for('a lone peer', sub { (ask($new, 'SELECT count(*) FROM tikv.raft WHERE region_id = 2') // '') eq '1' });
is(ask($new, $scan), '0', 'alone it shows none');

# with nobody to leave it to it may lead without space
reserve(nearly_full($nodes[$new]));
wait_for('its disk to be nearly full', sub { (rawctl($nodes[$new], 'put', 'full', 'v'))[0] != 0 });
let_table_go($holder);
{
	local $ENV{RAWCTL_DISK_FULL_OPT} = 2;

	wait_for('its log to be gone', sub {
		rawctl($nodes[$new], 'put', 'alone', 'v');
		return (ask($new, 'SELECT count(*) FROM tikv_internal.raft_log WHERE region_id = 2') // '') eq '0';
	});
}

# ---- begun anew it has promised nothing to anybody

foreach my $how ('fast', 'immediate')
{
	$nodes[$new]->stop($how);
	start_again($new);
	wait_serving($nodes[$new]);
	is(ask($new, $scan), '0', "after a $how stop it shows none");
	is(ask($new, $stored), $rows, 'although all rows are there');
}
wait_for('a lease that has no end', sub {
	return (ask($new, q{SELECT bool_and(lease_ms = 'infinity') FROM tikv.raft WHERE region_id = 2}) // '') eq 't';
});

# ---- with space they go

reserve('-1');
wait_for('the rows to go', sub { (ask($new, $stored) // '') eq '0' });
wait_for('all deletions to end', sub { waiting() == 0 });
order($new, q{tikv_put('p/1', 'new')}, 'a key is written');
is(ask($new, $scan), '1', 'and found');
checks_clean($new);
$_->stop foreach @nodes;

done_testing();
