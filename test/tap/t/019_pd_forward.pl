# A follower of the Placement Driver is asked to pass calls on, as clients that
# cannot reach its leader do (metadata pd-forwarded-host): single calls and
# streams, with whatever the metadata name, and while the leader pauses or dies.

use strict;
use warnings;

use Http2;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvCopies;
use TikvTest;
use Time::HiRes qw(usleep);

my $patience = 60;
my %node = three_nodes();
my %by_name = map { ("pd-$node{$_}{tikv}{'tikv.pd_addr'}" => $_) } keys %node;

sub address { return $node{ $_[0] }{tikv}{'tikv.pd_addr'}; }

# Metadata that name a node.
sub naming { return ('pd-forwarded-host' => 'http://' . address($_[0])); }

sub leader_of
{
	my ($name) = @_;
	my $leader = try_query($node{$name}, 'SELECT name FROM tikv.members WHERE is_leader') // '';

	return $by_name{$leader};
}

# The answer, and the call, whose headers tell why there is none.
sub ask
{
	my ($name, $path, $message, @metadata) = @_;
	my $call = begin_call(address($name), $path, $message, @metadata);

	return (end_call($call, $patience), $call);
}

sub is_unavailable
{
	my ($call, $text, $what) = @_;

	ok($call->{over}, "$what: it is over");
	like($call->{headers}, qr/grpc-status.14/s, "$what: UNAVAILABLE");
	like($call->{headers}, $text, "$what: which says why");
}

