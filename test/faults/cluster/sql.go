package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// What SQL may answer while nodes fail (docs/operations.md): a conflict, a
// wait that took too long, a snapshot that got too old, a store or a region
// that does not serve here or is busy, an outcome that is unknown, a server
// that ends or that a client has cancelled.
var expectedOfSQL = []string{"40001", "40P01", "55P03", "72000", "57P03", "53000", "53300",
	"08007", "57P01", "57P02", "57014"}

const diskFull = "53100"

// ErrorOfSQL is nil unless the server of a node, asked at that moment, has
// answered what it may not.  That a disk is full may be said while one is: that
// of the node itself, or, where it passes on what a leader says, any.
func (c *Cluster) ErrorOfSQL(node int, asked time.Time, err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) || slices.Contains(expectedOfSQL, e.Code) {
		return nil
	}
	if e.Code == diskFull {
		full := node
		if strings.Contains(e.Message, "the disk is full") {
			full = -1
		}
		if c.Disks.Full(full, asked) {
			return nil
		}
	}
	return fmt.Errorf("SQL of node %d answers %s: %s (%s)", node, e.Code, e.Message, e.Detail)
}

// NothingDone: the server says with its error that a write of one key was not
// carried out, and will not be (docs/operations.md).
func NothingDone(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "57P03" || strings.HasPrefix(e.Code, "53") || strings.HasPrefix(e.Code, "55"))
}

// NodeOf the address of a store; -1: it is nobody's.
func (c *Cluster) NodeOf(address string) int {
	for node := 0; node < max(1, c.Nodes); node++ {
		if c.AddressOf(node) == address {
			return node
		}
	}
	return -1
}
