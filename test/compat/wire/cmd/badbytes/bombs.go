package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pingcap/kvproto/pkg/pdpb"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
)

// bombBytes is what a megabyte of gzip becomes. A node that inflates all of
// it before it looks at the size has lost the memory and the time.
const bombBytes = 1 << 30

// bombSeconds of the workers' processor time are enough to inflate as much as a
// request may have (0.2 to 0.4), and not enough for a bomb (over 2).
const bombSeconds = 1.0

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

// bombs have to be refused, and for little: the best of three attempts counts,
// as another client is served meanwhile.
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
		best := math.Inf(1)
		for i := 0; i < 3 && best > bombSeconds; i++ {
			before, err := t.processorSeconds()
			if err != nil {
				return err
			}
			if err := throwBomb(call.conn, call.path); err != nil {
				return fmt.Errorf("%s: %w", call.path, err)
			}
			after, err := t.processorSeconds()
			if err != nil {
				return err
			}
			best = min(best, after-before)
		}
		if best > bombSeconds {
			return fmt.Errorf("%s: refused after %.2f s of processor time, so it was inflated as a whole", call.path, best)
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

// processorSeconds that all workers of the node have used.
func (t *tester) processorSeconds() (float64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	store, err := t.PD.GetStore(ctx, &pdpb.GetStoreRequest{Header: t.Header(), StoreId: t.Leader.StoreId})
	if err != nil {
		return 0, err
	}
	page, err := http.Get("http://" + store.GetStore().GetStatusAddress() + "/metrics")
	if err != nil {
		return 0, err
	}
	defer page.Body.Close()
	sum, found := 0.0, false
	for lines := bufio.NewScanner(page.Body); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), "} ")
		if !strings.HasPrefix(name, "process_cpu_seconds_total{") {
			continue
		}
		seconds, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return 0, err
		}
		sum, found = sum+seconds, true
	}
	if !found {
		return 0, fmt.Errorf("the node does not tell its processor time")
	}
	return sum, nil
}
