// Package report writes what a scan found: as a table for the person who has
// to act, as JSON for programs, and as a log for the examiner who has to prove
// it. Each format is a function of a scanner.Result and an io.Writer, a file
// each. None of them decides anything.
//
// Names and values come from images that nobody vouches for. The table and the
// log show them through Neutral, so that no byte of an image reaches a terminal
// as a control sequence; JSON escapes them by its own rules.
package report

import (
	"io"
	"time"

	"github.com/coldcheck/coldcheck/scanner"
)

// Options says how a report is written, not what it says.
type Options struct {
	Width   int    // columns that the table may use; 0 for 80, and 40 at least
	Color   bool   // the table may use color
	All     bool   // the table lists every finding
	Saved   string // path of the report in JSON that is written too; "" if there is none
	Version string // of the program
	Commit  string // of the program; may be ""

	Arguments []string // that the program was called with; nil if it was not by a command line

	Template    *Template // of the format template
	Examination Examination
	Settings    []Setting // in force; nil if the program has none

	// ExitCode returns what a program ends with on a verdict. Formats that show
	// an exit code leave it out where ExitCode is nil.
	ExitCode func(scanner.Verdict) int
}

// exitCode returns the exit code of a verdict; nil if the program has none.
func (o Options) exitCode(v scanner.Verdict) *int {
	if o.ExitCode == nil {
		return nil
	}
	code := o.ExitCode(v)
	return &code
}

// Format is one way to write a report.
type Format struct {
	Name    string // as the command line knows it
	Summary string // in a few words, for help texts
	Write   func(w io.Writer, r *scanner.Result, o Options) error

	// DefaultFile names the file for a format that goes to a file when nobody
	// says where; it is nil for a format that goes to standard output then.
	DefaultFile func(started time.Time) string
}

// Formats lists every format; the first is the one to use when none is named.
var Formats = []Format{
	{Name: "table", Summary: "for people", Write: Table},
	{Name: "json", Summary: "for programs", Write: JSON},
	{Name: "jsonl", Summary: "a finding a line, for programs that read many scans", Write: JSONL},
	{Name: "junit", Summary: "JUnit XML, for CI", Write: JUnit},
	{Name: "sarif", Summary: "SARIF 2.1.0, for code scanning", Write: SARIF},
	{Name: "markdown", Summary: "a comment for a pull request", Write: Markdown},
	{Name: "html", Summary: "a page for a browser or for print", Write: HTML},
	{Name: "template", Summary: "whatever --template makes of the JSON", Write: Templated},
	{Name: "log", Summary: "every step and every piece of evidence, one a line", Write: Log, DefaultFile: logFile},
}

// FormatNamed returns the format of that name.
func FormatNamed(name string) (Format, bool) {
	for _, f := range Formats {
		if f.Name == name {
			return f, true
		}
	}
	return Format{}, false
}

func logFile(started time.Time) string {
	return "coldcheck_" + started.UTC().Format("20060102150405") + ".log"
}
