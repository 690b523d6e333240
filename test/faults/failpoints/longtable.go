package main

import "time"

// longTable makes the raw table long and empty at its end, on all nodes, and has
// VACUUM go through the target's, until its store has made it short.  Builds with
// failpoints look for such tables every two seconds, from 4 MiB on.
func (t *trial) longTable() error {
	for first := 0; first < longKeys; first += partKeys {
		// A row fills most of a block.
		err := t.w.query(t.target, nil, `SELECT tikv_batch_put(array_agg(convert_to('cp/' || i, 'UTF8')),
			array_agg(convert_to(repeat('x', 4000), 'UTF8'))) FROM generate_series($1::int, $1::int + $2::int - 1) i`,
			first, partKeys)
		if err != nil {
			return err
		}
	}
	// What is left lies all over it, has to be moved, and is new each time.
	nLong++
	err := t.w.query(t.target, nil, `SELECT tikv_batch_delete(array_agg(convert_to('cp/' || i, 'UTF8')))
		FROM generate_series(0, $1::int - 1) i WHERE i % 50 <> $2::int % 50`, longKeys, nLong)
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
