package nemesis

import (
	"context"
	"fmt"
	"math/rand"
	"strings"

	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"

	"tikv_fdw/test/faults/cluster"
)

// Attending harms nobody: it knows who is there, who leads and who serves.
func Attending(c *cluster.Cluster, random *rand.Rand) *Nemesis {
	return newNemesis(c, random)
}

// EachServes demands an acknowledged write and a read of each node.
func (n *Nemesis) EachServes() error {
	return n.eachServes()
}

// Members of PD, as one of them knows them.
func (r *Router) Members(ctx context.Context) (*pdpb.GetMembersResponse, error) {
	return r.members(ctx)
}

// MemberOf says which node a member of PD is.
func (n *Nemesis) MemberOf(member *pdpb.Member) (int, error) {
	for _, url := range member.GetClientUrls() {
		for _, node := range n.Cluster.Here() {
			if strings.TrimPrefix(url, "http://") == n.Cluster.PDAddressOf(node) {
				return node, nil
			}
		}
	}
	return -1, fmt.Errorf("member %d of PD at %q is no node of %v", member.GetMemberId(), member.GetClientUrls(), n.Cluster.Here())
}

// Stores that PD knows and that have not left.
func (r *Router) Stores(ctx context.Context) (all []*metapb.Store, err error) {
	header, err := r.Header(ctx)
	if err != nil {
		return nil, err
	}
	err = r.askPD(ctx, func(ctx context.Context, pd pdpb.PDClient) error {
		reply, err := pd.GetAllStores(ctx, &pdpb.GetAllStoresRequest{Header: header, ExcludeTombstoneStores: true})
		all = reply.GetStores()
		return Failed(reply.GetHeader(), err)
	})
	return all, err
}
