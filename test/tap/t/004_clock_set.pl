# The time of day is set while a session waits for a worker: it waits as long as
# tikv.request_timeout says, no longer and no shorter.  And while a transaction is
# open: what it may read is kept, and so are its locks.  And while a client of gRPC
# is not answered: its time ends, too.

use strict;
use warnings;

use Http2;
use IPC::Run;
use Test::More;
use TikvClock;
use TikvTest;

my $node = new_node('clock_set', 'tikv.request_timeout' => '3s', 'tikv.gc_life_time' => '3s');

# A statement that waits for the store, which stands still.
sub begin
{
	my ($sql) = @_;
	my %session = (out => '', err => '');

	$session{run} = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', $sql ],
		'<', \undef, '>', \$session{out}, '2>', \$session{err});
	wait_for('the session to wait', sub {
		return $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity
			WHERE wait_event_type = 'Extension' AND query LIKE 'SELECT tikv_put(%'}) == 1;
	});
	return \%session;
}

sub finish
{
	my ($session) = @_;

	wait_for('the session to end', sub {
		$session->{run}->pump_nb if $session->{run}->pumpable;
		return !$session->{run}->pumpable;
	});
	$session->{run}->finish;
	return $session->{out} . $session->{err};
}

start_with_clock($node);
serve($node);
$node->safe_psql('postgres', q{SELECT tikv_put('key', 'value')});
my @store = pids($node, 'tikv store');

END { kill 'CONT', @store if @store } # or the server does not stop after a failure

# ---- back by an hour: it would be waited for so much longer
hold_still($node, @store);
my $session = begin(q{SELECT tikv_put('key', 'late')});
set_clock($node, -3600);
cmp_ok($node->safe_psql('postgres', 'SELECT extract(epoch FROM clock_timestamp())'), '<', time() - 3000,
	'the server has another time of day');
like(finish($session), qr/ERROR:  tikv store is busy.*Nothing was done/s, 'after the time of day went back a wait ends');
kill 'CONT', @store;

# ---- and forth: it would be over
$node->safe_psql('postgres', q{ALTER DATABASE postgres SET tikv.request_timeout = '80s'});
$node->safe_psql('postgres', q{SELECT tikv_put('key', 'value')});
hold_still($node, @store);
$session = begin(q{SELECT tikv_put('key', 'at last')});
set_clock($node, 3600);
cmp_ok($node->safe_psql('postgres', 'SELECT extract(epoch FROM clock_timestamp())'), '>', time() + 3000,
	'the server has another time of day');
sleep 5;
kill 'CONT', @store;
is(finish($session), "\n", 'after it went forth a wait goes on');
is($node->safe_psql('postgres', q{SELECT convert_from(tikv_get('key'), 'UTF8')}), 'at last',
	'and ends when it is done');

# ---- back while a transaction is open: the barrier before garbage collection
# stays, and the life of its lock gets longer
my $barrier_sql = q{SELECT string_agg(barrier_ts::text, ' ') FROM tikv.gc_barriers WHERE name LIKE 'tikv_fdw/sql/%'};
my $lock_sql = q{SELECT max(ttl_ms) FROM tikv.locks};

sub beats_of
{
	return $node->safe_psql('postgres', 'SELECT max(heartbeats) FROM tikv.transactions WHERE pid = ' . $_[0]);
}

my $open = $node->background_psql('postgres');
$open->query_safe(q{BEGIN; SELECT tikv_txn_put('open', 'yes')});
my $pid = $open->query_safe('SELECT pg_backend_pid()');
my $barrier = wait_for('a barrier', sub { return $node->safe_psql('postgres', $barrier_sql); });
my $beats = wait_for('a heartbeat', sub { return beats_of($pid); });
my $ttl = $node->safe_psql('postgres', $lock_sql);
set_clock($node, -3600);
wait_for('two heartbeats', sub { return beats_of($pid) >= $beats + 2; });
is($node->safe_psql('postgres', $barrier_sql), $barrier, 'after the time of day went back the barrier is there');
cmp_ok($node->safe_psql('postgres', $lock_sql), '>', $ttl, 'and the lock lives longer');
$open->query_safe('COMMIT');
$open->quit;
is($node->safe_psql('postgres', q{SELECT convert_from(tikv_txn_get('open'), 'UTF8')}), 'yes', 'it commits');
wait_for('the barrier to go', sub { return $node->safe_psql('postgres', $barrier_sql) eq ''; });

# ---- back while a stream is open that nobody says anything on
my $stream = begin_stream($node->{tikv}{'tikv.addr'}, '/tikvpb.Tikv/BatchCommands', 'grpc-timeout' => '3S');
set_clock($node, -7200);
hear($stream, 60);
ok($stream->{over}, 'after the time of day went back the deadline of a call ends it');
$node->stop;
done_testing();
