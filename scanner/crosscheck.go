package scanner

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/crosscheck"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// CrossCheck counts the pieces of evidence of all findings by the result of the
// cross-check.
type CrossCheck struct {
	Pieces    int
	Confirmed int // the other parser read the same data
	Differ    int
	Failed    int // the other parser could not read it, or exited
	NotAsked  int // from documents, from logs that the other parser does not apply, or of a kind that it does not read
}

// crossCheck has other parsers read the evidence of all findings again, and
// says in the evidence what came of it. It changes nothing else of a finding.
// The error is that of the context.
func crossCheck(
	ctx context.Context, in Input, vs *volumes, sys system, findings []requirement.Finding, trail *requirement.Trail,
) (*CrossCheck, error) {
	x := &crossChecker{volumes: vs, known: map[crosscheck.Question]reread{}}
	x.hives, _ = sys.(hiveFinder)

	var pieces []piece
	var checks []crosscheck.Check
	for i := range findings {
		for j := range findings[i].Evidence {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			p := x.piece(&findings[i].Evidence[j])
			p.first = len(checks)
			checks = append(checks, p.checks...)
			pieces = append(pieces, p)
		}
	}
	progress := func(done int) {
		in.progress.show(Progress{Step: "reading the evidence again", Unit: UnitEvidence, Done: int64(done),
			Total: int64(len(checks))})
	}
	answers, err := crosscheck.Run(ctx, in.CrossCheck, crosscheck.DefaultLimits, checks, progress)
	if err != nil {
		return nil, err
	}
	count := &CrossCheck{Pieces: len(pieces)}
	n := &disagreements{}
	for _, p := range pieces {
		p.conclude(answers[p.first:p.first+len(p.checks)], count, n)
	}
	n.notify(trail)
	return count, nil
}

// piece is a piece of evidence, with the questions that settle it.
type piece struct {
	*requirement.Evidence
	checks []crosscheck.Check
	first  int    // the place of checks among all
	stale  string // why what the other parser reads may be older, "" if it may not
	beyond string // why there is no question
}

// conclude writes into the evidence what came of its questions.
func (p piece) conclude(answers []crosscheck.Answer, count *CrossCheck, n *disagreements) {
	state, reason := crosscheck.Agrees, ""
	for _, a := range answers {
		if a.State != crosscheck.Agrees && state != crosscheck.Differs {
			state, reason = a.State, a.Reason
		}
	}
	switch {
	case p.beyond != "":
		count.NotAsked++
		p.CrossCheck = requirement.CrossCheck{State: requirement.CrossNotAsked, Reason: p.beyond}
	case state == crosscheck.Differs && p.stale != "":
		count.NotAsked++
		p.CrossCheck = requirement.CrossCheck{State: requirement.CrossNotAsked, Reason: p.stale}
	case state == crosscheck.Differs:
		count.Differ++
		p.CrossCheck = requirement.CrossCheck{State: requirement.CrossDiffers, Reason: reason}
		n.differ(*p.Evidence, reason)
	case state == crosscheck.Failed:
		count.Failed++
		p.CrossCheck = requirement.CrossCheck{State: requirement.CrossFailed, Reason: reason}
		n.fail(*p.Evidence, reason)
	default:
		count.Confirmed++
		p.CrossCheck = requirement.CrossCheck{
			State:   requirement.CrossConfirmed,
			Readers: strings.Join(p.checks[0].Readers(), ", "),
		}
	}
}

// disagreements collects what becomes notices: a difference each, and failures
// by their reasons.
type disagreements struct {
	differences []requirement.Notice
	failures    map[string][]requirement.Evidence
}

func (n *disagreements) differ(ev requirement.Evidence, reason string) {
	thing := ev.Path
	for _, part := range []string{ev.Key, ev.Value} {
		if part != "" {
			thing += " " + part
		}
	}
	notice := requirement.Notice{
		Level: requirement.LevelWarning, Source: ev.Source, Path: ev.Path,
		Message: "Cross-check: " + thing + ": " + reason,
	}
	if !slices.Contains(n.differences, notice) {
		n.differences = append(n.differences, notice)
	}
}

func (n *disagreements) fail(ev requirement.Evidence, reason string) {
	if n.failures == nil {
		n.failures = map[string][]requirement.Evidence{}
	}
	n.failures[reason] = append(n.failures[reason], ev)
}

// maxDifferences bounds the notices of differences; the evidence says them all.
const maxDifferences = 20

func (n *disagreements) notify(trail *requirement.Trail) {
	for _, notice := range n.differences[:min(len(n.differences), maxDifferences)] {
		trail.Notify(notice)
	}
	if more := len(n.differences) - maxDifferences; more > 0 {
		trail.Notify(requirement.Notice{
			Level:   requirement.LevelWarning,
			Message: "Cross-check: the evidence lists " + prose.Count(more, "more difference", "more differences") + ".",
		})
	}
	for i, reason := range slices.Sorted(maps.Keys(n.failures)) {
		if i == maxDifferences {
			trail.Notify(requirement.Notice{
				Level:   requirement.LevelWarning,
				Message: "Cross-check: the evidence lists more failures.",
			})
			return
		}
		list := n.failures[reason]
		trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Source: list[0].Source, Path: list[0].Path,
			Message: fmt.Sprintf("Cross-check: %s not read again: %s",
				prose.Count(len(list), "piece of evidence was", "pieces of evidence were"), reason)})
	}
}

