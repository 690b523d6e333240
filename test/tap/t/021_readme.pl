# README's worked example, as a person types it: its SQL is taken from the page.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvTest;

my $node = new_node('readme');

# The SQL of a section, block by block.
sub blocks
{
	my ($title) = @_;
	my ($section) = slurp_file($ENV{README}) =~ /^## \Q$title\E\n(.*?)^## /ms
	  or die "README.md has no section \"$title\"";

	return $section =~ /^```sql\n(.*?)^```/msg;
}

# What psql prints for a block, as an interactive session would get it.
sub type
{
	my ($block) = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$block, '>', \$out, '2>', \$err);
	note($err) if $err ne '';
	return ($out, $err);
}

my @blocks = blocks('Orders in a table, stock in keys');
is(scalar @blocks, 5, 'five blocks of SQL');
$node->start;
serve($node);

my ($out, $err) = type($blocks[0]);
is($err, '', 'the tables are there');

($out, $err) = type($blocks[1]);
is("$out$err", "one_commit|1\n", 'one commit for both');

($out, $err) = type($blocks[2]);
like($err, qr/connection|closed/, 'the crash takes the session with it');
wait_for('the server to start again', sub {
	return defined try_query($node, 'SELECT 1');
});
wait_serving($node);

($out, $err) = type($blocks[3]);
is("$out$err", "bolt|97|3\nnut|50|0\n", 'neither the order nor the sale is there');

($out, $err) = type($blocks[4]);
is($err, '', 'no error on the way to the past');
like($out, qr/^12 cents\|10 cents$/m, 'what is and what was');

$node->stop;
done_testing();
