// Package custom reads the rules of users and checks them: a rule is an expression in
// the Common Expression Language (CEL) over the typed facts of package facts.
//
//	set, err := custom.Load(custom.File{Name: "rules.yaml", Data: data})
//	if err != nil {
//		return err // a *custom.Error, with file, line and column
//	}
//	for _, check := range set.Checks(requirement.Windows, source, now) {
//		outcome := check.Decide(ctx)
//	}
//
// A fact that could not be read is unknown, as is everything that depends on it: the
// outcome is undetermined then, and names the reason. So is that of an expression
// whose evaluation ends with an error, such as a missing key.
package custom

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules/facts"
)

// Bounds of rules.
const (
	MaxFile       = 1 << 20 // of a file of rules or of tests, in bytes
	MaxRules      = 1000    // in all files
	maxID         = 128     // characters
	maxText       = 4096    // of a title or a remediation, in bytes
	maxExpression = 16 << 10
)

// File is a file of rules.
type File struct {
	Name string
	Data []byte
}

// Digest is the name of a file of rules, and its SHA-256 in hex.
type Digest struct {
	Name   string
	SHA256 string
}

// Rule is one rule of a user. Its Demand is the title, and its Reads the expression.
type Rule struct {
	requirement.Requirement
	File string
	Line int

	programs map[requirement.Platform]compiled
}

// Set is the rules of one or several files.
type Set struct {
	Files []Digest
	Rules []*Rule
}

// Error is a mistake in a file of rules or of tests.
type Error struct {
	File         string
	Line, Column int // from 1; Column is 0 if only the line is known
	Problem      string
	Word         string   // an unknown name, "" if the problem is another
	Known        []string // the names that are known there
}

func (e *Error) Error() string {
	switch {
	case e.Line == 0:
		return fmt.Sprintf("%s: %s", e.File, e.Problem)
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Problem)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Problem)
}

