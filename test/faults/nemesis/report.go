package nemesis

import (
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"
)

func inE(d time.Duration) float64 {
	return d.Seconds() / electionTimeout.Seconds()
}

// summary of times: median and maximum, in units of E.
func summary(times []time.Duration) string {
	if len(times) == 0 {
		return "-"
	}
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	return fmt.Sprintf("%d, median %.2f E, max %.2f E", len(times),
		inE(times[len(times)/2]), inE(times[len(times)-1]))
}

func (n *Nemesis) timesOf(fault, group string) (times []time.Duration) {
	for _, c := range n.times {
		if (fault == "" || c.fault == fault) && c.group == group {
			times = append(times, c.took)
		}
	}
	return times
}

// Report is a table of what was injected, of how often that took effect, of how
// long it took until another node led, and of how the effects were seen.
func (n *Nemesis) Report() string {
	var text strings.Builder

	fmt.Fprintf(&text, "%-26s %7s %12s  %-38s %s\n", "fault", "ordered", "took effect",
		"new leader of the region (E = 3 s)", "of PD")
	for _, f := range n.chosen {
		fmt.Fprintf(&text, "%-26s %7d %12d  %-38s %s\n", f.name, n.ordered[f.name], n.counts[f.name],
			summary(n.timesOf(f.name, "region")), summary(n.timesOf(f.name, "PD")))
	}
	fmt.Fprintf(&text, "%-26s %7s %12s  %-38s %s\n", "all", "", "",
		summary(n.timesOf("", "region")), summary(n.timesOf("", "PD")))
	fmt.Fprintf(&text, "%-26s %7s %12s  %-38s %s\n", "those that kill a leader", "", "",
		summary(n.timesOfKills("region")), summary(n.timesOfKills("PD")))
	for _, f := range n.chosen {
		if seen := n.evidenceOf(f.name); seen != "" {
			fmt.Fprintf(&text, "%s: %s\n", f.name, seen)
		}
	}
	if n.network != nil {
		fmt.Fprintf(&text, "connections of nobody known that were ended while links were cut: %d\n", n.network.strangers())
		text.WriteString(n.network.text())
	}
	text.WriteString(n.served.text())
	return text.String()
}

// Faults after which nobody is left who could lead again, from one moment on.
var kills = []string{"kill-leader", "kill-follower", "kill-pd-leader", "kill"}

func (n *Nemesis) timesOfKills(group string) (times []time.Duration) {
	for _, fault := range kills {
		times = append(times, n.timesOf(fault, group)...)
	}
	return times
}

// KillTimes are how long it took until another node led what a killed one had led.
func (n *Nemesis) KillTimes() string {
	return fmt.Sprintf("of the region %s; of PD %s", summary(n.timesOfKills("region")), summary(n.timesOfKills("PD")))
}

// What is expected of the time from the death of a leader until another one
// leads, in units of E.
const (
	medianExpected = 2.0
	mostExpected   = 3.0
)

// Kills of who leads a group.
var killsOf = map[string]string{"region": "kill-leader", "PD": "kill-pd-leader"}

// JudgeKills fails if those who lead after a leader was killed are later than
// expected, for the region or for PD, or if no time was taken though one was.
func (n *Nemesis) JudgeKills() error {
	var wrong []error

	for _, g := range n.groups {
		times := n.timesOfKills(g.name)
		if len(times) == 0 {
			if n.Cluster.Nodes >= 3 && n.counts[killsOf[g.name]] > 0 {
				wrong = append(wrong, fmt.Errorf("who led %s was killed, and nobody was seen to follow", g.name))
			}
			continue
		}
		text := summary(times)
		if inE(times[len(times)/2]) > medianExpected || inE(times[len(times)-1]) > mostExpected {
			wrong = append(wrong, fmt.Errorf("after kills of who led %s: %s; expected are a median of %.0f E and a maximum of %.0f E",
				g.name, text, medianExpected, mostExpected))
		}
	}
	return errors.Join(wrong...)
}
