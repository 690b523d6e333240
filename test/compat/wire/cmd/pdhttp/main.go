// pdhttp asks the placement driver over HTTP with PD's own client, and with
// plain requests where that has no method: both must read what they get.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/pingcap/kvproto/pkg/keyspacepb"
	pd "github.com/tikv/pd/client/http"

	"tikv_fdw/test/compat/wire/internal/node"
)

type tester struct {
	*node.Node
	*node.Report
	ctx context.Context
	pd  pd.Client
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	report := node.NewReport("pdhttp")
	n, err := node.Connect(ctx)
	report.Fatal(err)
	t := &tester{n, report, ctx, pd.NewClient("tikv_fdw-compat", []string{n.PDAddr})}
	defer t.pd.Close()

	t.checkCluster()
	t.checkRegions()
	t.checkConfig()
	t.checkKeyspaces()
	t.checkScheduling()
	t.checkPlain()
	t.checkOtherClients()
	report.Check("the node still answers", n.Alive(ctx))
	report.Exit()
}

func both(err error, ok bool, format string, args ...any) error {
	if err != nil {
		return err
	}
	return node.Expect(ok, format, args...)
}

func (t *tester) checkCluster() {
	members, err := t.pd.GetMembers(t.ctx)
	t.Check("GetMembers", both(err, members != nil && len(members.Members) == len(t.Members.Members) &&
		members.Leader.GetMemberId() == t.Members.Leader.MemberId && members.EtcdLeader.GetName() == t.Members.Leader.Name, "got %v", members))
	leader, err := t.pd.GetLeader(t.ctx)
	t.Check("GetLeader", both(err, leader.GetMemberId() == t.Members.Leader.MemberId && len(leader.ClientUrls) > 0, "got %v", leader))
	health, err := t.pd.GetHealthStatus(t.ctx)
	t.Check("GetHealthStatus", both(err, len(health) == 1 && health[0].Health, "got %v", health))
	cluster, err := t.pd.GetCluster(t.ctx)
	t.Check("GetCluster", both(err, cluster.GetId() == t.ClusterID && cluster.MaxPeerCount > 0, "got %v", cluster))
	status, err := t.pd.GetClusterStatus(t.ctx)
	t.Check("GetClusterStatus", both(err, status != nil && status.IsInitialized && !status.RaftBootstrapTime.IsZero(), "got %v", status))
	version, err := t.pd.GetPDVersion(t.ctx)
	t.Check("GetPDVersion", both(err, version != "", "got %q", version))
	state, err := t.pd.GetStatus(t.ctx)
	t.Check("GetStatus", both(err, state != nil && state.StartTimestamp > 0, "got %v", state))
	stores, err := t.pd.GetStores(t.ctx)
	t.Check("GetStores", both(err, stores != nil && stores.Count > 0 && stores.Count == len(stores.Stores), "got %v", stores))
	store, err := t.pd.GetStore(t.ctx, t.Leader.StoreId)
	t.Check("GetStore", both(err, store != nil && store.Store.Address == t.StoreAddr && store.Store.StateName == "Up" && store.Status.LeaderCount > 0 &&
		store.Status.Capacity != "" && !store.Status.LastHeartbeatTS.IsZero(), "got %+v", store))
	_, err = t.pd.GetStore(t.ctx, 987654321)
	t.Check("GetStore of none", node.Expect(err != nil, "it is there"))
	t.Check("DeleteStore of the only one", node.Expect(t.pd.DeleteStore(t.ctx, t.Leader.StoreId) != nil, "it went"))

	err = t.pd.SetStoreLabels(t.ctx, int64(t.Leader.StoreId), map[string]string{"compat": "yes"})
	t.Check("SetStoreLabels", err)
	store, err = t.pd.GetStore(t.ctx, t.Leader.StoreId)
	t.Check("GetStore with a label", both(err, store != nil && len(store.Store.Labels) == 1 && store.Store.Labels[0].Value == "yes", "got %+v", store))
	t.Check("DeleteStoreLabel", t.pd.DeleteStoreLabel(t.ctx, int64(t.Leader.StoreId), "compat"))
	store, err = t.pd.GetStore(t.ctx, t.Leader.StoreId)
	t.Check("GetStore without it", both(err, store != nil && len(store.Store.Labels) == 0, "got %+v", store))

	resolved, byStore, err := t.pd.GetMinResolvedTSByStoresIDs(t.ctx, []uint64{t.Leader.StoreId})
	t.Check("GetMinResolvedTSByStoresIDs", both(err, len(byStore) == 1 && byStore[t.Leader.StoreId] == resolved, "got %d %v", resolved, byStore))
	points, err := t.pd.GetGCSafePoint(t.ctx)
	t.Check("GetGCSafePoint", both(err, len(points.ServiceGCSafepoints) > 0 && points.ServiceGCSafepoints[len(points.ServiceGCSafepoints)-1].ServiceID == "gc_worker", "got %v", points))
	_, err = t.pd.DeleteGCSafePoint(t.ctx, "compat-none")
	t.Check("DeleteGCSafePoint", err)
}

