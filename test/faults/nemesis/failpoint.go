package nemesis

import (
	"fmt"
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

	// Serves: the node must go on serving meanwhile, as if nothing were wrong.
	Serves bool
}

// FailpointFaults are disks and clocks that go wrong.  A clock that is off is
// off for everything that looks at the time of day; leases go by another one.
var FailpointFaults = []FailpointFault{
	{Name: "slow-disk", Serves: true,
		Set: "flush_before_sync=delay(300);store_own_before_commit=delay(300);pd_before_commit=delay(300)"},
	{Name: "disk-almost-full", Set: "store_disk_space=error;store_snapshot_write=error"},
	{Name: "disk-full", Set: "storage_extend=error;store_snapshot_write=error"},
	{Name: "clock-ahead", Set: "clock=3600", Serves: true},
	{Name: "clock-behind", Set: "clock=-3600", Serves: true},
}

// UseFailpoints adds them to the faults of a nemesis that is made afterwards;
// the instances must have been built with failpoints.
func UseFailpoints() {
	for _, f := range FailpointFaults {
		faults = append(faults, fault{name: f.Name, inject: func(n *Nemesis) error { return n.misbehave(f) }})
	}
}

// misbehave: a node that leads something is at fault for a while.
func (n *Nemesis) misbehave(f FailpointFault) error {
	node := n.leader()
	if n.random.Intn(2) == 0 {
		node = n.pdLeader()
	}
	data := DataFolder(n.Cluster, node)
	if err := SetFailpoints(data, f.Set); err != nil {
		return err
	}
	time.Sleep(time.Second + time.Duration(n.random.Int63n(int64(10*time.Second))))
	return SetFailpoints(data, "")
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
