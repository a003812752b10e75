package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
)

// toyReport is a format of reports as a file of package report would have it.
func toyReport(w io.Writer, r *scanner.Result, o report.Options) error {
	_, err := fmt.Fprintf(w, "%s, %d findings, exit code %d\n", r.Verdict, len(r.Findings), o.ExitCode(r.PolicyVerdict))
	return err
}

// A format of reports is added in two places: a file and a row in package report.
// The command then writes it.
func TestToyFormat(t *testing.T) {
	before := report.Formats
	t.Cleanup(func() { report.Formats = before })
	report.Formats = append(slices.Clip(report.Formats),
		report.Format{Name: "toy", Summary: "for this test", Write: toyReport})

	out, err := os.Create(filepath.Join(t.TempDir(), "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	file := filepath.Join(t.TempDir(), "report")
	p := &program{stdout: out, stderr: out}
	err = p.run(t.Context(), []string{"demo", "--case", "linux-failing", "-o", "toy", "-o", "toy=" + file})
	if code := exitCode(err); code != 1 {
		t.Errorf("exit code %d: %v", code, err)
	}
	const want = "not_ready, 20 findings, exit code 1\n"
	for _, name := range []string{out.Name(), file} {
		if got, err := os.ReadFile(name); string(got) != want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if !slices.Contains(formatNames(), "toy") {
		t.Error("the help does not list it")
	}
}
