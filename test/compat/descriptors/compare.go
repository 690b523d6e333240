package main

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"strings"
)

// compare returns one line for each declaration of ours that the published
// catalog does not have in just the same form, and for each line of the list
// of declarations ahead of it that is not needed. Enums have to be complete,
// because a number without a name is what a reader of ours would not expect.
func compare(ours, published catalog, ahead map[string]bool) []string {
	var report []string
	needed := map[string]bool{}
	for name, line := range ours {
		other, ok := published[name]
		entry := aheadEntry(name, ahead)
		switch {
		case ok && other != line:
			report = append(report, fmt.Sprintf("%s: ours is [%s], published is [%s]", name, line, other))
		case !ok && entry != "":
			needed[entry] = true
		case !ok:
			report = append(report, fmt.Sprintf("%s: ours is [%s], not published", name, line))
		}
	}
	for name, line := range published {
		dot := strings.LastIndexByte(name, '.')
		if strings.HasPrefix(line, "enum value") && ours[name[:dot]] == "enum" && ours[name] == "" {
			report = append(report, fmt.Sprintf("%s: published as [%s], ours lacks it", name, line))
		}
	}
	for entry := range ahead {
		if !needed[entry] {
			report = append(report, fmt.Sprintf("%s: listed as ahead of the published module, but is not", entry))
		}
	}
	sort.Strings(report)
	return report
}

// aheadEntry finds the line of the list that covers name: itself, or the
// message, enum or package it is part of. Empty if there is none.
func aheadEntry(name string, ahead map[string]bool) string {
	for part := name; ; {
		if ahead[part] {
			return part
		}
		dot := strings.LastIndexByte(part, '.')
		if dot < 0 {
			return ""
		}
		part = part[:dot]
	}
}

func readAhead(path string) (map[string]bool, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	names := map[string]bool{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		text, reason, _ := strings.Cut(lines.Text(), " ")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if strings.TrimSpace(reason) == "" {
			return nil, fmt.Errorf("%s: %s names no source", path, text)
		}
		names[text] = true
	}
	return names, nil
}
