package cluster

import (
	"sync"
	"time"
)

// Disks are those of nodes that are, or just were, full.
type Disks struct {
	mutex sync.Mutex
	ended map[int]time.Time // by node; zero: it is still full
}

// What a node may take until all of its processes know that there is room.
const knownWithin = 10 * time.Second

// Begin: a node's disk is full.
func (d *Disks) Begin(node int) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.ended == nil {
		d.ended = map[int]time.Time{}
	}
	d.ended[node] = time.Time{}
}

// End: it is no longer, and the node has acknowledged a write since.
func (d *Disks) End(node int) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if at, known := d.ended[node]; known && at.IsZero() {
		d.ended[node] = time.Now().Add(knownWithin)
	}
}

// Full says whether one who has asked the node then may be told that its disk
// is full; node -1 is any, since others tell what the leader says.
func (d *Disks) Full(node int, asked time.Time) bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for full, ended := range d.ended {
		if (node < 0 || node == full) && (ended.IsZero() || asked.Before(ended)) {
			return true
		}
	}
	return false
}
