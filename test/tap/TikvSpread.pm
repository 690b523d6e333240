# TikvSpread.pm: three nodes that joined each other, whose regions have leaders
# on different ones.
#
# Regions of the empty cluster are cut at keys, and their leaders moved; PD is
# told not to move them back.

package TikvSpread;

use strict;
use warnings;

use Exporter 'import';
use HTTP::Tiny;
use JSON::PP;
use Test::More;
use TikvTest;
use Time::HiRes qw(time usleep);

our @EXPORT = qw(start_first join_one join_others make_spread sql try_sql regions_of move_leader store_of pd);

my @nodes;
my %node_of; # by store id

sub pd
{
	my ($method, $path, $body) = @_;
	my $url = 'http://' . $nodes[0]{tikv}{'tikv.pd_addr'} . "/pd/api/v1/$path";
	my $answer = HTTP::Tiny->new(timeout => 10)->request($method, $url,
		{ defined $body ? (content => JSON::PP->new->encode($body)) : () });

	return ($answer->{status},
		eval { JSON::PP->new->allow_nonref->decode($answer->{content}) });
}

sub try_sql
{
	my ($i, $sql, %more) = @_;
	my ($out, $err);
	my $answer = $nodes[$i]->psql('postgres', $sql, stdout => \$out,
		stderr => \$err, timeout => 60, %more);

	return ($answer, $out, $err);
}

sub sql
{
	my ($answer, $out, $err) = try_sql(@_);

	diag("$_[1]: $err") if $answer != 0;
	return $out;
}

# [id, node that leads, number of voters] of the regions, in the order of keys.
sub regions_of
{
	my ($status, $body) = pd('GET', 'regions');

	# Between two leaders PD says so, in a word.
	return () if ref $body ne 'HASH';
	my @regions = sort { ($a->{start_key} // '') cmp ($b->{start_key} // '') }
	  @{ $body->{regions} // [] };

	return map {
		[ $_->{id}, $node_of{ $_->{leader}{store_id} // 0 },
			scalar grep { !$_->{role} } @{ $_->{peers} } ]
	} @regions;
}

sub store_of
{
	my ($i) = @_;

	return (grep { $node_of{$_} == $i } keys %node_of)[0];
}

# Until PD has heard of it, too.
sub move_leader
{
	my ($region, $to) = @_;

	wait_for("node $to to lead region $region", sub {
		my ($now) = grep { $_->[0] == $region } regions_of();

		return 0 if !defined $now || !defined $now->[1];
		return 1 if $now->[1] == $to;
		try_sql($now->[1], 'SELECT tikv_transfer_leader(' . "$region, " . store_of($to) . ')');
		usleep(300_000);
		return 0;
	});
}

# The first node, alone.
sub start_first
{
	my ($name, %settings) = @_;

	@nodes = (new_node("${name}0", %settings));
	$nodes[0]->start;
	serve($nodes[0]);
	return $nodes[0];
}

# One more, which PD gives peers as long as regions have fewer than three.
sub join_one
{
	my ($name, %settings) = @_;
	my $i = @nodes;

	push @nodes, new_node("$name$i", %settings,
		'tikv.join' => $nodes[0]{tikv}{'tikv.pd_addr'});
	$nodes[$i]->start;
	serve($nodes[$i]);
	learn_stores();
	return $nodes[$i];
}

sub learn_stores
{
	foreach my $i (0 .. $#nodes)
	{
		my $store = $nodes[$i]->safe_psql('postgres', "SELECT store_id FROM tikv.stores WHERE address = '" . $nodes[$i]{tikv}{'tikv.addr'} . "'");

		$node_of{$store} = $i;
	}
}

# Two more.
sub join_others
{
	my ($name, %settings) = @_;

	join_one($name, %settings) foreach 1, 2;
	pd('POST', 'schedulers/balance-leader-scheduler', { delay => 3600 });
	return @nodes;
}

# Nodes with regions cut at the keys; leaders[i] is the node that leads the i-th.
sub make_spread
{
	my ($name, $keys, $leaders, %settings) = @_;

	start_first($name, %settings);
	join_others($name, %settings);
	wait_for('three voters', sub { my @r = regions_of(); @r == 1 && $r[0][2] == 3 });
	foreach my $key (@$keys)
	{
		wait_for("a split at $key", sub {
			(txnctl($nodes[0], 'split', $key))[0] == 0;
		});
		wait_for('PD to know the pieces', sub {
			my @regions = regions_of();

			return !grep { $_->[2] != 3 || !defined $_->[1] } @regions;
		});
	}
	wait_for('all pieces', sub { scalar(my @r = regions_of()) == @$keys + 1 });
	my @regions = regions_of();

	move_leader($regions[$_][0], $leaders->[$_]) foreach 0 .. $#regions;
	return @nodes;
}

1;
