package linux

import (
	"fmt"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// faults are several errors of one reading, each cause once and no more than
// maxFaults: a damaged folder makes one for each path through it.
type faults struct {
	list []error
	more int
}

const maxFaults = 4

func (f *faults) Error() string {
	var text string
	for i, err := range f.list {
		if i > 0 {
			text += "; "
		}
		text += err.Error()
	}
	if f.more > 0 {
		text += fmt.Sprintf("; and %d more", f.more)
	}
	return text
}

func (f *faults) Unwrap() []error { return f.list }

// shownErrors is how many errors a message spells out.
const shownErrors = 2

// unreadable is requirement.Unreadable with a sentence for each of several errors.
func unreadable(err error, evidence ...requirement.Evidence) requirement.Outcome {
	several, ok := err.(*faults)
	if !ok {
		return requirement.Unreadable(err, evidence...)
	}
	o := requirement.Unreadable(several.list[0], evidence...)
	for _, e := range several.list[1:min(len(several.list), shownErrors)] {
		o = o.Also(requirement.Unreadable(e).Message) // in one line
	}
	if more := len(several.list) - shownErrors + several.more; more > 0 {
		o = o.Also(prose.Count(more, "more error occurred", "more errors occurred"))
	}
	return o
}

// joinErrors is fact.Join with closer bounds: it keeps the first few different
// errors, and counts the rest.
func joinErrors(list ...error) error {
	all := &faults{}
	for _, err := range list {
		switch err := err.(type) {
		case nil:
		case *faults:
			for _, e := range err.list {
				all.add(e)
			}
			all.more += err.more
		default:
			all.add(err)
		}
	}
	if len(all.list) == 0 {
		return nil
	}
	return all
}

func (f *faults) add(err error) {
	for _, known := range f.list {
		if known == err || known.Error() == err.Error() {
			return
		}
	}
	if fact.Repeats(f.list, err) {
		return
	}
	if len(f.list) >= maxFaults {
		f.more++
		return
	}
	f.list = append(f.list, err)
}
