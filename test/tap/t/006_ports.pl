# A port that is taken is never shared silently: the worker waits, says which
# address and why, and serves when the port is free.

use strict;
use warnings;

use IO::Socket::INET;
use Test::More;
use TikvTest;

my $first = new_node('first');
my %ports = map { $_ => $first->{tikv}{$_} } grep { /addr$/ } keys %{ $first->{tikv} };

# ---- somebody else has the port of the store
my $squatter = IO::Socket::INET->new(
	LocalAddr => $ports{'tikv.addr'}, Listen => 5, Proto => 'tcp', ReuseAddr => 1)
  or die "cannot listen on $ports{'tikv.addr'}: $!";
$first->start;
$first->safe_psql('postgres', 'CREATE EXTENSION tikv_fdw');
my ($port) = $ports{'tikv.addr'} =~ /:(\d+)$/;
wait_state($first, 'store', 'waiting', qr/$port/);
like(status($first), qr/in use/i, 'tikv_status() says that the port is in use');
close $squatter;
wait_serving($first);
pass('serves when the port is free');
rawctl($first, 'put', 'k', 'of the first');

# ---- a second instance on the same ports
my $second = new_node('second', %ports);
$second->start;
$second->safe_psql('postgres', 'CREATE EXTENSION tikv_fdw');
wait_state($second, 'pd', 'waiting', qr/in use/i);
pass('a second instance waits');
is((rawctl($first, 'get', 'k'))[1], 'of the first', 'the first serves on');
my ($shared) = grep { (rawctl($first, 'get', 'k'))[1] ne 'of the first' } 1 .. 20;
is($shared, undef, 'no request goes astray');

# ---- and takes over when the first is gone
$first->stop;
wait_serving($second);
is((rawctl($second, 'put', 'k', 'of the second'))[0], 0,
	'the second serves when the first is stopped');
is((rawctl($second, 'get', 'k'))[1], 'of the second', 'its own data');
$second->stop;
done_testing();
