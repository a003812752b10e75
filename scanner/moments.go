package scanner

import (
	"fmt"
	"io/fs"
	"path"
	"time"

	"github.com/coldcheck/coldcheck/scanner/internal/linux"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// maxApart is how far apart the newest times of the root and the user volume
// may be. Snapshots of one moment differ by as long as the user was away.
const maxApart = 24 * time.Hour

// differentMoments notifies of snapshots that seem to be of different moments:
// what one of them has of the other may be out of date.
func (vs *volumes) differentMoments(now time.Time, trail *requirement.Trail) {
	if vs.user == nil || vs.user.fs == nil || vs.root.image == vs.user.image {
		return
	}
	until := now.Add(maxApart) // a clock that goes wrong says nothing
	root, user := vs.root.newest(until), vs.user.newest(until)
	if message := apart(root, user); message != "" {
		trail.Notify(requirement.Notice{Level: requirement.LevelInfo, Message: message})
	}
}

// newest is the latest time of a change that is not after the given one, as far
// as that is known; zero if it is not.
func (v *volume) newest(until time.Time) time.Time {
	if !v.readable() {
		return time.Time{} // what starts a system says nothing of when it was used
	}
	return families[v.system].newest(v.fs, until)
}

// apart compares the newest times of both volumes, which are zero where they
// are not known.
func apart(root, user time.Time) string {
	if root.IsZero() || user.IsZero() || root.Sub(user).Abs() <= maxApart {
		return ""
	}
	const layout = "2006-01-02 15:04:05Z"
	return fmt.Sprintf(
		"The newest change of the root volume is from %s, and that of the user volume from %s: "+
			"more than %d hours apart. Check that both snapshots were taken at the same time.",
		root.UTC().Format(layout), user.UTC().Format(layout), int(maxApart.Hours()))
}

// busySystem and busyHomes are folders in which something changes while a Linux
// system runs: of its root volume, and of any other. The times of all inodes are not
// in the index, and the other folders at the top of a root volume are far apart.
var (
	busySystem = []string{
		"var/log", "var/log/journal", "var/lib", "var/lib/systemd", "var/spool", "etc", "tmp", "root",
	}
	busyHomes = []string{".", "var/log", "var/log/journal", "var/lib", "var/lib/systemd", "var/spool", "etc", "home"}
)

const (
	maxBusyFolders = 1000
	maxBusyEntries = 10_000
)

// newestOf returns the newest time of the entries of the folders that change,
// and of their direct subfolders.
func newestOf(fsys linux.Filesystem, until time.Time) time.Time {
	var newest time.Time
	folders, entries := 0, 0
	var look func(dir string, deeper int)
	look = func(dir string, deeper int) {
		if folders++; folders > maxBusyFolders {
			return
		}
		list, err := fs.ReadDir(fsys, dir)
		if err != nil {
			return // what needs the folder reports it
		}
		for _, e := range list {
			if entries++; entries > maxBusyEntries {
				return
			}
			info, err := e.Info()
			if err != nil {
				continue
			}
			if t := info.ModTime(); t.After(newest) && !t.After(until) {
				newest = t
			}
			if e.IsDir() && deeper > 0 {
				look(path.Join(dir, e.Name()), deeper-1)
			}
		}
	}
	busy := busyHomes
	if system, _ := linux.IsRoot(fsys); system {
		busy = busySystem
	}
	for _, dir := range busy {
		look(dir, 1)
	}
	return newest
}
