package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/hivetest"
)

func TestSubkeys(t *testing.T) {
	want := []string{"Alpha", "beta", "Delta", "GAMMA", "x y", "Ähre", "Größe", "日本"}
	slices.SortFunc(want, func(a, b string) int {
		return slices.Compare([]rune(strings.ToUpper(a)),
			[]rune(strings.ToUpper(b)))
	})
	for _, list := range []string{"lf", "lh", "li"} {
		for _, maxLeaf := range []int{0, 1, 3} {
			for minor := uint32(3); minor <= 6; minor++ {
				p := build(t, hivetest.Key{Name: "ROOT", Subkeys: keys(want...)},
					hivetest.Options{List: list, MaxLeaf: maxLeaf, Minor: minor})
				got, err := p.key("").Subkeys()
				if diff := cmp.Diff(strings.Join(want, " "), names(got)); err != nil || diff != "" {
					t.Fatalf("%s, %d a leaf, 1.%d: %v\n%s", list, maxLeaf, minor, err, diff)
				}
				for _, name := range want {
					for _, asked := range []string{name, strings.ToUpper(name), strings.ToLower(name)} {
						k, err := p.key("").Subkey(asked)
						if err != nil || k.Name() != name {
							t.Errorf("%s, %d a leaf: %s: %v %v", list, maxLeaf, asked, k, err)
						}
					}
				}
				for _, name := range []string{"", "Alph", "Alphaa", "Grosse", "日", "delta\x00"} {
					if _, err := p.key("").Subkey(name); !errors.Is(err, fs.ErrNotExist) {
						t.Errorf("%s, %d a leaf: %q: %v, want fs.ErrNotExist", list, maxLeaf, name, err)
					}
				}
			}
		}
	}
}

// Whatever the order of a list, what is in it is found. What is not may be damaged where no hash would say so.
func TestListsOutOfOrder(t *testing.T) {
	for _, list := range []string{"lf", "lh", "li"} {
		p := build(t, hivetest.Key{Name: "ROOT", Subkeys: keys("a", "b", "c", "größe")}, hivetest.Options{List: list})
		stride := map[string]int{"lf": 8, "lh": 8, "li": 4}[list]
		elements := p.list("")[4:][:4*stride]
		first := bytes.Clone(elements[:stride])
		copy(elements, elements[3*stride:])
		copy(elements[3*stride:], first)
		for _, name := range []string{"A", "B", "C", "GRÖßE"} {
			if _, err := p.key("").Subkey(name); err != nil {
				t.Errorf("%s: %s: %v", list, name, err)
			}
		}
		_, err := p.key("").Subkey("d")
		if list == "lh" && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: d: %v", list, err)
		} else if list != "lh" {
			isCorrupt(t, list, err, "not in order")
		}
	}
}