wait_for('three voters of PD', sub {
	return 2 == (() = slurp_file($node{one}->logfile) =~ /becomes a voter/g);
});
my $leader = wait_for('a leader', sub { leader_of('one') });
my @followers = grep { $_ ne $leader } sort keys %node;
foreach my $name (@followers)
{
	wait_for("$name to know the leader", sub { (leader_of($name) // '') eq $leader });
}
my %members = fields((ask($leader, '/pdpb.PD/GetMembers', ''))[0]);
my %in_header = fields($members{1});
my $header = field(1, field(1, $in_header{1}), 1);

# ---- single calls

my @stores = ('/pdpb.PD/GetAllStores', $header);
my ($last_id) = (0);

# Of the stores an answer has, the addresses, which are what does not change.
sub addresses_in
{
	my ($answer) = @_;

	return join ' ', map { my $a = $node{$_}{tikv}{'tikv.addr'}; index($answer // '', $a) < 0 ? () : $a } sort keys %node;
}

# An id that nobody had before: the leader has given it.
sub is_next_id
{
	my ($what, $name, @metadata) = @_;
	my ($answer, $call) = ask($name, '/pdpb.PD/AllocID', $header, @metadata);
	my %fields = fields($answer // '');

	cmp_ok($fields{2} // 0, '>', $last_id, $what) or diag($call->{headers});
	$last_id = $fields{2} // $last_id;
}

my $all = addresses_in((ask($leader, @stores))[0]);
is(scalar(split ' ', $all), 3, 'the leader knows three stores');
is_next_id('the leader gives an id', $leader);
foreach my $name (@followers)
{
	is_unavailable((ask($name, @stores))[1], qr/not leader/, "$name, without metadata");
	is(addresses_in((ask($name, @stores, naming($leader)))[0]), $all, "$name passes a call on");
	is_next_id("$name passes one on that changes something", $name, naming($leader));
	my ($answer, $call) = ask($name, '/pdpb.PD/GetRegion', field(1, field(1, $in_header{1} ^ 1), 1) . field(2, 'k', 1), naming($leader));
	like($call->{headers}, qr/grpc-status.9.*mismatch cluster id/s, "$name passes an error on");
}

# ---- timestamps

my $last_ts = 0;

sub begin_tso
{
	my ($name, @metadata) = @_;

	return begin_stream(address($name), '/pdpb.PD/Tso', @metadata);
}

# The last one of so many; undef if the stream has ended.
sub take_ts
{
	my ($stream, $count) = @_;

	speak($stream, $header . field(2, $count));
	my $answer = hear($stream, $patience) // return undef;
	my %fields = fields($answer);
	my %timestamp = fields($fields{3});

	return undef if $fields{2} != $count;
	return $timestamp{1} << 18 | $timestamp{2} // 0;
}

# Timestamps of these streams in turn: how many are not behind those before?
sub out_of_order
{
	my ($rounds, @streams) = @_;
	my $bad = 0;

	foreach my $i (1 .. $rounds)
	{
		foreach my $stream (@streams)
		{
			my $count = 1 + $i % 5;
			my $ts = take_ts($stream, $count) // 0;

			$bad++ if $ts - $count < $last_ts;
			$last_ts = $ts if $ts > $last_ts;
		}
	}
	return $bad;
}

my $direct = begin_tso($leader);
my %tso = map { ($_ => begin_tso($_, naming($leader))) } @followers;
is(out_of_order(100, $direct), 0, 'the leader gives timestamps');
is(out_of_order(100, $direct, @tso{@followers}), 0,
	'those that followers pass on rise together with those of the leader');
is_unavailable(do { my $s = begin_tso($followers[0]); take_ts($s, 1); $s }, qr/not leader/,
	'a stream of timestamps without metadata');

# Those who do not wait get all that they ask for, in order.
foreach my $name (@followers)
{
	my ($bad, $before) = (0, $last_ts);

	speak($tso{$name}, $header . field(2, $_)) foreach 1 .. 50;
	foreach my $count (1 .. 50)
	{
		my %fields = fields(hear($tso{$name}, $patience) // '');
		my %timestamp = fields($fields{3} // '');
		my $ts = ($timestamp{1} // 0) << 18 | $timestamp{2} // 0;

		$bad++ if ($fields{2} // 0) != $count || $ts - $count < $before;
		$before = $ts;
	}
	is($bad, 0, "$name answers requests that wait for each other in order");
	$last_ts = $before;
}

# ---- another stream, which ends when the client has said all

my $region = $node{one}->safe_psql('postgres', 'SELECT region_id FROM tikv.regions');

foreach my $name (@followers)
{
	my $stream = begin_stream(address($name), '/pdpb.PD/QueryRegion', naming($leader));

	foreach my $key ('a', 'z')
	{
		speak($stream, $header . field(4, $key, 1));
		my %fields = fields(hear($stream, $patience) // '');
		is($fields{2} // '', varint($region), "$name passes on which region has $key");
		ok(defined $fields{4}, '... and the region');
	}
	close_stream($stream);
	is(hear($stream, $patience), undef, 'nothing comes after the last answer');
	ok($stream->{over}, "$name ends the stream when the client does");
	like($stream->{headers}, qr/grpc-status.0/s, 'without an error');
}

# ---- whatever the metadata name: a member says nothing to who is none

my @pids = map { (pids($node{$_}, 'tikv pd'))[0] } sort keys %node;
my ($one, $other) = @followers;
my %odd = (
	'itself' => 'http://' . address($one),
	'another follower' => 'http://' . address($other),
	'a dead address' => 'http://127.0.0.1:1',
	'another scheme' => 'unix:///tmp/nothing',
	'no URL' => '%%% not [an] address:99999999',
	'nothing' => '',
	'very much' => 'h' x 3000);

foreach my $what (sort keys %odd)
{
	my @metadata = ('pd-forwarded-host' => $odd{$what});

	is(addresses_in((ask($one, @stores, @metadata))[0]), $all, "metadata name $what: the leader answers");
	is(out_of_order(1, begin_tso($one, @metadata)), 0, '... and gives timestamps');
	is(addresses_in((ask($leader, @stores, @metadata))[0]), $all, '... and does so itself');
}
my ($refused, $twice) = ask($one, @stores, naming($leader), 'tikv-pd-forwarded' => '1');
is_unavailable($twice, qr/not leader/, 'what has been passed on is not passed on again');
is(out_of_order(1, @tso{@followers}, $direct), 0, 'streams go on');
is_deeply([ map { (pids($node{$_}, 'tikv pd'))[0] } sort keys %node ], \@pids, 'nobody had to start again');

# ---- the leader pauses, then dies, while streams are open

# The streams end while a request waits there; the new leader's timestamps are greater.
sub check_new_leader
{
	my ($what, $why, @names) = @_;

	foreach my $name (@names)
	{
		hear($tso{$name}, $patience);
		is_unavailable($tso{$name}, $why, "$what, a stream through $name");
	}
	my $new = wait_for('another leader', sub {
		my $now = leader_of($names[0]) // $leader;
		return $now ne $leader ? $now : undef;
	});
	foreach my $name (@names)
	{
		wait_for("$name to give timestamps of the new leader", sub {
			my $stream = begin_tso($name, naming($new));
			my $ts = take_ts($stream, 1) // return 0;

			cmp_ok($ts, '>', $last_ts, "$what: through $name there are greater timestamps");
			$last_ts = $ts;
			$tso{$name} = $stream;
			return 1;
		});
	}
	is(out_of_order(20, @tso{@names}), 0, "$what: and they rise");
	return $new;
}

my ($paused) = pids($node{$leader}, 'tikv pd');
kill 'STOP', $paused;
speak($tso{$_}, $header . field(2, 1)) foreach @followers;
my $old = $leader;
my @waiting;
wait_for('another leader', sub {
	my $call = begin_call(address($followers[0]), @stores, naming($old));

	usleep(300_000);
	my $changes = (leader_of($followers[0]) // $old) ne $old;

	# The last may have met the new leader.
	$changes ? end_call($call, $patience) : push @waiting, $call;
	return $changes;
});
my $changed = qr/the leader of the placement driver has changed/;
$leader = check_new_leader('the leader pauses', $changed, @followers);
end_call($_, $patience) foreach @waiting;
is(scalar(grep { !$_->{over} || $_->{headers} !~ /grpc-status.14/s } @waiting), 0,
	'calls that waited are over, and may be sent again');
cmp_ok(scalar(grep { $_->{headers} =~ $changed } @waiting), '>', 0, 'which says that there is another leader');
kill 'CONT', $paused;
wait_for('it to follow', sub { (leader_of($old) // '') eq $leader });
is_unavailable(do { take_ts($direct, 1); $direct }, qr/not leader/, 'a stream of who led once');

@followers = grep { $_ ne $leader } sort keys %node;
$tso{$_} = begin_tso($_, naming($leader)) foreach @followers;
is(out_of_order(20, @tso{@followers}), 0, 'through who led once there are timestamps, too');
$node{$leader}->stop('immediate');
speak($tso{$_}, $header . field(2, 1)) foreach @followers;
check_new_leader('the leader dies', qr/grpc-message./, @followers);

foreach my $name (@followers)
{
	unlike(slurp_file($node{$name}->logfile), qr/PANIC|TRAP|broken invariant/, "$name has no assertion in its log");
	$node{$name}->stop('immediate');
}
done_testing();
