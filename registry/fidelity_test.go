package registry

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/hivetest"
)

// What Windows deleted is not there, though all its bytes are.
func TestDeleted(t *testing.T) {
	for _, list := range []string{"lh", "lf", "li"} {
		p := build(t, hivetest.Key{Name: "ROOT", Subkeys: []hivetest.Key{
			{Name: "gone", Class: "class", Subkeys: keys("below"), Values: []hivetest.Value{dword("d", 1)}}, {Name: "stays"},
		}, Values: []hivetest.Value{dword("gone", 1), dword("stays", 2)}}, hivetest.Options{List: list})
		k := p.key("gone")
		freed := [][]byte{p.size(k.offset), p.size(p.key(`gone\below`).offset), p.size(k.subkeyListOffset()),
			p.size(k.valueListOffset()),
			p.size(k.classOffset()), p.size(p.value("gone", "d").offset), p.size(p.value("", "gone").offset)}
		for _, size := range freed {
			negate(size)
		}
		c := p.list("")
		stride := 8
		if list == "li" {
			stride = 4
		}
		copy(c[4:], c[4+stride:][:stride]) // the other moves up, and its old place stays as it was
		le.PutUint16(c[2:], 1)
		le.PutUint32(p.node("")[20:], 1)
		values := p.cell(p.key("").valueListOffset())
		copy(values, values[4:8])
		le.PutUint32(p.node("")[36:], 1)

		if n := bytes.Count(p.data, []byte("gone")); n < 2 {
			t.Fatalf("%s: the names are not there any more", list)
		}
		if c := count(p.open()); c.keys != 2 || c.values != 1 || c.errs != nil {
			t.Errorf("%s: %v %v", list, c, c.errs)
		}
		if _, err := p.key("").Subkey("gone"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", list, err)
		}
		if _, err := p.key("").Value("gone"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", list, err)
		}
		for _, err := range []error{second(p.key("").Subkey("stays")), second(p.key("").Value("stays"))} {
			if err != nil {
				t.Errorf("%s: %v", list, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

// A name may hold NUL, which keys that are meant to be hidden from programs do: what is before it is another name.
func TestNamesWithNUL(t *testing.T) {
	for _, o := range []hivetest.Options{{}, {List: "lf"}, {List: "li"}, {MaxLeaf: 1}} {
		for _, hidden := range []string{"Run\x00", "\x00Run", "R\x00un", "Run\x00名"} {
			p := build(t, hivetest.Key{Name: "ROOT",
				Subkeys: []hivetest.Key{{Name: hidden, LastWrite: 1}, {Name: "Run", LastWrite: 2}},
				Values:  []hivetest.Value{dword(hidden, 1), dword("Run", 2)}}, o)
			k := p.key("")
			subkeys, err := k.Subkeys()
			if err != nil || len(subkeys) != 2 {
				t.Errorf("%q: %q, %v", hidden, names(subkeys), err)
			}
			for name, want := range map[string]uint32{hidden: 1, "Run": 2} {
				s, err := k.Subkey(strings.ToUpper(name))
				if err != nil || s.Name() != name || s.LastWrite().IsZero() {
					t.Errorf("%q: %v, %v", name, s, err)
				}
				v, err := k.Value(strings.ToLower(name))
				if err != nil {
					t.Errorf("%q: %v", name, err)
					continue
				}
				if n, err := v.Uint32(); n != want || err != nil {
					t.Errorf("%q: %d, %v", name, n, err)
				}
			}
			for _, absent := range []string{"R", "Ru", "\x00", "", "Run\x00\x00"} {
				if err := second(k.Subkey(absent)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%q: %v", absent, err)
				}
				if err := second(k.Value(absent)); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%q: %v", absent, err)
				}
			}
		}
	}
}

// Names of keys and security descriptors are as long as Windows lets them be, and no longer.
func TestLengths(t *testing.T) {
	for n, whole := range map[int]bool{maxKeyName - 2: true, maxKeyName: true, maxKeyName + 2: false} {
		for _, name := range []string{strings.Repeat("n", n), strings.Repeat("名", n/2)} {
			p := build(t, hivetest.Key{Name: "ROOT", Subkeys: []hivetest.Key{{Name: name}}}, hivetest.Options{})
			_, err := p.key("").Subkey(name)
			if whole && err != nil {
				t.Errorf("a name of %d bytes: %v", n, err)
			} else if !whole {
				isCorrupt(t, "a long name", err, "514 bytes", "allows 512")
			}
		}
	}
	for n, whole := range map[uint32]bool{maxDescriptor - 1: true, maxDescriptor: true, maxDescriptor + 1: false} {
		p := build(t, hivetest.Key{Name: "ROOT",
			Values: []hivetest.Value{{Name: "sk", Type: 3, Data: make([]byte, maxDescriptor+100)}}}, hivetest.Options{Minor: 3})
		at := p.value("", "sk").dataOffset()
		copy(p.cell(at), "sk")
		le.PutUint32(p.cell(at)[16:], n)
		le.PutUint32(p.node("")[44:], at)
		sd, err := p.key("").SecurityDescriptor()
		if whole && (err != nil || len(sd) != int(n)) {
			t.Errorf("a descriptor of %d bytes: %d, %v", n, len(sd), err)
		} else if !whole {
			isCorrupt(t, "a long descriptor", err, "131227 bytes")
		}
	}
	for _, n := range []int{usualName - 1, usualName, usualName + 1, 32766} {
		name := strings.Repeat("v", n)
		p := build(t, hivetest.Key{Name: "ROOT", Values: []hivetest.Value{dword(name, 1)}}, hivetest.Options{})
		if v, err := p.key("").Value(name); err != nil || v.Name() != name {
			t.Errorf("a value's name of %d bytes: %v", n, err)
		}
	}
}

// The block of a log entry's pages is not believed to be larger than the entry.
func TestEntryPages(t *testing.T) {
	const most = 3
	entry := make([]byte, entryHeaderSize+most*(pageReferenceSize+sectorSize))
	le.PutUint32(entry[16:], pageSize)
	for i := range most {
		le.PutUint32(entry[entryHeaderSize+i*pageReferenceSize+4:], sectorSize)
	}
	for count := range uint32(most + 2) {
		le.PutUint32(entry[20:], count)
		e, err := parseEntry(entry)
		if count <= most && (err != nil || len(e.pages) != int(count)) {
			t.Errorf("%d pages: %v", count, err)
		} else if _, torn := err.(tornError); count > most && !torn {
			t.Errorf("%d pages: %v", count, err)
		}
	}
}
