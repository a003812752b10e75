package packages

import (
	"fmt"
	"io/fs"
	"testing"
	"testing/fstest"
	"time"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// A server: 2,000 packages with 100 files each.
const (
	benchPackages = 2000
	benchFiles    = 100
)

func benchHeader(i int) []byte {
	var names []string
	var indexes []uint32
	for j := range benchFiles {
		names = append(names, fmt.Sprintf("file-%d-%d.ext", i, j))
		indexes = append(indexes, uint32(j/10))
	}
	var dirs []string
	for j := range benchFiles / 10 {
		dirs = append(dirs, fmt.Sprintf("/usr/share/package%d/dir%d/", i, j))
	}
	return headerBlob(
		[]tag{{tagName, fmt.Sprintf("package%d", i)}, {tagVersion, "1.2.3"}, {tagRelease, "4.amzn2"}, {tagVendor, "Vendor"},
			{tagArch, "x86_64"},
			{tagDirIndexes, indexes}, {tagBaseNames, names}, {tagDirNames, dirs}},
		[]tag{{tagInstallTime, []uint32{1700000000}}})
}

func benchNDB() []byte {
	var headers []ndbHeader
	for i := range benchPackages {
		headers = append(headers, ndbHeader{uint32(i + 1), benchHeader(i)})
	}
	return ndb(headers...)
}

func benchOpen(b *testing.B, root fs.FS, size int) {
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(b.Context(), root); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenNDB(b *testing.B) {
	data := benchNDB()
	benchOpen(b, rpmRoot("var/lib/rpm/Packages.db", data), len(data))
}

// The largest Berkeley DB and SQLite database of the corpus: 518 and 141
// packages.
func BenchmarkOpenCorpus(b *testing.B) {
	for form, name := range map[string]string{
		"Packages":     "linux/gomod__knqyf263__go-rpmdb/pkg/testdata/centos8-modularitylabel/Packages.gz",
		"rpmdb.sqlite": "linux/gomod__google__osv-scalibr/extractor/filesystem/os/rpm/testdata/rpmdb.sqlite.gz",
	} {
		b.Run(form, func(b *testing.B) {
			data := testenv.CorpusFile(b, name)
			benchOpen(b, rpmRoot("var/lib/rpm/"+form, data), len(data))
		})
	}
}

func BenchmarkOpenDPKG(b *testing.B) {
	root := fstest.MapFS{}
	var status []byte
	size := 0
	for i := range benchPackages {
		status = fmt.Appendf(status, "Package: package%d\nStatus: install ok installed\nPriority: optional\nSection: "+
			"libs\nInstalled-Size: 1\nMaintainer: M <m@example.com>\nArchitecture: amd64\nVersion: 1:2.3-4\nDepends: libc6 "+
			"(>= 2.34)\nDescription: text\n more text about the package\n .\n and more\nHomepage: https://example.com\n\n", i)
		list := []byte("/.\n")
		for j := range benchFiles {
			list = fmt.Appendf(list, "/usr/share/package%d/dir%d/file-%d-%d.ext\n", i, j/10, i, j)
		}
		root[fmt.Sprintf("var/lib/dpkg/info/package%d.list", i)] = &fstest.MapFile{Data: list, ModTime: time.Unix(1, 0)}
		size += len(list)
	}
	root["var/lib/dpkg/status"] = &fstest.MapFile{Data: status}
	benchOpen(b, openOnly{root}, size+len(status))
}

// openOnly hides that a MapFS makes every folder anew.
type openOnly struct{ fstest.MapFS }

func (o openOnly) ReadDir(name string) ([]fs.DirEntry, error) {
	if name == dpkgUpdates || name == dpkgStatusD {
		return nil, fs.ErrNotExist
	}
	return o.MapFS.ReadDir(name)
}

func (o openOnly) Open(name string) (fs.File, error) {
	if _, ok := o.MapFS[name]; !ok && name != dpkgInfo {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return o.MapFS.Open(name)
}

func BenchmarkHeader(b *testing.B) {
	blob := benchHeader(1)
	b.SetBytes(int64(len(blob)))
	b.ReportAllocs()
	var h header
	for b.Loop() {
		if err := h.parse(blob); err != nil {
			b.Fatal(err)
		}
		if _, err := h.rpm(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOwners(b *testing.B) {
	db, err := Open(b.Context(), rpmRoot("var/lib/rpm/Packages.db", benchNDB()))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i = (i + 7) % benchPackages
		if owners, _ := db.Owners(fmt.Sprintf("/usr/share/package%d/dir5/file-%d-55.ext", i, i)); len(owners) != 1 {
			b.Fatal(owners)
		}
	}
}
