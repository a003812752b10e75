package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/internal/buildinfo"
	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/fleet"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// fleetRunFlags are the flags of fleet run.
type fleetRunFlags struct {
	results  string
	reuse    string
	shard    string
	shards   int
	jobs     int
	timeout  time.Duration
	ebsRate  float64
	again    againValue
	policy   policyFlags
	selected selectionFlags
	rules    ruleFlags
	hash     bool
	sizes    bool
	reads    parallelReads
	waivers  string
	config   string
}

// defaultTimeout is how long the scan of a target may take.
const defaultTimeout = 15 * time.Minute

func (p *program) fleetRunCommand() *cobra.Command {
	var flags fleetRunFlags
	c := &cobra.Command{
		Use:   "run TARGETS",
		Short: "Scan the targets of a list, and write a record for each",
		Long: `Scan the targets of a list, or a shard of them, and write a record for each. TARGETS is
a file, an S3 object (s3://BUCKET/KEY) or '-' for standard input, as JSON lines or CSV.
A target that has a record is not scanned again, so the same command continues where
another run ended. A target that cannot be scanned has a record with the reason. If the
reason may pass, it has none, and the exit code is 75.`,
		Example: `coldcheck fleet run targets.csv --results results
coldcheck fleet run targets.jsonl --results s3://bucket/2026-11 --shard 0/12
coldcheck fleet run s3://bucket/targets.jsonl --results s3://bucket/2026-11 --shards 12
coldcheck fleet run targets.csv --results results --again=errors
coldcheck fleet run targets.jsonl --results s3://bucket/2026-12 --reuse s3://bucket/2026-11`,
		Args: arguments(1, 1),
		PreRunE: func(c *cobra.Command, _ []string) error {
			if err := p.configure(c, flags.config); err != nil {
				return err
			}
			return flags.rules.load()
		},
		RunE: func(c *cobra.Command, args []string) error {
			return p.fleetRun(c, args[0], flags)
		},
	}
	f := c.Flags()
	f.StringVar(&flags.results, "results", "", "write the records to `DEST`, a folder or s3://BUCKET/PREFIX")
	f.StringVar(&flags.reuse, "reuse", "",
		"take the verdict of the record in `DEST` if its images have not changed: the same snapshot, version, ETag or "+
			"SHA-256 (--hash), or a later snapshot without changes where it was read")
	f.StringVar(&flags.shard, "shard", "",
		"scan shard `I/N`: the targets I, I+N, I+2N and so on, counted from 0 (default: that of the array job, else all)")
	f.IntVar(&flags.shards, "shards", 0, "expect `N` shards, of which JOB_COMPLETION_INDEX (Kubernetes) selects one")
	f.IntVar(&flags.jobs, "jobs", 0,
		"run `N` scans at a time (default: the number of processors, with at least "+
			memorySize(leastShare).String()+" of memory each)")
	f.DurationVar(&flags.timeout, "timeout", defaultTimeout,
		"end a scan after `TIME`, such as 90s or 15m; the target then has no record")
	f.Float64Var(&flags.ebsRate, "ebs-rate", 0, "send at most `N` requests a second to EBS")
	f.Var(&flags.again, "again",
		"scan targets again that have a record, and replace it: `WHICH` is all, or errors for those with an error")
	f.Lookup("again").NoOptDefVal = againAll
	check(c.RegisterFlagCompletionFunc("again", complete(againAll, string(fleet.AgainErrors))))
	flags.policy.declare(c)
	flags.selected.declare(c)
	flags.rules.declare(c)
	hashFlag(c, &flags.hash)
	sizesFlag(c, &flags.sizes)
	memoryFlag(c, &p.maxMemory)
	parallelReadsFlag(c, &flags.reads)
	p.noProgressFlag(c)
	waiversFlag(c, &flags.waivers)
	configFlag(c, &flags.config)
	return c
}

// againAll is the value of --again without one.
const againAll = "all"

// againValue is the value of --again.
type againValue struct{ fleet.Again }

func (a *againValue) Set(text string) error {
	switch text {
	case againAll:
		a.Again = fleet.AgainAll
	case string(fleet.AgainErrors):
		a.Again = fleet.AgainErrors
	default:
		return fmt.Errorf("it is %s or %s", againAll, fleet.AgainErrors)
	}
	return nil
}

func (a *againValue) String() string { return string(a.Again) }
func (a *againValue) Type() string   { return "string" }

// leastShare is how much of the memory each scan has unless --jobs asks for more scans.
const leastShare = 256 << 20

// share returns how many scans run at a time, and the memory of each. jobs is 0 for the
// default.
func share(jobs int, processors int, limit int64) (n int, each int64, err error) {
	n = jobs
	if n == 0 {
		n = int(max(1, min(int64(processors), limit/leastShare)))
	}
	if each = limit / int64(n); each < memory.Least {
		least := memorySize(memory.Least)
		hint := "set --max-memory to at least " + memorySize(int64(n)*memory.Least).String() + ", or --jobs to at most " +
			strconv.FormatInt(max(limit/memory.Least, 1), 10)
		return 0, 0, usage(hint, "%s share %s: each needs at least %s", prose.Count(n, "scan", "scans"), memorySize(limit),
			least)
	}
	return n, each, nil
}

