# What the Placement Driver keeps outlives a restart and SIGKILL; its HTTP
# interface and etcd's keys on the same port; what happens while its tables
# are locked.

use strict;
use warnings;

use HTTP::Tiny;
use IO::Socket::INET;
use JSON::PP;
use Test::More;
use TikvTest;
use Time::HiRes qw(time usleep);

# Nobody moves the safe point meanwhile: that makes a revision of etcd's keys.
my $node = new_node('pd', 'tikv.gc_life_time' => 0);
my $base = 'http://' . $node->{tikv}{'tikv.pd_addr'};
my $http = HTTP::Tiny->new(timeout => 20);

# A request; returns status and decoded body.
sub ask
{
	my ($method, $path, $body) = @_;
	my $answer = $http->request($method, "$base/pd/api/$path",
		defined $body ? { content => encode_json($body) } : {});
	my $decoded = eval { JSON::PP->new->allow_nonref->decode($answer->{content}) };

	return ($answer->{status}, $decoded);
}

sub etcd
{
	my @arguments = @_;
	my ($out, $err) = ('', '');

	local $ENV{ETCDCTL_API} = 3;
	IPC::Run::run([ 'etcdctl', "--endpoints=$base", '--command-timeout=20s', @arguments ],
		'<', \undef, '>', \$out, '2>', \$err);
	chomp $out;
	note("etcdctl @arguments: $err") if $? != 0;
	return $out;
}

sub wait_pd
{
	wait_for('PD to answer', sub { (ask('GET', 'v1/health'))[0] == 200 });
}

$node->start;
serve($node);

