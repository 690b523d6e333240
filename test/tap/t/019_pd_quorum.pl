# What a leader of the Placement Driver has decided, and a quorum does not have
# yet: nobody is shown it, and it is not forgotten by a leader that begins anew
# in the same term.

use strict;
use warnings;

use HTTP::Tiny;
use Http2;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvSpread;
use TikvTest;
use Time::HiRes qw(time usleep);

my $leads = start_first('quorum');
my @nodes = join_others('quorum');
my $address = $leads->{tikv}{'tikv.pd_addr'};

wait_for('three voters of PD', sub {
	return 2 == (() = slurp_file($leads->logfile) =~ /becomes a voter/g);
});
my @pids = map { (pids($_, 'tikv pd'))[0] } @nodes;

# A key that goes with its lease, in so many seconds; returns when that began.
my $lease = 0;

sub lease_key
{
	my ($key, $seconds) = @_;

	return wait_for("the lease of $key", sub {
		my $began = time();

		$lease++;
		foreach my $call (
			[ 'Lease/LeaseGrant', field(1, $seconds) . field(2, $lease) ],
			[ 'KV/Put', field(1, $key, 1) . field(2, 'leased-value', 1) . field(3, $lease) ])
		{
			defined end_call(begin_call($address, "/etcdserverpb.$call->[0]", $call->[1]), 5)
			  or return 0;
		}
		return $began;
	});
}

# A request to PD by HTTP, whose answer nobody waits for.
my @kept;

sub post
{
	my ($to, $path, $body) = @_;
	my $socket = connect_plain($to) or die "cannot connect to $to";

	write_all($socket, "POST /pd/api/$path HTTP/1.1\r\nHost: pd\r\nContent-Length: "
		  . length($body) . "\r\n\r\n$body");
	push @kept, $socket;
}

# The first node leads PD, also where it has lost that meanwhile.
sub lead
{
	wait_for('the first node to lead', sub {
		my ($status, $body) = pd('GET', 'leader');

		return 1 if ref $body && $body->{name} eq "pd-$address";
		post($_->{tikv}{'tikv.pd_addr'}, "v1/leader/transfer/pd-$address", '') foreach @nodes;
		usleep(500_000);
		return 0;
	});
}

sub log_end { return $leads->safe_psql('postgres', 'SELECT coalesce(max(index), 0) FROM tikv_internal.pd_raft_log'); }

# Is there an entry of the leader's log with this text in it, behind this one?
sub has_entry
{
	my ($text, $behind) = @_;

	return $leads->safe_psql('postgres',
		"SELECT count(*) FROM tikv_internal.pd_raft_log WHERE index > $behind AND position('$text'::bytea IN entry) > 0") > 0;
}

sub wait_entry
{
	my ($text, $behind) = @_;

	wait_for("an entry of $text", sub { has_entry($text, $behind) });
}

sub sleep_until
{
	my ($end) = @_;
	my $left = $end - time();

	usleep($left * 1e6) if $left > 0;
}

# The other members answer no more.
sub stop_others { hold_still($nodes[$_], $pids[$_]) foreach 1, 2; }

# ---- a deletion that nobody asked for is not shown before a quorum has it

my ($shown, $in_time) = (0, 0);
my $region = field(1, field(1, (pd('GET', 'cluster'))[1]{id}), 1) . field(2, 'k', 1);

foreach my $round (1 .. 12)
{
	my $key = "leased$round";

	lead();
	my $began = lease_key($key, 2);
	my $before = log_end();

	sleep_until($began + 1.7);
	stop_others();
	wait_entry($key, $before);
	my $read = begin_call($address, '/etcdserverpb.KV/Range', field(1, $key, 1));
	usleep(100_000);
	my $routed = end_call(begin_call($address, '/pdpb.PD/GetRegion', $region), 0.3);
	my $told = defined end_call($read, 0.1);
	my $saved = $leads->safe_psql('postgres', "SELECT count(*) FROM tikv_internal.pd_kv WHERE key = 'kv/key/$key'");
	$shown++ if $told && $saved eq '1';
	kill 'CONT', @pids[1, 2];
	my $late = end_call($read, 10);

	# Unless its lease has ended meanwhile: then it answers nothing, rightly.  Or
	# the others were not still in time.
	next if $saved ne '1' || !defined $routed || !defined $late;
	unlike($late, qr/leased-value/, 'the key is gone when it is told');
	$in_time = 1;
	last;
}
is($shown, 0, 'a read is not answered by what may be lost');
ok($in_time, 'while places are told at once');

# ---- nor is a store told of a newer start, upon which it serves no more

my $verdicts = 0;
my $cluster = field(1, (pd('GET', 'cluster'))[1]{id});

