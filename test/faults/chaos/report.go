package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
)

// text of what was checked.
func (r *run) text() string {
	text := fmt.Sprintf("%d faults; %d operations answered, %d of unknown outcome, %d registers, %d ranges removed: linearizable",
		r.faults, r.answered, r.unknown, r.registers, r.ranges)
	text += fmt.Sprintf("; timestamps %d times, never backwards, none of them twice", r.clock.asked.Load())
	if w := r.world; w != nil {
		text += fmt.Sprintf("; %d transactions acknowledged (%d of SQL), %d of unknown outcome, %d refused, "+
			"%d snapshots read (%d by SQL): totals constant, nothing lost, torn or stale", w.Committed.Load(),
			w.BySQL.Load(), w.Unknown.Load(), w.Failed.Load(), w.Reads.Load(), w.ReadsBySQL.Load())
	}
	return text
}

// A shorter run has too few kills, and is beside others: on a machine that
// others use medians of 7 E were seen, of two kills.  Its times are only told.
const judgedFrom = 10 // minutes

// judgeTimes says whether who leads after a kill leads soon enough, and how that
// was judged.
func (r *run) judgeTimes() (text string, err error) {
	judged := "time until another node leads after a kill (E = 3 s): " + r.nemesis.KillTimes()
	switch {
	case r.o.nodes < 2:
		return "time until another node leads after a kill: there is no other", nil
	case r.o.minutes < judgedFrom:
		return fmt.Sprintf("%s; not judged, in a run of less than %d minutes", judged, judgedFrom), nil
	case r.o.disturbed:
		return judged + "; not judged, since others use the machine", nil
	}
	err = r.nemesis.JudgeKills()
	if err == nil {
		return judged + "; as expected (median <= 2 E, max <= 3 E)", nil
	}
	return judged + "; not as expected", err
}

// report to the terminal, and into a file.
func (r *run) report(text string) {
	fmt.Print(text)
	if r.o.out == "" {
		return
	}
	text = fmt.Sprintf("seed %d, %d instances\n", r.o.seed, r.o.nodes) + text
	if err := os.WriteFile(filepath.Join(r.o.out, "report.txt"), []byte(text), 0o644); err != nil {
		log.Print(err)
	}
}

// keep what the clients of a lap did and saw: of a long run everything.
func (r *run) keep(h *history) {
	lap := h.places[0].lap
	if r.o.out == "" || r.o.minutes == 0 {
		return
	}
	h.write(filepath.Join(r.o.out, fmt.Sprintf("registers-%03d.txt.gz", lap)))
	if r.world != nil {
		r.world.Write(filepath.Join(r.o.out, fmt.Sprintf("bank-%03d.json", lap)))
	}
}

// forgetHistories of earlier runs.
func (r *run) forgetHistories() {
	if r.o.out == "" {
		return
	}
	for _, pattern := range []string{"registers-*.txt.gz", "bank-*.json", "bank-*.txt.gz", "report.txt",
		"history.*", "bank.json", "bank.txt.gz"} {
		old, _ := filepath.Glob(filepath.Join(r.o.out, pattern))
		for _, path := range old {
			_ = os.Remove(path)
		}
	}
}

// givenUp: a node does not start.  The clients are still at work.
func (r *run) givenUp(err error) {
	if r.at != nil {
		r.keep(r.at)
	}
	r.report(r.nemesis.Report() + fmt.Sprintf("failed at fault %d, a node does not start: %v\n", r.faults, err))
}
