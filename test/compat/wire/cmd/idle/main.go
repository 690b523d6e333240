// idle opens very many connections that do nothing, and others that ping as
// clients do, with and without a call, and more often than they do. None may
// be closed or told to go away, every ping has to be answered, new calls have
// to work meanwhile, and so has a stream on which nothing was said for long.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/pingcap/kvproto/pkg/metapb"
	"github.com/pingcap/kvproto/pkg/pdpb"
	"golang.org/x/net/http2"

	"tikv_fdw/test/compat/wire/internal/h2"
	"tikv_fdw/test/compat/wire/internal/node"
)

type options struct {
	connections int
	duration    time.Duration
	ping        time.Duration
}

func main() {
	var o options
	flag.IntVar(&o.connections, "connections", 2000, "idle connections to each port")
	flag.DurationVar(&o.duration, "duration", 25*time.Second, "how long they stay")
	flag.DurationVar(&o.ping, "ping", 10*time.Second, "time between the pings of a usual client")
	flag.Parse()

	report := node.NewReport("idle")
	report.Fatal(raiseFileLimit(2*o.connections + 200))
	n, err := node.Connect(context.Background())
	report.Fatal(err)

	ports := map[string]string{"store": n.StoreAddr, "PD": n.PDAddr}
	streams := map[string]string{"store": "/tikvpb.Tikv/BatchCommands", "PD": "/pdpb.PD/Tso"}
	idle := map[string][]net.Conn{}
	for port, addr := range ports {
		idle[port], err = openIdle(addr, o.connections)
		report.Check(fmt.Sprintf("open %d connections to %s", o.connections, port), err)
	}
	report.Check("calls beside the idle connections", n.Alive(context.Background()))

	var group sync.WaitGroup
	var mutex sync.Mutex
	for port, addr := range ports {
		for _, p := range []pinger{
			{"without a call", addr, "", o.ping, o.duration},
			{"with an open stream", addr, streams[port], o.ping, o.duration},
			{"in haste", addr, "", 100 * time.Millisecond, o.duration},
			{"in haste with a stream", addr, streams[port], 100 * time.Millisecond, o.duration},
		} {
			group.Add(1)
			go func() {
				defer group.Done()
				err := p.run()
				mutex.Lock()
				report.Check("pings to "+port+" "+p.what, err)
				mutex.Unlock()
			}()
		}
	}
	for _, s := range sleepers {
		group.Add(1)
		go func() {
			defer group.Done()
			err := s.sleep(n, o.duration)
			mutex.Lock()
			report.Check(s.what+" works on after a long silence", err)
			mutex.Unlock()
		}()
	}
	// A store's stream gets a sign of life each minute.
	if o.duration > signOfLife {
		group.Add(1)
		go func() {
			defer group.Done()
			err := hearSign(n, o.duration)
			mutex.Lock()
			report.Check("a sign of life on RegionHeartbeat", err)
			mutex.Unlock()
		}()
	}
	group.Wait()
	for port, conns := range idle {
		report.Check("idle connections to "+port+" stay open", stillOpen(conns))
	}
	report.Check("calls after all", n.Alive(context.Background()))
	report.Exit()
}

// raiseFileLimit makes room for n open files, or says what is missing.
func raiseFileLimit(n int) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return err
	}
	if limit.Max < uint64(n) {
		return fmt.Errorf("needs %d open files, the limit is %d", n, limit.Max)
	}
	limit.Cur = limit.Max
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
}

const signOfLife = 70 * time.Second

