package main

import (
	"bytes"

	"github.com/pingcap/kvproto/pkg/kvrpcpb"

	"tikv_fdw/test/compat/wire/internal/node"
)

// swap is one RawCompareAndSwap and what has to come of it: whether it was
// done, what there was before, and what there is afterwards; nil is nothing.
type swap struct {
	what          string
	expected      []byte
	value         []byte
	remove        bool
	done          bool
	before, after []byte
}

// checkSwap walks one key through all that a swap can meet.
func (t *tester) checkSwap() {
	key, one, two, none := []byte(t.prefix+"swap"), []byte("one"), []byte("two"), []byte{}
	for _, s := range []swap{
		{"another value where none is", one, two, false, false, nil, nil},
		{"remove what is not there", one, nil, true, false, nil, nil},
		{"remove nothing", nil, nil, true, true, nil, nil},
		{"the first value", nil, one, false, true, nil, one},
		{"none where one is", nil, two, false, false, one, one},
		{"an empty one where one is", none, two, false, false, one, one},
		{"another one", two, two, false, false, one, one},
		{"remove another one", two, nil, true, false, one, one},
		{"the right one", one, none, false, true, one, none},
		{"none where an empty one is", nil, two, false, false, none, none},
		{"the empty one", none, two, false, true, none, two},
		{"remove the right one, whose new value counts for nothing", two, one, true, true, two, nil},
		{"the first value again", nil, two, false, true, nil, two},
	} {
		t.Check("swap: "+s.what, t.trySwap(key, s))
	}
	t.swapRefusals(key, two)
	_, err := t.KV.RawDelete(t.ctx, &kvrpcpb.RawDeleteRequest{Context: t.Context(), Key: key})
	t.Check("delete", err)
}

func (t *tester) trySwap(key []byte, s swap) error {
	got, err := t.KV.RawCompareAndSwap(t.ctx, &kvrpcpb.RawCASRequest{Context: t.Context(), Key: key,
		Value: s.value, Delete: s.remove, PreviousNotExist: s.expected == nil, PreviousValue: s.expected})
	if err != nil {
		return err
	}
	if got.RegionError != nil || got.Error != "" || got.Succeed != s.done ||
		got.PreviousNotExist != (s.before == nil) || !bytes.Equal(got.PreviousValue, s.before) {
		return node.Expect(false, "got %v", got)
	}
	now, err := t.KV.RawGet(t.ctx, &kvrpcpb.RawGetRequest{Context: t.Context(), Key: key})
	if err != nil {
		return err
	}
	return node.Expect(now.NotFound == (s.after == nil) && bytes.Equal(now.Value, s.after), "afterwards it reads %v", now)
}

// swapRefusals asks for what is refused, or belongs to another family.
func (t *tester) swapRefusals(key, value []byte) {
	ask := func(change func(*kvrpcpb.RawCASRequest)) (*kvrpcpb.RawCASResponse, answer, error) {
		request := &kvrpcpb.RawCASRequest{Context: t.Context(), Key: key, Value: []byte("new"), PreviousValue: value}
		change(request)
		r, err := t.KV.RawCompareAndSwap(t.ctx, request)
		return r, answer{r.GetRegionError(), r.GetError()}, err
	}
	refused := map[string]struct {
		change func(*kvrpcpb.RawCASRequest)
		text   string
	}{
		"of an unknown family": {func(r *kvrpcpb.RawCASRequest) { r.Cf = "nonsense" }, "cf"},
		"of another API version": {func(r *kvrpcpb.RawCASRequest) { r.Context.ApiVersion = t.otherVersion() },
			"Api version in request does not match with TiKV storage"},
	}
	if !t.expires {
		refused["with a ttl"] = struct {
			change func(*kvrpcpb.RawCASRequest)
			text   string
		}{func(r *kvrpcpb.RawCASRequest) { r.Ttl = 5 }, "ttl is not enabled"}
	}
	for what, one := range refused {
		_, a, err := ask(one.change)
		if err == nil {
			err = textWith(one.text)(a)
		}
		t.Check("swap "+what, err)
	}
	got, a, err := ask(func(r *kvrpcpb.RawCASRequest) { r.Cf = "lock" })
	if err == nil {
		err = t.ofFamily(a)
	}
	if err == nil && t.families {
		err = node.Expect(!got.Succeed && got.PreviousNotExist, "got %v", got)
	}
	t.Check("swap in another family", err)
	if t.expires {
		t.swapWithTTL(key, value)
	}
}

// swapWithTTL: the key expires as the last swap said.
func (t *tester) swapWithTTL(key, value []byte) {
	for _, ttl := range []uint64{1000, 0} {
		got, err := t.KV.RawCompareAndSwap(t.ctx, &kvrpcpb.RawCASRequest{Context: t.Context(), Key: key,
			Value: value, PreviousValue: value, Ttl: ttl})
		if err == nil {
			err = node.Expect(got.Succeed && got.Error == "", "got %v", got)
		}
		t.Check("swap with a ttl", err)
		left, err := t.KV.RawGetKeyTTL(t.ctx, &kvrpcpb.RawGetKeyTTLRequest{Context: t.Context(), Key: key})
		if err == nil {
			err = node.Expect(!left.NotFound && left.Ttl <= ttl && left.Ttl+200 >= ttl, "of %d s: %v", ttl, left)
		}
		t.Check("its ttl", err)
	}
}
