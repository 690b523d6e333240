// Package h2 speaks HTTP/2 frame by frame, for what a gRPC library would not
// let one send.
package h2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"tikv_fdw/test/compat/wire/internal/node"
)

// Conn is a connection whose preface and settings have been sent.
type Conn struct {
	net.Conn
	Framer *http2.Framer
	next   uint32
}

// Open connects, with TLS where node.Dial does, and sends the preface; it does
// not wait for an answer.
func Open(addr string) (*Conn, error) {
	raw, err := node.DialBytes(addr)
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: raw, Framer: http2.NewFramer(raw, raw), next: 1}
	c.Framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := raw.Write([]byte(http2.ClientPreface)); err != nil {
		return nil, err
	}
	return c, c.Framer.WriteSettings()
}

// Headers is the header block of a gRPC call; more are pairs of name, value.
func Headers(path string, more ...string) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	pairs := append([]string{":method", "POST", ":scheme", "http", ":path", path,
		":authority", "test", "te", "trailers", "content-type", "application/grpc"}, more...)
	for i := 0; i+1 < len(pairs); i += 2 {
		encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	return block.Bytes()
}

// Message frames the bytes of a gRPC message.
func Message(compressed bool, body []byte) []byte {
	out := make([]byte, 5, 5+len(body))
	if compressed {
		out[0] = 1
	}
	binary.BigEndian.PutUint32(out[1:], uint32(len(body)))
	return append(out, body...)
}

// Begin opens a call and returns its stream.
func (c *Conn) Begin(path string, more ...string) (uint32, error) {
	stream := c.next
	c.next += 2
	return stream, c.Framer.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: Headers(path, more...), EndHeaders: true})
}

// Status reads until the stream ends and returns its grpc-status and
// grpc-message. A reset is given as "reset" with its code.
func (c *Conn) Status(stream uint32, within time.Duration) (code, text string, err error) {
	c.SetReadDeadline(time.Now().Add(within))
	for {
		frame, err := c.Framer.ReadFrame()
		if err != nil {
			return "", "", err
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				c.Framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				c.Framer.WritePing(true, f.Data)
			}
		case *http2.GoAwayFrame:
			return "", "", fmt.Errorf("GOAWAY %v %s", f.ErrCode, f.DebugData())
		case *http2.RSTStreamFrame:
			if f.StreamID == stream {
				return "reset", f.ErrCode.String(), nil
			}
		case *http2.MetaHeadersFrame:
			if f.StreamID == stream && f.StreamEnded() {
				for _, field := range f.Fields {
					switch field.Name {
					case "grpc-status":
						code = field.Value
					case "grpc-message":
						text = field.Value
					}
				}
				return code, text, nil
			}
		}
	}
}
