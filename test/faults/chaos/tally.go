package main

import (
	"fmt"
	"sort"
	"strings"
)

// A history in which something was never answered says nothing about it, so
// each must have been, in each of the ways that clients use.

// wanted is what must have been answered in a run.
var wanted = []string{"get", "get by any peer", "get by SQL", "put", "put by SQL", "remove", "remove range",
	"remove range by SQL", "swap", "swap refused"}

// describe an operation that was answered.
func (in input) describe(out output) string {
	name := map[kind]string{get: "get", put: "put", remove: "remove", swap: "swap", removeRange: "remove range"}[in.kind]
	if in.kind == swap && !out.swapped {
		name += " refused"
	}
	return name + [ways]string{"", " by any peer", " by SQL"}[in.by]
}

// missing are those of the wanted that never were answered.
func missing(tally map[string]int, wanted []string) error {
	var none []string
	for _, name := range wanted {
		if tally[name] == 0 {
			none = append(none, name)
		}
	}
	if len(none) > 0 {
		return fmt.Errorf("never answered: %s", strings.Join(none, ", "))
	}
	return nil
}

// tallyText for the report.
func tallyText(tally map[string]int) string {
	var parts []string
	for name, count := range tally {
		parts = append(parts, fmt.Sprintf("%s %d", name, count))
	}
	sort.Strings(parts)
	return "answered: " + strings.Join(parts, ", ") + "\n"
}
