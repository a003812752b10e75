package packages

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"
)

// checkAny tests what goes for every answer, whatever the database was.
func checkAny(t *testing.T, root fs.FS) {
	db, err := Open(t.Context(), root)
	if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
		t.Fatalf("an error of no kind: %v", err)
	}
	if db == nil {
		if err == nil {
			t.Fatal("no database and no error")
		}
		return
	}
	files := 0
	for _, p := range db.packages {
		if found, _ := db.Find(p.Name); !slices.Contains(found, p) {
			t.Fatalf("package %q is not found", p.Name)
		}
		paths, _ := db.Files(p)
		files += len(paths)
		for _, path := range paths[:min(len(paths), 20)] {
			if owners, _ := db.Owners(path); path != "" && path[0] == '/' && !slices.Contains(owners, p) {
				t.Fatalf("%q has owners %v without %q", path, owners, p.Name)
			}
		}
	}
	if files != len(db.files.files) {
		t.Fatalf("%d files of packages, %d in all", files, len(db.files.files))
	}
	for path, p := range must2(db.Under("/")) {
		if path == "/" || path[0] != '/' || p.Name == "" {
			t.Fatalf("%q of %q below the root", path, p.Name)
		}
	}
}

func must2[T any](v T, _ error) T { return v }

func FuzzHeader(f *testing.F) {
	f.Add(named("a", tag{tagEpoch, []uint32{1}}, tag{tagDirIndexes, []uint32{0, 1}}, tag{tagBaseNames, []string{"x", "y"}},
		tag{tagDirNames, []string{"/", "/usr/"}}))
	f.Add(headerBlob([]tag{{tagName, "b"}, {tagVersion, "1"}, {tagRelease, "2"},
		{tagOldFileNames, []string{"/b", "/usr/"}}}, []tag{{tagInstallTime, []uint32{1700000000}}, {tagName, "c"}}))
	f.Fuzz(func(t *testing.T, blob []byte) {
		checkAny(t, rpmRoot("var/lib/rpm/Packages.db", ndb(ndbHeader{1, blob})))
	})
}

// smallBDB writes a hash with one bucket of one page, which has the first
// header, and overflow pages, which have the second.
func smallBDB(order binary.ByteOrder, first, second []byte) []byte {
	const size = minBDBPage
	pages := 2 + (len(second)+size-overhead-1)/(size-overhead)
	file := make([]byte, pages*size)
	for at, n := range map[int]uint32{
		metaMagic: magicHash, metaVersion: 9, metaPageSize: size, metaLastPage: uint32(pages - 1), metaRecords: 3,
		metaSpares: 1,
	} {
		order.PutUint32(file[at:], n)
	}
	file[metaType] = typeHashMeta
	page := file[size:]
	page[pageType] = typeHash
	order.PutUint32(page[pageNumber:], 1)
	order.PutUint16(page[pageItems:], 6)
	end := size
	for i, item := range [][]byte{
		{itemData, 0, 0, 0, 0}, {itemData, 2, 0, 0, 0}, {itemData, 1, 1, 1, 1}, append([]byte{itemData}, first...),
		{itemData, 2, 2, 2, 2}, make([]byte, overflowItemSize),
	} {
		end -= copy(page[end-len(item):end], item)
		order.PutUint16(page[overhead+2*i:], uint16(end))
	}
	page[end] = itemOverflow
	order.PutUint32(page[end+4:], 2)
	order.PutUint32(page[end+8:], uint32(len(second)))
	for n := 2; n < pages; n++ {
		page = file[n*size:]
		page[pageType] = typeOverflow
		order.PutUint32(page[pageNumber:], uint32(n))
		if n < pages-1 {
			order.PutUint32(page[pageNext:], uint32(n+1))
		}
		length := copy(page[overhead:size], second)
		order.PutUint16(page[pageLength:], uint16(length))
		second = second[length:]
	}
	return file
}

func FuzzBDB(f *testing.F) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		data := smallBDB(order, named("a"), named("b", tag{tagOldFileNames, slices.Repeat([]string{"/usr/share/b"}, 60)}))
		if db, err := Open(f.Context(), rpmRoot("var/lib/rpm/Packages", data)); err != nil || len(db.packages) != 2 {
			f.Fatalf("the seed: %v", err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkAny(t, rpmRoot("var/lib/rpm/Packages", data)) })
}

func FuzzNDB(f *testing.F) {
	f.Add(ndb(ndbHeader{1, named("a")}, ndbHeader{2, named("b")}))
	f.Fuzz(func(t *testing.T, data []byte) { checkAny(t, rpmRoot("var/lib/rpm/Packages.db", data)) })
}

func FuzzDPKG(f *testing.F) {
	f.Add([]byte(dpkgSample[len(dpkgSample)/2:]), []byte("Package: vim\nStatus: install ok unpacked\nVersion: 3\n"),
		[]byte("/.\n/usr\n/usr/bin/vim\n"), []byte("/usr\n/usr.real\n:\n"))
	f.Add([]byte(twoLibraries), []byte{}, []byte("/lib\n"), []byte{})
	f.Fuzz(func(t *testing.T, status, update, list, diversions []byte) {
		root := fstest.MapFS{
			"var/lib/dpkg/status":              {Data: status},
			"var/lib/dpkg/updates/0000":        {Data: update},
			"var/lib/dpkg/info/format":         {Data: []byte("1\n")},
			"var/lib/dpkg/info/vim.list":       {Data: list},
			"var/lib/dpkg/info/lib:amd64.list": {Data: list},
			"var/lib/dpkg/diversions":          {Data: diversions},
		}
		checkAny(t, root)
	})
}
