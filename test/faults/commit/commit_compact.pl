# A long table that is empty at its end, on each of three stores, while the disk
# of one does not come to flush what was written: that store cuts nothing, and
# answers.  Builds with failpoints compact tables of 4 MiB, and look for them
# every two seconds.

use strict;
use warnings;

use Test::More;
use TikvCommit;
use TikvGroup;
use TikvTest;

my $keys = 1500;
my @nodes = make_group('compact', 'tikv.hibernate_regions' => 'off', 'autovacuum_naptime' => '1s');
my $leads = wait_leader();

sub blocks
{
	my ($i) = @_;

	return ask($i, q{SELECT pg_relation_size('tikv_internal.raw') / 8192}) // -1;
}

sub hits
{
	my ($i) = @_;

	open my $in, '<', $nodes[$i]->data_dir . '/tikv_failpoint_hits' or return 0;
	return scalar grep { /^store_compact_unflushed error/ } <$in>;
}

# A row fills most of a block.
foreach my $part (0 .. 2)
{
	my ($from, $to) = ($part * $keys / 3 + 1, ($part + 1) * $keys / 3);

	order($leads, "tikv_batch_put(array_agg(('key/' || lpad(i::text, 4, '0'))::bytea), array_agg(repeat('x', 4000)::bytea)) FROM generate_series($from, $to) AS i",
		"keys $from to $to");
}
wait_for('them on all nodes', sub { !grep { blocks($_) < $keys } 0 .. 2 });
use_node($nodes[$leads]);
set_points('store_compact_unflushed=error');
order($leads, q{tikv_delete_range('key/0100', 'key0')}, 'most of them go');
wait_for('the tables of the others to become short', sub { !grep { $_ != $leads && blocks($_) > $keys / 2 } 0 .. 2 });
wait_for('the leader to look for what is flushed', sub { hits($leads) > 3 });
foreach my $i (1 .. 20)
{
	is(ask($leads, "SELECT tikv_put('now/$i', '$i')"), '', "it writes meanwhile: $i");
	is(ask($leads, "SELECT convert_from(tikv_get('now/$i'), 'UTF8')"), $i, 'and reads');
}
cmp_ok(blocks($leads), '>=', $keys, 'its table is as long as it was');
clear_points();
wait_for('its table to become short', sub { blocks($leads) < $keys / 2 });
is(ask($leads, q{SELECT count(*) FROM tikv_scan('now/', 'now0')}), 20, 'all that was written is there');
is(ask($leads, q{SELECT count(*) FROM tikv_scan('key/', 'key0')}), 99, 'and what was left of before');
wait_same('all nodes have the same');
checks_clean(0 .. 2);
$_->stop foreach @nodes;

done_testing();
