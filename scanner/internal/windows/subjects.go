package windows

import (
	"cmp"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// subjectOf is what a piece of evidence shows, as a finding names it to programs: a
// file, a folder, or what a key or value of the registry sets.
func subjectOf(ev requirement.Evidence, reason requirement.Reason) requirement.Subject {
	s := requirement.Subject{Kind: requirement.SubjectFile, ID: ev.Path, Reason: reason}
	switch ev.Kind {
	case requirement.KindKey, requirement.KindValue:
		s.Kind, s.ID, s.Value = requirement.SubjectSetting, ev.Key, ev.Data
		if ev.Kind == requirement.KindValue {
			s.ID = machine.JoinKey(ev.Key, ev.Value)
		}
		return s
	case requirement.KindFolder, requirement.KindTree:
		s.Kind = requirement.SubjectFolder
	}
	if ev.Source != machine.RoleRoot {
		s.Value = ev.Source
	}
	return s
}

// subjectsOf are what pieces of evidence show, all with one reason.
func subjectsOf(evidence []requirement.Evidence, reason requirement.Reason) []requirement.Subject {
	about := make([]requirement.Subject, len(evidence))
	for i, ev := range evidence {
		about[i] = subjectOf(ev, reason)
	}
	return about
}

// titles names things as Windows shows them to a person.
func titles(about []requirement.Subject) string {
	var names []string
	for _, s := range about {
		names = append(names, prose.Short(cmp.Or(s.Name, s.ID)))
	}
	return prose.Some(names)
}

// form is the word for so many things, as Count of package prose writes them.
func form(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
