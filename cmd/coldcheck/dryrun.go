package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
)

// dryRunFlag declares --dry-run.
func dryRunFlag(c *cobra.Command, value *bool) {
	c.Flags().BoolVar(value, "dry-run", false,
		"read only the headers of the images, and estimate how much a scan reads and what it costs")
}

// dryRunFlags are the flags that change what a dry run does, or change nothing.
var dryRunFlags = []string{"dry-run", "root", "user", "parent", "sizes", "max-memory", "parallel-reads", "no-progress",
	"config"}

// checkDryRun refuses flags on the command line that mean nothing without a scan. Settings
// from a file or a variable are for scans, and are ignored.
func (p *program) checkDryRun(c *cobra.Command) (err error) {
	c.Flags().Visit(func(f *pflag.Flag) {
		if err == nil && p.places[f.Name] == "" && !slices.Contains(dryRunFlags, f.Name) {
			err = usage("leave out one of the two", "--dry-run cannot be used with --%s: it makes no scan", f.Name)
		}
	})
	return err
}

// dryRun writes what a scan will probably read.
func (p *program) dryRun(ctx context.Context, in scanner.Input, flags scanFlags) error {
	in.MaxMemory, in.ParallelReads, in.Sizes = int64(p.maxMemory), int(flags.reads), flags.sizes
	e, err := scanner.Estimate(ctx, in)
	if err != nil {
		return err
	}
	out := p.newLines()
	var total scanner.Amount
	var remote, local, priced bool
	for _, i := range e.Images {
		estimateText(out, i)
		total.Add(i.Scan)
		priced = priced || i.Scan.Price > 0
		remote, local = remote || i.Remote(), local || !i.Remote()
	}
	if len(e.Images) > 1 && remote != local { // requests and reads do not add up
		fmt.Fprintf(out, "All images: about %s.\n", amountText(total, remote))
	}
	fmt.Fprintln(out, "This is an estimate. Only headers were read, and no requirement was checked.")
	for _, sentence := range e.Basis {
		fmt.Fprintln(out, sentence)
	}
	if priced {
		explainPrice(out)
	}
	return out.flush(nil)
}

// estimateText writes an image with its volumes and its estimate.
func estimateText(out lines, i scanner.ImageEstimate) {
	table := map[string]string{"mbr": "MBR", "gpt": "GPT"}[i.Table]
	if table == "" {
		table = "no partition table"
	}
	format := prose.Rounded(i.File.DiskSize)
	if !i.File.IsRaw() {
		format += " in a file of " + prose.Rounded(i.File.Size)
	}
	fmt.Fprintf(out, "%s  %s, %s, %s\n", report.Neutral(i.File.Name),
		report.Neutral(formatName(i.File.Container, i.File.Detail)), format, table)
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  PARTITION\tSIZE\tFILESYSTEM\tCONTENT")
	for _, v := range i.Volumes {
		name := v.Logical
		switch {
		case name != "":
		case v.Partition > 0:
			name = fmt.Sprint(v.Partition)
		default:
			name = "-"
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", report.Neutral(name), prose.Rounded(v.Size), report.Neutral(v.Filesystem),
			report.Neutral(contentText(v)))
	}
	t.Flush()
	requests := "REQUESTS"
	if !i.Remote() {
		requests = "READS"
	}
	fmt.Fprintf(t, "  \t%s\tBYTES\tPRICE\n", requests)
	for _, row := range []struct {
		what string
		scanner.Amount
	}{{"read now", i.Read}, {"estimate of a scan", i.Scan}} {
		fmt.Fprintf(t, "  %s\t%d\t%s\t%s\n", row.what, row.Requests, prose.Rounded(row.Bytes), priceText(row.Price))
	}
	t.Flush()
	fmt.Fprintln(out)
}

// contentText says what is known of a volume.
func contentText(v scanner.VolumeEstimate) string {
	var parts []string
	switch {
	case v.Err != nil:
		return "cannot be read: " + v.Err.Error()
	case v.Index > 0:
		parts = append(parts, fmt.Sprintf("$MFT of %s in %s, %s", prose.Rounded(v.Index),
			prose.Count(v.Pieces, "piece", "pieces"), prose.Count(v.Files, "record", "records")))
	case v.Files > 0:
		parts = append(parts, prose.Count(v.Files, "inode", "inodes")+" in use")
	}
	if v.System {
		parts = append(parts, "assumed to have the system")
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

// amountText is an amount for a sentence.
func amountText(a scanner.Amount, remote bool) string {
	text := prose.Count(a.Requests, "read", "reads")
	if remote {
		text = prose.Count(a.Requests, "request", "requests")
	}
	text += ", " + prose.Rounded(a.Bytes)
	if a.Price > 0 {
		text += ", " + priceText(a.Price)
	}
	return text
}
