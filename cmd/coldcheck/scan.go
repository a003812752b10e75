package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/fleet"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules/custom"
)

func (p *program) scanCommand() *cobra.Command {
	var expected []string
	var images imageFlags
	var policy policyFlags
	var hash, staleBase, stats, dryRun bool
	var flags scanFlags
	c := &cobra.Command{
		Use:   "scan IMAGE…",
		Short: "Check the images of a WorkSpace",
		Long: `Open the images of one WorkSpace read-only and check every requirement for a custom
image. Give the images in any order: their content shows which one holds the root
volume and which one the user volume. One image may hold both. An image is an EBS
snapshot (ebs:snap-…), an S3 object (s3://BUCKET/KEY), a URL, a block device, or a file:
raw, or a container such as QCOW2, VMDK, VHDX or E01. Name only its first file. All are
read in place.`,
		Example: `coldcheck scan root.img user.img
coldcheck scan ebs:snap-0123456789abcdef0 ebs:snap-0fedcba9876543210
coldcheck scan /dev/nvme1n1 /dev/nvme2n1
coldcheck scan changes.qcow2 user.E01 --parent base.qcow2
coldcheck scan root.img user.img --with workspace.json
coldcheck scan root.img user.img -o table -o json=report.json
coldcheck scan root.img user.img --fail-on recommended
coldcheck scan ebs:snap-0123456789abcdef0 ebs:snap-0fedcba9876543210 --dry-run`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if dryRun {
				if err := p.checkDryRun(c); err != nil {
					return err
				}
			}
			in := scanner.Input{Hash: hash, StaleBase: staleBase, Rules: flags.rules.set}
			names := images.input(args, &in)
			var err error
			if err := flags.selected.apply(c, &in); err != nil {
				return err
			}
			if in.Policy, err = policy.policy(in.RuleBooks, in.Rules); err != nil {
				return err
			}
			if c.Flags().Changed("timeout") && flags.timeout <= 0 {
				return inFlag("timeout", usage("", "--timeout: a time such as 90s or 15m is required"))
			}
			if in.Expect, err = expectedSums(expected); err != nil {
				return err
			}
			if err := in.CheckExpected(); err != nil {
				return inFlag("expect-hash", err)
			}
			if err := images.check(p, names); err != nil {
				return err
			}
			if dryRun {
				return p.dryRun(c.Context(), scanner.Input{Images: in.Images, Parents: in.Parents, Root: in.Root,
					User: in.User}, flags)
			}
			if flags.crossCheck {
				if in.CrossCheck, err = startWorker(&workerImages{rawNames(names), rawNames(images.parents)}); err != nil {
					return err
				}
			}
			if err := images.documents(&in); err != nil {
				return err
			}
			p.ofMachine, p.stats = true, stats
			return p.scan(c.Context(), in, flags, slices.Concat(names, images.parents, images.with))
		},
	}
	images.declare(c, "check", "the output of 'aws workspaces describe-workspaces', "+
		"'aws workspaces describe-workspace-images', 'aws ec2 describe-snapshots' or 'slmgr /dlv'")
	c.Flags().BoolVar(&staleBase, "stale-base", false,
		"accept an image that is the base disk of another image, and lacks the changes in that one")
	hashFlag(c, &hash)
	statsFlag(c, &stats)
	dryRunFlag(c, &dryRun)
	c.Flags().DurationVar(&flags.timeout, "timeout", 0,
		"end a scan that takes longer than `TIME`, such as 90s or 15m, without a report")
	policy.declare(c)
	expectFlag(c, &expected)
	p.scanFlags(c, &flags)
	keyFlag(c, &flags.key)
	return c
}

// scanFlags are the flags that scan and demo have in common.
type scanFlags struct {
	outputs    []string
	selected   selectionFlags
	rules      ruleFlags
	crossCheck bool
	sizes      bool
	reads      parallelReads
	waivers    string
	template   string
	config     string
	key        string        // of scan
	timeout    time.Duration // of scan; 0 for none
}

// scanFlags declares the flags that scan and demo have in common.
func (p *program) scanFlags(c *cobra.Command, f *scanFlags) {
	outputFlag(c, &f.outputs)
	displayFlags(c, &p.display)
	f.selected.declare(c)
	f.rules.declare(c)
	crossCheckFlag(c, &f.crossCheck)
	sizesFlag(c, &f.sizes)
	memoryFlag(c, &p.maxMemory)
	parallelReadsFlag(c, &f.reads)
	p.noProgressFlag(c)
	waiversFlag(c, &f.waivers)
	p.examiner.declare(c)
	templateFlag(c, &f.template)
	configFlag(c, &f.config)
	c.PreRunE = func(c *cobra.Command, _ []string) error {
		if err := p.configure(c, f.config); err != nil {
			return err
		}
		if err := p.loadKey(c, f.key, f.outputs); err != nil {
			return err
		}
		if err := f.rules.load(); err != nil {
			return err
		}
		return p.loadTemplate(f.template, f.outputs) // before an image is read
	}
}

// sizesFlag declares --sizes.
func sizesFlag(c *cobra.Command, value *bool) {
	c.Flags().BoolVar(value, "sizes", false,
		"count the files that image creation removes from Linux volumes; this reads all inodes and folders")
}

