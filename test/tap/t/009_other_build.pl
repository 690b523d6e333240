# The libraries are replaced under a server that runs, as by the upgrade of a
# package: a worker that starts then has another build's library.  It says so and
# touches nothing; with the right library, or after a restart, it serves.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

# Looked at before the folder of the installed libraries.
my $folder = PostgreSQL::Test::Utils::tempdir();
my $node = new_node('build', 'dynamic_library_path' => "$folder:\$libdir");
my $own = qr/\d+\.\d+-[0-9a-f]{16}/;
my $other = qr/\d+\.\d+-f{16}/;
chomp(my $installed = `pg_config --pkglibdir`);

# A copy of a library of ours with another build's name.
sub replace_library
{
	my ($name) = @_;
	my $library = slurp_file("$installed/$name.so");

	is($library =~ s/(\d+\.\d+-)[0-9a-f]{16}\0/$1 . 'f' x 16 . "\0"/ge, 1,
		"$name names its build");
	append_to_file("$folder/$name.so", $library);
}

# A worker that is refused is in no database, so pg_stat_activity has it not.
sub pid_of
{
	my ($worker) = @_;

	return try_query($node, "SELECT pid FROM tikv_status() WHERE worker = '$worker'") || 0;
}

# Ask a worker to end, so that the postmaster starts another.
sub begin_anew
{
	my ($worker) = @_;
	my $before = pid_of($worker);

	kill 'TERM', $before;
	wait_for("another process of $worker", sub {
		my $now = pid_of($worker);
		return $now != 0 && $now != $before;
	});
}

# How often the log says that a worker was refused.
sub refused
{
	my ($worker) = @_;
	my $log = slurp_file($node->logfile);

	return () = $log =~ /LOG:  tikv $worker does not start with a library of another build/g;
}

$node->start;
serve($node);
is((rawctl($node, 'put', 'k', 'kept'))[0], 0, 'a key is there');
my $postmaster = slurp_file($node->data_dir . '/postmaster.pid');

# ---- a library that is replaced

replace_library('tikv_worker');
replace_library('tikv_status');
is((rawctl($node, 'get', 'k'))[1], 'kept', 'workers that run are not concerned');

foreach my $worker (qw(store status pd))
{
	begin_anew($worker);
	ok(wait_state($node, $worker, 'waiting',
			qr/^its library is of build $other, the server was started with $own: restart the server$/),
		"$worker waits and says why");
	is(refused($worker), 1, 'the log says so');
	begin_anew($worker);
	wait_state($node, $worker, 'waiting', qr/restart the server/);
	is(refused($worker), 1, 'once');
}
my ($answer, $out, $err) = $node->psql('postgres',
	q{SET tikv.request_timeout = '2s'; SELECT tikv_get('k')});
isnt($answer, 0, 'SQL does not read keys meanwhile');
like($err, qr/store .*waiting|build|not serving/i, 'and says so');
is($node->safe_psql('postgres', 'SELECT 1'), '1', 'the server goes on');

# ---- the right one is put back

unlink("$folder/tikv_worker.so", "$folder/tikv_status.so") == 2 or die "unlink: $!";
begin_anew($_) foreach qw(store status pd);
wait_serving($node);
is((rawctl($node, 'get', 'k'))[1], 'kept', 'with the right library the key is served');
is(slurp_file($node->data_dir . '/postmaster.pid'), $postmaster, 'by the same server');

# ---- a server that starts with libraries of two builds

replace_library('tikv_worker');
$node->restart;
wait_state($node, $_, 'waiting', qr/build $other.*build $own|build $other, .*with $own/)
  foreach qw(store pd);
pass('with libraries of two builds nothing is served');
unlink("$folder/tikv_worker.so") == 1 or die "unlink: $!";
$node->restart;
wait_serving($node);
is((rawctl($node, 'get', 'k'))[1], 'kept', 'with those of one build it is');

$node->stop;
done_testing();
