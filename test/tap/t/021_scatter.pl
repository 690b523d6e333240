# Three nodes: PD has a region split at given keys, and the pieces' leaders go
# apart, since a client asked for it.

use strict;
use warnings;

use HTTP::Tiny;
use JSON::PP;
use Test::More;
use TikvSpread;
use TikvTest;

my @nodes = make_spread('scatter', [], [0]);
my @keys = map { sprintf('%02d', $_) } 1 .. 8;

# A key of transactions as a bound, in hexadecimal.
sub encoded
{
	return uc unpack('H*', $_[0] . "\0" x (8 - length $_[0]) . chr(255 - 8 + length $_[0]));
}

my ($status, $split) = pd('POST', 'regions/split', { split_keys => [ map { encoded($_) } @keys ], retry_limit => 3 });
is($status, 200, 'PD splits');
is($split->{'processed-percentage'}, 100, 'at all keys');
is(scalar(@{ $split->{'regions-id'} }), 8, 'which makes eight regions more');
is(scalar(regions_of()), 9, 'nine in all');

# Those of the group, whatever balance does beside it.
my @group = @{ $split->{'regions-id'} };
my $scattered;
wait_for('the pieces to be scattered', sub {
	($status, $scattered) = pd('POST', 'regions/scatter', { regions_id => \@group, group => 'tap', retry_limit => 5 });
	return $status == 200 && $scattered->{'processed-percentage'} == 100;
});
pass('all of them');
my %in_group = map { $_ => 1 } @group;
wait_for('each node to lead two at least', sub {
	my %leads;

	$leads{ $_->[1] }++ foreach grep { $in_group{ $_->[0] } && defined $_->[1] } regions_of();
	return 3 == grep { ($leads{$_} // 0) >= 2 } 0 .. 2;
});
pass('each node leads some of them');
my $records = (pd('GET', 'operators/records'))[1];
my @done = grep { /^scatter-region .*transfer leader.*finished with SUCCESS/ } @$records;
cmp_ok(scalar(@done), '>=', 2, 'by operators of this name');
is(sql(0, q{SELECT count(tikv_put(convert_to(k, 'UTF8'), 'v')) FROM unnest(ARRAY['00', '01', '05', '08', '99']) k}), '5', 'keys are written everywhere');
is(sql(1, q{SELECT count(*) FROM tikv_scan('', '')}), '5', 'and read from another node');
wait_for('an operator of its own', sub {
	(pd('POST', 'operators', { name => 'scatter-region', region_id => $group[0] }))[0] == 200;
});
pass('one region for pd-ctl, when it is as it shall be');
is((pd('POST', 'operators', { name => 'split-region', region_id => (regions_of())[0][0], policy => 'usekey', keys => [ encoded('005') ] }))[0], 200, 'or a split');
wait_for('that split', sub { scalar(regions_of()) == 10 });
pass('is made');

# ---- what a leader's status port knows of the other peers
my ($region, $leads) = @{ (regions_of())[0] };
my $shown = wait_for('all peers to be up to date', sub {
	my $answer = HTTP::Tiny->new->get("http://$nodes[$leads]{tikv}{'tikv.status_addr'}/region/$region");
	return undef if $answer->{status} != 200;
	my $page = decode_json($answer->{content});
	my @voters = values %{ $page->{raft_status}{voters} };
	return @voters == 3 && !(grep { !$_->{recent_active} || $_->{matched} < $page->{raft_status}{applied} } @voters) ? $page : undef;
});
is($shown->{raft_status}{soft_state}{raft_state}, 'Leader', "a leader's /region has the progress of its peers");
$_->stop foreach @nodes;
done_testing();
