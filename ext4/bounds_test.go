package ext4

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/bytename"
	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// Each limit is met just below it, at it and just above.

func TestPathLimit(t *testing.T) {
	f := openBytes(t, unpack(t, "ext2"))
	for length, want := range map[int]error{unixfs.MaxPath - 1: fs.ErrNotExist, unixfs.MaxPath: fs.ErrNotExist,
		unixfs.MaxPath + 1: ErrUnsupported} {
		name := strings.Repeat("n/", unixfs.MaxPath)[:length-1] + "n"
		if _, err := f.Stat(name); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", length, err, want)
		}
	}
}

func TestNameLimit(t *testing.T) {
	for length, want := range map[int]bool{bytename.Max - 1: true, bytename.Max: true, bytename.Max + 1: false} {
		for _, raw := range []string{strings.Repeat("n", length), strings.Repeat("n", length-1) + "\xFF"} {
			got, ok := bytename.Decode(bytename.Encode([]byte(raw)))
			if ok != want || want && string(got) != raw {
				t.Errorf("%d bytes: %v", length, ok)
			}
		}
	}
}

func TestTargetLimit(t *testing.T) {
	f := openBytes(t, unpack(t, "ext2"))
	// The blocks of any file will do, as long as there is no NUL in them.
	for size, whole := range map[uint32]bool{maxSymlink - 1: true, maxSymlink: true, maxSymlink + 1: false} {
		i := inode{number: 100, raw: make([]byte, oldInodeSize)}
		le.PutUint16(i.raw, modeSymlink)
		le.PutUint32(i.raw[4:], size)
		le.PutUint32(i.raw[0x1C:], 8) // sectors, so that it is not a fast one
		_, err := f.target(i)
		if refused := errors.Is(err, reasonSize); refused == whole {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestExtentLimits(t *testing.T) {
	for length, want := range map[uint16]struct {
		count     uint64
		unwritten bool
	}{
		maxExtentBlocks - 1: {maxExtentBlocks - 1, false}, maxExtentBlocks: {maxExtentBlocks, false},
		maxExtentBlocks + 1: {1, true}, 0xFFFF: {maxExtentBlocks - 1, true},
	} {
		e := make([]byte, extentSize)
		le.PutUint16(e[4:], length)
		if count, unwritten := extentLength(e); count != want.count || unwritten != want.unwritten {
			t.Errorf("length %d: %d, %v", length, count, unwritten)
		}
	}
	f := openBytes(t, unpack(t, "ext4"))
	for depth, want := range map[int]reason{maxExtentDepth - 1: sound, maxExtentDepth: sound,
		maxExtentDepth + 1: reasonExtentDepth} {
		node := make([]byte, blockArea)
		le.PutUint16(node, extentMagic)
		le.PutUint16(node[2:], 1)
		le.PutUint16(node[4:], 4)
		le.PutUint16(node[6:], uint16(depth))
		le.PutUint32(node[extentSize+4:], 100)
		if why := f.super.checkExtents(node, depth, 0, 10, true); why != want {
			t.Errorf("depth %d: %v, want %v", depth, why, want)
		}
	}
}

// The limits of the superblock are those of the kernel, and of the memory.
func TestGeometryLimits(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		logBlock, logCluster uint32
		groups               uint64
		want                 error
		says                 string
	}{
		{"the largest blocks", maxBlockBits - minBlockBits, 0, 1, nil, ""},
		{"larger blocks", maxBlockBits - minBlockBits + 1, 0, 1, ErrCorrupt, "block size"},
		{"the largest clusters", 2, maxClusterBits - minBlockBits, 1, nil, ""},
		{"larger clusters", 2, maxClusterBits - minBlockBits + 1, 1, ErrCorrupt, "cluster size"},
		{"almost all groups", 2, 0, maxGroups - 1, nil, ""},
		{"all groups", 2, 0, maxGroups, nil, ""},
		{"one group more", 2, 0, maxGroups + 1, ErrUnsupported, "block groups"},
	} {
		b := make([]byte, 1024)
		le.PutUint32(b[0x18:], tt.logBlock)
		le.PutUint32(b[0x1C:], tt.logCluster)
		perGroup := uint32(512) // inodes, of which a block of any size holds no more
		s := superblock{blocksPerGroup: 4096, inodesPerGroup: perGroup, inodes: perGroup * uint32(tt.groups),
			inodeSize: oldInodeSize, firstInode: 11, blocks: 4096 * tt.groups}
		if tt.logCluster > 0 {
			s.roCompat = roCompatBigalloc
			s.blocksPerGroup = 1 << (tt.logCluster - tt.logBlock)
			s.blocks = uint64(s.blocksPerGroup) * tt.groups
			le.PutUint32(b[0x24:], 1) // clusters in a group
		}
		err := s.geometry(b)
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) || err != nil &&
			!strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// FuzzPatched reads a volume of which a few bytes are others.
func FuzzPatched(f *testing.F) {
	volumes := [][]byte{unpack(f, "ext2"), unpack(f, "ext4"), unpack(f, "dirty")}
	f.Add(uint8(0), uint32(1024+0x18), []byte{1})
	f.Add(uint8(1), uint32(1024+0x60), []byte{0xFF, 0xFF})
	f.Add(uint8(2), uint32(4096), bytes.Repeat([]byte{0xFF}, 64))
	f.Fuzz(func(t *testing.T, which uint8, at uint32, patch []byte) {
		raw := bytes.Clone(volumes[int(which)%len(volumes)])
		if len(patch) > 4096 {
			return
		}
		copy(raw[int(at)%len(raw):], patch)
		v, err := Open(context.Background(), bytes.NewReader(raw), int64(len(raw)),
			Options{Stale: which&0x80 != 0, Memory: 16 << 20, Readers: 1})
		if err != nil {
			if !recoverable(err) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		v.Usage()
		v.Tree(".")
		read := 0
		fs.WalkDir(v, ".", func(name string, d fs.DirEntry, err error) error {
			if err != nil || name == "." {
				return nil
			}
			if read++; read > 5000 {
				return fs.SkipAll
			}
			if _, err := v.Lstat(name); errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("%q is listed: %v", name, err)
			}
			switch {
			case d.Type().IsRegular():
				if file, err := v.Open(name); err == nil {
					io.CopyN(io.Discard, file, 1<<16)
					file.Close()
				}
			case d.Type()&fs.ModeSymlink != 0:
				v.ReadLink(name)
				v.Stat(name)
			}
			return nil
		})
	})
}
