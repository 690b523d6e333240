# TikvAbuse.pm: clients that abuse the ports of a node.
#
# HTTP/2: half-closed connections, floods of resets, pings, settings and headers,
# tiny windows, readers that do not read, headers that do not end.  HTTP/1.1: the
# like.  TLS: handshakes that stop anywhere, or never end.  And thousands of idle
# connections.  No worker ends, memory stays bounded, and other clients are
# served meanwhile.
#
# ABUSE_ROUNDS repeats all of it (make soak): then memory must not creep.

package TikvAbuse;

use strict;
use warnings;

use Exporter 'import';
use HTTP::Tiny;
use Http2;
use Socket qw(MSG_DONTWAIT);
use Test::More;
use TikvTest;
use Time::HiRes qw(time);

our @EXPORT = qw(abuse);

my $rounds = $ENV{ABUSE_ROUNDS} || 1;

# What a worker may take on top while it is abused, and keep afterwards (MB),
# once it has had some seconds to give the rest back.  Answers that nobody reads
# are bounded by 1 GiB; those below ask for 200 MB.  At a moment it may have more:
# 360 were seen on a loaded machine.
my $moment_mb = 768;
my $peak_mb = 512;
my $kept_mb = 128;
my $creep_mb = 64;

my $node;
my %pid;

# Where pages are asked for, the URL without its path.
my ($pd_pages, $status_pages);
my %pages = (timeout => 30);

# The call that attacks on an address make: its path and its message.
my (%path_of, %message_of);

# Private memory of a worker.
sub resident_mb
{
	my ($worker) = @_;

	open my $file, '<', "/proc/$pid{$worker}/status" or return 0;
	my ($kb) = map { /^RssAnon:\s+(\d+)/ ? $1 : () } <$file>;
	return $kb / 1024;
}

sub all_resident
{
	return map { ($_ => resident_mb($_)) } keys %pid;
}

# What each worker had before the first attack, and the most that it has had at a
# time since the mark was set back, which is for its user or root to do.  Pages
# that it shares are counted, too.
my %mark;

sub highest_mb
{
	my ($worker) = @_;

	open my $file, '<', "/proc/$pid{$worker}/status" or return 0;
	my ($kb) = map { /^VmHWM:\s+(\d+)/ ? $1 : () } <$file>;
	return $kb / 1024;
}

sub set_marks_back
{
	foreach my $worker (keys %pid)
	{
		next unless -d "/proc/$pid{$worker}";
		open my $file, '>', "/proc/$pid{$worker}/clear_refs" or die "clear_refs of $worker: $!";
		print $file 5;
		close $file or die "clear_refs of $worker: $!";
	}
	%mark = map { ($_ => highest_mb($_)) } keys %pid unless %mark;
}

sub peaked
{
	my %most = map { ($_ => highest_mb($_)) } keys %pid;

	note('at most ', join ', ', map { sprintf '%s %.0f MB (%+.0f)', $_, $most{$_},
			$most{$_} - $mark{$_} } sort keys %most);
	return grep { $most{$_} - $mark{$_} > $moment_mb } sort keys %most;
}

# ---- requests

# A whole unary call on a stream.
sub call
{
	my ($address, $stream) = @_;

	return frame('HEADERS', $Http2::FLAG{END_HEADERS}, $stream, call_headers($path_of{$address}))
	  . frame('DATA', $Http2::FLAG{END_STREAM}, $stream, $message_of{$address});
}

# So many connections, fewer where each costs a handshake of TLS.
sub few
{
	return $Http2::tls ? $_[0] / 4 : $_[0];
}

# Addresses whose server has closed a flood.
my @closed;

# ---- the attacks: each gets an address and returns the connections it holds

sub half_closed
{
	my ($address) = @_;
	my @held;

	foreach my $i (1 .. few(200))
	{
		my $socket = connect_http2($address) or next;

		write_all($socket, $i % 3 == 0 ? call($address, 1)
			: $i % 3 == 1 ? substr(call($address, 1), 0, -3)
			: frame('HEADERS', 4, 1, call_headers($path_of{$address})));
		shutdown $socket, 1;
		push @held, $socket;
	}
	return @held;
}

