// Package node connects to the PD named by TIKV_PD and to the first store of
// its cluster, without any client library in between.
package node

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
	"google.golang.org/grpc"
)

// MaxMessageBytes is how large an answer may be.
const MaxMessageBytes = 256 << 20

// Node is a cluster's PD leader and the store that leads the first region.
type Node struct {
	PDAddr    string
	StoreAddr string
	ClusterID uint64
	Members   *pdpb.GetMembersResponse
	Region    *metapb.Region
	Leader    *metapb.Peer
	API       string // V1, V1TTL or V2, as TIKV_API says
	RawPrefix string // of raw keys: in V2 mode and keyspace DEFAULT

	PDConn, StoreConn *grpc.ClientConn
	PD                pdpb.PDClient
	KV                tikvpb.TikvClient
}

// Dial opens a connection, with TLS if the environment names certificates;
// nothing is sent before the first call.
func Dial(addr string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	secured, err := transport()
	if err != nil {
		return nil, err
	}
	all := append([]grpc.DialOption{
		grpc.WithTransportCredentials(secured),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessageBytes),
			grpc.MaxCallSendMsgSize(MaxMessageBytes))}, options...)
	return grpc.NewClient("passthrough:///"+addr, all...)
}

// Connect finds the cluster, its leader and its first region.
func Connect(ctx context.Context) (*Node, error) {
	first, _, _ := strings.Cut(os.Getenv("TIKV_PD"), ",")
	if first == "" {
		return nil, fmt.Errorf("TIKV_PD is not set")
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	n := &Node{PDAddr: hostOf(first), API: os.Getenv("TIKV_API")}
	if n.API == "V2" {
		n.RawPrefix = "r\x00\x00\x00"
	}
	if err := n.connectPD(ctx); err != nil {
		return nil, fmt.Errorf("PD %s: %w", n.PDAddr, err)
	}
	if err := n.connectStore(ctx); err != nil {
		return nil, fmt.Errorf("store %s: %w", n.StoreAddr, err)
	}
	return n, nil
}

func hostOf(addr string) string {
	if u, err := url.Parse(addr); err == nil && u.Host != "" {
		return u.Host
	}
	return addr
}

func (n *Node) connectPD(ctx context.Context) error {
	for range 2 { // the address given, then the leader's
		conn, err := Dial(n.PDAddr)
		if err != nil {
			return err
		}
		n.PDConn, n.PD = conn, pdpb.NewPDClient(conn)
		n.Members, err = n.PD.GetMembers(ctx, &pdpb.GetMembersRequest{}, grpc.WaitForReady(true))
		if err != nil {
			return err
		}
		n.ClusterID = n.Members.GetHeader().GetClusterId()
		leader := n.Members.GetLeader().GetClientUrls()
		if len(leader) == 0 {
			return fmt.Errorf("no leader")
		}
		if hostOf(leader[0]) == n.PDAddr {
			return nil
		}
		conn.Close()
		n.PDAddr = hostOf(leader[0])
	}
	return fmt.Errorf("the leader moves about")
}

func (n *Node) connectStore(ctx context.Context) error {
	region, err := n.PD.GetRegion(ctx, &pdpb.GetRegionRequest{Header: n.Header()})
	if err != nil {
		return err
	}
	if region.GetRegion() == nil || region.GetLeader() == nil {
		return fmt.Errorf("PD knows no first region or not its leader: %v", region)
	}
	n.Region, n.Leader = region.Region, region.Leader
	store, err := n.PD.GetStore(ctx, &pdpb.GetStoreRequest{Header: n.Header(), StoreId: n.Leader.StoreId})
	if err != nil {
		return err
	}
	n.StoreAddr = store.GetStore().GetAddress()
	n.StoreConn, err = Dial(n.StoreAddr)
	if err != nil {
		return err
	}
	n.KV = tikvpb.NewTikvClient(n.StoreConn)
	return nil
}

// Close ends both connections.
func (n *Node) Close() {
	n.PDConn.Close()
	n.StoreConn.Close()
}

// Header is that of a PD request.
func (n *Node) Header() *pdpb.RequestHeader {
	return &pdpb.RequestHeader{ClusterId: n.ClusterID}
}

// Context is one with which a command for the first region succeeds.
func (n *Node) Context() *kvrpcpb.Context {
	version := kvrpcpb.APIVersion_V1
	if n.API == "V2" {
		version = kvrpcpb.APIVersion_V2
	}
	return &kvrpcpb.Context{
		ApiVersion:  version,
		RegionId:    n.Region.Id,
		RegionEpoch: &metapb.RegionEpoch{ConfVer: n.Region.RegionEpoch.ConfVer, Version: n.Region.RegionEpoch.Version},
		Peer:        &metapb.Peer{Id: n.Leader.Id, StoreId: n.Leader.StoreId},
		ClusterId:   n.ClusterID,
	}
}

// Alive makes both ports answer on connections of their own: PD with its
// members, the store with a key written and read back.
func (n *Node) Alive(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	fresh, err := Connect(ctx)
	if err != nil {
		return err
	}
	defer fresh.Close()
	key, value := []byte(fmt.Sprintf("%scompat/alive/%d", n.RawPrefix, time.Now().UnixNano())), []byte("yes")
	put, err := fresh.KV.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: fresh.Context(), Key: key, Value: value})
	if err != nil || put.RegionError != nil || put.Error != "" {
		return fmt.Errorf("put: %v %v", put, err)
	}
	got, err := fresh.KV.RawGet(ctx, &kvrpcpb.RawGetRequest{Context: fresh.Context(), Key: key})
	if err != nil || string(got.GetValue()) != string(value) {
		return fmt.Errorf("get: %v %v", got, err)
	}
	gone, err := fresh.KV.RawDelete(ctx, &kvrpcpb.RawDeleteRequest{Context: fresh.Context(), Key: key})
	if err != nil || gone.RegionError != nil || gone.Error != "" {
		return fmt.Errorf("delete: %v %v", gone, err)
	}
	return nil
}
