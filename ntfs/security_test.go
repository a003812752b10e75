package ntfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"testing"
)

// sdsEntry makes an entry of $SDS that lies at the given offset.
func sdsEntry(id uint32, at int64, descriptor []byte) []byte {
	le := binary.LittleEndian
	e := le.AppendUint32(nil, descriptorHash(descriptor))
	e = le.AppendUint32(e, id)
	e = le.AppendUint64(e, uint64(at))
	e = le.AppendUint32(e, uint32(sdsHeader+len(descriptor)))
	return append(e, descriptor...)
}

// sdsBlockOf makes the beginning of a block of $SDS, the numbers counted from
// 256 on.
func sdsBlockOf(first int64, descriptors ...[]byte) []byte {
	var block []byte
	for i, d := range descriptors {
		for len(block)%sdsAlign != 0 {
			block = append(block, 0)
		}
		block = append(block, sdsEntry(uint32(256+i), first+int64(len(block)), d)...)
	}
	return block
}

func TestFindInBlock(t *testing.T) {
	a, b := text(41), noise(64)
	good := sdsBlockOf(0, a, b)
	second := (sdsHeader + len(a) + sdsAlign - 1) / sdsAlign * sdsAlign
	edited := func(at int, value uint32) []byte {
		block := bytes.Clone(good)
		binary.LittleEndian.PutUint32(block[at:], value)
		return block
	}
	for name, c := range map[string]struct {
		block []byte
		first int64
		id    uint32
		want  []byte
		whole bool
	}{
		"the first":                    {good, 0, 256, a, true},
		"the second":                   {good, 0, 257, b, true},
		"one that is not there":        {good, 0, 258, nil, true},
		"zeros behind the last":        {append(bytes.Clone(good), make([]byte, 100)...), 0, 257, b, true},
		"nothing":                      {nil, 0, 256, nil, true},
		"zeros":                        {make([]byte, 100), 0, 256, nil, true},
		"a later block":                {sdsBlockOf(2*sdsBlock, a, b), 2 * sdsBlock, 257, b, true},
		"a block of another place":     {good, 2 * sdsBlock, 256, nil, false},
		"a descriptor of no bytes":     {sdsBlockOf(0, nil), 0, 256, []byte{}, true},
		"a size below the header's":    {edited(16, sdsHeader-1), 0, 257, nil, false},
		"a size of the header alone":   {edited(16, sdsHeader), 0, 256, nil, false}, // another hash
		"a size of zero with a number": {edited(16, 0), 0, 257, nil, false},
		"a size up to the end":         {edited(second+16, sdsHeader+64), 0, 257, b, true},
		"a size past the end":          {edited(second+16, sdsHeader+65), 0, 257, nil, false},
		"a wrong hash":                 {edited(0, 1), 0, 256, nil, false},
		"a wrong hash of another":      {edited(0, 1), 0, 257, b, true},
		"damage behind the one":        {edited(second+8, 1), 0, 256, a, false},
		"damage before the one":        {edited(8, 1), 0, 257, nil, false},
		"a header that is cut off":     {good[:second+sdsHeader-1], 0, 257, nil, true},
		"the largest descriptor": {sdsBlockOf(0, make([]byte, maxDescriptor)), 0, 256, make([]byte, maxDescriptor),
			true},
		"one byte more than that": {sdsBlockOf(0, make([]byte, maxDescriptor+1)), 0, 256, nil, false},
		"one byte less than the largest": {sdsBlockOf(0, make([]byte, maxDescriptor-1)), 0, 256,
			make([]byte, maxDescriptor-1), true},
		"the same number twice in a block": {append(append(bytes.Clone(good[:second]), sdsEntry(256, int64(second), b)...),
			0), 0, 256, nil, false},
	} {
		got, whole := findInBlock(c.block, c.first, c.id)
		if !bytes.Equal(got, c.want) || (got == nil) != (c.want == nil) || whole != c.whole {
			t.Errorf("%s: %d bytes, %t; want %d, %t", name, len(got), whole, len(c.want), c.whole)
		}
	}
}

func FuzzSecurityBlock(f *testing.F) {
	f.Add(sdsBlockOf(0, text(41), noise(64)), uint32(257))
	f.Add([]byte{}, uint32(0))
	f.Fuzz(func(t *testing.T, block []byte, id uint32) {
		d, _ := findInBlock(block, 0, id)
		if d != nil && !bytes.Contains(block, sdsEntry(id, int64(bytes.Index(block, d)-sdsHeader), d)) {
			// The descriptor may also lie earlier in the block, as part of another.
			found := false
			for at := 0; at+sdsHeader+len(d) <= len(block); at += sdsAlign {
				found = found || bytes.Equal(block[at:at+sdsHeader+len(d)], sdsEntry(id, int64(at), d))
			}
			if !found {
				t.Errorf("%x is no entry of the block", d)
			}
		}
	})
}