# Pages beside PD's interface, which tools ask for.
sub page
{
	my ($path) = @_;
	my $answer = $http->get("$base$path");

	return "$answer->{status} $answer->{content}";
}
is(page('/pd/ping'), '200 ', 'the old ping');
like(page('/pd/health'), qr/^200 \[\{"name":.*"health":true/s, 'the old health');
like(page('/metrics'), qr/^200 .*^process_resident_memory_bytes\{worker="pd"\} [1-9]/ms,
	'what Prometheus scrapes of PD');
unlike(page('/metrics'), qr/worker="store"|^tikv_store_size/m, 'is its part alone');

# ---- make some of everything
my $cluster_id = (ask('GET', 'v1/cluster'))[1]{id};
ok($cluster_id > 0, 'HTTP answers');
is($node->safe_psql('postgres', q{SELECT tikv_create_keyspace('one')}), '1', 'a keyspace by SQL');
my ($status, $made) = ask('POST', 'v2/keyspaces', { name => 'two', config => { a => 'b' } });
is($status, 200, 'a keyspace over HTTP');
is($made->{id}, 2, 'with the next id');
is((ask('PUT', 'v2/keyspaces/two/state', { state => 'disabled' }))[0], 200, 'its state');
my $store = (ask('GET', 'v1/stores'))[1]{stores}[0]{store}{id};
is((ask('POST', "v1/store/$store/label", { zone => 'z1' }))[0], 200, 'a label');
is((ask('POST', 'v1/config', { 'max-replicas' => 5 }))[0], 200, 'a setting');
is(etcd('put', 'kept', 'v1'), 'OK', 'a key');
etcd('put', 'kept', 'v2');
etcd('put', 'gone', 'x');
etcd('del', 'gone');
my ($lease) = etcd('lease', 'grant', '3600') =~ /lease ([0-9a-f]+) granted/;
is(etcd('put', "--lease=$lease", 'leased', 'x'), 'OK', 'a key with a lease');

# All of it, as a client sees it.
sub check_kept
{
	my ($after) = @_;
	my $item;

	wait_pd();
	is((ask('GET', 'v1/cluster'))[1]{id}, $cluster_id, "$after: the cluster");
	is((ask('GET', 'v1/cluster'))[1]{max_peer_count}, 5, "$after: the setting");
	is($node->safe_psql('postgres',
			"SELECT string_agg(keyspace_id || name || state || settings::text, ' ' ORDER BY 1) FROM tikv.keyspaces"),
		'0DEFAULTenabled{} 1oneenabled{} 2twodisabled{a=b}', "$after: the keyspaces");
	is((ask('GET', "v1/store/$store"))[1]{store}{labels}[0]{value}, 'z1', "$after: the label");
	$item = decode_json(etcd('get', 'kept', '-w', 'json'));
	is($item->{kvs}[0]{version}, 2, "$after: the key with its version");
	ok($item->{header}{revision} > $item->{kvs}[0]{mod_revision}, "$after: the revision goes on");
	is(etcd('get', 'gone'), '', "$after: what was removed is not back");
	like(etcd('lease', 'timetolive', $lease, '--keys'), qr/granted with TTL\(3600s\).*leased/,
		"$after: the lease");
	like(etcd('get', '--rev=2', 'kept'), qr/^$/, "$after: the past is forgotten");
}

check_kept('at first');
my $revision = decode_json(etcd('get', 'kept', '-w', 'json'))->{header}{revision};
$node->safe_psql('postgres',
	q{SET session_replication_role = replica;
	  INSERT INTO tikv_internal.pd_kv VALUES ('newer/kind/1', '\x01')});
$node->restart;
check_kept('after a restart, with a record of a newer version');
is($node->safe_psql('postgres',
	q{SELECT count(*) FROM tikv_internal.pd_kv WHERE key = 'newer/kind/1'}),
	'1', 'which is kept');
is(decode_json(etcd('get', 'kept', '-w', 'json'))->{header}{revision}, $revision,
	'a restart makes no revision');

# ---- SIGKILL in the middle of writes
for my $round (1 .. 3)
{
	my ($pid) = pids($node, 'tikv pd');
	my $acknowledged = 0;

	for my $i (1 .. 20)
	{
		kill 'KILL', $pid if $i == 10;
		$acknowledged = $i if etcd('put', "round$round", $i) eq 'OK';
	}
	wait_for('the node after SIGKILL', sub {
		return defined try_query($node, 'SELECT 1');
	});
	wait_pd();
	cmp_ok((split /\n/, etcd('get', "round$round"))[1] // 0, '>=', $acknowledged,
		"SIGKILL $round: nothing acknowledged is lost");
}
check_kept('after SIGKILL');
$node->stop('immediate');
$node->start;
check_kept('after an immediate shutdown');
is($node->safe_psql('postgres', q{SELECT tikv_create_keyspace('three')}), '3', 'the next id');
is((ask('DELETE', 'v1/config'))[0], 405, 'a method that is not there');

# ---- what PD's tools ask for and nobody serves here: docs/compatibility.md lists it
sub check_not_served
{
	foreach my $line (split /\n/, <<'END')
GET v1/scheduler-config
POST v1/scheduler-config
DELETE v1/scheduler-config
GET v1/scheduler-config/{}/{}
POST v1/scheduler-config/{}/{}
DELETE v1/scheduler-config/{}/{}
GET v1/schedulers/diagnostic/{}
GET v1/labels/stores
GET v1/stores/check
GET v1/stores/progress
POST v1/store/{}/weight
POST v1/store/{}/limit
GET v1/hotspot/regions/history
GET v1/hotspot/buckets
GET v1/regions/readquery
GET v1/regions/writequery
GET v1/regions/keyspace/id/{}
GET v1/regions/check/hist-size
GET v1/regions/check/hist-keys
GET v1/regions/check/oversized-region
GET v1/regions/check/undersized-region
POST v1/regions/accelerate-schedule
POST v1/regions/accelerate-schedule/batch
GET v1/region/id/{}/labels
GET v1/region/id/{}/label/{}
GET v1/config/region-label/rules/ids
GET v1/config/region-label/rule/{}
DELETE v1/config/region-label/rule/{}
GET v1/config/rules/region/{}
GET v1/config/rules/region/{}/detail
GET v1/config/rules/key/{}
GET v1/service-middleware/config
POST v1/service-middleware/config
POST v1/service-middleware/config/rate-limit
POST v1/service-middleware/config/grpc-rate-limit
POST v1/admin/log
POST v1/admin/unsafe/remove-failed-stores
POST v1/admin/unsafe/remove-failed-stores/abort
GET v1/admin/unsafe/remove-failed-stores/show
DELETE v1/admin/cache/region/{}
DELETE v1/admin/cache/regions
DELETE v1/admin/storage/region/{}
GET v1/admin/cluster/markers/pitr-restore-mode
POST v1/admin/cluster/markers/pitr-restore-mode
DELETE v1/admin/cluster/markers/pitr-restore-mode
POST v1/admin/persist-file/{}
POST v1/admin/base-alloc-id
POST v1/admin/reset-ts
POST v1/plugin
DELETE v1/plugin
GET v1/metric/query
POST v1/metric/query
GET v1/metric/query_range
POST v1/metric/query_range
GET v1/debug/pprof/profile
GET v1/debug/pprof/heap
GET v1/fail
POST v1/tso/allocator/transfer/{}
GET v2/ms/members/{}
GET v2/ms/primary/{}
GET v2/tso/keyspace-groups
GET v2/meta-service-groups
GET v2/maintenance
END
	{
		my ($method, $path) = split / /, $line;

		$path =~ s/\{}/1/g;
		is_deeply([ ask($method, $path) ],
			[ 404, '404 page not found: this Placement Driver does not serve it, see docs/compatibility.md' ],
			"$line: not served, and it is told");
	}
}

check_not_served();

# ---- what is no number is told; test_pd_http asks for the rest
foreach my $bad (
	[ 'v1/stores?state=abc', 'state must be 0 (Up), 1 (Offline) or 2 (Tombstone), not "abc"' ],
	[ 'v2/keyspaces?page_token=%C3%A4', "page_token must be a number up to 16777215, not \"\xc3\xa4\"" ],
	[ 'v2/keyspaces?page_token=%ff', "page_token must be a number up to 16777215, not \"\x{fffd}\"" ],
	[ 'v1/regions/key?limit=1e3', 'limit must be a number, not "1e3"' ],
	[ 'v1/store/0x1', 'the id must be a number, not "0x1"' ])
{
	is_deeply([ ask('GET', $bad->[0]) ], [ 400, $bad->[1] ], "$bad->[0] is told as wrong");
}
is((ask('GET', 'v1/stores?state=0'))[1]{count}, 1, 'what is a number is one');
is((ask('GET', 'v1/stores?state=2&state=1'))[1]{count}, 0, 'several are');
is_deeply([ ask($_->[0], $_->[1], {}) ], [ 405, 'method not allowed' ], "$_->[0] $_->[1]")
  foreach [ 'POST', 'v1/stores/limit' ], [ 'POST', 'v1/config/label-property' ],
  [ 'POST', 'v1/config/cluster-version' ], [ 'POST', 'v1/config/replication-mode' ],
  [ 'DELETE', 'v1/operators' ], [ 'POST', 'v1/members/name/x' ],
  [ 'POST', 'v1/admin/cluster/markers/snapshot-recovering' ];

# ---- its tables are locked: changes are refused with the reason, reads go on
my $session = $node->background_psql('postgres');
my $blocker = $session->query_safe('SELECT pg_backend_pid()');
my ($short) = etcd('lease', 'grant', '2') =~ /lease ([0-9a-f]+) granted/;
etcd('put', "--lease=$short", 'short', 'x');
$session->query_safe('BEGIN; LOCK TABLE tikv_internal.pd_kv IN SHARE MODE');
my $began = time();
my ($refused, $why) = ask('POST', 'v2/keyspaces', { name => 'four' });
is($refused, 503, 'locked: a change is refused');
like($why, qr/\b$blocker\b/, 'locked: and the session named');
elapsed_note('the refusal', $began);
is((ask('GET', 'v2/keyspaces/four'))[0], 500, 'locked: nothing happened');
is((ask('GET', 'v1/stores'))[0], 200, 'locked: reads go on');
my ($code, $out, $err) = $node->psql('postgres', q{SELECT tikv_create_keyspace('four')});
isnt($code, 0, 'locked: SQL is refused, too');
usleep(3_500_000);
like(etcd('get', 'short'), qr/short/, 'locked: a lease cannot end');
$session->query_safe('ROLLBACK');
$session->quit;
wait_for('the lease to end', sub { etcd('get', 'short') eq '' });
pass('it ends when the lock is gone');
is((ask('POST', 'v2/keyspaces', { name => 'four' }))[0], 200, 'and changes are taken again');

# ---- what is shown as a setting is what counts
configure_node($node, 'tikv.max_store_down_time' => '90s');
$node->reload;
wait_for('the setting', sub { (ask('GET', 'v1/config/schedule'))[1]{'max-store-down-time'} eq '1m30s' });
my $shown = (ask('GET', 'v1/config'))[1]{schedule};
is("$shown->{'max-store-down-time'} $shown->{'region-schedule-limit'}", '1m30s 8', 'settings of scheduling are our own');

# ---- what is written is told of, by region, since the heartbeat before
my $flow = wait_for('the flow of writes', sub {
	$node->safe_psql('postgres', q{SELECT count(tikv_put(convert_to('flow' || i, 'UTF8'), convert_to(repeat('v', 100), 'UTF8'))) FROM generate_series(1, 20) i});
	my $top = (ask('GET', 'v1/regions/writeflow'))[1]{regions}[0];
	return $top->{written_keys} ? $top : undef;
});
cmp_ok($flow->{written_bytes} / $flow->{written_keys}, '>', 100, 'bytes and keys that were written');

# ---- connections that say nothing are not in the way
my @silent = map {
	IO::Socket::INET->new(PeerAddr => $node->{tikv}{'tikv.pd_addr'}, Timeout => 5)
} 1 .. 200;
is(scalar(grep { defined } @silent), 200, 'silent connections');
is((ask('GET', 'v1/ping'))[0], 200, 'HTTP beside them');
is((rawctl($node, 'put', 'k', 'v'))[0], 0, 'and gRPC');
close $_ foreach @silent;

# ---- a new extension is a new cluster
$node->safe_psql('postgres', 'DROP EXTENSION tikv_fdw');
wait_for('PD to end', sub { (ask('GET', 'v1/health'))[0] == 599 });
pass('nothing answers after DROP EXTENSION');
serve($node);
wait_pd();
isnt((ask('GET', 'v1/cluster'))[1]{id}, $cluster_id, 'a new cluster');
is(etcd('get', 'kept'), '', 'without the keys of the old one');
is($node->safe_psql('postgres', q{SELECT tikv_create_keyspace('one')}), '1', 'nor its keyspaces');

$node->stop;
done_testing();
