# Instances that are made from a copy of another one, and told apart before
# they start: other stores of the same cluster, each with a Placement Driver
# of its own that knows all of them.

package TikvCopies;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;

our @EXPORT = qw(copy_node store_record before_start);

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
