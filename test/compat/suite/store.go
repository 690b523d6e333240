package suite

import (
	"fmt"
	"os"
)

// Store is what differs between the API versions of a store.
type Store struct {
	API      string // V1, V1TTL or V2, as TIKV_API says
	TTL      bool   // keys may expire
	Families bool   // requests may name a column family
	NoCAS    bool   // the client is not in the mode that CompareAndSwap needs
	Prefix   []byte // of a key of the default keyspace, in requests
}

// StoreFromEnv reads TIKV_API, which scripts/cluster env prints; V1 if unset.
func StoreFromEnv() (Store, error) {
	switch api := os.Getenv("TIKV_API"); api {
	case "", "V1":
		return Store{API: "V1", Families: true}, nil
	case "V1TTL":
		return Store{API: api, TTL: true, Families: true}, nil
	case "V2":
		return Store{API: api, TTL: true, Prefix: []byte("r\x00\x00\x00")}, nil
	default:
		return Store{}, fmt.Errorf("TIKV_API is %q, not V1, V1TTL or V2", api)
	}
}

// all gives the checks that the store can pass.
func (s Store) all() []step {
	list := append([]step{}, steps...)
	list = append(list, rangeSteps...)
	if s.NoCAS {
		list = append(list, step{"no compare and swap", checkNoSwap})
	} else {
		list = append(list, swapSteps...)
	}
	if s.Families {
		list = append(list, step{"column families", checkFamilies})
	}
	if s.TTL {
		return append(list, ttlSteps...)
	}
	return append(list, step{"no time to live", checkNoTTL})
}
