package nemesis

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"github.com/pingcap/kvproto/pkg/errorpb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Every field of a region error has a name, its own.
func TestKindOf(t *testing.T) {
	fields := reflect.TypeOf(errorpb.Error{})
	for i := 0; i < fields.NumField(); i++ {
		if fields.Field(i).Type.Kind() != reflect.Pointer {
			continue
		}
		e := &errorpb.Error{}
		reflect.ValueOf(e).Elem().Field(i).Set(reflect.New(fields.Field(i).Type.Elem()))
		if kind := KindOf(e); kind != fields.Field(i).Name {
			t.Errorf("%s is called %q", fields.Field(i).Name, kind)
		}
	}
	if kind := KindOf(&errorpb.Error{Message: "the store ended: outcome unknown"}); kind != "UndeterminedResult" {
		t.Errorf("an unknown outcome is called %q", kind)
	}
	if kind := KindOf(&errorpb.Error{Message: "request carries no region epoch"}); kind != "" {
		t.Errorf("a text alone is called %q", kind)
	}
}

func TestErrorOfRegion(t *testing.T) {
	notLeader := &errorpb.Error{NotLeader: &errorpb.NotLeader{}}
	notReady := &errorpb.Error{ReadIndexNotReady: &errorpb.ReadIndexNotReady{}}
	full := &errorpb.Error{DiskFull: &errorpb.DiskFull{}}
	for _, test := range []struct {
		name  string
		e     *errorpb.Error
		asked Asked
		fine  bool
	}{
		{"not the leader", notLeader, Asked{}, true},
		{"not ready, of a leader", notReady, Asked{}, false},
		{"not ready, of any peer", notReady, Asked{AnyPeer: true}, true},
		{"full, though it is not", full, Asked{}, false},
		{"full", full, Asked{Full: true}, true},
		{"a key of elsewhere", &errorpb.Error{KeyNotInRegion: &errorpb.KeyNotInRegion{}}, Asked{AnyPeer: true, Full: true}, false},
		{"another store", &errorpb.Error{StoreNotMatch: &errorpb.StoreNotMatch{}}, Asked{}, false},
		{"a text alone", &errorpb.Error{Message: "something"}, Asked{}, false},
	} {
		if err := ErrorOfRegion(test.e, test.asked); (err == nil) != test.fine {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

func TestErrorOfCall(t *testing.T) {
	for _, test := range []struct {
		err  error
		fine bool
	}{
		{nil, true},
		{context.DeadlineExceeded, true},
		{status.Error(codes.Unavailable, "connection refused"), true},
		{fmt.Errorf("a leader: %w", status.Error(codes.DeadlineExceeded, "")), true},
		{status.Error(codes.Canceled, "the client is gone"), true},
		{status.Error(codes.Canceled, "why"), false},
		{status.Error(codes.Canceled, "CANCELLED"), true},
		{fmt.Errorf("a leader: %w", status.Error(codes.Canceled, "CANCELLED")), true},
		{status.Error(codes.Canceled, "was CANCELLED"), false},
		{status.Error(codes.Internal, "the client is gone"), false},
		{status.Error(codes.Unimplemented, ""), false},
		{status.Error(codes.ResourceExhausted, ""), false},
		{errors.New("something"), false},
	} {
		if err := ErrorOfCall(test.err); (err == nil) != test.fine {
			t.Errorf("%v: %v", test.err, err)
		}
	}
}

func TestErrorOfPD(t *testing.T) {
	said := Failed(&pdpb.ResponseHeader{Error: &pdpb.Error{Type: pdpb.ErrorType_UNKNOWN, Message: "what"}}, nil)
	fine := Failed(&pdpb.ResponseHeader{Error: &pdpb.Error{Type: pdpb.ErrorType_OK}}, nil)
	if fine != nil || ErrorOfPD(fine) != nil || ErrorOfPD(errNoRegion) != nil {
		t.Error("an answer that may be is refused")
	}
	if ErrorOfPD(said) == nil {
		t.Error("an error of a header is not")
	}
}
