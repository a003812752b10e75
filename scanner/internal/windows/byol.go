package windows

import (
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Sections of the guide to bringing one's own Windows desktop license, and of other guides that an import follows. A
// warning stops an import as a failure does: the service's script counts both, so that a setting that its script
// warns of is a warning here.
const (
	sectionBYOL         = "Bring Your Own Windows desktop licenses"
	sectionBYOLVersions = sectionBYOL + ": Windows versions that are supported"
	sectionBYOLErrors   = "Common error messages and their solutions"
	sectionBYOLOld      = sectionBYOL + " (2022): Requirements"
	sectionImport       = "VM Import/Export User Guide: Requirements for importing"
	sectionImportVM     = "VM Import/Export User Guide: Prepare your VM"
)

// A numberAt is where a number of the registry is, and what to read it into.
type numberAt struct {
	into       *machine.Setting[uint32]
	key, value string
}

// readNumbers reads numbers that all have to be readable.
func (m *Machine) readNumbers(list ...numberAt) error {
	for _, n := range list {
		var err error
		if *n.into, err = m.DWordAt(n.key, n.value); err != nil {
			return err
		}
	}
	return nil
}

// A textAt is where a text of the registry is, and what to read it into.
type textAt struct {
	into       *machine.Setting[string]
	key, value string
}

// readTexts reads texts that all have to be readable.
func (m *Machine) readTexts(list ...textAt) error {
	for _, t := range list {
		var err error
		if *t.into, err = m.TextAt(t.key, t.value); err != nil {
			return err
		}
	}
	return nil
}

// looseNumberAt looks for a key by its full name and reads a number in it, of either size or written as a string.
func (m *Machine) looseNumberAt(key, value string) (machine.Setting[string], error) {
	k, err := m.Key(key)
	if err != nil {
		return machine.Setting[string]{}, err
	}
	return m.looseNumber(k, value)
}

// atMostWarning is the outcome of a requirement that is only recommended here, by a judgment that may fail.
func atMostWarning(o requirement.Outcome) requirement.Outcome {
	if o.Status == requirement.Failed {
		o.Status = requirement.Warning
	}
	return o
}
