# Blocks of the raw table that cannot be read, one in a range that is deleted and
# one among rows that expire: the store goes round them with what it does by
# itself, says so, and goes on when they are mended.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $node = new_node('work', 'tikv.enable_ttl' => 'on', 'autovacuum' => 'off', 'shared_buffers' => '64MB');
my $damaged = qr/damaged data: a row cannot be read, the server's log says why/;

sub one { return $node->safe_psql('postgres', $_[0]) }

# What damaged rows stall is looked at once a minute.
sub wait_long
{
	my ($what, $code) = @_;

	return eval { wait_for($what, $code) } // wait_for($what, $code);
}

sub task
{
	my ($what, $task) = @_;

	return one("SELECT $what FROM tikv.tasks WHERE task = '$task'");
}

sub aborted { return one(q{SELECT sum(value) FROM tikv.metrics WHERE name = 'tikv_fdw_aborted_turns_total'}) }

sub said { return one(q{SELECT string_agg(reason, ' ') FROM tikv_status()}) }

sub put_many
{
	my ($prefix, $n, $ttl) = @_;

	one(qq{SELECT tikv_batch_put(array_agg(('$prefix' || to_char(i, 'FM0000'))::bytea), array_agg(repeat('x', 1000)::bytea), $ttl)
		FROM generate_series(1, $n) AS i});
}

sub block_of { return one("SELECT (ctid::text::point)[0] FROM tikv_internal.raw WHERE key = '$_[0]'") }

$node->start;
serve($node);
put_many('d/', 400, 0);
put_many('e/', 600, 1000);
one(q{SELECT tikv_put('x/1', 'v'), tikv_put('y', 'v')});

# Past their time before the store knows: it looks through the table at its start.
one(q{SET session_replication_role = replica; UPDATE tikv_internal.raw SET expires_at = 1 WHERE key >= 'e/' AND key < 'f'});
my %bad = (d => block_of('d/0200'), e => block_of('e/0300'));
my $beside = one(qq{SELECT count(*) FROM tikv_internal.raw WHERE (ctid::text::point)[0] = $bad{e} AND expires_at = 1});
cmp_ok($beside, '>', 0, 'some of them are beside what will be damaged');
my $path = $node->data_dir . '/' . one(q{SELECT pg_relation_filepath('tikv_internal.raw')});
$node->stop;
my %saved;
open my $file, '+<:raw', $path or die "$path: $!";
foreach my $which (keys %bad)
{
	seek $file, $bad{$which} * 8192, 0;
	read $file, $saved{$which}, 8192;
	seek $file, $bad{$which} * 8192, 0;
	print $file "\xff" x 8192;
}
close $file;
$node->start;
wait_serving($node);

# ---- rows that expire
wait_for('the other expired rows to be removed', sub { task('removed', 'expire') == 600 - $beside });
wait_for('what is left to be put off', sub { task('waiting', 'expire') eq '0' });
like(said(), qr/damaged data, the server's log says where: [12] places whose expired rows stay/, 'tikv_status() says so');
like(slurp_file($node->logfile), qr/expired rows of table "raw" stay, since block ($bad{d}|$bad{e}) has a damaged row/, 'and the log where');

# The search for what is due goes round the table.
my $before = aborted();
foreach my $i (1 .. 3)
{
	one("SELECT tikv_put('t/$i', 'v', 1)");
	wait_for('another one to expire', sub { task('removed', 'expire') == 600 - $beside + $i });
}
is(aborted(), $before, 'the damaged ones are not tried with every one that expires');

# ---- a range
sub delete_damaged
{
	my ($answer, $out, $err) = rawctl($node, 'delete-range', 'd/', 'd0');

	return $answer != 0 && $err =~ $damaged;
}

ok(delete_damaged(), 'a deletion that meets damage is told so');
is((rawctl($node, 'delete-range', 'x', 'y'))[0], 0, 'others are carried out');
is(one(q{SELECT tikv_get('x/1') IS NULL, tikv_get('d/0001') IS NULL, tikv_get('y') IS NULL}), 't|t|f', 'both are in force');
is(one(q{SELECT count(*) FROM tikv_internal.raw WHERE key = 'x/1'}), 0, 'and the other one ended');
is(task('waiting', 'delete ranges'), 1, 'one is left');
like(said(), qr/1 deletions of ranges that cannot end/, 'tikv_status() says so');
is(scalar(grep { delete_damaged() } 1 .. 70), 70, 'all that ask again are told the same');
is(task('waiting', 'delete ranges'), 1, 'and take its place');
is(one(q{SELECT count(*) FROM tikv_internal.range_delete WHERE NOT done}), 1, 'in the table, too');
my @lines = slurp_file($node->logfile) =~ /(the deletion of a range meets a damaged row)/g;
is(scalar(@lines), 1, 'the log says it once');
is((rawctl($node, 'delete-range', 'x', 'y'))[0], 0, 'others are carried out still');
rawctl($node, 'put', 'd/new', 'v');
is((rawctl($node, 'get', 'd/new'))[1], 'v', 'what is written since is there');

# ---- over a restart
$node->restart;
wait_serving($node);
is((rawctl($node, 'delete-range', 'x', 'y'))[0], 0, 'and after a restart');
is(one(q{SELECT tikv_get('d/0001') IS NULL}), 't', 'where the other one is in force');
wait_for('it to be tried', sub { said() =~ /1 deletions of ranges that cannot end/ });

# ---- mended, by somebody who gives up what was in the blocks
one(q{SET zero_damaged_pages = on; SELECT count(*) FROM tikv_internal.raw});
wait_long('the deletion to end', sub { task('waiting', 'delete ranges') eq '0' });
unlike(said(), qr/deletions of ranges/, 'tikv_status() has no more to say of it');
is(one(q{SELECT string_agg(convert_from(key, 'UTF8'), ' ') FROM tikv_internal.raw WHERE key >= 'd/' AND key < 'd0'}), 'd/new',
	'nothing is left but what was written since');
$node->stop;

# ---- and by somebody who has them: nothing of what was to go is left
open $file, '+<:raw', $path or die "$path: $!";
foreach my $which (keys %bad)
{
	seek $file, $bad{$which} * 8192, 0;
	print $file $saved{$which};
}
close $file;
$node->start;
wait_serving($node);
wait_for('the last expired rows to be removed', sub { one(q{SELECT count(*) FROM tikv_internal.raw WHERE expires_at = 1}) eq '0' });
wait_for('tikv_status() to have nothing to say', sub { (said() // '') !~ /damaged/ });
pass('mended, nothing is amiss');
$node->stop;
done_testing();
