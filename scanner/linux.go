package scanner

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/coldcheck/coldcheck/ext4"
	"github.com/coldcheck/coldcheck/scanner/internal/linux"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// extVolume is an ext2, ext3 or ext4 volume as the scan sees it.
type extVolume struct {
	*ext4.FS
	// told is the volume as it lies on the disk, where its journal cannot be
	// replayed: enough to tell what it is, not to judge it.
	told *ext4.FS
}

func openExt(ctx context.Context, r io.ReaderAt, size int64, o ext4.Options) (extVolume, error) {
	f, err := ext4.Open(ctx, r, size, o)
	if err != nil {
		return extVolume{}, err
	}
	v := extVolume{f, f}
	if v.unreplayed() != nil {
		o.Stale = true
		v.told, err = ext4.Open(ctx, r, size, o)
	}
	return v, err
}

// unreplayed says why the journal cannot be replayed; nil if it was, or had
// nothing to replay.
func (v extVolume) unreplayed() error {
	if j := v.Volume().Journal; j.State == ext4.JournalFailed {
		return fmt.Errorf("the journal cannot be replayed: %w", j.Err)
	}
	return nil
}

func (v extVolume) family() requirement.Platform { return requirement.Linux }

func (v extVolume) holdsSystem() (bool, error) { return linux.IsRoot(v.told) }

// holdsUsers says whether the volume was mounted at /home, or shows a home.
func (v extVolume) holdsUsers() bool {
	return v.Volume().LastMounted == "/home" || showsHome(v.told)
}

// mayHoldData leaves out what lies at /boot.
func (v extVolume) mayHoldData() bool { return !showsBoot(v.told) }

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

// showsBoot says whether the volume is what lies at /boot.
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

func (v extVolume) describe(d *Volume) {
	info := v.Volume()
	d.Filesystem = info.Type
	d.Label = info.Label
	d.Serial = info.UUID
	switch {
	case info.Journal.State == ext4.JournalReplayed:
		d.State = "journal replayed"
	case info.Journal.State == ext4.JournalFailed:
		d.State = "journal not replayed"
	case info.Errors:
		d.State = "with errors"
	case info.Clean:
		d.State = "clean"
	default:
		d.State = "in use when it was taken"
	}
	if usage, err := v.Usage(); err == nil {
		d.Free = usage.Free
	}
}

func (v extVolume) notices() []requirement.Notice {
	var list []requirement.Notice
	info, damage := v.Volume(), v.Damage()
	if j := info.Journal; j.State == ext4.JournalReplayed {
		list = append(list, requirement.Notice{Level: requirement.LevelInfo,
			Message: fmt.Sprintf("the journal was replayed: %d transactions (%d to %d), %d blocks", j.Transactions, j.First, j.Last, j.Blocks)})
	}
	if info.Errors {
		list = append(list, requirement.Notice{Level: requirement.LevelWarning, Message: "the kernel met errors in this filesystem: it wants to be checked (fsck)"})
	}
	if damage.Count > 0 {
		list = append(list, requirement.Notice{Level: requirement.LevelError, Message: fmt.Sprintf("%d inodes cannot be read", damage.Count)})
	}
	for _, note := range damage.Notes {
		list = append(list, requirement.Notice{Level: requirement.LevelWarning, Message: note})
	}
	return list
}

// linuxVolume is the volume as the judgements of Linux see it.
func (v extVolume) linuxVolume() linux.Volume {
	info := v.Volume()
	return linux.Volume{
		FS: v.FS, Type: info.Type, Identity: linux.Identity{UUID: info.UUID, Label: info.Label, LastMounted: info.LastMounted},
		Inode: func(info fs.FileInfo) uint64 {
			if e, ok := info.Sys().(*ext4.Entry); ok {
				return e.Inode
			}
			return 0
		},
		Usage: func() (linux.Usage, error) {
			u, err := v.FS.Usage()
			return linux.Usage{Size: u.Size, Used: u.Used, Available: u.Available}, err
		},
		Totals: func(name string) (linux.Totals, error) {
			t, err := v.Tree(name)
			return linux.Totals{Files: t.Files, Size: t.Size, Damaged: t.Damaged}, err
		},
	}
}

// openLinux opens the Linux system on the root volume.
func openLinux(vs *volumes, root linuxVolume, given given) (system, error) {
	in := linux.Input{
		Root:     root.linuxVolume(),
		Home:     vs.homeVolume(),
		Layout:   vs.layout.Layout,
		Readable: vs.judgeReadable,
		Context:  given.ctx,
		Trail:    given.trail,
		Now:      given.now,
	}
	m, err := linux.Open(in)
	if err != nil {
		return nil, err
	}
	return linuxSystem{m}, nil
}

// linuxVolume is a filesystem that may hold a Linux system.
type linuxVolume interface {
	filesystem
	linuxVolume() linux.Volume
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
