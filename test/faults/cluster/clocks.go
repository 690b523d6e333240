package cluster

import (
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"
)

// Each node has a clock of its own, for all of its processes: test/faults/clock
// is preloaded into them, and reads from a file how far it is ahead.

// clockFile of a node; it lies beside the library.
func (c *Cluster) clockFile(node int) string {
	return filepath.Join(filepath.Dir(c.StepClock), fmt.Sprintf("clock%d", node))
}

// clockArguments of the start of a cluster whose clocks can be set.
func (c *Cluster) clockArguments() (arguments []string) {
	if c.StepClock == "" {
		return nil
	}
	for _, node := range c.Here() {
		if _, err := os.Stat(c.clockFile(node)); os.IsNotExist(err) {
			err = c.SetClock(node, 0)
			if err != nil {
				log.Fatal(err)
			}
		}
		arguments = append(arguments, "--env", fmt.Sprintf("%d:TIKV_TEST_CLOCK=%s", node, c.clockFile(node)))
	}
	return append(arguments, "--env", "LD_PRELOAD="+c.StepClock)
}

// SetClock has the time of day of a node be so many seconds ahead from now on.
func (c *Cluster) SetClock(node, seconds int) error {
	if c.StepClock == "" {
		return fmt.Errorf("the clock of node %d cannot be set: it was started without -step-clock", node)
	}
	file, err := os.OpenFile(c.clockFile(node), os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	var ahead [8]byte
	binary.NativeEndian.PutUint64(ahead[:], uint64(int64(seconds)*int64(time.Second)))
	// At once, since it is mapped: there is no moment with half of it.
	_, err = file.WriteAt(ahead[:], 0)
	return err
}
