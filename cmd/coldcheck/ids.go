package main

import (
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
)

// expandIDs returns the ids of the catalogue that a person names, in its order. A "*" stands for any characters, and
// the part before a dot may be left out if only one id matches then: "tls.tls12" is win.tls.tls12.
func expandIDs(named []string) ([]string, error) {
	var all, chosen []string
	for _, r := range scanner.AllRequirements() {
		all = append(all, r.ID)
	}
	for _, name := range named {
		ids, err := expandID(name, all)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, ids...)
	}
	return slices.DeleteFunc(all, func(id string) bool { return !slices.Contains(chosen, id) }), nil
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
