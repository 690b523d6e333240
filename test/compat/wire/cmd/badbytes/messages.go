package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"tikv_fdw/test/compat/wire/internal/h2"
)

func (t *tester) getRequest() []byte {
	request := &kvrpcpb.RawGetRequest{Context: t.Context(), Key: []byte("compat/bad")}
	raw, err := request.Marshal()
	if err != nil {
		panic(err)
	}
	return raw
}

// brokenMessages has right headers and wrong bodies.
func (t *tester) brokenMessages() error {
	good := t.getRequest()
	length := func(n uint32, body []byte) []byte {
		framed := h2.Message(false, body)
		binary.BigEndian.PutUint32(framed[1:], n)
		return framed
	}
	bodies := map[string][]byte{
		"nothing":              {},
		"half a length":        {0, 0, 0},
		"length without body":  length(100, nil),
		"length too large":     length(uint32(len(good)+1), good),
		"length too small":     length(uint32(len(good)-1), good),
		"4 GiB announced":      length(0xffffffff, good),
		"2 GiB announced":      length(0x80000000, good),
		"unknown flag":         append([]byte{0x82}, h2.Message(false, good)[1:]...),
		"two messages":         append(h2.Message(false, good), h2.Message(false, good)...),
		"flagged, not gzipped": h2.Message(true, good),
		"gzip cut":             h2.Message(true, zip(good)[:10]),
		"gzip of nothing":      h2.Message(true, zip(nil)),
		"300 MiB announced":    length(300<<20, make([]byte, 1<<20)),
	}
	var calls []func() error
	for _, path := range []string{callPath, "/tikvpb.Tikv/RawPut", "/tikvpb.Tikv/BatchCommands",
		"/pdpb.PD/GetRegion", "/pdpb.PD/Tso", "/pdpb.PD/QueryRegion", "/no.Such/Method"} {
		for _, addr := range t.ports() {
			for what, body := range bodies {
				for _, end := range []bool{true, false} {
					calls = append(calls, func() error {
						if err := sendBody(addr, path, body, end); err != nil {
							return fmt.Errorf("%s, %s: %w", path, what, err)
						}
						return nil
					})
				}
			}
		}
	}
	return atOnce(calls)
}

func zip(data []byte) []byte {
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	writer.Write(data)
	writer.Close()
	return out.Bytes()
}

// sendBody makes a call with that body and waits a moment for its end.
func sendBody(addr, path string, body []byte, end bool) error {
	c, err := h2.Open(addr)
	if err != nil {
		return fmt.Errorf("%s takes no connections any more: %w", addr, err)
	}
	defer c.Close()
	stream, err := c.Begin(path, "grpc-encoding", "gzip")
	if err != nil {
		return err
	}
	c.SetDeadline(time.Now().Add(patience))
	for len(body) > 16384 { // the node may hang up at any frame
		if c.Framer.WriteData(stream, false, body[:16384]) != nil {
			return nil
		}
		body = body[16384:]
	}
	c.Framer.WriteData(stream, end, body)
	if !end {
		c.Framer.WriteRSTStream(stream, http2.ErrCodeCancel)
	}
	c.Status(stream, patience)
	return nil
}

// verbatim is a codec for messages that are bytes already.
type verbatim struct{}

func (verbatim) Name() string { return "proto" }

func (verbatim) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (verbatim) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

var _ encoding.CodecV2 = verbatim{}

// randomMessages sends every method of the protocol garbage, well-formed
// nonsense, and well-formed nonsense with a few wrong bits.
func (t *tester) randomMessages() error {
	methods := allMethods()
	if len(methods) < 150 {
		return fmt.Errorf("only %d methods are known", len(methods))
	}
	var calls []func() error
	for _, m := range methods {
		for _, conn := range []*grpc.ClientConn{t.StoreConn, t.PDConn} {
			for i := 0; i < 3+t.rounds/8; i++ {
				body := t.randomBody(m, i)
				calls = append(calls, func() error {
					if err := sendRandom(conn, m, body); err != nil {
						return fmt.Errorf("%s: %w", m.path, err)
					}
					return nil
				})
			}
		}
	}
	return atOnce(calls)
}

func (t *tester) randomBody(m method, i int) []byte {
	switch i {
	case 0:
		return nil
	case 1:
		return t.noise(300)
	case 2:
		return nested(10000)
	}
	body := t.fill(m.input)
	if i%2 == 0 && len(body) > 0 {
		for flips := t.random.Intn(4); flips >= 0; flips-- {
			body[t.random.Intn(len(body))] ^= 1 << uint(t.random.Intn(8))
		}
	}
	return body
}

// nested is a message in a message in a message, depth times, as field 1 is a
// message in most requests.
func nested(depth int) []byte {
	var body []byte
	for i := 0; i < depth && len(body) < 1<<16; i++ {
		body = append(protowire.AppendTag(nil, 1, protowire.BytesType), protowire.AppendBytes(nil, body)...)
	}
	return body
}

// sendRandom makes the call and takes any answer but the loss of the
// connection.
func sendRandom(conn *grpc.ClientConn, m method, body []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	codec := grpc.ForceCodecV2(verbatim{})
	var answer []byte
	if !m.stream {
		return judge(conn.Invoke(ctx, m.path, &body, &answer, codec))
	}
	// A stream may stay open after a message that means nothing to it.
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, m.path, codec)
	if err != nil {
		return judge(err)
	}
	stream.SendMsg(&body)
	stream.CloseSend()
	for err == nil {
		err = stream.RecvMsg(&answer)
	}
	if status.Code(err) == codes.DeadlineExceeded {
		return nil
	}
	return judge(err)
}

// judge tells an answer from the loss of the connection.
func judge(err error) error {
	if status.Code(err) == codes.Unavailable && !saidByNode(err) {
		return err
	}
	if status.Code(err) == codes.DeadlineExceeded {
		return fmt.Errorf("no answer within the deadline: %w", err)
	}
	return nil
}

// saidByNode: UNAVAILABLE is an answer if the node said it, and a loss if
// the library did.
func saidByNode(err error) bool {
	text := status.Convert(err).Message()
	for _, words := range []string{"error reading", "connection error", "EOF", "transport"} {
		if strings.Contains(text, words) {
			return false
		}
	}
	return true
}
