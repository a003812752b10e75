package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/coldcheck/coldcheck/internal/buildinfo"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/fleet"
	"github.com/coldcheck/coldcheck/scanner/source"
)

func (p *program) fleetExportCommand() *cobra.Command {
	var values []string
	var o report.ExportOptions
	var config string
	c := &cobra.Command{
		Use:   "export DEST",
		Short: "Write the records of a fleet for other programs",
		Long: `Write the records that 'coldcheck fleet run' wrote to DEST in formats that other
programs read: a table in Parquet, OCSF compliance findings, findings for AWS Security
Hub (ASFF), or one SARIF log. Records that are damaged are named on standard error and
left out.

Findings keep their IDs from run to run. A requirement that is met closes the finding of
an earlier run.`,
		Example: `coldcheck fleet export s3://bucket/2026-11-30 -o parquet=2026-11-30.parquet
coldcheck fleet export results -o ocsf=findings.jsonl -o sarif=fleet.sarif
coldcheck fleet export results -o asff=batches.jsonl --account 111122223333 --region us-east-1`,
		Args: arguments(1, 1),
		PreRunE: func(c *cobra.Command, _ []string) error {
			return p.configure(c, config)
		},
		RunE: func(c *cobra.Command, args []string) error {
			outputs, err := parseExports(values)
			if err != nil {
				return inFlag("output", err)
			}
			if err := o.Check(); err != nil {
				return usage("", "%w", err)
			}
			o.Version = buildinfo.Read().Version
			if !c.Flags().Changed("run") {
				o.Run = runName(args[0])
			}
			store, err := openRecords(c.Context(), args[0], source.Options{})
			if err != nil {
				return err
			}
			defer store.Close()
			return p.export(c.Context(), args[0], store, outputs, o)
		},
	}
	c.Flags().StringArrayVarP(&values, "output", "o", nil,
		"write `FORMAT[=PATH]`: "+strings.Join(exportNames(), ", ")+"; repeatable")
	check(c.RegisterFlagCompletionFunc("output", completeExport))
	c.Flags().StringVar(&o.Run, "run", "", "call the run `NAME` (default: the last part of DEST)")
	c.Flags().StringVar(&o.Account, "account", "",
		"use AWS account `ID` for machines without the label "+report.AccountLabel+", for asff and ocsf")
	c.Flags().StringVar(&o.Region, "region", "",
		"use AWS `REGION` for machines without the label "+report.RegionLabel+", for asff and ocsf")
	c.Flags().StringVar(&o.Product, "product-arn", "",
		"name the product in Security Hub by its `ARN`, for asff (default: that of the account)")
	p.noProgressFlag(c)
	configFlag(c, &config)
	return c
}

func exportNames() []string {
	var names []string
	for _, f := range report.ExportFormats {
		names = append(names, f.Name)
	}
	return names
}

