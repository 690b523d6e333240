package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
)

// bombBytes is what a megabyte of gzip becomes. A node that inflates all of
// it before it looks at the size has lost the memory and the time.
const bombBytes = 1 << 30

// bombPatience is enough to inflate as much as a request may have, and not
// enough for a bomb.
const bombPatience = time.Second

// bomber passes for gzip and sends the bomb in place of any message.
type bomber struct{ bomb []byte }

func (bomber) Name() string { return "gzip" }

func (b bomber) Compress(w io.Writer) (io.WriteCloser, error) {
	return &bombWriter{w: w, bomb: b.bomb}, nil
}

func (bomber) Decompress(r io.Reader) (io.Reader, error) { return r, nil }

type bombWriter struct {
	w    io.Writer
	bomb []byte
}

func (*bombWriter) Write(p []byte) (int, error) { return len(p), nil }

func (b *bombWriter) Close() error {
	_, err := b.w.Write(b.bomb)
	return err
}

// bombs have to be refused, and soon: the best of three attempts counts.
func (t *tester) bombs() error {
	encoding.RegisterCompressor(bomber{zip(make([]byte, bombBytes))})
	for _, call := range []struct {
		conn *grpc.ClientConn
		path string
	}{
		{t.StoreConn, "/tikvpb.Tikv/RawPut"},
		{t.StoreConn, "/tikvpb.Tikv/BatchCommands"},
		{t.PDConn, "/pdpb.PD/GetRegion"},
		{t.PDConn, "/pdpb.PD/Tso"},
	} {
		best := time.Hour
		for i := 0; i < 3 && best > bombPatience; i++ {
			began := time.Now()
			if err := throwBomb(call.conn, call.path); err != nil {
				return fmt.Errorf("%s: %w", call.path, err)
			}
			best = min(best, time.Since(began))
		}
		if best > bombPatience {
			return fmt.Errorf("%s: refused after %v, so it was inflated as a whole", call.path, best)
		}
	}
	return nil
}

// throwBomb returns an error if the node took the bomb or hung up.
func throwBomb(conn *grpc.ClientConn, path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, path,
		grpc.ForceCodecV2(verbatim{}), grpc.UseCompressor("gzip"))
	if err != nil {
		return err
	}
	body := []byte("the bomb takes the place of this")
	stream.SendMsg(&body)
	stream.CloseSend()
	err = stream.RecvMsg(&body)
	switch status.Code(err) {
	case codes.ResourceExhausted, codes.InvalidArgument, codes.Internal, codes.Unimplemented, codes.Canceled:
		return nil
	}
	return fmt.Errorf("want it refused, got %v", err)
}