// hearSign waits as another store, whose stream this is as long as it says
// nothing on another: that of the node talks to PD without one.  It tells of the
// region as it never was, which PD refuses.
func hearSign(n *node.Node, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	id, err := n.PD.AllocID(ctx, &pdpb.AllocIDRequest{Header: n.Header(), Count: 1})
	if err != nil {
		return err
	}
	own, err := n.PD.GetStore(ctx, &pdpb.GetStoreRequest{Header: n.Header(), StoreId: n.Leader.StoreId})
	if err != nil {
		return err
	}
	other := &metapb.Store{Id: id.Id, Address: "127.0.0.1:1", Version: own.GetStore().GetVersion()}
	if _, err = n.PD.PutStore(ctx, &pdpb.PutStoreRequest{Header: n.Header(), Store: other}); err != nil {
		return err
	}
	leader := &metapb.Peer{Id: n.Leader.Id, StoreId: other.Id}
	region := &metapb.Region{Id: n.Region.Id, StartKey: n.Region.StartKey, EndKey: n.Region.EndKey,
		RegionEpoch: &metapb.RegionEpoch{}, Peers: []*metapb.Peer{leader}}
	stream, err := n.PD.RegionHeartbeat(ctx)
	if err != nil {
		return err
	}
	err = stream.Send(&pdpb.RegionHeartbeatRequest{Header: n.Header(), Region: region, Leader: leader})
	if err != nil {
		return err
	}
	got, err := stream.Recv()
	if err == nil && got.GetHeader().GetError() == nil {
		err = fmt.Errorf("a region of the past is taken: %v", got)
	}
	if err == nil {
		got, err = stream.Recv()
	}
	if err != nil {
		return err
	}
	return node.Expect(got.GetHeader().GetClusterId() == n.ClusterID && got.Header.Error == nil && got.RegionId == 0, "got %v", got)
}

// openIdle opens connections with the HTTP/2 preface; every 50th says nothing
// at all.
func openIdle(addr string, count int) ([]net.Conn, error) {
	var conns []net.Conn
	for i := 0; i < count; i++ {
		if i%50 == 0 {
			raw, err := net.DialTimeout("tcp", addr, 10*time.Second)
			if err != nil {
				return conns, fmt.Errorf("connection %d: %w", i, err)
			}
			conns = append(conns, raw)
			continue
		}
		c, err := h2.Open(addr)
		if err != nil {
			return conns, fmt.Errorf("connection %d: %w", i, err)
		}
		conns = append(conns, c)
	}
	return conns, nil
}

// stillOpen reads what has come on each connection: only the end of the
// stream or a GOAWAY is wrong.
func stillOpen(conns []net.Conn) error {
	errs := make(chan error, len(conns))
	for _, conn := range conns {
		go func() { errs <- openOne(conn) }()
	}
	closed := map[string]int{}
	for range conns {
		if err := <-errs; err != nil {
			closed[err.Error()]++
		}
	}
	return node.Expect(len(closed) == 0, "of %d, by cause: %v", len(conns), closed)
}

func openOne(conn net.Conn) error {
	conn.SetReadDeadline(time.Now().Add(time.Second))
	framer := http2.NewFramer(conn, conn)
	for {
		frame, err := framer.ReadFrame()
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			return nil
		}
		if err != nil {
			var op *net.OpError
			if errors.As(err, &op) {
				err = op.Err // without the addresses, so that equal causes count together
			}
			return err
		}
		if away, ok := frame.(*http2.GoAwayFrame); ok {
			return fmt.Errorf("GOAWAY %v %s", away.ErrCode, away.DebugData())
		}
	}
}

// A pinger is one connection that pings, and the stream it has open if any.
type pinger struct {
	what     string
	addr     string
	stream   string
	every    time.Duration
	duration time.Duration
}

func (p pinger) run() error {
	c, err := h2.Open(p.addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if p.stream != "" {
		if _, err := c.Begin(p.stream); err != nil {
			return err
		}
	}
	answered := make(chan error, 1)
	acks := make(chan struct{}, 1024)
	go func() { answered <- p.read(c, acks) }()

	sent := 0
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	for end := time.Now().Add(p.duration); time.Now().Before(end); sent++ {
		if err := c.Framer.WritePing(false, [8]byte{1, byte(sent)}); err != nil {
			return err
		}
		select {
		case <-acks:
		case err := <-answered:
			return fmt.Errorf("after %d pings: %w", sent, err)
		case <-time.After(3 * time.Second):
			return fmt.Errorf("ping %d is not answered", sent)
		}
		<-ticker.C
	}
	return nil
}

// read counts answers to pings until the connection fails or is told to go.
func (p pinger) read(c *h2.Conn, acks chan<- struct{}) error {
	for {
		frame, err := c.Framer.ReadFrame()
		if err != nil {
			return err
		}
		switch f := frame.(type) {
		case *http2.PingFrame:
			if f.IsAck() {
				acks <- struct{}{}
			} else if err := c.Framer.WritePing(true, f.Data); err != nil {
				return err
			}
		case *http2.GoAwayFrame:
			return fmt.Errorf("GOAWAY %v %s", f.ErrCode, f.DebugData())
		case *http2.RSTStreamFrame:
			return fmt.Errorf("the stream was reset: %v", f.ErrCode)
		}
	}
}
