// Package packages reads the database of installed packages of a Linux system
// from an fs.FS: which packages there are, in which version and since when, and
// which files they own. It knows rpm's databases in all their forms and dpkg's.
//
// # rpm
//
// A database maps numbers to headers. All forms hold the same headers: an index
// of tags with a type, a count and an offset, and the data (lib/header.c of
// rpm). The forms are
//
//   - Berkeley DB: the file Packages, a hash table in pages, of which a header
//     takes a chain. Written by rpm up to 4.15 (Amazon Linux 2, RHEL 8), in the
//     byte order of the machine. (dbinc/db_page.h of Berkeley DB 4.3 to 5.3,
//     lib/backend/bdb_ro.c of rpm)
//   - NDB: the file Packages.db, a table of slots and blobs with checksums.
//     Written on SUSE. (lib/backend/ndb/rpmpkg.c of rpm)
//   - SQLite: the file rpmdb.sqlite with a table Packages, read with its
//     write-ahead log. Written by rpm since 4.16. (lib/backend/sqlite.c of rpm)
//
// They are in /usr/lib/sysimage/rpm or, older, in /var/lib/rpm, of which one is
// often a symbolic link to the other. Where there are several, the one is read
// that rpm's own macros name (%_dbpath, %_db_backend; rpm without the second
// knows only Berkeley DB), and the newest form if they do not decide. The
// others are named in the notes.
//
// rpm writes Berkeley DB without a log, so that Packages itself is all there is:
// __db.001 and its like are memory of running programs and are not looked at,
// and neither are the indexes (Name, Basenames, …), which repeat what the
// headers say. What a running rpm had not yet written is lost as it would be
// after a power failure. A table that was caught half written shows in a
// pointer to a page that is not what it should be, or in fewer records than the
// table counts; both are errors. If there are transaction logs (log.0000000001)
// all the same, the last changes may be only in them, which is an error too.
//
// # dpkg
//
// /var/lib/dpkg/status is a list of stanzas (deb-control(5)), one a package,
// those included that were removed and left their configuration. Changes that
// dpkg has not yet merged are in updates/ and are applied in order, as dpkg
// does when it starts (lib/dpkg/dbmodify.c). Images without dpkg have files of
// one stanza each in status.d/. The owned files are in info/NAME.list, or
// info/NAME:ARCH.list for packages of which several architectures can be
// installed at once, and go by the name that a diversion gives them; those of
// status.d are in NAME.md5sums, which leaves out directories and links.
//
// # Damage, limits and cost
//
// Every length, offset, count and checksum is tested. No page or blob is read
// twice, so that a database whose pages form a loop ends in an error. Others go
// round for ever there: rpm itself (bdb_ro of 4.18), and
// github.com/knqyf263/go-rpmdb v0.1.1, which many tools use. After damage the
// rest is still read, and every answer comes with the error.
//
// A database is read once, by Open, through one buffer of 64 KiB and one header
// at a time. What is kept are the packages and, for each owned path, 16 bytes
// and its last element: 8 MiB for 200,000 files. The limits below bound that: a
// hostile database of the largest size, with headers of 256 MiB, took 950 MiB.
package packages

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// Kinds of errors, in addition to those of the file system and of the context.
var (
	// ErrNoDatabase is the error if the system has no known database.
	ErrNoDatabase = errors.New("no package database")
	// ErrCorrupt says that a database is damaged.
	ErrCorrupt = kind.New("corrupt package database", kind.Corrupt)
	// ErrUnsupported is the error for a database in an unsupported format or
	// state; the message names the reason.
	ErrUnsupported = kind.New("unsupported package database", kind.Unsupported)
)

// Limits of a database.
const (
	// maxDatabase is the largest file of an rpm database, in bytes. Full
	// servers have 300 MiB.
	maxDatabase = 1 << 30
	// maxPackages is the largest number of packages. All of Debian has 65,000.
	maxPackages = 100_000
	// maxField is the longest name, version, vendor and so on, in bytes. Real
	// ones are below 300.
	maxField = 4096
	// maxText is the most that those of all packages may take, in bytes. Those
	// of all of Debian have 10 MiB.
	maxText = 64 << 20
)

// Kind is the form of a database.
type Kind string

// The forms of databases.
const (
	RPMBDB    Kind = "rpm-bdb"    // rpm in a Berkeley DB hash, the file Packages
	RPMNDB    Kind = "rpm-ndb"    // rpm in its own format, Packages.db
	RPMSQLite Kind = "rpm-sqlite" // rpm in SQLite, rpmdb.sqlite
	DPKG      Kind = "dpkg"       // dpkg's status file or folder
)

// Package is what a database says of one package. A string that it does not
// say is "".
type Package struct {
	Name    string
	Epoch   uint32 // 0 if there is none, which means the same
	Version string // of dpkg: what is between epoch and revision
	Release string // of dpkg: the revision, "" for a native package
	Arch    string

	Vendor   string // rpm only
	Packager string // of dpkg: the Maintainer

	// Installed is when the package was installed or last upgraded; the zero
	// time if that is not known. dpkg does not record it: it is the
	// modification time of the package's file list.
	Installed time.Time

	// State is "installed", or what else dpkg says: "config-files" for a
	// package that was removed without its configuration, "half-installed",
	// "unpacked", "half-configured", "triggers-awaited", "triggers-pending".
	State string
	// Reinstall: dpkg wants the package installed again, because an action on
	// it was broken off.
	Reinstall bool

	id int // one more than the index in Database.packages
}

// IsInstalled reports whether the package is unpacked and configured. One that
// waits for triggers is.
func (p Package) IsInstalled() bool {
	switch p.State {
	case stateInstalled, "triggers-awaited", "triggers-pending":
		return !p.Reinstall
	}
	return false
}

