# A store whose disk is short gets no snapshots, however often Raft asks for one
# on its behalf; and that one cannot be sent is said once, not at each try.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;

my @nodes = make_group('full_snapshots', 'tikv.request_timeout' => '30s',
	'tikv.raft_log_gc_count_limit' => 100, 'tikv.raft_log_gc_threshold' => 10);
my $leads = wait_leader();
my ($full) = grep { $_ != $leads } 0 .. 2;
my $folder = $nodes[$full]->data_dir . '/tikv_snapshots';

sub reserve
{
	my ($space) = @_;

	$nodes[$full]->append_conf('postgresql.conf', "tikv.reserve_space = '$space'");
	$nodes[$full]->reload;
}

# How often the log of a node has it.
sub says
{
	my ($i, $what) = @_;
	my $times = () = slurp_file($nodes[$i]->logfile) =~ /$what/g;

	return $times;
}

# The one whose disk is full hears the leader, and answers each time.
sub wait_heard
{
	my $before = received($full);

	wait_for('more messages', sub { received($full) >= $before + 10 });
}

sub entry
{
	my ($i, $which) = @_;

	return ask($i, "SELECT $which(log_index) FROM tikv_internal.raft_log WHERE region_id = 2") // 0;
}

order($leads, q{tikv_put('before', 'v')}, 'a key');
wait_same('which all nodes have');
reserve('1000TB');
wait_for('a store that takes nothing', sub { says($full, "takes no entries of its regions' leaders") });
wait_heard();

# ---- its log ends before the leader's begins

wait_for('the leader to give up what it lacks', sub {
	ask($leads, q{SELECT count(tikv_put(('k' || i)::bytea, repeat('v', 1000)::bytea)) FROM generate_series(1, 200) i});
	return entry($leads, 'min') > entry($full, 'max') + 1;
});
wait_heard();
is(says($leads, 'made a snapshot'), 0, 'no snapshot is made for a store that takes none');
is(says($leads, 'could not be sent'), 0, 'nor sent');

# ---- with space it asks for one, which it cannot keep

rename($folder, "$folder.away") or die "cannot rename $folder: $!";
append_to_file($folder, 'no folder');
reserve('-1');
wait_for('some tries', sub { says($full, 'could not create file "tikv_snapshots') >= 4 });
is(says($leads, 'could not be sent'), 1, 'that it cannot be sent is said once');

unlink($folder) or die "cannot remove $folder: $!";
rename("$folder.away", $folder) or die "cannot rename $folder: $!";
wait_same('it gets one in the end');
isnt(says($leads, 'made a snapshot'), 0, 'a snapshot');
checks_clean(0 .. 2);
$_->stop foreach @nodes;
done_testing();
