// Package scanner checks from disk images, without booting them, whether you
// can create a custom image from an Amazon WorkSpace:
//
//	r, err := scanner.Scan(ctx, scanner.Input{
//		Images: []scanner.Source{scanner.File("root.img"), scanner.File("user.img")},
//	})
//	if err != nil {
//		return err // no scan was possible
//	}
//	fmt.Println(r.Verdict) // ready, not_ready or inconclusive
//	for _, f := range r.Findings {
//		fmt.Println(f.Status, f.ID, f.Message)
//	}
//
// The order of the images does not matter, and Scan never writes to them. It
// opens the images, identifies the volumes and the system on the root volume,
// checks every requirement on that system, adds the offsets of the evidence,
// and returns a verdict. If something cannot be read, the finding is
// undetermined; it never passes.
//
// Package report writes reports from a Result. Catalogue lists the requirements
// without a scan. Several scans may run at the same time.
package scanner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules/custom"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

// Scan checks one WorkSpace. If it cannot start or finds no system, the error
// is ErrUsage, ErrNoSystem or ErrIO; when the context ends, it is the context's
// cause. If part of the system cannot be read, the findings that need it are
// undetermined. But if a read of a remote image fails for good, the scan ends with
// an ErrIO, which is ErrPassing too if a later scan may succeed.
func Scan(ctx context.Context, in Input) (r *Result, err error) {
	err = examine(ctx, in, func(ctx context.Context, in Input, o *opened, m machine) error {
		a, err := o.findings(ctx, in, m)
		if err != nil {
			return err
		}
		r = o.conclude(in.Policy, in.Rules, m, a)
		return nil
	})
	return r, err
}

// examine opens the images and calls f with the machine on them. The errors are those of
// Scan, or of f.
func examine(
	ctx context.Context, in Input, f func(ctx context.Context, in Input, o *opened, m machine) error,
) error {
	if err := in.check(); err != nil {
		return err
	}
	var endProgress func()
	in.progress, endProgress = newProgress(in.Progress, everyInterval)
	defer endProgress()
	ctx, end := context.WithCancel(ctx)
	defer end() // of whatever still reads
	o, err := open(ctx, in)
	if err != nil {
		return err
	}
	defer o.Close()
	m, err := o.identify(ctx, in)
	if err = o.volumes.unlessFailed(ctx, err); err != nil {
		return err
	}
	return f(ctx, in, o, m)
}

// findings judges the machine and completes the findings.
func (o *opened) findings(ctx context.Context, in Input, m machine) (a annotated, err error) {
	j, err := o.judge(ctx, in, m)
	if err = o.volumes.unlessFailed(ctx, err); err != nil {
		return a, err
	}
	a, err = o.annotate(ctx, in, m, j)
	return a, o.volumes.unlessFailed(ctx, err)
}

// opened is what a scan reads from, with what the scan records of it.
type opened struct {
	now       func() time.Time
	started   time.Time
	trail     *requirement.Trail
	budget    *memory.Budget
	books     []book
	documents []*statement.Document
	volumes   *volumes
}

// open reads the documents and opens the images and the filesystems on them.
func open(ctx context.Context, in Input) (*opened, error) {
	now := in.Now
	if now == nil {
		now = time.Now
	}
	o := &opened{now: now, started: now().UTC(), trail: &requirement.Trail{Now: now, Log: in.Log}, budget: in.budget()}
	err := o.read(ctx, in)
	if err != nil {
		o.Close()
		return nil, err
	}
	return o, nil
}

func (o *opened) read(ctx context.Context, in Input) (err error) {
	if o.books, err = in.ruleBooks(); err != nil {
		return err
	}
	if o.documents, err = parseDocuments(in.With); err != nil {
		return err
	}
	for _, d := range o.documents {
		o.trail.Record("document", "name", d.Name, "kind", string(d.Kind))
	}
	if o.volumes, err = openVolumes(ctx, in, o.budget, o.trail); err != nil {
		return err
	}
	return o.volumes.verify(ctx, in, o.trail)
}

// Close closes the images and gives the memory back.
func (o *opened) Close() error {
	defer o.budget.Close()
	if o.volumes == nil {
		return nil
	}
	return o.volumes.Close()
}

// machine is what the images are of.
type machine struct {
	system
	platform Platform
	volumes  []Volume // in the order of the images
	stale    []string // images that are outdated base disks
	unread   []string // disks in archives that cannot be read
}

