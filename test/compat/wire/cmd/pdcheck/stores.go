package main

import (
	"net"
	"regexp"

	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"

	"tikv_fdw/test/compat/wire/internal/node"
)

var (
	versionForm = regexp.MustCompile(`^v?(\d+)\.(\d+)\.(\d+)(-.*)?$`)
	recent      = regexp.MustCompile(`^v?(6\.[1-9]|[789]\.|[1-9]\d)`)
)

func (t *tester) checkStores() {
	all, err := t.PD.GetAllStores(t.ctx, &pdpb.GetAllStoresRequest{Header: t.Header()})
	t.Check("GetAllStores", first(t.well(all.GetHeader(), err), node.Expect(len(all.GetStores()) > 0, "no stores")))
	living, err := t.PD.GetAllStores(t.ctx, &pdpb.GetAllStoresRequest{Header: t.Header(), ExcludeTombstoneStores: true})
	t.Check("GetAllStores without tombstones", t.well(living.GetHeader(), err))
	for _, store := range living.GetStores() {
		t.Check("store", t.storeErrors(store))
	}
	for _, store := range all.GetStores() {
		one, err := t.PD.GetStore(t.ctx, &pdpb.GetStoreRequest{Header: t.Header(), StoreId: store.Id})
		t.Check("GetStore", first(t.well(one.GetHeader(), err),
			node.Expect(one.GetStore().GetId() == store.Id && one.Store.Address == store.Address, "got %v, want %v", one.GetStore(), store)))
	}
	for _, id := range []uint64{0, 999999999, 1<<64 - 1} {
		none, err := t.PD.GetStore(t.ctx, &pdpb.GetStoreRequest{Header: t.Header(), StoreId: id})
		text := none.GetHeader().GetError().GetMessage()
		t.Check("GetStore of an unknown store", first(t.refused(none.GetHeader(), err, pdpb.ErrorType_UNKNOWN),
			node.Expect(none.GetStore() == nil, "a store beside the error: %v", none),
			node.Expect(regexp.MustCompile(`invalid store ID.*not found`).MatchString(text), "text %q", text)))
	}

	low, err := t.PD.AllocID(t.ctx, &pdpb.AllocIDRequest{Header: t.Header(), Count: 1})
	t.Check("AllocID", first(t.well(low.GetHeader(), err), node.Expect(low.GetId() > 0, "got %v", low)))
	high, err := t.PD.AllocID(t.ctx, &pdpb.AllocIDRequest{Header: t.Header(), Count: 10})
	t.Check("AllocID of ten", first(t.well(high.GetHeader(), err),
		node.Expect(high.GetId() >= low.GetId()+10 && high.GetCount() == 10, "got %v after %v", high, low)))

	config, err := t.PD.GetClusterConfig(t.ctx, &pdpb.GetClusterConfigRequest{Header: t.Header()})
	t.Check("GetClusterConfig", first(t.well(config.GetHeader(), err),
		node.Expect(config.GetCluster().GetId() == t.ClusterID, "got %v", config)))
}

// storeErrors applies what the clients demand of a store that serves.
func (t *tester) storeErrors(store *metapb.Store) error {
	if _, _, err := net.SplitHostPort(store.Address); err != nil {
		return err
	}
	for _, label := range store.Labels {
		if label.Key == "engine" {
			return node.Expect(false, "label %v would exclude the store", label)
		}
	}
	return first(
		node.Expect(store.Id != 0 && store.State == metapb.StoreState_Up, "got %v", store),
		node.Expect(store.NodeState == metapb.NodeState_Serving, "node_state is %v", store.NodeState),
		node.Expect(versionForm.MatchString(store.Version) && recent.MatchString(store.Version), "version is %q", store.Version),
		node.Expect(store.LastHeartbeat > 0, "no heartbeat yet: %v", store))
}
