package main

import (
	"errors"
	"testing"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestRefusals(t *testing.T) {
	region := func(e errorpb.Error) *kvrpcpb.RawPutResponse { return &kvrpcpb.RawPutResponse{RegionError: &e} }
	other := region(errorpb.Error{NotLeader: &errorpb.NotLeader{}})
	large := region(errorpb.Error{RaftEntryTooLarge: &errorpb.RaftEntryTooLarge{}})
	done := &kvrpcpb.RawPutResponse{}
	for _, test := range []struct {
		name   string
		r      *kvrpcpb.RawPutResponse
		call   error
		fits   []refusal
		others []refusal
	}{
		{"acknowledged", done, nil, nil, []refusal{notLeader, tooLarge, nobodyAgrees, replaced}},
		{"not the leader", other, nil, []refusal{notLeader, nobodyAgrees, replaced}, []refusal{tooLarge}},
		{"too large", large, nil, []refusal{tooLarge, nobodyAgrees}, []refusal{notLeader}},
		{"in words", &kvrpcpb.RawPutResponse{Error: "no"}, nil, nil, []refusal{notLeader, tooLarge, nobodyAgrees, replaced}},
		{"a dead connection", nil, status.Error(codes.Unavailable, "refused"), nil, []refusal{notLeader, tooLarge, nobodyAgrees}},
		{"gRPC's own limit", nil, status.Error(codes.ResourceExhausted, "large"), nil, []refusal{notLeader, tooLarge, nobodyAgrees}},
		{"no answer", nil, status.Error(codes.DeadlineExceeded, "late"), []refusal{nobodyAgrees}, []refusal{notLeader, tooLarge, replaced}},
		{"something else", nil, errors.New("else"), nil, []refusal{notLeader, tooLarge, nobodyAgrees}},
	} {
		for _, wanted := range test.fits {
			if err := wanted.judge("k", test.r, test.call); err != nil {
				t.Errorf("%s is no %s: %v", test.name, wanted.what, err)
			}
		}
		for _, wanted := range test.others {
			if wanted.judge("k", test.r, test.call) == nil {
				t.Errorf("%s is taken for %s", test.name, wanted.what)
			}
		}
	}
}
