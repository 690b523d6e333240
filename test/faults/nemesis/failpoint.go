package nemesis

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tikv_fdw/test/faults/cluster"
)

// FailpointFault is harm that one node of a build with failpoints does to
// itself while this is set.
type FailpointFault struct {
	Name string
	Set  string

	// Needs are the names in Set that must be passed, or nothing was at fault;
	// others are passed only when there is an occasion.
	Needs []string

	// Full: clients may be told that the node's disk is.
	Full bool

	// Clock is how many seconds the time of day of the node is off.
	Clock int

	// Serves: the node must go on serving meanwhile, as if nothing were wrong.
	Serves bool
}

const clockStep = 3600

// FailpointFaults are disks, by failpoints, and clocks that go wrong.  A clock
// that is off is off for everything that looks at the time of day; leases go by
// another one.
var FailpointFaults = []FailpointFault{
	{Name: "slow-disk", Serves: true,
		Set:   "flush_before_sync=delay(300);store_own_before_commit=delay(300);pd_before_commit=delay(300)",
		Needs: []string{"flush_before_sync", "store_own_before_commit", "pd_before_commit"}},
	{Name: "disk-almost-full", Full: true,
		Set: "store_disk_space=error;store_snapshot_write=error", Needs: []string{"store_disk_space"}},
	{Name: "disk-full", Full: true,
		Set: "storage_extend=error;store_snapshot_write=error", Needs: []string{"storage_extend"}},
	{Name: "clock-ahead", Clock: clockStep, Serves: true},
	{Name: "clock-behind", Clock: -clockStep, Serves: true},
}

// Of a snapshot there is no occasion by itself: snapshotToFullDisk makes one.
const snapshotWrite = "store_snapshot_write"

// needs of so many instances: the store of one alone waits for the disk as part
// of its commit, not by a flush process.
func (f FailpointFault) needs(nodes int) []string {
	if nodes > 1 {
		return f.Needs
	}
	return slices.DeleteFunc(slices.Clone(f.Needs), func(name string) bool { return name == "flush_before_sync" })
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
	faults = append(faults, fault{"snapshot-to-full-disk", 3, (*Nemesis).snapshotToFullDisk})
	if clocks {
		faults = append(faults, fault{"kill-pd-leader-ahead", 3, (*Nemesis).pdLeaderAhead})
	}
}

// misbehave: a node, mostly one that leads something, is at fault for a while,
// and until the fault is seen to be one.
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
	before := hitsIn(data)
	if f.Full {
		n.Cluster.Disks.Begin(node)
	}
	if err := n.begin(f, node); err != nil {
		return err
	}
	time.Sleep(time.Second + time.Duration(n.random.Int63n(int64(10*time.Second))))
	err := n.awaitEffect(f, node, before)
	if err == nil && f.Serves {
		err = n.demandService(node)
	}
	if e := n.end(f, node); e != nil {
		return e
	}
	return err
}

// begin a fault of a node.
func (n *Nemesis) begin(f FailpointFault, node int) error {
	if f.Clock != 0 {
		n.ahead = max(n.ahead, f.Clock)
		return n.setClock(node, f.Clock)
	}
	return SetFailpoints(DataFolder(n.Cluster, node), f.Set)
}

func (n *Nemesis) end(f FailpointFault, node int) error {
	if f.Clock != 0 {
		return n.setClock(node, 0)
	}
	return SetFailpoints(DataFolder(n.Cluster, node), "")
}

// awaitEffect until the fault is seen to be one; before is what was passed when
// it was set.
func (n *Nemesis) awaitEffect(f FailpointFault, node int, before map[string]int) error {
	err := n.awaitHits(f.needs(n.Cluster.Nodes), before, DataFolder(n.Cluster, node))
	if err == nil && f.Clock != 0 {
		err = n.awaitClock(node, f.Clock)
	}
	return err
}

// AwaitEffect of what a test has set itself, when nothing had been passed.
func (n *Nemesis) AwaitEffect(f FailpointFault, node int) error {
	return n.awaitEffect(f, node, nil)
}

// awaitHits until each of these names was passed since then, in one of these
// data folders.
func (n *Nemesis) awaitHits(names []string, before map[string]int, folders ...string) error {
	var idle []string
	for began := time.Now(); time.Since(began) < effectWithin; time.Sleep(100 * time.Millisecond) {
		now := hitsIn(folders...)
		if idle = notPassed(names, before, now); len(idle) == 0 {
			for _, name := range names {
				log.Printf("%s was passed %d times", name, now[name]-before[name])
				n.tell(name, int64(now[name]-before[name]))
			}
			return nil
		}
		if slices.Contains(idle, "store_own_before_commit") {
			n.deleteMany()
		}
	}
	return fmt.Errorf("%w: nobody passed %q in %v", errNotInjected, idle, effectWithin)
}

// notPassed are the names that nobody passed meanwhile.
func notPassed(names []string, before, now map[string]int) (idle []string) {
	for _, name := range names {
		if now[name] <= before[name] {
			idle = append(idle, name)
		}
	}
	return idle
}

// hitsIn data folders of what took place, by name: each server appends a line
// for that (src/bus/failpoints.c).
func hitsIn(folders ...string) map[string]int {
	hits := map[string]int{}
	for _, folder := range folders {
		text, _ := os.ReadFile(filepath.Join(folder, "tikv_failpoint_hits"))
		countHits(string(text), hits)
	}
	return hits
}

// countHits of lines "name what pid": what took place.  Who only comes by is
// noted as well, but not every time.
func countHits(text string, hits map[string]int) {
	for _, line := range strings.Split(text, "\n") {
		if words := strings.Fields(line); len(words) == 3 && words[1] != "pass" {
			hits[words[0]]++
		}
	}
}

// deleteMany keys, more than a store removes at once: it does the rest in turns
// of its own.  Whether it can now is no matter.
func (n *Nemesis) deleteMany() {
	err := n.order(n.leader(), `SELECT tikv_batch_put(array_agg(convert_to('chaos/many/' || i, 'UTF8')),
		array_agg('x'::bytea)) FROM generate_series(1, 600) i`)
	if err == nil {
		err = n.order(n.leader(), "SELECT tikv_delete_range('chaos/many/', 'chaos/many0')")
	}
	if err != nil {
		log.Printf("nothing to delete: %v", err)
	}
}

// snapshotToFullDisk: a peer is removed, and its snapshot cannot be written when
// PD brings it back, wherever that is, until the fault is over.
func (n *Nemesis) snapshotToFullDisk() error {
	f := FailpointFault{Set: snapshotWrite + "=error"}
	var folders []string
	for node := 0; node < n.Cluster.Nodes; node++ {
		folders = append(folders, DataFolder(n.Cluster, node))
	}
	before := hitsIn(folders...)
	err := setAll(folders, f.Set)
	if err == nil {
		_, _, err = n.removePeer()
	}
	if err == nil {
		err = n.awaitHits([]string{snapshotWrite}, before, folders...)
	}
	repaired := setAll(folders, "")
	n.forgetRegion()
	if repaired == nil {
		repaired = n.WaitReplicas()
	}
	if repaired != nil {
		return repaired
	}
	return err
}

func setAll(folders []string, text string) error {
	for _, folder := range folders {
		if err := SetFailpoints(folder, text); err != nil {
			return err
		}
	}
	return nil
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
	for _, node := range n.Cluster.Here() {
		if err := n.setClock(node, 0); err != nil {
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
