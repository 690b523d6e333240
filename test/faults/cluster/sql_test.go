package cluster

import (
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

func TestErrorOfSQL(t *testing.T) {
	c := &Cluster{Nodes: 3}
	c.Disks.Begin(1)
	c.Disks.Begin(2)
	c.Disks.End(2)
	now := time.Now()
	over := now.Add(knownWithin + time.Minute)
	here := "failpoint storage_extend: disk full"
	passedOn := "the disk is full"
	for _, test := range []struct {
		name       string
		node       int
		asked      time.Time
		code, text string
		fine       bool
	}{
		{"a conflict", 0, now, "40001", "", true},
		{"an internal error", 0, now, "XX000", "", false},
		{"a disk that is not full", 0, now, "53100", here, false},
		{"that of another node", 0, now, "53100", passedOn, true},
		{"its own", 1, now, "53100", here, true},
		{"its own, for long", 1, over, "53100", here, true},
		{"its own, just before", 2, now, "53100", here, true},
		{"its own, long ago", 2, over, "53100", here, false},
	} {
		err := c.ErrorOfSQL(test.node, test.asked, &pgconn.PgError{Code: test.code, Message: test.text})
		if (err == nil) != test.fine {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if err := c.ErrorOfSQL(0, now, errors.New("no answer")); err != nil {
		t.Error(err)
	}
	c.Disks.End(1)
	if c.ErrorOfSQL(0, over, &pgconn.PgError{Code: "53100", Message: passedOn}) == nil {
		t.Error("no disk is full any more")
	}
}

func TestDisksEndOnce(t *testing.T) {
	var d Disks
	d.End(0)
	if d.Full(0, time.Now()) || d.Full(-1, time.Now()) {
		t.Error("a disk that never was full")
	}
	d.Begin(0)
	d.End(0)
	until := d.ended[0]
	d.End(0)
	if d.ended[0] != until {
		t.Error("its end is put off")
	}
}

func TestNodeOf(t *testing.T) {
	c := &Cluster{Nodes: 3, BasePort: 100}
	if c.NodeOf(c.AddressOf(2)) != 2 || c.NodeOf(c.PeerAddressOf(1)) != -1 {
		t.Error("a node is found by another address than its own")
	}
}

func TestNothingDone(t *testing.T) {
	for code, nothing := range map[string]bool{"57P03": true, "53000": true, "53100": true, "55P03": true,
		"08007": false, "57P01": false, "57P02": false, "57014": false, "40001": false} {
		if NothingDone(&pgconn.PgError{Code: code}) != nothing {
			t.Errorf("%s: nothing was done: %v", code, !nothing)
		}
	}
	if NothingDone(nil) || NothingDone(errors.New("EOF")) {
		t.Error("without an answer something may have been done")
	}
}
