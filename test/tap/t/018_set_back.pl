# A lone node whose data directory is set back in its place, to a copy that is
# older: the folder, the machine and the timeline are what they were, and what
# the node knows of its starts has gone back with the rest, so nothing tells it.
# It serves what it had then.  Its timestamps go by the clock, which a node runs
# ahead of for some seconds after each start: once the clock has passed them, they
# go on after all that were handed out since the copy was made.  If the copy is a backup that is recovered, the timeline is
# another one: then it adopts its data, and says so.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;
use Time::HiRes qw(time);

my $node = new_node('alone');
my $dir = $node->data_dir;

# Another content in the same directory.
sub replace_data
{
	my ($from) = @_;

	system('find', $dir, '-mindepth', '1', '-delete') == 0 or die 'find';
	system('cp', '-a', "$from/.", $dir) == 0 or die 'cp';
	chmod 0700, $dir;
}

sub save_data
{
	my ($to) = @_;

	system('cp', '-a', $dir, $to) == 0 or die 'cp';
	return $to;
}

sub timestamp
{
	my ($answer, $out) = rawctl($node, 'timestamp');

	is($answer, 0, 'PD gives a timestamp');
	return $out;
}

sub start_seq
{
	return $node->safe_psql('postgres', 'SELECT start_seq FROM tikv_internal.store_meta');
}

sub identity
{
	return $node->safe_psql('postgres', 'SELECT cluster_id, store_id, machine, inode, timeline FROM tikv_internal.store_meta');
}

# A transaction that has committed, as the newest that anybody has seen.
sub commit
{
	my ($key, $value) = @_;

	$node->safe_psql('postgres', "BEGIN; SELECT tikv_txn_put('$key', '$value'); COMMIT");
}

# Of a copy that had been started so often, in the place of an original whose last
# timestamp is known.  Returns what the log has said since a place in it.
sub check_set_back
{
	my ($kind, $seq, $last, $place) = @_;

	wait_serving($node);
	is((rawctl($node, 'get', 'k'))[1], 'of then', "$kind: keys are those of the copy");
	is((rawctl($node, 'get', 'since'))[1], '', "$kind: what was put since is gone");
	is($node->safe_psql('postgres', "SELECT tikv_txn_get('t')"), '\\x7468656e', "$kind: so it is with transactions");
	is(start_seq(), $seq + 1, "$kind: the start was counted from the copy's");
	cmp_ok(timestamp(), '>', $last, "$kind: timestamps go on after all that were handed out");
	is((rawctl($node, 'put', 'since', $kind))[0], 0, "$kind: it is written to");
	commit('u', $kind);
	is($node->safe_psql('postgres', 'SELECT count(*) FROM tikv_check()'), '0', "$kind: its tables are sound");
	return slurp_file($node->logfile, $place);
}

$node->start;
serve($node);
rawctl($node, 'put', 'k', 'of then');
commit('t', 'then');
$node->backup('base');
my $copied_seq = start_seq();
$node->stop('fast');
my %copy = (shutdown => save_data("$dir.shutdown"));
$node->start;
wait_serving($node);
rawctl($node, 'put', 'k', 'of then');
$node->stop('immediate');
$copy{crash} = save_data("$dir.crash");
my %seq = (shutdown => $copied_seq, crash => $copied_seq + 1);
my ($identity, $last);

foreach my $kind (qw(shutdown crash))
{
	# It goes on, through two starts.
	foreach my $start (1 .. 2)
	{
		$node->start;
		wait_serving($node);
		rawctl($node, 'put', 'k', "later $start");
		rawctl($node, 'put', 'since', 'x');
		commit('t', "later $start");
		$identity //= identity();
		$node->stop('fast') if $start == 1;
	}
	$last = timestamp();
	$node->stop('fast');
	my $place = -s $node->logfile;

	replace_data($copy{$kind});
	wait_for('the clock to pass the last timestamp', sub { time() > ($last >> 18) / 1000 });
	$node->start;
	my $log = check_set_back("a copy after a $kind", $seq{$kind}, $last, $place);
	unlike($log, qr/adopts its data|may be a copy/, "a copy after a $kind: nothing tells it from a restart");
	is(identity(), $identity, "a copy after a $kind: it is the same store of the same cluster");
	$last = timestamp();
	$node->stop('fast');
}

# A backup in the same place, recovered to its end: a branch of the history.
my $began = time();
my $place = -s $node->logfile;
my $conf = slurp_file("$dir/postgresql.conf");
replace_data($node->backup_dir . '/base');
unlink "$dir/postgresql.conf";
append_to_file("$dir/postgresql.conf", "$conf\nrestore_command = 'false'\n");
append_to_file("$dir/recovery.signal", '');
$node->start;
my $log = check_set_back('a recovered backup', $copied_seq, $last, $place);
like($log, qr/adopts its data: another timeline$/m, 'a recovered backup: the log says that it is another branch');
like($log, qr/the data may be a copy: timestamps go on/, 'a recovered backup: PD says so, too');
cmp_ok((timestamp() >> 18) / 1000, '>', $began + 9, 'a recovered backup: timestamps go on ahead of the clock');
$node->stop;
done_testing();
