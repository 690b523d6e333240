# The same clients on the ports of a node with TLS, and others that do not come to
# the end of a handshake: TikvAbuse.pm.

use strict;
use warnings;

use File::Temp;
use Http2;
use PostgreSQL::Test::Utils;
use Test::More;
use TikvAbuse;
use TikvTest;

my $certs = File::Temp->newdir(CLEANUP => 1)->dirname;

system_or_bail($ENV{CERTS}, $certs);
my $node = new_node('tls_abuse', 'tikv.server_workers' => 1,
	'tikv.tls_ca' => "$certs/ca.crt",
	'tikv.tls_cert' => "$certs/server.crt",
	'tikv.tls_key' => "$certs/server.key");

$node->start;
serve($node);
$ENV{TIKV_CA} = "$certs/ca.crt";
$ENV{TIKV_CERT} = "$certs/client.crt";
$ENV{TIKV_KEY} = "$certs/client.key";
$Http2::tls = tls_identity($certs, 'client');
abuse($node,
	'HTTP/2' => [qw(addr peer_addr pd_addr)],
	'HTTP/1.1' => [qw(status_addr pd_http_addr)],
	'TLS' => [qw(addr peer_addr pd_addr status_addr pd_http_addr)],
	pages => { verify_SSL => 1, SSL_options => {
		SSL_ca_file => $ENV{TIKV_CA}, SSL_cert_file => $ENV{TIKV_CERT}, SSL_key_file => $ENV{TIKV_KEY} } });
$node->stop;
done_testing();
