package main

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/emptypb"

	"tikv_fdw/test/compat/wire/internal/node"
)

func equal(a, b protoadapt.MessageV1) bool {
	return proto.Equal(protoadapt.MessageV2Of(a), protoadapt.MessageV2Of(b))
}

func (t *tester) checkMembers() {
	got, err := t.PD.GetMembers(t.ctx, &pdpb.GetMembersRequest{})
	t.Check("GetMembers", first(t.well(got.GetHeader(), err), memberErrors(got)))
	other, err := t.PD.GetMembers(t.ctx, &pdpb.GetMembersRequest{Header: &pdpb.RequestHeader{ClusterId: t.ClusterID + 1}})
	t.Check("GetMembers with any cluster id", t.well(other.GetHeader(), err))

	info, err := t.PD.GetClusterInfo(t.ctx, &pdpb.GetClusterInfoRequest{})
	t.Check("GetClusterInfo", first(t.well(info.GetHeader(), err),
		node.Expect(len(info.GetServiceModes()) == 1 && info.ServiceModes[0] == pdpb.ServiceMode_PD_SVC_MODE && len(info.TsoUrls) == 0,
			"got %v", info)))

	is, err := t.PD.IsBootstrapped(t.ctx, &pdpb.IsBootstrappedRequest{Header: t.Header()})
	t.Check("IsBootstrapped", first(t.well(is.GetHeader(), err), node.Expect(is.GetBootstrapped(), "got %v", is)))
	again, err := t.PD.Bootstrap(t.ctx, &pdpb.BootstrapRequest{Header: t.Header(),
		Store:  &metapb.Store{Id: 987654321, Address: "127.0.0.1:1"},
		Region: &metapb.Region{Id: 987654322, Peers: []*metapb.Peer{{Id: 987654323, StoreId: 987654321}}}})
	t.Check("Bootstrap once more", t.refused(again.GetHeader(), err, pdpb.ErrorType_ALREADY_BOOTSTRAPPED))

	t.checkEtcd()
	t.checkPort()
}

// memberErrors applies what the clients demand of the list of members.
func memberErrors(got *pdpb.GetMembersResponse) error {
	names, ids := map[string]bool{}, map[uint64]bool{}
	leaders := 0
	for _, m := range got.GetMembers() {
		if m.Name == "" || m.MemberId == 0 || names[m.Name] || ids[m.MemberId] || len(m.ClientUrls) == 0 {
			return node.Expect(false, "member %v", m)
		}
		names[m.Name], ids[m.MemberId] = true, true
		for _, text := range append(m.ClientUrls, m.PeerUrls...) {
			u, err := url.Parse(text)
			if err != nil || u.Scheme != "http" || u.Port() == "" {
				return node.Expect(false, "address %q of member %v", text, m)
			}
		}
		if equal(m, got.Leader) {
			leaders++
		}
	}
	return first(node.Expect(leaders == 1, "the leader %v is %d of the members %v", got.GetLeader(), leaders, got.GetMembers()),
		node.Expect(equal(got.GetLeader(), got.GetEtcdLeader()), "etcd_leader is %v, leader is %v", got.GetEtcdLeader(), got.GetLeader()),
		node.Expect(len(got.GetTsoAllocatorLeaders()) == 0, "local allocators: %v", got.GetTsoAllocatorLeaders()))
}

// checkEtcd calls the little that clients use of etcd.
func (t *tester) checkEtcd() {
	cluster := etcdserverpb.NewClusterClient(t.PDConn)
	for _, linear := range []bool{false, true} {
		got, err := cluster.MemberList(t.ctx, &etcdserverpb.MemberListRequest{Linearizable: linear})
		if err == nil {
			err = node.Expect(got.Header.GetClusterId() == t.ClusterID && len(got.Members) == len(t.Members.Members), "got %v", got)
		}
		for _, m := range got.GetMembers() {
			err = first(err, node.Expect(m.Name != "" && m.ID != 0 && !m.IsLearner && len(m.ClientURLs) > 0 &&
				strings.HasPrefix(m.ClientURLs[0], "http://"), "member %v", m))
		}
		t.Check("MemberList", err)
	}

	kv := etcdserverpb.NewKVClient(t.PDConn)
	missing, err := kv.Range(t.ctx, &etcdserverpb.RangeRequest{Key: []byte("/tidb/store/gcworker/compat_missing")})
	t.Check("Range of a missing key", first(err,
		node.Expect(missing.GetHeader() != nil && len(missing.GetKvs()) == 0 && missing.GetCount() == 0 && !missing.GetMore(), "got %v", missing)))
	point, err := kv.Range(t.ctx, &etcdserverpb.RangeRequest{Key: []byte("/tidb/store/gcworker/saved_safe_point")})
	if err == nil && len(point.Kvs) > 0 {
		_, err = strconv.ParseUint(string(point.Kvs[0].Value), 10, 64)
	}
	t.Check("Range of the safe point", err)
}

// checkPort looks at the port itself: health, unknown methods, metadata.
func (t *tester) checkPort() {
	health, err := grpc_health_v1.NewHealthClient(t.PDConn).Check(t.ctx, &grpc_health_v1.HealthCheckRequest{})
	t.Check("health", first(err, node.Expect(health.GetStatus() == grpc_health_v1.HealthCheckResponse_SERVING, "got %v", health)))
	for _, path := range []string{"/pdpb.PD/SyncMaxTS", "/pdpb.PD/GetDCLocationInfo", "/tsopb.TSO/FindGroupByKeyspaceID",
		"/etcdserverpb.Cluster/MemberAdd", "/pdpb.PD/WatchGCSafePointV2", "/routerpb.Router/GetRegion"} {
		err := t.PDConn.Invoke(t.ctx, path, &emptypb.Empty{}, &emptypb.Empty{})
		t.Check(path, node.WantStatus(err, codes.Unimplemented))
	}
	ctx := metadata.AppendToOutgoingContext(t.ctx, "pd-forwarded-host", t.Members.Leader.ClientUrls[0], "pd-allow-follower-handle", "")
	stores, err := t.PD.GetAllStores(ctx, &pdpb.GetAllStoresRequest{Header: t.Header()})
	t.Check("forwarding metadata", t.well(stores.GetHeader(), err))

	conn, err := node.Dial(t.PDAddr, grpc.WithAuthority("#initially=[http:__127.0.0.1:2379]"))
	if err == nil {
		_, err = etcdserverpb.NewClusterClient(conn).MemberList(t.ctx, &etcdserverpb.MemberListRequest{})
		conn.Close()
	}
	t.Check("an etcd client's authority", err)
}
