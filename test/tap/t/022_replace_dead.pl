# A dead node is replaced as docs/operations.md says, with its commands: the new one
# joins first.  Deleting the dead one before is refused.  Then the disk of the leader
# is lost, too, and nothing that was acknowledged is.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvCopies;
use TikvTest;

# Of three, some commands go to one that does not lead PD.
my %node = three_nodes();
my ($one, $two, $three) = @node{qw(one two three)};
my $pd = 'http://' . $two->{tikv}{'tikv.pd_addr'} . '/pd/api/v1';

sub curl
{
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'curl', '-sL', @_ ], '>', \$out, '2>', \$err);
	return $out;
}

sub put
{
	my ($node, $from, $to) = @_;

	$node->safe_psql('postgres', "SELECT tikv_put(convert_to('key' || i, 'UTF8'), 'value') FROM generate_series($from, $to) i");
}

wait_for('three that vote', sub { voters_at($three) eq '3' });
put($one, 1, 100);
my $dead = $three->safe_psql('postgres', 'SELECT store_id FROM tikv_internal.store_meta');
my $name = 'pd-' . $three->{tikv}{'tikv.pd_addr'};
is($one->safe_psql('postgres', "SELECT count(*) FROM tikv.members WHERE name = '$name'"), '1', 'members show its name');
$three->stop('immediate');

# ---- nobody leaves beside it, long before its store is called disconnected

sleep 7;
my ($code, $out, $err) = $two->psql('postgres', 'SELECT tikv_leave()');
isnt($code, 0, 'no other node leaves when a member was not heard of for two election timeouts');
like($err, qr/does not answer, and of 3 voters 1 would stay/, 'which is told');

# ---- first the replacement

wait_for('it to be found dead', sub {
	curl("$pd/stores") =~ /"id": ?$dead,.*?"state_name": ?"(\w+)"/s && $1 eq 'Disconnected'
	  && curl("$pd/health") =~ /"\Q$name\E"[^}]*"health": ?false/;
});
like(curl('-X', 'DELETE', "$pd/store/$dead"), qr/store $dead does not answer, and of 3 voters 1 would stay/,
	'its store is not deleted before there is another one');
like(curl('-X', 'DELETE', "$pd/members/name/$name"), qr/does not answer, and of 3 voters 1 would stay/,
	'nor its member');
like(curl('-X', 'DELETE', "$pd/members/name/$name?force=false"), qr/does not answer/,
	'force=false forces nothing');
like(curl('-X', 'POST', "$pd/store/$dead/state?state=Offline"), qr/of 3 voters 1 would stay/, 'in no way');
($code, $out, $err) = $two->psql('postgres', 'SELECT tikv_leave()');
isnt($code, 0, 'nor does another node leave meanwhile');
like($err, qr/store $dead does not answer/, 'which is told');
put($one, 101, 200);

my $four = new_node('four', 'tikv.join' => join(',', map { $_->{tikv}{'tikv.pd_addr'} } $one, $two));
$four->start;
serve($four);
my $new = $four->safe_psql('postgres', 'SELECT store_id FROM tikv_internal.store_meta');
wait_for('it to be up', sub {
	$two->safe_psql('postgres', "SELECT state FROM tikv.stores WHERE store_id = $new") eq 'up'
	  && $two->safe_psql('postgres', 'SELECT count(*) FROM tikv.members') eq '4';
});

# ---- then the dead one

like(curl('-X', 'DELETE', "$pd/store/$dead"), qr/set as Offline/, 'the dead store is deleted');
like(curl('-X', 'DELETE', "$pd/members/name/$name"), qr/removed/, 'and its member');
put($one, 201, 300);
wait_for('the new one to vote', sub {
	$four->safe_psql('postgres', q{
		SELECT count(*) > 0 AND count(*) = count(*) FILTER (WHERE role IN ('leader', 'follower'))
		FROM tikv.raft WHERE is_local}) eq 't';
});
wait_for('the old one to be gone', sub {
	$two->safe_psql('postgres', "SELECT state FROM tikv.stores WHERE store_id = $dead") eq 'tombstone'
	  && $two->safe_psql('postgres', 'SELECT count(*) FROM tikv.members') eq '3';
});
my $learners = () = slurp_file($one->logfile) =~ /becomes a learner/g;
is($learners, 4, 'three that came and the dead one: nobody else has lost its vote');

# ---- the leader's disk is lost

put($one, 301, 400);
$one->stop('immediate');
is(wait_for('the others to lead', sub {
		try_query($two, q{SELECT count(*) FROM tikv_scan('key', 'kez')});
	}), '400', 'all that was acknowledged is there');
put($two, 401, 500);
pass('and the two go on');
$_->stop('immediate') foreach $two, $four;

done_testing();
