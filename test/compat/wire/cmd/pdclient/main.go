// pdclient uses the newest PD client library, which the newest release of the
// storage client that the module proxy offers does not have yet: it looks up
// regions over QueryRegion only and reads the safe points with GetGCState.
package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	pd "github.com/tikv/pd/client"
	"github.com/tikv/pd/client/clients/router"
	"github.com/tikv/pd/client/opt"
	"github.com/tikv/pd/client/pkg/caller"

	"tikv_fdw/test/compat/suite"
	"tikv_fdw/test/compat/wire/internal/node"
)

const (
	logicalBits  = 18
	nullKeyspace = 0xFFFFFFFF
)

func main() {
	report := node.NewReport("pdclient")
	n, err := node.Connect(context.Background())
	report.Fatal(err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	client, err := pd.NewClientWithContext(ctx, caller.TestComponent,
		strings.Split(os.Getenv("TIKV_PD"), ","), pd.SecurityOption{})
	report.Fatal(err)
	defer client.Close()

	report.Check("cluster id", node.Expect(client.GetClusterID(ctx) == n.ClusterID, "got %d", client.GetClusterID(ctx)))
	checkRegions(ctx, report, client, n)
	checkStores(ctx, report, client, n)
	checkSafePoints(ctx, report, client)
	report.Check("timestamps", suite.RunTSO(func(ctx context.Context) (uint64, error) {
		physical, logical, err := client.GetTS(ctx)
		return uint64(physical)<<logicalBits + uint64(logical), err
	}, 64, 500, time.Minute))
	report.Exit()
}

func checkRegions(ctx context.Context, report *node.Report, client pd.Client, n *node.Node) {
	var group sync.WaitGroup
	var mutex sync.Mutex
	for i := 0; i < 64; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for j := 0; j < 50; j++ {
				key := []byte(fmt.Sprintf("%d/%d", i, j))
				region, err := client.GetRegion(ctx, key)
				if err == nil {
					err = regionErrors(region, key)
				}
				mutex.Lock()
				report.Check("GetRegion", err)
				mutex.Unlock()
			}
		}()
	}
	group.Wait()

	byID, err := client.GetRegionByID(ctx, n.Region.Id)
	report.Check("GetRegionByID", first(err, node.Expect(byID != nil && byID.Meta.Id == n.Region.Id && byID.Leader != nil, "got %v", byID)))
	before, err := client.GetPrevRegion(ctx, []byte{})
	report.Check("GetPrevRegion of the first", first(err, node.Expect(before == nil || before.Meta == nil, "got %v", before)))
	all, err := client.BatchScanRegions(ctx, []router.KeyRange{*router.NewKeyRange([]byte{}, []byte{})}, 1000, opt.WithOutputMustContainAllKeyRange())
	report.Check("BatchScanRegions", first(err, node.Expect(len(all) > 0 && all[0].Meta.Id == n.Region.Id, "got %v", all)))
}

func regionErrors(region *router.Region, key []byte) error {
	return node.Expect(region != nil && region.Meta != nil && region.Leader != nil &&
		bytes.Compare(region.Meta.StartKey, key) <= 0 && (len(region.Meta.EndKey) == 0 || bytes.Compare(key, region.Meta.EndKey) < 0),
		"%q is in %v", key, region)
}

func checkStores(ctx context.Context, report *node.Report, client pd.Client, n *node.Node) {
	store, err := client.GetStore(ctx, n.Leader.StoreId)
	report.Check("GetStore", first(err, node.Expect(store != nil && store.Address == n.StoreAddr, "got %v", store)))
	_, err = client.GetStore(ctx, 999999999)
	report.Check("GetStore of an unknown store", node.Expect(err != nil && strings.Contains(err.Error(), "invalid store ID") &&
		strings.Contains(err.Error(), "not found"), "got %v", err))
	stores, err := client.GetAllStores(ctx, opt.WithExcludeTombstone())
	report.Check("GetAllStores", first(err, node.Expect(len(stores) > 0, "none")))
	keyspace, err := client.LoadKeyspace(ctx, "DEFAULT")
	report.Check("LoadKeyspace", first(err, node.Expect(keyspace != nil && keyspace.Name == "DEFAULT", "got %v", keyspace)))
}

func checkSafePoints(ctx context.Context, report *node.Report, client pd.Client) {
	states := client.GetGCStatesClient(nullKeyspace)
	state, err := states.GetGCState(ctx)
	report.Check("GetGCState", first(err, node.Expect(state.GCSafePoint <= state.TxnSafePoint, "got %+v", state)))
	barrier, err := states.SetGCBarrier(ctx, "compat-pdclient", state.TxnSafePoint+100, time.Duration(math.MaxInt64))
	report.Check("SetGCBarrier", first(err, node.Expect(barrier != nil && barrier.BarrierTS == state.TxnSafePoint+100, "got %v", barrier)))
	gone, err := states.DeleteGCBarrier(ctx, "compat-pdclient")
	report.Check("DeleteGCBarrier", first(err, node.Expect(gone != nil && gone.BarrierTS == state.TxnSafePoint+100, "got %v", gone)))
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
