package nemesis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// What stores and PD may answer while nodes fail.  Anything else is wrong in
// kind, whatever becomes of the operation.

// expectedOfRegions: leaders and epochs change, peers come and go, a store is
// starting, has too much to do or takes too long, a write was given up or its
// outcome is unknown.
var expectedOfRegions = []string{"NotLeader", "RegionNotFound", "EpochNotMatch", "MismatchPeerId",
	"ServerIsBusy", "StaleCommand", "UndeterminedResult"}

// Only a read of any peer, by replica_read, may meet one that does not know yet
// how far it must be, and only a store whose disk is full may say so.
const (
	expectedOfPeers = "ReadIndexNotReady"
	expectedIfFull  = "DiskFull"
)

// expectedCodes of gRPC: nobody is there, or does not answer in time.
var expectedCodes = []codes.Code{codes.Unavailable, codes.DeadlineExceeded}

// expectedTexts of other codes: a server sees a deadline pass before its client
// does, or a worker ends with calls that it has passed on.
var expectedTexts = map[codes.Code][]string{
	codes.Canceled: {"the client is gone", "the worker is stopping"},
}

// gRPC itself answers so, in these words alone, to a call that reaches a server
// while it shuts down, before anybody has taken it; clients know that of TiKV.
const shutDownText = "CANCELLED"

// KindOf a region error: the name of its field in errorpb.Error; "" is none
// that has one.
func KindOf(e *errorpb.Error) string {
	for _, kind := range []struct {
		name string
		is   bool
	}{
		{"NotLeader", e.NotLeader != nil},
		{"RegionNotFound", e.RegionNotFound != nil},
		{"KeyNotInRegion", e.KeyNotInRegion != nil},
		{"EpochNotMatch", e.EpochNotMatch != nil},
		{"ServerIsBusy", e.ServerIsBusy != nil},
		{"StaleCommand", e.StaleCommand != nil},
		{"StoreNotMatch", e.StoreNotMatch != nil},
		{"RaftEntryTooLarge", e.RaftEntryTooLarge != nil},
		{"MaxTimestampNotSynced", e.MaxTimestampNotSynced != nil},
		{"ReadIndexNotReady", e.ReadIndexNotReady != nil},
		{"ProposalInMergingMode", e.ProposalInMergingMode != nil},
		{"DataIsNotReady", e.DataIsNotReady != nil},
		{"RegionNotInitialized", e.RegionNotInitialized != nil},
		{"DiskFull", e.DiskFull != nil},
		{"RecoveryInProgress", e.RecoveryInProgress != nil},
		{"FlashbackInProgress", e.FlashbackInProgress != nil},
		{"FlashbackNotPrepared", e.FlashbackNotPrepared != nil},
		{"IsWitness", e.IsWitness != nil},
		{"MismatchPeerId", e.MismatchPeerId != nil},
		{"BucketVersionNotMatch", e.BucketVersionNotMatch != nil},
		{"UndeterminedResult", Undetermined(e)},
	} {
		if kind.is {
			return kind.name
		}
	}
	return ""
}

// Asked says of a raw command what its answer may be.
type Asked struct {
	AnyPeer bool // it is a read of any peer
	Full    bool // the disk of the node is full, or was when it was asked
}

// ErrorOfRegion is nil unless a store may not answer so.
func ErrorOfRegion(e *errorpb.Error, asked Asked) error {
	kind := KindOf(e)
	if slices.Contains(expectedOfRegions, kind) || asked.AnyPeer && kind == expectedOfPeers ||
		asked.Full && kind == expectedIfFull {
		return nil
	}
	return fmt.Errorf("a store answers the region error %q: %s", kind, e)
}

// ErrorOfCall is nil unless a call may not fail so.
func ErrorOfCall(err error) error {
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	s, of := status.FromError(err)
	if of && slices.Contains(expectedCodes, s.Code()) {
		return nil
	}
	if of && s.Code() == codes.Canceled &&
		(s.Message() == shutDownText || strings.HasSuffix(s.Message(), "desc = "+shutDownText)) {
		return nil
	}
	if of {
		for _, text := range expectedTexts[s.Code()] {
			if strings.Contains(s.Message(), text) {
				return nil
			}
		}
	}
	return fmt.Errorf("a call fails with %s: %w", s.Code(), err)
}

// ErrorOfPD is nil unless PD may not answer so: a new leader has not heard of
// regions yet.
func ErrorOfPD(err error) error {
	if errors.Is(err, errNoRegion) {
		return nil
	}
	return ErrorOfCall(err)
}
