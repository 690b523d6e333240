# TLS on all ports: who is let in, certificates that are renewed while the node
# serves, and files that cannot be used.

use strict;
use warnings;

use File::Copy;
use File::Temp;
use Http2;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $dir = File::Temp->newdir(CLEANUP => 1)->dirname;
my ($ours, $foreign, $live, $past) = map { "$dir/$_" } qw(ours foreign live past);

foreach my $made ([ $ours, '--client', 'alice', '--client', 'bob' ],
	[ $foreign, '--client', 'alice' ])
{
	system_or_bail($ENV{CERTS}, @$made);
}

# The files that the node is told of, taken from the two folders.
mkdir $live, 0700;
put_file("$ours/ca.crt", 'ca.crt');
put_file("$ours/server.$_", "server.$_") foreach qw(crt key);

my %tls = (
	'tikv.tls_ca' => "$live/ca.crt",
	'tikv.tls_cert' => "$live/server.crt",
	'tikv.tls_key' => "$live/server.key");
my $node = new_node('tls', 'tikv.server_workers' => 1, %tls);
my %at = map { $_ => $node->{tikv}{"tikv.$_"} }
  qw(addr peer_addr pd_addr pd_http_addr status_addr);

# Replace a file of the node at once, as a renewal does.
sub put_file
{
	my ($from, $name, $mode) = @_;

	copy($from, "$live/new") or die "copy $from: $!";
	chmod $mode // 0600, "$live/new";
	rename "$live/new", "$live/$name" or die "rename: $!";
}

# The method that stores pass SQL's orders on by, with an empty message.
sub give_order
{
	my ($who) = @_;

	open my $file, '>', "$dir/empty" or die $!;
	print $file "\0" x 5;
	close $file;
	return (run_command([ 'curl', '-s', '-D', '-', '-o', '/dev/null', '--max-time', 20, '--http2',
		'--cacert', "$ours/ca.crt", '--cert', "$ours/$who.crt", '--key', "$ours/$who.key",
		'-H', 'Content-Type: application/grpc', '-H', 'TE: trailers',
		'--data-binary', "\@$dir/empty", "https://$at{addr}/tikv_fdw.Store/Order" ]))[0];
}

sub write_file
{
	my ($name, $text) = @_;

	open my $file, '>', "$live/new" or die $!;
	print $file $text;
	close $file;
	chmod 0600, "$live/new";
	rename "$live/new", "$live/$name" or die "rename: $!";
}

# rawctl with the certificate of a client, or with none.
sub as
{
	my ($folder, $client, @command) = @_;

	local $ENV{TIKV_CA} = "$ours/ca.crt";
	local $ENV{TIKV_CERT} = "$folder/$client.crt" if defined $client;
	local $ENV{TIKV_KEY} = "$folder/$client.key" if defined $client;
	return rawctl($node, @command);
}

# The HTTP status of PD's HTTPS, which the status port agrees with; 000 if there
# was no answer.
sub https
{
	my ($folder, $client) = @_;
	my ($pd, $status) = map { get($folder, $client, $_) }
	  ("$at{pd_http_addr}/pd/api/v1/health", "$at{status_addr}/status");

	return $pd eq $status ? $pd : "$pd, but $status of the status port";
}

sub get
{
	my ($folder, $client, $page) = @_;
	my @id = defined $client ?
	  ('--cert', "$folder/$client.crt", '--key', "$folder/$client.key") : ();
	my ($out, $err) = run_command([ 'curl', '-s', '-o', '/dev/null',
			'-w', '%{http_code}', '--max-time', 20, '--cacert', "$ours/ca.crt",
			@id, "https://$page" ]);

	return $out;
}

# What a client hears on each port for gRPC, whoever serves there: of the store
# its answer to a RawGet of k, of PD that it answers.
sub grpc_heard
{
	my ($client) = @_;
	my %call = (
		addr => [ '/tikvpb.Tikv/RawGet', field(1, region_context($node), 1) . field(2, 'k', 1) ],
		peer_addr => [ '/tikvpb.Tikv/RawGet', field(1, region_context($node), 1) . field(2, 'k', 1) ],
		pd_addr => [ '/pdpb.PD/GetMembers', '' ]);
	my %heard;

	local $Http2::tls = tls_identity($ours, $client);
	foreach my $port (sort keys %call)
	{
		my $call = begin_call($at{$port}, @{ $call{$port} });
		my $answer = end_call($call, 20);

		$heard{$port} =
			$call->{headers} =~ /grpc-status.{0,2}16.*(Common name check fail, reason: x509_common_name from peer is \w+)/s ? $1
		  : !defined $answer ? 'no answer'
		  : $port eq 'pd_addr' || $answer eq field(3, 'v', 1) ? 'served'
		  : 'odd: ' . unpack('H*', $answer);
	}
	return \%heard;
}