// scan runs a scan and writes its reports. files are those that a report must
// not be written over.
func (p *program) scan(ctx context.Context, in scanner.Input, flags scanFlags, files []string) (err error) {
	if flags.waivers != "" {
		if in.Policy.Waivers, err = p.readWaivers(flags.waivers); err != nil {
			return inFlag("waivers", err)
		}
		files = append(files, flags.waivers)
	}
	files = append(files, flags.rules.files...)
	outputs, err := p.display.outputs(flags.outputs)
	if err != nil {
		return inFlag("output", err)
	}
	began := time.Now()
	if p.examination, err = p.examiner.examination(began, p.ofMachine); err != nil {
		return err
	}
	list := &manifest{path: p.examiner.manifest}
	more, err := list.output(outputs, began)
	if err != nil {
		return inFlag("manifest", err)
	}
	if err := p.checkOutputs(append(slices.Clone(outputs), more...), append(files, p.inputs...), began); err != nil {
		return err
	}
	for _, d := range in.With {
		p.used("document", d.Name, d.Data)
	}
	if slices.ContainsFunc(outputs, func(o output) bool { return o.format.Name == attestationFormat }) {
		in.Hash = true // the hashes say which images the result is about
	}
	in.MaxMemory, in.ParallelReads, in.Sizes = int64(p.maxMemory), int(flags.reads), flags.sizes
	in.Progress = p.progress.show
	result, err := scanWithin(ctx, in, flags.timeout)
	if err != nil {
		return err
	}
	if err := checkParts(result, append(slices.Clone(outputs), more...), began); err != nil {
		return err
	}
	if err := p.writeReports(result, outputs, list, began); err != nil {
		return err
	}
	if p.stats {
		p.showStats(result)
	}
	p.hint(p.mountHint(ctx, result))
	p.hint(p.userHint(result))
	return verdictError(result.WorstVerdict())
}

// scanWithin runs a scan that ends with fleet.ErrTimeout after some time; 0 for no bound. It
// does not wait for a scan that does not end: it may hang in a read that never ends.
func scanWithin(ctx context.Context, in scanner.Input, most time.Duration) (*scanner.Result, error) {
	if most == 0 {
		return scanner.Scan(ctx, in)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, most, fmt.Errorf("%w: more than %v", fleet.ErrTimeout, most))
	defer cancel()
	type answer struct {
		result *scanner.Result
		err    error
		panics any
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			a.panics = recover()
			answers <- a
		}()
		a.result, a.err = scanner.Scan(ctx, in)
	}()
	select {
	case a := <-answers:
		if a.panics != nil {
			panic(a.panics)
		}
		return a.result, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// maxDocument bounds a --with file, in bytes. The file of a large account has a few megabytes.
const maxDocument = 64 << 20

// readWithin reads the file that a flag names. One that is larger than limit is wrong usage.
func readWithin(name string, limit int, flag string) ([]byte, error) {
	data, err := readUpTo(name, int64(limit))
	if err == nil && len(data) > limit {
		return nil, usage("", "%s is larger than the limit of %d MiB for --%s", name, limit>>20, flag)
	}
	return data, err
}

// readUpTo reads a file. From one that is larger than limit it returns one byte more, which shows that it is.
func readUpTo(name string, limit int64) ([]byte, error) {
	f, err := openRegular(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// openRegular opens a regular file. It refuses anything else: opening a named pipe
// would wait for its writer, and a device may never end.
func openRegular(name string) (*os.File, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		const hint = "save the content to a file and name that file"
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
		"ignore findings that the waivers in `FILE` (YAML) cover when the exit code is set")
	check(c.RegisterFlagCompletionFunc("waivers", completeFiles("yaml", "yml")))
}

func (p *program) readWaivers(name string) ([]requirement.Waiver, error) {
	data, err := readUpTo(name, scanner.MaxWaivers)
	if err != nil {
		return nil, err
	}
	p.used("waivers", name, data)
	return scanner.ParseWaivers(name, data)
}

// policyFlags are the flags that change the exit code.
type policyFlags struct {
	strict bool
	accept []string
	failOn string
}

func (f *policyFlags) declare(c *cobra.Command) {
	c.Flags().BoolVar(&f.strict, "strict", false, "count checks that passed by inference as undetermined")
	c.Flags().StringSliceVar(&f.accept, "accept-undetermined", nil,
		"treat checks `ID,…` as passed if they are undetermined")
	failOnFlag(c, &f.failOn)
	check(c.RegisterFlagCompletionFunc("accept-undetermined", completeIDs(true)))
}

// failOnFlag declares --fail-on.
func failOnFlag(c *cobra.Command, value *string) {
	c.Flags().StringVar(value, "fail-on", string(scanner.FailOnWarning),
		"exit with 1 from `LEVEL` on: failed, warning, recommended (recommendations that are not met) or never")
	check(c.RegisterFlagCompletionFunc("fail-on", complete(failLevels...)))
}

var failLevels = []string{"failed", "warning", "recommended", "never"}

// policy returns what the flags ask for. books are the rule books of the scan, own the user's rules.
func (f *policyFlags) policy(books []string, own *custom.Set) (scanner.Policy, error) {
	level, err := failLevel(f.failOn)
	if err != nil {
		return scanner.Policy{}, err
	}
	accept, err := expandIDs(f.accept, books, own.IDs())
	policy := scanner.Policy{Strict: f.strict, Accept: accept, FailOn: level}
	return policy, inFlag("accept-undetermined", err)
}

// failLevel reads the value of --fail-on.
func failLevel(text string) (scanner.FailOn, error) {
	if !slices.Contains(failLevels, text) {
		hint := didYouMean(text, failLevels, "--fail-on ", "the levels are "+strings.Join(failLevels, ", "))
		return "", inFlag("fail-on", usage(hint, "unknown level %q for --fail-on", text))
	}
	return scanner.FailOn(text), nil
}
