# Instances that are made from a copy of another one, and told apart before
# they start: other stores of the same cluster, each with a Placement Driver
# of its own that knows all of them.

package TikvCopies;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use TikvTest;

our @EXPORT = qw(three_nodes voters_at saved_start copy_node store_record before_start);

# A node, and two that have joined it; all of them serve.
sub three_nodes
{
	my %node = (one => new_node('one'));

	$node{one}->start;
	serve($node{one});
	foreach my $name (qw(two three))
	{
		$node{$name} = new_node($name, 'tikv.join' => $node{one}{tikv}{'tikv.pd_addr'});
		$node{$name}->start;
		serve($node{$name});
	}
	return %node;
}

# How many voters the regions of a node have, as its store sees them.
sub voters_at
{
	return $_[0]->safe_psql('postgres',
		q{SELECT count(*) FROM tikv.raft WHERE role IN ('leader', 'follower')});
}

# The newest start of a node's member of PD that another node has saved.
sub saved_start
{
	my ($at, $of) = @_;

	return $at->safe_psql('postgres', sprintf
		q{SELECT substring(encode(value, 'escape') FROM 'start ([0-9]+)')::int8 >> 16
		  FROM tikv_internal.pd_kv WHERE key LIKE 'member/%%' AND position('%s' in encode(value, 'escape')) > 0},
		$of->{tikv}{'tikv.pd_addr'});
}

# The data of a stopped instance, under the settings of another one.
sub copy_node
{
	my ($from, $to) = @_;
	my $dir = $to->data_dir;
	my $conf = slurp_file("$dir/postgresql.conf");

	system('rm', '-rf', $dir) == 0 or die;
	system('cp', '-a', $from->data_dir, $dir) == 0 or die;
	unlink "$dir/postgresql.conf";
	append_to_file("$dir/postgresql.conf", $conf);
}

# SQL that makes PD's record of store 1, at $from, one of store $id at $to.
sub store_record
{
	my ($from, $to, $id) = @_;
	my $value = "encode(value, 'hex')";

	foreach my $what (qw(addr peer_addr status_addr))
	{
		$value = sprintf "replace(%s, '%s', '%s')", $value,
		  map { unpack('H*', $_->{tikv}{"tikv.$what"}) } $from, $to;
	}
	$value = sprintf "overlay(%s placing '08%02x' from 1)", $value, $id;
	return sprintf
	  "INSERT INTO tikv_internal.pd_kv SELECT 'raft/s/%020d', decode(%s, 'hex') FROM tikv_internal.pd_kv WHERE key = 'raft/s/%020d'",
	  $id, $value, 1;
}

# SQL in an instance whose workers do not run.
sub before_start
{
	my ($node, @sql) = @_;

	$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
	$node->start;
	$node->safe_psql('postgres',
		join(";\n", 'SET session_replication_role = replica', @sql));
	$node->stop;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'tikv_fdw'");
}

1;
