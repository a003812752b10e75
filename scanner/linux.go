package scanner

import (
	"io/fs"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/scanner/internal/linux"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
	"github.com/coldcheck/coldcheck/scanner/rules/facts"
	filesystem "github.com/coldcheck/coldcheck/scanner/volume"
)

// linuxFamily identifies the volumes of Linux systems.
type linuxFamily struct{}

func (linuxFamily) holdsSystem(fsys filesystem.FS) (bool, error) { return linux.IsRoot(fsys) }

// holdsUsers says whether the volume was mounted at /home, or shows a home.
func (linuxFamily) holdsUsers(fsys filesystem.FS) bool {
	return fsys.Info().LastMounted == "/home" || showsHome(fsys)
}

// mayHoldData excludes the volume at /boot.
func (linuxFamily) mayHoldData(fsys filesystem.FS) bool { return !showsBoot(fsys) }

// newest looks at the folders that change while a system runs: the times of all
// inodes are not in the index.
func (linuxFamily) newest(fsys filesystem.FS, until time.Time) time.Time {
	newest := newestOf(fsys, until)
	if t := fsys.Newest(until); t.After(newest) {
		return t
	}
	return newest
}

// showsHome says whether a folder of the volume is the home of a user.
func showsHome(fsys linux.Filesystem) bool {
	folders, err := fsys.ReadDir(".")
	if err != nil {
		return false
	}
	for _, f := range folders {
		for _, dot := range []string{".bashrc", ".bash_profile", ".profile"} {
			if _, err := fsys.Lstat(f.Name() + "/" + dot); err == nil {
				return true
			}
		}
	}
	return false
}

// showsBoot reports whether the volume is the one at /boot.
func showsBoot(fsys linux.Filesystem) bool {
	entries, err := fsys.ReadDir(".")
	if err != nil {
		return false
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "vmlinuz") || strings.HasPrefix(e.Name(), "grub") {
			return true
		}
	}
	return false
}

// linuxVolume adapts a filesystem to the Linux checks.
func linuxVolume(fsys filesystem.FS) linux.Volume {
	info := fsys.Info()
	v := linux.Volume{
		FS: fsys, Type: info.MountType,
		Identity: linux.Identity{UUID: info.ID, Label: info.Label, LastMounted: info.LastMounted},
		Usage: func() (linux.Usage, error) {
			u, err := fsys.Usage()
			return linux.Usage{Size: u.Size, Used: u.Used, Available: u.Available}, err
		},
		Totals: func(name string) (linux.Totals, error) {
			t, err := fsys.Totals(name)
			return linux.Totals(t), err
		},
	}
	if info.Numbered {
		v.Inode = func(i fs.FileInfo) uint64 { return fsys.Node(i).ID }
	}
	return v
}

// openLinux opens the Linux system on the root volume.
func openLinux(vs *volumes, from inputs) (system, error) {
	in := linux.Input{
		Root:     linuxVolume(vs.root.fs),
		Home:     vs.homeVolume(),
		Layout:   vs.layout.Layout,
		Sizes:    from.sizes,
		Readable: vs.judgeReadable(),
		Context:  from.ctx,
		Waited:   vs.reads.waited,
		Trail:    from.trail,
		Now:      from.now,
	}
	m, err := linux.Open(in)
	if err != nil {
		return nil, err
	}
	return linuxSystem{m}, nil
}

// linuxSystem is a Linux system as the scan sees it.
type linuxSystem struct{ *linux.Machine }

func (l linuxSystem) Platform() (Platform, error) {
	p := Platform{Family: string(requirement.Linux), Name: "Linux"}
	s, err := l.System()
	if err != nil {
		return p, err
	}
	p.Name, p.Version, p.Architecture = s.Name, s.VersionID, s.Architecture
	p.ComputerName, err = l.ComputerName()
	return p, err
}

// kind has the name with the version, and with its first number only.
func (l linuxSystem) kind() (systemKind, error) {
	s, err := l.System()
	if err != nil {
		return systemKind{}, err
	}
	return systemKind{System: rules.Linux, Name: s.Name, Evidence: []requirement.Evidence{s.Evidence},
		Names: []string{s.ID + "-" + s.VersionID, s.ID + "-" + s.Major()}}, nil
}

// atNextStart implements system: the facts are those of the next start.
func (linuxSystem) atNextStart() facts.Source { return nil }
