# The status port: metrics that Prometheus can read and that grow with what
# happens, health, regions and settings as JSON, the view tikv.metrics, the
# slow log; and that its worker is a guest: the others serve without it.

use strict;
use warnings;

use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use Test::More;
use Time::HiRes qw(time);
use TikvTest;

my $node = new_node('status');
my $sql = sub { $node->safe_psql('postgres', shift) };

# A page of a node; (status, content type, body).
sub page
{
	my ($of, $path, $method) = @_;
	my $answer = HTTP::Tiny->new(timeout => 30)
	  ->request($method // 'GET', "http://$of->{tikv}{'tikv.status_addr'}/$path");

	return ($answer->{status}, $answer->{headers}{'content-type'} // '',
		$answer->{content});
}

# Labels of a line, {...}, as a hash; undef if they are malformed.
sub labels
{
	my ($text) = @_;
	my %labels;

	while ($text =~ s/^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)//)
	{
		return undef if exists $labels{$1};
		$labels{$1} = $2;
	}
	return $text eq '' ? \%labels : undef;
}

# Parse the text format; returns { series => value } and a list of complaints,
# those that `promtool check metrics` would have, too.
sub parse_metrics
{
	my ($text) = @_;
	my (%value, %type, %help, %done, @wrong, %buckets);
	my $family = '';

	push @wrong, 'no line feed at the end' unless $text =~ /\n\z/;
	foreach my $line (split /\n/, $text)
	{
		if ($line =~ /^# HELP (\S+) (.+)$/)
		{
			push @wrong, "$1 comes twice" if $help{$1}++;
			next;
		}
		if ($line =~ /^# TYPE (\S+) (counter|gauge|histogram)$/)
		{
			my ($name, $kind) = ($1, $2);

			push @wrong, "$name has no help" unless $help{$name};
			push @wrong, "$name comes twice" if $type{$name};
			push @wrong, "counter $name does not end in _total"
			  if $kind eq 'counter' && $name !~ /_total$/;
			($family, $type{$name}) = ($name, $kind);
			next;
		}
		if ($line !~ /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/)
		{
			push @wrong, "malformed: $line";
			next;
		}
		my ($name, $inside, $number) = ($1, $2 // '', $3);
		my $labels = labels($inside);
		my $histogram = ($type{$family} // '') eq 'histogram';

		push @wrong, "bad labels: $line" unless $labels;
		push @wrong, "no number: $line"
		  unless $number =~ /^[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf)$|^NaN$/;
		push @wrong, "not within its family: $line"
		  unless $histogram ? $name =~ /^\Q$family\E_(?:bucket|sum|count)$/ : $name eq $family;
		push @wrong, "comes twice: $line" if exists $value{"$name\{$inside\}"};
		$value{"$name\{$inside\}"} = $number;
		next unless $histogram;
		my $le = delete $labels->{le};
		my $of = join ',', $family, map { "$_=$labels->{$_}" } sort keys %$labels;
		if ($name =~ /_bucket$/)
		{
			my $last = $buckets{$of} //= { le => -1, n => 0 };
			my $bound = $le eq '+Inf' ? 9**9**9 : $le;

			push @wrong, "bounds do not ascend: $line" unless $bound > $last->{le};
			push @wrong, "buckets do not add up: $line" unless $number >= $last->{n};
			@{$last}{qw(le n)} = ($bound, $number);
		}
		elsif ($name =~ /_count$/)
		{
			push @wrong, "no +Inf: $line" unless $buckets{$of}{le} == 9**9**9;
			push @wrong, "differs from +Inf: $line" unless $buckets{$of}{n} == $number;
		}
	}
	return (\%value, @wrong);
}

# The sum of all series of a name whose labels match, now.
sub metric
{
	my ($of, $name, %want) = @_;
	my ($value) = parse_metrics((page($of, 'metrics'))[2]);
	my ($sum, $found) = (0, 0);

	foreach my $series (keys %$value)
	{
		my ($its_name, $inside) = $series =~ /^([^{]*)\{(.*)\}$/;
		my $labels = labels($inside);

		next unless $its_name eq $name;
		next if grep { ($labels->{$_} // '') ne $want{$_} } keys %want;
		$sum += $value->{$series};
		$found++;
	}
	return $found ? $sum : undef;
}

# ---- nothing listens before there is an extension
$node->start;
wait_for('the worker to wait', sub {
	return $sql->(q{SELECT query FROM pg_stat_activity WHERE backend_type = 'tikv status'}) =~
	  /waiting for CREATE EXTENSION/;
});
is((page($node, 'status'))[0], 599, 'nothing listens without the extension');
serve($node);
is($sql->(q{SELECT state || ' ' || address FROM tikv_status() WHERE worker = 'status'}),
	"serving $node->{tikv}{'tikv.status_addr'}", 'tikv_status() has the worker');
is(scalar(pids($node, 'tikv status')), 1, 'so has pg_stat_activity');
foreach my $worker ('tikv store', 'tikv pd', 'tikv status')
{
	ok(wait_for("$worker to wait", sub {
		return $sql->("SELECT wait_event FROM pg_stat_activity WHERE backend_type = '$worker'") eq 'Extension';
	}), "$worker is shown waiting when it has nothing to do");
}

# ---- metrics
my ($code, $type, $text) = page($node, 'metrics');
is($code, 200, 'metrics are there');
is($type, 'text/plain; version=0.0.4; charset=utf-8', 'with the type of their format');

my $puts = 0;
foreach (1 .. 5)
{
	$puts++ if (rawctl($node, 'put', "k$_", 'v'))[0] == 0;
}
is($puts, 5, 'five keys are put');
rawctl($node, 'get', "k$_") foreach 1 .. 3;

my ($value, @wrong) = parse_metrics((page($node, 'metrics'))[2]);
is("@wrong", '', 'the text keeps the rules of its format');
cmp_ok(scalar(keys %$value), '>', 200, 'and says something');
is(metric($node, 'tikv_grpc_msg_duration_seconds_count', type => 'raw_put'), 5,
	'every put is timed');
is(metric($node, 'tikv_grpc_msg_duration_seconds_count', type => 'raw_get'), 3,
	'every get is');
cmp_ok(metric($node, 'tikv_grpc_msg_duration_seconds_sum', type => 'raw_put'), '>', 0,
	'they took time');
is(metric($node, 'tikv_storage_command_total', type => 'raw_put'), 5, 'five commands');
is(metric($node, 'tikv_fdw_requests_total', type => 'raw_put', result => 'ok'), 5,
	'that ended well');
is(metric($node, 'tikv_raftstore_region_count', type => 'leader'), 1, 'one region led');
cmp_ok(metric($node, 'tikv_fdw_pd_request_duration_seconds_count', type => 'pdpb.PD/GetMembers'),
	'>=', 8, 'PD was asked by each client');
cmp_ok(metric($node, 'tikv_store_size_bytes', type => 'capacity'), '>', 2**20,
	'the disk has a size');
cmp_ok(metric($node, 'process_resident_memory_bytes', worker => 'store'), '>', 2**20,
	'the store uses memory');
cmp_ok(abs(metric($node, 'process_start_time_seconds', worker => 'store') - time()), '<', 3600,
	'it started lately');

my %before = map { $_ => metric($node, $_) } qw(tikv_fdw_turns_total
  tikv_fdw_sql_reads_total tikv_fdw_bus_requests_total tikv_fdw_turn_writes_sum
  tikv_fdw_read_round_requests_sum tikv_fdw_grpc_received_bytes_total
  tikv_fdw_grpc_sent_bytes_total tikv_fdw_grpc_calls_total);
$sql->(q{SELECT tikv_put('sql', 'v')});
$sql->(q{SELECT tikv_get('sql')});
rawctl($node, 'put', 'big', 'x' x 10000);
rawctl($node, 'get', 'big');
cmp_ok(metric($node, $_), '>', $before{$_}, "$_ grows") foreach sort keys %before;
is(metric($node, 'tikv_fdw_bus_requests_total', type => 'raw_put'), 1,
	'a put of SQL comes over the bus');
is(metric($node, 'tikv_storage_command_total', type => 'raw_put'), 7,
	'and is a command like any other');
cmp_ok(metric($node, 'tikv_fdw_grpc_received_bytes_total', worker => 'store') -
	  $before{'tikv_fdw_grpc_received_bytes_total'}, '<', 1e6, 'bytes are counted once');

# ---- how requests end
my $busy = metric($node, 'tikv_scheduler_too_busy_total', type => 'raw_put');
is($busy, 0, 'nobody was told ServerIsBusy');
{
	my ($in, $out) = ("BEGIN; LOCK TABLE tikv_internal.raw; SELECT 'locked';\n", '');
	my $run = IPC::Run::start(
		[ 'psql', '-X', '-A', '-t', '-q', '-d', $node->connstr('postgres') ],
		'<', \$in, '>', \$out);
	$run->pump until $out =~ /locked/;
	my ($answer, $o, $err) = $node->psql('postgres',
		q{SET tikv.request_timeout = '300ms'; SELECT tikv_put('busy', 'v')});
	isnt($answer, 0, 'a put fails while the table is locked');
	cmp_ok(metric($node, 'tikv_scheduler_too_busy_total', type => 'raw_put'), '>', 0,
		'its ServerIsBusy is counted');
	($code, $type, $text) = page($node, 'health');
	is($code, 200, 'a locked table is no reason to be unwell');
	$in = "COMMIT;\n";
	$run->finish;
}

# ---- the view
my %series = map { $_ => 1 } map {
	my ($name, $inside) = /^([^{]*)\{(.*)\}$/;
	my $labels = labels($inside);
	join ' ', $name, map { "$_=$labels->{$_}" } sort keys %$labels;
} keys %{ (parse_metrics((page($node, 'metrics'))[2]))[0] };
my %rows = map { $_ => 1 } split /\n/, $sql->(q{
	SELECT concat_ws(' ', name, (SELECT string_agg(key || '=' || value, ' ' ORDER BY key COLLATE "C")
		FROM jsonb_each_text(labels))) FROM tikv.metrics});
is(join(', ', grep { !$rows{$_} } sort keys %series), '', 'tikv.metrics has all of /metrics');
is(join(', ', grep { !$series{$_} } sort keys %rows), '', 'and nothing else');

# ---- status, health, region, config
is_deeply([ (page($node, 'status'))[ 0, 2 ] ], [ 200, '' ], 'status is an empty page');
wait_state($node, 'store', 'serving', qr/^$/); # of the lock it may have said something
($code, $type, $text) = page($node, 'health');
is_deeply(
	[ $code, $type, decode_json($text) ],
	[   200,
		'application/json',
		{   healthy => JSON::PP::true,
			workers => { store => 'serving', pd => 'serving', status => 'serving',
				'reader 1' => 'serving' },
			reasons => {} } ],
	'health names the workers');

my $region = decode_json((page($node,
	'region/' . $sql->('SELECT region_id FROM tikv.regions')))[2]);
is( join('|', $region->{region_state}{id}, $region->{raft_status}{id},
		$region->{raft_status}{soft_state}{leader_id},
		$region->{raft_status}{hard_state}{term}, $region->{raft_apply}{applied_index},
		$region->{region_state}{epoch}{version},
		$region->{region_state}{peers}[0]{store_id}),
	$sql->('SELECT region_id, peer_id, leader_peer_id, term, applied_index, version, store_ids[1] FROM tikv.regions'),
	'a region is as tikv.regions has it');
is($region->{raft_status}{soft_state}{raft_state}, 'Leader', 'and led here');
is((page($node, 'region/999999'))[0], 404, 'an unknown region is not found');
is((page($node, 'region/2x'))[0], 400, 'a region without a number is a bad request');

my $config = decode_json((page($node, 'config'))[2]);
is($config->{server}{addr}, $node->{tikv}{'tikv.addr'}, 'config has the address');
is($config->{storage}{'api-version'}, 1, 'the API version');
is("$config->{coprocessor}{'region-split-size'} $config->{coprocessor}{'region-split-keys'}",
	join(' ', map { $_ =~ s/MB$/MiB/r } split /,/, $sql->(q{SELECT string_agg(current_setting(n), ',') FROM unnest(ARRAY['tikv.region_split_size', 'tikv.region_split_keys']) n})),
	'the size of regions');
is($config->{pd}{endpoints}[0], "http://$node->{tikv}{'tikv.pd_addr'}", 'PD');
is( join("\n", map { "$_=$config->{'tikv-fdw'}{$_}" } sort keys %{ $config->{'tikv-fdw'} }),
	$sql->(q{SELECT name || '=' || current_setting(name) FROM pg_settings
		WHERE name LIKE 'tikv.%' ORDER BY name COLLATE "C"}),
	'and all settings of our own');
is_deeply([ (page($node, 'config?full=1'))[ 0, 2 ] ], [ 400, "full must be true or false, not \"1\"" ],
	'a switch that is none is a bad request');
is((page($node, "config?full=$_"))[0], 200, "full=$_ is one") foreach qw(true false);
is((page($node, 'config', 'POST'))[0], 501, 'which are not changed here');
is((page($node, 'nothing'))[0], 404, 'other paths are not there');
is((page($node, 'metrics/x'))[0], 404, 'nor is what is below a page');
is((page($node, 'metrics', 'DELETE'))[0], 404, 'nor what cannot be done');
is((page($node, 'metrics', 'HEAD'))[2] // '', '', 'HEAD has no body');
is((page($node, '%zz'))[0], 400, 'a malformed path is a bad request');

# ---- the slow log
sub threshold
{
	my ($to) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET tikv.slow_log_threshold = '$to'");
	$node->reload;
	wait_for("tikv.slow_log_threshold = $to", sub {
		return decode_json((page($node, 'config'))[2])->{'tikv-fdw'}{'tikv.slow_log_threshold'} eq $to;
	});
	# The store obeys the same signal; a request makes sure that it has.
	rawctl($node, 'get', 'k1') foreach 1 .. 2;
}

sub slow_lines
{
	my ($since) = @_;
	my $log = PostgreSQL::Test::Utils::slurp_file($node->logfile, $since);

	return grep { /slow request/ } split /\n/, $log;
}

is(scalar(slow_lines(0)), 0, 'no request was slow');
threshold('0');
my $since = -s $node->logfile;
my $region_id = $region->{region_state}{id};
rawctl($node, 'put', 'slow-key-"q"', 'v');
rawctl($node, 'get', 'slow-key-"q"');
my @slow = @{ wait_for('the slow log', sub {
	my @lines = grep { /slow-key/ } slow_lines($since);
	return @lines >= 2 ? \@lines : undef;
}) };
like($slow[0],
	qr/LOG: +tikv store: slow request raw_put: [\d.]+ ms, ok, queue [\d.]+ ms, decide [\d.]+ ms, commit [\d.]+ ms, reply [\d.]+ ms, region $region_id, key "slow-key-\\x22q\\x22"$/,
	'a slow write is told of with its steps');
like($slow[1],
	qr/slow request raw_get: [\d.]+ ms, ok, queue [\d.]+ ms, run [\d.]+ ms, region $region_id, key "slow-key/,
	'so is a slow read');
is(scalar(@slow), 2, 'each in one line');
cmp_ok(metric($node, 'tikv_fdw_slow_requests_total', worker => 'store'), '>=', 2,
	'they are counted');
threshold('-1');
$since = -s $node->logfile;
rawctl($node, 'put', 'slow-key-off', 'v');
is(scalar(grep { /slow-key-off/ } slow_lines($since)), 0, '-1 turns it off');

# ---- the worker alone ends, and comes again
my ($pid) = pids($node, 'tikv status');
my @others = (pids($node, 'tikv store'), pids($node, 'tikv pd'));
my $began = time();
kill 'TERM', $pid;
wait_for('another status worker', sub {
	my ($now) = pids($node, 'tikv status');
	return defined $now && $now != $pid && (page($node, 'status'))[0] == 200;
});
elapsed_note('another status worker', $began);
is_deeply([ pids($node, 'tikv store'), pids($node, 'tikv pd') ], \@others,
	'the others did not notice');
is(metric($node, 'tikv_fdw_http_requests_total', worker => 'status') < 10, 1,
	'its own counters begin anew');
cmp_ok(metric($node, 'tikv_storage_command_total', type => 'raw_put'), '>', 7,
	'those of the others go on');

# ---- the extension goes and comes
$sql->('DROP EXTENSION tikv_fdw');
wait_for('the status port to close', sub { return (page($node, 'status'))[0] == 599 });
pass('the port closes with the extension');
serve($node);
is((page($node, 'health'))[0], 200, 'and opens with the next');
$began = time();
$node->stop;
elapsed_note('a fast stop', $began);

# ---- a port in use stops nobody else
my $squatter = IO::Socket::INET->new(LocalAddr => $node->{tikv}{'tikv.status_addr'},
	Listen => 5, Proto => 'tcp', ReuseAddr => 1) or die "cannot listen: $!";
$node->start;
wait_state($node, 'store', 'serving', qr/^$/);
wait_state($node, 'status', 'waiting', qr/tikv\.status_addr.*in use/);
pass('the worker waits for its port');
is((rawctl($node, 'put', 'k', 'v'))[0], 0, 'and the store serves');
close $squatter;
wait_serving($node);
is((page($node, 'health'))[0], 200, 'it serves when the port is free');
$node->stop;

# ---- a store that cannot serve is unwell
$squatter = IO::Socket::INET->new(LocalAddr => $node->{tikv}{'tikv.addr'},
	Listen => 5, Proto => 'tcp', ReuseAddr => 1) or die "cannot listen: $!";
$node->start;
wait_state($node, 'store', 'waiting', qr/in use/);
wait_state($node, 'status', 'serving', qr/^$/);
($code, $type, $text) = page($node, 'health');
is($code, 503, 'without a store the node is unwell');
is(decode_json($text)->{healthy}, JSON::PP::false, 'and says so');
like(decode_json($text)->{reasons}{store}, qr/in use/, 'and why');
is((page($node, 'status'))[0], 200, 'while the status page is there');
close $squatter;
wait_for('health', sub { return (page($node, 'health'))[0] == 200 });
pass('it is well again');

# ---- more workers: each request is one command
configure_node($node, 'tikv.server_workers' => '2');
$node->restart;
wait_serving($node);
rawctl($node, 'put', "more$_", 'v') foreach 1 .. 12;
is(metric($node, 'tikv_grpc_msg_duration_seconds_count', type => 'raw_put'), 12,
	'with server workers every put is timed once');
is(metric($node, 'tikv_storage_command_total', type => 'raw_put'), 12, 'and is one command');
ok(defined metric($node, 'process_threads', worker => 'server 2'), 'the second server is there');
(undef, @wrong) = parse_metrics((page($node, 'metrics'))[2]);
is("@wrong", '', 'the text keeps the rules');

# ---- without room it is the first to go
configure_node($node, 'max_worker_processes' => '4');
$node->restart;
wait_state($node, 'status', 'down', qr/max_worker_processes/);
wait_state($node, 'store', 'serving', qr/^$/);
is((page($node, 'status'))[0], 599, 'too few worker processes: no status port');
wait_state($node, 'server 1', 'serving', qr/^$/);
pass('rather than no server');
cmp_ok($sql->(q{SELECT count(*) FROM tikv.metrics}), '>', 100, 'the view needs no worker');

# ---- others may have to reach it by another address, which PD tells them
sub told { return $sql->(q{SELECT coalesce(status_address, 'none') FROM tikv.stores}); }

is(told(), $node->{tikv}{'tikv.status_addr'}, 'PD has the address of the status port');
configure_node($node, 'max_worker_processes' => '8', 'tikv.status_advertise_addr' => 'outside.example:7');
$node->restart;
wait_serving($node);
is(told(), 'outside.example:7', 'or the one that others reach it by');
is(decode_json((page($node, 'config'))[2])->{server}{'advertise-status-addr'}, 'outside.example:7', 'as config says');
is((page($node, 'status'))[0], 200, 'while it listens where it did');

# ---- and it can be done without
configure_node($node, 'tikv.status_addr' => '');
$node->restart;
wait_serving($node);
is($sql->(q{SELECT count(*) FROM tikv_status() WHERE worker = 'status'}), '0',
	'an empty address: no status port');
is(told(), 'none', 'and nothing is told, whatever others would reach it by');
$node->stop;
done_testing();