# The serial number of the certificate that a port shows.
sub serial
{
	my ($addr) = @_;
	my $out = `echo | openssl s_client -connect $addr -alpn h2 2>/dev/null | openssl x509 -noout -serial 2>/dev/null`;

	chomp $out;
	return $out;
}

# What a port for gRPC agrees to speak with a client that offers HTTP/2.
sub agreed
{
	my ($addr) = @_;
	my $out = `echo | openssl s_client -connect $addr -alpn h2 2>/dev/null`;

	return $out =~ /^ALPN protocol: (\S+)/m ? $1 : 'nothing';
}

sub serial_of
{
	my $out = `openssl x509 -noout -serial -in $_[0]`;

	chomp $out;
	return $out;
}

sub reload
{
	configure_node($node, @_);
	$node->reload;
}

# Wait until each of the four workers has logged something since an offset.
sub wait_logged
{
	my ($offset, $pattern) = @_;

	wait_for("four times in the log: $pattern", sub {
		my $log = substr(slurp_file($node->logfile), $offset);
		my %who = map { $_ => 1 } $log =~ /\[(\d+)\][^\n]*$pattern/g;
		return keys %who >= 4;
	});
}

# Wait until tikv_status() says this of each of the four workers, which serve;
# undef: nothing.
sub wait_reasons
{
	my ($pattern) = @_;
	my $what = defined $pattern ? "tikv_status() says: $pattern" : 'tikv_status() has nothing to say';

	wait_for($what, sub {
		my @rows = split /\n/, $node->safe_psql('postgres',
			q{SELECT state, reason FROM tikv_status() WHERE address IS NOT NULL});

		return @rows == 4 && !grep {
			my ($state, $reason) = split /\|/, $_, 2;
			$state ne 'serving' || (defined $pattern ? $reason !~ $pattern : $reason ne '');
		} @rows;
	});
	pass($what);
}

sub log_size
{
	return -s $node->logfile;
}

$node->start;
serve($node);

# ---- who is let in
is($node->safe_psql('postgres',
		"SELECT string_agg(DISTINCT address, ' ' ORDER BY address) FROM tikv_status()"),
	join(' ', sort(map { "https://$at{$_}" } qw(addr pd_addr status_addr))),
	'tikv_status() shows the scheme');
is($node->safe_psql('postgres', 'SELECT client_urls FROM tikv.members'),
	"{https://$at{pd_addr}}", 'members are announced as https');
is((as($ours, 'alice', 'put', 'k', 'v'))[0], 0, 'a client of our authority writes');
is((as($ours, 'bob', 'get', 'k'))[1], 'v', 'and another reads');
is(https($ours, 'alice'), '200', 'so it is over HTTPS');

my ($answer, undef, $err) = rawctl($node, 'get', 'k');
is($answer, 1, 'a client without TLS is refused');
($answer) = as($ours, undef, 'get', 'k');
is($answer, 1, 'one without a certificate, too');
($answer) = as($foreign, 'alice', 'get', 'k');
is($answer, 1, 'and one of another authority');
is(https($ours, undef), '000', 'HTTPS: without a certificate');
is(https($foreign, 'alice'), '000', 'HTTPS: of another authority');
is(https($ours, 'server'), '200', 'a node has a certificate for clients as well');
{
	local $ENV{TIKV_CA} = "$foreign/ca.crt";
	local $ENV{TIKV_CERT} = "$ours/alice.crt";
	local $ENV{TIKV_KEY} = "$ours/alice.key";
	is((rawctl($node, 'get', 'k'))[0], 1, 'a client does not take us for another');
}
my ($plain) = run_command([ 'curl', '-s', '-o', '/dev/null', '-w', '%{http_code}',
		'--max-time', 20, "http://$at{pd_http_addr}/pd/api/v1/health" ]);
is($plain, '000', 'no HTTP without TLS');

# ---- allowed common names, by reload
my $offset = log_size();
reload('tikv.tls_allowed_cn' => 'carol, alice');
wait_logged($offset, 'TLS files were read again');
is((as($ours, 'alice', 'get', 'k'))[1], 'v', 'a name of the list is let in');
($answer, undef, $err) = as($ours, 'bob', 'get', 'k');
is($answer, 1, 'another is not');
like($err, qr/status 16: Common name check fail, reason: x509_common_name from peer is bob/,
	'and hears why');
