package nemesis

import (
	"testing"
	"time"
)

func TestIsOff(t *testing.T) {
	for _, seconds := range []int{0, clockStep, -clockStep, 2 * clockStep} {
		ahead := time.Duration(seconds)*time.Second + time.Minute
		for _, other := range []int{0, clockStep, -clockStep, 2 * clockStep} {
			if isOff(ahead, other) != (other == seconds) {
				t.Errorf("%v is off by %d s: %v", ahead, other, isOff(ahead, other))
			}
		}
	}
}