// secured is a volume with a $Secure that has the given $SDS, and a file with
// the descriptor 256.
func secured(t *testing.T, sds []byte, size int64) *FS {
	t.Helper()
	var b builder
	b.add(file{name: "file", parent: recordRoot})
	image := b.image()
	standard := make([]byte, 72)
	binary.LittleEndian.PutUint32(standard[securityID:], 256)
	w := newRecord(firstFile, recordInUse, 0).resident(typeStandardInformation, standard)
	w.fileName(utf16Bytes("file"), recordRoot, 1, 1)
	b.put(image, firstFile, w)
	clusters := (size + 1023) / 1024
	at := int64(len(image)) / 1024
	r := newRecord(recordSecure, recordInUse, 0)
	r.namedRuns(typeData, utf16Bytes("$SDS"), 0, clusters, size, encodeRuns([]run{{lcn: at, n: clusters}}))
	b.put(image, recordSecure, r)
	// The volume gets longer by the stream, and ends in its copy of the boot sector.
	image = append(image[:1024*at], make([]byte, 1024*clusters)...)
	copy(image[1024*at:], sds)
	copy(image, bootSector(int(at+clusters)))
	image = append(image, image[:512]...)
	f, err := openBytes(image)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestSecurityDamage reads a list with damage in it: the copy of a block stands
// for it, and what neither has is never taken for a descriptor that is not
// there.
func TestSecurityDamage(t *testing.T) {
	good, other := text(41), text(42)
	// Two blocks, each with its copy: the descriptor is in the second one.
	list := func(first, second []byte) []byte {
		sds := make([]byte, 4*sdsBlock)
		copy(sds, first)
		copy(sds[sdsBlock:], first)
		copy(sds[2*sdsBlock:], second)
		copy(sds[3*sdsBlock:], second)
		return sds
	}
	filler := sdsEntry(300, 0, noise(64))
	wanted := sdsEntry(256, 2*sdsBlock, good)
	torn := func(sds []byte, at ...int) []byte {
		for _, i := range at {
			sds[i] ^= 0xFF
		}
		return sds
	}
	for name, c := range map[string]struct {
		sds  []byte
		want error
	}{
		"whole":                            {list(filler, wanted), nil},
		"the block is torn":                {torn(list(filler, wanted), 2*sdsBlock+30), nil},
		"the copy is torn":                 {torn(list(filler, wanted), 3*sdsBlock+30), nil},
		"both are torn":                    {torn(list(filler, wanted), 2*sdsBlock+30, 3*sdsBlock+30), ErrCorrupt},
		"both of another block":            {torn(list(filler, wanted), 8, sdsBlock+8), nil},
		"both of another block, not there": {torn(list(filler, nil), 8, sdsBlock+8), ErrCorrupt},
		"not there":                        {list(filler, nil), ErrCorrupt},
		"two copies":                       {list(sdsEntry(256, 0, good), wanted), nil},
		"two copies that differ":           {list(sdsEntry(256, 0, other), wanted), ErrCorrupt},
		"cut off":                          {list(filler, wanted)[:2*sdsBlock+40], ErrCorrupt},
	} {
		f := secured(t, c.sds, int64(len(c.sds)))
		d, err := f.SecurityDescriptor("file")
		if !errors.Is(err, c.want) || err == nil && !bytes.Equal(d, good) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q, %v", name, d, err)
		}
	}
	// Without $Secure the number leads nowhere.
	f := secured(t, nil, 0)
	if _, err := f.SecurityDescriptor("file"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("an empty list: %v", err)
	}
	if _, err := f.SecurityDescriptor("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestSecurityOwn reads a descriptor that lies in the file's own record, at
// the limit of its size, below it and above.
func TestSecurityOwn(t *testing.T) {
	var b builder
	b.add(file{name: "none", parent: recordRoot})
	b.add(file{name: "own", parent: recordRoot})
	b.add(file{name: "bare", parent: recordRoot})
	image := b.image()
	own := func(record int, name string, standard int, descriptor []byte) {
		w := newRecord(record, recordInUse, 0).resident(typeStandardInformation, make([]byte, standard))
		w.fileName(utf16Bytes(name), recordRoot, 1, 1)
		if descriptor != nil {
			w.resident(typeSecurityDescriptor, descriptor)
		}
		b.put(image, record, w)
	}
	own(firstFile, "none", 48, nil)
	own(firstFile+1, "own", 72, text(100)) // NTFS 3.0, and the number zero
	w := newRecord(firstFile+2, recordInUse, 0)
	w.fileName(utf16Bytes("bare"), recordRoot, 1, 1)
	b.put(image, firstFile+2, w)
	f, err := openBytes(image)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := f.SecurityDescriptor("own"); err != nil || !bytes.Equal(d, text(100)) {
		t.Errorf("%q, %v", d, err)
	}
	if _, err := f.SecurityDescriptor("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("none: %v", err)
	}
	if _, err := f.SecurityDescriptor("bare"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("without $STANDARD_INFORMATION: %v", err)
	}
	for size, want := range map[int64]error{maxDescriptor - 1: nil, maxDescriptor: nil, maxDescriptor + 1: ErrCorrupt} {
		clusters := (size + 1023) / 1024
		r := newRecord(firstFile+1, recordInUse, 0).resident(typeStandardInformation, make([]byte, 48))
		r.fileName(utf16Bytes("own"), recordRoot, 1, 1)
		r.nonResident(typeSecurityDescriptor, 0, clusters, size, encodeRuns([]run{{lcn: 1, n: clusters}}))
		long := slices.Concat(image[:len(image)-512], make([]byte, 200<<10))
		b.put(long, firstFile+1, r)
		copy(long, bootSector(len(long)/1024))
		f, err := openBytes(append(long, long[:512]...))
		if err != nil {
			t.Fatal(err)
		}
		if d, err := f.SecurityDescriptor("own"); !errors.Is(err, want) || err == nil && int64(len(d)) != size {
			t.Errorf("%d bytes: %d, %v", size, len(d), err)
		}
	}
}

// TestSecurityLimit makes sure that a list of any size that a crafted volume
// claims is refused by its size alone.
func TestSecurityLimit(t *testing.T) {
	f := secured(t, nil, 1024)
	for size, want := range map[int64]error{maxSDS - 1: nil, maxSDS: nil, maxSDS + 1: ErrUnsupported} {
		s := &stream{disk: f.disk, size: size, runs: []run{{lcn: hole, n: size/1024 + 1}}, clusters: size/1024 + 1,
			initialized: size}
		if _, err := findInList(s, 256); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
