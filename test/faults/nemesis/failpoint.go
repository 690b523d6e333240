package nemesis

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"tikv_fdw/test/faults/cluster"
)

// FailpointFault is harm that one node of a build with failpoints does to
// itself while this is set.
type FailpointFault struct {
	Name string
	Set  string

	// Clock is how many seconds the time of day of the node is off.
	Clock int

	// Serves: the node must go on serving meanwhile, as if nothing were wrong.
	Serves bool
}

const clockStep = 3600

// FailpointFaults are disks and clocks that go wrong.  A clock that is off is
// off for everything that looks at the time of day; leases go by another one.
var FailpointFaults = []FailpointFault{
	{Name: "slow-disk", Serves: true,
		Set: "flush_before_sync=delay(300);store_own_before_commit=delay(300);pd_before_commit=delay(300)"},
	{Name: "disk-almost-full", Set: "store_disk_space=error;store_snapshot_write=error"},
	{Name: "disk-full", Set: "storage_extend=error;store_snapshot_write=error"},
	{Name: "clock-ahead", Clock: clockStep, Serves: true},
	{Name: "clock-behind", Clock: -clockStep, Serves: true},
}

// Text of what is set on a node whose clock is off by so many seconds anyway.
func (f FailpointFault) Text(clock int) string {
	text := f.Set
	if clock += f.Clock; clock != 0 {
		if text != "" {
			text += ";"
		}
		text += fmt.Sprintf("clock=%d", clock)
	}
	return text
}

// UseFailpoints adds them to the faults of a nemesis that is made afterwards;
// the instances must have been built with failpoints.  Without the clocks where
// the time of day matters to what the clients check.
func UseFailpoints(clocks bool) {
	for _, f := range FailpointFaults {
		if clocks || f.Clock == 0 {
			faults = append(faults, fault{name: f.Name, inject: func(n *Nemesis) error { return n.misbehave(f) }})
		}
	}
	cluster.ExpectOfSQL("53100", "disk full")
	cluster.ExpectOfSQL("53100", "the disk is full")
}

// misbehave: a node, mostly one that leads something, is at fault for a while.
func (n *Nemesis) misbehave(f FailpointFault) error {
	node := n.leader()
	switch dice := n.random.Intn(5); {
	case dice < 2:
		node = n.pdLeader()
	case dice == 2 && n.Cluster.Nodes > 1:
		node = n.other(node)
	}
	log.Printf("%s on node %d", f.Name, node)
	data := DataFolder(n.Cluster, node)
	if err := SetFailpoints(data, f.Text(n.clock)); err != nil {
		return err
	}
	time.Sleep(time.Second + time.Duration(n.random.Int63n(int64(10*time.Second))))
	n.ahead = max(n.ahead, f.Clock)
	return SetFailpoints(data, FailpointFault{}.Text(n.clock))
}

// FollowClock has the clocks of all nodes follow one that was ahead, when the
// clients were seen to get on without.  Timestamps do not go back: else their
// milliseconds would stand still for an hour, as those of PD would, and with
// them the age of the locks that dead clients have left.
func (n *Nemesis) FollowClock() error {
	if n.ahead == 0 {
		return nil
	}
	n.clock, n.ahead = n.clock+n.ahead, 0
	for node := 0; node < max(1, n.Cluster.Nodes); node++ {
		if err := SetFailpoints(DataFolder(n.Cluster, node), FailpointFault{}.Text(n.clock)); err != nil {
			return err
		}
	}
	return nil
}

// DataFolder is where a node's server keeps its data.
func DataFolder(c *cluster.Cluster, node int) string {
	return filepath.Join(c.Dir, fmt.Sprintf("node%d", node), "data")
}

// SetFailpoints of the server of a data directory; "" is none.  The file is
// complete when it appears, since the workers read it as soon as it changes.
func SetFailpoints(data, text string) error {
	file := filepath.Join(data, "tikv_failpoints")
	if err := os.WriteFile(file+".new", []byte(text+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
