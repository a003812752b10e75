package scanner

import (
	"context"
	"time"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

// given is what the systems are told beside the volumes.
type given struct {
	ctx       context.Context
	documents []*statement.Document
	userName  string
	trail     *requirement.Trail
	now       time.Time
}

// openSystem opens the system on the root volume. It is the only place that
// chooses between systems.
func openSystem(vs *volumes, g given) (system, error) {
	var sys system
	var err error
	switch root := vs.root.fs.(type) {
	case ntfsVolume:
		sys, err = openWindows(vs, root, g)
	case linuxVolume:
		sys, err = openLinux(vs, root, g)
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
	Checks() []requirement.Check
}
