package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// What the servers log is looked at after each fault: a process that Postgres
// brings back is not missed by clients, who try again.

// badWords are in no line of a server's log, whatever is done to it.
var badWords = []string{"broken invariant", "PANIC:", "TRAP:", "contradicts what was committed"}

// ended is what a postmaster says of a child that a signal has ended which is
// that of a defect, or which none but this program sends: SIGKILL, SIGABRT.
var ended = regexp.MustCompile(`\(PID (\d+)\) was terminated by signal (4|5|6|7|8|9|11|31)\b`)

// quit is what a postmaster says of a worker of ours that ended by itself, for
// an error.
var quit = regexp.MustCompile(`background worker "tikv [a-z]+" \(PID (\d+)\) exited with exit code [1-9]`)

// failed is an error of a process, which may end it.
var failed = regexp.MustCompile(`\[(\d+)\] .*(?:ERROR|FATAL):  (.*)`)

// What a postmaster says that was told to stop, that kills its own children
// since they do not end within five seconds of a crash of another, and that
// begins anew, after which neither holds.
const (
	stopping  = "shutdown request"
	impatient = "to recalcitrant children"
	startsOn  = "all server processes terminated; reinitializing"
	starts    = "starting PostgreSQL"
)

// logs is how far they have been read, and who was ended on purpose.
type logs struct {
	reading sync.Mutex // by one at a time
	mutex   sync.Mutex
	files   map[uint64]*logRead // by the file's number: who leaves has its log moved
	killed  map[int]bool        // processes, until their postmaster has said so
	crashed map[string][]int    // by data directory: those whom failpoints have killed, as it says
}

// logRead is what has been read of a log.
type logRead struct {
	bytes     int64
	stopping  bool
	impatient bool
	said      map[string]string // the last error of each process
}

func (l *logs) kills(pid int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.killed == nil {
		l.killed = map[int]bool{}
	}
	l.killed[pid] = true
}

// crashes by failpoints that a data directory tells of, from the first since they
// were set: it says so once and is read often.  Numbers of processes come again.
func (l *logs) crashes(data string, pids []int) {
	l.mutex.Lock()
	known := len(l.crashed[data])
	if known > len(pids) || !slices.Equal(l.crashed[data], pids[:known]) {
		known = 0 // others were set
	}
	if l.crashed == nil {
		l.crashed = map[string][]int{}
	}
	l.crashed[data] = pids
	l.mutex.Unlock()
	for _, pid := range pids[known:] {
		l.kills(pid)
	}
}

// CheckLogs fails if a server, be it of a node that has left, has logged since
// the last call what none may: the first such line of each.
func (c *Cluster) CheckLogs() error {
	var wrong []error

	c.logs.reading.Lock()
	defer c.logs.reading.Unlock()
	files, err := filepath.Glob(filepath.Join(c.Dir, "node*", "log"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there is no log in the folders of the nodes, %s/node*", c.Dir)
	}
	if err != nil {
		return err
	}
	for _, file := range files {
		// The pid of who was ended is noted before the postmaster can tell: this
		// comes behind the end of what is read.
		read, lines, err := c.logs.news(file)
		c.NoteCrashes(filepath.Join(filepath.Dir(file), "data"))
		if err == nil {
			err = c.logs.judge(read, lines)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("the log of %s: %w", filepath.Base(filepath.Dir(file)), err))
		}
	}
	return errors.Join(wrong...)
}

// news are the lines that have become whole since it was asked last.
func (l *logs) news(path string) (read *logRead, lines []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	if l.files == nil {
		l.files = map[uint64]*logRead{}
	}
	number := info.Sys().(*syscall.Stat_t).Ino
	read = l.files[number]
	if read == nil {
		read = &logRead{said: map[string]string{}}
		l.files[number] = read
	}
	if _, err = file.Seek(read.bytes, io.SeekStart); err != nil {
		return nil, nil, err
	}
	for reader := bufio.NewReader(file); ; {
		line, err := reader.ReadString('\n')
		if err == io.EOF {
			return read, lines, nil // the rest of a line comes later
		}
		if err != nil {
			return read, lines, err
		}
		read.bytes += int64(len(line))
		lines = append(lines, strings.TrimSpace(line))
	}
}

// judge lines: none may be there that none may, but those of who was ended on
// purpose.
func (l *logs) judge(read *logRead, lines []string) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	var bad []string
	for _, line := range lines {
		read.note(line)
		if wrong := l.wrong(read, line); wrong != "" {
			bad = append(bad, wrong)
		}
	}
	switch len(bad) {
	case 0:
		return nil
	case 1:
		return errors.New(bad[0])
	}
	return fmt.Errorf("%s (and %d more)", bad[0], len(bad)-1)
}

func (r *logRead) note(line string) {
	switch {
	case strings.Contains(line, starts), strings.Contains(line, startsOn):
		*r = logRead{bytes: r.bytes, said: map[string]string{}, stopping: r.stopping && !strings.Contains(line, starts)}
	case strings.Contains(line, stopping):
		r.stopping = true
	case strings.Contains(line, impatient):
		r.impatient = true
	default:
		if found := failed.FindStringSubmatch(line); found != nil {
			r.said[found[1]] = found[2]
		}
	}
}

// wrong is what is wrong with a line; "": nothing.
func (l *logs) wrong(read *logRead, line string) string {
	if slices.ContainsFunc(badWords, func(bad string) bool { return strings.Contains(line, bad) }) {
		return line
	}
	if found := ended.FindStringSubmatch(line); found != nil && !l.meant(read, found[1], found[2]) {
		return line
	}
	if found := quit.FindStringSubmatch(line); found != nil && !read.stopping && !isFailpoint(read.said[found[1]]) {
		return fmt.Sprintf("%s (its last error: %q)", line, read.said[found[1]])
	}
	return ""
}

// isFailpoint is the error of one (src/bus/failpoints.h), which somebody ordered.
func isFailpoint(text string) bool {
	return strings.HasPrefix(text, "failpoint ")
}

// meant: this program sends SIGKILL and SIGABRT, failpoints and postmasters the
// former.  Each excuse is for one end.
func (l *logs) meant(read *logRead, process, signal string) bool {
	pid, _ := strconv.Atoi(process)
	if signal != "9" && signal != "6" {
		return false
	}
	known := l.killed[pid]
	delete(l.killed, pid)
	return known || signal == "9" && read.impatient
}

// NoteCrashes of failpoints in a data directory, where those who carry them out
// have said so just before (src/bus/failpoints.c).
func (c *Cluster) NoteCrashes(data string) {
	var pids []int
	text, _ := os.ReadFile(filepath.Join(data, "tikv_failpoint_hits"))
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) == 3 && words[1] == "crash" {
			pid, _ := strconv.Atoi(words[2])
			pids = append(pids, pid)
		}
	}
	c.logs.crashes(data, pids)
}

func (c *Cluster) logFile(node int) string {
	return filepath.Join(c.nodeDir(node), "log")
}

// logEnd is where a node's log ends now.
func (c *Cluster) logEnd(node int) int64 {
	info, err := os.Stat(c.logFile(node))
	if err != nil {
		return 0
	}
	return info.Size()
}

// logged says whether a node has logged this since then.
func (c *Cluster) logged(node int, since int64, words string) (bool, error) {
	file, err := os.Open(c.logFile(node))
	if err != nil {
		return false, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.NewSectionReader(file, since, 1<<62))
	return strings.Contains(string(text), words), err
}
