// Command coldcheck decides from the images of a WorkSpace's volumes, without
// booting it, whether a custom image can be made of it.
//
// The rules of its interface: standard output carries what was asked for and
// nothing else; progress, notices and errors go to standard error. An error is
// in lower case, without full stop, followed by a line that begins with "hint:"
// where there is something to do about it. Whatever comes from an image is
// neutralised before a terminal may see it. A report file is complete or
// absent, whatever happens.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/disk"
)

func main() {
	// A closed pipe is a write error like any other: the exit code tells.
	signal.Ignore(syscall.SIGPIPE)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)

	ctx, cancel := context.WithCancel(context.Background())
	p := &program{stdout: os.Stdout, stderr: os.Stderr}
	done := make(chan error, 1)
	go func() { done <- p.run(ctx, os.Args[1:]) }()
	var err error
	select {
	case err = <-done:
	case s := <-signals:
		// The work is not waited for: it may hang in a read that never ends.
		cancel()
		p.pending.abandon()
		err = errInterrupted
		if s == syscall.SIGTERM {
			err = errTerminated
		}
	}
	p.explain(err)
	os.Exit(exitCode(err))
}

// program is one run of the command.
type program struct {
	stdout, stderr *os.File
	help           helpWriter
	pending        pendingFiles
	progress       progressLine
	arguments      []string // as they were given

	maxMemory memorySize     // --max-memory
	memory    *memory.Budget // of inspect; scans make their own
}

// run executes the command line. A panic is a defect; it must not leave report
// files half written, and its exit code must not be taken for a verdict.
func (p *program) run(ctx context.Context, args []string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			p.pending.abandon()
			p.progress.clear()
			p.stderr.Write(debug.Stack())
			err = fmt.Errorf("defect in coldcheck: %v", r)
		}
	}()
	p.progress.start(p.stderr)
	p.help.w = p.stdout
	root := p.rootCommand()
	root.SetArgs(args)
	p.arguments = args
	if err := root.ExecuteContext(ctx); err != nil {
		return err
	}
	return p.help.err
}

// helpWriter writes what cobra makes to standard output, and keeps the first
// error of writing help texts, which cobra drops.
type helpWriter struct {
	w   io.Writer
	err error
}

func (h *helpWriter) Write(text []byte) (int, error) {
	n, err := h.w.Write(text)
	if err != nil {
		err = fmt.Errorf("standard output: %w", err)
		if h.err == nil {
			h.err = err
		}
	}
	return n, err
}

// Kinds of errors that decide the exit code, beside those of the packages below.
var (
	errUsage       = errors.New("wrong usage")
	errNotThatKind = errors.New("not of that kind")
	errInterrupted = errors.New("interrupted")
	errTerminated  = errors.New("terminated")
)

// exitCode maps errors to the exit codes that scripts rely on.
func exitCode(err error) int {
	var verdict verdictError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &verdict):
		return verdictExit(scanner.Verdict(verdict))
	case errors.Is(err, errUsage), errors.Is(err, scanner.ErrUsage):
		return 64
	case errors.Is(err, errNotThatKind), errors.Is(err, scanner.ErrNoSystem), errors.Is(err, disk.ErrNotImage):
		return 4
	case errors.Is(err, errInterrupted):
		return 130
	case errors.Is(err, errTerminated):
		return 143
	default: // something could not be opened, read or written
		return 74
	}
}

// verdictExit is the exit code of a verdict, after the flags that change it.
func verdictExit(v scanner.Verdict) int {
	switch v {
	case scanner.Ready:
		return 0
	case scanner.NotReady:
		return 1
	default:
		return 3
	}
}

// verdictError is the verdict of a scan, or of a comparison, whose reports were
// written.
type verdictError scanner.Verdict

func (verdictError) Error() string { return "the scan has a verdict" }

// problem is an error of a kind, with what to do about it.
type problem struct {
	error
	kind error
	hint string
}

func (p problem) Unwrap() []error { return []error{p.error, p.kind} }

// Hint says what to do, "" if that is plain.
func (p problem) Hint() string { return p.hint }

func usage(hint, format string, args ...any) error {
	return problem{fmt.Errorf(format, args...), errUsage, hint}
}

func notThatKind(hint, format string, args ...any) error {
	return problem{fmt.Errorf(format, args...), errNotThatKind, hint}
}

// explain writes an error and its hint. A verdict has been told by the report.
func (p *program) explain(err error) {
	var verdict verdictError
	if err == nil || errors.As(err, &verdict) {
		return
	}
	p.notice("%v", err)
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) && hinted.Hint() != "" {
		fmt.Fprintf(p.stderr, "hint: %s\n", report.Neutral(hinted.Hint()))
	}
}

// notice tells something beside what was asked for, in one line: errors that
// were joined would take several.
func (p *program) notice(format string, args ...any) {
	p.progress.clear()
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
	fmt.Fprintf(p.stderr, "coldcheck: %s\n", report.Neutral(text))
}
