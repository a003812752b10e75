package custom

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules/facts"
)

// MaxFacts bounds a file of facts that a test names, in bytes.
const MaxFacts = 64 << 20

// TestResult is what became of one expectation of a test.
type TestResult struct {
	Test    string
	File    string
	Line    int
	ID      string
	Want    requirement.Status
	Got     requirement.Status // NotApplicable if the rule is not for the platform
	Message string
}

// Passed reports whether the expectation is met.
func (r TestResult) Passed() bool { return r.Want == r.Got }

// Tests are the tests in a file.
type Tests struct {
	set   *Set
	tests []test
}

// Count returns the number of tests.
func (t *Tests) Count() int { return len(t.tests) }

type test struct {
	name, file string
	line       int
	facts      *facts.Document
	expected   []TestResult
}

// LoadTests reads tests of rules. read reads the files that they name, whose paths are
// relative to the folder of the tests. A mistake is an *Error; other errors are those of
// read.
func LoadTests(f File, read func(name string, limit int64) ([]byte, error)) (*Tests, error) {
	s := &source{name: f.Name}
	top, err := s.parse(f.Data)
	if err != nil {
		return nil, err
	}
	fields, err := s.fields(top, "rules", "tests")
	if err != nil {
		return nil, err
	}
	beside := func(n *yaml.Node) string {
		if filepath.IsAbs(n.Value) {
			return n.Value
		}
		return filepath.Join(filepath.Dir(f.Name), filepath.FromSlash(n.Value))
	}
	names := fields["rules"]
	switch {
	case names == nil:
		return nil, s.at(top, "there is no key rules with the file of the rules")
	case names.Kind == yaml.ScalarNode:
		names = &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{names}}
	case names.Kind != yaml.SequenceNode:
		return nil, s.at(names, "rules: a file or a list of files is required")
	}
	var files []File
	for _, n := range names.Content {
		data, err := read(beside(n), MaxFile)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", f.Name, n.Line, err)
		}
		files = append(files, File{beside(n), data})
	}
	t := &Tests{}
	if t.set, err = Load(files...); err != nil {
		return nil, err
	}
	list := fields["tests"]
	if list == nil || list.Kind != yaml.SequenceNode || len(list.Content) == 0 {
		return nil, s.at(top, "there is no list of tests")
	}
	for _, n := range list.Content {
		one, err := s.test(t.set, n, beside, read)
		if err != nil {
			return nil, err
		}
		t.tests = append(t.tests, one)
	}
	return t, nil
}

func (s *source) test(set *Set, n *yaml.Node, beside func(*yaml.Node) string,
	read func(string, int64) ([]byte, error)) (test, error) {
	fields, err := s.fields(n, "name", "platform", "facts", "facts_file", "calls", "now", "expect")
	if err != nil {
		return test{}, err
	}
	t := test{file: s.name, line: n.Line}
	if t.name, err = s.text(fields["name"], "name", maxText); err != nil {
		return t, err
	}
	switch {
	case t.name == "":
		return t, s.at(n, "the test has no name")
	case (fields["facts"] == nil) == (fields["facts_file"] == nil):
		return t, s.at(n, "the test %q needs either facts or facts_file", t.name)
	}
	if t.expected, err = s.expected(set, n, fields["expect"], t.name); err != nil {
		return t, err
	}
	if file := fields["facts_file"]; file != nil {
		data, err := read(beside(file), MaxFacts)
		if err != nil {
			return t, fmt.Errorf("%s:%d: %w", s.name, file.Line, err)
		}
		if t.facts, err = facts.ParseDocument(data); err != nil {
			return t, shape(&Error{File: beside(file)}, err)
		}
	} else {
		var parts, calls any
		for from, into := range map[*yaml.Node]*any{fields["facts"]: &parts, fields["calls"]: &calls} {
			if from == nil {
				continue
			}
			if err := from.Decode(into); err != nil {
				return t, s.at(from, "%v", err)
			}
		}
		platform, err := s.platform(set, fields["platform"], t)
		if err != nil {
			return t, err
		}
		if t.facts, err = facts.NewDocument(platform, parts, calls); err != nil {
			return t, shape(s.at(fields["facts"], ""), err)
		}
	}
	if now := fields["now"]; now != nil {
		if t.facts.Now, err = time.Parse(time.RFC3339, now.Value); err != nil {
			if t.facts.Now, err = time.Parse(time.DateOnly, now.Value); err != nil {
				return t, s.at(now, "now: a time such as 2026-11-30T08:00:00Z is required")
			}
		}
	}
	return t, nil
}

// shape puts the mistake in the form of facts into an Error.
func shape(e *Error, err error) *Error {
	e.Problem = err.Error()
	var of *facts.ShapeError
	if errors.As(err, &of) {
		e.Word, e.Known = of.Word, of.Known
	}
	return e
}

// platform is the platform of facts that do not say it: what the test says, or the only
// one on which all its rules can be judged.
func (s *source) platform(set *Set, n *yaml.Node, t test) (requirement.Platform, error) {
	if n != nil {
		return oneOf[requirement.Platform](s, n, "platform", platforms[1:])
	}
	fits := slices.DeleteFunc(slices.Clone(facts.Platforms), func(p requirement.Platform) bool {
		return slices.ContainsFunc(set.Rules, func(r *Rule) bool {
			_, ok := r.programs[p]
			return !ok && slices.ContainsFunc(t.expected, func(e TestResult) bool { return e.ID == r.ID })
		})
	})
	if len(fits) != 1 {
		return "", &Error{File: s.name, Line: t.line,
			Problem: fmt.Sprintf("the test %q needs a platform: windows or linux", t.name)}
	}
	return fits[0], nil
}

func (s *source) expected(set *Set, test, n *yaml.Node, name string) ([]TestResult, error) {
	if n == nil || n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		return nil, s.at(test, "the test %q expects nothing", name)
	}
	var words []string
	for _, status := range requirement.Statuses {
		words = append(words, string(status))
	}
	var list []TestResult
	for i := 0; i+1 < len(n.Content); i += 2 {
		id, value := n.Content[i], n.Content[i+1]
		if !slices.Contains(set.IDs(), id.Value) {
			e := s.at(id, "unknown rule %q", id.Value)
			e.Word, e.Known = id.Value, set.IDs()
			return nil, e
		}
		status, err := oneOf[requirement.Status](s, value, "status", words)
		if err != nil {
			return nil, err
		}
		list = append(list, TestResult{Test: name, File: s.name, Line: id.Line, ID: id.Value, Want: status})
	}
	return list, nil
}

// Run judges the rules on the facts of the tests. Times that tests do not state are now.
func (t *Tests) Run(ctx context.Context, now time.Time) []TestResult {
	var results []TestResult
	for _, one := range t.tests {
		at := one.facts.Now
		if at.IsZero() {
			at = now
		}
		checks := t.set.Checks(one.facts.Platform, one.facts, at)
		for _, r := range one.expected {
			r.Got, r.Message = requirement.NotApplicable, "The rule is not for this platform."
			for _, c := range checks {
				if c.ID == r.ID {
					f := requirement.Find(c.Requirement, c.Decide(ctx))
					r.Got, r.Message = f.Status, f.Message
				}
			}
			results = append(results, r)
		}
	}
	return results
}