// Load reads and compiles rules. A mistake in them is an *Error.
func Load(files ...File) (*Set, error) {
	c, err := newCompiler()
	if err != nil {
		return nil, err
	}
	s := &Set{}
	for _, f := range files {
		sum := sha256.Sum256(f.Data)
		s.Files = append(s.Files, Digest{f.Name, hex.EncodeToString(sum[:])})
		if err := s.load(c, f); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Requirements returns the rules as requirements, in their order.
func (s *Set) Requirements() []requirement.Requirement {
	if s == nil {
		return nil
	}
	var list []requirement.Requirement
	for _, r := range s.Rules {
		list = append(list, r.Requirement)
	}
	return list
}

// IDs returns the ids of the rules.
func (s *Set) IDs() []string {
	var ids []string
	for _, r := range s.Requirements() {
		ids = append(ids, r.ID)
	}
	return ids
}

// source is a YAML document of the user's.
type source struct {
	name  string
	lines [][]byte
}

func (s *source) at(n *yaml.Node, format string, args ...any) *Error {
	return &Error{File: s.name, Line: n.Line, Column: n.Column, Problem: fmt.Sprintf(format, args...)}
}

// parse decodes the only document of a file.
func (s *source) parse(data []byte) (*yaml.Node, error) {
	s.lines = bytes.Split(data, []byte("\n"))
	if len(data) > MaxFile {
		return nil, &Error{File: s.name, Problem: "larger than the limit of 1 MiB"}
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	switch err := d.Decode(&document); {
	case err == io.EOF:
		return nil, &Error{File: s.name, Problem: "the file is empty"}
	case err != nil:
		return nil, s.syntax(err)
	}
	switch err := d.Decode(&more); {
	case err == nil:
		return nil, s.at(&more, "a second document")
	case err != io.EOF:
		return nil, s.syntax(err)
	}
	return document.Content[0], s.refuseAliases(&document, 0)
}

// maxDepth bounds how deep the values of a file may be nested.
const maxDepth = 64

// refuseAliases refuses aliases, by which a small file could become a huge one.
func (s *source) refuseAliases(n *yaml.Node, depth int) error {
	if n.Kind == yaml.AliasNode || n.Anchor != "" {
		return s.at(n, "anchors and aliases are not supported")
	}
	if depth > maxDepth {
		return s.at(n, "nested too deeply")
	}
	for _, below := range n.Content {
		if err := s.refuseAliases(below, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (s *source) syntax(err error) error {
	e := &Error{File: s.name, Problem: strings.TrimPrefix(err.Error(), "yaml: ")}
	if _, scan := fmt.Sscanf(e.Problem, "line %d:", &e.Line); scan == nil {
		_, e.Problem, _ = strings.Cut(e.Problem, ": ")
	}
	return e
}

// fields returns the values of a mapping by their keys.
func (s *source) fields(n *yaml.Node, known ...string) (map[string]*yaml.Node, error) {
	if n.Kind != yaml.MappingNode {
		return nil, s.at(n, "a mapping with the keys %s is required", strings.Join(known, ", "))
	}
	fields := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || !slices.Contains(known, key.Value):
			e := s.at(key, "unknown key %q", key.Value)
			e.Word, e.Known = key.Value, known
			return nil, e
		case fields[key.Value] != nil:
			return nil, s.at(key, "the key %s is there twice", key.Value)
		}
		fields[key.Value] = value
	}
	return fields, nil
}

// text returns a text of at most a number of bytes. A missing one is "".
func (s *source) text(n *yaml.Node, name string, most int) (string, error) {
	switch {
	case n == nil:
		return "", nil
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		return "", s.at(n, "%s: a text is required", name)
	case len(n.Value) > most:
		return "", s.at(n, "%s: longer than %d bytes", name, most)
	}
	return strings.TrimSpace(n.Value), nil
}

var (
	idPattern  = regexp.MustCompile(`^x\.[a-z0-9]+([._-][a-z0-9]+)*$`)
	severities = []string{string(requirement.Required), string(requirement.Recommended), string(requirement.Info)}
	platforms  = []string{string(requirement.Any), string(requirement.Windows), string(requirement.Linux)}
)

func (s *Set) load(c *compiler, f File) error {
	src := &source{name: f.Name}
	top, err := src.parse(f.Data)
	if err != nil {
		return err
	}
	if top.Kind != yaml.SequenceNode {
		return src.at(top, "a list of rules is required")
	}
	if len(top.Content) == 0 {
		return src.at(top, "there is no rule")
	}
	for _, n := range top.Content {
		r, err := src.rule(c, n)
		if err != nil {
			return err
		}
		for _, other := range s.Rules {
			if other.ID == r.ID {
				return src.at(n, "the id %s is there twice: see %s:%d", r.ID, other.File, other.Line)
			}
		}
		if s.Rules = append(s.Rules, r); len(s.Rules) > MaxRules {
			return src.at(n, "more than %d rules", MaxRules)
		}
	}
	return nil
}

// rule reads and compiles one rule.
func (s *source) rule(c *compiler, n *yaml.Node) (*Rule, error) {
	fields, err := s.fields(n, "id", "title", "severity", "platform", "expression", "expr", "message", "remediation",
		"reference")
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	for name, value := range fields {
		most := maxText
		if name == "expression" || name == "expr" || name == "message" {
			most = maxExpression
		}
		if texts[name], err = s.text(value, name, most); err != nil {
			return nil, err
		}
	}
	for _, required := range []string{"id", "title", "severity"} {
		if texts[required] == "" {
			return nil, s.at(n, "the rule has no %s", required)
		}
	}
	r := &Rule{File: s.name, Line: n.Line, programs: map[requirement.Platform]compiled{}}
	r.ID, r.Scope = texts["id"], requirement.Disk
	if !idPattern.MatchString(r.ID) || len(r.ID) > maxID {
		return nil, s.at(fields["id"], "%q is not the id of a rule: it begins with x. and has lower-case letters, "+
			"digits, dots and hyphens, as x.no-telnet", r.ID)
	}
	if r.Severity, err = oneOf[requirement.Severity](s, fields["severity"], "severity", severities); err != nil {
		return nil, err
	}
	platform := requirement.Platform("")
	if fields["platform"] != nil {
		if platform, err = oneOf[requirement.Platform](s, fields["platform"], "platform", platforms); err != nil {
			return nil, err
		}
	}
	if texts["remediation"] == "" && r.Severity != requirement.Info {
		return nil, s.at(n, "the rule %s has no remediation", r.ID)
	}
	expression := fields["expression"]
	switch {
	case expression != nil && fields["expr"] != nil:
		return nil, s.at(n, "the rule %s has both expression and expr", r.ID)
	case expression == nil:
		expression = fields["expr"]
	}
	if expression == nil || strings.TrimSpace(expression.Value) == "" {
		return nil, s.at(n, "the rule %s has no expression", r.ID)
	}
	r.Demand, r.Remediation = texts["title"], texts["remediation"]
	r.Reads = strings.TrimSpace(expression.Value)
	r.Reference = texts["reference"]
	if r.Reference == "" {
		r.Reference = fmt.Sprintf("%s:%d", s.name, n.Line)
	}
	return r, s.compile(c, r, platform, expression, fields["message"])
}

// oneOf reads one of some words.
func oneOf[T ~string](s *source, n *yaml.Node, name string, words []string) (T, error) {
	if n.Kind != yaml.ScalarNode || !slices.Contains(words, n.Value) {
		e := s.at(n, "unknown %s %q", name, n.Value)
		e.Word, e.Known = n.Value, words
		return "", e
	}
	return T(n.Value), nil
}

// compile compiles the expression and the message of a rule for the platforms that it
// is for. Without a platform, these are the ones that have all facts that it uses.
func (s *source) compile(c *compiler, r *Rule, platform requirement.Platform, expression, message *yaml.Node) error {
	var wrong *Error
	least := 0
	for _, p := range facts.Platforms {
		if platform != "" && platform != requirement.Any && platform != p {
			continue
		}
		program, unknown, err := c.rule(s, p, r.Severity, expression, message)
		switch {
		case err == nil:
			r.programs[p], r.Platform = program, p
		case platform != "":
			return err
		case wrong == nil || unknown < least:
			wrong, least = err, unknown
		}
	}
	switch len(r.programs) {
	case 0:
		return wrong
	case len(facts.Platforms):
		r.Platform = requirement.Any
	}
	return nil
}
