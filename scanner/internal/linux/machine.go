// Package linux reads the facts of a Linux system from its volumes and judges
// the requirements of image creation by them. It does not know what kind of
// filesystem the volumes hold.
//
// A file is about one topic. It has the topic's facts, which are typed values
// with their evidence, and its checks, which are pure functions of those facts.
// Facts are read lazily, once, and kept. What cannot be read is an error, and
// an error makes every requirement that needs the fact undetermined. A file
// that is missing from a completely read folder is a fact like any other.
//
// The tree is the one of the running system: fstab and the mount units of the
// root decide where each volume is mounted, the user volume is at /home, and
// symbolic links are followed across all of them. What lives in memory while
// the system runs (/run, /proc, /sys, and /var/run and /var/lock, which lead
// into /run) is on no volume.
package linux

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/packages"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// ErrNoLinux says that a volume holds no root of a Linux system.
var ErrNoLinux = errors.New("no Linux system on the volume")

// Filesystem is a volume of any kind. Names are those of io/fs.
type Filesystem interface {
	fs.ReadDirFS
	fs.StatFS
	fs.ReadLinkFS
}

// Usage is how full a volume is, in bytes, as statfs has it.
type Usage struct {
	Size, Used, Available int64
}

// Totals of a folder and everything below it.
type Totals struct {
	Files, Size int64
	Damaged     int64 // if not 0, the others are lower bounds
}

// Volume is one of the volumes, or the reason why there is none to read.
type Volume struct {
	FS  Filesystem
	Err error // why FS is nil: not given, encrypted, damaged

	Name string // display name
	Type string // type for mount(8): "ext4", "xfs", "vfat"; "" if not known
	Identity

	// Inode is the number of the inode that FS describes; nil if it has none.
	Inode func(fs.FileInfo) uint64

	Usage  func() (Usage, error)
	Totals func(name string) (Totals, error)
}

// Input is what a scan knows of one machine before its facts are read.
type Input struct {
	Root Volume // the volume with the system
	Home Volume // the user volume, which is mounted at /home; zero if Layout has the volume at /home

	Layout *Layout // of the root volume and the others of the images; nil if there are no others

	// Sizes adds up what is below the folders that image creation removes, which
	// takes a pass over all inodes and folders.
	Sizes bool

	Readable requirement.Outcome // of linux.volume.readable: the volumes are known to who opens them

	Context context.Context      // ends what takes long; nil for none
	Waited  func() time.Duration // see fact.Patience
	Trail   *requirement.Trail   // nil drops events and notices
	Now     time.Time            // the time of the scan
}

// Machine is one Linux system and what was read of it so far. Its methods may
// be called from several goroutines.
type Machine struct {
	// Terms are those of the rule book, for the requirement that is being checked.
	Terms requirement.Terms

	in   Input
	tree tree
	*facts
}

// facts are read once each.
type facts struct {
	system   fact.Fact[System]
	packages fact.Fact[*packages.Database]
	units    fact.Fact[*unitSet]
	systemd  fact.Fact[systemdVersion]
	loader   fact.Fact[bootConfig]
}

// Open finds the system on the root volume. An error that wraps ErrNoLinux says
// that there is none.
func Open(in Input) (*Machine, error) {
	if in.Root.FS == nil {
		return nil, &volumeError{"root", in.Root.Err}
	}
	// Where that cannot be read, the requirements that need it will say so.
	if is, err := IsRoot(in.Root.FS); err == nil && !is {
		return nil, ErrNoLinux
	}
	if in.Context == nil {
		in.Context = context.Background()
	}
	if in.Layout == nil {
		in.Layout = ReadLayout(in.Root, nil)
	}
	m := &Machine{in: in, facts: &facts{}, tree: in.Layout.with(in.Home, in.Trail)}
	m.tree.meter = fact.NewMeter(in.Context, in.Waited)
	return m, nil
}

// Within returns the machine as one requirement sees it: facts that are read
// already are the same, and what it still reads ends with the context and has
// bounds of its own.
func (m *Machine) Within(ctx context.Context) *Machine {
	own := *m
	own.in.Context = ctx
	own.tree.meter = m.tree.meter.Within(ctx)
	return &own
}

// next returns the machine for the reading of one fact, which has bounds of its
// own, whatever else the requirement reads that asks for it.
func (m *Machine) next() *Machine {
	own := *m
	own.tree.meter = m.tree.meter.Next()
	return &own
}

// IsRoot says whether a volume holds the root of a Linux system: one that says
// which it is, or that has its folders.
func IsRoot(fsys Filesystem) (bool, error) {
	for _, name := range []string{"etc/os-release", "usr/lib/os-release"} {
		_, err := fsys.Lstat(name)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	for _, name := range []string{"etc/fstab", "usr/bin", "var/lib"} {
		_, err := fsys.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}
