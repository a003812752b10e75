package requirement

import (
	"context"
	"fmt"
)

// Rule is a requirement as one rule book has it.
type Rule struct {
	Requirement
	Terms Terms
	// NotApplicable says in a sentence why the rule book does not apply the
	// requirement, which is then not checked; "" if it does.
	NotApplicable string
}

// Terms are the values by which rule books differ in one requirement: limits,
// versions, systems. The functions that check a requirement read them by name. A
// name that is not there, or that has a value of another type, is a defect of
// the rule book and a panic.
type Terms map[string]any

// Int returns a number.
func (t Terms) Int(name string) int64 { return term[int64](t, name) }

// Text returns a text.
func (t Terms) Text(name string) string { return term[string](t, name) }

// Is returns a choice.
func (t Terms) Is(name string) bool { return term[bool](t, name) }

// Ints returns a list of numbers.
func (t Terms) Ints(name string) []int64 { return terms[int64](t, name) }

// Texts returns a list of texts.
func (t Terms) Texts(name string) []string { return terms[string](t, name) }

func term[T any](t Terms, name string) T {
	v, ok := t[name].(T)
	if !ok {
		panic(fmt.Sprintf("the rule book has no term %s that is a %T", name, v))
	}
	return v
}

func terms[T any](t Terms, name string) []T {
	var list []T
	for _, one := range term[[]any](t, name) {
		v, ok := one.(T)
		if !ok {
			panic(fmt.Sprintf("the term %s of the rule book is not a list of %T", name, v))
		}
		list = append(list, v)
	}
	return list
}

// Bind binds those rules of a rule book that are in a catalogue to one system, in
// the order of the rules. within returns the facts of the system for one
// requirement; the context limits their reads.
func Bind[M any](catalogue []Entry[M], rules []Rule, within func(context.Context, Terms) M) []Check {
	entries := make(map[string]Entry[M], len(catalogue))
	for _, e := range catalogue {
		entries[e.ID] = e
	}
	var checks []Check
	for _, r := range rules {
		e, ok := entries[r.ID]
		if !ok {
			continue
		}
		c := Check{Rule: r, Decide: func(ctx context.Context) Outcome { return r.limit(e.Judge(within(ctx, r.Terms))) }}
		if r.NotApplicable != "" {
			c.Decide = func(context.Context) Outcome { return r.skip() }
		}
		if e.Counts != nil {
			c.Counts = func() bool { return e.Counts(within(context.Background(), r.Terms)) }
		}
		checks = append(checks, c)
	}
	return checks
}

// limit makes a warning of a failure of what the rule book only recommends. Of what it only informs about, the message
// is content, whatever the judgment is.
func (r Rule) limit(o Outcome) Outcome {
	switch {
	case r.Severity == Recommended && o.Status == Failed:
		o.Status = Warning
	case r.Severity == Info && (o.Status == Failed || o.Status == Warning):
		o.Status, o.Remediation = Passed, ""
	case r.Severity == Info && o.Status == NotApplicable:
		o.Status, o.Basis = Passed, Observed
	}
	return o
}

// skip is the outcome of what the rule book does not apply. A finding of content
// has no such status.
func (r Rule) skip() Outcome {
	if r.Severity == Info {
		return Pass(r.NotApplicable)
	}
	return Skip(r.NotApplicable)
}
