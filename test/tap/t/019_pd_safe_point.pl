# Safe points beyond all timestamps, which an older release has stored at all
# members of a Placement Driver: whoever leads does not believe them.

use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;
use TikvCopies;
use TikvTest;

my $most = '18446744073709551615';
my %node = three_nodes();

sub put_beyond
{
	my ($key) = @_;

	return qq{DO \$\$ BEGIN
	DELETE FROM tikv_internal.pd_kv WHERE key = '$key';
	INSERT INTO tikv_internal.pd_kv VALUES ('$key', '$most');
	END \$\$};
}

sub points
{
	return $_[0]->safe_psql('postgres',
		"SELECT gc_safe_point < $most AND gc_safe_point = txn_safe_point FROM tikv.gc");
}

sub records
{
	return $_[0]->safe_psql('postgres',
		q{SELECT count(*) FROM tikv_internal.pd_kv WHERE key IN ('gc/safe_point',
		  '/tidb/store/gcworker/saved_safe_point') AND value = }
		  . "'$most'");
}

wait_for('all members to be known', sub {
	return $node{two}->safe_psql('postgres', 'SELECT count(*) FROM tikv.members') eq '3';
});
my %log = map { $_ => -s $node{$_}->logfile } keys %node;
$_->stop foreach values %node;
before_start($_, map { put_beyond($_) } 'gc/safe_point',
	'/tidb/store/gcworker/saved_safe_point') foreach values %node;
$_->start foreach values %node;
wait_serving($_) foreach values %node;

is(points($node{$_}), 't', "$_: timestamps have reached both points") foreach sort keys %node;
my $said = grep {
	slurp_file($node{$_}->logfile, $log{$_}) =~
	  /saved safe points lie beyond all timestamps and are not believed/
} keys %node;
cmp_ok($said, '>=', 1, 'who led said so');
wait_for('the region to have a leader', sub {
	return (rawctl($node{one}, 'put', 'raw', 'v'))[0] == 0;
});
foreach my $name (sort keys %node)
{
	wait_for("$name to have what it saved", sub { records($node{$name}) eq '0' });
	my ($answer, $out, $err) = txnctl($node{$name}, 'ts');
	my $start = $out;
	is((txnctl($node{$name}, 'prewrite', $start, "k$name", 'v'))[0], 0, "$name: a prewrite");
	($answer, $out, $err) = txnctl($node{$name}, 'ts');
	is((txnctl($node{$name}, 'commit', $start, $out, "k$name"))[0], 0, "$name: a commit");
}
$_->stop foreach values %node;
done_testing();
