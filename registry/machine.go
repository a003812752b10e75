package registry

// A HiveOpener opens the hive of a file: "SYSTEM", "SOFTWARE", "SAM", "SECURITY", "DEFAULT", "COMPONENTS", "DRIVERS",
// or of a user: `HKU\<SID>` and `HKU\<SID>_Classes`. It is called once for each, when the hive is first needed, and
// its error is kept and passed through. An opener that must not read a dirty hive as it lies returns the Err of
// the hive's Recovery.
type HiveOpener func(file string) (*Hive, error)

// A Machine is the namespace of a machine's registry. It is safe for concurrent use.
type Machine struct{}

// NewMachine returns the namespace of the machine whose hives open opens.
func NewMachine(open HiveOpener) *Machine { return &Machine{} }

// Key returns the key Windows would open under that name: `HKLM\SYSTEM\CurrentControlSet\…`,
// `HKEY_LOCAL_MACHINE\…`, `HKU\<SID>\…`. Symbolic links are followed.
func (m *Machine) Key(path string) (*Key, error) { return nil, ErrUnsupported }

// ControlSet says which control set CurrentControlSet is, and why.
func (m *Machine) ControlSet() (ControlSet, error) { return ControlSet{}, ErrUnsupported }

// Resolve maps a path to the hive that holds it, the name the opener was called with and the path within the hive.
// It does not look whether the key is there and follows no symbolic links.
func (m *Machine) Resolve(path string) (hive *Hive, hiveName, keyPath string, err error) {
	return nil, "", "", ErrUnsupported
}

// A ControlSet is the control set that CurrentControlSet stands for.
type ControlSet struct {
	Name   string // "ControlSet001"
	How    string // how it was chosen
	Failed uint32 // Select\Failed: the control set of the last failed start, 0 if none or not written
}
