package main

import (
	"context"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func (p *program) scanCommand() *cobra.Command {
	var outputs, with []string
	var root, user, userName, waivers string
	var policy policyFlags
	var crossCheck, hash bool
	var reads parallelReads
	c := &cobra.Command{
		Use:   "scan IMAGE…",
		Short: "Decide every requirement from the images of a WorkSpace",
		Long: `Open the images of one WorkSpace read-only, in any order, and decide every
requirement for making a custom image of it. Which image holds the root and which
the user volume is found from their content; one image of a whole disk may hold both.

It ends with 0 if the WorkSpace is ready, 1 if it is not, 3 if that cannot be said.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			in := scanner.Input{UserName: userName, Hash: hash, Policy: policy.policy(), ParallelReads: int(reads)}
			names := slices.Clone(args)
			for _, a := range args {
				in.Images = append(in.Images, scanner.File(a))
			}
			for _, forced := range []struct {
				name   string
				source **scanner.Source
			}{{root, &in.Root}, {user, &in.User}} {
				if forced.name != "" {
					source := scanner.File(forced.name)
					*forced.source = &source
					names = append(names, forced.name)
				}
			}
			if crossCheck {
				var err error
				if in.CrossCheck, err = startWorker(append([]string{"--"}, names...)...); err != nil {
					return err
				}
			}
			for _, name := range with {
				data, err := readDocument(name)
				if err != nil {
					return err
				}
				in.With = append(in.With, scanner.Document{Name: name, Data: data})
			}
			names = append(names, with...)
			if waivers != "" {
				var err error
				if in.Policy.Waivers, err = readWaivers(waivers); err != nil {
					return err
				}
				names = append(names, waivers)
			}
			return p.scan(c.Context(), in, outputs, names)
		},
	}
	c.Flags().StringVar(&root, "root", "", "`IMAGE` holds the root volume, whatever its content says")
	c.Flags().StringVar(&user, "user", "", "`IMAGE` holds the user volume, whatever its content says")
	c.Flags().StringVar(&userName, "user-name", "", "judge the profile of the user `NAME`")
	c.Flags().StringArrayVar(&with, "with", nil,
		"use `FILE` from outside the disk, repeatable: the output of 'aws workspaces describe-workspaces', "+
			"of 'aws workspaces describe-workspace-images' or of 'slmgr /dlv'")
	outputFlag(c, &outputs)
	crossCheckFlag(c, &crossCheck)
	hashFlag(c, &hash)
	memoryFlag(c, &p.maxMemory)
	parallelReadsFlag(c, &reads)
	waiversFlag(c, &waivers)
	policy.declare(c)
	return c
}

// scan runs a scan and writes its reports. files are those that a report must
// not be written over.
func (p *program) scan(ctx context.Context, in scanner.Input, outputValues, files []string) error {
	outputs, err := parseOutputs(outputValues)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := p.checkOutputs(outputs, files, began); err != nil {
		return err
	}
	in.MaxMemory = int64(p.maxMemory)
	in.Progress = func(s scanner.Progress) { p.progress.show(s.Step, s.Done, s.Total) }
	result, err := scanner.Scan(ctx, in)
	if err != nil {
		return err
	}
	if err := p.writeReports(result, outputs, began); err != nil {
		return err
	}
	return verdictError(result.PolicyVerdict)
}

// maxDocument bounds a --with file: that of a large account has a few megabytes.
const maxDocument = 64 << 20

func readDocument(name string) ([]byte, error) {
	data, err := readUpTo(name, maxDocument)
	if err == nil && len(data) > maxDocument {
		return nil, usage("", "%s is larger than %d MiB and so no document of a WorkSpace", name, maxDocument>>20)
	}
	return data, err
}

// readUpTo reads a file, or of one that is larger than limit a byte more.
func readUpTo(name string, limit int64) ([]byte, error) {
	f, err := openRegular(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// openRegular opens a file that a person named. It refuses what is none: opening
// a named pipe would wait for its writer, and a device may never end.
func openRegular(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		const hint = "save the content to a file, and name that"
		return nil, usage(hint, "%s: %s, not a regular file", name, kindOf(info.Mode()))
	}
	return os.Open(name)
}

// kindOf names what is not a regular file.
func kindOf(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a folder"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	case mode&fs.ModeDevice != 0:
		return "a device"
	}
	return "something else"
}

// waiversFlag declares --waivers.
func waiversFlag(c *cobra.Command, name *string) {
	c.Flags().StringVar(name, "waivers", "",
		"findings that the waivers in `FILE` (YAML) cover do not count for the exit code")
	check(c.RegisterFlagCompletionFunc("waivers", completeFiles("yaml", "yml")))
}

func readWaivers(name string) ([]requirement.Waiver, error) {
	data, err := readUpTo(name, scanner.MaxWaivers)
	if err != nil {
		return nil, err
	}
	return scanner.ParseWaivers(name, data)
}

// policyFlags are the flags that change the exit code.
type policyFlags struct {
	strict bool
	accept []string
	failOn string
}

func (f *policyFlags) declare(c *cobra.Command) {
	c.Flags().BoolVar(&f.strict, "strict", false, "count what passed by inference as undetermined")
	c.Flags().StringSliceVar(&f.accept, "accept-undetermined", nil,
		"where `ID,…` are undetermined, count them as passed")
	c.Flags().StringVar(&f.failOn, "fail-on", string(scanner.FailOnWarning),
		"end with 1 on `LEVEL`: failed, warning, recommended (their warnings too) or never")
	check(c.RegisterFlagCompletionFunc("accept-undetermined", completeIDs(true)))
	check(c.RegisterFlagCompletionFunc("fail-on", complete("failed", "warning", "recommended", "never")))
}

func (f *policyFlags) policy() scanner.Policy {
	return scanner.Policy{Strict: f.strict, Accept: f.accept, FailOn: scanner.FailOn(f.failOn)}
}
