package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/fleet"
	"github.com/coldcheck/coldcheck/scanner/source"
)

func (p *program) fleetReportCommand() *cobra.Command {
	var values []string
	var targets, since, failOn, config string
	c := &cobra.Command{
		Use:   "report DEST",
		Short: "Report on the records of a fleet",
		Long: `Report on the records that 'coldcheck fleet run' wrote to DEST, a folder or
s3://BUCKET/PREFIX: which requirements most machines do not meet, on which machines, what
could not be scanned, the machines by label, and with --since what changed. A record that
is damaged counts as missing. With --targets, so does a target that has no record.`,
		Example: `coldcheck fleet report results --targets targets.csv
coldcheck fleet report results -o table -o html=fleet.html -o csv=fleet.csv
coldcheck fleet report s3://bucket/2026-12 --since s3://bucket/2026-11 -o markdown`,
		Args: arguments(1, 1),
		PreRunE: func(c *cobra.Command, _ []string) error {
			return p.configure(c, config)
		},
		RunE: func(c *cobra.Command, args []string) error {
			outputs, err := parseFleetOutputs(values)
			if err != nil {
				return inFlag("output", err)
			}
			level, err := failLevel(failOn)
			if err != nil {
				return err
			}
			return p.fleetReport(c.Context(), args[0], targets, since, level, outputs)
		},
	}
	c.Flags().StringArrayVarP(&values, "output", "o", nil,
		"write a report as `FORMAT[=PATH]`: "+strings.Join(fleetFormatNames(), ", ")+"; repeatable (default "+
			report.FleetFormats[0].Name+")")
	check(c.RegisterFlagCompletionFunc("output", completeFleetOutput))
	c.Flags().StringVar(&targets, "targets", "",
		"compare the records with the list `TARGETS`: a machine of the list without a record counts as inconclusive")
	c.Flags().StringVar(&since, "since", "", "show what changed since the records in `DEST`")
	failOnFlag(c, &failOn)
	p.noProgressFlag(c)
	configFlag(c, &config)
	return c
}

// fleetReport reads the records once, and writes every report.
func (p *program) fleetReport(ctx context.Context, dest, targets, since string, level scanner.FailOn, outputs []output,
) error {
	if err := p.checkFleetOutputs(outputs, dest, since, targets); err != nil {
		return err
	}
	o := report.FleetOptions{FailOn: level, Progress: func(records int) {
		p.progress.show(scanner.Progress{Step: "reading records", Done: int64(records), Unit: "records"})
	}}
	store, err := openRecords(ctx, dest, source.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	if since != "" {
		earlier, err := openRecords(ctx, since, source.Options{})
		if err != nil {
			return inFlag("since", err)
		}
		defer earlier.Close()
		o.Since = earlier
	}
	if targets != "" {
		list, err := p.readTargets(ctx, targets, source.Options{}, fleet.Shard{Index: 0, Of: 1})
		if err != nil {
			return inFlag("targets", err)
		}
		o.Targets = &report.FleetTargets{Name: source.ShownName(targets), List: list}
	}
	f, err := report.ReadFleet(ctx, store, o)
	if err != nil {
		return err
	}
	p.progress.clear()
	if err := p.writeFleet(f, outputs); err != nil {
		return err
	}
	return verdictError(f.PolicyVerdict())
}

func fleetFormatNames() []string {
	var names []string
	for _, f := range report.FleetFormats {
		names = append(names, f.Name)
	}
	return names
}

// completeFleetOutput offers formats, and files for what follows their "=".
func completeFleetOutput(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	if strings.Contains(typed, "=") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var offers []string
	for _, f := range report.FleetFormats {
		offers = append(offers, cobra.CompletionWithDesc(f.Name, f.Summary))
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// parseFleetOutputs reads the values of -o of a report on a fleet.
func parseFleetOutputs(values []string) ([]output, error) {
	var formats []report.Format
	for _, name := range fleetFormatNames() {
		formats = append(formats, report.Format{Name: name})
	}
	return parseOutputsOf(values, formats)
}

// checkFleetOutputs looks, before records are read, for what would make writing the reports
// fail or do harm.
func (p *program) checkFleetOutputs(outputs []output, dest, since, targets string) error {
	for _, o := range outputs {
		if o.path == "" {
			continue
		}
		t, err := findTarget(o.path)
		if err != nil {
			return err
		}
		if t.oneOf([]string{targets}) != "" {
			return usage("name another file", "the report would be written over %s, the list of targets", targets)
		}
		for _, store := range []string{dest, since} {
			records, err := filepath.EvalSymlinks(filepath.Join(store, "records"))
			if err == nil {
				records, err = filepath.Abs(records)
			}
			if err == nil && filepath.Dir(t.place) == records {
				return usage("name a file in another folder", "%s is in the folder of the records", o.path)
			}
		}
	}
	return p.checkOutputs(outputs, p.inputs, time.Now())
}

// writeFleet writes every report. Files take their places together, once all are complete.
// Pipes and standard output come after them.
func (p *program) writeFleet(f *report.Fleet, outputs []output) error {
	options := p.reportOptions()
	write := func(w io.Writer, o output) error {
		i := slices.IndexFunc(report.FleetFormats, func(f report.FleetFormat) bool { return f.Name == o.format.Name })
		b := bufio.NewWriterSize(w, 256<<10)
		if err := report.FleetFormats[i].Write(b, f, options); err != nil {
			return err
		}
		return b.Flush()
	}
	defer p.pending.discard()
	var streams []output
	for _, o := range outputs {
		if o.path == "" {
			streams = append(streams, o)
			continue
		}
		t, err := findTarget(o.path)
		if err != nil {
			return err
		}
		if t.stream {
			streams = append(streams, o)
			continue
		}
		file, err := p.pending.open(t)
		if err != nil {
			return t.wrap(err)
		}
		if err := errors.Join(write(file, o), file.Close()); err != nil {
			return fmt.Errorf("%s report: %w", o.format.Name, t.wrap(err))
		}
	}
	if err := p.pending.commit(); err != nil {
		return err
	}
	for _, o := range streams {
		if err := p.writeStream(o, write); err != nil {
			return err
		}
	}
	return nil
}

// writeStream writes to a pipe, a device or standard output.
func (p *program) writeStream(o output, write func(io.Writer, output) error) error {
	if o.path == "" {
		return write(printer{p}, o)
	}
	file, err := os.OpenFile(o.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(write(file, o), file.Close())
}