// completeExport offers formats, and files for what follows their "=".
func completeExport(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	if strings.Contains(typed, "=") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var offers []string
	for _, f := range report.ExportFormats {
		offers = append(offers, cobra.CompletionWithDesc(f.Name, f.Summary))
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// runName is the last part of the name of a store.
func runName(dest string) string {
	if _, prefix, remote := strings.Cut(dest, "://"); remote {
		prefix = strings.TrimRight(prefix, "/")
		return prefix[strings.LastIndexByte(prefix, '/')+1:]
	}
	if full, err := filepath.Abs(dest); err == nil {
		dest = full
	}
	return filepath.Base(dest)
}

// exportOutput is a format of an export and where it goes.
type exportOutput struct {
	format report.ExportFormat
	path   string // "" for standard output
}

// parseExports reads the values of -o of an export.
func parseExports(values []string) ([]exportOutput, error) {
	if len(values) == 0 {
		return nil, usage("name a format with -o: "+strings.Join(exportNames(), ", "), "no format to write")
	}
	var outputs []exportOutput
	toStdout := ""
	for _, v := range values {
		name, path, err := splitFormat(v, exportNames()...)
		if err != nil {
			return nil, err
		}
		f := report.ExportFormats[slices.Index(exportNames(), name)]
		if path == "" || path == "-" {
			hint := fmt.Sprintf("name a file: -o %s=PATH", name)
			switch {
			case toStdout != "":
				return nil, usage(hint, "two formats to standard output: %s and %s", toStdout, name)
			case f.Binary && term.IsTerminal(int(os.Stdout.Fd())):
				return nil, usage(hint, "%s is not for a terminal", name)
			}
			toStdout, path = name, ""
		}
		outputs = append(outputs, exportOutput{f, path})
	}
	return outputs, nil
}

// exportSink is a file, a pipe or standard output that an export writes to.
type exportSink struct {
	report.Export
	buffer *bufio.Writer
	file   *os.File // nil for standard output
}

// export writes the records of a store in each format. Files take their places together,
// once all are complete.
func (p *program) export(ctx context.Context, dest string, store fleet.Store, outputs []exportOutput,
	o report.ExportOptions) error {
	defer p.pending.discard()
	targets, err := p.exportTargets(dest, outputs)
	if err != nil {
		return err
	}
	var sinks []*exportSink
	defer func() {
		for _, s := range sinks {
			s.close()
		}
	}()
	for i, out := range outputs {
		s, err := p.exportTo(targets[i], out, o)
		if err != nil {
			return err
		}
		sinks = append(sinks, s)
	}
	machines, damaged := 0, 0
	for e, err := range report.ReadMachines(ctx, store) {
		if err != nil {
			return err
		}
		if e.Problem != nil {
			damaged++
			p.notice("record of %s: %v", e.ID, e.Problem)
			continue
		}
		machines++
		for _, s := range sinks {
			if err := s.Add(e.Machine); err != nil {
				return exportError(err)
			}
		}
		p.progress.show(scanner.Progress{Step: "exporting records", Done: int64(machines), Unit: "records"})
	}
	p.progress.clear()
	if machines+damaged == 0 {
		return usage("DEST is the folder or the prefix that 'coldcheck fleet run --results' wrote to", "%s has no records",
			store)
	}
	for _, s := range sinks {
		if err := errors.Join(s.Close(), s.buffer.Flush(), s.close()); err != nil {
			return err
		}
	}
	if err := p.pending.commit(); err != nil {
		return err
	}
	if damaged > 0 {
		p.notice("left out %s; exported %s", prose.Count(damaged, "damaged record", "damaged records"),
			prose.Count(machines, "machine", "machines"))
		return verdictError(scanner.Inconclusive)
	}
	return nil
}

// exportError makes wrong usage of what a format cannot have.
func exportError(err error) error {
	if !errors.Is(err, report.ErrExport) {
		return err
	}
	return usage("name the account and the Region with --account and --region, or with the labels "+
		report.AccountLabel+" and "+report.RegionLabel+" of the targets", "%w", err)
}

// exportTargets finds where the outputs go. An entry for standard output is nil.
func (p *program) exportTargets(dest string, outputs []exportOutput) ([]*target, error) {
	records, err := filepath.EvalSymlinks(filepath.Join(dest, "records"))
	if err == nil {
		records, err = filepath.Abs(records)
	}
	if err != nil {
		records = "" // there are none, or they are not local
	}
	taken := map[string]bool{}
	list := make([]*target, len(outputs))
	for i, o := range outputs {
		if o.path == "" {
			continue
		}
		t, err := findTarget(o.path)
		if err != nil {
			return nil, err
		}
		list[i] = &t
		switch {
		case t.info != nil && t.info.Mode()&fs.ModeDevice != 0 && t.info.Mode()&fs.ModeCharDevice == 0:
			return nil, usage("", "%s is a block device: no export is written over a disk", o.path)
		case t.stream:
			continue
		case taken[t.place]:
			return nil, usage("", "two exports to %s", o.path)
		case records != "" && filepath.Dir(t.place) == records:
			return nil, usage("name a file in another folder", "%s is in the folder of the records", o.path)
		}
		taken[t.place] = true
	}
	return list, nil
}

// exportTo opens an output.
func (p *program) exportTo(t *target, out exportOutput, o report.ExportOptions) (*exportSink, error) {
	s := &exportSink{}
	w := io.Writer(printer{p})
	if t != nil {
		var err error
		if t.stream {
			s.file, err = os.OpenFile(t.path, os.O_WRONLY, 0)
		} else {
			s.file, err = p.pending.open(*t)
		}
		if err != nil {
			return nil, t.wrap(err)
		}
		w = targetWriter{s.file, *t}
	}
	s.buffer = bufio.NewWriterSize(w, 256<<10)
	s.Export = out.format.New(s.buffer, o)
	return s, nil
}

// close closes the file, if there is one.
func (s *exportSink) close() error {
	f := s.file
	s.file = nil
	if f == nil {
		return nil
	}
	return f.Close()
}

// printer writes to standard output.
type printer struct{ p *program }

func (w printer) Write(text []byte) (int, error) {
	if err := w.p.print(text); err != nil {
		return 0, err
	}
	return len(text), nil
}

// targetWriter writes to the file of a target, which its errors name.
type targetWriter struct {
	f *os.File
	t target
}

func (w targetWriter) Write(text []byte) (int, error) {
	n, err := w.f.Write(text)
	return n, w.t.wrap(err)
}
