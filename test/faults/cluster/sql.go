package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// What SQL may answer while nodes fail (docs/operations.md): a conflict, a
// wait that took too long, a snapshot that got too old, a store or a region
// that does not serve here or is busy, an outcome that is unknown, a server
// that ends or that a client has cancelled.
var expectedOfSQL = []string{"40001", "40P01", "55P03", "72000", "57P03", "53000", "53300",
	"08007", "57P01", "57P02", "57014"}

// expectation of an error beyond those: its text has this in it.
type expectation struct{ code, text string }

var alsoExpected []expectation

// ExpectOfSQL lets it answer this as well.
func ExpectOfSQL(code, text string) {
	alsoExpected = append(alsoExpected, expectation{code, text})
}

// ErrorOfSQL is nil unless the server has answered what it never may.
func ErrorOfSQL(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) || slices.Contains(expectedOfSQL, e.Code) {
		return nil
	}
	for _, expected := range alsoExpected {
		if e.Code == expected.code && strings.Contains(e.Message, expected.text) {
			return nil
		}
	}
	return fmt.Errorf("SQL answers %s: %s (%s)", e.Code, e.Message, e.Detail)
}
