package nemesis

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

func frameOf(kind, flags byte, stream byte, payload []byte) []byte {
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags, 0, 0, 0, stream}
	return append(head, payload...)
}

func messageOf(bytes []byte) []byte {
	return append([]byte{0, 0, 0, byte(len(bytes) >> 8), byte(len(bytes))}, bytes...)
}

// batchAt is a BatchRaftMessage that was sent then.
func batchAt(ms uint64) []byte {
	b := protowire.AppendTag(nil, 1, protowire.BytesType)
	b = protowire.AppendBytes(b, make([]byte, 300))
	b = protowire.AppendTag(b, lastObservedTime, protowire.VarintType)
	return protowire.AppendVarint(b, ms)
}

func TestFrames(t *testing.T) {
	first, second, third := messageOf(batchAt(1000)), messageOf(batchAt(2000)), messageOf(batchAt(3000))
	pad := append(append([]byte{3}, third...), 0, 0, 0)
	// A piece of a snapshot has bytes where the time would be.
	chunk := protowire.AppendBytes(protowire.AppendTag(nil, lastObservedTime, protowire.BytesType), []byte("x"))

	sent := make([]byte, prefaceSize)
	sent = append(sent, frameOf(4, 0, 0, make([]byte, 6))...)
	sent = append(sent, frameOf(dataFrame, 0, 1, first[:40])...)
	sent = append(sent, frameOf(dataFrame, 0, 3, append(messageOf(chunk), second...))...)
	sent = append(sent, frameOf(dataFrame, 0, 1, first[40:])...)
	sent = append(sent, frameOf(dataFrame, padded, 1, pad)...)
	sent = append(sent, frameOf(dataFrame, 0, 5, first[:40])...)
	sent = append(sent, frameOf(rstFrame, 0, 5, make([]byte, 4))...)
	sent = append(sent, frameOf(dataFrame, padded, 5, nil)...)

	for _, piece := range []int{1, 7, 64, len(sent)} {
		var heard []int64
		f := &frames{heard: func(ms int64) { heard = append(heard, ms) }}
		for from := 0; from < len(sent); from += piece {
			f.feed(sent[from:min(from+piece, len(sent))])
		}
		if !slices.Equal(heard, []int64{2000, 1000, 3000}) {
			t.Errorf("in pieces of %d: %v", piece, heard)
		}
	}
}

func TestTimeIn(t *testing.T) {
	whole := batchAt(5)
	if ms, said := timeIn(whole); !said || ms != 5 {
		t.Errorf("%d, %v", ms, said)
	}
	for size := range whole {
		if _, said := timeIn(whole[:size]); said {
			t.Errorf("%d of %d bytes say a time", size, len(whole))
		}
	}
}

func TestClocks(t *testing.T) {
	var c clocks
	began := time.Now().Add(-time.Second)
	if _, said := c.since(1, began); said {
		t.Error("nobody has said anything")
	}
	c.hear(1, time.Now().Add(time.Hour).UnixMilli())
	ahead, said := c.since(1, began)
	if !said || !isOff(ahead, clockStep) || isOff(ahead, 0) || isOff(ahead, -clockStep) || isOff(ahead, 2*clockStep) {
		t.Errorf("%v, %v", ahead, said)
	}
	if _, said = c.since(1, time.Now().Add(time.Second)); said {
		t.Error("that was before")
	}
}
