// Package scanner decides from the images of a WorkSpace's volumes whether the
// WorkSpace may become an image.
//
// Scan opens the images read-only, finds which volume is which and what system
// is on the root volume, evaluates every requirement of that system, and
// returns one Result. Reports are made of the Result alone.
package scanner

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

// given is what the systems are told beside the volumes.
type given struct {
	ctx       context.Context
	documents []*statement.Document
	userName  string
	trail     *requirement.Trail
	now       time.Time
}

// openSystem opens the system on the root volume. It is the only place that
// chooses between systems.
func openSystem(vs *volumes, g given) (system, error) {
	var sys system
	var err error
	switch root := vs.root.fs.(type) {
	case ntfsVolume:
		sys, err = openWindows(vs, root, g)
	case linuxVolume:
		sys, err = openLinux(vs, root, g)
	}
	if err != nil {
		return nil, fail(ErrNoSystem, "", "%s: %w", vs.root.name(), err)
	}
	return sys, nil
}

// system is what a scan needs of the system on the root volume, whichever it is.
type system interface {
	Platform() (Platform, error)
	ComputerName() (string, error)
	HasUser(name string) (bool, error)
	Checks() []requirement.Check
}

// Scan judges one WorkSpace. It returns an error that is ErrUsage, ErrNoSystem
// or ErrIO where there is nothing to judge, and that of the context when it
// ends; what cannot be read of a system that was found is a finding of the
// Result, not an error.
func Scan(ctx context.Context, in Input) (*Result, error) {
	if err := in.Policy.check(); err != nil {
		return nil, err
	}
	if n := in.ParallelReads; n < 0 || n > MaxParallelReads {
		return nil, fail(ErrUsage, "", "%d reads at a time, from 1 to %d there can be", n, MaxParallelReads)
	}
	ctx, end := context.WithCancel(ctx)
	defer end() // of whatever still reads
	budget, err := in.budget()
	if err != nil {
		return nil, err
	}
	defer budget.Close()
	now := in.Now
	if now == nil {
		now = time.Now
	}
	r := &Result{Started: now().UTC()}
	trail := &requirement.Trail{Now: now}
	documents, err := parseDocuments(in.With)
	if err != nil {
		return nil, err
	}
	for _, d := range documents {
		r.With = append(r.With, d.Name)
		trail.Record("document", "name", d.Name, "kind", string(d.Kind))
	}

	volumes, err := openVolumes(ctx, in, budget, trail)
	if err != nil {
		return nil, err
	}
	defer volumes.Close()
	for _, i := range volumes.images {
		r.Images = append(r.Images, i.Name)
	}
	volumes.inUse(trail)
	_ = guard(func() error { volumes.differentMoments(r.Started, trail); return nil })
	var sys system
	err = guard(func() (err error) {
		sys, err = openSystem(volumes, given{ctx: ctx, documents: documents, userName: in.UserName, trail: trail, now: r.Started})
		return err
	})
	if errors.Is(err, errDefect) {
		err = fail(ErrNoSystem, "", "%s: %w", volumes.root.name(), err)
	}
	if err != nil {
		return nil, err
	}
	err = guard(func() (err error) {
		r.Platform, err = fact.Within(ctx, fact.Patience{Waited: volumes.reads.waited}, sys.Platform, nil)
		return err
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		// The family is certain. The rest is what the findings report as unread.
		trail.Notify(requirement.Notice{Level: requirement.LevelError, Message: "version of the system: " + err.Error(), Source: string(Root)})
	}
	r.Volumes = volumes.describe()

	svc := newService(documents, sys)
	for _, n := range svc.notices {
		trail.Notify(n)
	}
	checks := inOrder(slices.Concat(svc.checks(), practiceFacts{volumes, svc.match}.checks(), sys.Checks()))
	if r.Findings, err = evaluate(ctx, checks, trail, volumes.reads.waited, in.Progress); err != nil {
		return nil, err
	}
	volumes.infer(r.Findings)
	volumes.notifyDoubts(trail)
	volumes.trace(r)
	if w, ok := sys.(windowsSystem); ok {
		r.Hives = w.hives()
	}
	r.ImageErrors = explainImages(documents, r.Findings, sys)
	for _, e := range r.ImageErrors {
		trail.Notify(e.notice())
	}
	r.BytesRead, r.Reads = volumes.counters()
	if in.CrossCheck != nil {
		if r.CrossCheck, err = crossCheck(ctx, in, volumes, sys, r.Findings, trail); err != nil {
			return nil, err
		}
	}
	if r.Files, err = volumes.files(ctx, in.Hash, in.Progress); err != nil {
		return nil, err
	}
	r.Changed = volumes.changed(trail)
	for _, n := range r.waive(in.Policy, r.Started) {
		trail.Notify(n)
	}
	r.conclude(in.Policy)
	trail.Record("verdict", "verdict", string(r.Verdict))
	r.Notices = trail.Notices()
	r.Events, r.Dropped = trail.Events()
	r.Finished = now().UTC()
	return r, nil
}

func parseDocuments(with []Document) ([]*statement.Document, error) {
	var documents []*statement.Document
	for _, w := range with {
		d, err := statement.Parse(w.Name, w.Data)
		if err != nil {
			return nil, fail(ErrUsage, "JSON of aws workspaces describe-workspaces or describe-workspace-images, or the text of slmgr /dlv", "document %w", err)
		}
		documents = append(documents, d)
	}
	return documents, nil
}