// What a list says of a name fits the name, or the one or the other is damaged.
func TestHashesAndHints(t *testing.T) {
	root := hivetest.Key{Name: "ROOT", Subkeys: keys("ab", "abcde", "größe", "名", "xyz")}
	const all = "ab abcde größe 名 xyz"
	for _, tt := range []struct {
		name, list string
		damage     func(p patched)
		found      string // names that are found
		absent     string // names that are said to be absent; of all others nothing can be said
		whole      bool   // whether Subkeys is without error
	}{
		{"as it is", "lh", func(patched) {}, all, "xyy nothing", true},
		{"hashes", "lh", func(p patched) {
			for i := range 5 {
				le.PutUint32(p.list("")[4+8*i+4:], 1)
			}
		}, "größe 名", "", false},
		{"a hash", "lh", func(p patched) { p.list("")[4+4]++ }, "abcde größe 名 xyz", "", false},
		{"a name beside its hash", "lh", func(p patched) { p.node("xyz")[76+2] = 'y' }, "ab abcde größe 名", "", false},
		{"a name that is no longer ASCII", "lh", func(p patched) { p.node("xyz")[76+1] = 0xE9 }, "ab abcde größe 名",
			"xyy nothing", true},
		{"hints", "lf", func(p patched) {
			for i := range 5 {
				copy(p.list("")[4+8*i+4:], "abcq")
			}
		}, "名", "", false},
		{"a hint of a short name", "lf", func(p patched) { p.list("")[4+4+3] = 'x' }, "abcde größe 名 xyz", "", false},
		{"a name beside its hint", "lf", func(p patched) { p.node("xyz")[76+2] = 'y' }, "ab abcde größe 名", "", false},
		{"case of hints", "lf", func(p patched) { copy(p.list("")[4+8+4:], "ABCD") }, all, "xyy nothing", true},
		{"a name beside nothing", "li", func(p patched) { p.node("xyz")[76+2] = 'y' }, "ab abcde größe 名 xyy", "xyz nothing",
			true},
		{"a name beside nothing, out of order", "li", func(p patched) { p.node("xyz")[76] = 'a'; p.node("ayz")[77] = 'a' },
			"ab abcde größe 名", "", true},
	} {
		p := build(t, root, hivetest.Options{List: tt.list})
		tt.damage(p)
		_, err := p.key("").Subkeys()
		if tt.whole && err != nil {
			t.Errorf("%s: %v", tt.name, err)
		} else if !tt.whole {
			isCorrupt(t, tt.name, err, "its name", "root key")
		}
		for _, name := range []string{"ab", "abcde", "größe", "名", "xyz", "xyy", "nothing"} {
			_, err := p.key("").Subkey(name)
			switch {
			case slices.Contains(strings.Fields(tt.found), name):
				if err != nil {
					t.Errorf("%s: %s: %v", tt.name, name, err)
				}
			case slices.Contains(strings.Fields(tt.absent), name):
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %s: %v", tt.name, name, err)
				}
			default:
				isCorrupt(t, tt.name+": "+name, err)
			}
		}
	}
}