# CVE-2023-44487: each stream is reset as soon as it is opened.  These stop
# before the server would disconnect them; endless_reset does not.
sub rapid_reset
{
	my ($address) = @_;

	return map {
		my $socket = connect_http2($address);
		my $whole = $_ % 2;

		for (my $stream = 1; $socket && $stream < 2000; $stream += 200)
		{
			my $burst = join '', map {
				my $one = $stream + 2 * $_;
				($whole ? call($address, $one)
					: frame('HEADERS', 4, $one, call_headers($path_of{$address})))
				  . frame('RST_STREAM', 0, $one, pack 'N', 8);
			} 0 .. 99;

			last unless write_all($socket, $burst);
		}
		$socket ? $socket : ();
	} 1 .. 10;
}

# As fast as it can, until the server closes the connection.  A burst that is
# stuck goes on where it stopped, as half a frame would have the connection
# closed for another reason, and answers are taken, as who does not take them
# makes the server wait.
sub endless_reset
{
	my ($address) = @_;
	my $socket = connect_http2($address) or return;
	my $stream = 1;
	my $unsent = '';

	while ($stream < 20_000_000)
	{
		if ($unsent eq '')
		{
			$unsent = join '', map {
				call($address, $stream + 2 * $_)
				  . frame('RST_STREAM', 0, $stream + 2 * $_, pack 'N', 8);
			} 0 .. 99;
			$stream += 200;
		}
		my $n = syswrite $socket, $unsent;

		# A server that does not read is not one that has closed.
		if (!defined $n && !would_block($socket))
		{
			push @closed, $address;
			last;
		}
		substr($unsent, 0, $n // 0) = '';
		recv $socket, my $answers, 1 << 20, MSG_DONTWAIT;
	}
	return $socket;
}

# Answers may leave a byte at a time, and nobody asks for more.
sub tiny_windows
{
	my ($address) = @_;

	return map {
		my $socket = connect_http2($address, 4 => 1);

		write_all($socket, join '', map { call($address, 2 * $_ + 1) } 0 .. 19) if $socket;
		$socket ? $socket : ();
	} 1 .. 5;
}

# The window is open, but the socket is not read: 4 connections, 50 MB each.
sub slow_readers
{
	my ($address) = @_;

	return map {
		my $socket = connect_http2($address, 4 => 0x7fffffff, rcvbuf => 4096);

		write_all($socket, frame('WINDOW_UPDATE', 0, 0, pack 'N', 0x7fff0000)
			. join '', map { call($address, 2 * $_ + 1) } 0 .. 49) if $socket;
		$socket ? $socket : ();
	} 1 .. 4;
}

# One header of 60 KB, many of them, and headers that go on for ever.
sub huge_headers
{
	my ($address) = @_;
	my $large = call_headers($path_of{$address}, 'x-large' => 'x' x 16_000);
	my @held;

	foreach my $i (1 .. 20)
	{
		my $socket = connect_http2($address) or next;

		if ($i % 2)
		{
			flood($socket, frame('HEADERS', 4, 2 * $_ + 1, $large), 1) foreach 0 .. 99;
		}
		else
		{
			write_all($socket, frame('HEADERS', 0, 1, call_headers($path_of{$address})));
			flood($socket, frame('CONTINUATION', 0, 1,
					header_block("x-$i" => 'y' x 16_000)), 1000);
		}
		push @held, $socket;
	}
	return @held;
}

# Small and empty CONTINUATION frames (CVE-2024-27919 and its like).
sub continuations
{
	my ($address) = @_;

	return map {
		my $socket = connect_http2($address);
		my $payload = $_ % 2 ? '' : header_block('a' => 'b');

		if ($socket)
		{
			write_all($socket, frame('HEADERS', 0, 1, call_headers($path_of{$address})));
			flood($socket, frame('CONTINUATION', 0, 1, $payload) x 100, 500);
		}
		$socket ? $socket : ();
	} 1 .. 6;
}

# Headers that arrive a byte at a time, and never whole.
sub slow_headers
{
	my ($address) = @_;
	my $bytes = call($address, 1);
	my @held = map { connect_http2($address) // () } 1 .. few(200);

	foreach my $at (0 .. 40)
	{
		write_all($_, substr $bytes, $at, 1) foreach @held;
	}
	return @held;
}

# Frames that want an answer from who is not read, and some that do nothing.
sub frame_floods
{
	my ($address) = @_;
	my @kinds = (frame('PING', 0, 0, '12345678'),
		frame('SETTINGS', 0, 0, pack 'nN', 4, 65535),
		frame('SETTINGS', 0, 0, pack 'nN', 1, 0) . frame('SETTINGS', 0, 0, pack 'nN', 1, 4096),
		frame('WINDOW_UPDATE', 0, 0, pack 'N', 1),
		frame('PRIORITY', 0, 1, pack 'NC', 0, 1),
		frame('DATA', 0, 1, ''),
		frame('RST_STREAM', 0, 99, pack 'N', 8),
		frame('GOAWAY', 0, 0, pack 'NN', 0, 0),
		frame('PUSH_PROMISE', 4, 1, pack 'N', 2),
		chr(0) x 3 . chr(200) . chr(0) . pack('N', 0));

	return map {
		my $socket = connect_http2($address, rcvbuf => 4096);

		if ($socket)
		{
			write_all($socket, frame('HEADERS', 4, 1, call_headers($path_of{$address})));
			flood($socket, $_ x 100, 1000);
		}
		$socket ? $socket : ();
	} @kinds;
}

# A good beginning, then noise.
sub garbage
{
	my ($address) = @_;

	return map {
		my $socket = connect_http2($address);
		my $noise = join '', map { chr int rand 256 } 1 .. 2000;

		write_all($socket, ($_ % 2 ? call($address, 1) : '') . $noise) if $socket;
		$socket ? $socket : ();
	} 1 .. 100;
}

sub idle
{
	my ($address) = @_;

	return map { connect_http2($address) // () } 1 .. few(800);
}

# ---- HTTP/1.1, on the status port and beside gRPC on PD's

my $request = "GET /metrics HTTP/1.1\r\nHost: x\r\n";

sub http1_unfinished
{
	my ($address) = @_;

	return map {
		my $socket = connect_http1($address);

		write_all($socket, substr $request, 0, 5 + $_ % 20) if $socket;
		$socket ? $socket : ();
	} 1 .. few(300);
}

sub http1_headers
{
	my ($address) = @_;

	return map {
		my $socket = connect_http1($address);

		if ($socket)
		{
			write_all($socket, $request);
			flood($socket, "X-$_: " . 'z' x 8000 . "\r\n", 2000);
		}
		$socket ? $socket : ();
	} 1 .. 10;
}

# Many requests at once whose answers nobody takes.
sub http1_unread
{
	my ($address) = @_;

	return map {
		my $socket = connect_http1($address, rcvbuf => 4096);

		flood($socket, "$request\r\n" x 50, 40) if $socket;
		$socket ? $socket : ();
	} 1 .. 10;
}

sub http1_bodies
{
	my ($address) = @_;
	my @heads = ("Content-Length: 99999999999\r\n\r\n", "Content-Length: -1\r\n\r\n",
		"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
		"Transfer-Encoding: chunked\r\n\r\n",
		"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"Expect: 100-continue\r\nContent-Length: 70000000\r\n\r\n");

	return map {
		my $socket = connect_http1($address);

		if ($socket)
		{
			write_all($socket, "POST /pd/api/v1/config HTTP/1.1\r\nHost: x\r\n$_");
			flood($socket, "2000\r\n" . 'b' x 8192 . "\r\n", 2000);
		}
		$socket ? $socket : ();
	} @heads;
}

# ---- TLS, before there is any HTTP

# Thousands at once: nothing, part of the first message, or all of it, and then
# silence, also about what the server answers.
sub tls_half
{
	my ($address) = @_;
	my $hello = client_hello();
	my @parts = ('', substr($hello, 0, 1), substr($hello, 0, 5), substr($hello, 0, length($hello) / 2),
		substr($hello, 0, -1), $hello);

	return map {
		my $socket = connect_plain($address, rcvbuf => 4096);

		write_all($socket, $parts[$_ % @parts]) if $socket && $parts[$_ % @parts] ne '';
		$socket ? $socket : ();
	} 1 .. 3000;
}

# The first message a byte at a time, in records of one byte each, and never whole.
sub tls_slow
{
	my ($address) = @_;
	my $hello = client_hello();
	my @held = map { connect_plain($address) // () } 1 .. 200;

	foreach my $at (5 .. 65)
	{
		my $byte = substr $hello, $at, 1;

		write_all($_, "\x16\x03\x01\0\1$byte") foreach @held;
	}
	return @held;
}

# Messages that announce 16 MB and never end, records larger than TLS has, and
# records of nothing, of warnings and of changes of the cipher, without end.
sub tls_floods
{
	my ($address) = @_;
	my $hello = client_hello();
	my $record = sub { pack('CnnA*', $_[0], 0x0303, length $_[1], $_[1]) };
	my @kinds = (
		[ $record->(22, pack('Cn', 1, 0xffff) . 'x' x 16_000), $record->(22, 'x' x 16_000) ],
		[ pack('CnnC', 22, 0x0301, 0xffff, 1), 'x' x 16_000 ],
		[ '', $record->(22, '') x 100 ],
		[ '', $record->(21, pack 'CC', 1, 0) x 100 ],
		[ $hello, $record->(20, "\1") x 100 ],
		[ $hello, $record->(21, pack 'CC', 1, 0) x 100 ],
		[ $hello, $hello ],
		[ $hello, $record->(23, 'x' x 16_000) ],
		[ $hello, $record->(22, pack('Cn', 11, 0xffff) . 'x' x 16_000) ]);

	return map {
		my ($first, $then) = @$_;

		map {
			my $socket = connect_plain($address, rcvbuf => 4096);

			write_all($socket, $first) if $socket && $first ne '';
			flood($socket, $then, 1000) if $socket;
			$socket ? $socket : ();
		} 1 .. 2;
	} @kinds;
}

# What does not know of TLS, or of nothing at all.
sub tls_none
{
	my ($address) = @_;
	my @texts = ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" . frame('SETTINGS', 0, 0, ''), "$request\r\n");

	return map {
		my $socket = connect_plain($address);
		my $noise = $_ % 2 ? $texts[ $_ / 2 % 2 ] : join '', map { chr int rand 256 } 1 .. 2000;

		write_all($socket, $noise) if $socket;
		$socket ? $socket : ();
	} 1 .. 200;
}

# ---- who must be served all the time

# While `held` connections are open, and again when they are closed.
sub still_serves
{
	my ($what) = @_;
	my $began = time();
	my $put;

	# Who waited behind a flood tries again, as clients do.
	foreach my $attempt (1 .. 6)
	{
		$put = (rawctl($node, 'put', 'beside', $what))[0];
		last if $put == 0;
	}
	my $got = (rawctl($node, 'get', 'beside'))[1];
	my $page = HTTP::Tiny->new(%pages)->get("$pd_pages/pd/api/v1/health");
	my $metrics = HTTP::Tiny->new(%pages)->get("$status_pages/metrics");

	elapsed_note("serving beside $what", $began);
	note("put $put, get $got, PD $page->{status}, status port $metrics->{status}")
	  unless $put == 0 && $got eq $what && $page->{status} == 200 && $metrics->{status} == 200;
	return $put == 0 && $got eq $what && $page->{status} == 200
	  && $metrics->{status} == 200;
}

sub grown
{
	my ($before, $limit) = @_;
	my %now = all_resident();
	my @over = grep { $now{$_} - $before->{$_} > $limit } sort keys %now;

	note(join ', ', map { sprintf '%s %.0f MB (%+.0f)', $_, $now{$_},
			$now{$_} - $before->{$_} } sort keys %now);
	return @over;
}

sub attack
{
	my ($name, $address, $run, $start) = @_;
	my $began = time();

	set_marks_back();
	my @held = $run->($address);

	elapsed_note($name, $began);
	ok(@held > 0, "$name: it got through to the server");
	ok(still_serves($name), "$name: others are served meanwhile");
	is_deeply([ grown($start, $peak_mb) ], [], "$name: memory is bounded");
	is_deeply([ peaked() ], [], "$name: and was at every moment");
	hang_up($_) foreach @held;
}

my %attacks = (
	'HTTP/2' => { half_closed => \&half_closed, rapid_reset => \&rapid_reset,
		endless_reset => \&endless_reset, tiny_windows => \&tiny_windows,
		slow_readers => \&slow_readers, huge_headers => \&huge_headers,
		continuations => \&continuations, slow_headers => \&slow_headers,
		frame_floods => \&frame_floods, garbage => \&garbage, idle => \&idle },
	'HTTP/1.1' => { unfinished => \&http1_unfinished, headers => \&http1_headers,
		unread => \&http1_unread, bodies => \&http1_bodies },
	'TLS' => { half => \&tls_half, slow => \&tls_slow, floods => \&tls_floods, none => \&tls_none });

# Connections that the workers have ended, by the metric.
sub ended
{
	my $page = HTTP::Tiny->new(%pages)->get("$status_pages/metrics")->{content};
	my %of = $page =~ /^tikv_fdw_grpc_connections_ended_total\{worker="([\w ]+)"\} (\d+)/mg;

	return %of;
}

sub prepare
{
	my $big_get = field(1, region_context($node), 1) . field(2, 'big', 1);
	my %at = map { $_ => $node->{tikv}{"tikv.$_"} } qw(addr peer_addr pd_addr pd_http_addr status_addr);
	my $scheme = $Http2::tls ? 'https' : 'http';

	# With TLS the port of PD is gRPC's alone.
	$pd_pages = "$scheme://" . ($Http2::tls ? $at{pd_http_addr} : $at{pd_addr});
	$status_pages = "$scheme://$at{status_addr}";
	%path_of = (
		$at{addr} => '/tikvpb.Tikv/RawGet',
		$at{peer_addr} => '/tikvpb.Tikv/RawGet',
		$at{pd_addr} => '/pdpb.PD/GetMembers');
	%message_of = (
		$at{addr} => grpc_message($big_get),
		$at{peer_addr} => grpc_message($big_get),
		$at{pd_addr} => grpc_message(''));
	%pid = map { my ($pid) = pids($node, $_); ($_ => $pid) }
	  ('tikv store', 'tikv server', 'tikv pd', 'tikv status');
	$node->safe_psql('postgres', q{SELECT tikv_put('big', decode(repeat('00', 1048576), 'hex'))});
	return %at;
}

# Attack a node that serves: for each protocol (of %attacks) the ports, by the
# names of their settings.  With TLS, $Http2::tls is set, TIKV_CA and so on are
# for rawctl, and `pages` is what HTTP::Tiny needs.
sub abuse
{
	my ($which, %how) = @_;
	my %more = %{ delete $how{pages} // {} };
	my %after_first;

	$node = $which;
	%pages = (%pages, %more);
	local $SIG{PIPE} = 'IGNORE';
	srand(7);
	my %at = prepare();
	ok(still_serves('nothing'), 'served at first');
	my %start = all_resident();

	foreach my $round (1 .. $rounds)
	{
		foreach my $protocol (sort keys %how)
		{
			foreach my $name (sort keys %{ $attacks{$protocol} })
			{
				attack("$protocol $name, tikv.$_", $at{$_}, $attacks{$protocol}{$name}, \%start)
				  foreach @{ $how{$protocol} };
			}
		}
		foreach my $worker (sort keys %pid)
		{
			is(join(' ', pids($node, $worker)), $pid{$worker}, "$worker has lived through round $round");
		}
		wait_for('the connections to be forgotten', sub {
			my @open = map { glob "/proc/$_/fd/*" } values %pid;
			return @open < 600;
		});
		ok(still_serves("the end of round $round"), 'and serves afterwards');
		ok(eval { wait_for('memory', sub { still_serves('nothing') && !grown(\%start, $kept_mb) }) },
			'memory is given back, or most of it');
		%after_first = all_resident() if $round == 1;
	}
	is_deeply([ sort @closed ], [ sort((@at{ @{ $how{'HTTP/2'} } }) x $rounds) ],
		'who opens and resets streams without end is disconnected');
	my %ended = ended();
	ok($ended{pd} >= $rounds && $ended{store} >= $rounds
		  && $ended{store} + $ended{'server 1'} >= 2 * $rounds, 'and counted')
	  or diag(explain(\%ended));
	if ($rounds > 1)
	{
		my @crept = grown(\%after_first, $creep_mb);
		is_deeply(\@crept, [], 'memory does not creep from round to round');
	}
}

1;