// crossChecker turns evidence into questions, and reads again with the readers
// of the scan what the answers are compared with.
type crossChecker struct {
	volumes *volumes
	hives   hiveFinder                     // nil where there is no registry
	known   map[crosscheck.Question]reread // much evidence is of the same files
}

// reread is what our readers made of a file.
type reread struct {
	crosscheck.Reading
	err error
}

// hiveFinder is a system with a registry.
type hiveFinder interface {
	Hive(source, path string) *registry.Hive
}

// piece asks what settles a piece of evidence. A panic of our readers leaves it
// unconfirmed.
func (x *crossChecker) piece(ev *requirement.Evidence) (p piece) {
	p.Evidence = ev
	defer func() {
		if err := defect(recover()); err != nil {
			p.checks, p.beyond = nil, err.Error()
		}
	}()
	if err := x.ask(&p); err != nil {
		var beyond beyondError
		if !errors.As(err, &beyond) {
			err = fmt.Errorf("cannot be read: %w", err)
		}
		p.checks, p.beyond = nil, err.Error()
	}
	return p
}

func (x *crossChecker) ask(p *piece) error {
	switch p.Kind {
	case requirement.KindDocument:
		return beyondDocument
	case requirement.KindVolume:
		return x.askVolume(p)
	}
	v := x.volumes.named(p.Source)
	if v == nil {
		return beyondVolume
	}
	if !v.asked() {
		return beyondVolume
	}
	p.stale = v.stale()
	q := v.question(crosscheck.File)
	q.Path = p.Path
	switch p.Kind {
	case requirement.KindKey, requirement.KindValue:
		return x.askRegistry(p, q, v)
	case requirement.KindTree:
		q.Kind = crosscheck.Tree
		return x.askFile(p, q, v)
	}
	q.Content = p.Content
	if err := x.askFile(p, q, v); err != nil || p.Origin != requirement.OriginWAL {
		return err
	}
	q.Path += "-wal"
	return x.askFile(p, q, v)
}

func (x *crossChecker) askFile(p *piece, q crosscheck.Question, v *volume) error {
	file, ok := x.known[q]
	if !ok {
		if q.Kind == crosscheck.Tree {
			file.Reading, file.err = v.totals(q.Path)
		} else {
			file.Reading, file.err = v.reread(q.Path, q.Content)
		}
		x.known[q] = file
	}
	if file.err != nil && !errors.Is(file.err, fs.ErrNotExist) {
		return file.err
	}
	q.Record = file.Record
	p.checks = append(p.checks, crosscheck.Check{Question: q, Want: file.Reading})
	return nil
}

// askVolume is for evidence of a volume itself. A figure of its filesystem, such as the space used, is no single file.
func (x *crossChecker) askVolume(p *piece) error {
	for _, v := range x.volumes.list {
		itself := v.evidence()
		if itself.Note = p.Note; *p.Evidence != itself {
			continue
		}
		q := v.question(crosscheck.Volume)
		if q.Readers() == nil {
			return beyondVolume
		}
		p.checks = []crosscheck.Check{{Question: q, Want: crosscheck.Reading{Found: v.fs != nil, What: crosscheck.AFolder}}}
		return nil
	}
	return beyondSum
}

// question is one about the volume.
func (v *volume) question(kind crosscheck.Kind) crosscheck.Question {
	return crosscheck.Question{
		Kind: kind, Image: v.image.given, Disk: v.image.nth, Volume: v.Number, Filesystem: v.Filesystem,
	}
}

func (x *crossChecker) hive(p *piece) *registry.Hive {
	if x.hives == nil {
		return nil
	}
	return x.hives.Hive(p.Source, p.Path)
}

func (x *crossChecker) askRegistry(p *piece, q crosscheck.Question, v *volume) error {
	if p.Kind == requirement.KindValue && p.Found && p.Origin == requirement.OriginLog {
		return beyondLog
	}
	hive := x.hive(p)
	if hive == nil {
		return beyondHive
	}
	if hive.Recovery().State == registry.Recovered {
		p.stale = staleHive
	}
	file, err := v.reread(p.Path, false)
	if err != nil {
		return err
	}
	q.Kind, q.Record, q.Key = crosscheck.Key, file.Record, p.Key
	key, err := hive.Key(p.Key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.checks = []crosscheck.Check{{Question: q}}
		return nil
	case err != nil:
		return err
	}
	if p.Kind == requirement.KindKey {
		want, err := keyReading(key)
		p.checks = []crosscheck.Check{{Question: q, Want: want}}
		return err
	}
	q.Kind, q.Value = crosscheck.Value, p.Value
	want, err := valueReading(key, p.Value)
	p.checks = []crosscheck.Check{{Question: q, Want: want}}
	return err
}
