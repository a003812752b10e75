package scanner

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/coldcheck/coldcheck/scanner/internal/linux"
	"github.com/coldcheck/coldcheck/scanner/internal/windows"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

// Catalogue lists the rules of the default rule book, in the order of reports.
func Catalogue() []requirement.Requirement {
	list, err := CatalogueOf(rules.Default)
	if err != nil {
		panic(err) // a defect of the program, which every test finds
	}
	return list
}

// CatalogueOf lists the requirements of a rule book as it has them, in the order
// of reports. The error is ErrUsage for a rule book that does not exist.
func CatalogueOf(name string) ([]requirement.Requirement, error) {
	b, err := findBook(name)
	if err != nil {
		return nil, err
	}
	list := make([]requirement.Requirement, len(b.rules))
	for i, r := range b.rules {
		list[i] = r.Requirement
	}
	return list, nil
}

// AllRequirements lists every requirement once: those of the default rule book, then
// those that other rule books add, each as the first rule book has it.
func AllRequirements() []requirement.Requirement {
	all, err := books()
	if err != nil {
		panic(err) // as in Catalogue
	}
	var list []requirement.Requirement
	seen := map[string]bool{}
	for _, b := range all {
		for _, r := range b.rules {
			if !seen[r.ID] {
				seen[r.ID] = true
				list = append(list, r.Requirement)
			}
		}
	}
	return list
}

// entries lists the requirements of all rule books.
func entries() []requirement.Requirement {
	return slices.Concat(requirement.List(serviceCatalogue), requirement.List(practices), windows.Entries(),
		linux.Entries())
}

// termNames returns for each requirement the names of its terms.
func termNames() map[string][]string {
	names := windows.Terms()
	for _, more := range []map[string][]string{linux.Terms(), requirement.TermNames(serviceCatalogue),
		requirement.TermNames(practices)} {
		maps.Copy(names, more)
	}
	return names
}

// book is a rule book with its rules as they are applied.
type book struct {
	*rules.Book
	rules []requirement.Rule
	added []requirement.Requirement // rules of the user's own
}

var books = sync.OnceValues(func() ([]book, error) { return resolve(rules.Books()) })

func resolve(all []*rules.Book) ([]book, error) {
	var list []book
	known, terms := entries(), termNames()
	for _, b := range all {
		resolved := b.Resolve(known)
		for i, r := range b.Rules {
			if i == len(resolved) || resolved[i].ID != r.ID {
				return nil, fmt.Errorf("rule book %s: no requirement %q", b.Name, r.ID)
			}
		}
		for _, r := range resolved {
			stated := slices.Sorted(maps.Keys(r.Terms))
			if used := slices.Sorted(slices.Values(terms[r.ID])); !slices.Equal(stated, used) && r.NotApplicable == "" {
				return nil, fmt.Errorf("rule book %s: %s has the terms %q, and its check uses %q", b.Name, r.ID, stated, used)
			}
		}
		list = append(list, book{Book: b, rules: resolved})
	}
	return list, nil
}

// findBook returns the rule book of that name; "" is the default.
func findBook(name string) (book, error) {
	name = cmp.Or(name, rules.Default)
	all, err := books()
	if err != nil {
		return book{}, err
	}
	for _, b := range all {
		if b.Name == name {
			return b, nil
		}
	}
	return book{}, fail(ErrUsage, "'coldcheck requirements --help' lists the rule books", "unknown rule book %q", name)
}

// CheckRuleBooks returns an ErrUsage for RuleBooks that no scan can use together, or that
// do not exist.
func (in *Input) CheckRuleBooks() error {
	_, err := in.ruleBooks()
	return err
}

// ruleBooks returns the rule books of a scan, the first one first. The error is
// ErrUsage.
func (in *Input) ruleBooks() ([]book, error) {
	if len(in.RuleBooks) == 0 {
		b, err := findBook("")
		b.added = in.Rules.Requirements()
		return []book{b}, err
	}
	var list []book
	for _, name := range in.RuleBooks {
		b, err := findBook(name)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(o book) bool { return o.Name == b.Name }) {
			return nil, fail(ErrUsage, "", "rule book %s is named twice", b.Name)
		}
		b.added = in.Rules.Requirements()
		list = append(list, b)
	}
	if len(list) > 1 {
		for _, b := range list {
			if b.Alone {
				return nil, fail(ErrUsage, "scan with it alone", "rule book %s is for %s, and no other one is",
					b.Name, b.Judges)
			}
		}
	}
	return list, nil
}

// hasRule says whether one of the rule books, or the user, has a rule of that id.
func hasRule(list []book, id string) bool {
	return slices.ContainsFunc(list, func(b book) bool {
		return slices.ContainsFunc(b.rules, func(r requirement.Rule) bool { return r.ID == id }) ||
			slices.ContainsFunc(b.added, func(r requirement.Requirement) bool { return r.ID == id })
	})
}