is(https($ours, 'alice') . ' ' . https($ours, 'bob'), '200 403', 'so it is over HTTPS');
is_deeply(grpc_heard('alice'), { map { $_ => 'served' } qw(addr peer_addr pd_addr) },
	'each port for gRPC, asked itself, lets a name of the list in');
is_deeply(grpc_heard('bob'), { map {
			$_ => 'Common name check fail, reason: x509_common_name from peer is bob'
		} qw(addr peer_addr pd_addr) }, 'and no other');
like(give_order('alice'), qr/^grpc-status: 3\b/m, 'an order to the store without a command is none');
like(give_order('bob'), qr/^grpc-status: 16\b/m, 'and who is not let in gives none');
$offset = log_size();
reload('tikv.tls_allowed_cn' => '');
wait_logged($offset, 'TLS files were read again');
is((as($ours, 'bob', 'get', 'k'))[1], 'v', 'without a list all are');
is_deeply(grpc_heard('bob'), { map { $_ => 'served' } qw(addr peer_addr pd_addr) }, 'on each port');

is_deeply([ map { agreed($_) } @at{qw(addr peer_addr pd_addr)} ], [ ('h2') x 3 ],
	'each port for gRPC agrees to h2');

# ---- renewal
my @ports = @at{qw(addr peer_addr pd_addr pd_http_addr status_addr)};
my $old = serial_of("$live/server.crt");

is_deeply([ map { serial($_) } @ports ], [ ($old) x 5 ], 'all ports show our certificate');
system_or_bail($ENV{CERTS}, $ours, '--renew');
my $new = serial_of("$ours/server.crt");
isnt($new, $old, 'there is a new certificate');
$offset = log_size();
put_file("$ours/server.$_", "server.$_") foreach qw(key crt);
wait_logged($offset, 'TLS files were read again');
is_deeply([ map { serial($_) } @ports ], [ ($new) x 5 ], 'all ports show the new one');
is((as($ours, 'alice', 'get', 'k'))[1], 'v', 'clients go on');
write_file('ca.crt', slurp_file("$ours/ca.crt") . slurp_file("$foreign/ca.crt"));
wait_for('the other authority', sub { (as($foreign, 'alice', 'get', 'k'))[0] == 0 });
is(https($foreign, 'alice'), '200', 'two authorities at a time');
put_file("$ours/ca.crt", 'ca.crt');
wait_for('one authority', sub { (as($foreign, 'alice', 'get', 'k'))[0] == 1 });

# ---- new files that cannot be used change nothing
foreach my $case (
	[ 'garbage', 'tls_cert: no usable certificate in file',
		sub { write_file('server.crt', "not a certificate\n") } ],
	[ 'a key of another', 'tls_key: the key in .* does not belong to the certificate',
		sub { put_file("$foreign/server.key", 'server.key') } ],
	[ 'no authority', 'tls_ca: could not read file .*No such file',
		sub { unlink "$live/ca.crt" } ])
{
	my ($what, $pattern, $break) = @$case;

	$offset = log_size();
	$break->();
	wait_logged($offset, "the changed TLS files are not used: tikv.$pattern");
	is((as($ours, 'alice', 'get', 'k'))[1], 'v', "$what: the node serves on");
	is_deeply([ map { serial($_) } @ports ], [ ($new) x 5 ], 'with what it had');
	$offset = log_size();
	put_file("$ours/server.crt", 'server.crt');
	put_file("$ours/server.key", 'server.key');
	put_file("$ours/ca.crt", 'ca.crt');
	wait_logged($offset, 'TLS files were read again');
}
$offset = log_size();
reload('tikv.tls_ca' => '');
wait_logged($offset, 'must be set all three or not at all; tikv.tls_ca is not');
is((as($ours, 'alice', 'get', 'k'))[1], 'v', 'half of the settings: the node serves on');
$offset = log_size();
put_file("$ours/server.key", 'server.key', 0644);
reload(%tls);
wait_logged($offset, 'private key file .* has group or world access');
pass('a key that others may read is warned of');
put_file("$ours/server.key", 'server.key');