// check returns the shard and the scans that the flags ask for.
func (f *fleetRunFlags) check(c *cobra.Command) (shard fleet.Shard, err error) {
	changed := c.Flags().Changed
	switch {
	case f.results == "":
		return shard, usage("name a folder or s3://BUCKET/PREFIX", "%s needs --results DEST", c.CommandPath())
	case changed("jobs") && f.jobs < 1:
		return shard, inFlag("jobs", usage("", "--jobs: a number from 1 on is required"))
	case changed("shards") && f.shards < 1:
		return shard, inFlag("shards", usage("", "--shards: a number from 1 on is required"))
	case f.timeout <= 0:
		return shard, inFlag("timeout", usage("", "--timeout: a time such as 90s or 15m is required"))
	case changed("ebs-rate") && (f.ebsRate <= 0 || f.ebsRate > 1e6):
		return shard, inFlag("ebs-rate", usage("", "--ebs-rate: a number above 0 is required"))
	case f.shard != "" && f.shards > 0:
		return shard, usage("leave out one of the two", "--shard and --shards are both set")
	case f.shard != "":
		if shard, err = fleet.ParseShard(f.shard); err != nil {
			return shard, inFlag("shard", usage("", "--shard: %w", err))
		}
		return shard, nil
	}
	if shard, err = fleet.EnvironmentShard(os.LookupEnv, f.shards); err != nil {
		return shard, usage("name the shard: --shard I/N; for a Kubernetes Job, set --shards to its completions", "%w", err)
	}
	return shard, nil
}

// fleetRun checks everything before the first scan.
func (p *program) fleetRun(c *cobra.Command, list string, flags fleetRunFlags) error {
	ctx := c.Context()
	shard, err := flags.check(c)
	if err != nil {
		return err
	}
	jobs, each, err := share(flags.jobs, runtime.GOMAXPROCS(0), int64(p.maxMemory))
	if err != nil {
		return inFlag("jobs", err)
	}
	in := scanner.Input{Hash: flags.hash, Sizes: flags.sizes, ParallelReads: int(flags.reads), MaxMemory: each,
		Rules: flags.rules.set}
	if err := flags.selected.apply(c, &in); err != nil {
		return err
	}
	if len(in.RuleBooks) > 1 {
		return inFlag("rulebook", usage("run the fleet once for each, with other --results", "a fleet has one rule book"))
	}
	if in.Policy, err = flags.policy.policy(in.RuleBooks, in.Rules); err != nil {
		return err
	}
	if flags.waivers != "" {
		if in.Policy.Waivers, err = p.readWaivers(flags.waivers); err != nil {
			return inFlag("waivers", err)
		}
	}
	rate := source.NewRate(flags.ebsRate)
	shared, end := source.Options{EBSRate: rate}.Shared(jobs * scanner.MaxParallelReads)
	defer end()
	in.Remote = shared
	targets, err := p.readTargets(ctx, list, shared, shard)
	if err != nil {
		return err
	}
	defer memory.Hold(int64(len(targets)) * targetSize).Close()
	debug.FreeOSMemory() // what reading the list took
	store, err := openRecords(ctx, flags.results, shared)
	if err != nil {
		return err
	}
	defer store.Close()
	var reuse *fleet.Reuse
	if flags.reuse != "" {
		earlier, err := openRecords(ctx, flags.reuse, shared)
		if err != nil {
			return inFlag("reuse", err)
		}
		defer earlier.Close()
		reuse = &fleet.Reuse{Store: earlier}
	}
	if err := store.Probe(ctx); err != nil {
		return problem{fmt.Errorf("cannot write records: %w", err), errFile, hintOf(err)}
	}
	build, err := buildIdentity(buildinfo.Read())
	if err != nil {
		return err
	}
	options := p.reportOptions()
	o := fleet.Options{
		Reuse: reuse, Settings: verdictSettings(in, build),
		Input: in, Version: options.Version, Jobs: jobs, Again: flags.again.Again, Timeout: flags.timeout,
		Encode: func(r *scanner.Result) (text []byte, exit int, err error) {
			var b bytes.Buffer
			err = report.JSON(&b, r, options)
			return b.Bytes(), verdictExit(r.WorstVerdict()), err
		},
	}
	return p.runTargets(ctx, targets, shard, store, rate, o)
}

// buildIdentity tells builds apart that have the same version: a build without a history, or
// of files that were changed, is known by the size and the checksum of the program. The
// checksum only has to be fast: who can change the program needs no other verdicts.
func buildIdentity(b buildinfo.Info) (string, error) {
	if b.Version != buildinfo.Unknown && (b.Modified == nil || !*b.Modified) {
		return b.Commit, nil
	}
	name, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	size, err := io.Copy(h, f)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%08x of %d bytes", h.Sum32(), size), nil
}

