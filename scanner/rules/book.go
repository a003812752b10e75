// Package rules contains the rule books: which requirements each has, in which
// order, and what it asks of them. A rule book is a YAML file in the folder
// books; a new one is a new file.
//
//	book, err := rules.Find("image")
//	for _, r := range book.Rules {
//		fmt.Println(r.ID)
//	}
//
// A rule names a requirement by its ID. What a rule does not state is as in the
// requirement's own entry, see Resolve.
package rules

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Default is the name of the rule book that a scan uses if none is named.
const Default = "image"

// ErrUnknown is the error for the name of a rule book that does not exist.
var ErrUnknown = errors.New("unknown rule book")

// Book is a rule book.
type Book struct {
	Name   string // "image"
	Title  string // what it decides, in a few words
	Source string // the documents on which it is based
	AsOf   string // date of these documents: "2021", "2026-08" or "2026-08-31"
	Judges string // the machines that it is for, in a few words
	// Alone says that the rule book contradicts all others, so that no scan uses
	// it together with another one.
	Alone bool
	// WithoutUser says that the machines have no user volume, because they are not a
	// WorkSpace yet.
	WithoutUser bool
	// Concerns limits the systems; nil if the rule book is for all systems that it has
	// rules for.
	Concerns *Concerns
	// Names are the systems that the documents name, such as "windows-server-2019",
	// "windows-10", "ubuntu-22.04" or "rocky-9".
	Names []string
	Rules []Rule // in the order of reports
}

// Concerns says which systems a rule book is for. On any other system, the
// requirement DecidedBy is failed and all others are not applicable.
type Concerns struct {
	Systems   []System `yaml:"systems"`
	DecidedBy string   `yaml:"decided_by"`
}

// System is a kind of system.
type System string

// The kinds of systems.
const (
	WindowsClient System = "windows-client"
	WindowsServer System = "windows-server"
	Linux         System = "linux"
)

var systems = []System{WindowsClient, WindowsServer, Linux}

// Rule is what a rule book states of a requirement. A nil field and "" leave what
// the requirement's entry has.
type Rule struct {
	ID            string               `yaml:"id"`
	Severity      requirement.Severity `yaml:"severity"`
	Code          *string              `yaml:"code"` // AWSErrorCode
	Demand        string               `yaml:"demand"`
	Reads         string               `yaml:"reads"`
	Doubts        *string              `yaml:"doubts"`
	Fix           string               `yaml:"fix"`
	Reference     string               `yaml:"reference"`
	NotApplicable string               `yaml:"not_applicable"`
	Terms         map[string]any       `yaml:"terms"`
}

// file is a rule book as it is written.
type file struct {
	Name        string    `yaml:"name"`
	Title       string    `yaml:"title"`
	Source      string    `yaml:"source"`
	AsOf        string    `yaml:"as_of"`
	Judges      string    `yaml:"judges"`
	Alone       bool      `yaml:"alone"`
	WithoutUser bool      `yaml:"without_user_volume"`
	Concerns    *Concerns `yaml:"concerns"`
	Names       []string  `yaml:"names"`
	Extends     string    `yaml:"extends"` // the rule book whose rules come first
	Without     []string  `yaml:"without"` // ids of these that it does not have
	Rules       []Rule    `yaml:"rules"`   // replace those of the same id, in their place
}

//go:embed books/*.yaml
var embedded embed.FS

// Books returns all rule books: Default first, the others by name. The books are
// shared and must not be changed.
func Books() []*Book {
	list, err := books()
	if err != nil {
		panic(err) // a defect of the program, which a test finds
	}
	return list
}

var books = sync.OnceValues(func() ([]*Book, error) {
	folder, err := fs.Sub(embedded, "books")
	if err != nil {
		return nil, err
	}
	return load(folder)
})

// Find returns the rule book of that name. The error is ErrUnknown.
func Find(name string) (*Book, error) {
	for _, b := range Books() {
		if b.Name == name {
			return b, nil
		}
	}
	return nil, fmt.Errorf("%w %q", ErrUnknown, name)
}

// Names returns the names of all rule books, in the order of Books. They are those of the
// files, so that no rule book is read for it.
func Names() []string {
	files, err := embedded.ReadDir("books")
	if err != nil {
		panic(err) // a defect of the program, which a test finds
	}
	list := []string{Default}
	for _, f := range files {
		if name := strings.TrimSuffix(f.Name(), ".yaml"); name != Default {
			list = append(list, name)
		}
	}
	return list
}

