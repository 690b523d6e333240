# TikvBeside.pm: a commit of a row and of keys as one that stands still between
# the store's word and its end.  Others wait meanwhile, clients are told of
# locks, and then row and keys agree.

package TikvBeside;

use strict;
use warnings;

use Exporter 'import';
use Test::More;
use TikvCommit;
use TikvTest;
use Time::HiRes qw(usleep);

our @EXPORT = qw($node $id $commit $pid ts start_new use_new_node hold held let_go no_locks agree);

our ($node, $commit, $pid); # the server, the session, its backend
our $id = 0;

sub ts { return (txnctl($node, 'ts'))[1] =~ s/\s+//gr; }

sub start_new
{
	my $new = new_node(@_);

	$new->start;
	serve($new);
	return $new;
}

sub use_new_node
{
	($node) = @_;
	use_node($node);
	query('CREATE TABLE orders (id int PRIMARY KEY)');
}

sub hold
{
	my ($point) = @_;

	$id++;
	($commit, $pid) = stop_at($id, $point, 'B');
}

# Nobody sees anything of it, and who wants its region waits.
sub held
{
	my ($what, $other) = @_;

	usleep(500_000);
	if (defined $other)
	{
		$other->{run}->pump_nb;
		ok($other->{run}->pumpable, "$what waits") or diag(${ $other->{out} }, ${ $other->{err} });
	}
	is(told($id), 'locked', "$what: clients are told of a lock");
	is(query("SELECT count(*) FROM orders WHERE id = $id"), '0', "$what: no row is seen");
}

sub let_go
{
	my ($what, @others) = @_;

	kill 'CONT', $pid;
	ok(finish($commit), "$what: the commit goes on") or diag(${ $commit->{err} });
	foreach my $other (@others)
	{
		ok(finish($other), "$what: then the other") or diag(${ $other->{err} });
	}
}

sub no_locks
{
	wait_for('no lock to be left', sub { return query('SELECT count(*) FROM tikv.locks') eq '0'; });
}

# The row, its key, the key of all; and the next one gets through.
sub agree
{
	my ($what, $seen) = @_;

	is(seen($id), $seen // '1,1,1', "$what: what there is");
	no_locks();
	$id++;
	ok(finish(begin_commit($id)), "$what: the next commit gets through");
	is(seen($id), '1,1,1', "$what: with row and keys");
}

1;
