package packages

import (
	"cmp"
	"fmt"
	"slices"
)

// builder collects what a reader finds.
type builder struct {
	db     *Database
	order  []uint32 // number of each package in its database
	text   int      // bytes of the packages' strings
	err    damage
	files  damage
	failed map[int]error // of the file lists, by package
}

func newBuilder(kind Kind, path string) *builder {
	return &builder{db: &Database{kind: kind, path: path}, failed: map[int]error{}}
}

// add adds a package and returns its index. Packages of the same name and
// architecture will be in the order of the numbers.
func (b *builder) add(p Package, number uint32) (int, error) {
	if len(b.db.packages) == maxPackages {
		return 0, fmt.Errorf("more than %d packages: %w", maxPackages, ErrUnsupported)
	}
	b.text += len(p.Name) + len(p.Version) + len(p.Release) + len(p.Arch) + len(p.Vendor) + len(p.Packager)
	if b.text > maxText {
		return 0, fmt.Errorf("more than %d bytes of names and versions: %w", maxText, ErrUnsupported)
	}
	b.db.packages = append(b.db.packages, p)
	b.order = append(b.order, number)
	return len(b.db.packages) - 1, nil
}

// corrupt takes note of damage to a part of the database.
func (b *builder) corrupt(err error) { b.err.add(fmt.Errorf("%s: %w", b.db.path, err)) }

// failFiles takes note that the list of files of a package is not complete.
func (b *builder) failFiles(pkg int, err error) {
	err = fmt.Errorf("%s: files of package %s: %w", b.db.path, b.db.packages[pkg].Name, err)
	b.failed[pkg] = err
	b.files.add(err)
}

// finish puts the database in order. The error is the one that ended the
// reading, if any.
func (b *builder) finish(err error) *Database {
	db := b.db
	at := make([]int, len(db.packages)) // old index by new index
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, func(i, j int) int {
		p, q := db.packages[i], db.packages[j]
		return cmp.Or(cmp.Compare(p.Name, q.Name), cmp.Compare(p.Arch, q.Arch), cmp.Compare(b.order[i], b.order[j]),
			cmp.Compare(i, j))
	})
	sorted := make([]Package, len(at))
	index := make([]uint32, len(at))
	db.fileErrs = map[int]error{}
	for i, old := range at {
		sorted[i] = db.packages[old]
		sorted[i].id = i + 1
		index[old] = uint32(i)
		if err := b.failed[old]; err != nil {
			db.fileErrs[i] = err
		}
	}
	db.packages = sorted
	db.files.finish(index)
	db.err = b.err.with(err)
	db.fileErr = b.files.with(nil)
	return db
}

// damage is the first of several errors and how many more there are.
type damage struct {
	first error
	more  int
}

func (d *damage) add(err error) {
	if d.first == nil {
		d.first = err
		return
	}
	d.more++
}

// with returns all of it and the error that ended the reading as one error.
func (d *damage) with(last error) error {
	switch {
	case d.first == nil:
		return last
	case last != nil:
		return fmt.Errorf("%w, after %d errors, the first of them: %w", last, d.more+1, d.first)
	case d.more > 0:
		return fmt.Errorf("%w (and %d more errors)", d.first, d.more)
	}
	return d.first
}
