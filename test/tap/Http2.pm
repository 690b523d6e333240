# Http2.pm: HTTP/2 written by hand, for clients that no library would be.
#
# Frames are strings; a connection is a socket whose writes give up after a
# second, since a server may well stop reading from who abuses it.  While
# $Http2::tls is set (tls_identity), connections speak TLS, but those of
# connect_plain, which say what the caller writes.

package Http2;

use strict;
use warnings;

use Exporter 'import';
use IO::Socket::INET;
use IO::Socket::SSL;
use Net::SSLeay;
use Socket qw(SOL_SOCKET SO_SNDTIMEO SO_RCVTIMEO SO_RCVBUF);
use Time::HiRes qw(time);

our @EXPORT = qw(
  frame header_block call_headers grpc_message varint field fields all_fields numbers region_context
  tls_identity client_hello connect_plain connect_http1 connect_http2 hang_up would_block
  write_all flood begin_call end_call begin_stream speak hear close_stream begin_upload upload
);

our %TYPE = (DATA => 0, HEADERS => 1, PRIORITY => 2, RST_STREAM => 3, SETTINGS => 4,
	PUSH_PROMISE => 5, PING => 6, GOAWAY => 7, WINDOW_UPDATE => 8, CONTINUATION => 9);
our %FLAG = (END_STREAM => 1, ACK => 1, END_HEADERS => 4);

# Who connects with TLS: what tls_identity gave.
our $tls;

my $preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

sub frame
{
	my ($type, $flags, $stream, $payload) = @_;
	my $length = pack 'N', length $payload;

	return substr($length, 1) . pack('CCN', $TYPE{$type}, $flags, $stream) . $payload;
}

# A number with a prefix of seven bits, as HPACK has it.
sub hpack_number
{
	my ($n) = @_;
	my $out = '';

	return chr $n if $n < 127;
	$n -= 127;
	while ($n >= 128)
	{
		$out .= chr(128 | $n & 127);
		$n >>= 7;
	}
	return chr(127) . $out . chr($n);
}

# Literals without indexing, names spelled out.
sub header_block
{
	my (@pairs) = @_;
	my $out = '';

	while (@pairs)
	{
		my ($name, $value) = splice @pairs, 0, 2;

		$out .= "\0" . hpack_number(length $name) . $name
		  . hpack_number(length $value) . $value;
	}
	return $out;
}

# The header block of a gRPC call, with more headers at its end.
sub call_headers
{
	my ($path, @more) = @_;

	return header_block(':method' => 'POST', ':scheme' => 'http', ':path' => $path,
		':authority' => 'test', 'te' => 'trailers',
		'content-type' => 'application/grpc', @more);
}

sub grpc_message
{
	my ($bytes) = @_;

	return pack('CN', 0, length $bytes) . $bytes;
}

# ---- protobuf

sub varint
{
	my ($n) = @_;
	my $out = '';

	while ($n >= 128)
	{
		$out .= chr(128 | $n & 127);
		$n >>= 7;
	}
	return $out . chr $n;
}

# A number if the value is one, else bytes.
sub field
{
	my ($number, $value, $is_bytes) = @_;

	return varint($number << 3) . varint($value) unless $is_bytes;
	return varint($number << 3 | 2) . varint(length $value) . $value;
}

# What a message of numbers and bytes has: number of the field => its last value.
sub fields
{
	return map { @$_ } all_fields(@_);
}

# The same, as often as it is there: [number, value].
sub all_fields
{
	my ($bytes) = @_;
	my @out;

	while ($bytes ne '')
	{
		my $tag = take_varint(\$bytes);
		my $value = take_varint(\$bytes);

		die "field of a kind that is not expected: $tag" if ($tag & 7) != 0 && ($tag & 7) != 2;
		$value = substr $bytes, 0, $value, '' if ($tag & 7) == 2;
		push @out, [ $tag >> 3, $value ];
	}
	return @out;
}

# Of a field that is packed.
sub numbers
{
	my ($bytes) = @_;
	my @out;

	push @out, take_varint(\$bytes) while $bytes ne '';
	return @out;
}

sub take_varint
{
	my ($bytes) = @_;
	my ($n, $shift) = (0, 0);

	while ($$bytes =~ s/^(.)//s)
	{
		$n |= (ord($1) & 127) << $shift;
		return $n if ord $1 < 128;
		$shift += 7;
	}
	die 'a number without its end';
}

# kvrpcpb.Context of a node's only region, as another client would get it from
# PD.
sub region_context
{
	my ($node) = @_;
	my $addr = $node->{tikv}{'tikv.addr'};
	my ($id, $conf_ver, $version, $peer, $store) = split /\|/,
	  $node->safe_psql('postgres', q{SELECT region_id, conf_ver, version, peer_id,
		(SELECT store_id FROM tikv.stores WHERE address = '} . $addr . q{') FROM tikv.regions});

	return field(1, $id) . field(2, field(1, $conf_ver) . field(2, $version), 1)
	  . field(3, field(1, $peer) . field(2, $store), 1);
}

# ---- connections

sub connect_plain
{
	my ($address, %options) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => $address, Proto => 'tcp', Timeout => 5)
	  or return;

	setsockopt $socket, SOL_SOCKET, SO_SNDTIMEO, pack('l!l!', 1, 0);
	setsockopt $socket, SOL_SOCKET, SO_RCVTIMEO, pack('l!l!', 1, 0);
	setsockopt $socket, SOL_SOCKET, SO_RCVBUF, $options{rcvbuf} if $options{rcvbuf};
	binmode $socket;
	return $socket;
}

