package main

import (
	"fmt"

	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	_ "github.com/pingcap/kvproto/pkg/coprocessor"
	_ "github.com/pingcap/kvproto/pkg/deadlock"
	_ "github.com/pingcap/kvproto/pkg/disk_usage"
	_ "github.com/pingcap/kvproto/pkg/eraftpb"
	_ "github.com/pingcap/kvproto/pkg/errorpb"
	_ "github.com/pingcap/kvproto/pkg/keyspacepb"
	_ "github.com/pingcap/kvproto/pkg/kvrpcpb"
	_ "github.com/pingcap/kvproto/pkg/meta_storagepb"
	_ "github.com/pingcap/kvproto/pkg/metapb"
	_ "github.com/pingcap/kvproto/pkg/pdpb"
	_ "github.com/pingcap/kvproto/pkg/raft_cmdpb"
	_ "github.com/pingcap/kvproto/pkg/raft_serverpb"
	_ "github.com/pingcap/kvproto/pkg/tikvpb"
	_ "go.etcd.io/etcd/api/v3/etcdserverpb"
	_ "go.etcd.io/etcd/api/v3/mvccpb"
	_ "google.golang.org/grpc/health/grpc_health_v1"
)

// The files of the published packages under the names they register, kvproto's
// first, then etcd's and gRPC's.
var publishedNames = []string{
	"apipb.proto", "coprocessor.proto", "deadlock.proto", "disk_usage.proto", "eraftpb.proto",
	"errorpb.proto", "keyspacepb.proto", "kvrpcpb.proto",
	"meta_storagepb.proto", "metapb.proto", "pdpb.proto", "raft_cmdpb.proto",
	"raft_serverpb.proto", "tikvpb.proto",
	"rpc.proto", "kv.proto",
	"grpc/health/v1/health.proto",
}

// publishedFiles returns the descriptors that the Go modules carry.
func publishedFiles() ([]*descriptorpb.FileDescriptorProto, error) {
	var files []*descriptorpb.FileDescriptorProto
	for _, name := range publishedNames {
		desc, err := protoregistry.GlobalFiles.FindFileByPath(name)
		if err != nil {
			return nil, fmt.Errorf("published %s: %w", name, err)
		}
		files = append(files, protodesc.ToFileDescriptorProto(desc))
	}
	return files, nil
}
