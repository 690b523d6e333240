package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"golang.org/x/sync/errgroup"

	"tikv_fdw/test/compat/wire/internal/h2"
)

// patience is how long we listen to what a node says to nonsense.
const patience = 100 * time.Millisecond

func (t *tester) ports() []string {
	return []string{t.StoreAddr, t.PDAddr}
}

// throw sends the bytes on a new connection and listens for a moment. What
// the node answers, and whether it hangs up, does not matter here.
func throw(addr string, data []byte) error {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return fmt.Errorf("%s takes no connections any more: %w", addr, err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	conn.Write(data)
	io.Copy(io.Discard, io.LimitReader(conn, 1<<20))
	return nil
}

func (t *tester) noise(max int) []byte {
	data := make([]byte, t.random.Intn(max)+1)
	t.random.Read(data)
	return data
}

func (t *tester) throwAll(list [][]byte) error {
	var throws []func() error
	for _, addr := range t.ports() {
		for _, data := range list {
			throws = append(throws, func() error { return throw(addr, data) })
		}
	}
	return atOnce(throws)
}

// Most of the time is spent listening, so this many listen at once.
const hands = 16

// atOnce does all of the list and returns the first error of any.
func atOnce(list []func() error) error {
	var group errgroup.Group
	group.SetLimit(hands)
	for _, one := range list {
		group.Go(one)
	}
	return group.Wait()
}

// randomBytes from the start, behind the preface, and behind whole settings.
func (t *tester) randomBytes() error {
	var list [][]byte
	settings := conversation(func(f *http2.Framer) { f.WriteSettings() })
	for i := 0; i < t.rounds; i++ {
		list = append(list, t.noise(2000),
			append([]byte(http2.ClientPreface), t.noise(2000)...),
			append(bytes.Clone(settings), t.noise(2000)...))
	}
	return t.throwAll(append(list, []byte{0}, []byte{0xff}, []byte("PRI"), make([]byte, 1<<20)))
}

func (t *tester) plainHTTP() error {
	return t.throwAll([][]byte{
		[]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		[]byte("GET /metrics HTTP/1.0\r\n\r\n"),
		[]byte("GET / HTTP/1.1\r\n"),
		[]byte("POST /pd/api/v1/config HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n{}"),
		[]byte("GET /pd/api/v1/members HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n" +
			"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n\r\n"),
		[]byte("PRI * HTTP/1.1\r\n\r\n"),
		[]byte("BREW /" + string(bytes.Repeat([]byte("a"), 1<<16)) + " HTTP/1.1\r\n\r\n"),
		{0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03}, // a TLS hello
		[]byte("\x00\x00\x00\x08\x04\xd2\x16\x2f"),                         // a Postgres SSLRequest
	})
}

// conversation is the preface and what write puts behind it.
func conversation(write func(*http2.Framer)) []byte {
	var out bytes.Buffer
	out.WriteString(http2.ClientPreface)
	framer := http2.NewFramer(&out, nil)
	framer.AllowIllegalWrites = true
	write(framer)
	return out.Bytes()
}

const callPath = "/tikvpb.Tikv/RawGet"

func openCall(f *http2.Framer, stream uint32) {
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: h2.Headers(callPath), EndHeaders: true})
}

// rawFrame lets every part of a frame's head be wrong.
func rawFrame(length uint32, kind, flags byte, stream uint32, payload []byte) []byte {
	head := make([]byte, 9)
	binary.BigEndian.PutUint32(head, length<<8)
	head[3], head[4] = kind, flags
	binary.BigEndian.PutUint32(head[5:], stream)
	return append(head, payload...)
}

