package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// logging is a cluster of one node that has never run.
type logging struct {
	*Cluster
	t *testing.T
}

func newLogging(t *testing.T) logging {
	l := logging{&Cluster{Dir: t.TempDir()}, t}
	if err := os.MkdirAll(filepath.Join(l.nodeDir(0), "data"), 0o755); err != nil {
		t.Fatal(err)
	}
	return l
}

func (l logging) write(text string) {
	file, err := os.OpenFile(l.logFile(0), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = file.WriteString(text)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// demand an error that names the node and has these words in it; "": none.
func (l logging) demand(what, words string) {
	l.t.Helper()
	err := l.CheckLogs()
	if (err == nil) != (words == "") ||
		err != nil && (!strings.Contains(err.Error(), words) || !strings.Contains(err.Error(), "node0")) {
		l.t.Errorf("%s: %v", what, err)
	}
}

const head = "2024-05-01 12:00:00.000 UTC [77] postmaster LOG:  "

func endedBy(pid, signal int) string {
	return head + fmt.Sprintf("background worker \"tikv store\" (PID %d) was terminated by signal %d: Some text\n", pid, signal)
}

func quits(pid int) string {
	return head + fmt.Sprintf("background worker \"tikv store\" (PID %d) exited with exit code 1\n", pid)
}

func says(pid int, text string) string {
	return fmt.Sprintf("2024-05-01 12:00:00.000 UTC [%d] tikv store %s\n", pid, text)
}

func TestCheckLogs(t *testing.T) {
	for _, test := range []struct {
		name, line, words string
	}{
		{"nothing", head + "database system is ready to accept connections\n", ""},
		{"an invariant", head + "tikv store: broken invariant n > 0 at x.c:7\n", "broken invariant n > 0"},
		{"a panic", "[8] client backend PANIC:  could not write\n", "PANIC:  could not write"},
		{"an assertion", "TRAP: failed Assert(\"x\")\n", "TRAP: failed"},
		{"a log that differs", head + "entry 7 contradicts what was committed\n", "entry 7 contradicts"},
		{"a segmentation fault", endedBy(12, 11), "PID 12"},
		{"one of a process that was to be aborted", endedBy(21, 11), "PID 21"},
		{"a trap", endedBy(12, 4), "signal 4"},
		{"an abort of nobody", endedBy(12, 6), "PID 12"},
		{"an abort", endedBy(21, 6), ""},
		{"a kill of nobody", endedBy(12, 9), "PID 12"},
		{"a kill", endedBy(21, 9), ""},
		{"a kill by a failpoint", endedBy(31, 9), ""},
		{"who passed a failpoint", endedBy(32, 9), "PID 32"},
		{"a kill by a postmaster", head + "issuing SIGKILL to recalcitrant children\n" + endedBy(12, 9), ""},
		{"an abort beside one", head + "issuing SIGKILL to recalcitrant children\n" + endedBy(12, 6), "PID 12"},
		{"a kill after one", head + "issuing SIGKILL to recalcitrant children\n" +
			head + "all server processes terminated; reinitializing\n" + endedBy(12, 9), "PID 12"},
		{"one pid, two kills", endedBy(21, 9) + endedBy(21, 9), "PID 21"},
		{"an end by a signal of Postgres", endedBy(12, 15), ""},
		{"an end by itself", quits(12), "PID 12"},
		{"one that said why", says(12, "FATAL:  no reason") + quits(12), "no reason"},
		{"somebody else's failpoint", says(13, "ERROR:  failpoint turn_end") + quits(12), "PID 12"},
		{"a failpoint", says(12, "ERROR:  failpoint turn_end: disk full") + quits(12), ""},
		{"one, and then another error", says(12, "ERROR:  failpoint turn_end") + says(12, "FATAL:  no reason") + quits(12), "no reason"},
		{"a failpoint of the server before", says(12, "ERROR:  failpoint turn_end") + head + "starting PostgreSQL 15\n" + quits(12), "PID 12"},
		{"a shutdown", head + "received fast shutdown request\n" + quits(12), ""},
		{"after a shutdown", head + "received fast shutdown request\n" + head + "starting PostgreSQL 15\n" + quits(12), "PID 12"},
		{"a worker of Postgres's own", strings.Replace(quits(12), "tikv store", "logical replication launcher", 1), ""},
	} {
		l := newLogging(t)
		l.logs.kills(21)
		hits := filepath.Join(l.nodeDir(0), "data", "tikv_failpoint_hits")
		if err := os.WriteFile(hits, []byte("turn_begin pass 32\nturn_end crash 31\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		l.write(head + "before\n" + test.line + head + "after\n")
		l.demand(test.name, test.words)
		l.demand(test.name+", told once", "")
	}
}

// A process whose number another one had, which a failpoint has killed, too.
func TestNumbersComeAgain(t *testing.T) {
	l := newLogging(t)
	l.write(head + "before\n")
	hits := filepath.Join(l.nodeDir(0), "data", "tikv_failpoint_hits")
	for _, text := range []string{"a crash 31\n", "b pass 31\n", "b pass 31\nb crash 31\n", "c crash 32\nc crash 31\n"} {
		if err := os.WriteFile(hits, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		l.demand(text, "")
		if strings.Contains(text, "crash 31") {
			l.write(endedBy(31, 9))
			l.demand("the kill of "+text, "")
		}
		l.write(endedBy(31, 9))
		l.demand("one more behind "+text, "PID 31")
	}
}

func TestLogsGrow(t *testing.T) {
	l := newLogging(t)
	l.demandNoLog()
	bad := endedBy(12, 11)
	l.write(head + "fine\n" + bad[:len(bad)-20])
	l.demand("half a line", "")
	l.write(bad[len(bad)-20:])
	l.demand("the other half", "PID 12")
	l.write(endedBy(13, 11) + endedBy(14, 11))
	l.demand("two more", "PID 13")
	l.write(head + "PANI")
	l.demand("half a word", "")
	l.write("C:  x\n")
	l.demand("a word in two halves", "PANIC:  x")
}

func (l logging) demandNoLog() {
	l.t.Helper()
	if err := l.CheckLogs(); err == nil {
		l.t.Error("no log is there, and nobody complains")
	}
}

// Who has left has its log moved; another node gets its folder.
func TestLogsMove(t *testing.T) {
	l := newLogging(t)
	l.write(endedBy(12, 11))
	l.demand("before it leaves", "PID 12")
	l.write(endedBy(13, 11))
	if err := l.remove(0); err != nil {
		t.Fatal(err)
	}
	l.demand("its last words", "PID 13")
	if err := os.MkdirAll(l.nodeDir(0), 0o755); err != nil {
		t.Fatal(err)
	}
	l.write(head + "of another\n" + endedBy(14, 11))
	l.demand("its successor", "PID 14")
	l.demand("told once", "")
}

func TestLogged(t *testing.T) {
	l := newLogging(t)
	l.write(head + "database system was shut down at noon\n")
	since := l.logEnd(0)
	if err := l.startedAfter(0, since, "was shut down"); err == nil {
		t.Error("it was before")
	}
	l.write(head + "database system was shut down at one\n")
	if err := l.startedAfter(0, since, "was shut down"); err != nil {
		t.Error(err)
	}
}
