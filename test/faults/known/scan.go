package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/tikvpb"
)

// Keys on both sides of a border; each region shows its own.

const (
	scanKeys   = 10 // named by one digit each
	scanBorder = 5  // the first that is right of it
)

func scanKey(number any) string {
	return atBound(fmt.Sprint("known/scan/", number))
}

// sided is a scan that is asked of the region on one side of the border.
type sided struct {
	name       string
	left       bool
	start, end string // a scan in reverse goes down from start, which it does not show
	reverse    bool
	wanted     string // the digits of the keys, in this order; "": it may be refused
}

// Clients send a scan to the region in which it begins, a scan in reverse to the
// one that has what lies below its start.  That one must answer, with all that
// is its own; any other may refuse, or show what is its own.
func sidedScans() []sided {
	low, border, high, prefix := scanKey(0), scanKey(scanBorder), scanKey("~"), scanKey("")
	return []sided{
		{"forward", true, low, high, false, "01234"},
		{"forward without end", true, low, "", false, "01234"},
		{"reverse", true, border, prefix, true, "43210"},
		{"reverse without end", true, border, "", true, "43210"},
		{"forward", false, border, high, false, "56789"},
		{"forward without end", false, border, "", false, "56789"},
		{"reverse", false, high, prefix, true, "98765"},
		{"reverse without end", false, high, "", true, "98765"},
		{"forward from the other side", true, border, high, false, ""},
		{"forward from the other side", false, low, high, false, ""},
		{"reverse from the other side", true, high, prefix, true, ""},
		{"reverse from the other side", false, border, prefix, true, ""},
	}
}

func (s *sided) String() string {
	return fmt.Sprintf("%s scan of the %s region", s.name, map[bool]string{true: "left", false: "right"}[s.left])
}

// inside the region to look for it by.
func (s *sided) inside() string {
	if s.left {
		return scanKey(0)
	}
	return scanKey(scanKeys - 1)
}

// judge what was answered without an error: nothing is another region's, and
// if the scan must be answered, the keys of the test are there, in order.
func (s *sided) judge(region *metapb.Region, pairs []*kvrpcpb.KvPair) error {
	var digits strings.Builder
	shown := map[string]bool{}
	for _, pair := range pairs {
		key := string(pair.Key)
		if key < string(region.StartKey) || len(region.EndKey) > 0 && key >= string(region.EndKey) {
			return fmt.Errorf("%v shows %q, which is another region's", s, key)
		}
		if shown[key] {
			return fmt.Errorf("%v shows %q twice", s, key)
		}
		shown[key] = true
		for number := 0; number < scanKeys; number++ {
			if key == scanKey(number) {
				fmt.Fprint(&digits, number)
				if want := fmt.Sprint("v", number); string(pair.Value) != want {
					return fmt.Errorf("%v shows %q at %q, not %q", s, pair.Value, key, want)
				}
			}
		}
	}
	if s.wanted != "" && digits.String() != s.wanted {
		return fmt.Errorf("%v shows the keys %q, not %q", s, digits.String(), s.wanted)
	}
	return nil
}

// scanPatience is how long a scan that must be answered may be refused, while
// whoever is asked hears of the split or of a leader.
const scanPatience = time.Minute

// whoLeads, and answers by its lease; any other node is asked by a replica read.
const whoLeads = -1

// run it at a node, or whoever leads then, with what PD says of the region each
// time it is sent, as clients do that were told that they are wrong.  One that
// need not be answered may be refused, since it begins elsewhere.
func (s *sided) run(t *test, node int) (answered bool, err error) {
	last := errors.New("it was not sent")
	for began := time.Now(); time.Since(began) < scanPatience; time.Sleep(50 * time.Millisecond) {
		at := node
		if node == whoLeads {
			if at, _, err = t.leaderOf(s.inside()); err != nil {
				return false, err
			}
		}
		peer, region, err := t.PeerOf(at, s.inside())
		if err != nil {
			return false, err
		}
		kv, err := t.Store(at)
		if err != nil {
			return false, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		r, err := kv.RawScan(ctx, &kvrpcpb.RawScanRequest{StartKey: []byte(s.start), EndKey: []byte(s.end),
			Limit: 100, Reverse: s.reverse, Context: &kvrpcpb.Context{RegionId: region.Id,
				RegionEpoch: region.RegionEpoch, Peer: peer, ReplicaRead: node != whoLeads}})
		cancel()
		switch {
		case err != nil:
			return false, fmt.Errorf("%v: %w", s, err)
		case r.RegionError == nil:
			return true, s.judge(region, r.Kvs)
		case s.wanted == "" && r.RegionError.KeyNotInRegion != nil:
			return false, nil
		}
		last = errors.New(r.RegionError.String())
	}
	return false, fmt.Errorf("%v at node %d is refused for %v: %w", s, node, scanPatience, last)
}

func (t *test) putScanKeys() error {
	for number := 0; number < scanKeys; number++ {
		r, err := askLeader(t, []byte(scanKey(number)), func(ctx context.Context, kv tikvpb.TikvClient, where *kvrpcpb.Context) (*kvrpcpb.RawPutResponse, error) {
			return kv.RawPut(ctx, &kvrpcpb.RawPutRequest{Context: where, Key: []byte(scanKey(number)), Value: fmt.Append(nil, "v", number)})
		})
		if err != nil || r.RegionError != nil || r.Error != "" {
			return fmt.Errorf("no data: %v %v", err, r)
		}
	}
	return nil
}

// awaitBorder until PD, and with it clients, know it.
func (t *test) awaitBorder() error {
	border := scanKey(scanBorder)
	for began := time.Now(); time.Since(began) < scanPatience; time.Sleep(50 * time.Millisecond) {
		_, left, err := t.PeerOf(0, scanKey(0))
		if err != nil {
			return err
		}
		_, right, err := t.PeerOf(0, border)
		if err != nil {
			return err
		}
		if string(left.EndKey) == border && string(right.StartKey) == border {
			return nil
		}
	}
	return fmt.Errorf("PD has not heard of the split in %v", scanPatience)
}

// Whoever leads is asked, and every node by replica reads, of which two follow.
func scanAtBorder(t *test) error {
	if err := t.putScanKeys(); err != nil {
		return err
	}
	if err := t.split([]byte(scanKey(scanBorder))); err != nil {
		return err
	}
	if err := t.awaitBorder(); err != nil {
		return err
	}
	var must, more, refused int
	for _, s := range sidedScans() {
		for node := whoLeads; node < 3; node++ {
			answered, err := s.run(t, node)
			switch {
			case err != nil:
				return err
			case s.wanted != "":
				must++
			case answered:
				more++
			default:
				refused++
			}
		}
	}
	t.say("%d scans on both sides by the leader and replica reads of all, forwards and back, up to the border and over it, answered with all keys; "+
		"of those that begin elsewhere %d answered, %d refused", must, more, refused)
	return nil
}
