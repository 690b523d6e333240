# README's five minutes: three nodes in which a leader is killed, as a person types
# it: the commands are taken from the page.  Only where they go is another place:
# the folder is the test's, and the ports are others, of which another cluster may
# have the page's: behind `scripts/cluster` and `out/bin/rawctl` are scripts that
# shift them.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $home = PostgreSQL::Test::Utils::tempdir_short();
my $dir = "$home/three";
# No port of it is among those of outgoing connections.
my $base = ($ENV{BASE_PORT} // 10000) + 600;

# A script at the path that the page names.
sub stand_in
{
	my ($path, $text) = @_;

	append_to_file("$home/$path", "#!/bin/bash\n$text\n");
	chmod 0755, "$home/$path";
}

# The shell's blocks of the section.
sub blocks
{
	my ($section) = slurp_file($ENV{README}) =~ /^## Five minutes: [^\n]*\n(.*?)^## /ms
	  or die 'README.md has no section "Five minutes"';

	return map { s{/tmp/three}{$dir}gr =~ s{\b(5432\d)\b}{$1 + $base}ger }
	  $section =~ /^```sh\n(.*?)^```/msg;
}

# What a shell prints for the commands, typed one after the other.  The page has
# one shell for all: what it knows by `env` the others know, too.
sub type
{
	my ($commands) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'env', '-C', $home, 'bash', '-e' ], '<', \$commands, '>', \$out, '2>', \$err);
	my $answer = $? >> 8;
	note("exit status $answer\n$out\n$err");
	return ($answer, $out);
}

# One value of a node.
sub ask
{
	my ($i, $sql) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'psql', '-XAtq', '-h', '127.0.0.1', '-p', 54321 + $i + $base,
		'-U', 'postgres', '-c', $sql, 'postgres' ], '<', \undef, '>', \$out, '2>', \$err);
	chomp $out;
	return $out;
}

# How many voters the region has and how many members PD, as this node is told.
sub voters
{
	return ask($_[0], q{SELECT count(*) FROM tikv.raft WHERE role IN ('leader', 'follower')})
	  . ask($_[0], q{SELECT count(*) FROM tikv.members});
}

# Whatever happens; the exit status is the test's.
END
{
	my $status = $?;

	system("$home/scripts/cluster", 'stop', '--wipe', '--dir', $dir);
	$? = $status;
}

mkdir "$home/$_" foreach qw(scripts out out/bin);
stand_in('scripts/cluster', qq{at=; [ "\$1" != start ] || at='--base-port $base'
exec $ENV{TESTDIR}/scripts/cluster "\$\@" \$at});
my $pd = 2389 + $base;
stand_in('out/bin/rawctl', qq{exec $ENV{RAWCTL} "\${\@/127.0.0.1:2389/127.0.0.1:$pd}"});
# Of the cluster that quickstart makes there is none here.
$ENV{TIKV_HOME} = "$home/quickstart";

my @blocks = blocks();
is(scalar @blocks, 3, 'three blocks of commands');
my ($env) = $blocks[0] =~ /^(eval .*\n)/m or die 'nothing tells the shell of the first node';

my ($answer, $out) = type($blocks[0]);
is($answer, 0, 'three nodes start');
like($out, qr/\bleader\b/, 'the first one leads the region');
wait_for('three voters and three members', sub { return voters(0) eq '33' });
is(ask(0, q{SELECT role FROM tikv.raft WHERE is_local}), 'leader', 'the node that is to be killed leads the region');
like(ask(1, q{SELECT client_urls FROM tikv.members WHERE is_leader}), qr/:@{[ 2379 + $base ]}\b/, 'and PD');

my $stock = qr/\bbolt *\| *97\n *nut *\| *45\n/;
($answer, $out) = type($env . $blocks[1]);
is($answer, 0, 'the second one has the same keys as a table');
like($out, $stock, 'and what it has written the first one reads');

# The last command removes what there is to be looked at.
my ($until_back, $wipe) = $blocks[2] =~ /^(.*\n)(.*\n)$/s;
($answer, $out) = type($env . $until_back);
is($answer, 0, 'a leader is killed and comes back');
like($out, qr/$stock.*^w$.*\n *w\n.*$stock/ms,
	'meanwhile others have what was committed, and take writes; then so has the dead one');
wait_for('three voters and three members again', sub { return voters(0) eq '33' });

($answer, $out) = type($env . $wipe);
is($answer, 0, 'the cluster is stopped');
ok(!-e $dir, 'and gone');

done_testing();
