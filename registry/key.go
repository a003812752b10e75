package registry

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/filetime"
	"github.com/coldcheck/coldcheck/internal/utf16le"
)

const (
	// maxDepth is how deep keys may be nested; Windows allows no more.
	maxDepth = 512
	// keyNodeSize is the size of a key node up to the name.
	keyNodeSize = 76
	// maxKeyName is the length of the longest name, in bytes: Windows allows 256 characters.
	maxKeyName = 512
	// maxDescriptor is the size of the largest security descriptor, in bytes: a header, two lists of at most 65,535 and
	// two SIDs ([MS-DTYP] 2.4.6, 2.4.5, 2.4.2).
	maxDescriptor = 20 + 2*65535 + 2*68
	// keyCost is the memory for a key of a hive in memory, in bytes.
	keyCost = 72
	// noOffset marks an offset that points nowhere.
	noOffset = 0xFFFFFFFF
)

// Flags of key nodes.
const (
	flagHiveEntry        = 0x0004 // the root
	flagSymbolicLink     = 0x0010
	flagCompressedName   = 0x0020
	flagPredefinedHandle = 0x0040
)

// A Key is a key of a hive. It is safe for concurrent use.
type Key struct {
	hive   *Hive
	parent *Key
	offset uint32
	depth  int
	node   []byte // the fixed part and the name
}

// Layout of a key node (regf, "Key node"):
//
//	 0 "nk"                     36 number of values
//	 2 flags                    40 offset of the list of values
//	 4 last written, FILETIME   44 offset of the security descriptor
//	13 layer semantics (1.6)    48 offset of the class name
//	16 offset of the parent     72 length of the name, bytes
//	20 number of subkeys        74 length of the class name, bytes
//	28 offset of their list     76 name
func (k *Key) flags() uint16            { return le.Uint16(k.node[2:]) }
func (k *Key) parentOffset() uint32     { return le.Uint32(k.node[16:]) }
func (k *Key) subkeyCount() uint32      { return le.Uint32(k.node[20:]) }
func (k *Key) subkeyListOffset() uint32 { return le.Uint32(k.node[28:]) }
func (k *Key) valueCount() uint32       { return le.Uint32(k.node[36:]) }
func (k *Key) valueListOffset() uint32  { return le.Uint32(k.node[40:]) }
func (k *Key) securityOffset() uint32   { return le.Uint32(k.node[44:]) }
func (k *Key) classOffset() uint32      { return le.Uint32(k.node[48:]) }
func (k *Key) classLength() int         { return int(le.Uint16(k.node[74:])) }
func (k *Key) compressedName() bool     { return k.flags()&flagCompressedName != 0 }
func (k *Key) name() rawName {
	return rawName{k.node[keyNodeSize:][:le.Uint16(k.node[72:])], k.compressedName()}
}

// keyAt returns the key whose node is at an offset, a subkey of parent, or the root if parent is nil.
func (h *Hive) keyAt(offset uint32, parent *Key) (Key, error) {
	node, length, err := h.bins.cell(offset, keyNodeSize+maxKeyName)
	if err != nil {
		return Key{}, err
	}
	if length < keyNodeSize || string(node[:2]) != "nk" {
		return Key{}, corrupt(offset, "not a key node")
	}
	k := Key{hive: h, parent: parent, offset: offset, node: node}
	n := int(le.Uint16(node[72:]))
	switch {
	case n > length-keyNodeSize || n%2 != 0 && !k.compressedName():
		return Key{}, corrupt(offset, "key node: a name of %d bytes in a cell of %d", n, length)
	case n > maxKeyName:
		return Key{}, corrupt(offset, "key node: a name of %d bytes; Windows allows %d", n, maxKeyName)
	}
	k.node = node[: keyNodeSize+n : keyNodeSize+n]
	if parent == nil {
		return k, nil
	}
	k.depth = parent.depth + 1
	switch {
	case offset == h.base.root || k.parentOffset() != parent.offset:
		// Each key node names its one parent, so keys form a tree: no key is below itself or below two others.
		return Key{}, corrupt(offset, "key node: it belongs to the key at 0x%x, not to the one whose list names it, at 0x%x",
			fileOffset(k.parentOffset()), fileOffset(parent.offset))
	case k.depth > maxDepth:
		return Key{}, corrupt(offset, "key node: more than %d levels deep", maxDepth)
	case h.base.minor >= 6 && node[13]&3 != 0:
		return Key{}, fmt.Errorf("%w: offset 0x%x: key of a differencing hive", ErrUnsupported, fileOffset(offset))
	}
	return k, nil
}