# A client with the certificate <folder>/<name>.crt, its key, and <folder>/ca.crt.
sub tls_identity
{
	my ($folder, $name) = @_;

	return { map {
			my $context = IO::Socket::SSL::SSL_Context->new(
				SSL_ca_file => "$folder/ca.crt",
				SSL_cert_file => "$folder/$name.crt",
				SSL_key_file => "$folder/$name.key",
				SSL_alpn_protocols => [$_],
				SSL_verifycn_scheme => 'none') || die "TLS: $SSL_ERROR";
			($_ => $context)
		} qw(h2 http/1.1) };
}

# The first message of a client, as one record.
sub client_hello
{
	my $context = Net::SSLeay::CTX_new();
	my $ssl = Net::SSLeay::new($context);
	my ($in, $out) = map { Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem()) } 1, 2;

	Net::SSLeay::set_bio($ssl, $in, $out);
	Net::SSLeay::set_connect_state($ssl);
	Net::SSLeay::do_handshake($ssl);
	my $hello = Net::SSLeay::BIO_read($out);
	Net::SSLeay::free($ssl);
	Net::SSLeay::CTX_free($context);
	return $hello;
}

# With TLS if that is spoken; undef if the server does not take us.
sub connect_as
{
	my ($address, $protocol, %options) = @_;
	my $socket = connect_plain($address, %options) or return;

	return $socket unless $tls;
	return IO::Socket::SSL->start_SSL($socket, SSL_reuse_ctx => $tls->{$protocol}, Timeout => 10);
}

sub connect_http1
{
	my ($address, %options) = @_;

	return connect_as($address, 'http/1.1', %options);
}

# With the preface and settings, given as identifier => value.
sub connect_http2
{
	my ($address, %settings) = @_;
	my $rcvbuf = delete $settings{rcvbuf};
	my $socket = connect_as($address, 'h2', rcvbuf => $rcvbuf) or return;

	write_all($socket, $preface . frame('SETTINGS', 0, 0,
			join '', map { pack 'nN', $_, $settings{$_} } sort keys %settings));
	return $socket;
}

# False if the server closed the connection, or does not read.
sub write_all
{
	my ($socket, $bytes) = @_;
	my $at = 0;

	while ($at < length $bytes)
	{
		my $n = syswrite $socket, $bytes, length($bytes) - $at, $at;

		return 0 unless $n;
		$at += $n;
	}
	return 1;
}

# At once, without a word.
sub hang_up
{
	my ($socket) = @_;

	return $socket->close unless $socket->isa('IO::Socket::SSL');
	return $socket->close(SSL_no_shutdown => 1);
}

# Why the last write or read did nothing: the server is slow, it has not closed.
sub would_block
{
	my ($socket) = @_;

	return $!{EAGAIN} unless $socket->isa('IO::Socket::SSL');
	no warnings qw(numeric uninitialized);
	return $SSL_ERROR == SSL_WANT_READ || $SSL_ERROR == SSL_WANT_WRITE;
}

# ---- one call

# A unary call on a connection of its own, whose answer end_call waits for; with
# more headers at its end.
sub begin_call
{
	my ($address, $path, $message, @more) = @_;
	my $call = begin_stream($address, $path, @more);

	write_all($call->{socket}, frame('DATA', $FLAG{END_STREAM}, 1, grpc_message($message)));
	return $call;
}

# The message that it is answered with; undef if none has come in so many
# seconds, or the call is over ({over}) with an error, whose text is in {headers}.
sub end_call
{
	my ($call, $seconds) = @_;

	read_until($call, $seconds, sub { $call->{over} });
	return $call->{over} && length $call->{data} >= 5 ? substr($call->{data}, 5) : undef;
}

# Until the code is content, the connection ends, or so many seconds are over.
sub read_until
{
	my ($call, $seconds, $code) = @_;
	my $end = time() + $seconds;

	take_frames($call);
	while (!$code->() && (my $left = $end - time()) > 0)
	{
		my $readable = '';

		vec($readable, fileno $call->{socket}, 1) = 1;
		next if !has_read($call->{socket}) && select($readable, undef, undef, $left) <= 0;
		sysread($call->{socket}, $call->{in}, 1 << 16, length $call->{in})
		  or would_block($call->{socket}) or last;
		take_frames($call);
	}
}

