// Package report writes the result of a scan: as a table for people, as JSON
// for programs, as a log for examiners, and in other formats. Each format is a
// function in a file of its own that writes a scanner.Result to an io.Writer.
// Formats make no decisions.
//
// Names and values come from untrusted images. The table and the log pass them
// through Neutral, so that no byte of an image reaches a terminal as a control
// sequence. JSON escapes them by its own rules.
package report

import (
	"crypto"
	"io"
	"time"

	"github.com/coldcheck/coldcheck/scanner"
)

// Options are the options of a report. They change its form, not its findings.
type Options struct {
	Width   int    // columns that the table may use; 0 for 80, and 40 at least
	Color   bool   // the table may use color
	All     bool   // the table lists every finding
	Saved   string // path of the JSON report that is also written; "" if there is none
	Version string // of the program
	Commit  string // of the program; may be ""
	Build   *Build // more of the program; may be nil

	Arguments []string // of the command line; nil if there was none

	Template    *Template     // for the format "template"
	Key         crypto.Signer // for the format "attestation": ECDSA P-256 or Ed25519
	Inputs      []InputFile   // that the scan used besides the images
	Examination Examination
	Settings    []Setting // that the program used; nil if it has none

	// ExitCode returns the program's exit code for a verdict. If it is nil,
	// formats leave the exit code out.
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
	Name    string // for the command line
	Summary string // in a few words, for help texts
	Write   func(w io.Writer, r *scanner.Result, o Options) error

	// DefaultFile returns the default file name of a format that is written to
	// a file; it is nil for a format that is written to standard output.
	DefaultFile func(started time.Time) string
}

// Formats lists every format; the first is the default.
var Formats = []Format{
	{Name: "table", Summary: "for people", Write: Table},
	{Name: "json", Summary: "for programs", Write: JSON},
	{Name: "jsonl", Summary: "a finding a line, for programs that read many scans", Write: JSONL},
	{Name: "junit", Summary: "JUnit XML, for CI", Write: JUnit},
	{Name: "sarif", Summary: "SARIF 2.1.0, for code scanning", Write: SARIF},
	{Name: "markdown", Summary: "a comment for a pull request", Write: Markdown},
	{Name: "html", Summary: "a page for a browser or for print", Write: HTML},
	{Name: "template", Summary: "whatever --template makes of the JSON", Write: Templated},
	{Name: "attestation", Summary: "the result, signed with --key (in-toto)", Write: Attestation},
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
