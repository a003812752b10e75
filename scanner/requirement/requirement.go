// Package requirement defines the types of a scan's result: requirements,
// findings and their evidence. It does not depend on disks or operating
// systems.
package requirement

import "context"

// Platform is the family of systems that a requirement applies to.
type Platform string

// The platforms of the catalogue.
const (
	Any     Platform = "any"
	Windows Platform = "windows"
	Linux   Platform = "linux"
)

// Scope is where the evidence of a requirement comes from.
type Scope string

// Evidence of scope Disk is on the images. Only the service has evidence of
// scope Service; it comes from a document, if the caller has one.
const (
	Disk    Scope = "disk"
	Service Scope = "service"
)

// Severity is the effect of an unmet requirement.
type Severity string

// Required blocks image creation. Recommended is at most a warning. Info lists
// facts and requires nothing.
const (
	Required    Severity = "required"
	Recommended Severity = "recommended"
	Info        Severity = "info"
)

// Requirement is one row of the catalogue. It does not depend on a scan; its
// result in one scan is a Finding.
type Requirement struct {
	ID           string
	Platform     Platform
	Scope        Scope
	Severity     Severity
	AWSErrorCode string // the service's error code for the failure, "" if it has none
	Demand       string // the requirement as a sentence: "Services must not run under a domain account."

	Reads       string // the files, keys or documents that decide it
	Live        string // how to check it on the running system
	Doubts      string // uncertainty about the service's rule, "" if there is none
	Remediation string // how to meet it; an Outcome may have a more precise text
	Reference   string // the section of "Create a Custom WorkSpaces Image and Bundle"
}

// Check is a rule of a rule book bound to the facts of one system.
type Check struct {
	Rule
	// Decide checks the requirement. It is called at most once. When the
	// context ends, further reads fail with the context's cause.
	Decide func(context.Context) Outcome
	// Counts reports whether the verdict depends on the finding, for a
	// requirement of severity Required. nil means that it does.
	Counts func() bool
}

// Entry is a row of a catalogue: a requirement and the function that checks it
// against facts of type M. Apart from the rule books that contain it, the row is
// the only registration that a requirement needs.
type Entry[M any] struct {
	Requirement
	Judge func(M) Outcome
	Terms []string // the names of the terms that Judge and Counts use
	// Counts reports whether the facts can decide the requirement. If they can
	// and it is required, the verdict depends on it. nil means that they always
	// can.
	Counts func(M) bool
}

// List returns the requirements of a catalogue, in its order.
func List[M any](catalogue []Entry[M]) []Requirement {
	list := make([]Requirement, len(catalogue))
	for i, e := range catalogue {
		list[i] = e.Requirement
	}
	return list
}

// TermNames returns the names of the terms of each entry that has some.
func TermNames[M any](catalogue []Entry[M]) map[string][]string {
	names := map[string][]string{}
	for _, e := range catalogue {
		if len(e.Terms) > 0 {
			names[e.ID] = e.Terms
		}
	}
	return names
}
