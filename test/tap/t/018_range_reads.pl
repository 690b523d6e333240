# What readers find of a range that is being deleted: nothing, from the moment
# at which the deletion is applied, neither at a follower that has removed the
# rows nor at the leader that has not begun to.

use strict;
use warnings;

use Test::More;
use TikvGroup;
use TikvTest;

my $rows = 500;
my @stores = (1, 4, 5);
my @nodes = make_group('range_reads', 'tikv.request_timeout' => '30s');
my $leads = wait_leader();
my @follow = grep { $_ != $leads } 0 .. 2;

# Three of them are a group: they differ behind what the index has of a key.
my $long = 'p/' . 'x' x 2100;
my $stored = q{SELECT count(*) FROM tikv_internal.raw WHERE key >= 'p/' AND key < 'p0'};
my $scan = q{SELECT count(*) FROM tikv_scan('p/', 'p0')};

# At the peer of a node, or at the leader: 'absent', or the value.
sub get
{
	my ($key, $at) = @_;
	my %more = defined $at ? (RAWCTL_REPLICA => $stores[$at]) : ();

	local @ENV{ keys %more } = values %more;
	my ($answer, $out, $err) = rawctl($nodes[$leads], 'get', $key);

	return $answer == 2 ? 'absent' : $answer == 0 ? $out : "error: $err";
}

sub nothing_is_read
{
	my ($when) = @_;

	is(get('p/7'), 'absent', "$when: not by key");
	is(get("$long-b"), 'absent', "$when: nor by a long one");
	is((rawctl($nodes[$leads], 'scan', 'p/', 10))[1], '1 6 p0 p0', "$when: nor in a range");
	is(ask($leads, $scan), '0', "$when: nor in SQL");
	is(ask($leads, q{SELECT count(*) FROM tikv_scan('p/', 'p0', reverse => true)}), '0', "$when: nor from behind");
	is(ask($leads, q{SELECT count(*) FROM tikv_batch_get((SELECT array_agg(('p/' || i)::bytea) FROM generate_series(1, 300) i))}), '0',
		"$when: nor many at a time");
	is(ask($leads, q{SELECT total_kvs FROM tikv_checksum('p/', 'p0')}), '0', "$when: nor in a sum");
}

order($leads, qq{tikv_batch_put(array_agg(('p/' || i)::bytea), array_agg('v'::bytea)) FROM generate_series(1, $rows) AS i}, 'keys');
order($leads, qq{tikv_put(convert_to('$long-$_', 'UTF8'), 'v')}, "a long one, $_") foreach qw(a b c);
order($leads, q{tikv_put('p', 'before'), tikv_put('p0', 'behind')}, 'neighbours');
wait_same('on all nodes');

# ---- the leader takes a deletion, and carries none out

my $holder = $nodes[$leads]->background_psql('postgres');

# all of them are one slice
$holder->query_safe(q{BEGIN; SELECT 1 FROM tikv_internal.raw WHERE key = 'p/1' FOR UPDATE});
my $call = rawctl_start($nodes[$leads], 'delete-range', 'p/', 'p0');
wait_for('the followers to carry it out', sub {
	return !grep { (ask($_, $stored) // '') ne '0' } @follow;
});
is(ask($leads, $stored), $rows + 3, 'the leader has all rows');
is(get('p/7', $_), 'absent', "node $_ has none of them") foreach @follow;
nothing_is_read('so the leader shows none');
is(get('p'), 'before', 'but what lies before');
is(get('p0'), 'behind', 'and behind');

# ---- keys that are written meanwhile

is((rawctl($nodes[$leads], 'put', $_, 'new'))[0], 0, 'a key is written') foreach 'p/7', "$long-b";
is(get($_), 'new', 'and found') foreach 'p/7', "$long-b";
is(ask($leads, $scan), '2', 'with the other one');
is(get('p/7', $_), 'new', "on node $_, too") foreach @follow;

# ---- another one leads: the old leader still has the rows

my $old = $leads;

order($old, "tikv_transfer_leader(2, $stores[$follow[0]])", 'it hands over');
$leads = wait_leader($old);
wait_for('its Placement Driver to know', sub { get('p0') eq 'behind' });
is(get('p/8', $old), 'absent', 'the old leader has none of the keys as a follower');
is(get('p/7', $old), 'new', 'but the new one');
order($leads, "tikv_transfer_leader(2, $stores[$old])", 'and back');
wait_for('the old leader to lead', sub { (leader() // -1) == $old });
$leads = $old;
is(ask($leads, $scan), '2', 'as a leader again it shows none either');
is(ask($leads, $stored), $rows + 3, 'though it has all rows');
ok(defined ask($leads, q{SELECT 1 FROM tikv.tasks WHERE task = 'delete ranges' AND waiting = 1}), 'and the deletion is on its way');

# ---- when the row is free it ends

$call->{run}->finish;
let_table_go($holder);
wait_for('the rows to go', sub { (ask($leads, $stored) // '') eq '2' });
wait_same('all nodes have the same');
is(ask($leads, $scan), '2', 'what was written stays');
checks_clean(0 .. 2);
$_->stop foreach @nodes;

done_testing();
