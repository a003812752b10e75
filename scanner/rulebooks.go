package scanner

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

// RuleBook names the rule book by which a system was judged.
type RuleBook struct {
	Name   string // "image"
	Title  string // what it decides, in a few words
	Source string // the documents on which it is based
	AsOf   string // date of these documents: "2021", "2026-08" or "2026-08-31"
	// WithoutUser says that it judges a machine that has no user volume.
	WithoutUser bool
}

func (b book) name() RuleBook {
	return RuleBook{Name: b.Name, Title: b.Title, Source: b.Source, AsOf: b.AsOf, WithoutUser: b.WithoutUser}
}

// Judgement is what one rule book says of the system.
type Judgement struct {
	RuleBook      RuleBook
	Findings      []requirement.Finding // in the order of the rule book
	NotChecked    []NotChecked          // requirements that the caller left out, in the same order
	Verdict       Verdict
	Reasons       []VerdictReason // why it is not Ready, one of each kind
	PolicyVerdict Verdict         // the verdict under the Policy
}

// Under returns the result as a scan with only that rule book would have it: the
// first for 0, and Others[i-1] for i.
func (r *Result) Under(i int) *Result {
	own := *r
	own.Others = nil
	if i > 0 {
		own.adopt(r.Others[i-1])
	}
	return &own
}

// Each returns the results under each of the rule books, the first one first.
func (r *Result) Each() []*Result {
	list := make([]*Result, 1+len(r.Others))
	for i := range list {
		list[i] = r.Under(i)
	}
	return list
}

// WorstVerdict returns the worst PolicyVerdict of all rule books. Gate on this one.
func (r *Result) WorstVerdict() Verdict {
	worst := r.PolicyVerdict
	for _, other := range r.Others {
		if other.PolicyVerdict == NotReady || worst == Ready {
			worst = other.PolicyVerdict
		}
	}
	return worst
}

// adopt replaces what the first rule book says.
func (r *Result) adopt(j Judgement) {
	r.RuleBook, r.Findings, r.NotChecked = j.RuleBook, j.Findings, j.NotChecked
	r.Verdict, r.Reasons, r.PolicyVerdict = j.Verdict, j.Reasons, j.PolicyVerdict
}

// judgement returns what the first rule book says.
func (r *Result) judgement() Judgement {
	return Judgement{RuleBook: r.RuleBook, Findings: r.Findings, NotChecked: r.NotChecked, Verdict: r.Verdict,
		Reasons: r.Reasons, PolicyVerdict: r.PolicyVerdict}
}

// systemKind is the kind of a system, and its name for people.
type systemKind struct {
	System   rules.System
	Names    []string // by which rule books name systems like it: "windows-server-2019"
	Name     string   // "Windows Server 2019 Datacenter"
	Evidence []requirement.Evidence
}

// bind returns the checks of a rule book on the system. all are those of the
// rule book for the system's family.
func (b book) bind(all []requirement.Check, sys system, family requirement.Platform) []requirement.Check {
	if b.Concerns == nil {
		return all
	}
	k, err := sys.kind()
	decides := func(c requirement.Check) bool { return c.ID == b.Concerns.DecidedBy }
	if err != nil && slices.ContainsFunc(all, decides) || slices.Contains(b.Concerns.Systems, k.System) {
		return all // the check that decides the systems reports the error
	}
	var checks []requirement.Check
	for _, r := range b.rules {
		o := requirement.Skip(fmt.Sprintf("The rule book %s is not for %s.", b.Name, k.Name))
		switch decides := r.ID == b.Concerns.DecidedBy; {
		case decides && err != nil:
			o = requirement.Unreadable(err)
		case decides:
			o = requirement.Fail(fmt.Sprintf("The system is %s; the rule book %s is for %s.", k.Name, b.Name, b.Judges),
				k.Evidence...)
		case err != nil, r.Severity == requirement.Info,
			r.Platform != requirement.Any && r.Platform != family && r.Platform != requirement.Windows:
			continue
		}
		r.NotApplicable = o.Message // so that no other rule book shares the outcome
		checks = append(checks, requirement.Check{Rule: r, Decide: func(context.Context) requirement.Outcome { return o }})
	}
	return checks
}

// remembered are outcomes of checks that several rule books have in common.
type remembered struct {
	mu       sync.Mutex
	outcomes map[string]requirement.Outcome
}

// share makes each check decide once, whichever rule book asks first. Two checks
// are the same if the requirement, its severity and its terms are.
func (m *remembered) share(checks []requirement.Check) {
	for i := range checks {
		c := &checks[i]
		key := fmt.Sprintf("%s %s %v %s", c.ID, c.Severity, c.Terms, c.NotApplicable)
		decide := c.Decide
		c.Decide = func(ctx context.Context) requirement.Outcome {
			m.mu.Lock()
			o, known := m.outcomes[key]
			m.mu.Unlock()
			if known {
				return o
			}
			o = decide(ctx)
			m.mu.Lock()
			defer m.mu.Unlock()
			m.outcomes[key] = o
			return o
		}
	}
}

// unnamed returns a notice if the rule book does not name the system, and another
// one does.
func (b book) unnamed(k systemKind) (requirement.Notice, bool) {
	if len(b.Names) == 0 || named(b.Book, k) {
		return requirement.Notice{}, false
	}
	text := fmt.Sprintf("The rule book %s (%s) does not name %s", b.Name, b.AsOf, k.Name)
	for _, other := range rules.Books() {
		if named(other, k) {
			return requirement.Notice{Level: requirement.LevelInfo,
				Message: fmt.Sprintf("%s. --rulebook %s does (%s).", text, other.Name, other.AsOf)}, true
		}
	}
	return requirement.Notice{}, false
}

func named(b *rules.Book, k systemKind) bool {
	return slices.ContainsFunc(k.Names, func(name string) bool { return slices.Contains(b.Names, name) })
}
