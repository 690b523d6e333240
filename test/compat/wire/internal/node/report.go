package node

import (
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Report collects the checks of a program that goes on after a failure.
type Report struct {
	program string
	passed  int
	failed  int
}

// NewReport begins a report.
func NewReport(program string) *Report {
	return &Report{program: program}
}

// Check counts one check and prints it if it failed.
func (r *Report) Check(name string, err error) {
	if err == nil {
		r.passed++
		return
	}
	r.failed++
	fmt.Fprintf(os.Stderr, "%s: %s: %v\n", r.program, name, err)
}

// Exit ends the program, with status 1 if a check failed.
func (r *Report) Exit() {
	if r.failed > 0 {
		fmt.Fprintf(os.Stderr, "%s: %d of %d checks failed\n", r.program, r.failed, r.failed+r.passed)
		os.Exit(1)
	}
	fmt.Printf("%s: %d checks\n", r.program, r.passed)
	os.Exit(0)
}

// Fatal ends the program before it could check anything.
func (r *Report) Fatal(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", r.program, err)
		os.Exit(1)
	}
}

// WantStatus is nil if err is a gRPC status of that code whose message holds
// all the texts.
func WantStatus(err error, code codes.Code, texts ...string) error {
	if status.Code(err) != code {
		return fmt.Errorf("want status %v, got %v", code, err)
	}
	for _, text := range texts {
		if !strings.Contains(status.Convert(err).Message(), text) {
			return fmt.Errorf("want status text with %q, got %v", text, err)
		}
	}
	return nil
}

// Expect is nil if ok, else an error of that text.
func Expect(ok bool, format string, args ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, args...)
}
