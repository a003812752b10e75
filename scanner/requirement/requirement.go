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

// Check is a requirement bound to the facts of one system.
type Check struct {
	Requirement
	// Decide checks the requirement. It is called at most once. When the
	// context ends, further reads fail with the context's cause.
	Decide func(context.Context) Outcome
	// Counts reports whether the verdict depends on the finding, for a
	// requirement of severity Required. nil means that it does.
	Counts func() bool
}

// Entry is a row of a catalogue: a requirement and the function that checks it
// against facts of type M. The row is the only registration that a requirement
// needs.
type Entry[M any] struct {
	Requirement
	Judge func(M) Outcome
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

// Bind binds a catalogue to one system. within returns the facts of the system
// for one requirement; the context limits their reads.
func Bind[M any](catalogue []Entry[M], within func(context.Context) M) []Check {
	checks := make([]Check, len(catalogue))
	for i, e := range catalogue {
		checks[i] = Check{
			Requirement: e.Requirement,
			Decide:      func(ctx context.Context) Outcome { return e.Judge(within(ctx)) },
		}
		if e.Counts != nil {
			checks[i].Counts = func() bool { return e.Counts(within(context.Background())) }
		}
	}
	return checks
}
