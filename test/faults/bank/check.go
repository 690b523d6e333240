package bank

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"regexp"
	"sort"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/tikv/client-go/v2/txnkv"

	"tikv_fdw/test/faults/cluster"
)

var numbers = regexp.MustCompile("[0-9a-fA-F]{2,}|[0-9]")

// WithClient has something done by a client of its own.
func WithClient(c *cluster.Cluster, do func(ctx context.Context, cli *txnkv.Client) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cli, err := txnkv.NewClient(c.PDAddresses())
	if err != nil {
		return err
	}
	defer cli.Close()
	return do(ctx, cli)
}

// CheckTables asks the servers whether their tables agree with each other.
func CheckTables(ctx context.Context, c *cluster.Cluster) error {
	for _, node := range c.Here() {
		if err := checkTablesOf(ctx, c.DSNOf(node)); err != nil {
			return fmt.Errorf("node %d: %w", node, err)
		}
	}
	return nil
}

func checkTablesOf(ctx context.Context, dsn string) error {
	sql, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer sql.Close(ctx)
	rows, err := sql.Query(ctx, "SELECT * FROM tikv_check() AS problem")
	if err != nil {
		return err
	}
	problems, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err == nil && len(problems) > 0 {
		err = fmt.Errorf("tikv_check: %q", problems)
	}
	return err
}

// noteError counts the errors of clients by what they say, without numbers.
func (w *World) noteError(err error) {
	text := numbers.ReplaceAllString(err.Error(), "#")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.errors[text[:min(len(text), 160)]]++
}

// Errors lists what clients were told most often.
func (w *World) Errors(most int) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var lines []string
	for text, n := range w.errors {
		lines = append(lines, fmt.Sprintf("%6d %s\n", n, text))
	}
	sort.Sort(sort.Reverse(sort.StringSlice(lines)))
	return strings.Join(lines[:min(len(lines), most)], "")
}

// Write down what clients were told, and beside it what they saw of the lists and
// when, for who wants to know what went wrong.
func (w *World) Write(path string) {
	if err := w.history.write(strings.TrimSuffix(path, ".json") + ".txt.gz"); err != nil {
		log.Print(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	var counted [counters]uint64
	for i := range counted {
		counted[i] = w.counted[i].Load()
	}
	text, err := json.MarshalIndent(map[string]any{"appended": w.appended, "doubtful": w.doubtful,
		"refused": w.refused, "counted": counted}, "", " ")
	if err == nil {
		err = os.WriteFile(path, text, 0o644)
	}
	if err != nil {
		log.Print(err)
	}
}

// History says what was judged of it; "" if there was nothing to judge.
func (w *World) History() string {
	h := w.history
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checkedReads == 0 || h.checkedAppends == 0 {
		return ""
	}
	return fmt.Sprintf("the history of %d appends and %d snapshots is one of snapshot isolation",
		h.checkedAppends, h.checkedReads)
}
