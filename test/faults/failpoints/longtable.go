package main

import (
	"fmt"
	"time"
)

// longTable makes the raw table long and empty at its end, on all nodes, and has
// VACUUM go through the target's, until its store has made it short.  Builds with
// failpoints look for such tables every two seconds, from 4 MiB on.
func (t *trial) longTable() error {
	nLong++
	prefix := fmt.Sprintf("cp/%d/", nLong)
	for part := 0; part < longKeys/partKeys; part++ {
		// A row fills most of a block.
		err := t.w.queryLeader(t.focus(), nil, `SELECT tikv_batch_put(array_agg(convert_to($1 || i, 'UTF8')),
			array_agg(convert_to(repeat('x', 4000), 'UTF8'))) FROM generate_series($2::int, $2::int + $3::int - 1) i`,
			prefix, part*partKeys, partKeys)
		if err != nil {
			return err
		}
	}
	// What is left lies all over it, and has to be moved.
	err := t.w.queryLeader(t.focus(), nil, `SELECT tikv_batch_delete(array_agg(convert_to($1 || i, 'UTF8')))
		FROM generate_series(0, $2::int - 1) i WHERE i % 50 <> 49`, prefix, longKeys)
	for began := time.Now(); err == nil && time.Since(began) < 20*time.Second && !t.crashed(); {
		_ = t.w.query(t.target, nil, "VACUUM tikv_internal.raw")
		time.Sleep(500 * time.Millisecond)
	}
	return err
}

const (
	longKeys = 1200
	partKeys = 300
)

var nLong int
