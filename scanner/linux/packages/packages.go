// Package packages reads the database of installed packages of a Linux system
// from an fs.FS: rpm's and dpkg's.
package packages

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"time"
)

// Kinds of errors, beside those of the file system and of the context.
var (
	// ErrNoDatabase says that the system has none of the databases.
	ErrNoDatabase = errors.New("no package database")
	// ErrCorrupt says that a database is damaged.
	ErrCorrupt = errors.New("corrupt package database")
	// ErrUnsupported says that a database cannot be read as it lies; the
	// message names the reason.
	ErrUnsupported = errors.New("unsupported package database")
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

	index int // in Database.packages
}

// IsInstalled reports whether the package is unpacked and configured.
func (p Package) IsInstalled() bool { return false }

// Database is a database as it was read by Open. It is safe for concurrent use.
//
// If a part of it could not be read, the methods return what was read and an
// error, so that what they do not find is never taken for absent.
type Database struct{}

// Open reads the database of the system whose root fsys is. The error wraps
// ErrNoDatabase, ErrCorrupt, ErrUnsupported, or is that of the file system or
// of the context. A database that was read in part is returned with the error.
func Open(ctx context.Context, fsys fs.FS) (*Database, error) { return nil, ErrNoDatabase }

// Kind tells the form of the database.
func (db *Database) Kind() Kind { return "" }

// Path is the path of the database's file or folder below the root.
func (db *Database) Path() string { return "" }

// Notes says what else there is to know of how the database was read.
func (db *Database) Notes() []string { return nil }

// Packages lists all packages by name, those that are not installed too.
func (db *Database) Packages() ([]Package, error) { return nil, nil }

// Find lists the packages of a name: of several architectures, or several
// versions of a kernel.
func (db *Database) Find(name string) ([]Package, error) { return nil, nil }

// Files lists the paths that a package owns, files and directories, as
// "/usr/bin/env".
func (db *Database) Files(p Package) ([]string, error) { return nil, nil }

// Owners lists the packages that own a path. The path is compared as it is
// written: no symbolic link in it is followed.
func (db *Database) Owners(path string) ([]Package, error) { return nil, nil }

// Under goes over the owned paths below a directory, each with each of its
// owners.
func (db *Database) Under(dir string) (iter.Seq2[string, Package], error) { return nil, nil }
