// Package requirement is the vocabulary of a scan: what is demanded, what was
// found, and what the finding rests on. It knows neither disks nor systems.
package requirement

import "context"

// Platform is the family of systems that a requirement concerns.
type Platform string

// The platforms of the catalogue.
const (
	Any     Platform = "any"
	Windows Platform = "windows"
	Linux   Platform = "linux"
)

// Scope says where the evidence of a requirement lies.
type Scope string

// Evidence of scope Disk is on the images; that of scope Service is known to
// the service alone and comes from a document, if at all.
const (
	Disk    Scope = "disk"
	Service Scope = "service"
)

// Severity says what an unmet requirement means.
type Severity string

// Required blocks image creation. Recommended is at most a warning. Info
// carries content and no demand.
const (
	Required    Severity = "required"
	Recommended Severity = "recommended"
	Info        Severity = "info"
)

// Requirement is one row of the catalogue. It is data: what was found of it in
// one scan is a Finding.
type Requirement struct {
	ID           string
	Platform     Platform
	Scope        Scope
	Severity     Severity
	AWSErrorCode string // the service's own name for the failure, "" if it has none
	Demand       string // the requirement as a sentence: "Services must not run under a domain account."

	Reads       string // what on the disk, or in which document, decides it
	Live        string // how to check it on the running system
	Doubts      string // what is uncertain about the service's rule, "" if nothing is
	Remediation string // how to meet it; an Outcome may bring a more precise text
	Reference   string // the section of "Create a Custom WorkSpaces Image and Bundle"
}

// Check is a requirement bound to the facts of one system.
type Check struct {
	Requirement
	// Decide judges the requirement. It is called at most once. When the context
	// ends, what still has to be read is an error with the context's cause.
	Decide func(context.Context) Outcome
	// Counts reports whether the verdict depends on the finding of a required
	// requirement. nil means that it does.
	Counts func() bool
}

// Entry is a row of a catalogue: a requirement, and the function that brings
// facts of type M to its judgment. A requirement is registered by its row only.
type Entry[M any] struct {
	Requirement
	Judge func(M) Outcome
	// Counts reports whether the facts settle the requirement, so that the verdict
	// depends on it if it is required. nil means that it always depends on it.
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

// Bind binds a catalogue to one system. within returns the system as one
// requirement sees it, whose reading ends with the context.
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
