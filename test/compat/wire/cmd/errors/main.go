// errors sends a store what it has to refuse, one call at a time and inside a
// batch, and checks each answer: errors about the region, limits, deadlines,
// calls that are cancelled or unknown, health, content types, compression.
package main

import (
	"context"
	"fmt"
	"time"

	"tikv_fdw/test/compat/wire/internal/node"
)

type tester struct {
	*node.Node
	*node.Report
	ctx    context.Context
	prefix string
	now    int64

	expires  bool // keys may expire
	families bool // requests may name a column family
	commands []command
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	report := node.NewReport("errors")
	n, err := node.Connect(ctx)
	report.Fatal(err)
	now := time.Now().UnixNano()
	t := &tester{Node: n, Report: report, ctx: ctx, prefix: fmt.Sprintf("%scompat/errors/%d/", n.RawPrefix, now), now: now,
		expires: n.API == "V1TTL" || n.API == "V2", families: n.API != "V2", commands: commands}
	if t.expires {
		t.commands = append(t.commands, keyTTL)
	} else {
		t.checkNoTTL()
	}

	t.checkRegionErrors()
	t.checkTimeLimit()
	t.checkSwap()
	t.checkLimits()
	if n.API == "V2" {
		t.checkModes()
	}
	t.checkClusterID()
	t.checkBatch()
	t.checkSafeTS()
	t.checkTransport()
	t.CheckHealth(ctx, report)
	t.checkSplitRefusals()
	if n.API != "V1TTL" { // whose bounds are not encoded
		t.checkSplit()
	}
	t.checkSplitForms()
	report.Check("the node still answers", n.Alive(ctx))
	report.Exit()
}
