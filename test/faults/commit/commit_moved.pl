# A commit of a row and of keys whose region gets other peers, and another
# leader: at each step at which that can begin.  Either it is one commit and the
# change waits for it, or it is told that it cannot be, and nothing is left of
# it; where keys may commit before tables, both do.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvCommit;
use TikvSpread;
use TikvTest;
use Time::HiRes qw(usleep);

my %patient = ('tikv.request_timeout' => '10min', 'tikv.lock_wait_timeout' => '10min');
my $id = 0;
my @nodes;

# A new node with a table, named after what is tried.
sub begin
{
	my ($name) = @_;

	$_->stop('immediate') foreach @nodes;
	@nodes = (start_first($name, %patient));
	use_node($nodes[0]);
	query('CREATE TABLE orders (id int PRIMARY KEY)');
	$id = 1;
	ok(finish(begin_commit($id)), "$name: a commit of one node");
	is(seen($id), '1,1,1', "$name: of row and keys");
}

sub voters { return (regions_of())[0][2] // 0; }

# All regions get peers on two more nodes.
sub join_all
{
	my ($name) = @_;

	@nodes = join_others($name, %patient);
}

# And the second leads them.
sub move
{
	wait_for('three voters', sub { return voters() == 3; });
	move_leader($_->[0], 1) foreach regions_of();
}

sub key_on
{
	my ($i, $key) = @_;

	return sql($i, "SELECT coalesce(convert_from(substr(tikv_txn_get('$key'), 1, 10), 'UTF8'), '-')");
}

# On all nodes the same: the key of this commit, and that of all.
sub agree
{
	my ($what, $row) = @_;

	is(query("SELECT count(*) FROM orders WHERE id = $id"), $row, "$what: the row");
	foreach my $i (0 .. 2)
	{
		is(key_on($i, "order/$id"), $row ? 'xxxxxxxxxx' : '-', "$what: its key, on node $i");
		is(key_on($i, 'stock'), $row ? $id : $id - 1, "$what: the key of all, on node $i");
	}
	wait_for('no lock to be left', sub { return query('SELECT count(*) FROM tikv.locks') eq '0'; });
	ok(sql(2, "BEGIN; SELECT tikv_txn_put('order/$id', 'z') IS NULL; ROLLBACK; SELECT 1") =~ /1$/, "$what: nobody holds it");
}

sub finish_all
{
	is(sql($_, 'SELECT count(*) FROM tikv_check()'), '0', "node $_: the tables are sound") foreach 0 .. $#nodes;
}

# ------------------------------------------------- the store has given its word

# PD wants peers, and waits.
sub try_granted
{
	my $name = 'granted';

	begin($name);
	$id++;
	my ($commit, $pid) = stop_at($id, 'sql_rows_written', 'B');

	join_all($name);
	usleep(3_000_000);
	is(query('SELECT count(*) FROM tikv.raft WHERE region_id = 2'), '1', "$name: no peer joins");
	is(told($id), 'locked', "$name: clients are told of a lock");
	kill 'CONT', $pid;
	ok(finish($commit), "$name: the commit goes on") or diag(${ $commit->{err} });
	move();
	agree($name, 1);
	finish_all();
}

# The node is killed while they wait.
sub try_killed
{
	my $name = 'killed';

	begin($name);
	$id++;
	my ($commit, $pid) = stop_at($id, 'sql_rows_written', 'B');

	join_all($name);
	usleep(2_000_000);
	clear_points();
	$nodes[0]->kill9;
	kill 'KILL', $pid;
	ok(!finish($commit), "$name: the session is gone");
	wait_for('the node to start', sub {
		$nodes[0]->{_pid} = undef;
		return $nodes[0]->start(fail_ok => 1);
	});
	wait_serving($nodes[0]);
	move();

	# Locks of the dead are for those who meet them.
	sql(1, "SELECT tikv_resolve_lock('order/$id', force => true), tikv_resolve_lock('stock', force => true)");
	agree($name, 0);
	finish_all();
}

# ---------------------------------------------------------- it was not yet asked

# The leader is another one by then.
sub try_before
{
	my ($mode) = @_;
	my $name = "before_$mode";

	begin($name);
	$id++;
	set_points('sql_before_grant=1*stop');
	my $commit = psql_start("SET tikv.local_atomic = $mode", 'BEGIN', 'SELECT pg_backend_pid()',
		"SELECT tikv_txn_put('stock', '$id'), tikv_txn_put('order/$id', repeat('x', 300)::bytea)",
		"INSERT INTO orders VALUES ($id)", 'COMMIT');
	my $pid = wait_stopped($commit, 'sql_before_grant', 'B', 0);

	join_all($name);
	move();
	kill 'CONT', $pid;
	if ($mode eq 'require')
	{
		ok(!finish($commit), "$name: it is refused");
		like(${ $commit->{err} }, qr/cannot be committed as one/, "$name: and told why");
		agree($name, 0);
	}
	else
	{
		ok(finish($commit), "$name: keys, and then the row") or diag(${ $commit->{err} });
		agree($name, 1);
		like(query("SELECT guarantee FROM tikv.recent_commits WHERE xid IS NOT NULL ORDER BY at DESC LIMIT 1"), qr/1pc|async|two_phase/, "$name: and it says so");
	}
	finish_all();
}

# ------------------------------------------------------------- it still writes

# A session whose locks were of the old leader; somebody else may write since.
sub try_writing
{
	my ($rival, $what_it_does) = @_;
	my $name = "writing_$what_it_does" . ($rival ? '_rival' : '');
	my $gate;

	begin($name);
	$id++;
	$gate = $nodes[0]->background_psql('postgres');
	$gate->query_safe('SELECT pg_advisory_lock(1)');
	my $commit = psql_start('BEGIN', 'SELECT pg_backend_pid()',
		"SELECT tikv_txn_$what_it_does('stock'" . ($what_it_does eq 'put' ? ", '$id')" : ')'),
		"SELECT tikv_txn_put('order/$id', repeat('x', 300)::bytea)",
		'SELECT pg_advisory_xact_lock(1)', "INSERT INTO orders VALUES ($id)", 'COMMIT');

	wait_for('its locks', sub { return query(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}) eq '1'; });
	join_all($name);
	move();
	my $wrote = 0;

	if ($rival)
	{
		my ($answer) = try_sql(2, q{SET tikv.lock_wait_timeout = '1s'; SELECT tikv_txn_put('stock', 'rival')});

		$wrote = $answer == 0;
		note('the rival ' . ($wrote ? 'wrote' : 'met a lock'));
	}
	$gate->quit;
	my $done = finish($commit);

	ok($done != $wrote, "$name: it commits if nobody wrote what it has locked") or diag(${ $commit->{err} });
	like(${ $commit->{err} }, qr/conflict|serialize|lock/i, "$name: or is told why not") if !$done;
	is(query("SELECT count(*) FROM orders WHERE id = $id"), $done ? '1' : '0', "$name: the row");
	is(key_on($_, "order/$id"), $done ? 'xxxxxxxxxx' : '-', "$name: its key, on node $_") foreach 0 .. 2;
	is(key_on($_, 'stock'), $wrote ? 'rival' : $what_it_does eq 'put' ? $id : $id - 1, "$name: what both want, on node $_") foreach 0 .. 2;
	finish_all();
}

try_granted();
try_killed();
try_before($_) foreach qw(require auto);
try_writing($_, 'put') foreach 0, 1;
try_writing($_, 'lock') foreach 0, 1;
$_->stop('immediate') foreach @nodes;
done_testing();