func (t *tester) checkRegions() {
	all, err := t.pd.GetRegions(t.ctx)
	t.Check("GetRegions", both(err, all != nil && all.Count > 0 && int64(len(all.Regions)) == all.Count, "got %v", all))
	byID, err := t.pd.GetRegionByID(t.ctx, t.Region.Id)
	t.Check("GetRegionByID", both(err, byID != nil && byID.ID == int64(t.Region.Id) && byID.Leader.ID == int64(t.Leader.Id) &&
		byID.Epoch.Version == int64(t.Region.RegionEpoch.Version) && len(byID.Peers) == len(t.Region.Peers), "got %+v", byID))
	none, err := t.pd.GetRegionByID(t.ctx, 987654321)
	t.Check("GetRegionByID of none", both(err, none != nil && none.ID == 0, "got %v", none))
	for _, key := range []string{"", "a", "a b+c/d?e", "\x00\xff\x00"} {
		byKey, err := t.pd.GetRegionByKey(t.ctx, []byte("k"+key))
		t.Check(fmt.Sprintf("GetRegionByKey %q", key), both(err, byKey != nil && byKey.ID != 0, "got %v", byKey))
	}
	some, err := t.pd.GetRegionsByKeyRange(t.ctx, pd.NewKeyRange([]byte("a\x00"), []byte("z")), 10)
	t.Check("GetRegionsByKeyRange", both(err, some != nil && some.Count > 0 && some.Count <= 10, "got %v", some))
	some, err = t.pd.GetRegionsByStoreID(t.ctx, t.Leader.StoreId)
	t.Check("GetRegionsByStoreID", both(err, some != nil && some.Count == all.Count, "got %v", some))
	some, err = t.pd.GetRegionsByStoreID(t.ctx, 987654321)
	t.Check("GetRegionsByStoreID of none", both(err, some != nil && some.Count == 0, "got %v", some))
	_, err = t.pd.GetRegionSiblingsByID(t.ctx, t.Region.Id)
	t.Check("GetRegionSiblingsByID", err)
	_, err = t.pd.GetEmptyRegions(t.ctx)
	t.Check("GetEmptyRegions", err)
	replicated, err := t.pd.GetRegionsReplicatedStateByKeyRange(t.ctx, pd.NewKeyRange([]byte("a"), []byte("z")))
	t.Check("GetRegionsReplicatedStateByKeyRange", both(err, replicated == "INPROGRESS" || replicated == "REPLICATED", "got %q", replicated))
	stats, err := t.pd.GetRegionStatusByKeyRange(t.ctx, pd.NewKeyRange([]byte(""), []byte("")), false)
	t.Check("GetRegionStatusByKeyRange", both(err, stats != nil && int64(stats.Count) == all.Count && stats.StoreLeaderCount[t.Leader.StoreId] > 0, "got %+v", stats))
	hot, err := t.pd.GetHotReadRegions(t.ctx)
	t.Check("GetHotReadRegions", both(err, hot != nil && len(hot.AsLeader) == 0, "got %v", hot))
	hot, err = t.pd.GetHotWriteRegions(t.ctx)
	t.Check("GetHotWriteRegions", both(err, hot != nil && len(hot.AsPeer) == 0, "got %v", hot))
}

