// Command coldcheck checks from the images of a WorkSpace's volumes, without
// booting it, whether you can create a custom image from it.
//
// The rules of its interface: standard output carries the requested output and
// nothing else; progress, notices and errors go to standard error. An error is
// in lower case, without a full stop. A line that begins with "hint:" follows
// if there is something to do about it. Text from an image is made harmless
// before a terminal shows it. A report file is complete or absent, whatever
// happens.
package main

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/coldcheck/coldcheck/internal/buildinfo"
	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/disk"
)

func main() {
	// A closed pipe must not end the program while report files are incomplete.
	signal.Ignore(syscall.SIGPIPE)
	buildinfo.SetRelease(release)
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
	if brokenPipe(err) {
		dieOfBrokenPipe()
	} else {
		p.explain(err)
	}
	p.consoles.close()
	os.Exit(exitCode(err))
}

// outputError is an error of writing to standard output.
type outputError struct{ error }

func (e outputError) Error() string { return "standard output: " + e.error.Error() }
func (e outputError) Unwrap() error { return e.error }

// brokenPipe reports whether the reader of standard output has gone away.
func brokenPipe(err error) bool {
	var output outputError
	return errors.As(err, &output) && isClosedPipe(output)
}

// dieOfBrokenPipe ends the program silently by SIGPIPE, as other tools do: a write to a broken pipe raises the signal
// once it is not ignored any more. It returns on systems without that signal.
func dieOfBrokenPipe() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) // Reset on its own leaves it ignored
	signal.Reset(syscall.SIGPIPE)
	os.Stdout.Write([]byte("\n"))
}

// program is one run of the command.
type program struct {
	stdout, stderr *os.File
	help           helpWriter
	pending        pendingFiles
	progress       progressLine
	consoles       consoles
	arguments      []string // as given
	images         []string // the names that scan was given
	inspected      []*scanner.Image

	examiner    examinerFlags
	examination report.Examination
	template    *report.Template   // of --template; nil for none
	key         crypto.Signer      // of --key; nil for none
	files       []report.InputFile // that the scan uses besides the images
	ofMachine   bool               // reports name the machine that makes the scan
	settings    []report.Setting   // in force
	places      map[string]string  // where flags are set, unless on the command line
	inputs      []string           // files that were read; no report may replace them

	maxMemory memorySize     // --max-memory
	display   display        // --all, --quiet
	stats     bool           // --stats
	memory    *memory.Budget // of inspect; scans make their own
}

// run executes the command line. A panic is a defect. It must not leave report
// files half written, and its exit code must not look like a verdict.
func (p *program) run(ctx context.Context, args []string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			p.pending.abandon()
			p.progress.clear()
			p.stderr.Write(debug.Stack())
			err = fmt.Errorf("defect in coldcheck: %v", r)
		}
	}()
	p.consoles.open(p.stdout, p.stderr)
	p.progress.start(p.stderr, p.consoles.stderr)
	p.help.w = p.stdout
	root := p.rootCommand()
	root.SetArgs(args)
	p.arguments = args
	err = root.ExecuteContext(ctx)
	for _, i := range p.inspected {
		if failed := i.Failed(); failed != nil {
			return failed // what was shown is not complete, whatever the command makes of it
		}
	}
	if err != nil {
		return err
	}
	return p.help.err
}

// helpWriter writes to standard output and keeps the first error, which cobra
// drops when it writes help texts.
type helpWriter struct {
	w   io.Writer
	err error
}

func (h *helpWriter) Write(text []byte) (int, error) {
	n, err := h.w.Write(text)
	if err != nil {
		err = outputError{err}
		if h.err == nil {
			h.err = err
		}
	}
	return n, err
}

// Kinds of errors that decide the exit code, in addition to those of the packages below.
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
	case errors.Is(err, errUsage), errors.Is(err, scanner.ErrUsage), errors.Is(err, report.ErrTemplate):
		return 64
	case errors.Is(err, scanner.ErrPassing):
		return 75
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

// Hint says what to do; "" if that is clear.
func (p problem) Hint() string { return p.hint }

func usage(hint, format string, args ...any) error {
	return problem{fmt.Errorf(format, args...), errUsage, hint}
}

func notThatKind(hint, format string, args ...any) error {
	return problem{fmt.Errorf(format, args...), errNotThatKind, hint}
}

// explain writes an error and its hint. The report shows a verdict.
func (p *program) explain(err error) {
	var verdict verdictError
	if err == nil || errors.As(err, &verdict) {
		return
	}
	p.notice("%s", p.message(err))
	p.hint(hintOf(err))
}

// hintOf is what to do about an error; "" if it does not say.
func hintOf(err error) string {
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		return hinted.Hint()
	}
	return ""
}

// hint says what to do, if there is something to say.
func (p *program) hint(text string) {
	if text != "" {
		p.progress.clear()
		fmt.Fprintf(p.stderr, "hint: %s\n", report.Neutral(text))
	}
}

// notice writes a line to standard error. Joined errors would take several lines.
func (p *program) notice(format string, args ...any) {
	p.progress.clear()
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "; ")
	fmt.Fprintf(p.stderr, "coldcheck: %s\n", report.Neutral(text))
}
