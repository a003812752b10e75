package scanner

import (
	"context"
	"time"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules/facts"
	"github.com/coldcheck/coldcheck/scanner/statement"
	filesystem "github.com/coldcheck/coldcheck/scanner/volume"
)

// inputs are what a system needs in addition to its volumes.
type inputs struct {
	ctx       context.Context
	documents []*statement.Document
	userName  string
	sizes     bool // Input.Sizes
	trail     *requirement.Trail
	now       time.Time
}

// openSystem opens the system on the root volume. It is the only place that
// chooses between systems.
func openSystem(vs *volumes, g inputs) (system, error) {
	var sys system
	var err error
	switch vs.root.system {
	case filesystem.Windows:
		sys, err = openWindows(vs, g)
	case filesystem.Linux:
		sys, err = openLinux(vs, g)
	}
	if err != nil {
		return nil, fail(ErrNoSystem, "", "%s: %w", vs.root.name(), err)
	}
	return sys, nil
}

// system is what a scan needs of the system on the root volume, whichever it is.
type system interface {
	Platform() (Platform, error)
	ComputerName() (string, error)
	HasUser(name string) (bool, error)
	kind() (systemKind, error)
	facts.Source // of the system as it last ran
	// atNextStart is how the system judges rules of users with what the next start may
	// change; nil if it changes nothing.
	atNextStart() facts.Source
	Checks(rules []requirement.Rule) []requirement.Check
}
