package xfs

import (
	"bytes"
	"context"
	"io/fs"
	"testing"
)

// use asks a volume for all that it has.
func use(f *FS) {
	left := 100 // files; what comes after them is no different
	fs.WalkDir(f, ".", func(path string, d fs.DirEntry, err error) error {
		if left--; left < 0 {
			return fs.SkipAll
		}
		if err != nil {
			return nil
		}
		f.Stat(path)
		f.ReadLink(path)
		f.LXattrs(path)
		if file, err := f.Open(path); err == nil {
			if file, ok := file.(*File); ok {
				p := make([]byte, 4096)
				file.ReadAt(p, 0)
				file.ReadAt(p, file.Size()/2)
				file.ReadAt(p, file.Size()-1)
			}
			file.Close()
		}
		return nil
	})
	f.Usage()
	f.Tree(".")
	f.Damage()
}

// patched is an image with other bytes at some place.
type patched struct {
	raw, patch []byte
	at         int64
}

func (p patched) ReadAt(b []byte, off int64) (int, error) {
	n, err := bytes.NewReader(p.raw).ReadAt(b, off)
	from, to := max(off, p.at), min(off+int64(n), p.at+int64(len(p.patch)))
	if from < to {
		copy(b[from-off:to-off], p.patch[from-p.at:to-p.at])
	}
	return n, err
}

// fuzzPlaces has the pieces at some places of a volume replaced, with their
// checksum put right, and uses the volume.
func fuzzPlaces(f *testing.F, name string, crc int, places func(*FS) []int64, size func(*FS) int) {
	raw := unpack(f, name)
	v := openBytes(f, raw)
	list, n := places(v), size(v)
	if len(list) == 0 {
		f.Fatal("there is none")
	}
	for i, at := range list {
		f.Add(raw[at:at+int64(n)], uint8(i))
	}
	f.Fuzz(func(t *testing.T, data []byte, which uint8) {
		piece := bytes.Clone(data[:min(len(data), n)])
		at := list[int(which)%len(list)]
		if crc >= 0 && len(piece) == n {
			le.PutUint32(piece[crc:], checksum(piece, crc))
		}
		if v, err := Open(context.Background(), patched{raw, piece, at}, int64(len(raw)), Options{}); err == nil {
			use(v)
		} else if !recoverable(err) {
			t.Error(err)
		}
	})
}

func sectorOf(f *FS) int { return int(f.super.sectorSize) }
func blockOf(f *FS) int  { return int(f.super.blockSize) }

func FuzzSuperblock(f *testing.F) {
	fuzzPlaces(f, "v5", superCRC, func(*FS) []int64 { return []int64{0} }, sectorOf)
}

func FuzzFreeSpaceHeader(f *testing.F) {
	fuzzPlaces(f, "v5", 0xD8, func(v *FS) []int64 { return []int64{v.super.sectorSize} }, sectorOf)
}

func FuzzInodesHeader(f *testing.F) {
	fuzzPlaces(f, "v5", 0x138, func(v *FS) []int64 { return []int64{2 * v.super.sectorSize} }, sectorOf)
}

func FuzzInodesTree(f *testing.F) {
	fuzzPlaces(f, "v5", 52, func(v *FS) []int64 {
		a, err := v.agi(0)
		if err != nil {
			f.Fatal(err)
		}
		return []int64{v.super.offset(uint64(a.root))}
	}, blockOf)
}

func FuzzInode(f *testing.F) {
	fuzzPlaces(f, "v5", 0x64, func(v *FS) (list []int64) {
		for _, path := range pathsOf(f, v) {
			i, err := v.resolve(path, false)
			if err != nil {
				f.Fatal(err)
			}
			if len(list) < 250 {
				list = append(list, v.super.inodeOffset(i.number))
			}
		}
		return list
	}, func(v *FS) int { return v.super.inodeSize })
}

