package suite

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Timestamps is anything that hands out timestamps: milliseconds shifted left
// by 18 bits, plus a counter.
type Timestamps func(ctx context.Context) (uint64, error)

const logicalBits = 18

// RunTSO lets many goroutines ask at once. A timestamp has to be larger than
// every one that anybody had in hand before it was asked for, so the values
// of one goroutine rise strictly and no value appears twice; and its
// milliseconds have to be within drift of this machine's clock.
func RunTSO(get Timestamps, goroutines, each int, drift time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var (
		group   sync.WaitGroup
		mutex   sync.Mutex
		highest uint64
		seen    = make(map[uint64]bool, goroutines*each)
		errs    = make(chan error, goroutines)
	)
	one := func() error {
		mutex.Lock()
		before := highest
		mutex.Unlock()
		ts, err := get(ctx)
		if err != nil {
			return err
		}
		mutex.Lock()
		defer mutex.Unlock()
		if ts <= before {
			return fmt.Errorf("timestamp %d was asked for after %d was known", ts, before)
		}
		if seen[ts] {
			return fmt.Errorf("timestamp %d was given twice", ts)
		}
		seen[ts] = true
		if ts > highest {
			highest = ts
		}
		if off := time.Since(time.UnixMilli(int64(ts >> logicalBits))); off > drift || off < -drift {
			return fmt.Errorf("timestamp %d is %v away from the clock", ts, off)
		}
		return nil
	}
	for i := 0; i < goroutines; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for j := 0; j < each; j++ {
				if err := one(); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	group.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return nil
	}
}