// verdictSettings are what decides a verdict besides the target and the version.
func verdictSettings(in scanner.Input, commit string) string {
	var rules []string
	if in.Rules != nil {
		for _, f := range in.Rules.Files {
			rules = append(rules, f.SHA256)
		}
	}
	text, err := json.Marshal(struct {
		Commit      string
		Policy      scanner.Policy
		RuleBooks   []string
		Only, Skip  []string
		Hash, Sizes bool
		Rules       []string `json:",omitempty"` // SHA-256 of each file
	}{commit, in.Policy, in.RuleBooks, in.Only, in.Skip, in.Hash, in.Sizes, rules})
	check(err)
	return string(text)
}

// openRecords opens the place of records.
func openRecords(ctx context.Context, name string, o source.Options) (fleet.Store, error) {
	store, err := fleet.OpenStore(ctx, name, fleet.StoreOptions{Source: o})
	if errors.Is(err, fs.ErrInvalid) {
		return nil, usage("records are written to a folder or to s3://BUCKET/PREFIX", "%w", err)
	}
	return store, err
}

// targetSize is about how much memory a target takes, in bytes.
const targetSize = 1 << 10

// readTargets reads a shard of a list of targets, "-" from standard input. It writes every
// mistake in the list to standard error.
func (p *program) readTargets(
	ctx context.Context, name string, o source.Options, shard fleet.Shard,
) (list []fleet.Target, err error) {
	switch {
	case name == "-":
		list, err = fleet.ReadShard("standard input", os.Stdin, shard)
	case source.IsRemote(name) && source.CheckName(name) != nil:
		return nil, usage("", "%w", source.CheckName(name))
	default:
		list, err = fleet.OpenShard(ctx, name, o, shard)
	}
	var mistakes *fleet.ListError
	if !errors.As(err, &mistakes) {
		return list, err
	}
	for _, m := range mistakes.Problems {
		p.notice("%s: %s", mistakes.Name, m)
	}
	n := len(mistakes.Problems) + mistakes.More
	return nil, usage("correct the list; nothing was scanned", "%s: %s", mistakes.Name,
		prose.Count(n, "mistake", "mistakes"))
}

// mostNotices bounds the notices about targets without a record.
const mostNotices = 100

// runTargets runs the scans, and says what became of them.
func (p *program) runTargets(
	ctx context.Context, targets []fleet.Target, shard fleet.Shard, store fleet.Store, rate *source.Rate, o fleet.Options,
) error {
	progress, stop := p.fleetProgress(len(targets))
	notices := 0
	o.Done = func(outcome fleet.Outcome, s fleet.Summary) {
		progress(s)
		if outcome.Err == nil {
			return
		}
		if notices++; notices <= mostNotices {
			p.notice("%s has no record: %v", outcome.ID, outcome.Err)
		}
	}
	s, err := fleet.Run(ctx, targets, store, o)
	stop()
	if notices > mostNotices {
		p.notice("%s more have no record", strconv.Itoa(notices-mostNotices))
	}
	p.notice("%s", summaryText(s, shard))
	if n := rate.Throttled(); n > 0 {
		p.notice("EBS throttled %d of %s", n, prose.Count(rate.Sent(), "request", "requests"))
	}
	switch {
	case err != nil:
		return err
	case s.Pending > 0:
		return problem{fmt.Errorf("%s no record, and may have one next time", prose.Count(s.Pending, "target has",
			"targets have")), scanner.ErrPassing, "run the same command again: it scans only these"}
	}
	return nil
}

// summaryText is what became of the targets, in a line.
func summaryText(s fleet.Summary, shard fleet.Shard) string {
	text := prose.Count(s.Targets, "target", "targets")
	if shard.Of > 1 {
		text += " in shard " + shard.String()
	}
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(s.Had, "had a record before")
	add(s.Verdicts[scanner.Ready], "ready")
	add(s.Verdicts[scanner.NotReady], "not ready")
	add(s.Verdicts[scanner.Inconclusive], "inconclusive")
	for _, k := range fleet.ErrorKinds {
		add(s.Errors[k], "not scanned ("+strings.ReplaceAll(string(k), "_", " ")+")")
	}
	add(s.Targets-s.Done()+s.Pending, "without a record")
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	if s.Reused > 0 {
		text += "; " + prose.Count(s.Reused, "verdict is", "verdicts are") + " reused"
	}
	return text
}

// unitTargets is the unit of the progress of a fleet.
const unitTargets scanner.Unit = "targets"

// fleetProgress shows how many targets are done, also while none is. Targets that had a
// record before do not count, so that the time left is that of the scans. Call stop at the
// end.
func (p *program) fleetProgress(targets int) (show func(fleet.Summary), stop func()) {
	var last atomic.Pointer[scanner.Progress]
	show = func(s fleet.Summary) {
		p.progress.fail(s.Failed() + s.Pending)
		last.Store(&scanner.Progress{Step: "scanning", Unit: unitTargets, Done: int64(s.Done() - s.Had),
			Total: int64(s.Targets - s.Had)})
	}
	show(fleet.Summary{Targets: targets})
	ended := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			p.progress.show(*last.Load())
			select {
			case <-ended:
				return
			case <-tick.C:
			}
		}
	})
	return show, func() {
		close(ended)
		ticking.Wait()
	}
}