// Damage in a list is an error for those that look for something it does not show, and for nobody else.
func TestDamagedLists(t *testing.T) {
	root := hivetest.Key{Name: "ROOT", Subkeys: keys("a", "b", "c", "d", "e", "f")}
	for _, tt := range []struct {
		name   string
		o      hivetest.Options
		damage func(p patched)
		found  string // names that are found still
		names  string // in the error
	}{
		{"list not a list", hivetest.Options{}, func(p patched) { p.list("")[0] = 'x' }, "", "not a list"},
		{"list not allocated", hivetest.Options{}, func(p patched) { negate(p.size(p.key("").subkeyListOffset())) }, "",
			"not allocated"},
		{"count gone, list there", hivetest.Options{}, func(p patched) { clear(p.node("")[20:24]) }, "",
			"no subkeys, yet a list"},
		{"list nowhere", hivetest.Options{}, func(p patched) { le.PutUint32(p.node("")[28:], noOffset) }, "", "0x100000fff"},
		{"count too large for the cell", hivetest.Options{}, func(p patched) { le.PutUint16(p.list("")[2:], 100) },
			"a b c d e f", "100 elements"},
		{"count larger than the key's", hivetest.Options{}, func(p patched) { le.PutUint32(p.node("")[20:], 5) }, "a b c d e",
			"more elements"},
		{"count smaller than the key's", hivetest.Options{}, func(p patched) { le.PutUint32(p.node("")[20:], 7) },
			"a b c d e f", "6 of 7"},
		{"absurd count", hivetest.Options{}, func(p patched) { le.PutUint32(p.node("")[20:], 1<<31) }, "a b c d e f",
			"fit into"},
		{"element nowhere", hivetest.Options{}, func(p patched) { le.PutUint32(p.list("")[4+8:], noOffset) }, "a c d e f",
			"0x100000fff"},
		{"element not a key", hivetest.Options{}, func(p patched) { p.node("b")[1] = 'x' }, "a c d e f", "not a key node"},
		{"element not allocated", hivetest.Options{}, func(p patched) { negate(p.size(p.key("b").offset)) }, "a c d e f",
			"not allocated"},
		{"element of another key", hivetest.Options{}, func(p patched) { le.PutUint32(p.node("b")[16:], p.key("a").offset) },
			"a c d e f", "belongs to"},
		{"the root as its own subkey", hivetest.Options{}, func(p patched) {
			root := p.key("").offset
			le.PutUint32(p.node("")[16:], root)
			le.PutUint32(p.list("")[4+8:], root)
		}, "a c d e f", "belongs to"},
		{"element twice", hivetest.Options{}, func(p patched) { copy(p.list("")[12:20], p.list("")[4:12]) }, "a c d e f",
			"twice"},
		{"name longer than the cell", hivetest.Options{}, func(p patched) { le.PutUint16(p.node("b")[72:], 300) },
			"a c d e f", "300 bytes"},
		{"odd UTF-16 name", hivetest.Options{}, func(p patched) { clear(p.node("b")[2:4]) }, "a c d e f", "1 bytes"},
		{"one leaf of an index root", hivetest.Options{MaxLeaf: 2}, func(p patched) {
			p.cell(le.Uint32(p.list("")[8:]))[0] = 'x'
		}, "a b e f", "not a list"},
		{"index root lists itself", hivetest.Options{MaxLeaf: 2}, func(p patched) {
			le.PutUint32(p.list("")[8:], p.key("").subkeyListOffset())
		}, "a b", "more elements"},
		{"leaf twice in an index root", hivetest.Options{MaxLeaf: 2}, func(p patched) {
			copy(p.list("")[8:12], p.list("")[4:8])
		}, "a b e f", "twice"},
		{"empty leaf in an index root", hivetest.Options{MaxLeaf: 2}, func(p patched) {
			clear(p.cell(le.Uint32(p.list("")[8:]))[2:4])
		}, "a b e f", "4 of 6"},
		{"key of a differencing hive", hivetest.Options{Minor: 6}, func(p patched) { p.node("b")[13] = 1 }, "a c d e f",
			"differencing hive"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := build(t, root, tt.o)
			tt.damage(p)
			subkeys, err := p.key("").Subkeys()
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), tt.names) ||
				!strings.HasPrefix(err.Error(), "root key: subkeys: ") {
				t.Errorf("error %v, want one that names %q", err, tt.names)
			}
			if names(subkeys) != tt.found {
				t.Errorf("subkeys %q, want %q", names(subkeys), tt.found)
			}
			for _, name := range strings.Fields("a b c d e f nothing") {
				_, err := p.key("").Subkey(name)
				if listed := slices.Contains(strings.Fields(tt.found), name); listed && err != nil {
					t.Errorf("%s: %v", name, err)
				} else if !listed && (err == nil || errors.Is(err, fs.ErrNotExist)) {
					t.Errorf("%s: %v, want an error that is not fs.ErrNotExist", name, err)
				}
			}
		})
	}
}

