package linux

import (
	"path"
	"strconv"
	"strings"
)

// systemdVersion is the first number of systemd's version, 0 if it is not
// known.
type systemdVersion int

// has says whether systemd knows what came with a version. An unknown version
// counts as a recent one; the result is then uncertain (see differs).
func (v systemdVersion) has(since int) bool { return v == 0 || int(v) >= since }

// What came when, of what decides whether a unit starts (systemd's NEWS).
const (
	sincePrefixDropIns = 239 // foo-.service.d
	sinceTypeDropIns   = 244 // service.d
	sinceUpholds       = 249 // Upholds=
	sinceUpheldFolders = 254 // .upholds folders
	sinceMaskedWants   = 233 // a link to /dev/null in a .wants folder takes back a dependency
	sinceExecCondition = 243
	// What requires a unit that cannot start has no job; before, only what asks for
	// it by itself is refused.
	sinceDroppedJobs = 255
	sinceExecFault   = 231 // a command that cannot be parsed refuses the unit
)

// skipsCommentsInside says whether comments between the lines of one setting
// are skipped; earlier versions take them for a part of it.
func (v systemdVersion) skipsCommentsInside() bool { return v.has(239) }

// conditionsSince lists conditions by the version that brought them, those
// that all versions of supported systems know with 0 (systemd's NEWS).
var conditionsSince = map[string]int{
	"PathExists": 0, "PathExistsGlob": 0, "PathIsDirectory": 0, "PathIsSymbolicLink": 0, "PathIsMountPoint": 0,
	"PathIsReadWrite": 0, "DirectoryNotEmpty": 0, "FileNotEmpty": 0, "FileIsExecutable": 0, "KernelCommandLine": 0,
	"Virtualization": 0, "Security": 0, "Capability": 0, "Host": 0, "ACPower": 0, "Architecture": 0, "NeedsUpdate": 0,
	"FirstBoot": 0, "User": 234, "Group": 234, "KernelVersion": 237, "ControlGroupController": 237, "Memory": 242,
	"CPUs":        242,
	"Environment": 246, "PathIsEncrypted": 246, "CPUFeature": 248, "Firmware": 249, "OSRelease": 249,
	"MemoryPressure": 250, "CPUPressure": 250, "IOPressure": 250, "Credential": 252, "PathIsSocket": 258,
	"Version": 258, "KernelModuleLoaded": 258,
}

// SystemdVersion reads which systemd the system has: from the package that
// owns it, else from the name of its library. Of a system that shows neither it
// is 0.
func (m *Machine) SystemdVersion() (systemdVersion, error) {
	return m.systemd.Get(m.next().readSystemdVersion)
}

func (m *Machine) readSystemdVersion() (systemdVersion, error) {
	if p, _, err := m.installed("systemd"); err == nil && p != nil {
		if v := leadingNumber(p.Version); v > 0 {
			return v, nil
		}
	}
	for _, folder := range []string{"/usr/lib/systemd", "/usr/lib/x86_64-linux-gnu/systemd",
		"/usr/lib/aarch64-linux-gnu/systemd", "/usr/lib64/systemd", "/lib/systemd"} {
		entries, _, err := m.tree.list(folder)
		if err != nil {
			return 0, err
		}
		for _, e := range entries {
			if rest, ok := strings.CutPrefix(path.Base(e.Name()), "libsystemd-shared-"); ok {
				if v := leadingNumber(rest); v > 0 {
					return v, nil
				}
			}
		}
	}
	return 0, nil
}

// leadingNumber is the number that a version begins with, behind an epoch.
func leadingNumber(version string) systemdVersion {
	if _, rest, ok := strings.Cut(version, ":"); ok {
		version = rest
	}
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 0 {
		end = len(version)
	}
	n, err := strconv.ParseUint(version[:end], 10, 16)
	if err != nil {
		return 0
	}
	return systemdVersion(n)
}
