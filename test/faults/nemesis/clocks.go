package nemesis

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// What a node takes for the time of day is seen in what its store tells others:
// each BatchRaftMessage says when it was sent (src/transport/batch_queue.c).
// The proxy reads it there.

const lastObservedTime protowire.Number = 13 // a field of BatchRaftMessage, in ms

// clocks are what nodes said last, as how far it was ahead of this program's.
type clocks struct {
	mutex sync.Mutex
	ahead map[int]heardClock
}

type heardClock struct {
	by time.Duration
	at time.Time
}

func (c *clocks) hear(node int, ms int64) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.ahead == nil {
		c.ahead = map[int]heardClock{}
	}
	now := time.Now()
	c.ahead[node] = heardClock{time.Duration(ms-now.UnixMilli()) * time.Millisecond, now}
}

// since that moment; false: the node has said nothing.
func (c *clocks) since(node int, when time.Time) (ahead time.Duration, said bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	heard, said := c.ahead[node]
	return heard.by, said && heard.at.After(when)
}

// Clocks step by an hour: nothing that delays a message takes so long.
const clockSlack = 10 * time.Minute

// isOff says whether a clock that is so far ahead is off by these seconds.
func isOff(ahead time.Duration, seconds int) bool {
	return (ahead - time.Duration(seconds)*time.Second).Abs() < clockSlack
}

// awaitClock until the node is seen to have a clock that is off by so much.
func (n *Nemesis) awaitClock(node, seconds int) error {
	asked := time.Now()
	for time.Since(asked) < effectWithin {
		if n.clockIsOff(node, seconds, asked) {
			n.tell(fmt.Sprintf("clocks seen off by %+d s", seconds-n.clock), 1)
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("%w: the clock of node %d is not seen to be off by %d s", errNotInjected, node, seconds)
}

func (n *Nemesis) clockIsOff(node, seconds int, since time.Time) bool {
	if n.network == nil {
		return n.timestampIsOff(seconds)
	}
	ahead, said := n.network.clocks.since(node, since)
	if !said || !isOff(ahead, seconds) {
		return false
	}
	log.Printf("node %d says that it is %.0f s later than it is", node, ahead.Seconds())
	return true
}

// timestampIsOff: a single instance tells nobody its time, but gives timestamps.
// They do not go back: of a clock that is behind they stand still, while those
// of another one are never behind the time at which they were asked for.
func (n *Nemesis) timestampIsOff(seconds int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	asked := time.Now()
	ms, given := n.timestamp(ctx, 0)
	if !given {
		return false
	}
	ahead := time.Duration(ms-asked.UnixMilli()) * time.Millisecond
	if seconds < n.clock {
		return ahead < time.Duration(n.clock)*time.Second-time.Second
	}
	return isOff(ahead, seconds)
}

// frames reads what a client of HTTP/2 sends, for the gRPC messages in it.
type frames struct {
	heard func(ms int64)

	begun   bool
	rest    []byte
	streams map[uint32][]byte
}

// What a client of HTTP/2 begins with, and what a frame does.
const (
	prefaceSize = 24
	headSize    = 9

	dataFrame = 0
	rstFrame  = 3

	endStream = 0x1
	padded    = 0x8
)

func (f *frames) feed(bytes []byte) {
	f.rest = append(f.rest, bytes...)
	if !f.begun {
		if len(f.rest) < prefaceSize {
			return
		}
		f.begun, f.streams = true, map[uint32][]byte{}
		f.rest = f.rest[prefaceSize:]
	}
	for len(f.rest) >= headSize {
		size := int(f.rest[0])<<16 | int(f.rest[1])<<8 | int(f.rest[2])
		if len(f.rest) < headSize+size {
			break
		}
		f.frame(f.rest[3], f.rest[4], binary.BigEndian.Uint32(f.rest[5:headSize])&^(1<<31), f.rest[headSize:headSize+size])
		f.rest = f.rest[headSize+size:]
	}
	f.rest = append([]byte(nil), f.rest...)
}

func (f *frames) frame(kind, flags byte, stream uint32, payload []byte) {
	if kind == dataFrame {
		if flags&padded != 0 && len(payload) > 0 && len(payload) > int(payload[0]) {
			payload = payload[1 : len(payload)-int(payload[0])]
		}
		f.streams[stream] = f.messages(append(f.streams[stream], payload...))
	}
	if kind == rstFrame || kind == dataFrame && flags&endStream != 0 {
		delete(f.streams, stream)
	}
}

// messages that are whole are read; what is left of the bytes is returned.
func (f *frames) messages(bytes []byte) []byte {
	const prefix = 5 // of gRPC: whether it is compressed, and how long it is
	for len(bytes) >= prefix {
		size := int(binary.BigEndian.Uint32(bytes[1:prefix]))
		if len(bytes) < prefix+size {
			break
		}
		if ms, said := timeIn(bytes[prefix : prefix+size]); said && bytes[0] == 0 {
			f.heard(ms)
		}
		bytes = bytes[prefix+size:]
	}
	return append([]byte(nil), bytes...)
}

// timeIn a BatchRaftMessage.
func timeIn(message []byte) (ms int64, said bool) {
	for len(message) > 0 {
		number, kind, size := protowire.ConsumeTag(message)
		if size < 0 {
			return 0, false
		}
		message = message[size:]
		if number == lastObservedTime && kind == protowire.VarintType {
			value, size := protowire.ConsumeVarint(message)
			return int64(value), size > 0
		}
		if size = protowire.ConsumeFieldValue(number, kind, message); size < 0 {
			return 0, false
		}
		message = message[size:]
	}
	return 0, false
}
