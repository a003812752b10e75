package registry

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
)

// maxLinks is how many symbolic links are followed for one path. Windows' own lead to their target at once.
const maxLinks = 16

// A HiveOpener opens the hive of a file: "SYSTEM", "SOFTWARE", "SAM", "SECURITY", "DEFAULT", "COMPONENTS", "DRIVERS",
// or of a user: `HKU\<SID>` and `HKU\<SID>_Classes`, the SID in upper case. It is called once for each, when the hive
// is first needed. Its error is kept and passed through, but never as fs.ErrNotExist: if the hive is missing, nothing
// is known about its keys. An opener that must not read an unrecovered hive returns the Err of the hive's Recovery.
type HiveOpener func(file string) (*Hive, error)

// A Machine is the namespace of a machine's registry as its hive files have it. Keys that Windows makes anew at every
// start and never writes (volatile keys, such as HKLM\SYSTEM\CurrentControlSet\Control\hivelist) are not there. A
// Machine is safe for concurrent use.
type Machine struct {
	hives *hiveTable

	controlSet func() (ControlSet, error)
}

// A hiveTable keeps the hives that were opened.
type hiveTable struct {
	open  HiveOpener
	mu    sync.Mutex
	hives map[string]func() (*Hive, error)
}

// NewMachine returns the namespace of the machine whose hives open opens.
func NewMachine(open HiveOpener) *Machine {
	m := &Machine{hives: &hiveTable{open: open, hives: map[string]func() (*Hive, error){}}}
	m.controlSet = sync.OnceValues(m.findControlSet)
	return m
}

// AtNextStart returns the namespace as it will be after the next start: the same hives, with CurrentControlSet as
// NextControlSet has it.
func (m *Machine) AtNextStart() *Machine {
	next := &Machine{hives: m.hives}
	next.controlSet = sync.OnceValues(next.NextControlSet)
	return next
}

// Key returns the key Windows would open under a name:
//
//   - HKLM\SYSTEM, HKLM\SOFTWARE, HKLM\SAM, HKLM\SECURITY, HKLM\COMPONENTS, HKLM\DRIVERS and everything below them;
//     CurrentControlSet is the one that ControlSet names.
//   - HKU\.DEFAULT and its other name HKU\S-1-5-18, HKU\<SID>, HKU\<SID>_Classes.
//   - HKCC is HKLM\SYSTEM\CurrentControlSet\Hardware Profiles\Current. HKCR is HKLM\SOFTWARE\Classes: the part of the
//     machine, without a user's additions. HKCU is ErrUnsupported: nobody is logged on.
//   - The long names (HKEY_LOCAL_MACHINE) and the kernel's (\Registry\Machine) stand for the short ones.
//
// Names are compared without case. Symbolic links are followed. Errors are those of the opener and of Hive.Key,
// and ErrUnsupported for a name that no hive file holds.
func (m *Machine) Key(path string) (*Key, error) {
	for links := 0; ; links++ {
		h, _, rest, err := m.Resolve(path)
		if err != nil {
			return nil, err
		}
		k, rest, err := h.find(rest)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		target, err := k.SymbolicLink()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if target == "" {
			return k, nil
		}
		if links == maxLinks {
			return nil, fmt.Errorf("%s: %w: more than %d symbolic links", path, ErrCorrupt, maxLinks)
		}
		path = join(target, rest)
	}
}