func (t *tester) checkConfig() {
	config, err := t.pd.GetConfig(t.ctx)
	t.Check("GetConfig", both(err, config["schedule"] != nil && config["replication"] != nil, "got %v", config))
	schedule, err := t.pd.GetScheduleConfig(t.ctx)
	t.Check("GetScheduleConfig", both(err, schedule["leader-schedule-limit"] == 4.0, "got %v", schedule))
	replicas := func() float64 {
		got, err := t.pd.GetReplicateConfig(t.ctx)
		t.Check("GetReplicateConfig", err)
		value, _ := got["max-replicas"].(float64)
		return value
	}
	before := replicas()
	t.Check("SetConfig", t.pd.SetConfig(t.ctx, map[string]any{"max-replicas": before + 1}))
	t.Check("which is kept", node.Expect(replicas() == before+1, "it is not"))
	t.Check("SetConfig back", t.pd.SetConfig(t.ctx, map[string]any{"max-replicas": before}))
	t.Check("SetConfig of what has no effect", node.Expect(t.pd.SetConfig(t.ctx, map[string]any{"leader-schedule-limit": 8}) != nil, "it is accepted"))
	t.Check("SetConfig of nonsense", node.Expect(t.pd.SetConfig(t.ctx, map[string]any{"max-replicas": -1}) != nil, "it is accepted"))
	version, err := t.pd.GetClusterVersion(t.ctx)
	t.Check("GetClusterVersion", both(err, version != "", "got %q", version))

	rule, err := t.pd.GetPlacementRule(t.ctx, "pd", "default")
	t.Check("GetPlacementRule", both(err, rule != nil && rule.Role == pd.Voter && float64(rule.Count) == before, "got %v", rule))
	rules, err := t.pd.GetPlacementRulesByGroup(t.ctx, "pd")
	t.Check("GetPlacementRulesByGroup", both(err, len(rules) == 1, "got %v", rules))
	bundles, err := t.pd.GetAllPlacementRuleBundles(t.ctx)
	t.Check("GetAllPlacementRuleBundles", both(err, len(bundles) == 1 && len(bundles[0].Rules) == 1, "got %v", bundles))
	bundle, err := t.pd.GetPlacementRuleBundleByGroup(t.ctx, "pd")
	t.Check("GetPlacementRuleBundleByGroup", both(err, bundle != nil && len(bundle.Rules) == 1, "got %v", bundle))
	groups, err := t.pd.GetAllPlacementRuleGroups(t.ctx)
	t.Check("GetAllPlacementRuleGroups", both(err, len(groups) == 1 && groups[0].ID == "pd", "got %v", groups))
	labels, err := t.pd.GetAllRegionLabelRules(t.ctx)
	t.Check("GetAllRegionLabelRules", both(err, len(labels) == 0, "got %v", labels))
	t.Check("SetPlacementRule", node.Expect(t.pd.SetPlacementRule(t.ctx, rule) != nil, "it is accepted"))
}

