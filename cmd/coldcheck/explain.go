package main

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
)

var explainFormats = []string{"table", "json", "html"}

// explainFlags are the flags of explain.
type explainFlags struct {
	images    imageFlags
	selected  selectionFlags // of which there is only --rulebook
	window    string
	format    string
	staleBase bool
	reads     parallelReads
}

func (p *program) explainCommand() *cobra.Command {
	var flags explainFlags
	c := &cobra.Command{
		Use:   "explain IMAGE…",
		Short: "Say why an image creation failed, and what changed before",
		Long: `Say why an image creation, an import or a run of Sysprep failed: for each error code in
the output of 'aws workspaces describe-workspace-images' (--with) and for each failed run
of Sysprep on the disk, the findings that explain it, the lines of the logs, and what
changed on the machine before: services, updates, packages, profiles, starts, upgrades,
applications and drivers, with times in UTC. Give the images as for 'coldcheck scan'.`,
		Example: `coldcheck explain root.img user.img --with images.json
coldcheck explain root.img user.img --with images.json --window 30d
coldcheck explain ebs:snap-0123456789abcdef0 --with images.json -o html=why.html
coldcheck explain root.img -o json`,
		Args: arguments(1, -1),
		RunE: func(c *cobra.Command, args []string) error {
			return p.explainFailures(c, args, flags)
		},
	}
	f := c.Flags()
	flags.images.declare(c, "check",
		"the output of 'aws workspaces describe-workspace-images' or what 'coldcheck scan --with' takes")
	f.StringVar(&flags.window, "window", "14d", "list changes of the `TIME` before a failure, such as 30d or 36h")
	f.BoolVar(&flags.staleBase, "stale-base", false,
		"accept an image that is the base disk of another image, and lacks the changes in that one")
	ruleBooksFlag(c, &flags.selected.books)
	formatFlag(c, &flags.format, true, explainFormats...)
	memoryFlag(c, &p.maxMemory)
	parallelReadsFlag(c, &flags.reads)
	p.noProgressFlag(c)
	return c
}

func (p *program) explainFailures(c *cobra.Command, images []string, flags explainFlags) error {
	format, path, err := splitFormat(flags.format, explainFormats...)
	if err != nil {
		return err
	}
	in := scanner.Input{StaleBase: flags.staleBase, MaxMemory: int64(p.maxMemory), ParallelReads: int(flags.reads),
		Progress: p.progress.show}
	if in.Window, err = window(flags.window); err != nil {
		return err
	}
	if err := flags.selected.apply(c, &in); err != nil {
		return err
	}
	names := flags.images.input(images, &in)
	if err := flags.images.check(p, names); err != nil {
		return err
	}
	if err := flags.images.documents(&in); err != nil {
		return err
	}
	e, err := scanner.Explain(c.Context(), in)
	if err != nil {
		return err
	}
	write := map[string]func(io.Writer, *scanner.Explanation, report.Options) error{
		"table": report.ExplainText, "json": report.ExplainJSON, "html": report.ExplainHTML,
	}[format]
	var b bytes.Buffer
	if err := write(&b, e, p.reportOptions()); err != nil {
		return err
	}
	p.progress.clear()
	return p.writeFile(path, b.Bytes(), slices.Concat(names, flags.images.parents, flags.images.with)...)
}

// window reads the value of --window: a time as Go writes it, or a number of days.
func window(text string) (time.Duration, error) {
	const hint = "write it as 30d or 36h"
	var d time.Duration
	var err error
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if d, err = time.ParseDuration(days + "h"); err == nil {
			if d > scanner.MaxWindow/24 {
				d = scanner.MaxWindow + 1
			} else {
				d *= 24
			}
		}
	} else {
		d, err = time.ParseDuration(text)
	}
	if err != nil || d < time.Hour || d > scanner.MaxWindow {
		return 0, inFlag("window", usage(hint, "--window %q is not a time from 1h to %dd", text,
			scanner.MaxWindow/(24*time.Hour)))
	}
	return d, nil
}
