package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
)

// output is a format and where it goes.
type output struct {
	format report.Format
	path   string // "" for standard output
}

// outputFlag declares -o.
func outputFlag(c *cobra.Command, values *[]string) {
	c.Flags().StringArrayVarP(values, "output", "o", nil,
		"write a report as `FORMAT[=PATH]`: "+strings.Join(formatNames(), ", ")+"; repeatable (default "+
			report.Formats[0].Name+")")
	check(c.RegisterFlagCompletionFunc("output", completeOutput))
}

// asksFor says whether one of the values of -o names a format.
func asksFor(outputs []string, format string) bool {
	return slices.ContainsFunc(outputs, func(o string) bool {
		name, _, _ := strings.Cut(o, "=")
		return name == format
	})
}

func formatNames() []string {
	var names []string
	for _, f := range report.Formats {
		names = append(names, f.Name)
	}
	return names
}

// display is how the table is shown.
type display struct{ all, quiet bool }

// displayFlags declares --all and --quiet.
func displayFlags(c *cobra.Command, d *display) {
	c.Flags().BoolVar(&d.all, "all", false, "list every finding in the table")
	c.Flags().BoolVarP(&d.quiet, "quiet", "q", false, "print only the verdict")
}

// verdictLine is what --quiet prints.
var verdictLine = report.Format{Name: "verdict", Write: report.VerdictLine}

// outputs reads the values of -o. With --quiet the verdict takes the place of the
// table on standard output, and nothing else may go there.
func (d display) outputs(values []string) ([]output, error) {
	outputs, err := parseOutputs(values)
	if err != nil || !d.quiet {
		return outputs, err
	}
	list := []output{{format: verdictLine}}
	for _, o := range outputs {
		switch {
		case o.path != "" || o.format.DefaultFile != nil:
			list = append(list, o)
		case o.format.Name != report.Formats[0].Name:
			hint := fmt.Sprintf("name a file: -o %s=PATH", o.format.Name)
			return nil, usage(hint, "--quiet prints only the verdict, and %s goes to standard output too", o.format.Name)
		}
	}
	return list, nil
}

// parseOutputs reads the values of -o. A format goes to standard output when
// it has no path or the path "-", unless it is one that makes a file of its own;
// that file's name is known only when the scan has begun.
func parseOutputs(values []string) ([]output, error) { return parseOutputsOf(values, report.Formats) }

// parseOutputsOf is parseOutputs for some formats, the first of which is the default.
func parseOutputsOf(values []string, formats []report.Format) ([]output, error) {
	if len(values) == 0 {
		return []output{{format: formats[0]}}, nil
	}
	var names []string
	for _, f := range formats {
		names = append(names, f.Name)
	}
	var outputs []output
	toStdout := ""
	for _, v := range values {
		name, path, err := splitFormat(v, names...)
		if err != nil {
			return nil, err
		}
		f := formats[slices.Index(names, name)]
		if path == "-" || path == "" && f.DefaultFile == nil {
			if toStdout != "" {
				hint := fmt.Sprintf("name a file for one of them: -o %s=PATH", name)
				return nil, usage(hint, "two formats to standard output: %s and %s", toStdout, name)
			}
			toStdout, path = name, ""
			f.DefaultFile = nil
		}
		outputs = append(outputs, output{f, path})
	}
	return outputs, nil
}

// checkOutputs looks, before a scan, for what would make writing its reports
// fail or do harm: a report must not replace what is scanned, and is not
// written over a disk. Default names of files contain the time began.
func (p *program) checkOutputs(outputs []output, inputs []string, began time.Time) error {
	taken := map[string]bool{}
	for _, o := range outputs {
		path := o.file(began)
		if path == "" {
			continue
		}
		t, err := findTarget(path)
		if err != nil {
			return err
		}
		switch {
		case t.info != nil && t.info.Mode()&fs.ModeDevice != 0 && t.info.Mode()&fs.ModeCharDevice == 0:
			return usage("", "%s is a block device: no report is written over a disk", path)
		case t.stream:
			continue
		case taken[t.place]:
			return usage("", "two reports to %s", path)
		}
		taken[t.place] = true
		if in := t.oneOf(inputs); in != "" {
			return usage("", "the report would be written over %s, which is to be scanned", in)
		}
		if err := p.pending.probe(t); err != nil {
			return err
		}
	}
	return nil
}

// file is the path that the output of a scan that began then is written to, ""
// for standard output.
func (o output) file(began time.Time) string {
	if o.path == "" && o.format.DefaultFile != nil {
		return o.format.DefaultFile(began)
	}
	return o.path
}

// writeReports writes every report. All are rendered before one is written, and
// all files are complete under other names before one takes its place. Pipes and
// standard output come after them, and the manifest, which lists the files, last.
func (p *program) writeReports(r *scanner.Result, outputs []output, list *manifest, began time.Time) error {
	type stream struct {
		path string
		text []byte
	}
	var streams []stream
	options := p.reportOptions()
	options.All = p.display.all
	for _, o := range outputs {
		if o.format.Name == "json" {
			options.Saved = o.path
		}
	}
	defer p.pending.discard()
	for _, o := range outputs {
		var b bytes.Buffer
		if err := o.format.Write(&b, r, options); err != nil {
			return fmt.Errorf("%s report: %w", o.format.Name, err)
		}
		path := o.file(began)
		if path == "" {
			streams = append(streams, stream{path, b.Bytes()})
			continue
		}
		t, err := findTarget(path)
		if err != nil {
			return err
		}
		if t.stream {
			streams = append(streams, stream{path, b.Bytes()})
			continue
		}
		if err := p.pending.write(t, b.Bytes()); err != nil {
			return err
		}
		list.add(path, b.Bytes())
	}
	if err := p.pending.commit(); err != nil {
		return err
	}
	p.progress.clear()
	for _, s := range streams {
		if s.path == "" {
			if err := p.print(s.text); err != nil {
				return err
			}
		} else if err := os.WriteFile(s.path, s.text, 0); err != nil {
			return err
		}
	}
	return list.write(&p.pending)
}

// print writes to standard output.
func (p *program) print(text []byte) error {
	if _, err := p.stdout.Write(text); err != nil {
		return outputError{err}
	}
	return nil
}

// reportOptions asks the terminal, if there is one, what it can show.
func (p *program) reportOptions() report.Options {
	var o report.Options
	setBuild(&o)
	for _, a := range p.arguments {
		o.Arguments = append(o.Arguments, withoutSecret(a))
	}
	o.ExitCode, o.Examination, o.Settings, o.Template = verdictExit, p.examination, p.settings, p.template
	o.Key, o.Inputs = p.key, p.files
	if fd := int(p.stdout.Fd()); term.IsTerminal(fd) {
		o.Color = p.consoles.stdout && os.Getenv("NO_COLOR") == ""
		o.Width, _, _ = term.GetSize(fd)
	}
	return o
}

// check panics on errors that only a defect of the program can cause.
func check(err error) {
	if err != nil {
		panic(err)
	}
}