// identify finds which volume is which, and which system is on the root volume.
func (o *opened) identify(ctx context.Context, in Input) (m machine, err error) {
	m.unread = o.volumes.unreadDisks(o.trail)
	o.volumes.single = o.books[0].WithoutUser
	if err := o.volumes.assign(ctx, in); err != nil {
		for _, other := range m.unread { // it may be what is missing
			err = fmt.Errorf("%w; %s", err, other)
		}
		return m, err
	}
	o.volumes.notify(o.trail)
	o.volumes.inUse(o.trail)
	o.volumes.unencrypted(o.trail)
	if m.stale, err = o.volumes.staleBases(ctx, in, o.trail); err != nil {
		return m, err
	}
	_ = guard(func() error { o.volumes.differentMoments(o.started, o.trail); return nil })
	err = guard(func() (err error) {
		g := inputs{ctx: ctx, documents: o.documents, userName: in.UserName, sizes: in.Sizes, trail: o.trail,
			now: o.started}
		m.system, err = openSystem(o.volumes, g)
		return err
	})
	if errors.Is(err, errDefect) {
		err = fail(ErrNoSystem, "", "%s: %w", o.volumes.root.name(), err)
	}
	if err != nil {
		return m, err
	}
	err = guard(func() (err error) {
		m.platform, err = fact.Within(ctx, fact.Patience{Waited: o.volumes.reads.waited}, m.Platform, nil)
		return err
	})
	if ctx.Err() != nil {
		return m, context.Cause(ctx)
	}
	if err != nil {
		// The family is certain. The rest is what the findings report as unread.
		o.trail.Notify(requirement.Notice{
			Level: requirement.LevelError, Message: "The version of the system is unknown: " + err.Error(), Source: string(Root),
		})
	}
	m.volumes = o.volumes.describe()
	return m, nil
}

// judged holds what each rule book says of the machine: a finding for each
// requirement on it that was not left out. The evidence in them belongs to the
// facts.
type judged []Judgement

func (o *opened) judge(ctx context.Context, in Input, m machine) (j judged, err error) {
	service := newService(o.documents, m)
	for _, n := range service.notices {
		o.trail.Notify(n)
	}
	shared := &remembered{outcomes: map[string]requirement.Outcome{}}
	own := newFactSource(o.volumes, m.system, service).checks(in.Rules, requirement.Platform(m.platform.Family), o.started)
	for _, b := range o.books {
		practices := practiceFacts{volumes: o.volumes, match: service.match}
		checks := slices.Concat(inOrder(b.rules, slices.Concat(
			service.checks(b.rules), practices.checks(b.rules), m.Checks(b.rules))), own)
		if len(o.books) > 1 { // before bind, which does not decide alike for each rule book
			shared.share(checks)
		}
		n := len(checks) - len(own)
		checks = slices.Concat(b.bind(checks[:n], m, requirement.Platform(m.platform.Family)), checks[n:])
		one := Judgement{RuleBook: b.name()}
		checks, one.NotChecked = in.split(checks)
		if one.Findings, err = evaluate(ctx, checks, o.trail, o.volumes.reads.waited, in.progress); err != nil {
			return nil, err
		}
		j = append(j, one)
	}
	if k, err := m.kind(); err == nil && len(in.RuleBooks) == 0 {
		if n, ok := o.books[0].unnamed(k); ok {
			o.trail.Notify(n)
		}
	}
	return j, nil
}

// inOrder sorts checks as the rule book has their rules.
func inOrder(rules []requirement.Rule, checks []requirement.Check) []requirement.Check {
	place := map[string]int{}
	for i, r := range rules {
		place[r.ID] = i
	}
	slices.SortStableFunc(checks, func(a, b requirement.Check) int { return cmp.Compare(place[a.ID], place[b.ID]) })
	return checks
}

// annotated is what is known once everything is judged.
type annotated struct {
	judged      judged
	volumes     []Volume
	hives       []Hive
	lastStart   time.Time
	cleanStop   time.Time
	imageErrors []ImageError
	crossCheck  *CrossCheck
	files       []ImageFile
	changed     []string
	unverified  []string
	readings    []Reading // of the images, to judge
}

