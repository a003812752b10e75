package scanner

import (
	"errors"
	"io/fs"
	"time"

	ground "github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	filesystem "github.com/coldcheck/coldcheck/scanner/volume"
)

// FindWindows returns the name of the folder in the root of a volume that
// contains Windows, as it is spelled there; "" if the volume has no Windows.
func FindWindows(fsys fs.FS) (folder string, err error) {
	folder, err = ground.FindSystemRoot(fsys)
	if errors.Is(err, ground.ErrNoWindows) {
		return "", nil
	}
	return folder, err
}

// HoldsSystem reports whether a volume is the root volume of a system.
func HoldsSystem(system filesystem.System, fsys filesystem.FS) (bool, error) {
	return families[system].holdsSystem(fsys)
}

// families has what a scan needs to know of each kind of system to find its
// volumes.
var families = map[filesystem.System]family{filesystem.Windows: windowsFamily{}, filesystem.Linux: linuxFamily{}}

// family identifies the volumes of one kind of system. Its methods get only
// filesystems of that kind.
type family interface {
	// holdsSystem says whether the root of a system is on the volume.
	holdsSystem(filesystem.FS) (bool, error)
	// holdsUsers says whether homes or profiles are on the volume; mayHoldData
	// whether it may be the user volume at all, and is none that only starts
	// or repairs the system.
	holdsUsers(filesystem.FS) bool
	mayHoldData(filesystem.FS) bool
	// newest is the latest time of a change that is not after the given one, as
	// far as that is known; zero if it is not.
	newest(fsys filesystem.FS, until time.Time) time.Time
}
