# The Placement Driver on three nodes: who joins, who leads, who leaves; what
# was acknowledged outlives its leader, and timestamps grow whatever happens to
# it.

use strict;
use warnings;

use HTTP::Tiny;
use JSON::PP;
use PostgreSQL::Test::Utils qw(slurp_file);
use Test::More;
use TikvCopies;
use TikvTest;
use Time::HiRes qw(time usleep);

my $http = HTTP::Tiny->new(timeout => 5);
my %node;
my %by_name;

sub url
{
	return 'http://' . $node{ $_[0] }{tikv}{'tikv.pd_addr'};
}

sub ask
{
	my ($name, $method, $path) = @_;
	my $answer = $http->request($method, url($name) . "/pd/api/v1/$path");

	return ($answer->{status},
		eval { JSON::PP->new->allow_nonref->decode($answer->{content}) });
}

# The node that leads, as node $name sees it.
sub leader_of
{
	my ($name) = @_;
	my ($status, $body) = ask($name, 'GET', 'leader');

	return $status == 200 && ref $body ? $by_name{ $body->{name} } : undef;
}

sub wait_leader
{
	my ($name, $not) = @_;

	return wait_for('a leader', sub {
		my $leader = leader_of($name);
		return defined $leader && $leader ne ($not // '') ? $leader : undef;
	});
}

sub members
{
	my ($name) = @_;

	return $node{$name}->safe_psql('postgres',
		"SELECT string_agg(name, ' ' ORDER BY name) FROM tikv.members");
}

# The roles of the peers of the one region, sorted: 0 voter, 1 learner.
sub roles
{
	my ($name) = @_;
	my ($status, $body) = ask($name, 'GET', 'regions');

	return '' if $status != 200 || !ref $body;
	return join '', sort map { $_->{role} // 0 } @{ $body->{regions}[0]{peers} };
}

# How many members the stored eraftpb.ConfState names, by field: 1 voters, 2
# learners, 3 voters of the configuration that is being left.
sub conf
{
	my ($name) = @_;
	my @bytes = unpack 'C*', pack 'H*', $node{$name}->safe_psql('postgres',
		q{SELECT encode(conf, 'hex') FROM tikv_internal.pd_raft_state});
	my @fields;

	while (@bytes)
	{
		my $field = shift(@bytes) >> 3;
		my $len = shift @bytes;

		push @fields, "$field:" . grep { $_ < 0x80 } splice @bytes, 0, $len;
	}
	return join ' ', @fields;
}

# Processes whose parent it is.
sub children
{
	my ($parent) = @_;
	my @found;

	foreach my $process (glob '/proc/[0-9]*')
	{
		push @found, $process =~ /(\d+)/ if slurp_stat("$process/stat") =~ /\) \S $parent /;
	}
	die "process $parent has no children" if !@found;
	return @found;
}

# What it says; nothing if the process is gone.
sub slurp_stat
{
	my ($path) = @_;

	open my $file, '<', $path or return '';
	return <$file> // '';
}

# All processes of an instance, at once.
sub kill_node
{
	my ($name) = @_;
	my $postmaster = $node{$name}->{_pid};
	my @children = children($postmaster);

	kill 'KILL', $postmaster, @children;
	$node{$name}->{_pid} = undef;
	wait_for("$name to be gone", sub { !kill 0, $postmaster, @children });
}

# Processes that take timestamps for a while, and what they saw.
sub take_timestamps
{
	my ($seconds, $code) = @_;
	my $addresses = join ',', map { $node{$_}{tikv}{'tikv.pd_addr'} } sort keys %node;
	my @runs;

	foreach my $i (0 .. 1)
	{
		my ($out, $err) = ('', '');
		push @runs,
		  { out => \$out, run => IPC::Run::start([ $ENV{TSOCTL}, $addresses, $seconds ],
				'<', \undef, '>', \$out, '2>', \$err) };
	}
	$code->();
	IPC::Run::finish($_->{run}) foreach @runs;
	return [ map { [ split ' ' ] } map { split /\n/, ${ $_->{out} } } @runs ];
}

# A timestamp that was asked for after another was there is greater.
sub check_order
{
	my ($what, $seen) = @_;
	my @asked = sort { $a->[0] <=> $b->[0] } @$seen;
	my @there = sort { $a->[1] <=> $b->[1] } @$seen;
	my ($greatest, $at, $bad) = (0, 0, 0);
	my %count;

	foreach my $one (@asked)
	{
		while ($at < @there && $there[$at][1] < $one->[0])
		{
			$greatest = $there[$at][2] if $there[$at][2] > $greatest;
			$at++;
		}
		$bad++ if $one->[2] <= $greatest;
		$count{ $one->[2] }++;
	}
	is($bad, 0, "$what: none of " . scalar(@$seen) . ' goes backwards');
	is(scalar(grep { $_ > 1 } values %count), 0, "$what: none was given out twice");
	cmp_ok(scalar(@$seen), '>', 100, "$what: enough of them");
	return;
}

# Did somebody get timestamps after this moment of CLOCK_MONOTONIC?
sub seen_after
{
	my ($seen, $ns) = @_;

	return scalar grep { $_->[0] > $ns } @$seen;
}

sub now_ns
{
	return Time::HiRes::clock_gettime(Time::HiRes::CLOCK_MONOTONIC()) * 1e9;
}

# ---- three nodes
$node{one} = new_node('one');
$node{one}->start;
serve($node{one});
my $first = $node{one}{tikv}{'tikv.pd_addr'};
foreach my $name (qw(two three))
{
	$node{$name} = new_node($name, 'tikv.join' => "127.0.0.1:1,$first");
	$node{$name}->start;
	serve($node{$name});
}
$by_name{"pd-$node{$_}{tikv}{'tikv.pd_addr'}"} = $_ foreach keys %node;
my $all = join ' ', sort keys %by_name;
is(members($_), $all, "$_ knows the members") foreach sort keys %node;
is(leader_of($_), 'one', "$_ is led to the first") foreach qw(two three);
wait_for('all to vote', sub { conf('one') eq '1:3' });
is($node{$_}->safe_psql('postgres', 'SELECT count(*) FROM tikv.stores'), '3',
	"$_ knows the stores")
  foreach sort keys %node;
my @ids = map { (ask($_, 'GET', 'cluster'))[1]{id} } sort keys %node;
is($ids[1], $ids[0], 'one cluster');

# ---- regions follow: two stores are a voter and a learner, three vote
wait_for('three voters', sub { roles('two') eq '000' });
is((rawctl($node{two}, 'put', 'key', 'value'))[0], 0, 'a key is put through a follower');

# ---- what was acknowledged outlives the leader
is($node{two}->safe_psql('postgres', q{SELECT tikv_create_keyspace('kept')}), '1',
	'a change asked for at a follower');
my $killed_ns;
my $seen = take_timestamps(12, sub {
	sleep 1;
	kill_node('one');
	$killed_ns = now_ns();
	my $began = time();
	wait_leader('two');
	elapsed_note('a new leader', $began);
});
check_order('the leader is killed', $seen);
ok(seen_after($seen, $killed_ns + 1e9), 'and there are timestamps afterwards');
is($node{three}->safe_psql('postgres',
		q{SELECT count(*) FROM tikv.keyspaces WHERE name = 'kept'}),
	'1', 'the change is there');
is($node{three}->safe_psql('postgres', q{SELECT tikv_create_keyspace('next')}), '2',
	'and the next one, with the next id');
is(wait_for('the key', sub { (rawctl($node{two}, 'get', 'key'))[1] }), 'value',
	'the key is there, from another leader');
$node{one}->start;
wait_serving($node{one});
is(members('one'), $all, 'it comes back');
wait_for('it to follow', sub { defined leader_of('one') });

# ---- the same member leads again (tikv/pd#4884, tikv/pd#8836)
my $leader = wait_leader('one');
my ($other) = grep { $_ ne $leader && $_ ne 'one' } sort keys %node;
my %name_of = reverse %by_name;
$seen = take_timestamps(8, sub {
	foreach my $to ($other, $leader, $other, $leader)
	{
		my $from = wait_leader('one');
		wait_for("leadership to go to $to", sub {
			my $now = leader_of('one');

			# HTTP::Tiny does not follow a POST that is redirected.
			ask($now, 'POST', "leader/transfer/$name_of{$to}") if defined $now;
			usleep(200_000);
			$now = leader_of('one');
			return defined $now && $now eq $to;
		}) if $from ne $to;
	}
});
check_order('leadership goes to and fro (tikv/pd#4884, tikv/pd#8836)', $seen);

# ---- a leader that sleeps through the loss of its leadership (tikv/pd#9157)
$leader = wait_leader('one');
my ($witness) = grep { $_ ne $leader } sort keys %node;
my ($pd_pid) = pids($node{$leader}, 'tikv pd');
$seen = take_timestamps(14, sub {
	sleep 1;
	kill 'STOP', $pd_pid;
	my $next = wait_leader($witness, $leader);
	sleep 1;
	kill 'CONT', $pd_pid;
	is(wait_for('it to follow', sub {
				my $now = leader_of($leader);
				defined $now && $now ne $leader ? $now : undef;
			}), $next, 'it learns who leads');
});
check_order('a leader sleeps (tikv/pd#9157)', $seen);

# ---- one leaves
$node{three}->safe_psql('postgres', 'SELECT tikv_leave()');
wait_for('the member to have left', sub { members('two') !~ /\Q$name_of{three}\E/ });
is(members('one'), join(' ', sort map { $name_of{$_} } qw(one two)), 'two are left');
is($node{three}->safe_psql('postgres',
		q{SELECT count(*) FROM tikv.keyspaces WHERE name = 'kept'}),
	'1', 'it still finds the others');
wait_for('its store to have left', sub {
	$node{one}->safe_psql('postgres',
		q{SELECT count(*) FROM tikv.stores WHERE state = 'tombstone'}) eq '1';
});
is(roles('one'), '01', 'the region has a voter and a learner');
wait_for('its peer to be gone', sub {
	$node{three}->safe_psql('postgres', 'SELECT count(*) FROM tikv.regions') eq '0';
});
is((rawctl($node{one}, 'get', 'key'))[1], 'value', 'and its data');
my ($code, $out, $err) = $node{two}->psql('postgres',
	q{SELECT tikv_create_keyspace('kept')});
like($err, qr/already exists/, 'errors come through');

# ---- nodes that have a cluster of their own
my %own;
foreach my $name (qw(empty full))
{
	$own{$name} = new_node($name);
	$own{$name}->start;
	serve($own{$name});
}
is((rawctl($own{full}, 'put', 'key', 'its own'))[0], 0, 'one of them holds a key');
foreach my $name (qw(empty full))
{
	configure_node($own{$name}, 'tikv.join' => $node{one}{tikv}{'tikv.pd_addr'});
	$own{$name}->restart;
}
wait_for('the empty one to join', sub {
	members('one') =~ /\Q$own{empty}{tikv}{'tikv.pd_addr'}\E/;
});
wait_serving($own{empty});
is($own{empty}->safe_psql('postgres',
		q{SELECT count(*) FROM tikv.keyspaces WHERE name = 'kept'}),
	'1', 'an empty node gives its own cluster up');
wait_for('three voters again', sub { roles('one') eq '000' });
wait_state($own{full}, 'pd', 'waiting', qr/is not empty/);
pass('one that holds data says why it does not serve');
$_->stop('fast') foreach values %own;

# ---- a store without a member, by tikv.pd_endpoints
my $outside = new_node('outside', 'tikv.pd_endpoints' => $node{two}{tikv}{'tikv.pd_addr'});
$outside->start;
serve($outside);
is($outside->safe_psql('postgres', 'SELECT count(*) FROM tikv.members'), '3',
	'a node with an external PD knows its members');
is($node{one}->safe_psql('postgres', q{SELECT count(*) FROM tikv.stores WHERE address = '}
		  . $outside->{tikv}{'tikv.addr'} . q{' AND state = 'up'}),
	'1', 'and is one of its stores');
is((rawctl($outside, 'get', 'key'))[1], 'value', 'clients are passed on');
$outside->stop('fast');

# ---- a copy of it that has started more often
my $clone = new_node('clone', 'tikv.pd_endpoints' => $node{two}{tikv}{'tikv.pd_addr'});
copy_node($outside, $clone);
before_start($clone, 'UPDATE tikv_internal.store_meta SET start_seq = start_seq + 5, machine = 0, device = 0, inode = 0, timeline = 0');
$outside->start;
wait_serving($outside);
$clone->start;
wait_serving($clone);
wait_state($outside, 'store', 'waiting', qr/is not newer than start/);
like(slurp_file($outside->logfile), qr/serves no more: start \d+ of store \d+ was claimed, this is \d+/,
	'a store whose copy has claimed a newer start learns it by its heartbeat');
is((rawctl($clone, 'get', 'key'))[1], 'value', 'and the copy serves');
$_->stop('fast') foreach $clone, $outside;
before_start($outside, 'UPDATE tikv_internal.store_meta SET start_seq = start_seq + 9, claim_word = 0');

# ---- its data directory is rolled back
my $copy = $outside->data_dir . '.copy';
system('cp', '-a', $outside->data_dir, $copy) == 0 or die 'cp';
my $starts = q{SELECT start_seq, claim_word FROM tikv_internal.store_meta};
$outside->start;
wait_serving($outside);
my ($claimed, $word) = split /\|/, $outside->safe_psql('postgres', $starts);
is($word, '0', 'a claim that holds needs no word any more');
$outside->stop('fast');
# In the same directory: by its place it cannot be told from the original.
system('find', $outside->data_dir, '-mindepth', '1', '-delete') == 0 or die 'find';
system('cp', '-a', "$copy/.", $outside->data_dir) == 0 or die 'cp';
my %seen;
foreach my $start (1 .. 9)
{
	$outside->start;
	# Cut short somewhere on its way, or refused.
	usleep(40_000 * $start) if $start % 3 != 0;
	wait_state($outside, 'store', 'waiting', qr/is a copy, or was rolled back/) if $start % 3 == 0;
	$seen{ $outside->safe_psql('postgres', $starts) }++ if $start % 3 == 0;
	$outside->stop($start % 2 ? 'fast' : 'immediate');
}
is(scalar keys %seen, 1, 'a store that was rolled back does not serve, however often it is started');
like((keys %seen)[0], qr/^$claimed\|-?[1-9]/, 'it goes on with the start that was refused');

# ---- the data directory of a member that votes is rolled back by one start
my $dir = $node{two}->data_dir;

sub replace_data
{
	my ($from) = @_;

	# In the same directory: by its place it cannot be told from the original.
	system('find', $dir, '-mindepth', '1', '-delete') == 0 or die 'find';
	system('cp', '-a', "$from/.", $dir) == 0 or die 'cp';
}

# The start of the member that node one has saved for it.
sub known_start
{
	return $node{one}->safe_psql('postgres', sprintf
		q{SELECT substring(encode(value, 'escape') FROM 'start ([0-9]+)')::int8 >> 16
		  FROM tikv_internal.pd_kv WHERE key LIKE 'member/%%' AND position('%s' in encode(value, 'escape')) > 0},
		$node{two}{tikv}{'tikv.pd_addr'});
}

sub own_start
{
	return $node{two}->safe_psql('postgres', 'SELECT start_seq FROM tikv_internal.pd_raft_state');
}

$node{two}->stop('fast');
system('cp', '-a', $dir, "$dir.old") == 0 or die 'cp';
$node{two}->start;
wait_serving($node{two});
my $real = own_start();
wait_for('its start to be known', sub { known_start() eq $real });
pass('the start of a member is saved by the others');
$node{two}->stop('fast');
system('cp', '-a', $dir, "$dir.new") == 0 or die 'cp';
replace_data("$dir.old");

# Its peers refuse it; or it is told first what it has forgotten.
my $refused = qr/(?:another start $real of node \d+ was seen|member \d+ contradicts what is committed here): this data directory is a copy, or was rolled back/;

foreach (1 .. 2)
{
	$node{two}->start;
	wait_state($node{two}, 'pd', 'waiting', $refused);
	is(own_start(), $real - 1, 'a refused start does not count');
	$node{two}->stop('fast');
}

# The others have started again since, and know it all the same.
$node{one}->stop('fast');
$node{one}->start;
$node{two}->start;
wait_state($node{two}, 'pd', 'waiting', $refused);
pass('who has started again refuses it, too');
$node{two}->stop('fast');
replace_data("$dir.new");
$node{two}->start;
wait_serving($_) foreach @node{qw(one two)};
wait_leader('two');
is(wait_for('the key', sub { (rawctl($node{two}, 'get', 'key'))[1] }), 'value',
	'with its own data it is back');

# ---- restart of all
$_->stop('fast') foreach @node{qw(three two one)};
$_->start foreach @node{qw(one two)};
wait_serving($_) foreach @node{qw(one two)};
wait_leader('two');
is($node{two}->safe_psql('postgres', 'SELECT count(*) FROM tikv.keyspaces'), '3',
	'the state outlives a restart of all');

done_testing();