// keep puts a key that was found on the heap, so that those it was found among need not be there.
func (k Key) keep() *Key { return &k }

// Hive returns the hive that holds the key.
func (k *Key) Hive() *Hive { return k.hive }

// Name returns the key's name as it is written in the hive.
func (k *Key) Name() string { return k.name().String() }

// Path returns the names from the root down to the key, separated by `\`; the root's path is "", its name is not part
// of any path.
func (k *Key) Path() string {
	var names []string
	for ; k.parent != nil; k = k.parent {
		names = append(names, k.Name())
	}
	slices.Reverse(names)
	return strings.Join(names, `\`)
}

// LastWrite returns the time of the last write to the key, in UTC with a resolution of 100 ns. The zero time means that
// the hive has none, or one beyond the year 9999.
func (k *Key) LastWrite() time.Time { return filetime.Time(le.Uint64(k.node[4:])) }

// Offset returns the offset of the key's cell in the hive file, in bytes.
func (k *Key) Offset() int64 { return fileOffset(k.offset) }

// Recovered reports whether any byte of the key's own record came out of a transaction
// log.
func (k *Key) Recovered() bool { return k.hive.recovered(k.offset, len(k.node)) }

// Subkeys returns the subkeys in the hive's order. Where the list, or some of the subkeys, are damaged it returns
// those that could be read and an error that is ErrCorrupt: a caller that must not miss one looks at the error
// first. Names that occur twice are returned twice.
func (k *Key) Subkeys() ([]*Key, error) {
	keys, _, err := k.subkeys()
	return keys, err
}

// subkeys returns also how many elements of the list are damaged.
func (k *Key) subkeys() (result []*Key, damaged int, err error) {
	var buf [4]leaf
	leaves, n, err := k.leaves(buf[:0])
	t := tally{memory: k.hive.bins.memory}
	if noRoom := t.add(int64(n) * keyCost); noRoom != nil {
		return nil, 0, k.failList(fmt.Errorf("%d keys: %w", n, noRoom))
	}
	k.hive.bins.ahead(leaves)
	keys := make([]Key, 0, n)
	for _, l := range leaves {
		for i := range l.count {
			key, keyErr := k.subkey(&l, i)
			if keyErr != nil {
				err = first(err, keyErr)
				continue
			}
			if keyErr := t.add(k.hive.copied(len(key.node))); keyErr != nil {
				return nil, 0, k.failList(keyErr)
			}
			keys = append(keys, key)
		}
	}
	if twice(offsets(leaves)) {
		keys = once(keys, func(key Key) uint32 { return key.offset })
		err = first(err, corrupt(k.subkeyListOffset(), errTwice))
	}
	result = make([]*Key, len(keys))
	for i := range keys {
		result[i] = &keys[i]
	}
	return result, n - len(keys), k.failList(err)
}

// Subkey returns the subkey of that name, compared without case; of several with the same name, the first that
// Windows would find. The error is fs.ErrNotExist only if every subkey could be read and none has the name; a damaged
// list gives ErrCorrupt.
func (k *Key) Subkey(name string) (*Key, error) {
	w := want(name)
	var buf [4]leaf
	leaves, _, err := k.leaves(buf[:0])
	for _, l := range leaves {
		for i := range l.count {
			if !l.hashed || l.hash(i) != w.hash {
				continue
			}
			key, keyErr := k.hive.keyAt(l.offset(i), k)
			if keyErr != nil {
				err = first(err, keyErr)
			} else if w.is(key.name()) {
				return key.keep(), nil
			} else if hash, _ := key.name().hash(); hash != w.hash {
				err = first(err, corrupt(l.at, errHash, quote(key.Name()))) // it once had the wanted name
			}
		}
	}
	// Nothing is found by its hash, which proves nothing: every name is looked at, in whatever order they are.
	k.hive.bins.ahead(leaves)
	for _, l := range leaves {
		for i := range l.count {
			key, keyErr := k.subkey(&l, i)
			if keyErr != nil {
				err = first(err, keyErr)
			} else if w.is(key.name()) {
				return key.keep(), nil
			}
		}
	}
	switch {
	case err != nil:
	case twice(offsets(leaves)):
		err = corrupt(k.subkeyListOffset(), errTwice)
	default:
		var ordered bool
		if ordered, err = k.inOrder(leaves); err == nil && !ordered {
			err = corrupt(k.subkeyListOffset(), "the list is not in order")
		}
	}
	if err != nil {
		return nil, k.failList(err)
	}
	return nil, fmt.Errorf("key %s: %w", quote(k.below(name)), errNoKey)
}

// below returns the path of a subkey of that name.
func (k *Key) below(name string) string { return strings.TrimPrefix(k.Path()+`\`+name, `\`) }

// fail says which key has an error.
func (k *Key) fail(err error) error {
	return &keyError{k.hive, k.Path(), err}
}

// failList says that the list of subkeys has an error.
func (k *Key) failList(err error) error {
	if err == nil {
		return nil
	}
	return k.fail(fmt.Errorf("subkeys: %w", err))
}

// Values returns the values in the hive's order. Where the list, or some of the values, are damaged it returns those
// that could be read and an error that is ErrCorrupt.
//
// A key that is a predefined handle has no values in the file, Windows computes them (Perflib\009): ErrUnsupported.
func (k *Key) Values() ([]*Value, error) {
	list, err := k.valueList()
	t := tally{memory: k.hive.bins.memory}
	if noRoom := t.add(int64(list.count) * valueCost); noRoom != nil {
		return nil, k.fail(fmt.Errorf("%d values: %w", list.count, noRoom))
	}
	values := make([]Value, 0, list.count)
	for i := range list.count {
		v, valueErr := k.valueAt(list.offset(i))
		if valueErr != nil {
			err = first(err, valueErr)
			continue
		}
		if noRoom := t.add(k.hive.copied(len(v.record))); noRoom != nil {
			return nil, k.fail(fmt.Errorf("values: %w", noRoom))
		}
		values = append(values, v)
	}
	if twice(offsets([]leaf{list})) {
		values = once(values, func(v Value) uint32 { return v.offset })
		err = first(err, corrupt(list.at, errTwice))
	}
	result := make([]*Value, len(values))
	for i := range values {
		result[i] = &values[i]
	}
	if err != nil {
		err = k.fail(fmt.Errorf("values: %w", err))
	}
	return result, err
}

// Value returns the value of that name, compared without case; "" is the default value. Of several with the same name
// it is the first. The error is fs.ErrNotExist only if every value's record could be read, its data has a place, and
// none has the name; a damaged list gives ErrCorrupt.
func (k *Key) Value(name string) (*Value, error) {
	w := want(name)
	list, err := k.valueList()
	for i := range list.count {
		v, valueErr := k.valueAt(list.offset(i))
		if valueErr != nil {
			err = first(err, valueErr)
		} else if w.is(v.name()) {
			return v.keep(), nil
		}
	}
	if err == nil && twice(offsets([]leaf{list})) {
		err = corrupt(list.at, errTwice)
	}
	if err == nil {
		err = k.misplaced(list)
	}
	if err == nil {
		err = errNoValue
	}
	return nil, k.fail(fmt.Errorf("value %s: %w", quote(name), err))
}

// misplaced returns an error if a value in the list has no valid place for its data. The name of such a value proves
// nothing: the record may have been overwritten, and had another name.
func (k *Key) misplaced(list leaf) error {
	var buf [1]segment
	for i := range list.count {
		v, err := k.valueAt(list.offset(i))
		if err == nil && v.size() > 0 {
			_, err = v.segments(buf[:0])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// valueList returns the list of the values (regf, "Key values list"), or its readable part.
func (k *Key) valueList() (leaf, error) {
	l := leaf{at: k.valueListOffset(), stride: 4}
	n := int(k.valueCount())
	if k.flags()&flagPredefinedHandle != 0 {
		return l, fmt.Errorf("%w: predefined handle 0x%x", ErrUnsupported, n)
	}
	if n == 0 {
		return l, k.noList("values", l.at)
	}
	_, length, err := k.hive.bins.find(l.at)
	if err != nil {
		return l, err
	}
	var damaged error
	if room := min(length/l.stride, k.hive.bins.end/minValueCell); n > room {
		n, damaged = room, corrupt(l.at, "%d values in a list for %d", n, room)
	}
	if l.elements, _, err = k.hive.bins.cell(l.at, n*l.stride); err != nil {
		return l, err
	}
	l.count = n
	return l, damaged
}

// SymbolicLink returns the path the key links to, as `\Registry\Machine\…` or `\Registry\User\…`; "" if it is no
// symbolic link.
func (k *Key) SymbolicLink() (string, error) {
	if k.flags()&flagSymbolicLink == 0 {
		return "", nil
	}
	v, err := k.Value("SymbolicLinkValue")
	if err != nil {
		return "", fmt.Errorf("%w: symbolic link without a target: %v", ErrCorrupt, err)
	}
	if v.Type() != Link {
		return "", v.fail(fmt.Errorf("%w: type %s of a symbolic link's target", ErrCorrupt, v.Type()))
	}
	target, err := v.String()
	if err == nil && target == "" {
		err = v.fail(fmt.Errorf("%w: empty target of a symbolic link", ErrCorrupt))
	}
	return target, err
}

// ClassName returns the key's class name, "" if it has none.
func (k *Key) ClassName() (string, error) {
	n := k.classLength()
	if n == 0 {
		return "", nil
	}
	class, length, err := k.hive.bins.cell(k.classOffset(), n)
	if err == nil && n > length {
		err = corrupt(k.classOffset(), "%d bytes in a cell of %d", n, length)
	}
	if err != nil {
		return "", k.fail(fmt.Errorf("class name: %w", err))
	}
	return utf16le.Decode(class), nil
}

// SecurityDescriptor returns the key's self-relative security descriptor; it must not be modified. The error is
// fs.ErrNotExist if the key has none.
func (k *Key) SecurityDescriptor() ([]byte, error) {
	off := k.securityOffset()
	if off == noOffset {
		return nil, k.fail(fmt.Errorf("security descriptor: %w", fs.ErrNotExist))
	}
	// regf, "Key security": 0 "sk", 16 length of the descriptor in bytes, 20 descriptor.
	const head = 20
	sk, length, err := k.hive.bins.cell(off, head+maxDescriptor)
	var n int64
	switch {
	case err != nil:
	case length < head || string(sk[:2]) != "sk":
		err = corrupt(off, "not a key security record")
	default:
		if n = int64(le.Uint32(sk[16:])); n > int64(len(sk)-head) {
			err = corrupt(off, "a security descriptor of %d bytes in a cell of %d", n, length)
		}
	}
	if err != nil {
		return nil, k.fail(fmt.Errorf("security descriptor: %w", err))
	}
	return sk[head:][:n:n], nil
}

// Walk calls fn for the key and every key below it, depth first, in the hive's order. If the subkeys of a key
// cannot be read, or not all of them, fn is called again with that key and the error, and the walk goes on with
// those that could be read, unless there is so much damage that it ends with an error. fs.SkipDir returned by fn
// leaves out the subkeys, fs.SkipAll ends the walk; any other error ends it and is returned.
func (k *Key) Walk(fn func(k *Key, err error) error) error {
	// The keys of a level, and how many of them were visited.
	type progress struct {
		keys []*Key
		done int
	}
	level := progress{keys: []*Key{k}} // that of the key at hand
	var above []progress               // the levels above it
	held := int64(0)                   // keys of all these levels
	var damaged int
	for {
		for level.done == len(level.keys) {
			if len(above) == 0 {
				return nil
			}
			held -= int64(len(level.keys))
			level, above = above[len(above)-1], above[:len(above)-1]
		}
		k = level.keys[level.done]
		level.done++
		err := fn(k, nil)
		if err == nil {
			subkeys, n, listErr := k.subkeys()
			if listErr != nil {
				err = fn(k, listErr)
			}
			if damaged += n; damaged > maxDamaged && err == nil {
				err = k.fail(corrupt(k.offset, "the walk ends here, after %d damaged subkeys", damaged))
			}
			held += int64(len(subkeys))
			if noRoom := k.hive.bins.memory.fits(held * (keyCost + k.hive.copied(keyNodeSize))); noRoom != nil && err == nil {
				err = k.fail(fmt.Errorf("the walk ends here, with %d keys still to visit: %w", held, noRoom))
			}
			if err == nil {
				above = append(above, level)
				level = progress{keys: subkeys}
			}
		}
		switch err {
		case nil, fs.SkipDir:
		case fs.SkipAll:
			return nil
		default:
			return err
		}
	}
}
