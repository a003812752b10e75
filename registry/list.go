package registry

import (
	"fmt"
	"slices"
)

// maxIndexDepth is how deep index roots may be nested. Windows writes one above the leaves.
const maxIndexDepth = 4

// maxDamaged is how many damaged subkeys a walk goes past. Each costs time but no room in a hive whose keys share one
// long list; more than fit into the largest real hives' lists are no accident.
const maxDamaged = 1 << 18

// minKeyCell is the smallest cell of a key: its size, the node and a name of one byte, aligned. A hive has no
// more keys than that fits into it.
const minKeyCell = 80

// elementCost is the most memory for an element of a list before its key is read, in bytes: in the worst case a leaf
// of its own.
const elementCost = 72

// A leaf is a list of subkeys or a part of it, lf, lh or li (regf, "Index leaf", "Fast leaf", "Hash leaf"), or a list
// of values.
type leaf struct {
	at       uint32 // its offset
	elements []byte
	count    int
	stride   int  // bytes an element
	hashed   bool // elements have the hash of the name (lh)
	hinted   bool // elements have the beginning of the name (lf)
}

func (l *leaf) offset(i int) uint32 { return le.Uint32(l.elements[i*l.stride:]) }
func (l *leaf) hash(i int) uint32   { return le.Uint32(l.elements[i*l.stride+4:]) }
func (l *leaf) hint(i int) []byte   { return l.elements[i*l.stride+4:][:4] }

const errHash = "subkey %s does not have the hash of its name"

// subkey returns the i-th subkey of a leaf. The leaf's hash or hint must match the key's name: otherwise one of them
// is damaged, and Windows would not find the key. Non-ASCII names are not checked: their hash depends on the case
// tables of the writer.
func (k *Key) subkey(l *leaf, i int) (Key, error) {
	key, err := k.hive.keyAt(l.offset(i), k)
	if err != nil {
		return key, err
	}
	name := key.name()
	if l.hashed {
		if hash, ascii := name.hash(); ascii && hash != l.hash(i) {
			return key, corrupt(l.at, errHash, quote(key.Name()))
		}
	}
	if l.hinted && name.compressed {
		for i, h := range l.hint(i) {
			var c byte
			if i < len(name.bytes) {
				c = name.bytes[i]
			}
			if c < 0x80 && upcase(uint16(h)) != upcase(uint16(c)) {
				return key, corrupt(l.at, "subkey %s does not begin as its name does", quote(key.Name()))
			}
		}
	}
	return key, nil
}

// leaves appends the readable leaves of the key's list of subkeys to buf, and counts their elements.
func (k *Key) leaves(buf []leaf) (leaves []leaf, elements int, err error) {
	n, at := int(k.subkeyCount()), k.subkeyListOffset()
	if n == 0 {
		return buf, 0, k.noList("subkeys", at)
	}
	if room := k.hive.bins.end / minKeyCell; n > room {
		err = corrupt(k.offset, "key node: %d subkeys, %d fit into what there is of the hive", n, room)
		n = room
	}
	if noRoom := k.hive.bins.memory.fits(int64(n) * elementCost); noRoom != nil {
		return buf, 0, fmt.Errorf("a list of %d: %w", n, noRoom)
	}
	c := leafCollector{bins: &k.hive.bins, leaves: buf, elements: n, lists: 2*n + maxIndexDepth + 1}
	err = first(err, c.add(at, 0))
	if err == nil && c.elements > 0 {
		err = corrupt(at, "the list has %d of %d subkeys", n-c.elements, n)
	}
	return c.leaves, n - c.elements, err
}

// noList makes sure that a key that counts no subkeys or values has no list of them either: Windows and all other
// writers say so twice.
func (k *Key) noList(what string, at uint32) error {
	if at != noOffset {
		return corrupt(k.offset, "key node: no %s, yet a list of them at 0x%x", what, fileOffset(at))
	}
	return nil
}

// A leafCollector gathers the leaves of one list.
type leafCollector struct {
	bins     *bins
	leaves   []leaf
	elements int // still expected: no list may name more subkeys than the key has
	lists    int // lists still allowed: empty ones cost no element, and must not keep the reader busy
}

// add appends the leaves at or below the list at an offset. It goes on after a damaged one, and returns the first
// error.
func (c *leafCollector) add(at uint32, depth int) error {
	if c.lists--; c.lists == 0 {
		return corrupt(at, "more lists than subkeys")
	}
	// The layout of all four: 0 signature, 2 number of elements, 4 elements. A cell has 4 bytes at least.
	const listHead = 4
	cell, length, err := c.bins.cell(at, listHead)
	if err != nil {
		return err
	}
	l := leaf{at: at, count: int(le.Uint16(cell[2:]))}
	kind := string(cell[:2])
	switch kind {
	case "lh":
		l.stride, l.hashed = 8, true
	case "lf":
		l.stride, l.hinted = 8, true
	case "li", "ri":
		l.stride = 4
	default:
		return corrupt(at, "not a list of subkeys")
	}
	var damaged error
	if room := (length - listHead) / l.stride; l.count > room {
		damaged = corrupt(at, "%d elements in a list for %d", l.count, room)
		l.count = room
	}
	if kind != "ri" && l.count > c.elements {
		damaged = first(damaged, corrupt(at, "more elements than the key has subkeys"))
		l.count = c.elements
	}
	if l.elements, _, err = c.bins.cell(at, listHead+l.count*l.stride); err != nil {
		return err
	}
	l.elements, err = l.elements[listHead:], damaged
	if kind == "ri" {
		if depth == maxIndexDepth {
			return corrupt(at, "index roots are nested more than %d deep", maxIndexDepth)
		}
		for i := range l.count {
			if c.lists == 0 {
				break // add has reported it
			}
			err = first(err, c.add(l.offset(i), depth+1))
		}
		return err
	}
	if l.count > 0 {
		c.elements -= l.count
		c.leaves = append(c.leaves, l)
	}
	return err
}

// A list that names something twice may do so in place of something else, so it proves of nothing that it is not
// there.
const errTwice = "the list names something twice"

// offsets returns all that leaves name.
func offsets(leaves []leaf) []uint32 {
	var all []uint32
	for _, l := range leaves {
		all = slices.Grow(all, l.count)
		for i := range l.count {
			all = append(all, l.offset(i))
		}
	}
	return all
}

// inOrder reports whether the subkeys of leaves without hashes are sorted as Windows writes them: a name out of order
// is damaged. Non-ASCII names are skipped: their order depends on the case tables of the writer.
func (k *Key) inOrder(leaves []leaf) (bool, error) {
	var last rawName
	for _, l := range leaves {
		if l.hashed {
			continue
		}
		for i := range l.count {
			key, err := k.hive.keyAt(l.offset(i), k)
			if err != nil {
				return false, err
			}
			name := key.name()
			if _, ascii := name.hash(); !ascii {
				continue
			}
			if last.compare(name) > 0 {
				return false, nil
			}
			last = name
		}
	}
	return true, nil
}

// twice reports whether an offset occurs twice. It sorts the offsets.
func twice(offsets []uint32) bool {
	slices.Sort(offsets)
	for i := 1; i < len(offsets); i++ {
		if offsets[i] == offsets[i-1] {
			return true
		}
	}
	return false
}

// once removes duplicates.
func once[T any](list []T, offset func(T) uint32) []T {
	seen := map[uint32]bool{}
	return slices.DeleteFunc(list, func(e T) bool {
		before := seen[offset(e)]
		seen[offset(e)] = true
		return before
	})
}