const stateInstalled = "installed"

// EVR returns epoch, version and release as rpm and dpkg write them:
// "2:8.2.2637-20.amzn2.0.1". An epoch of 0 is left out.
func (p Package) EVR() string {
	s := p.Version
	if p.Epoch != 0 {
		s = fmt.Sprintf("%d:%s", p.Epoch, s)
	}
	if p.Release != "" {
		s += "-" + p.Release
	}
	return s
}

// Database is a database as it was read by Open. It is safe for concurrent use.
//
// If a part of it could not be read, the methods return what was read and an
// error, so a package that they do not find is never reported as absent.
type Database struct {
	kind     Kind
	path     string
	notes    []string
	loss     string
	logged   bool      // part of it came out of a write-ahead log
	packages []Package // by name, architecture and age
	files    fileTable

	orphans map[string]string // file lists without a package, by name

	err      error         // of the packages
	fileErr  error         // the first of those in fileErrs
	fileErrs map[int]error // of the file lists, by index of the package
}

// Open reads the database of the system whose root fsys is. The error wraps
// ErrNoDatabase, ErrCorrupt, ErrUnsupported, or is that of the file system or
// of the context. A database that was read in part is returned with the error.
//
// A system with both an rpm and a dpkg database counts as the kind with more
// installed packages; the notes name the other. This requires that both are
// complete.
//
// The files must implement io.ReaderAt.
func Open(ctx context.Context, fsys fs.FS) (*Database, error) {
	rpm, err := findRPM(fsys)
	if err != nil {
		return nil, err
	}
	deb, err := findDPKG(fsys)
	if err != nil {
		return nil, err
	}
	var dbs []*Database
	if rpm != nil {
		dbs = append(dbs, rpm.read(ctx, fsys))
	}
	if deb {
		dbs = append(dbs, readDPKG(ctx, fsys))
	}
	if len(dbs) == 0 {
		return nil, ErrNoDatabase
	}
	db := slices.MaxFunc(dbs, func(a, b *Database) int {
		if d := rank(a.err) - rank(b.err); d != 0 {
			return d
		}
		return a.installed() - b.installed()
	})
	for _, other := range dbs {
		if other != db {
			db.note("another database, %s, has %d installed packages", other.path, other.installed())
		}
	}
	return db, db.err
}

// rank puts a database with an error first.
func rank(err error) int {
	if err != nil {
		return 1
	}
	return 0
}

func (db *Database) installed() int {
	n := 0
	for _, p := range db.packages {
		if p.IsInstalled() {
			n++
		}
	}
	return n
}

func (db *Database) note(format string, args ...any) {
	db.notes = append(db.notes, fmt.Sprintf(format, args...))
}

// Kind returns the format of the database.
func (db *Database) Kind() Kind { return db.kind }

// Path is the name of the database's file or folder in the fs.FS.
func (db *Database) Path() string { return db.path }

// Notes says what else there is to know of how the database was read.
func (db *Database) Notes() []string { return slices.Clone(db.notes) }

// Loss says what of a write-ahead log is left out because it is damaged, "" if
// nothing is.
func (db *Database) Loss() string { return db.loss }

// Logged reports whether part of the database came out of its write-ahead log,
// the file at Path with "-wal".
func (db *Database) Logged() bool { return db.logged }

// Packages lists all packages by name, those that are not installed too. The
// error is the one of Open.
func (db *Database) Packages() ([]Package, error) { return slices.Clone(db.packages), db.err }

// Find lists the packages of a name: of several architectures, or several
// versions of a kernel. The error is the one of Open, or says that dpkg has a
// list of files of the package and no status.
func (db *Database) Find(name string) ([]Package, error) {
	first, _ := slices.BinarySearchFunc(db.packages, name, func(p Package, name string) int {
		return strings.Compare(p.Name, name)
	})
	last := first
	for last < len(db.packages) && db.packages[last].Name == name {
		last++
	}
	if file, ok := db.orphans[name]; ok && first == last && db.err == nil {
		return nil, fmt.Errorf("%s: the status file lacks package %s, but info/%s lists its files: %w", db.path,
			name, file, ErrCorrupt)
	}
	return slices.Clone(db.packages[first:last]), db.err
}

// Files lists the paths that a package owns, files and directories, as
// "/usr/bin/env", in order. They are those of rpm -ql and dpkg -L, whether or
// not they are still there. An error says that the list of this package is
// missing or damaged.
func (db *Database) Files(p Package) ([]string, error) {
	if p.id < 1 || p.id > len(db.packages) || db.packages[p.id-1] != p {
		return nil, fmt.Errorf("package %s is from another database: %w", p.Name, fs.ErrInvalid)
	}
	return db.files.of(p.id - 1), db.fileErrs[p.id-1]
}

// Owners lists the packages that own a path, installed or not. The path is
// compared as it is written: no symbolic link in it is followed. An error says
// that there may be more owners.
func (db *Database) Owners(path string) ([]Package, error) {
	var owners []Package
	for _, i := range db.files.owners(path) {
		owners = append(owners, db.packages[i])
	}
	return owners, db.filesErr()
}

// Under goes over the owned paths below a directory, folder by folder, each
// with each of its owners. An error says that there may be more.
func (db *Database) Under(dir string) (iter.Seq2[string, Package], error) {
	return func(yield func(string, Package) bool) {
		for path, i := range db.files.under(dir) {
			if !yield(path, db.packages[i]) {
				return
			}
		}
	}, db.filesErr()
}

func (db *Database) filesErr() error {
	if db.err != nil {
		return db.err
	}
	return db.fileErr
}