// load reads all rule books of a folder.
func load(folder fs.FS) ([]*Book, error) {
	names, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return nil, err
	}
	files := map[string]*file{}
	for _, name := range names {
		data, err := fs.ReadFile(folder, name)
		if err != nil {
			return nil, err
		}
		f, err := parse(data)
		if err == nil && f.Name+".yaml" != path.Base(name) {
			err = fmt.Errorf("the rule book is named %q", f.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files[f.Name] = f
	}
	var list []*Book
	for _, f := range files {
		rules, err := f.rules(files, nil)
		if err != nil {
			return nil, fmt.Errorf("rule book %s: %w", f.Name, err)
		}
		b := &Book{Name: f.Name, Title: f.Title, Source: f.Source, AsOf: f.AsOf, Judges: f.Judges, Alone: f.Alone,
			WithoutUser: f.WithoutUser, Concerns: f.Concerns, Names: f.Names, Rules: rules}
		if err := b.check(); err != nil {
			return nil, fmt.Errorf("rule book %s: %w", f.Name, err)
		}
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b *Book) int {
		return cmp.Or(-cmp.Compare(rank(a), rank(b)), strings.Compare(a.Name, b.Name))
	})
	return list, nil
}

// rank puts the default before the others.
func rank(b *Book) int {
	if b.Name == Default {
		return 1
	}
	return 0
}

func parse(data []byte) (*file, error) {
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	var f file
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	for _, r := range f.Rules {
		for name, v := range r.Terms {
			typed, err := typedTerm(v)
			if err != nil {
				return nil, fmt.Errorf("%s: term %s: %w", r.ID, name, err)
			}
			r.Terms[name] = typed
		}
	}
	return &f, nil
}

// typedTerm returns a value of one of the types that requirement.Terms has.
func typedTerm(v any) (any, error) {
	switch v := v.(type) {
	case int:
		return int64(v), nil
	case string, bool:
		return v, nil
	case []any:
		for i := range v {
			var err error
			if v[i], err = typedTerm(v[i]); err != nil {
				return nil, err
			}
		}
		return v, nil
	}
	return nil, fmt.Errorf("a %T is neither a number, a text, a choice nor a list", v)
}

// rules returns the rules of a rule book and of those that it extends. above are
// the books that lead to it.
func (f *file) rules(files map[string]*file, above []string) ([]Rule, error) {
	if slices.Contains(above, f.Name) {
		return nil, fmt.Errorf("%s extends itself", f.Name)
	}
	var list []Rule
	if f.Extends != "" {
		base, ok := files[f.Extends]
		if !ok {
			return nil, fmt.Errorf("it extends %q, which does not exist", f.Extends)
		}
		rules, err := base.rules(files, append(above, f.Name))
		if err != nil {
			return nil, err
		}
		list = rules
	}
	for _, id := range f.Without {
		at := slices.IndexFunc(list, func(r Rule) bool { return r.ID == id })
		if at < 0 {
			return nil, fmt.Errorf("without names %s, which %q does not have", id, f.Extends)
		}
		list = slices.Delete(list, at, at+1)
	}
	own := map[string]bool{}
	for _, r := range f.Rules {
		if own[r.ID] {
			return nil, fmt.Errorf("%s is there twice", r.ID)
		}
		own[r.ID] = true
		if at := slices.IndexFunc(list, func(o Rule) bool { return o.ID == r.ID }); at >= 0 {
			list[at] = r
		} else {
			list = append(list, r)
		}
	}
	return list, nil
}

func (b *Book) check() error {
	for what, text := range map[string]string{"name": b.Name, "title": b.Title, "source": b.Source, "as_of": b.AsOf,
		"judges": b.Judges} {
		if text == "" {
			return fmt.Errorf("it has no %s", what)
		}
	}
	for _, r := range b.Rules {
		switch r.Severity {
		case "", requirement.Required, requirement.Recommended, requirement.Info:
		default:
			return fmt.Errorf("%s: unknown severity %q", r.ID, r.Severity)
		}
	}
	c := b.Concerns
	switch {
	case len(b.Rules) == 0:
		return errors.New("it has no rules")
	case c == nil:
		return nil
	case len(c.Systems) == 0:
		return errors.New("it concerns no system")
	case !slices.ContainsFunc(b.Rules, func(r Rule) bool { return r.ID == c.DecidedBy }):
		return fmt.Errorf("it has no rule %q, which decides the systems", c.DecidedBy)
	}
	for _, s := range c.Systems {
		if !slices.Contains(systems, s) {
			return fmt.Errorf("unknown system %q", s)
		}
	}
	return nil
}

// Resolve returns the rules of the book with what the entries of their
// requirements state, in its order. Rules without an entry are left out.
func (b *Book) Resolve(entries []requirement.Requirement) []requirement.Rule {
	known := make(map[string]requirement.Requirement, len(entries))
	for _, e := range entries {
		known[e.ID] = e
	}
	var list []requirement.Rule
	for _, r := range b.Rules {
		q, ok := known[r.ID]
		if !ok {
			continue
		}
		q.Severity = cmp.Or(r.Severity, q.Severity)
		q.Demand, q.Reads = cmp.Or(r.Demand, q.Demand), cmp.Or(r.Reads, q.Reads)
		q.Remediation, q.Reference = cmp.Or(r.Fix, q.Remediation), cmp.Or(r.Reference, q.Reference)
		if r.Code != nil {
			q.AWSErrorCode = *r.Code
		}
		if r.Doubts != nil {
			q.Doubts = *r.Doubts
		}
		list = append(list, requirement.Rule{Requirement: q, Terms: r.Terms, NotApplicable: r.NotApplicable})
	}
	return list
}
