# A follower whose disk is full takes no entries and does not lead, while the
# others go on; it has everything when there is space again.  What it is asked to
# read meanwhile is the leader's.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;

my @stores = (1, 4, 5);
my @nodes = make_group('full_follower', 'tikv.request_timeout' => '30s');
my $leads = wait_leader();
my ($full, $third) = grep { $_ != $leads } 0 .. 2;

sub reserve
{
	my ($i, $space) = @_;

	$nodes[$i]->append_conf('postgresql.conf', "tikv.reserve_space = '$space'");
	$nodes[$i]->reload;
}

# What the log of a node says after `since`.
sub says
{
	my ($i, $since, $what) = @_;

	wait_for("node $i to say $what", sub {
		return slurp_file($nodes[$i]->logfile, $since) =~ /$what/;
	});
}

sub last_entry
{
	return ask($full, 'SELECT max(log_index) FROM tikv_internal.raft_log WHERE region_id = 2') // '';
}

# A reserve of which a little more than half is free.
sub hardly_more
{
	my ($free) = `df -Pm @{[ $nodes[$full]->data_dir ]}` =~ /\s(\d+)\s+\d+%\s/ or die 'no free space';

	return int($free / 0.56) . 'MB';
}

sub wait_heard
{
	my ($i) = @_;
	my $before = received($i);

	wait_for('more messages', sub { received($i) >= $before + 10 });
}

sub put
{
	my ($i, $key) = @_;

	return (rawctl($nodes[$i], 'put', $key, 'v'))[0];
}

order($leads, qq{tikv_put('before', 'v')}, 'a key');
wait_same('which all nodes have');

# ---- the others go on without it

my $since = -s $nodes[$full]->logfile;

reserve($full, '1000TB');
says($full, $since, "takes no entries of its regions' leaders: disk full");
my $last = last_entry();
is(put($leads, "k$_"), 0, "a write, $_") foreach 1 .. 20;
is(last_entry(), $last, 'its log does not grow');
is(ask($full, q{SELECT count(*) FROM tikv_internal.raw WHERE key LIKE 'k%'}), '0', 'and it has none of them');
is(ask($leads, q{SELECT count(*) FROM tikv_scan('k', 'l')}), '20', 'the leader has them');

# ---- reads of what it does not have go to the leader at once

{
	local $ENV{RAWCTL_REPLICA} = $stores[$full];
	local $ENV{RAWCTL_MAX_MS} = 20_000; # no retries
	my ($answer, $out, $err) = rawctl($nodes[$leads], 'get', 'k1');

	isnt($answer, 0, 'a read at the follower');
	like($err, qr/not leader for region 2, leader may be the given peer/, 'goes to the leader, whom it names');
}

# ---- it goes on by itself, when it has clearly more than what is too little

$since = -s $nodes[$full]->logfile;
reserve($full, hardly_more());
wait_heard($full);
is(put($leads, 'hardly'), 0, 'another write');
wait_heard($full);
unlike(slurp_file($nodes[$full]->logfile, $since), qr/takes entries again/, 'a little more than half of the reserve is not enough');
is(last_entry(), $last, 'it takes nothing');

$since = -s $nodes[$full]->logfile;
reserve($full, '-1');
says($full, $since, 'takes entries again');
wait_same('it has them all');

# ---- it does not lead, whatever it has

reserve($full, '1000TB');
says($full, $since, 'takes no entries');
sleep 2; # in which the leader is told
my ($answer, $out, $err) = $nodes[$leads]->psql('postgres', "SELECT tikv_transfer_leader(2, $stores[$full])");
isnt($answer, 0, 'it is not handed leadership');
like($err, qr/the disk of that store is full/, 'for that reason');
wait_for('a write', sub { put($leads, 'between') == 0 });
reserve($full, '-1');
wait_same('it has all');
$leads = wait_leader();
($full, $third) = grep { $_ != $leads } 0 .. 2;
$since = -s $nodes[$full]->logfile;
reserve($full, '1000TB');
says($full, $since, 'takes no entries');
$nodes[$leads]->stop('immediate');
is(wait_leader($leads), $third, 'the other one is elected, not this');
$nodes[$leads]->start;
wait_for('a write', sub { put($third, 'after') == 0 });

# ---- and it is as the others in the end

reserve($full, '-1');
wait_same('all nodes have the same');
is(ask(wait_leader(), q{SELECT count(*) FROM tikv_scan('', '')}), '24', 'that is all that was acknowledged');
checks_clean(0 .. 2);
$_->stop foreach @nodes;
done_testing();