// blocksOf returns where the blocks of a fork lie.
func blocksOf(f testing.TB, v *FS, path string, attributes bool) (list []int64) {
	i, err := v.resolve(path, false)
	if err != nil {
		f.Fatal(err)
	}
	k, err := newDataFork(v, i)
	if attributes {
		k, err = newFork(v, i, i.attrFork(), i.raw[0x53], i.attrExtents())
	}
	if err != nil {
		f.Fatal(err)
	}
	if err := k.each(maxForkBlocks, func(r run) error {
		for n := range r.count {
			list = append(list, v.super.offset(r.physical+n))
		}
		return nil
	}); err != nil {
		f.Fatal(err)
	}
	return list
}

func FuzzDirectory(f *testing.F) {
	fuzzPlaces(f, "v5", 4, func(v *FS) []int64 { return blocksOf(f, v, "many", false)[:1] },
		func(v *FS) int { return int(v.super.dirBlockSize()) })
}

func FuzzDirectory4(f *testing.F) {
	fuzzPlaces(f, "v4", -1, func(v *FS) []int64 { return blocksOf(f, v, "many", false) }, blockOf)
}

func FuzzAttributes(f *testing.F) {
	fuzzPlaces(f, "v5", 12, func(v *FS) []int64 { return blocksOf(f, v, "home/user/numbers", true) }, blockOf)
}

func FuzzExtentsTree(f *testing.F) {
	fuzzPlaces(f, "v5", 0x40, func(v *FS) (list []int64) {
		i, err := v.resolve("home/user/pieces", false)
		if err != nil {
			f.Fatal(err)
		}
		k, err := newDataFork(v, i)
		if err != nil {
			f.Fatal(err)
		}
		_, body, count, why := k.parseRoot()
		if why != sound {
			f.Fatal(why)
		}
		for n := range count {
			list = append(list, v.super.offset(be.Uint64(body[len(body)/16*8+8*n:])))
		}
		return list
	}, blockOf)
}

// FuzzLog changes one record of the log, and puts its checksum right.
func FuzzLog(f *testing.F) {
	raw := unpack(f, "dirty")
	v := openBytes(f, raw)
	s := &v.super
	off := s.offset(s.logStart)
	j := &journal{d: newDevice(bytes.NewReader(raw), int64(len(raw))), s: s, off: off,
		sectors: int64(s.logBlocks) << s.blockBits / sector}
	e, err := j.find()
	if err != nil {
		f.Fatal(err)
	}
	var list []record
	if _, err := j.eachRecord(e.tail, e.head, func(r *record, _ []byte) error {
		list = append(list, *r)
		return nil
	}, func(_ *record, err error) error { return err }); err != nil {
		f.Fatal(err)
	}
	for i, r := range list {
		f.Add(uint8(i), uint32(0), uint32(0))
		for at := range uint32(8) {
			f.Add(uint8(i), uint32(r.headers*sector)+opHeader*at, uint32(1)<<at)
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, place, value uint32) {
		r := list[int(which)%len(list)]
		at := off + r.at*sector
		size := (r.headers + r.sectors) * sector
		piece := bytes.Clone(raw[at : at+size])
		be.PutUint32(piece[int64(place)%(size-4):], value)
		crc := checksum(piece[:recordSize], 32)
		for i := int64(1); i < r.headers; i++ {
			crc = update(crc, piece[i*sector:i*sector+extendedSize])
		}
		le.PutUint32(piece[32:], update(crc, piece[r.headers*sector:r.headers*sector+int64(r.length)]))
		if v, err := Open(context.Background(), patched{raw, piece, at}, int64(len(raw)), Options{}); err == nil {
			use(v)
		} else if !recoverable(err) {
			t.Error(err)
		}
	})
}

// FuzzVolume changes a few bytes anywhere.
func FuzzVolume(f *testing.F) {
	raw := unpack(f, "v4")
	f.Add(uint32(0), []byte("XFSB"))
	f.Fuzz(func(t *testing.T, at uint32, data []byte) {
		if v, err := Open(context.Background(), patched{raw, data[:min(len(data), 64)], int64(at % (1 << 20))},
			int64(len(raw)), Options{}); err == nil {
			use(v)
		} else if !recoverable(err) {
			t.Error(err)
		}
	})
}
