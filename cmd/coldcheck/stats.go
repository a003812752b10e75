package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
)

// statsFlag declares --stats.
func statsFlag(c *cobra.Command, value *bool) {
	c.Flags().BoolVar(value, "stats", false,
		"show at the end how much was read of each image, with how many requests, and what they cost")
}

// showStats writes a table with a line for each image to standard error.
func (p *program) showStats(r *scanner.Result) {
	var remote, priced bool
	for _, f := range r.Files {
		if n := f.Reading.Remote; n != nil {
			remote, priced = true, priced || n.Price > 0
		}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	head := "READ\tREADS\t"
	if remote {
		head += "REQUESTS\tRETRIES\tTHROTTLED\tRECEIVED\tBLOCKS READ\tCACHE HITS\tPRICE\t"
	}
	fmt.Fprintln(w, head+"IMAGE")
	for _, f := range r.Files {
		fmt.Fprintf(w, "%s\t%d\t", prose.Rounded(f.Reading.Bytes), f.Reading.Reads)
		if n := f.Reading.Remote; n != nil {
			fmt.Fprintf(w, "%d\t%d\t%d\t%s\t%d of %d\t%d\t%s\t", n.Requests, n.Retries, n.Throttled,
				prose.Rounded(n.Bytes), n.Fetched, n.Blocks, n.Hits, priceText(n.Price))
		} else if remote {
			fmt.Fprint(w, strings.Repeat("-\t", 7))
		}
		fmt.Fprintln(w, report.Neutral(f.Name))
	}
	w.Flush()
	if priced {
		explainPrice(&b)
	}
	p.progress.clear()
	fmt.Fprint(p.stderr, b.String())
}

// explainPrice says what the prices in a table are.
func explainPrice(w io.Writer) {
	fmt.Fprintf(w, "The price is that of the requests: %s.\n", scanner.Prices)
}

// priceText is a price in billionths of a US dollar; "-" if it is not known.
func priceText(billionths int64) string {
	if billionths == 0 {
		return "-"
	}
	return fmt.Sprintf("$%.4f", float64(billionths)/1e9)
}
