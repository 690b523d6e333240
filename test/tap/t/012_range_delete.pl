# Deleting a range: in slices, visibly, beside other writes; a crash in between
# loses neither the rest of the work nor what was written since.

use strict;
use warnings;

use Test::More;
use TikvTest;
use Time::HiRes qw(time usleep);

my $rows = 60_000;
my $node = new_node('range');

$node->start;
serve($node);

sub fill
{
	$node->safe_psql('postgres', qq{
		SELECT tikv_batch_put(array_agg(('r/' || to_char(i, 'FM000000'))::bytea), array_agg(i::text::bytea))
		FROM generate_series(1, $rows) AS i});
}

sub one
{
	my ($sql) = @_;

	return $node->safe_psql('postgres', $sql);
}

sub removed
{
	my ($answer, $out) = $node->psql('postgres',
		q{SELECT removed FROM tikv.tasks WHERE task = 'delete ranges'});
	return $answer == 0 ? $out : 0;
}

# Start rawctl's deletion of the whole range in the background.
sub delete_in_background
{
	my ($out, $err) = ('', '');
	my $began = time();
	my $call = IPC::Run::start([ $ENV{RAWCTL}, '--pd', $node->{tikv}{'tikv.pd_addr'},
			'delete-range', 'r/', 'r0' ], '<', \undef, '>', \$out, '2>', \$err);

	return ($call, $began);
}

# ---- one request deletes any number of keys
fill();
$node->safe_psql('postgres', q{SELECT tikv_put('q', 'before'), tikv_put('r0', 'behind')});
my $began = time();
is((rawctl($node, 'delete-range', 'r/', 'r0'))[0], 0, 'a range is deleted');
elapsed_note("deleting $rows rows", $began);
is(one(q{SELECT count(*) FROM tikv_scan('r/', 'r0')}), '0', 'all of it is gone when the answer comes');
is(one(q{SELECT count(*) FROM tikv_internal.raw}), '2', 'and nothing else');
is(one(q{SELECT waiting, removed FROM tikv.tasks WHERE task = 'delete ranges'}), "0|$rows", 'as the view tells');
is((rawctl($node, 'delete-range', 'r/', 'r0'))[0], 0, 'done again it succeeds');
isnt((rawctl($node, 'delete-range', 'r0', 'r/'))[0], 0, 'backwards it is refused');
is(one(q{SELECT count(*) FROM tikv_internal.range_delete}), '1', 'the newest row keeps the count');

# ---- what is written meanwhile stays, whether behind or before the cursor
fill();
my $base = removed();
my ($call) = delete_in_background();
wait_for('some rows to be removed', sub { return removed() > $base });
is(one(q{SELECT count(*) FROM tikv_scan('r/', 'r0')}), '0', 'nobody finds one of the others meanwhile');
my $written = one(q{
	SELECT tikv_put('r/000001', 'new'), tikv_put('r/059999', 'new'), tikv_put('r/new', 'new');
	SELECT * FROM tikv_cas('r/060000', NULL, 'swapped')});
ok($call->finish, 'the deletion ends');
like($written, qr/\|$/m, 'writes go on meanwhile');
my @left = split /\n/, one(q{SELECT convert_from(key, 'UTF8') || '=' || convert_from(value, 'UTF8') FROM tikv_scan('r/', 'r0')});
is_deeply([ grep { /=new$/ } @left ], [ 'r/000001=new', 'r/059999=new', 'r/new=new' ], 'and what they wrote stays');
is(scalar(grep { !/=(new|swapped)$/ } @left), 0, 'nothing old does');
# A swap that was told that the key is absent has put it there for good.
is(scalar(grep { /=swapped$/ } @left), $written =~ /^t\|/m ? 1 : 0, 'a swap is before or after the deletion, not both');
is(one(q{SELECT * FROM tikv_check()}), '', 'the tables are consistent');

# ---- a crash in between: the rest is deleted, what came after it stays
my $between = 0;
for my $round (1 .. 8)
{
	one(q{SELECT tikv_delete_range('r/', 'r0')});
	fill();
	$base = removed();
	($call) = delete_in_background();
	wait_for('some rows to be removed', sub { return removed() > $base });
	$node->stop('immediate');
	$call->finish;
	$node->start;
	wait_serving($node);
	rawctl($node, 'put', 'r/060000', "round $round");
	$between = one(q{SELECT count(*) FROM tikv_internal.raw WHERE key >= 'r/' AND key < 'r0'}) > 1;
	wait_for('the rest to be removed', sub {
		return one(q{SELECT waiting FROM tikv.tasks WHERE task = 'delete ranges'}) eq '0';
	});
	# Either the crash was before the deletion was accepted, or all is done.
	my $count = one(q{SELECT count(*) FROM tikv_scan('r/', 'r0')});
	is($count, '1', "round $round: nothing is left but what was written since");
	is((rawctl($node, 'get', 'r/060000'))[1], "round $round", 'which is there');
	last if $between;
}
ok($between, 'one crash at least was in the middle');
is(one(q{SELECT count(*) FROM tikv_internal.range_delete WHERE NOT done}), '0', 'nothing is left to do');
is(one(q{SELECT * FROM tikv_check()}), '', 'the tables are consistent');

# ---- rows written before a deletion are older than it, over restarts
one(q{SELECT tikv_put('e/1', 'v')});
$node->restart;
wait_serving($node);
one(q{SELECT tikv_put('e/2', 'v'), tikv_delete_range('e/', 'e0'), tikv_put('e/3', 'v')});
is(one(q{SELECT convert_from(key, 'UTF8') FROM tikv_scan('e/', 'e0')}), 'e/3', 'eras go on after a restart');

# ---- one that waits for its rows when the server stops
one(q{SELECT tikv_put('s/1', 'v')});
$node->append_conf('postgresql.conf', q{tikv.reserve_space = '1000TB'});
$node->reload;
wait_for('a disk that is nearly full', sub { (rawctl($node, 'put', 'full', 'v'))[0] != 0 });
{
	local $ENV{RAWCTL_DISK_FULL_OPT} = 2;
	local $ENV{RAWCTL_MAX_MS} = 60_000;

	$call = rawctl_start($node, 'delete-range', 's/', 's0');
}
wait_for('it to be accepted', sub {
	return one(q{SELECT waiting FROM tikv.tasks WHERE task = 'delete ranges'}) eq '1';
});
is(one(q{SELECT count(*) FROM tikv_scan('s/', 's0')}), '0', 'it is in force');
$node->stop('fast');
$call->{run}->finish;
like(${ $call->{err} }, qr/region error: .*: outcome unknown/, 'its outcome is unknown when the server stops');

done_testing();
