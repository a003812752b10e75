package main

import (
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

// expandIDs returns the ids of rule books, and of the user's own rules, that a person names, in their order.
// A "*" stands for any characters, and the part before a dot may be left out if only one id matches then: "tls.tls12"
// is win.tls.tls12.
func expandIDs(named, books, own []string) ([]string, error) {
	all, err := idsOf(books)
	if err != nil {
		return nil, err
	}
	all = append(all, own...)
	var chosen []string
	for _, name := range named {
		ids, err := expandID(name, all)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, ids...)
	}
	return slices.DeleteFunc(all, func(id string) bool { return !slices.Contains(chosen, id) }), nil
}

// idsOf returns the ids of all requirements of the rule books, of the default if there is none.
func idsOf(books []string) ([]string, error) {
	if len(books) == 0 {
		books = []string{rules.Default}
	}
	var all []string
	for _, b := range books {
		catalogue, err := scanner.CatalogueOf(b)
		if err != nil {
			return nil, err
		}
		for _, r := range catalogue {
			if !slices.Contains(all, r.ID) {
				all = append(all, r.ID)
			}
		}
	}
	return all, nil
}

func expandID(name string, all []string) ([]string, error) {
	ids := matching(name, all)
	if len(ids) == 0 && name != "" {
		ids = matching("*."+name, all)
		if len(ids) > 1 && !strings.Contains(name, "*") {
			return nil, usage("name one of them, or all with '*."+name+"'", "%q may be %s", name, prose.List(ids, 5))
		}
	}
	if len(ids) > 0 {
		return ids, nil
	}
	for _, b := range rules.Books() {
		if slices.ContainsFunc(b.Rules, func(r rules.Rule) bool { return r.ID == name }) {
			return nil, usage("--rulebook "+b.Name+" has it", "the rule book has no requirement %q", name)
		}
	}
	names := slices.Clone(all)
	for _, id := range all {
		if _, short, ok := strings.Cut(id, "."); ok {
			names = append(names, short)
		}
	}
	if below := matching(name+".*", all); name != "" && len(below) > 0 {
		return nil, usage("did you mean '"+name+".*'?", "unknown requirement %q", name)
	}
	return nil, usage(didYouMean(name, names, "", "'coldcheck requirements' lists them"), "unknown requirement %q", name)
}

// matching returns the ids that a pattern matches, in which only "*" is special.
func matching(pattern string, ids []string) []string {
	if strings.ContainsAny(pattern, `?[\`) { // no id contains them
		return nil
	}
	var list []string
	for _, id := range ids {
		if ok, err := path.Match(pattern, id); ok && err == nil {
			list = append(list, id)
		}
	}
	return list
}
