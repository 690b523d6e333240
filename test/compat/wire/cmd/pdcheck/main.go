// pdcheck calls every method of the placement driver that clients need, and
// checks each answer in full: headers, regions, stores, timestamps, safe
// points, keyspaces, members, and the errors that clients tell apart.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/pingcap/kvproto/pkg/pdpb"

	"tikv_fdw/test/compat/wire/internal/node"
)

type tester struct {
	*node.Node
	*node.Report
	ctx context.Context
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	report := node.NewReport("pdcheck")
	n, err := node.Connect(ctx)
	report.Fatal(err)
	t := &tester{n, report, ctx}

	t.checkMembers()
	t.checkStores()
	t.checkRegions()
	t.checkQueryRegion()
	t.checkTso()
	t.checkGC()
	t.checkOthers()
	t.checkStoreSide()
	t.checkEtcdKeys()
	t.checkClusterID()
	report.Check("the node still answers", n.Alive(ctx))
	report.Exit()
}

// well is nil if the call succeeded as clients see it: no status, a header
// with this cluster's id, and no error in it, not even an empty one.
func (t *tester) well(header *pdpb.ResponseHeader, err error) error {
	switch {
	case err != nil:
		return err
	case header == nil:
		return fmt.Errorf("the header is missing")
	case header.ClusterId != t.ClusterID:
		return fmt.Errorf("cluster id %d instead of %d", header.ClusterId, t.ClusterID)
	case header.Error != nil:
		return fmt.Errorf("error in the header: %v", header.Error)
	}
	return nil
}

// refused is nil if the header carries an error of that type.
func (t *tester) refused(header *pdpb.ResponseHeader, err error, kind pdpb.ErrorType) error {
	if err != nil {
		return err
	}
	e := header.GetError()
	return node.Expect(header.GetClusterId() == t.ClusterID && e != nil && e.Type == kind && e.Message != "",
		"want %v and a message in the header, got %v", kind, header)
}

// first returns the first error that is not nil.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