# ---- a list of names counts also while the files do not fit, as in a renewal
# that has come half way
$offset = log_size();
put_file("$foreign/server.key", 'server.key');
wait_logged($offset, 'the changed TLS files are not used');
is((as($ours, 'bob', 'get', 'k'))[1], 'v', 'half of a renewal: the node serves on');
wait_reasons(qr/^the changed TLS files are not used: tikv.tls_key: the key in .* does not belong to the certificate/);
$offset = log_size();
reload('tikv.tls_allowed_cn' => 'alice');
wait_logged($offset, 'the changed TLS files are not used');
is((as($ours, 'alice', 'get', 'k'))[1], 'v', 'a name of the list is let in');
is((as($ours, 'bob', 'put', 'k', 'by bob'))[0], 1, 'and no other');
is(https($ours, 'alice') . ' ' . https($ours, 'bob'), '200 403', 'so it is over HTTPS');
is_deeply(grpc_heard('bob'), { map {
			$_ => 'Common name check fail, reason: x509_common_name from peer is bob'
		} qw(addr peer_addr pd_addr) }, 'and on each port for gRPC');
reload('tikv.tls_allowed_cn' => '');
wait_for('no list', sub { (as($ours, 'bob', 'get', 'k'))[1] eq 'v' });
put_file("$ours/server.key", 'server.key');
wait_reasons(undef);

# ---- a certificate that has expired is shown, and warned of
$offset = log_size();
mkdir $past, 0700;
copy("$ours/$_", "$past/$_") or die "copy $_: $!" foreach qw(ca.crt ca.key);
system_or_bail($ENV{CERTS}, $past, '--renew', '--days', -1);
put_file("$past/server.$_", "server.$_") foreach qw(key crt);
my $expired = qr/WARNING:\s+tikv.tls_cert: the certificate in use, or one that leads to its authority, expired at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC/;
wait_logged($offset, $expired);
wait_reasons(qr/^tikv.tls_cert: the certificate in use, .* expired at /);
is_deeply([ map { serial($_) } @ports ], [ (serial_of("$live/server.crt")) x 5 ], 'it is shown');
is((as($ours, 'alice', 'get', 'k'))[0], 1, 'clients refuse it');
$offset = log_size();
$node->restart;
wait_logged($offset, $expired);
wait_reasons(qr/^tikv.tls_cert: the certificate in use, .* expired at /);
put_file("$ours/server.$_", "server.$_") foreach qw(key crt);
wait_reasons(undef);
is((as($ours, 'alice', 'get', 'k'))[1], 'v', 'a good one is taken');

# ---- a start with files that cannot be used waits, and says why
put_file("$foreign/server.key", 'server.key');
$node->restart;
wait_state($node, $_, 'waiting', qr/does not belong to the certificate/)
  foreach qw(store pd);
pass('tikv_status() says that the key is another');
put_file("$ours/server.key", 'server.key');
wait_serving($node);
is((as($ours, 'alice', 'get', 'k'))[1], 'v', 'it serves when the key is right');

# ---- switched off and on by a reload
reload('tikv.tls_ca' => '', 'tikv.tls_cert' => '', 'tikv.tls_key' => '');
wait_for('no TLS', sub { (rawctl($node, 'get', 'k'))[1] eq 'v' });
wait_serving($node);
is($node->safe_psql('postgres', 'SELECT client_urls FROM tikv.members'),
	"{http://$at{pd_addr}}", 'without TLS members are http');
($plain) = run_command([ 'curl', '-s', '-o', '/dev/null', '-w', '%{http_code}',
		'--max-time', 20, "http://$at{pd_addr}/pd/api/v1/health" ]);
is($plain, '200', 'HTTP is on the port of PD');
reload(%tls);
wait_for('TLS', sub { (as($ours, 'alice', 'get', 'k'))[1] eq 'v' });
wait_serving($node);
is((rawctl($node, 'get', 'k'))[0], 1, 'with TLS again, nobody comes without');

# ---- an address that others can reach
my ($port) = $at{addr} =~ /:(\d+)$/;
my $open = qr/WARNING:\s+tikv store serves "0\.0\.0\.0:\d+" without TLS/;
$offset = log_size();
configure_node($node, 'tikv.addr' => "0.0.0.0:$port", 'tikv.advertise_addr' => $at{addr});
$node->restart;
wait_serving($node);
is((as($ours, 'alice', 'get', 'k'))[1], 'v', 'served on all addresses');
unlike(substr(slurp_file($node->logfile), $offset), $open, 'with TLS that is no warning');
configure_node($node, 'tikv.tls_ca' => '', 'tikv.tls_cert' => '', 'tikv.tls_key' => '');
$node->restart;
wait_serving($node);
like(substr(slurp_file($node->logfile), $offset), $open, 'without it is one');

$node->stop;
done_testing();