// annotate says of the findings where their evidence is and how certain they
// are, and of the images what was read of them and what became of them.
func (o *opened) annotate(
	ctx context.Context, in Input, m machine, j judged,
) (a annotated, err error) {
	var findings []requirement.Finding // of all rule books
	for _, one := range j {
		findings = append(findings, one.Findings...)
	}
	for i := range findings {
		findings[i].Evidence = slices.Clone(findings[i].Evidence) // facts share theirs
	}
	o.volumes.infer(findings)
	o.volumes.notifyDoubts(o.trail)
	a.volumes = slices.Clone(m.volumes)
	o.volumes.trace(a.volumes, findings)
	if w, ok := m.system.(windowsSystem); ok {
		a.hives = w.hives()
		_ = guard(func() error { a.lastStart, a.cleanStop = w.lastRun(); return nil })
	}
	var left []NotChecked
	for _, one := range j {
		left = append(left, one.NotChecked...)
	}
	more := &onDemand{o: o, m: m, known: map[string]*requirement.Finding{}}
	if a.imageErrors, err = explainImages(ctx, o.documents, findings, left, m.system, more); err != nil {
		return a, err
	}
	for _, e := range a.imageErrors {
		o.trail.Notify(e.notice())
	}
	a.readings = o.volumes.readings()
	if in.CrossCheck != nil {
		if a.crossCheck, err = crossCheck(ctx, in, o.volumes, m.system, findings, o.trail); err != nil {
			return a, err
		}
	}
	a.judged = slices.Clone(j)
	for i := range a.judged {
		n := len(a.judged[i].Findings)
		a.judged[i].Findings, findings = findings[:n:n], findings[n:]
	}
	o.volumes.describeSnapshots(o.documents, o.trail)
	if a.files, a.unverified, err = o.volumes.files(ctx, in, o.trail); err != nil {
		return a, err
	}
	o.volumes.notifyLate(o.trail)
	a.changed = o.volumes.changed(o.trail)
	if err := o.volumes.matchReadSets(in, a.files, o.trail); err != nil {
		return a, err
	}
	o.volumes.traffic(a.readings)
	return a, nil
}

// conclude applies the waivers and the policy.
func (o *opened) conclude(p Policy, rules *custom.Set, m machine, a annotated) *Result {
	r := &Result{
		Started: o.started, Files: a.files, Hives: a.hives,
		LastStart: a.lastStart, CleanStop: a.cleanStop,
		Platform: m.platform, Volumes: a.volumes, ImageErrors: a.imageErrors, Changed: a.changed,
		StaleBases: m.stale, Unverified: a.unverified, UnreadDisks: m.unread, CrossCheck: a.crossCheck,
	}
	for n := range a.readings {
		r.BytesRead, r.Reads = r.BytesRead+a.readings[n].Bytes, r.Reads+a.readings[n].Reads
		r.Files[n].Reading = &a.readings[n]
	}
	for _, d := range o.documents {
		r.With = append(r.With, d.Name)
	}
	for _, i := range o.volumes.images {
		r.Images = append(r.Images, i.Name)
	}
	if rules != nil {
		r.Rules = rules.Files
	}
	o.decide(r, p, a.judged)
	r.Notices = o.trail.Notices()
	r.Events, r.Dropped = o.trail.Events()
	r.Finished = o.now().UTC()
	return r
}

// decide concludes what each rule book says. A waiver that one of them uses is used.
func (o *opened) decide(r *Result, p Policy, list judged) {
	var unused []unusedWaiver // under the first rule book
	used := map[string]bool{}
	for i := range list {
		r.adopt(list[i])
		notices := r.waive(o.books, p, o.started)
		if i == 0 {
			unused = notices
		}
		for _, f := range r.Findings {
			if f.Waiver != nil {
				used[f.Waiver.Source] = true
			}
		}
		r.conclude(p)
		o.trail.Record("verdict", "verdict", string(r.Verdict))
		list[i] = r.judgement()
	}
	r.adopt(list[0])
	r.Others = list[1:]
	for _, u := range unused {
		if !used[u.source] {
			o.trail.Notify(u.Notice)
		}
	}
}

func parseDocuments(with []Document) ([]*statement.Document, error) {
	var documents []*statement.Document
	for _, w := range with {
		d, err := statement.Parse(w.Name, w.Data)
		if err != nil {
			const hint = "give the JSON output of aws workspaces describe-workspaces or describe-workspace-images or of " +
				"aws ec2 describe-snapshots, the JSON input of aws workspaces import-workspace-image, or the text output of " +
				"slmgr /dlv"
			return nil, fail(ErrUsage, hint, "document %w", err)
		}
		documents = append(documents, d)
	}
	return documents, nil
}
