# Clients that abuse HTTP/2 and HTTP/1.1 on the ports of a node without TLS:
# TikvAbuse.pm.

use strict;
use warnings;

use Test::More;
use TikvAbuse;
use TikvTest;

my $node = new_node('abuse', 'tikv.server_workers' => 1);

$node->start;
serve($node);
abuse($node,
	'HTTP/2' => [qw(addr peer_addr pd_addr)],
	'HTTP/1.1' => [qw(status_addr pd_addr)]);
$node->stop;
done_testing();
