# A node that leaves the Placement Driver and comes back with nothing is another
# member.  One that was down meanwhile still knows the old one, with its starts.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvCopies;
use TikvTest;
use Time::HiRes qw(usleep);

my %node;

# The ids of the members, by their nodes, as one of them has them in its tables.
sub ids_at
{
	my ($at) = @_;
	my %ids;

	foreach my $name (keys %node)
	{
		$ids{$name} = $node{$at}->safe_psql('postgres', sprintf
			q{SELECT key FROM tikv_internal.pd_kv WHERE key LIKE 'member/%%' AND position('%s' in encode(value, 'escape')) > 0},
			$node{$name}{tikv}{'tikv.pd_addr'});
	}
	return \%ids;
}


%node = three_nodes();
my ($one, $two, $three) = @node{qw(one two three)};
wait_for('three voters', sub {
	return 2 == (() = slurp_file($one->logfile) =~ /becomes a voter/g);
});
$two->restart;
wait_serving($two);
my $start = $two->safe_psql('postgres', 'SELECT start_seq FROM tikv_internal.pd_raft_state');
wait_for('its start to be known', sub { saved_start($node{three}, $node{two}) eq $start });
my $old = ids_at('one')->{two};

# ---- one is down while another goes and comes back

$three->stop('fast');
$two->safe_psql('postgres', 'SELECT tikv_leave()');
wait_for('its member to have left', sub { ids_at('one')->{two} eq '' });
$two->safe_psql('postgres', 'DROP EXTENSION tikv_fdw');
$two->safe_psql('postgres', 'CREATE EXTENSION tikv_fdw');
wait_for('it to be back', sub {
	(try_query($two, 'SELECT length(conf) > 0 FROM tikv_internal.pd_raft_state') // '') eq 't';
});
my $new = ids_at('one')->{two};
isnt($new, $old, 'who comes back with nothing is another member');

# ---- the one that was down asks it for its vote, as a member of then

my ($pd) = pids($one, 'tikv pd');
kill 'STOP', $pd;
$three->start;
sleep 20;
kill 'CONT', $pd;
wait_for('all to know the members of now', sub {
	my @known = map { ids_at($_)->{two} } qw(one two three);

	return 3 == grep { $_ eq $new } @known;
});
wait_state($two, 'pd', 'serving', qr/^$/);
unlike(slurp_file($two->logfile), qr/takes part no more/, 'it was not told that it is a copy');
is($two->safe_psql('postgres', q{SELECT count(*) FROM tikv.members}), '3', 'and is one of three');

# ---- it stays who it is

$two->restart;
wait_state($two, 'pd', 'serving', qr/^$/);
is(ids_at('two')->{two}, $new, 'after a restart it is the same member');

# ---- who has not been given a place asks for the same one again

my $asks = q{SELECT member_id, start_seq FROM tikv_internal.pd_raft_state};
my $alone = new_node('alone', 'tikv.join' => '127.0.0.1:1');
$alone->start;
$alone->safe_psql('postgres', 'CREATE EXTENSION tikv_fdw');
wait_state($alone, 'pd', 'serving', qr/./);
my $word = wait_for('what it asks with', sub { try_query($alone, $asks) });
like($word, qr/^\d+\|-1$/, 'what it asks with is saved');
$alone->stop('immediate');
$alone->start;
wait_state($alone, 'pd', 'serving', qr/./);
is($alone->safe_psql('postgres', $asks), $word, 'and the same after a crash');
$alone->stop('fast');
configure_node($alone, 'tikv.join' => '');
$alone->start;
wait_serving($alone);
is($alone->safe_psql('postgres', 'SELECT count(*) FROM tikv_internal.pd_raft_state'), '1',
	'without tikv.join it makes a cluster of its own all the same');
$alone->stop('fast');
$_->stop('immediate') foreach $two, $three, $one;

done_testing();
