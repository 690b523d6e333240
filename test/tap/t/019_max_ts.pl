# A region's new leader does not know up to which timestamp reads were served
# elsewhere until PD has told it one: async commits and one phase have to wait,
# and are told so; all else goes on.  A timestamp that is far ahead of what is
# known of PD is refused only when PD has been asked, as its time may have jumped.

use strict;
use warnings;

use IPC::Run;
use Test::More;
use TikvSpread;
use TikvTest;

my @nodes = make_spread('maxts', [], [ 0 ]);
my ($region) = map { $_->[0] } regions_of();
my @pd = map { [ $_, (pids($_, 'tikv pd'))[0] ] } @nodes;

# A client that has asked PD for everything by the time PD is silent.
sub prepare
{
	my (@arguments) = @_;
	my %client = (in => '', out => '', err => '');

	local $ENV{TXNCTL_STORE} = store_of(1);
	$client{run} = IPC::Run::start([ $ENV{TXNCTL}, '--pd', $nodes[0]{tikv}{'tikv.pd_addr'}, @arguments ],
		'<', \$client{in}, '>', \$client{out}, '2>', \$client{err}, IPC::Run::timeout(60));
	IPC::Run::pump($client{run}) until $client{out} =~ /ready/;
	return \%client;
}

sub finish
{
	my ($client) = @_;

	$client->{in} .= "\n";
	IPC::Run::finish($client->{run});
	return ($client->{run}->result(0), $client->{err});
}

sub ts
{
	my ($answer, $out) = txnctl($nodes[0], 'ts');

	die 'no timestamp' if $answer != 0;
	return $out;
}

my ($async, $plain) = (ts(), ts());
my $first = prepare('prewrite-async', $async, 'a', 'v', 'a', 'a2');
my $second = prepare('prewrite', $plain, 'b', 'v');

# Ten minutes ahead: nobody knows whether PD has come so far since.
my $ahead = $plain + (600_000 << 18);
my @doubted = (prepare('get', $ahead, 'c'), prepare('prewrite', $ahead, 'c', 'v'));

hold_still(@$_) foreach @pd;
wait_for('node 1 to lead', sub {
	try_sql(0, "SELECT tikv_transfer_leader($region, " . store_of(1) . ')');
	return sql(1, "SELECT is_leader FROM tikv.regions WHERE region_id = $region") eq 't';
});

my ($answer, $err) = finish($first);
is($answer, 4, 'the region refuses an async commit');
like($err, qr/max timestamp of region $region is not synced yet/, 'since it does not know the greatest timestamp');
($answer, $err) = finish($second);
is($answer, 0, 'a prewrite of two phases is carried out') or diag($err);
foreach my $client (@doubted)
{
	($answer, $err) = finish($client);
	is($answer, 4, 'a timestamp far ahead is not taken');
	like($err, qr/is not synced/, 'but to be sent again, as PD is not there to say');
}

kill 'CONT', map { $_->[1] } @pd;
wait_for('PD to say so', sub {
	(txnctl($nodes[0], 'prewrite-async', $async, 'a', 'v', 'a', 'a2'))[0] == 0;
});
pass('once PD is back it is carried out');
foreach my $ask ([ 'get', $ahead, 'c' ], [ 'prewrite', $ahead, 'c', 'v' ])
{
	wait_for('PD to be asked', sub {
		($answer, undef, $err) = txnctl($nodes[0], @$ask);
		return $err !~ /is not synced/;
	});
	is($answer, 4, 'a timestamp far ahead of PD is refused');
	like($err, qr/far ahead of the timestamp oracle/, 'and why');
}
$_->stop('immediate') foreach @nodes;
done_testing();