// Errors about one damage have the same subject, and those about another damage, another key or another hive have
// another; an error that is not about damage has none.
func TestSubjects(t *testing.T) {
	root := hivetest.Key{Name: "ROOT", Subkeys: []hivetest.Key{
		{Name: "a", Subkeys: keys("c", "d")}, {Name: "b", Subkeys: keys("c", "d")}}}
	damaged := func(offset uint32) *Hive {
		p := build(t, root, hivetest.Options{})
		for _, name := range []string{"a", "b"} {
			le.PutUint32(p.node(name)[28:], offset)
		}
		return p.key("").Hive()
	}
	subject := func(h *Hive, name, of string) any {
		t.Helper()
		_, err := h.Key(name + `\` + of)
		var e *keyError
		if !errors.As(err, &e) {
			t.Fatalf("%s: %v", name, err)
		}
		return e.Subject()
	}
	h := damaged(noOffset)
	one := subject(h, "a", "c")
	if again := subject(h, "a", "d"); one == nil || again != one {
		t.Errorf("one damage is %v and %v", one, again)
	}
	if other := subject(h, "b", "c"); other == nil || other == one {
		t.Errorf("another key has %v", other)
	}
	if other := subject(damaged(noOffset), "a", "c"); other == nil || other == one {
		t.Errorf("another hive has %v", other)
	}
	if d := subject(damaged(4096*1000), "a", "c").(damagedKey); d.offset == one.(damagedKey).offset {
		t.Errorf("another damage has %v", d)
	}
	if none := (&keyError{err: ErrUnsupported}).Subject(); none != nil {
		t.Errorf("an error without damage has %v", none)
	}
}

// negate turns the size of an allocated cell into that of one that is not, and back.
func negate(size []byte) { le.PutUint32(size, -le.Uint32(size)) }

// Index roots below index roots are read to a depth that no writer reaches.
func TestNestedIndexRoots(t *testing.T) {
	for depth := 1; depth <= maxIndexDepth+1; depth++ {
		p := build(t, hivetest.Key{Name: "ROOT", Subkeys: keys("a", "b"), Values: spare(maxIndexDepth + 1)},
			hivetest.Options{})
		list := p.key("").subkeyListOffset()
		for i := range depth {
			at := p.value("", fmt.Sprint("spare", i)).dataOffset()
			c := p.cell(at)
			copy(c, "ri")
			le.PutUint16(c[2:], 1)
			le.PutUint32(c[4:], list)
			list = at
		}
		le.PutUint32(p.node("")[28:], list)
		subkeys, err := p.key("").Subkeys()
		if depth <= maxIndexDepth {
			if err != nil || names(subkeys) != "a b" {
				t.Errorf("depth %d: %q, %v", depth, names(subkeys), err)
			}
		} else {
			isCorrupt(t, fmt.Sprint("depth ", depth), err, "nested more than 4 deep")
		}
	}
}

// spare returns values whose data is room for a cell that a test makes up.
func spare(n int) []hivetest.Value {
	var v []hivetest.Value
	for i := range n {
		v = append(v, hivetest.Value{Name: fmt.Sprint("spare", i), Type: 3, Data: make([]byte, 40)})
	}
	return v
}

// An index root that names empty leaves without end keeps the reader busy only for as long as the key has subkeys.
func TestEmptyLeaves(t *testing.T) {
	const lists = 60000
	p := build(t, hivetest.Key{Name: "ROOT", Subkeys: keys("a", "b"),
		Values: append(spare(1), hivetest.Value{Name: "ri", Type: 3, Data: make([]byte, 4+4*lists)})},
		hivetest.Options{Minor: 3})
	empty, ri := p.value("", "spare0").dataOffset(), p.value("", "ri").dataOffset()
	copy(p.cell(empty), "lh\x00\x00")
	c := p.cell(ri)
	copy(c, "ri")
	le.PutUint16(c[2:], lists)
	for i := range lists {
		le.PutUint32(c[4+4*i:], empty)
	}
	le.PutUint32(p.node("")[28:], ri)
	_, err := p.key("").Subkeys()
	isCorrupt(t, "empty leaves", err, "more lists than subkeys")
}

func TestDepth(t *testing.T) {
	for _, tt := range []struct{ depth, keys int }{{maxDepth - 1, maxDepth}, {maxDepth, maxDepth + 1},
		{maxDepth + 1, maxDepth + 1}} {
		k := hivetest.Key{Name: fmt.Sprint("k", tt.depth)}
		for i := tt.depth - 1; i >= 0; i-- {
			k = hivetest.Key{Name: fmt.Sprint("k", i), Subkeys: []hivetest.Key{k}}
		}
		p := build(t, k, hivetest.Options{})
		c := count(p.open())
		if c.keys != tt.keys {
			t.Errorf("depth %d: %d keys, want %d", tt.depth, c.keys, tt.keys)
		}
		if tt.depth > maxDepth {
			isCorrupt(t, "too deep", errors.Join(c.errs...), "more than 512 levels")
		} else if c.errs != nil {
			t.Errorf("depth %d: %v", tt.depth, c.errs)
		}
	}
}

func TestDuplicateNames(t *testing.T) {
	p := build(t, hivetest.Key{Name: "ROOT",
		Subkeys: []hivetest.Key{{Name: "same", LastWrite: 1}, {Name: "SAME", LastWrite: 2}},
		Values: []hivetest.Value{{Name: "v", Type: 4, Data: []byte{1, 0, 0, 0}},
			{Name: "V", Type: 4, Data: []byte{2, 0, 0, 0}}}}, hivetest.Options{})
	k := p.key("")
	subkeys, err := k.Subkeys()
	if err != nil || names(subkeys) != "same SAME" {
		t.Errorf("subkeys %q, %v", names(subkeys), err)
	}
	if one, err := k.Subkey("Same"); err != nil || one.Name() != "same" {
		t.Errorf("Subkey: %v, %v, want the first", one, err)
	}
	if v := p.value("", "V"); v.Name() != "v" {
		t.Errorf("Value: %s, want the first", v.Name())
	}
}

func TestKeyInfo(t *testing.T) {
	p := build(t, hivetest.Key{Name: "ROOT", Class: "Größe",
		Subkeys: []hivetest.Key{{Name: "a", LastWrite: 132223104001234567}}}, hivetest.Options{})
	root, a := p.key(""), p.key("a")
	if class, err := root.ClassName(); class != "Größe" || err != nil {
		t.Errorf("class name %q, %v", class, err)
	}
	if class, err := a.ClassName(); class != "" || err != nil {
		t.Errorf("class name %q, %v", class, err)
	}
	if got := a.LastWrite().Format("2006-01-02T15:04:05.9999999Z07:00"); got != "2020-01-01T00:00:00.1234567Z" {
		t.Errorf("last write %s", got)
	}
	if got := string(p.data[a.Offset()+4:][:2]); got != "nk" {
		t.Errorf("at the key's offset is %q", got)
	}
	if a.Hive() != a.parent.Hive() || a.Recovered() {
		t.Errorf("hive %p, recovered %v", a.Hive(), a.Recovered())
	}
	sd, err := a.SecurityDescriptor()
	if err != nil || len(sd) != 52 || sd[0] != 1 || le.Uint16(sd[2:]) != 0x8000 {
		t.Errorf("security descriptor % x, %v", sd, err)
	}

	le.PutUint16(p.node("")[74:], 200)
	_, err = p.key("").ClassName()
	isCorrupt(t, "class name too long", err, "root key", "200 bytes")
	le.PutUint32(p.cell(a.securityOffset())[16:], 53+8)
	_, err = p.key("a").SecurityDescriptor()
	isCorrupt(t, "security descriptor too long", err, `key "a"`, "a security descriptor of 61 bytes")
	le.PutUint32(p.node("a")[44:], noOffset)
	if _, err := p.key("a").SecurityDescriptor(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no security descriptor: %v", err)
	}
	p.node("a")[2] |= flagPredefinedHandle
	if _, err := p.key("a").Values(); !errors.Is(err, ErrUnsupported) {
		t.Errorf("values of a predefined handle: %v", err)
	}
	if _, err := p.key("a").Value("x"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("value of a predefined handle: %v", err)
	}
}

func TestSymbolicLink(t *testing.T) {
	target := `\Registry\Machine\SOFTWARE\Classes`
	link := func(name string, values ...hivetest.Value) hivetest.Key {
		return hivetest.Key{Name: name, Flags: flagSymbolicLink, Values: values, Subkeys: keys("below")}
	}
	p := build(t, hivetest.Key{Name: "ROOT", Subkeys: []hivetest.Key{
		link("good", hivetest.Value{Name: "SymbolicLinkValue", Type: 6, Data: wide(target)}),
		link("none"),
		link("text", hivetest.Value{Name: "SymbolicLinkValue", Type: 1, Data: wide(target)}),
		link("empty", hivetest.Value{Name: "SymbolicLinkValue", Type: 6, Data: wide("\x00")}),
		link("cut", hivetest.Value{Name: "SymbolicLinkValue", Type: 6, Data: noise(100)}),
		{Name: "plain"},
	}}, hivetest.Options{})
	le.PutUint32(p.cell(p.value("cut", "SymbolicLinkValue").offset)[4:], 1000)
	if got, err := p.key("good").SymbolicLink(); got != target || err != nil {
		t.Errorf("target %q, %v", got, err)
	}
	if got, err := p.key("plain").SymbolicLink(); got != "" || err != nil {
		t.Errorf("target %q, %v", got, err)
	}
	_, err := p.key("none").SymbolicLink()
	isCorrupt(t, "link without target", err, "without a target")
	_, err = p.key("text").SymbolicLink()
	isCorrupt(t, "link of a wrong type", err, "REG_SZ")
	_, err = p.key("empty").SymbolicLink()
	isCorrupt(t, "link to nothing", err, "empty target")
	_, err = p.key("cut").SymbolicLink()
	isCorrupt(t, "link whose target is damaged", err, "1000 bytes")
	if _, err := p.open().Key(`good\below`); !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "below") {
		t.Errorf("path through a link: %v", err)
	}
}

func TestWalk(t *testing.T) {
	p := build(t, hivetest.Key{Name: "ROOT", Subkeys: []hivetest.Key{
		{Name: "a", Subkeys: []hivetest.Key{{Name: "1"}, {Name: "2", Subkeys: keys("x")}}}, {Name: "b", Subkeys: keys("3")},
		{Name: "c"},
	}}, hivetest.Options{})
	walk := func(results map[string]error) (visited string, err error) {
		var paths []string
		err = p.open().Walk(func(k *Key, err error) error {
			path := k.Path()
			if err != nil {
				path += "!"
			}
			paths = append(paths, path)
			return results[path]
		})
		return strings.Join(paths, " "), err
	}
	stop := errors.New("stop")
	for _, tt := range []struct {
		results map[string]error
		want    string
		err     error
	}{
		{nil, ` a a\1 a\2 a\2\x b b\3 c`, nil},
		{map[string]error{"a": fs.SkipDir}, ` a b b\3 c`, nil},
		{map[string]error{"c": fs.SkipDir}, ` a a\1 a\2 a\2\x b b\3 c`, nil},
		{map[string]error{`a\2`: fs.SkipAll}, ` a a\1 a\2`, nil},
		{map[string]error{`a\2`: stop}, ` a a\1 a\2`, stop},
	} {
		if got, err := walk(tt.results); got != tt.want || err != tt.err {
			t.Errorf("%v: %q, %v, want %q, %v", tt.results, got, err, tt.want, tt.err)
		}
	}

	p.node(`a\1`)[0] = 'x'
	for _, tt := range []struct {
		results map[string]error
		want    string
		err     error
	}{
		{nil, ` a a! a\2 a\2\x b b\3 c`, nil},
		{map[string]error{"a!": fs.SkipDir}, ` a a! b b\3 c`, nil},
		{map[string]error{"a!": stop}, ` a a!`, stop},
	} {
		if got, err := walk(tt.results); got != tt.want || err != tt.err {
			t.Errorf("damaged, %v: %q, %v, want %q, %v", tt.results, got, err, tt.want, tt.err)
		}
	}
}

// Keys that all share one long list of other keys' subkeys cost a walk no more than maxDamaged elements.
func TestWalkEndsInDamage(t *testing.T) {
	const shared, elements = 2000, 3000
	root := hivetest.Key{Name: "ROOT", Subkeys: []hivetest.Key{{Name: "real"}}}
	for i := range elements {
		root.Subkeys[0].Subkeys = append(root.Subkeys[0].Subkeys, hivetest.Key{Name: fmt.Sprint("s", i)})
	}
	for i := range shared {
		root.Subkeys = append(root.Subkeys, hivetest.Key{Name: fmt.Sprint("k", i)})
	}
	p := build(t, root, hivetest.Options{MaxLeaf: 10000})
	list := p.key("real").subkeyListOffset()
	subkeys, err := p.key("").Subkeys()
	if err != nil {
		t.Fatal(err)
	}
	for n := range shared {
		if k := subkeys[n]; k.Name() != "real" {
			le.PutUint32(p.cell(k.offset)[20:], elements)
			le.PutUint32(p.cell(k.offset)[28:], list)
		}
	}
	var visited int
	err = p.open().Walk(func(k *Key, err error) error {
		if err == nil {
			visited++
		}
		return nil
	})
	isCorrupt(t, "walk", err, "the walk ends here")
	if visited < maxDamaged/elements || visited > maxDamaged/elements+elements+10 {
		t.Errorf("%d keys visited", visited)
	}
}
