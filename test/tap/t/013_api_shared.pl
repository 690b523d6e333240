# The API version of a store whose region others have, too: they decode its
# entries by their own, so none takes another one alone, though there is no key.

use strict;
use warnings;

use Test::More;
use TikvCopies;
use TikvTest;

my %node = three_nodes();
my $follower = wait_for('a follower with a peer', sub {
	foreach my $name (sort keys %node)
	{
		my $role = try_query($node{$name}, 'SELECT role FROM tikv.raft') // '';

		return $name if $role =~ /follower/i;
	}
	return undef;
});
my $node = $node{$follower};

is($node->safe_psql('postgres', 'SELECT count(*) FROM tikv_internal.raw'), 0, 'there is no key');
$node->append_conf('postgresql.conf', 'tikv.enable_ttl = on');
$node->restart;
wait_state($node, 'store', 'waiting', qr/the settings are tikv.api_version = 1, tikv.enable_ttl = on; set them back/);
pass('a follower does not take another API version');
$node->append_conf('postgresql.conf', 'tikv.enable_ttl = off');
$node->restart;
wait_serving($node);
pass('and serves when the setting is set back');
$_->stop('immediate') foreach values %node;
done_testing();