// Resolve maps a path to the hive that holds it, the name the opener was called with, and the path within the hive.
// It does not look whether the key is there and follows no symbolic links.
func (m *Machine) Resolve(path string) (hive *Hive, hiveName, keyPath string, err error) {
	fail := func(why string) (*Hive, string, string, error) {
		return nil, "", "", fmt.Errorf("%s: %w: %s", path, ErrUnsupported, why)
	}
	root, rest := splitRoot(path)
	name, rest := cutName(rest)
	upper := strings.ToUpper(name)
	switch root {
	case "HKLM":
		switch upper {
		case "SYSTEM":
			if first, below := cutName(rest); strings.EqualFold(first, "CurrentControlSet") {
				set, err := m.ControlSet()
				if err != nil {
					return nil, "", "", err
				}
				rest = join(set.Name, below)
			}
		case "SOFTWARE", "SAM", "SECURITY", "COMPONENTS", "DRIVERS":
		case "HARDWARE":
			return fail("it is created at every start and is in no file")
		default:
			return fail("no hive file is known for it; name one, as in HKLM\\SYSTEM")
		}
		hiveName = upper
	case "HKU":
		switch upper {
		case "":
			return fail("name a user, as in HKU\\S-1-5-21-…")
		case ".DEFAULT", "S-1-5-18":
			hiveName = "DEFAULT"
		default:
			hiveName = `HKU\` + strings.Replace(upper, "_CLASSES", "_Classes", 1)
		}
	case "HKCU":
		return fail("no user is logged on; name the user, as in HKU\\S-1-5-21-…")
	default:
		return fail("it is below no root key; these are HKLM, HKU, HKCR and HKCC")
	}
	hive, err = m.hive(hiveName)
	if err != nil {
		return nil, hiveName, "", err
	}
	return hive, hiveName, rest, nil
}

// hive returns the hive of a file, opened at the first call.
func (m *Machine) hive(file string) (*Hive, error) { return m.hives.get(file) }

func (t *hiveTable) get(file string) (*Hive, error) {
	t.mu.Lock()
	open, ok := t.hives[file]
	if !ok {
		open = sync.OnceValues(func() (*Hive, error) {
			h, err := t.open(file)
			if err != nil {
				err = openError{err}
			}
			return h, err
		})
		t.hives[file] = open
	}
	t.mu.Unlock()
	return open()
}

// An openError is all that an opener's error is, except fs.ErrNotExist.
type openError struct{ err error }

func (e openError) Error() string        { return e.err.Error() }
func (e openError) Is(target error) bool { return target != fs.ErrNotExist && errors.Is(e.err, target) }
func (e openError) As(target any) bool   { return errors.As(e.err, target) }

// hardwareProfile is where HKCC leads.
const hardwareProfile = `HKLM\SYSTEM\CurrentControlSet\Hardware Profiles\Current`

// roots maps the names of root keys, in upper case, to their short names or to where they lead.
var roots = map[string]string{
	"HKLM": "HKLM", "HKEY_LOCAL_MACHINE": "HKLM", `REGISTRY\MACHINE`: "HKLM",
	"HKU": "HKU", "HKEY_USERS": "HKU", `REGISTRY\USER`: "HKU",
	"HKCU": "HKCU", "HKEY_CURRENT_USER": "HKCU",
	"HKCR": `HKLM\SOFTWARE\Classes`, "HKEY_CLASSES_ROOT": `HKLM\SOFTWARE\Classes`,
	"HKCC": hardwareProfile, "HKEY_CURRENT_CONFIG": hardwareProfile,
}

// splitRoot returns the short name of the root key of a path, "" if there is none, and the rest of the path.
func splitRoot(path string) (root, rest string) {
	root, rest = cutName(strings.TrimLeft(path, `\`))
	if strings.EqualFold(root, "REGISTRY") {
		root, rest = cutName(rest)
		root = `REGISTRY\` + root
	}
	root, below := cutName(roots[strings.ToUpper(root)])
	return root, join(below, rest)
}

// cutName returns the first name of a path and the rest.
func cutName(path string) (name, rest string) {
	name, rest, _ = strings.Cut(path, `\`)
	return name, strings.TrimLeft(rest, `\`)
}

// join returns the path a\b, either of which may be empty.
func join(a, b string) string { return strings.Trim(a+`\`+b, `\`) }

// A Selection is how a control set was chosen: by a value of HKLM\SYSTEM\Select, or because it is the
// only one.
type Selection string

// Ways to choose a control set.
const (
	SelectCurrent       Selection = "Current"       // the control set of the last start
	SelectDefault       Selection = "Default"       // the one of the next start
	SelectLastKnownGood Selection = "LastKnownGood" // the one of the last start with a logon
	SelectOnly          Selection = "only"          // no value: the hive has a single control set
)

// A Selected is a Selection and the number that it gives. Without a written value it
// names no control set.
type Selected struct {
	By      Selection
	Written bool   // the value is there; false for SelectOnly
	Number  uint32 // the value, which is the number of the control set; 0 if it is not written
}

// A ControlSet is a control set of HKLM\SYSTEM, and why it was chosen.
type ControlSet struct {
	Name     string     // "ControlSet001"
	Chosen   Selected   // how it was chosen
	PassedBy []Selected // tried before: values that do not exist, and numbers of missing control sets

	Failed    uint32 // Select\Failed: the control set of the last failed start, 0 if none or not written
	FailedErr error  // why Select\Failed cannot be read; the choice does not depend on it
}

// ControlSet returns the control set that CurrentControlSet stands for: the one that Select\Current names, else
// Select\Default, else Select\LastKnownGood, else the only one. A value counts only if its control set is there; a
// value that is there but cannot be read is an error.
func (m *Machine) ControlSet() (ControlSet, error) { return m.controlSet() }

func (m *Machine) findControlSet() (ControlSet, error) {
	h, err := m.hive("SYSTEM")
	if err != nil {
		return ControlSet{}, err
	}
	set, err := chooseControlSet(h)
	if err != nil {
		return ControlSet{}, fmt.Errorf("CurrentControlSet: %w", err)
	}
	if set.Failed, err = selected(h, "Failed"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		set.FailedErr = err
	}
	return set, nil
}

func chooseControlSet(h *Hive) (set ControlSet, err error) {
	var tried []string
	for _, by := range []Selection{SelectCurrent, SelectDefault, SelectLastKnownGood} {
		n, err := selected(h, string(by))
		if errors.Is(err, fs.ErrNotExist) {
			set.PassedBy = append(set.PassedBy, Selected{By: by})
			tried = append(tried, "no Select\\"+string(by))
			continue
		}
		if err != nil {
			return ControlSet{}, err
		}
		s := Selected{By: by, Written: true, Number: n}
		_, err = h.Key(controlSetName(n))
		if errors.Is(err, fs.ErrNotExist) {
			set.PassedBy = append(set.PassedBy, s)
			tried = append(tried, missingControlSet(s))
			continue
		}
		if err != nil {
			return ControlSet{}, err
		}
		set.Name, set.Chosen = controlSetName(n), s
		return set, nil
	}
	set.Chosen = Selected{By: SelectOnly}
	if set.Name, err = onlyControlSet(h); err != nil {
		return ControlSet{}, fmt.Errorf("%s, %w", strings.Join(tried, ", "), err)
	}
	return set, nil
}

// NextControlSet returns the control set that the next start uses: the one that Select\Default names. If that is not
// written, or names one that is not there, the error is ErrCorrupt: Windows writes both.
func (m *Machine) NextControlSet() (ControlSet, error) {
	h, err := m.hive("SYSTEM")
	if err != nil {
		return ControlSet{}, err
	}
	n, err := selected(h, string(SelectDefault))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: no Select\\Default", ErrCorrupt)
	}
	if err != nil {
		return ControlSet{}, fmt.Errorf("control set of the next start: %w", err)
	}
	set := ControlSet{Name: controlSetName(n), Chosen: Selected{By: SelectDefault, Written: true, Number: n}}
	if _, err = h.Key(set.Name); errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %s", ErrCorrupt, missingControlSet(set.Chosen))
	}
	if err != nil {
		return ControlSet{}, fmt.Errorf("control set of the next start: %w", err)
	}
	return set, nil
}

func controlSetName(n uint32) string { return fmt.Sprintf("ControlSet%03d", n) }

func missingControlSet(s Selected) string {
	return fmt.Sprintf("Select\\%s is %d and there is no %s", s.By, s.Number, controlSetName(s.Number))
}

// selected returns a value of the key Select.
func selected(h *Hive, name string) (uint32, error) {
	k, err := h.Key("Select")
	if err != nil {
		return 0, err
	}
	v, err := k.Value(name)
	if err != nil {
		return 0, err
	}
	return v.Uint32()
}

// onlyControlSet returns the name of the only control set.
func onlyControlSet(h *Hive) (string, error) {
	root, err := h.Root()
	if err != nil {
		return "", err
	}
	keys, err := root.Subkeys()
	if err != nil {
		return "", err
	}
	var sets []string
	for _, k := range keys {
		if ok, _ := path.Match("CONTROLSET[0-9][0-9][0-9]", strings.ToUpper(k.Name())); ok {
			sets = append(sets, k.Name())
		}
	}
	if len(sets) != 1 {
		return "", fmt.Errorf("%w: %d control sets", ErrCorrupt, len(sets))
	}
	return sets[0], nil
}
