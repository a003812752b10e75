package scanner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules/custom"
	"github.com/coldcheck/coldcheck/scanner/rules/facts"
)

// Facts reads the typed facts of the system on the images. What cannot be read is
// unknown in the document. With Input.Rules, the document also has the results of the
// functions that the rules use. The errors are those of Scan.
func Facts(ctx context.Context, in Input) (d *facts.Document, err error) {
	err = examine(ctx, in, func(ctx context.Context, in Input, o *opened, m machine) (err error) {
		source := newFactSource(o.volumes, m.system, newService(o.documents, m))
		source.progress = in.progress
		d, err = source.collect(ctx, requirement.Platform(m.platform.Family), o.started, in.Rules)
		return o.volumes.unlessFailed(ctx, err)
	})
	return d, err
}

// factSource reads each part of the facts of a system once, and adds what the system
// itself does not show: what encrypts its volumes.
type factSource struct {
	system   facts.Source
	next     *factSource // with what the next start uses; nil if that is the same
	volumes  *volumes
	service  *service
	progress *progress

	mu    sync.Mutex
	parts map[string]*fact.Fact[facts.Reading]
	calls *facts.Document // that records the calls; nil for none
}

func newFactSource(vs *volumes, sys system, service *service) *factSource {
	s := &factSource{system: sys, volumes: vs, service: service, parts: map[string]*fact.Fact[facts.Reading]{}}
	if next := sys.atNextStart(); next != nil {
		s.next = &factSource{system: next, volumes: vs, service: service, parts: map[string]*fact.Fact[facts.Reading]{}}
	}
	return s
}

// checks binds the rules of users to the system. Where the next start may use other
// settings, each is judged with both, and the worse outcome counts.
func (s *factSource) checks(set *custom.Set, platform requirement.Platform, now time.Time) []requirement.Check {
	checks := set.Checks(platform, s, now)
	if s.next == nil {
		return checks
	}
	again := set.Checks(platform, s.next, now)
	for i := range checks {
		if checks[i].Severity != requirement.Info {
			last, next := checks[i].Decide, again[i].Decide
			checks[i].Decide = func(ctx context.Context) requirement.Outcome { return windows.Worse(last(ctx), next(ctx)) }
		}
	}
	return checks
}

// Part implements facts.Source.
func (s *factSource) Part(ctx context.Context, name string) (facts.Reading, error) {
	s.mu.Lock()
	part := s.parts[name]
	if part == nil {
		part = &fact.Fact[facts.Reading]{}
		s.parts[name] = part
	}
	s.mu.Unlock()
	return part.Get(func() (facts.Reading, error) {
		r, err := s.system.Part(ctx, name)
		if err != nil {
			return r, err
		}
		if name == "volumes" {
			r.Value = s.encrypted(r.Value)
		}
		r.Value = facts.Convert(r.Value)
		return r, nil
	})
}

// Call implements facts.Source.
func (s *factSource) Call(ctx context.Context, function string, arguments []string) (facts.Reading, error) {
	r, err := s.system.Call(ctx, function, arguments)
	if s.calls != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.calls.AddCall(function, arguments, r.Value, err)
	}
	return r, err
}

// encrypted adds what encrypts the volumes.
func (s *factSource) encrypted(value any) any {
	switch list := value.(type) {
	case []facts.Drive:
		for i := range list {
			list[i].Encryption, list[i].Encrypted = s.encryption(list[i].Role)
		}
	case []facts.Filesystem:
		for i := range list {
			list[i].Encryption, list[i].Encrypted = s.encryption(list[i].Role)
		}
	}
	return value
}

// encryption says what encrypts the volume of a role. The disk shows what the system
// does, and only a document shows what the service does.
func (s *factSource) encryption(role string) (by facts.Field[string], is facts.Field[bool]) {
	for _, v := range s.volumes.list {
		if method := v.encryption(); string(v.role) == role && method != "" {
			return facts.Of(method), facts.Of(true)
		}
	}
	if s.service.missing != nil {
		err := fmt.Errorf("encryption of the %s volume by the service: %w", role, s.service.missing)
		return facts.Unknown[string](err), facts.Unknown[bool](err)
	}
	w, name := s.service.match.WorkSpace, "RootVolumeEncryptionEnabled"
	stated := w.RootVolumeEncryptionEnabled
	if role == string(User) {
		name, stated = "UserVolumeEncryptionEnabled", w.UserVolumeEncryptionEnabled
	}
	ev := documentEvidence(s.service.match.Document)
	ev.Value, ev.Found, ev.Data = name, stated != nil, fmt.Sprint(stated != nil && *stated)
	if stated != nil && *stated {
		return facts.Of("EBS").ReadFrom(ev), facts.Of(true).ReadFrom(ev)
	}
	// The service leaves out what is not enabled. The volume may be encrypted by the
	// system where it could not be opened at all.
	if v := s.volumes.of(Role(role)); v == nil || v.fs == nil {
		err := fmt.Errorf("the %s volume could not be read", role)
		return facts.Unknown[string](err), facts.Unknown[bool](err)
	}
	return facts.Null[string]().ReadFrom(ev), facts.Of(false).ReadFrom(ev)
}

// of returns the volume of a role; nil if there is none.
func (vs *volumes) of(role Role) *volume {
	switch role {
	case Root:
		return vs.root
	case User:
		return vs.user
	}
	return nil
}

// collect reads all facts. A part that takes too long, or in which a defect is met, is
// unknown.
func (s *factSource) collect(ctx context.Context, platform requirement.Platform, now time.Time,
	set *custom.Set) (*facts.Document, error) {
	bounded := boundedFacts{source: s, waited: s.volumes.reads.waited, progress: s.progress,
		total: int64(len(facts.Parts(platform)))}
	d, err := facts.Collect(ctx, platform, now, &bounded)
	if err != nil || set == nil {
		return d, err
	}
	s.calls = d
	e := evaluation{waited: bounded.waited}
	for _, c := range set.Checks(platform, s, now) {
		if _, err := e.contain(ctx, c); err != nil {
			return nil, err
		}
	}
	s.mu.Lock() // a check that was given up may still read
	defer s.mu.Unlock()
	s.calls = nil
	slices.SortFunc(d.Calls, func(a, b facts.Call) int {
		return cmp.Or(strings.Compare(a.Function, b.Function), slices.Compare(a.Arguments, b.Arguments))
	})
	return d, nil
}

// boundedFacts is a source whose parts are read completely, within a time, and without
// a panic.
type boundedFacts struct {
	source   facts.Source
	waited   func() time.Duration
	progress *progress
	done     int64
	total    int64
}

// Part implements facts.Source.
func (b *boundedFacts) Part(ctx context.Context, name string) (r facts.Reading, err error) {
	b.progress.show(Progress{Step: "reading " + name, Unit: UnitRequirements, Done: b.done, Total: b.total})
	b.done++
	// What was read may keep the context. It ends with the scan, unless the time is up
	// before.
	own, end := context.WithCancelCause(ctx)
	defer func() {
		if err != nil {
			end(err)
		}
	}()
	e := guard(func() error {
		r, err = fact.Within(ctx, fact.Patience{Waited: b.waited}, func() (facts.Reading, error) {
			r, err := b.source.Part(own, name)
			if err == nil {
				facts.Resolve(r.Value)
			}
			return r, err
		}, nil)
		return nil
	})
	return r, errors.Join(e, err)
}

// Call implements facts.Source.
func (b *boundedFacts) Call(ctx context.Context, function string, arguments []string) (facts.Reading, error) {
	return b.source.Call(ctx, function, arguments)
}
