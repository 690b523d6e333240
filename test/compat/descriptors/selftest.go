package main

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
)

type files = []*descriptorpb.FileDescriptorProto

// An alteration spoils a copy of our declarations in one way and names what
// the report has to speak of.
type alteration struct {
	what  string
	spoil func(files) (name string)
}

var alterations = []alteration{
	{"field number", func(f files) string {
		field(f, "kvrpcpb", "RawPutRequest", "ttl").Number = proto.Int32(77)
		return "kvrpcpb.RawPutRequest.ttl"
	}},
	{"field name", func(f files) string {
		field(f, "kvrpcpb", "RawPutRequest", "value").Name = proto.String("content")
		return "kvrpcpb.RawPutRequest.content"
	}},
	{"field type", func(f files) string {
		field(f, "metapb", "Peer", "store_id").Type = descriptorpb.FieldDescriptorProto_TYPE_SINT64.Enum()
		return "metapb.Peer.store_id"
	}},
	{"message type of a field", func(f files) string {
		field(f, "metapb", "Region", "peers").TypeName = proto.String(".metapb.Store")
		return "metapb.Region.peers"
	}},
	{"label", func(f files) string {
		field(f, "pdpb", "QueryRegionRequest", "ids").Label = descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()
		return "pdpb.QueryRegionRequest.ids"
	}},
	{"oneof membership", func(f files) string {
		m := message(f, "tikvpb", "BatchCommandsRequest").NestedType[0]
		m.Field[3].OneofIndex = nil
		return "tikvpb.BatchCommandsRequest.Request." + m.Field[3].GetName()
	}},
	{"value type of a map", func(f files) string {
		m := message(f, "pdpb", "QueryRegionResponse")
		m.NestedType[0].Field[1].TypeName = proto.String(".pdpb.Region")
		return "pdpb.QueryRegionResponse." + m.NestedType[0].GetName() + ".value"
	}},
	{"enum number", func(f files) string {
		e := enum(f, "metapb", "NodeState")
		e.Value[1].Number = proto.Int32(9)
		return "metapb.NodeState." + e.Value[1].GetName()
	}},
	{"missing enum value", func(f files) string {
		e := enum(f, "metapb", "PeerRole")
		last := e.Value[len(e.Value)-1]
		e.Value = e.Value[:len(e.Value)-1]
		return "metapb.PeerRole." + last.GetName()
	}},
	{"message name", func(f files) string {
		message(f, "errorpb", "NotLeader").Name = proto.String("NoLeader")
		return "errorpb.NoLeader"
	}},
	{"method name", func(f files) string {
		method(f, "tikvpb", "Tikv", "KVPessimisticRollback").Name = proto.String("KvPessimisticRollback")
		return "tikvpb.Tikv.KvPessimisticRollback"
	}},
	{"client streaming", func(f files) string {
		method(f, "pdpb", "PD", "Tso").ClientStreaming = proto.Bool(false)
		return "pdpb.PD.Tso"
	}},
	{"server streaming", func(f files) string {
		method(f, "pdpb", "PD", "GetRegion").ServerStreaming = proto.Bool(true)
		return "pdpb.PD.GetRegion"
	}},
	{"message of a method", func(f files) string {
		method(f, "etcdserverpb", "KV", "Range").OutputType = proto.String(".etcdserverpb.PutResponse")
		return "etcdserverpb.KV.Range"
	}},
	{"health status", func(f files) string {
		message(f, "grpc.health.v1", "HealthCheckResponse").EnumType[0].Value[1].Number = proto.Int32(7)
		return "grpc.health.v1.HealthCheckResponse.ServingStatus.SERVING"
	}},
	{"syntax", func(f files) string {
		file(f, "mvccpb").Syntax = proto.String("proto2")
		return "mvccpb.KeyValue"
	}},
}

// selftest spoils our declarations in every way above, one at a time, and
// fails if the comparison does not speak of it. It also asks for a needless
// line in the list of what is ahead.
func selftest(ours files, published catalog, ahead map[string]bool) error {
	for _, a := range alterations {
		var copies files
		for _, f := range ours {
			copies = append(copies, proto.Clone(f).(*descriptorpb.FileDescriptorProto))
		}
		name := a.spoil(copies)
		if !mentions(compare(buildCatalog(copies), published, ahead), name) {
			return fmt.Errorf("altered %s of %s was not reported", a.what, name)
		}
	}
	needless := map[string]bool{"metapb.Region": true}
	for name := range ahead {
		needless[name] = true
	}
	if !mentions(compare(buildCatalog(ours), published, needless), "metapb.Region") {
		return fmt.Errorf("a needless line of ahead.txt was not reported")
	}
	return nil
}

func mentions(report []string, name string) bool {
	for _, line := range report {
		if strings.HasPrefix(line, name+":") {
			return true
		}
	}
	return false
}

// The finders below panic on a missing name: then the self-test has to be
// brought up to date with the declarations.

func file(f files, pkg string) *descriptorpb.FileDescriptorProto {
	for _, one := range f {
		if one.GetPackage() == pkg {
			return one
		}
	}
	panic("self-test: no package " + pkg)
}

func message(f files, pkg, name string) *descriptorpb.DescriptorProto {
	for _, m := range file(f, pkg).MessageType {
		if m.GetName() == name {
			return m
		}
	}
	panic("self-test: no message " + pkg + "." + name)
}

func field(f files, pkg, msg, name string) *descriptorpb.FieldDescriptorProto {
	for _, one := range message(f, pkg, msg).Field {
		if one.GetName() == name {
			return one
		}
	}
	panic("self-test: no field " + pkg + "." + msg + "." + name)
}

func enum(f files, pkg, name string) *descriptorpb.EnumDescriptorProto {
	for _, e := range file(f, pkg).EnumType {
		if e.GetName() == name {
			return e
		}
	}
	panic("self-test: no enum " + pkg + "." + name)
}

func method(f files, pkg, service, name string) *descriptorpb.MethodDescriptorProto {
	for _, s := range file(f, pkg).Service {
		for _, m := range s.Method {
			if s.GetName() == service && m.GetName() == name {
				return m
			}
		}
	}
	panic("self-test: no method " + pkg + "." + service + "." + name)
}