func (t *tester) checkKeyspaces() {
	def, err := t.pd.GetKeyspaceMetaByName(t.ctx, "DEFAULT")
	t.Check("GetKeyspaceMetaByName", both(err, def.GetName() == "DEFAULT" && def.State == keyspacepb.KeyspaceState_ENABLED, "got %v", def))
	def, err = t.pd.GetKeyspaceMetaByID(t.ctx, 0)
	t.Check("GetKeyspaceMetaByID", both(err, def.GetName() == "DEFAULT", "got %v", def))
	_, err = t.pd.GetKeyspaceMetaByName(t.ctx, "none")
	t.Check("GetKeyspaceMetaByName of none", node.Expect(err != nil, "it is there"))

	name := fmt.Sprintf("h%d", time.Now().UnixNano()%1e15)
	t.call("POST", "/pd/api/v2/keyspaces", map[string]any{"name": name, "config": map[string]string{"a": "1"}}, 200)
	t.call("POST", "/pd/api/v2/keyspaces", map[string]any{"name": name}, 500)
	t.call("POST", "/pd/api/v2/keyspaces", map[string]any{"name": "not a name"}, 500)
	t.call("POST", "/pd/api/v2/keyspaces", map[string]any{"config": 1}, 400)
	made, err := t.pd.GetKeyspaceMetaByName(t.ctx, name)
	t.Check("GetKeyspaceMetaByName of a new one", both(err, made.GetId() > 0 && made.Config["a"] == "1", "got %v", made))
	value := "2"
	patched, err := t.pd.UpdateKeyspaceConfig(t.ctx, name, &pd.UpdateKeyspaceConfigParams{Config: map[string]*string{"a": nil, "b": &value}})
	t.Check("UpdateKeyspaceConfig", both(err, len(patched.GetConfig()) == 1 && patched.Config["b"] == "2", "got %v", patched))
	t.call("PATCH", "/pd/api/v2/keyspaces/"+name+"/config", map[string]any{"config": map[string]string{"c": "3"}, "preconditions": map[string]any{"b": nil}}, 409)
	t.call("PATCH", "/pd/api/v2/keyspaces/"+name+"/config", map[string]any{"config": map[string]string{"c": "3"}, "preconditions": map[string]any{"b": "2", "z": nil}}, 200)
	t.call("PUT", "/pd/api/v2/keyspaces/"+name+"/state", map[string]any{"state": "disabled"}, 200)
	t.call("PUT", "/pd/api/v2/keyspaces/"+name+"/state", map[string]any{"state": "TOMBSTONE"}, 500)
	t.call("PUT", "/pd/api/v2/keyspaces/"+name+"/state", map[string]any{"state": "odd"}, 400)

	var page struct {
		Keyspaces []struct {
			Name string `json:"name"`
		} `json:"keyspaces"`
		Next string `json:"next_page_token"`
	}
	seen := 0
	for token := ""; ; token = page.Next {
		err = json.Unmarshal(t.call("GET", "/pd/api/v2/keyspaces?limit=1&page_token="+token, nil, 200), &page)
		seen += len(page.Keyspaces)
		if err != nil || page.Next == "" || seen > 10000 {
			break
		}
	}
	t.Check("keyspaces page by page", both(err, seen >= 2, "%d of them", seen))
}

func (t *tester) checkScheduling() {
	schedulers, err := t.pd.GetSchedulers(t.ctx)
	t.Check("GetSchedulers", both(err, len(schedulers) == 2, "got %v", schedulers))
	t.Check("CreateScheduler", node.Expect(t.pd.CreateScheduler(t.ctx, "evict-leader-scheduler", t.Leader.StoreId) != nil, "it is accepted"))
	t.Check("TransferLeader", node.Expect(t.pd.TransferLeader(t.ctx, "other") != nil, "it is accepted"))
}

// call sends a plain request and checks the status.
func (t *tester) call(method, path string, body any, status int) []byte {
	var text []byte
	if body != nil {
		text, _ = json.Marshal(body)
	}
	request, err := http.NewRequestWithContext(t.ctx, method, "http://"+t.PDAddr+path, bytes.NewReader(text))
	var got []byte
	if err == nil {
		var answer *http.Response
		if answer, err = http.DefaultClient.Do(request); err == nil {
			got, err = io.ReadAll(answer.Body)
			answer.Body.Close()
			err = both(err, answer.StatusCode == status, "status %s, want %d: %s", answer.Status, status, got)
		}
	}
	t.Check(method+" "+path, err)
	return got
}
