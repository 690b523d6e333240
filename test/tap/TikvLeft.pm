# TikvLeft.pm: rows of all kinds on the nodes of TikvGroup, and what is left of
# them where they are removed in slices.

package TikvLeft;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Utils;
use Test::More;
use TikvGroup;
use TikvTest;

our @EXPORT = qw(
  put_rows rows_on all_rows_on raw_digest wait_in_vain wait_last_slice
);

# What one slice removes at most.
my $slice_rows = 512;

my @tables = qw(raw write value);

# Call a function for each number up to $n, some at a time.
sub put_many
{
	my ($i, $what, $n, $at_once, $sql) = @_;

	foreach my $from (map { $_ * $at_once + 1 } 0 .. $n / $at_once - 1)
	{
		my $to = $from + $at_once - 1;

		wait_for("$what from $from", sub {
			(ask($i, "SELECT count($sql) FROM generate_series($from, $to) i") // '') eq $at_once;
		});
	}
}

# So many raw keys, 1000 keys of transactions, and a lock of one that goes on.
sub put_rows
{
	my ($i, $node, $n_raw, $locked) = @_;

	put_many($i, 'raw keys', $n_raw, 200,
		q{tikv_put(convert_to('raw' || i, 'UTF8'), convert_to(repeat('v', 100), 'UTF8'))});
	put_many($i, 'keys of transactions', 1000, 100,
		q{tikv_txn_put(convert_to('txn' || i, 'UTF8'), convert_to(repeat('v', 300), 'UTF8'))});
	my ($now) = (txnctl($node, 'ts'))[1];
	is((txnctl($node, 'prewrite', $now, $locked, 'x'))[0], 0, 'a lock stays');
}

sub rows_on
{
	my ($i, $table) = @_;

	return ask($i, "SELECT count(*) FROM tikv_internal.$table") // -1;
}

sub all_rows_on
{
	my ($i) = @_;

	return join ' ', map { rows_on($i, $_) } @tables;
}

# Keys and values of a part of the raw keys.
sub raw_digest
{
	my ($i, $where) = @_;

	return ask($i, "SELECT md5(string_agg(key::text || value::text, ',' ORDER BY key)) FROM tikv_internal.raw WHERE $where") // "node $i is silent";
}

# Until a node has tried to change what it knows to be left, and could not.
sub wait_in_vain
{
	my ($what, $node, $since) = @_;

	wait_for("$what to be in vain", sub {
		slurp_file($node->logfile, $since) =~ /could not obtain lock on .*"leftover"|leftover.*lock/i;
	});
}

# Until all but one slice is removed, besides so many rows that stay.
sub wait_last_slice
{
	my ($i, $kept) = @_;

	wait_for('all but the last slice', sub {
		my $left = -$kept;

		$left += rows_on($i, $_) foreach @tables;
		return $left >= 0 && $left <= $slice_rows;
	});
}

1;
