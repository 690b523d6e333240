# Orders of SQL that would leave a region without a majority that lives are
# refused: a voter on a store that there is not, one whose learner has died, and
# the removal of a voter that is well while another one is gone.

use strict;
use warnings;

use Test::More;
use TikvGroup;
use TikvTest;

my @stores = (1, 4, 5);
my @nodes;

# What psql says of an error, with its SQLSTATE; nothing if there was none.
sub refusal
{
	my ($i, $sql) = @_;

	return ($nodes[$i]->psql('postgres', "\\set VERBOSITY verbose\nSELECT $sql"))[2];
}

sub goes_on
{
	my ($i, $what) = @_;
	my ($code, $out, $err) = $nodes[$i]->psql('postgres', q{SELECT tikv_put('k', 'w')});

	is($code, 0, $what) or diag($err);
}

sub wait_silent
{
	my ($i, $store) = @_;

	wait_for("store $store to be silent", sub {
		return (ask($i, "SELECT progress FROM tikv.raft WHERE region_id = 2 AND store_id = $store") // '') eq 'silent';
	});
}

# ---- one voter: nothing makes one of what does not answer

@nodes = make_stores('few');
order(0, q{tikv_put('k', 'v')}, 'one store serves');
foreach my $learner ('true', 'false')
{
	like(refusal(0, "tikv_add_peer(2, 999, $learner)"), qr/ERROR:  42704: there is no store 999\n.*HINT: /s,
		"no peer on a store that there is not: learner => $learner");
}
like(refusal(0, 'tikv_add_peer(2, 5, false)'), qr/ERROR:  55000: .* or was no learner.*HINT:  Add a learner first/s,
	'nor a voter at once');
order(0, 'tikv_add_peer(2, 4)', 'a learner');
wait_for('it to have all', sub {
	return (ask(0, 'SELECT lag = 0 AND progress = \'replicate\' FROM tikv.raft WHERE region_id = 2 AND store_id = 4') // '') eq 't';
});
$nodes[1]->stop('immediate');
wait_silent(0, 4);
like(refusal(0, 'tikv_add_peer(2, 4, false)'), qr/ERROR:  55000: .*no majority that is heard of\nDETAIL:  .*stores 4\.\nHINT:  Start/s,
	'who has had all, and has died, is no voter');
goes_on(0, 'and the store serves on');
order(0, 'tikv_remove_peer(2, 4)', 'the dead learner is removed');
$nodes[$_]->stop('immediate') foreach 0, 2;

# ---- three: one is gone, and another one is to be removed

@nodes = make_group('unsafe');
my $leads = wait_leader();
my $gone = ($leads + 1) % 3;

order($leads, q{tikv_put('k', 'v')}, 'a write');
$nodes[$gone]->stop('immediate');
wait_silent($leads, $stores[$gone]);
my $well = 3 - $leads - $gone;
like(refusal($well, "tikv_remove_peer(2, $stores[$well])"),
	qr/ERROR:  55000: .*no majority that is heard of\nDETAIL:  .*stores $stores[$gone]\.\nHINT:  Start/s,
	'who is well is not removed while another one is gone');
like(refusal($leads, "tikv_transfer_leader(2, $stores[$gone])"), qr/ERROR:  55000: .* that store is silent/s,
	'nor is leadership handed to who is gone');
goes_on($leads, 'and two of three go on');
order($leads, "tikv_remove_peer(2, $stores[$gone])", 'who is gone is removed');
goes_on($leads, 'and two of two go on');
$nodes[$_]->stop('immediate') foreach $leads, $well;
done_testing();