func (t *tester) brokenFrames() error {
	list := [][]byte{
		conversation(func(f *http2.Framer) { f.WriteData(1, true, []byte("before headers")) }),
		conversation(func(f *http2.Framer) { f.WriteSettings(); f.WriteData(0, true, []byte("on stream 0")) }),
		conversation(func(f *http2.Framer) { f.WriteSettings(); f.WriteContinuation(1, true, h2.Headers(callPath)) }),
		conversation(func(f *http2.Framer) { f.WriteSettings(); openCall(f, 2) }),
		conversation(func(f *http2.Framer) { f.WriteSettings(); openCall(f, 5); openCall(f, 3) }),
		conversation(func(f *http2.Framer) { f.WriteSettings(); openCall(f, 1); openCall(f, 1); openCall(f, 1) }),
		conversation(func(f *http2.Framer) { f.WriteSettings(); openCall(f, 1); f.WriteWindowUpdate(1, 0) }),
		conversation(func(f *http2.Framer) {
			f.WriteSettings()
			f.WriteWindowUpdate(0, 1<<31-1)
			f.WriteWindowUpdate(0, 1<<31-1)
		}),
		conversation(func(f *http2.Framer) { f.WriteSettings(); f.WriteRSTStream(7, http2.ErrCodeCancel) }),
		conversation(func(f *http2.Framer) {
			f.WriteSettings()
			f.WritePriority(1, http2.PriorityParam{StreamDep: 1, Weight: 255})
		}),
		conversation(func(f *http2.Framer) {
			f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31})
		}),
		conversation(func(f *http2.Framer) { f.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1}) }),
		conversation(func(f *http2.Framer) { f.WriteSettings(http2.Setting{ID: http2.SettingEnablePush, Val: 9}) }),
		conversation(func(f *http2.Framer) { f.WriteSettings(); f.WriteGoAway(1<<30, http2.ErrCodeNo, []byte("bye")) }),
		conversation(func(f *http2.Framer) {
			f.WriteSettings()
			f.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: h2.Headers(callPath), EndHeaders: true})
		}),
		conversation(func(f *http2.Framer) {
			for i := 0; i < 5000; i++ {
				f.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: uint32(i)})
			}
		}),
		conversation(func(f *http2.Framer) {
			f.WriteSettings()
			for i := 0; i < 5000; i++ {
				f.WritePing(false, [8]byte{byte(i)})
			}
		}),
		conversation(func(f *http2.Framer) { // open and reset, again and again
			f.WriteSettings()
			for i := uint32(0); i < 2000; i++ {
				openCall(f, 2*i+1)
				f.WriteRSTStream(2*i+1, http2.ErrCodeCancel)
			}
		}),
		conversation(func(f *http2.Framer) { // very many streams at once
			f.WriteSettings()
			for i := uint32(0); i < 3000; i++ {
				openCall(f, 2*i+1)
			}
		}),
		conversation(func(f *http2.Framer) { // headers that never end
			f.WriteSettings()
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h2.Headers(callPath)})
			for i := 0; i < 1000; i++ {
				f.WriteContinuation(1, false, literalHeader("x-more", bytes.Repeat([]byte("y"), 1000)))
			}
		}),
		conversation(func(f *http2.Framer) { // a table that is far too large
			f.WriteSettings()
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true,
				BlockFragment: []byte{0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}})
		}),
	}
	for kind := 0; kind < 16; kind++ {
		for _, length := range []uint32{0, 1, 8, 100, 1<<24 - 1} {
			frame := rawFrame(length, byte(kind), byte(t.random.Intn(256)), t.random.Uint32()>>uint(t.random.Intn(32)), t.noise(100))
			list = append(list, append(conversation(func(f *http2.Framer) { f.WriteSettings() }), frame...))
		}
	}
	for i := 0; i < t.rounds; i++ { // random header blocks
		block := t.noise(500)
		list = append(list, conversation(func(f *http2.Framer) {
			f.WriteSettings()
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true, EndStream: true})
		}))
	}
	for _, headers := range strangeHeaders() {
		list = append(list, conversation(func(f *http2.Framer) {
			f.WriteSettings()
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headers, EndHeaders: true})
			f.WriteData(1, true, h2.Message(false, nil))
		}))
	}
	return t.throwAll(list)
}

func literalHeader(name string, value []byte) []byte {
	var out bytes.Buffer
	hpack.NewEncoder(&out).WriteField(hpack.HeaderField{Name: name, Value: string(value), Sensitive: true})
	return out.Bytes()
}

// strangeHeaders are blocks that can be decoded and make no sense as a call.
func strangeHeaders() [][]byte {
	var list [][]byte
	for _, pairs := range [][]string{
		{}, {":path", ""}, {":path", "no slash"}, {":path", "/"}, {":method", "GET"},
		{"grpc-timeout", "999999999999999999H"}, {"grpc-timeout", "-1S"}, {"grpc-timeout", ""},
		{"grpc-encoding", "unheard-of"}, {"content-type", "text/plain"}, {"content-length", "-5"},
		{"te", "gzip"}, {"connection", "close"}, {"Upper-Case", "x"}, {":status", "200"},
		{"bad-bin", "!!not base64!!"}, {":authority", string([]byte{0, 1, 2})},
	} {
		list = append(list, h2.Headers(callPath, pairs...))
	}
	var bare bytes.Buffer
	hpack.NewEncoder(&bare).WriteField(hpack.HeaderField{Name: "only", Value: "this"})
	return append(list, bare.Bytes())
}

// cutConversations ends a good call after each of its bytes.
func (t *tester) cutConversations() error {
	whole := conversation(func(f *http2.Framer) {
		f.WriteSettings()
		openCall(f, 1)
		f.WriteData(1, true, h2.Message(false, t.getRequest()))
	})
	for _, addr := range t.ports() {
		for end := 1; end < len(whole); end++ {
			conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
			if err != nil {
				return fmt.Errorf("%s takes no connections any more: %w", addr, err)
			}
			conn.Write(whole[:end])
			if end%2 == 0 {
				conn.(*net.TCPConn).SetLinger(0) // a reset instead of an end
			}
			conn.Close()
		}
	}
	return nil
}
