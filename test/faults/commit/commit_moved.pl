# A commit of a row and of keys whose region gets other peers, and another
# leader: at each step at which that can begin.  Either it is one commit and the
# change waits for it, or it is told that it cannot be, and nothing is left of
# it; where keys may commit before tables, both do.
#
# Three nodes take their time to meet, so that all who are not in each other's
# way are under way at once.

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

# On all nodes the same: the row, its key, and one that others want, too.
sub agree
{
	my ($what, $row, $shared, $value) = @_;

	is(query("SELECT count(*) FROM orders WHERE id = $id"), $row, "$what: the row");
	foreach my $i (0 .. 2)
	{
		is(key_on($i, "order/$id"), $row ? 'xxxxxxxxxx' : '-', "$what: its key, on node $i");
		is(key_on($i, $shared), $value, "$what: the key of all, on node $i");
	}
	wait_for('no lock to be left', sub {
		return query("SELECT count(*) FROM tikv.locks WHERE key IN ('$shared', 'order/$id')") eq '0';
	});
	ok(sql(2, "BEGIN; SELECT tikv_txn_put('order/$id', 'z') IS NULL; ROLLBACK; SELECT 1") =~ /1$/, "$what: nobody holds it");
}

sub finish_all
{
	is(sql($_, 'SELECT count(*) FROM tikv_check()'), '0', "node $_: the tables are sound") foreach 0 .. $#nodes;
}

# ---------------------------------------------------------- it was not yet asked

# A session with a number of its own, and a key that others may want.
sub start_other
{
	my ($mode, $does, @between) = @_;
	my $other = { id => ++$id, does => $does, key => "stock/$id" };
	my $value = $does eq 'put' ? ", 'new'" : '';

	query("SELECT tikv_txn_put('$other->{key}', 'old')");
	$other->{run} = psql_start("SET tikv.local_atomic = $mode", 'BEGIN', 'SELECT pg_backend_pid()',
		"SELECT tikv_txn_$does('$other->{key}'$value)",
		"SELECT tikv_txn_put('order/$id', repeat('x', 300)::bytea)",
		@between, "INSERT INTO orders VALUES ($id)", 'COMMIT');
	return $other;
}

# The leader is another one when it asks.
sub start_before
{
	my ($mode) = @_;

	$id += 10;
	set_points('sql_before_grant=1*stop');
	my $other = start_other($mode, 'put');

	$other->{mode} = $mode;
	$other->{pid} = wait_stopped($other->{run}, 'sql_before_grant', 'B', 0);
	return $other;
}

sub finish_before
{
	my ($other) = @_;
	my $name = "before, $other->{mode}";

	$id = $other->{id};
	kill 'CONT', $other->{pid};
	if ($other->{mode} eq 'require')
	{
		ok(!finish($other->{run}), "$name: it is refused");
		like(${ $other->{run}{err} }, qr/cannot be committed as one/, "$name: and told why");
		agree($name, 0, $other->{key}, 'old');
		return;
	}
	ok(finish($other->{run}), "$name: keys, and then the row") or diag(${ $other->{run}{err} });
	like(query("SELECT guarantee FROM tikv.recent_commits WHERE xid IS NOT NULL ORDER BY at DESC LIMIT 1"), qr/1pc|async|two_phase/, "$name: and it says so");
	agree($name, 1, $other->{key}, 'new');
}

# ------------------------------------------------------------- it still writes

# Its locks were of the old leader; somebody else may write since.
sub start_writing
{
	my ($does, $rival) = @_;
	my $waiting = q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted};
	my $before = query($waiting);
	my $other = start_other('auto', $does, 'SELECT pg_advisory_xact_lock_shared(1)');

	$other->{rival} = $rival;
	wait_for('its locks', sub { return query($waiting) == $before + 1; });
	return $other;
}

sub rival
{
	my ($other) = @_;
	my ($answer) = try_sql(2, qq{SET tikv.lock_wait_timeout = '1s'; SELECT tikv_txn_put('$other->{key}', 'rival')});

	$other->{wrote} = $answer == 0;
	note('the rival ' . ($other->{wrote} ? 'wrote' : 'met a lock'));
}

sub finish_writing
{
	my ($other) = @_;
	my $name = "writing, $other->{does}" . ($other->{rival} ? ', rival' : '');
	my $done = finish($other->{run});

	$id = $other->{id};
	ok($done != ($other->{wrote} // 0), "$name: it commits if nobody wrote what it has locked") or diag(${ $other->{run}{err} });
	like(${ $other->{run}{err} }, qr/conflict|serialize|lock/i, "$name: or is told why not") if !$done;
	agree($name, $done ? 1 : 0, $other->{key}, $other->{wrote} ? 'rival' : $other->{does} eq 'put' ? 'new' : 'old');
}

# ------------------------------------------------- the store has given its word

# PD wants peers, and waits for it; the others find another leader behind it.
sub try_granted
{
	my $name = 'granted';

	begin($name);
	my @before = map { start_before($_) } qw(require auto);
	my $gate = $nodes[0]->background_psql('postgres');
	$gate->query_safe('SELECT pg_advisory_lock(1)');
	my @writing = map { (start_writing($_, 0), start_writing($_, 1)) } qw(put lock);
	$id = 2;
	my ($commit, $pid) = stop_at($id, 'sql_rows_written', 'B');

	join_all($name);
	usleep(3_000_000);
	is(query('SELECT count(*) FROM tikv.raft WHERE region_id = 2'), '1', "$name: no peer joins");
	is(told($id), 'locked', "$name: clients are told of a lock");
	kill 'CONT', $pid;
	ok(finish($commit), "$name: the commit goes on") or diag(${ $commit->{err} });
	move();
	agree($name, 1, 'stock', 2);
	finish_before($_) foreach @before;
	rival($_) foreach grep { $_->{rival} } @writing;
	$gate->quit;
	finish_writing($_) foreach @writing;
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
	agree($name, 0, 'stock', 1);
	finish_all();
}

try_granted();
try_killed();
$_->stop('immediate') foreach @nodes;
done_testing();
