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

// impatient is what a postmaster says that kills its own children, since they do
// not end within five seconds of a crash of another.
const impatient = "to recalcitrant children"

// logs is how far they have been read, and who was ended on purpose.
type logs struct {
	mutex     sync.Mutex
	read      map[uint64]int64 // bytes, by the file's number: who leaves has its log moved
	killed    map[int]bool     // processes
	impatient bool             // a postmaster has killed, too
}

func (l *logs) kills(pid int) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.killed == nil {
		l.killed = map[int]bool{}
	}
	l.killed[pid] = true
}

// CheckLogs fails if a server, be it of a node that has left, has logged since
// the last call what none may: the first such line of each.
func (c *Cluster) CheckLogs() error {
	var wrong []error

	files, err := filepath.Glob(filepath.Join(c.Dir, "node*", "log"))
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("there is no log in the folders of the nodes, %s/node*", c.Dir)
	}
	if err != nil {
		return err
	}
	for _, file := range files {
		lines, err := c.logs.news(file)
		if err == nil {
			// The pid of who was ended is noted before the postmaster can tell.
			c.NoteCrashes(filepath.Join(filepath.Dir(file), "data"))
			err = c.logs.judge(lines)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("the log of %s: %w", filepath.Base(filepath.Dir(file)), err))
		}
	}
	return errors.Join(wrong...)
}

// news are the suspicious ones of the lines that have become whole since it was
// asked last.
func (l *logs) news(path string) (suspicious []string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.read == nil {
		l.read = map[uint64]int64{}
	}
	number := info.Sys().(*syscall.Stat_t).Ino
	if _, err = file.Seek(l.read[number], io.SeekStart); err != nil {
		return nil, err
	}
	for reader := bufio.NewReader(file); ; {
		line, err := reader.ReadString('\n')
		if err == io.EOF {
			return suspicious, nil // the rest of a line comes later
		}
		if err != nil {
			return suspicious, err
		}
		l.read[number] += int64(len(line))
		l.impatient = l.impatient || strings.Contains(line, impatient)
		if isSuspicious(line) {
			suspicious = append(suspicious, strings.TrimSpace(line))
		}
	}
}

func isSuspicious(line string) bool {
	return ended.MatchString(line) ||
		slices.ContainsFunc(badWords, func(bad string) bool { return strings.Contains(line, bad) })
}

// judge suspicious lines: none may be there but those of who was ended on purpose.
func (l *logs) judge(lines []string) error {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	var bad []string
	for _, line := range lines {
		if found := ended.FindStringSubmatch(line); found == nil || !l.meant(found[1], found[2]) {
			bad = append(bad, line)
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

// meant: this program sends SIGKILL and SIGABRT, failpoints and postmasters the
// former.
func (l *logs) meant(process, signal string) bool {
	pid, _ := strconv.Atoi(process)
	return signal == "9" && (l.killed[pid] || l.impatient) || signal == "6" && l.killed[pid]
}

// NoteCrashes of failpoints in a data directory, where those who carry them out
// have said so just before (src/bus/failpoints.c).
func (c *Cluster) NoteCrashes(data string) {
	text, _ := os.ReadFile(filepath.Join(data, "tikv_failpoint_hits"))
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.Fields(line)
		if len(words) == 3 && words[1] == "crash" {
			pid, _ := strconv.Atoi(words[2])
			c.logs.kills(pid)
		}
	}
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