# ---- one stream, on a connection of its own

sub begin_stream
{
	my ($address, $path, @more) = @_;
	my $socket = connect_http2($address) or die "cannot connect to $address";

	write_all($socket, frame('HEADERS', $FLAG{END_HEADERS}, 1, call_headers($path, @more)));
	return { socket => $socket, in => '', data => '', headers => '', over => 0 };
}

sub speak
{
	my ($stream, $message) = @_;

	return write_all($stream->{socket}, frame('DATA', 0, 1, grpc_message($message)));
}

# The next message; undef if none has come in so many seconds, or the stream is
# over ({over}).
sub hear
{
	my ($stream, $seconds) = @_;

	read_until($stream, $seconds, sub { $stream->{over} || has_message($stream) });
	return undef if !has_message($stream);
	my $length = unpack 'xN', $stream->{data};

	return substr substr($stream->{data}, 0, 5 + $length, ''), 5;
}

sub has_message
{
	my ($stream) = @_;

	return length $stream->{data} >= 5
	  && length $stream->{data} >= 5 + unpack 'xN', $stream->{data};
}

# Nothing more is said on it.
sub close_stream
{
	my ($stream) = @_;

	return write_all($stream->{socket}, frame('DATA', $FLAG{END_STREAM}, 1, ''));
}

# Has TLS read from the socket what nobody has taken from it yet?
sub has_read
{
	my ($socket) = @_;

	return $socket->isa('IO::Socket::SSL') && $socket->pending;
}

sub take_frames
{
	my ($call) = @_;

	while (length $call->{in} >= 9)
	{
		my $length = unpack 'N', "\0" . substr $call->{in}, 0, 3;
		my ($type, $flags, $stream) = unpack 'CCN', substr $call->{in}, 3, 6;

		return if length $call->{in} < 9 + $length;
		if ($stream == 1)
		{
			$call->{data} .= substr $call->{in}, 9, $length if $type == $TYPE{DATA};
			$call->{headers} .= substr $call->{in}, 9, $length if $type == $TYPE{HEADERS};
			$call->{over} = 1 if $type == $TYPE{RST_STREAM}
			  || $flags & $FLAG{END_STREAM} && ($type == $TYPE{DATA} || $type == $TYPE{HEADERS});
		}
		substr $call->{in}, 0, 9 + $length, '';
	}
}

# ---- much to send, as the windows of the server let it through

sub begin_upload
{
	my ($socket) = @_;

	return { socket => $socket, in => '', first => 65535, window => { 0 => 65535 } };
}

# One message on a stream that was opened; false if it does not get through.
sub upload
{
	my ($up, $stream, $message) = @_;
	my $bytes = grpc_message($message);

	$up->{window}{$stream} //= $up->{first};
	while ($bytes ne '')
	{
		my ($room) = sort { $a <=> $b } @{ $up->{window} }{ 0, $stream }, 16_000, length $bytes;

		if ($room <= 0)
		{
			take_windows($up) or return 0;
			next;
		}
		my $piece = substr $bytes, 0, $room, '';
		write_all($up->{socket}, frame('DATA', $bytes eq '' ? $FLAG{END_STREAM} : 0, $stream, $piece))
		  or return 0;
		$up->{window}{$_} -= $room foreach 0, $stream;
	}
	return 1;
}

# What the server says of its windows; false if it says nothing for ten seconds.
sub take_windows
{
	my ($up) = @_;
	my $got;

	for (1 .. 10)
	{
		$got = sysread $up->{socket}, $up->{in}, 1 << 16, length $up->{in};
		last if defined $got;
	}
	return 0 unless $got;
	while (length $up->{in} >= 9)
	{
		my $length = unpack 'N', "\0" . substr $up->{in}, 0, 3;
		my ($type, $flags, $stream) = unpack 'CCN', substr $up->{in}, 3, 6;

		last if length $up->{in} < 9 + $length;
		my $payload = substr $up->{in}, 9, $length;
		substr $up->{in}, 0, 9 + $length, '';
		if ($type == $TYPE{WINDOW_UPDATE})
		{
			$up->{window}{$stream} = ($up->{window}{$stream} // $up->{first}) + unpack 'N', $payload;
		}
		elsif ($type == $TYPE{SETTINGS} && !($flags & $FLAG{ACK}))
		{
			my %settings = unpack '(nN)*', $payload;
			my $more = ($settings{4} // $up->{first}) - $up->{first};

			# The server does not rely on them before.
			write_all($up->{socket}, frame('SETTINGS', $FLAG{ACK}, 0, ''));
			$up->{first} += $more;
			$up->{window}{$_} += $more foreach grep { $_ != 0 } keys %{ $up->{window} };
		}
	}
	return 1;
}

# The same bytes many times; returns how often they went out.
sub flood
{
	my ($socket, $bytes, $times) = @_;
	my $done = 0;

	$done++ while $done < $times && write_all($socket, $bytes);
	return $done;
}

1;
