package main

import (
	"sort"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	_ "github.com/pingcap/kvproto/pkg/keyspacepb"
	_ "github.com/pingcap/kvproto/pkg/meta_storagepb"
	_ "go.etcd.io/etcd/api/v3/etcdserverpb"
	_ "google.golang.org/grpc/health/grpc_health_v1"
)

type method struct {
	path   string
	stream bool
	input  protoreflect.MessageDescriptor
}

// The packages whose services either port serves.
var served = map[protoreflect.FullName]bool{
	"tikvpb": true, "pdpb": true, "keyspacepb": true, "meta_storagepb": true,
	"etcdserverpb": true, "grpc.health.v1": true,
}

// Asks for neither a region nor the cluster's id, and an empty request means
// everything: too dangerous to be tried at random.
const destroyer = "/tikvpb.Tikv/UnsafeDestroyRange"

// allMethods is every other method of those packages, built or not, in order.
func allMethods() []method {
	var methods []method
	protoregistry.GlobalFiles.RangeFiles(func(file protoreflect.FileDescriptor) bool {
		if !served[file.Package()] {
			return true
		}
		for i := 0; i < file.Services().Len(); i++ {
			service := file.Services().Get(i)
			for j := 0; j < service.Methods().Len(); j++ {
				m := service.Methods().Get(j)
				path := "/" + string(service.FullName()) + "/" + string(m.Name())
				if path == destroyer {
					continue
				}
				methods = append(methods, method{
					path:   path,
					stream: m.IsStreamingClient() || m.IsStreamingServer(),
					input:  m.Input(),
				})
			}
		}
		return true
	})
	sort.Slice(methods, func(i, j int) bool { return methods[i].path < methods[j].path })
	return methods
}

// fill makes a message of that type with random content.
func (t *tester) fill(kind protoreflect.MessageDescriptor) []byte {
	body, err := proto.Marshal(t.fillMessage(kind, 4))
	if err != nil {
		return t.noise(100)
	}
	return body
}

func (t *tester) fillMessage(kind protoreflect.MessageDescriptor, depth int) protoreflect.ProtoMessage {
	message := dynamicpb.NewMessage(kind)
	for i := 0; i < kind.Fields().Len(); i++ {
		field := kind.Fields().Get(i)
		if t.random.Intn(3) == 0 || (depth == 0 && field.Kind() == protoreflect.MessageKind) {
			continue
		}
		switch {
		case field.IsMap():
		case field.IsList():
			list := message.Mutable(field).List()
			for n := t.random.Intn(4); n > 0; n-- {
				list.Append(t.fillValue(field, depth))
			}
		default:
			message.Set(field, t.fillValue(field, depth))
		}
	}
	return message
}

func (t *tester) fillValue(field protoreflect.FieldDescriptor, depth int) protoreflect.Value {
	number := t.random.Uint64() >> uint(t.random.Intn(64))
	switch field.Kind() {
	case protoreflect.MessageKind:
		return protoreflect.ValueOfMessage(t.fillMessage(field.Message(), depth-1).ProtoReflect())
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(append([]byte("compat/bad/"), t.noise(50)...))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("text")
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(number%2 == 0)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(int32(number)))
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(number))
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(number))
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(int64(number))
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(number)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(float64(number))
	default:
		return field.Default()
	}
}
