package nemesis

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Between two instances that lead nothing little is said, so that nothing is
// lost when the link between them is cut.  So this program knocks itself, at
// each port behind each link, as if it were the instance at its other end: before
// the cut there is an answer, and behind it none, on the same connection or on a
// new one.  What is lost of it is no evidence of what instances say.

// A greeting of HTTP/2, which every server answers: the preface, settings of
// none, a ping.
const (
	greeting = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" + ping
	ping     = "\x00\x00\x08\x06\x00\x00\x00\x00\x00knocking"
)

// What an instance that nothing is in the way of may take to answer.
const answersWithin = 20 * time.Second

// posed are connections of this program in the name of an instance.
type posed struct {
	mutex sync.Mutex
	as    map[int]int // instances, by port
}

func (p *posed) find(conn net.Conn) (node int, found bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	node, found = p.as[portOf(conn.RemoteAddr().String())]
	return node, found
}

// dial an address in the name of a node; nobody is asked whose connection it is
// before that is noted.
func (p *posed) dial(node int, address string) (net.Conn, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	conn, err := net.DialTimeout("tcp", address, 3*time.Second)
	if err != nil {
		return nil, err
	}
	if p.as == nil {
		p.as = map[int]int{}
	}
	p.as[portOf(conn.LocalAddr().String())] = node
	return conn, nil
}

func (p *posed) forget(conn net.Conn) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	delete(p.as, portOf(conn.LocalAddr().String()))
	conn.Close()
}

// probe of one port behind a link.
type probe struct {
	network *network
	link    link
	address string // the proxy's
	old     net.Conn
	fresh   net.Conn // made behind the cut

	mutex sync.Mutex
	heard int // bytes, behind the cut
}

type probes struct {
	all    []*probe
	knocks int
}

// probe these links while they are open: each is answered.
func (n *network) probe(links []link) (*probes, error) {
	all := &probes{}
	for _, l := range links {
		for _, target := range targetsOf(n.cluster, l.to) {
			p := &probe{network: n, link: l,
				address: fmt.Sprintf("127.0.0.1:%d", portOf(target)+n.cluster.Proxied)}
			if err := p.greet(); err != nil {
				all.close()
				return nil, fmt.Errorf("a probe from node %d to %d, which is not cut: %w", l.from, l.to, err)
			}
			all.all = append(all.all, p)
		}
	}
	return all, nil
}

// greet until there is an answer to all of it.
func (p *probe) greet() (err error) {
	for began := time.Now(); time.Since(began) < answersWithin; time.Sleep(100 * time.Millisecond) {
		if p.old, err = p.network.posed.dial(p.link.from, p.address); err != nil {
			continue
		}
		_ = p.old.SetDeadline(began.Add(answersWithin))
		if _, err = p.old.Write([]byte(greeting)); err == nil {
			err = untilPing(p.old)
		}
		if err == nil {
			return p.old.SetDeadline(time.Time{})
		}
		p.network.posed.forget(p.old)
		p.old = nil
	}
	return err
}

// untilPing was answered.
func untilPing(conn net.Conn) error {
	var all []byte
	buffer := make([]byte, 1024)
	for {
		size, err := conn.Read(buffer)
		if err != nil {
			return err
		}
		all = append(all, buffer[:size]...)
		if bytes.Contains(all, []byte(ping[len(ping)-8:])) {
			return nil
		}
	}
}

// drain what has come before the cut.
func drain(conn net.Conn) {
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
	_, _ = io.Copy(io.Discard, conn)
	_ = conn.SetReadDeadline(time.Time{})
}

// knock behind the cut, on the old connections and on new ones; answers are
// listened for until close.
func (p *probes) knock() {
	for _, one := range p.all {
		drain(one.old)
		go one.listen(one.old)
		if _, err := one.old.Write([]byte(ping)); err == nil {
			p.knocks++
		}
		conn, err := one.network.posed.dial(one.link.from, one.address)
		if err != nil {
			continue
		}
		one.fresh = conn
		go one.listen(conn)
		if _, err = conn.Write([]byte(greeting)); err == nil {
			p.knocks++
		}
	}
}

func (p *probe) listen(conn net.Conn) {
	buffer := make([]byte, 1024)
	for {
		size, err := conn.Read(buffer)
		p.mutex.Lock()
		p.heard += size
		p.mutex.Unlock()
		if err != nil {
			return
		}
	}
}

// answered fails if a knock was, or if none was possible.
func (p *probes) answered() error {
	var wrong []error
	if p.knocks == 0 {
		wrong = append(wrong, errors.New("nobody knocked behind the cut"))
	}
	for _, one := range p.all {
		one.mutex.Lock()
		if one.heard > 0 {
			wrong = append(wrong, fmt.Errorf("an answer of %d bytes came from node %d to %d, at port %s, though that was cut",
				one.heard, one.link.to, one.link.from, one.address))
		}
		one.mutex.Unlock()
	}
	return errors.Join(wrong...)
}

func (p *probes) close() {
	for _, one := range p.all {
		for _, conn := range []net.Conn{one.old, one.fresh} {
			if conn != nil {
				one.network.posed.forget(conn)
			}
		}
	}
}
