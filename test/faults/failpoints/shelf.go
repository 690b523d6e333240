package main

import (
	"context"
	"fmt"

	"github.com/tikv/client-go/v2/util/codec"
)

// shelf is where half of a trial's registers are if something is done to the
// last region: in it, with bounds for which there is room between them.
// Numbers fall, so that each bound, and each shelf of another trial, cuts the
// region in which the last one begins: that of highKey, before all of them.
type shelf struct {
	number int // 0: there is none
}

const (
	mostShelves = 999999
	slotsEach   = 100000 // between a register and the next number
)

var nShelves int

// newShelf for a trial; none if all is done to the first region.
func (t *trial) newShelf() shelf {
	if t.focus() != highKey {
		return shelf{}
	}
	nShelves++
	return shelf{mostShelves - nShelves}
}

// slot is a key in the form of those that bound regions beside transactions.
func (s shelf) slot(at int) []byte {
	return codec.EncodeBytes(nil, fmt.Appendf(nil, "%s!r/%06d/%06d", highKey, s.number, at))
}

// register of an odd number.
func (s shelf) register(number, generation int) string {
	return fmt.Sprintf("%s/%d", s.slot(number*slotsEach), generation)
}

// cut is the bound of the first split, of the second, ...: between the last two
// registers, between the first two, and then closer and closer to the first.
func (s shelf) cut(n int) []byte {
	if n == 1 {
		return s.slot(4 * slotsEach)
	}
	return s.slot(2*slotsEach - n)
}

// onShelf are the registers with odd numbers.
func (r *registers) onShelf(number int) bool {
	return r.shelf != (shelf{}) && number%2 != 0
}

// rest, those of the shelf, so that the region falls asleep.
func (r *registers) rest(rests bool) {
	r.resting.Store(rests)
}

// mustSleep: the last region has to be left alone.
func mustSleep(drive string) bool {
	return drive == "sleep" || drive == "silence"
}

// pair is a transaction of a key in the first region and one in the last, before
// all that cuts it.
func (t *trial) pair() error {
	cli, err := t.w.startClient()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	txn, err := cli.Begin()
	if err != nil {
		return err
	}
	nPairs++
	written, err := t.writeKeys(ctx, txn, txnWrite{name: fmt.Sprintf("pair/%d", nPairs),
		a: fmt.Sprintf("%spair/%d", lowKey, nPairs), b: fmt.Sprintf("%s pair/%d", highKey, nPairs)})
	t.txns = append(t.txns, written)
	return err
}

var nPairs int