$in_time = 0;
foreach my $round (1 .. 12)
{
	my $id = 9000 + $round;
	my $key = "/tikv_fdw/start/$id";
	my $beat = field(1, $cluster . field(3, 'start 1', 1), 1) . field(2, field(1, $id), 1);

	lead();
	my $before = log_end();

	stop_others();
	my $claim = begin_call($address, '/etcdserverpb.KV/Put', field(1, $key, 1) . field(2, sprintf('%020d word', 2), 1));
	usleep(100_000);
	my $verdict = begin_call($address, '/pdpb.PD/StoreHeartbeat', $beat);
	my $routed = end_call(begin_call($address, '/pdpb.PD/GetRegion', $region), 0.3);
	my $told = end_call($verdict, 0.1) // '';
	my $decided = has_entry($key, $before);

	$verdicts++ if $told =~ /was claimed/;
	kill 'CONT', @pids[1, 2];
	my $late = end_call($verdict, 10);

	# As above: unless the lease of the leader has ended meanwhile.
	next if !$decided || !defined $routed || !defined $late;
	like($late, qr/start 2 of store $id was claimed, this is 1/, 'the store is told of the newer start');
	$in_time = 1;
	last;
}
is($verdicts, 0, 'no store is told of a start that may be lost');
ok($in_time, 'while places are told at once');

# ---- a leader that cannot hand over goes on with all that it has decided

lead();
my $from = -s $leads->logfile;
my $began = lease_key('refused', 4);
my $before = log_end();
my $name = "pd-$nodes[1]{tikv}{'tikv.pd_addr'}";

sleep_until($began + 2.5);
stop_others();
post($address, 'v2/keyspaces', '{"name": "first"}');
wait_entry('first', $before);
post($address, "v1/leader/transfer/$name", '');

# The end of the lease is refused.  Then one of the others goes on, and the one
# that was to lead does not.
wait_for('the leader to stop leading', sub {
	return slurp_file($leads->logfile, $from) =~ /leads the placement driver no more/;
});
kill 'CONT', $pids[2];
wait_for('the first keyspace', sub {
	return $leads->safe_psql('postgres',
		q{SELECT count(*) FROM tikv_internal.pd_kv WHERE position('first'::bytea IN value) > 0}) eq '1';
});
wait_for('a leader', sub { defined try_query($leads, 'SELECT count(*) FROM tikv.keyspaces') });
my $second = $leads->safe_psql('postgres', q{SELECT tikv_create_keyspace('second')});
kill 'CONT', $pids[1];
is($leads->safe_psql('postgres',
		q{SELECT string_agg(name || '=' || keyspace_id, ' ' ORDER BY keyspace_id) FROM tikv.keyspaces WHERE name ~ 'first|second'}),
	'first=1 second=2', 'it knows what it had proposed before, and takes no id twice');
is($second, '2', 'as who asked was told');
unlike(slurp_file($leads->logfile, $from),
	qr/(?:leads the placement driver no more(?s:.*)){3}/, 'nor has it begun anew over and over');

is_deeply([ map { (pids($_, 'tikv pd'))[0] } @nodes ], \@pids, 'no member had to start again');

# ---- who is left of three waits for the others, and does not run in circles

# Seconds of processor time of a process.
sub cpu_of
{
	my @stat = split ' ', (slurp_file("/proc/$_[0]/stat") =~ s/^.*\) //r);

	return ($stat[11] + $stat[12]) / 100;
}

lead();
my ($left) = grep { $_ != $leads } @nodes;
my @gone = grep { $_ != $left } @nodes;
my $its_pd = (pids($left, 'tikv pd'))[0];

$_->stop('immediate') foreach @gone;
wait_for('nobody to lead PD', sub { !defined try_query($left, 'SELECT count(*) FROM tikv.keyspaces') });

my $used = cpu_of($its_pd);

usleep(5_000_000);
$used = cpu_of($its_pd) - $used;
cmp_ok($used, '<', 1, 'it takes little of a processor: one that calls the others all the time takes all of it')
  or diag("$used s in 5 s");

# ---- and says what it waits for, until there is a leader again

sub health
{
	my $answer = HTTP::Tiny->new(timeout => 30)->get("http://$left->{tikv}{'tikv.status_addr'}/health");

	return ($answer->{status}, decode_json($answer->{content})->{reasons});
}

my $no_leader = qr/^no leader of the placement driver is known: is a majority of its members up\?$/;

wait_state($left, 'pd', 'serving', $no_leader);
wait_state($left, 'store', 'serving', qr/^no leader is known of (\d+) of \1 regions: is a majority of their stores up\?$/);
my ($status, $reasons) = health();
is($status, 200, 'its processes are well');
is_deeply([ sort keys %$reasons ], [ 'pd', 'store' ], 'and what they lack is told');
like($reasons->{pd}, $no_leader, 'as tikv_status() tells it');
foreach my $query ('SELECT count(*) FROM tikv.stores', q{SELECT tikv_put('k', 'v')}, q{SELECT tikv_txn_put('k', 'v')})
{
	my ($code, $out, $err) = $left->psql('postgres', "SET tikv.request_timeout = '2s'; $query");

	isnt($code, 0, "without a leader: $query");
	like($err, qr/HINT: .*tikv_status\(\).*"When most are lost" in docs\/operations\.md/, 'where to look is said');
}
$gone[0]->start;
wait_state($left, $_, 'serving', qr/^$/) foreach qw(pd store);
is_deeply([ health() ], [ 200, {} ], 'with another one nothing is amiss');
$_->stop('immediate') foreach $left, $gone[0];
done_testing();
