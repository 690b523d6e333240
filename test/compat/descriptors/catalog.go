package main

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/descriptorpb"
)

// A catalog maps the full name of everything that shows on the wire to one
// line that says all that matters about it: a field's number, type, label and
// oneof; an enum value's number; a method's messages and streaming.
type catalog map[string]string

func buildCatalog(files []*descriptorpb.FileDescriptorProto) catalog {
	names := catalog{}
	for _, file := range files {
		pkg := file.GetPackage()
		for _, message := range file.MessageType {
			names.addMessage(pkg, file.GetSyntax(), message)
		}
		for _, enum := range file.EnumType {
			names.addEnum(pkg, enum)
		}
		for _, service := range file.Service {
			names.addService(pkg, service)
		}
	}
	return names
}

func (names catalog) addMessage(scope, syntax string, message *descriptorpb.DescriptorProto) {
	full := scope + "." + message.GetName()
	kind := "message"
	if message.GetOptions().GetMapEntry() {
		kind = "map entry"
	}
	names[full] = kind + ", " + syntax
	for _, nested := range message.NestedType {
		names.addMessage(full, syntax, nested)
	}
	for _, enum := range message.EnumType {
		names.addEnum(full, enum)
	}
	for _, field := range message.Field {
		names[full+"."+field.GetName()] = fieldLine(message, field)
	}
}

func fieldLine(message *descriptorpb.DescriptorProto, field *descriptorpb.FieldDescriptorProto) string {
	kind := strings.ToLower(strings.TrimPrefix(field.GetType().String(), "TYPE_"))
	if field.GetTypeName() != "" {
		kind += " " + strings.TrimPrefix(field.GetTypeName(), ".")
	}
	label := "one"
	if field.GetLabel() == descriptorpb.FieldDescriptorProto_LABEL_REPEATED {
		label = "repeated"
	}
	line := fmt.Sprintf("field %d, %s %s", field.GetNumber(), label, kind)
	if field.GetOptions() != nil && field.GetOptions().Packed != nil && !field.GetOptions().GetPacked() {
		line += ", not packed"
	}
	if field.OneofIndex != nil {
		line += ", in oneof " + message.OneofDecl[field.GetOneofIndex()].GetName()
	}
	return line
}

func (names catalog) addEnum(scope string, enum *descriptorpb.EnumDescriptorProto) {
	full := scope + "." + enum.GetName()
	names[full] = "enum"
	for _, value := range enum.Value {
		names[full+"."+value.GetName()] = fmt.Sprintf("enum value %d", value.GetNumber())
	}
}

func (names catalog) addService(pkg string, service *descriptorpb.ServiceDescriptorProto) {
	full := pkg + "." + service.GetName()
	names[full] = "service"
	for _, method := range service.Method {
		names[full+"."+method.GetName()] = fmt.Sprintf("method %s%s -> %s%s",
			streamWord(method.GetClientStreaming()), strings.TrimPrefix(method.GetInputType(), "."),
			streamWord(method.GetServerStreaming()), strings.TrimPrefix(method.GetOutputType(), "."))
	}
}

func streamWord(stream bool) string {
	if stream {
		return "stream "
	}
	return ""
}
