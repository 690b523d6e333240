package suite

import (
	"fmt"
	"os"
	"strconv"
)

// Store is what differs between the API versions of a store.
type Store struct {
	API      string // V1, V1TTL or V2, as TIKV_API says
	TTL      bool   // keys may expire
	Families bool   // requests may name a column family
	NoCAS    bool   // the client is not in the mode that CompareAndSwap needs
	Keyspace string // of V2, as TIKV_KEYSPACE says
	Prefix   []byte // of a raw key of the keyspace, in requests
}

// StoreFromEnv reads TIKV_API, which scripts/cluster env prints, V1 if unset, and
// the keyspace of V2: TIKV_KEYSPACE and its id TIKV_KEYSPACE_ID, DEFAULT if unset.
func StoreFromEnv() (Store, error) {
	switch api := os.Getenv("TIKV_API"); api {
	case "", "V1":
		return Store{API: "V1", Families: true}, nil
	case "V1TTL":
		return Store{API: api, TTL: true, Families: true}, nil
	case "V2":
		return keyspaceFromEnv(Store{API: api, TTL: true})
	default:
		return Store{}, fmt.Errorf("TIKV_API is %q, not V1, V1TTL or V2", api)
	}
}

func keyspaceFromEnv(s Store) (Store, error) {
	s.Keyspace = os.Getenv("TIKV_KEYSPACE")
	if s.Keyspace == "" {
		s.Keyspace, s.Prefix = "DEFAULT", RawPrefix(0)
		return s, nil
	}
	id, err := strconv.ParseUint(os.Getenv("TIKV_KEYSPACE_ID"), 10, 24)
	if err != nil {
		return s, fmt.Errorf("TIKV_KEYSPACE_ID: %w", err)
	}
	s.Prefix = RawPrefix(uint32(id))
	return s, nil
}

// RawPrefix begins the raw keys of a keyspace in requests: mode and three bytes.
func RawPrefix(keyspace uint32) []byte {
	return []byte{'r', byte(keyspace >> 16), byte(keyspace >> 8), byte(keyspace)}
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
