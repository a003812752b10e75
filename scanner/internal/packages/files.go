package packages

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"
)

// Limits of the owned paths of all packages together.
const (
	// maxFiles is the largest number of paths. A full server has 500,000.
	maxFiles = 2 << 20
	// maxDirs is the largest number of directories that they are in.
	maxDirs = 512 << 10
	// maxNames is the most that directories and last elements may take, in
	// bytes, each of the two. Those of a full server have 10 MiB.
	maxNames = 64 << 20
)

// fileTable holds the owned paths of all packages, split into directory and
// last element: "/usr/bin/" and "env". The root is "/" and "".
//
// It is filled by add, and can be asked after finish.
type fileTable struct {
	dirs    []string // with a slash at the end; in order after finish
	dirSize int      // bytes of dirs
	byDir   map[string]uint32
	names   []byte  // last elements, each ended by NUL
	files   []owned // in the order of the paths after finish

	byOwner []uint32 // indexes of files, by package
	starts  []uint32 // of each package in byOwner, and the end of the last
}

type owned struct {
	dir  uint32 // in dirs
	name uint32 // in names
	pkg  uint32 // index of the package
}

// add adds a path of a package.
func (t *fileTable) add(pkg int, path []byte) error {
	for len(path) > 1 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	if string(path) == "/." {
		path = path[:1] // as dpkg lists the root
	}
	slash := bytes.LastIndexByte(path, '/') + 1
	dir, err := t.dir(path[:slash])
	if err != nil {
		return err
	}
	return t.addIn(pkg, dir, path[slash:])
}

// dir returns the number of a directory, which ends with a slash.
func (t *fileTable) dir(name []byte) (uint32, error) {
	if n, ok := t.byDir[string(name)]; ok {
		return n, nil
	}
	t.dirSize += len(name)
	if len(t.dirs) == maxDirs || t.dirSize > maxNames {
		return 0, fmt.Errorf("more than %d directories or %d bytes of their names: %w", maxDirs, maxNames,
			ErrUnsupported)
	}
	if t.byDir == nil {
		t.byDir = map[string]uint32{}
	}
	n, s := uint32(len(t.dirs)), string(name)
	t.dirs = append(t.dirs, s)
	t.byDir[s] = n
	return n, nil
}

// addIn adds a last element, without a slash in it, in a directory.
func (t *fileTable) addIn(pkg int, dir uint32, name []byte) error {
	if len(t.files) == maxFiles || len(t.names)+len(name) >= maxNames {
		return fmt.Errorf("more than %d files or %d bytes of their names: %w", maxFiles, maxNames, ErrUnsupported)
	}
	t.files = append(t.files, owned{dir, uint32(len(t.names)), uint32(pkg)})
	t.names = append(append(t.names, name...), 0)
	return nil
}

// finish puts the table in order. The packages have changed their places:
// index is the new one of each.
func (t *fileTable) finish(index []uint32) {
	sorted := slices.Clone(t.dirs)
	slices.Sort(sorted)
	place := make([]uint32, len(sorted))
	for i, s := range sorted {
		place[t.byDir[s]] = uint32(i)
		t.byDir[s] = uint32(i)
	}
	t.dirs = sorted
	for i := range t.files {
		f := &t.files[i]
		f.dir, f.pkg = place[f.dir], index[f.pkg]
	}
	slices.SortFunc(t.files, func(a, b owned) int {
		if a.dir != b.dir {
			return cmp.Compare(a.dir, b.dir)
		}
		return cmp.Or(bytes.Compare(t.name(a), t.name(b)), cmp.Compare(a.pkg, b.pkg))
	})

	t.starts = make([]uint32, len(index)+1)
	for _, f := range t.files {
		t.starts[f.pkg+1]++
	}
	for i := range index {
		t.starts[i+1] += t.starts[i]
	}
	next := slices.Clone(t.starts)
	t.byOwner = make([]uint32, len(t.files))
	for i, f := range t.files {
		t.byOwner[next[f.pkg]] = uint32(i)
		next[f.pkg]++
	}
}

// name returns the last element of a path.
func (t *fileTable) name(f owned) []byte {
	s := t.names[f.name:]
	return s[:bytes.IndexByte(s, 0)]
}

func (t *fileTable) path(f owned) string { return t.dirs[f.dir] + string(t.name(f)) }

// of lists the paths of a package.
func (t *fileTable) of(pkg int) []string {
	var paths []string
	for _, i := range t.byOwner[t.starts[pkg]:t.starts[pkg+1]] {
		paths = append(paths, t.path(t.files[i]))
	}
	return paths
}

// owners lists the packages that own a path.
func (t *fileTable) owners(path string) []uint32 {
	path = clean(path)
	slash := strings.LastIndexByte(path, '/') + 1
	dir, ok := t.byDir[path[:slash]]
	if !ok {
		return nil
	}
	name := []byte(path[slash:])
	first, _ := slices.BinarySearchFunc(t.files, name, func(f owned, name []byte) int {
		if f.dir != dir {
			return cmp.Compare(f.dir, dir)
		}
		return bytes.Compare(t.name(f), name)
	})
	var pkgs []uint32
	for _, f := range t.files[first:] {
		if f.dir != dir || !bytes.Equal(t.name(f), name) {
			break
		}
		pkgs = append(pkgs, f.pkg)
	}
	return slices.Compact(pkgs)
}

// under goes over the paths below a directory with their packages.
func (t *fileTable) under(dir string) iter.Seq2[string, uint32] {
	prefix := strings.TrimSuffix(clean(dir), "/") + "/"
	return func(yield func(string, uint32) bool) {
		firstDir, _ := slices.BinarySearch(t.dirs, prefix)
		first, _ := slices.BinarySearchFunc(t.files, firstDir, func(f owned, dir int) int {
			return cmp.Compare(int(f.dir), dir)
		})
		for _, f := range t.files[first:] {
			if !strings.HasPrefix(t.dirs[f.dir], prefix) {
				return
			}
			if path := t.path(f); path != prefix && !yield(path, f.pkg) {
				return
			}
		}
	}
}

// clean gives a path the form of those in the table. A name as io/fs has them
// is one below the root.
func clean(path string) string {
	if path == "." {
		path = ""
	}
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	for len(path) > 1 && path[len(path)-1] == '/' {
		path = path[:len(path)-1]
	}
	return path
}
