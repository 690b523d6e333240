# Three nodes that speak TLS alone: clients, members of the Placement Driver,
# stores, and the requests that sessions of one node have for another.  A leader
# dies, and what has a certificate of another authority stays outside.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $script = "$ENV{TESTDIR}/scripts/cluster";
my $home = PostgreSQL::Test::Utils::tempdir_short();
my ($dir, $ours, $foreign) = map { "$home/$_" } qw(c ours foreign);
# No port of it is among those of outgoing connections.
my $base = ($ENV{BASE_PORT} // 10000) + 500;
my @nodes = (0 .. 2);
my %id = (ca => 'ca.crt', cert => 'client.crt', key => 'client.key');

sub run
{
	my (@command) = @_;
	my $out = '';

	IPC::Run::run(\@command, '<', \undef, '>&', \$out);
	return ($? >> 8, $out);
}

sub cluster
{
	my ($answer, $out) = run($script, $_[0], '--dir', $dir, @_[ 1 .. $#_ ]);

	note("cluster @_: exit status $answer: $out") if $answer != 0;
	return $answer;
}

sub pd_addr
{
	return '127.0.0.1:' . (2379 + 10 * $_[0] + $base);
}

# One value, or undef.
sub ask
{
	my ($i, $sql) = @_;
	my ($answer, $out) = run('psql', '-XAtq', '-h', '127.0.0.1', '-p', 54321 + $i + $base,
		'-U', 'postgres', '-d', 'postgres', '-c', $sql);

	chomp $out;
	return $answer == 0 ? $out : undef;
}

# rawctl with a client's certificate of an authority.
sub client
{
	my ($folder, $i, @command) = @_;

	local $ENV{TIKV_CA} = "$ours/$id{ca}";
	local $ENV{TIKV_CERT} = "$folder/$id{cert}";
	local $ENV{TIKV_KEY} = "$folder/$id{key}";
	return rawctl({ tikv => { 'tikv.pd_addr' => pd_addr($i) } }, @command);
}

# Does a port speak to who shows this certificate?  With TLS 1.3 the client is
# done first, and learns of a refusal when it reads: an alert, or the end.
sub greeting
{
	my ($folder, $cert, $port) = @_;
	my ($out, $err) = ('', '');
	my $run = IPC::Run::start(
		[
			'openssl', 's_client', '-ign_eof', '-connect', "127.0.0.1:$port", '-alpn', 'h2',
			'-CAfile', "$ours/$id{ca}", '-cert', "$folder/$cert.crt", '-key', "$folder/$cert.key"
		],
		'<', \my $in, '>', \$out, '2>', \$err, my $timer = IPC::Run::timer(60));
	my $said;

	wait_for('the handshake', sub {
		my $goes_on = eval { IPC::Run::pump_nb($run); $run->pumpable };

		# the server's first frame of HTTP/2
		$said = $out =~ /\x00\x00[\x00-\xff]\x04\x00\x00\x00\x00\x00/ ? 'welcome'
		  : $out =~ /BEGIN CERTIFICATE/ && !$goes_on ? 'refused' : undef;
		return defined $said;
	});
	$run->kill_kill;
	return $said;
}

sub kill_node
{
	my ($i) = @_;
	my ($postmaster) = split /\n/, slurp_file("$dir/node$i/data/postmaster.pid");

	kill 'KILL', $postmaster;
	wait_for("node $i to be gone", sub { !defined ask($i, 'SELECT 1') });
}

sub leader
{
	my ($found) = grep {
		(ask($_, 'SELECT count(*) FROM tikv.regions WHERE is_leader') // 0) > 0
	} @nodes;

	return $found;
}

END
{
	my $status = $?;

	run($script, 'stop', '--wipe', '--dir', $dir);
	$? = $status;
}

system_or_bail($ENV{CERTS}, $_, '--client', 'client') foreach $ours, $foreign;
is(cluster('start', '--base-port', $base, '--nodes', 3, '--tls', $ours), 0, 'three nodes start with TLS');
is(cluster('status'), 0, 'and serve');
foreach my $i (@nodes)
{
	is(ask($i, q{SELECT string_agg(DISTINCT left(url, 8), ',') FROM tikv.members, unnest(client_urls || peer_urls) url}),
		'https://', "node $i knows members by https alone");
}

# ---- everybody reaches everybody

wait_for('three voters', sub {
	my $leads = leader() // return 0;
	return (ask($leads, q{SELECT count(*) FROM tikv.raft WHERE role IN ('leader', 'follower') AND lag = 0}) // '') eq '3';
});
pass('stores reach each other');
is((client($ours, $_, 'put', "client$_", "by $_"))[0], 0, "a client of member $_ puts a key") foreach @nodes;
is(ask($_, "SELECT tikv_put('session$_', 'by $_')"), '', "a session of node $_ puts a key") foreach @nodes;
foreach my $i (@nodes)
{
	is(ask($i, "SELECT count(*) FROM tikv_scan('', '')"), '6', "node $i reads all of them");
}

# ---- HTTPS of members: each knows who leads, and the leader answers the rest

sub https
{
	my ($i, $path) = @_;
	my ($answer, $out) = run('curl', '-s', '-m', '20', '-w', ' %{http_code}',
		'--cacert', "$ours/$id{ca}", '--cert', "$ours/$id{cert}", '--key', "$ours/$id{key}",
		'https://127.0.0.1:' . (2380 + 10 * $i + $base) . "/pd/api/v1/$path");

	return $answer == 0 ? $out : '';
}

wait_for('all members to say who leads, and two of them no more', sub {
	my @urls = map { https($_, 'leader') =~ m{"client_urls":\["(https://[^"]*)"\].* 200$}s ? $1 : '?' } @nodes;
	my @stores = map { https($_, 'stores') } @nodes;
	my ($leads) = grep { $stores[$_] =~ /^\{.* 200$/s } @nodes;

	return 0 if !defined $leads || $urls[$leads] ne 'https://' . pd_addr($leads);
	my @agree = grep { $_ eq $urls[$leads] } @urls;
	my @others = grep { /its gRPC address is \Q$urls[$leads]\E, .* 503$/s } @stores;
	return @agree == 3 && @others == 2;
});
foreach my $i (@nodes)
{
	is(scalar(() = https($i, 'members') =~ m{"peer_urls"}g), 5, "member $i tells of three, and which of them leads");
}

# ---- who has a certificate of another authority

foreach my $port (20160, 20170, 2379)
{
	is(greeting($ours, 'client', $port + $base), 'welcome', "port $port welcomes our client");
	is(greeting($foreign, 'client', $port + $base), 'refused', "port $port refuses a foreign client");
	is(greeting($foreign, 'server', $port + $base), 'refused', "port $port refuses a foreign node");
}
isnt((client($foreign, 0, 'get', 'client0'))[0], 0, 'a foreign client gets nothing');

# ---- the leader dies

my $dead = leader();
kill_node($dead);
my @left = grep { $_ != $dead } @nodes;
wait_for('a new leader', sub { my $now = leader(); defined $now && $now != $dead });
foreach my $i (@left)
{
	is(wait_for('a read', sub { my ($answer, $out) = client($ours, $i, 'get', "client$dead"); $answer == 0 ? $out : undef }),
		"by $dead", "a client of member $i reads on");
	is(wait_for('a read', sub { ask($i, "SELECT convert_from(tikv_get('session$dead'), 'UTF8')") }),
		"by $dead", "a session of node $i reads on");
}
is((client($ours, $left[0], 'put', 'later', 'while one is away'))[0], 0, 'and writes go on');

# ---- it comes back with a certificate of another authority

my $conf = "$dir/node$dead/data/postgresql.auto.conf";
my $as_it_was = slurp_file($conf);
append_to_file($conf, join '', map { "tikv.tls_$_->[0] = '$foreign/$_->[1]'\n" }
	[ 'ca', 'ca.crt' ], [ 'cert', 'server.crt' ], [ 'key', 'server.key' ]);
my $failures = q{SELECT sum(value)::int8 FROM tikv.metrics WHERE name = 'tikv_fdw_raft_stream_failures_total'};
my @ctl = ('pg_ctl', '-s', '-w', '-D', "$dir/node$dead/data", '-l', "$dir/node$dead/log");
wait_for('it to start', sub { (run(@ctl, 'start'))[0] == 0 });
# who leads does, whichever that is
my $tried = sub { my $n = 0; $n += ask($_, $failures) foreach @left; return $n };
my $before = $tried->();
wait_for('its PD to be up, in vain', sub {
	(ask($dead, q{SELECT state FROM tikv_status() WHERE worker = 'pd'}) // '') eq 'serving';
});
wait_for('others to try to reach it', sub { $tried->() > $before });
is(ask($dead, q{SELECT count(*) FROM tikv_internal.raw WHERE key = 'later'}), '0', 'it is told nothing');
isnt(ask($dead, q{SELECT state FROM tikv_status() WHERE worker = 'store'}), 'serving', 'and does not serve');
is((client($ours, $left[1], 'get', 'later'))[1], 'while one is away', 'the others do');

# ---- and with its own

run(@ctl, '-m', 'fast', 'stop');
unlink $conf;
append_to_file($conf, $as_it_was);
is(cluster('start'), 0, 'with a certificate of the authority it serves again');
wait_for('it to have all', sub {
	(ask($dead, q{SELECT count(*) FROM tikv_internal.raw}) // '') eq '7';
});
pass('and has what it missed');
is(ask($_, 'SELECT count(*) FROM tikv_check()'), '0', "node $_ checks clean") foreach @nodes;

done_testing();
