package packages

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"io"
	"slices"
)

// Layout of an NDB (lib/backend/ndb/rpmpkg.c). Numbers are little endian.
//
// The file is a table of slots in pages of 4096 bytes, and blobs in blocks of
// 16 bytes. The first two slots are the header of the file:
//
//	0 magic, 4 version, 8 generation, 12 number of pages of slots, 16 next
//	number of a package
//
// A slot, which is free if the three numbers are 0:
//
//	0 magic, 4 number of the package, 8 first block, 12 number of blocks
//
// A blob, which is filled up with zeros in front of its tail:
//
//	0 magic, 4 number of the package, 8 time, 12 length, 16 the header of the
//	package; of the tail: 0 Adler-32 of all before, 4 length, 8 magic
const (
	ndbMagic      = 'R' | 'p'<<8 | 'm'<<16 | 'P'<<24
	ndbSlotMagic  = 'S' | 'l'<<8 | 'o'<<16 | 't'<<24
	ndbHeadMagic  = 'B' | 'l'<<8 | 'b'<<16 | 'S'<<24
	ndbTailMagic  = 'B' | 'l'<<8 | 'b'<<16 | 'E'<<24
	ndbHeaderSize = 32
	ndbPageSize   = 4096
	ndbSlotSize   = 16
	ndbBlockSize  = 16
	ndbHeadSize   = 16
	ndbTailSize   = 12
)

// ndbSlot says where the blob of a package is.
type ndbSlot struct {
	number, block, blocks uint32
}

// readNDB reads the headers of an NDB in the order of the file.
func (r *rpmReader) readNDB(f io.ReaderAt, size int64) error {
	slots, err := r.ndbSlots(&window{r: f, size: size})
	if err != nil {
		return err
	}
	slices.SortFunc(slots, func(a, b ndbSlot) int { return cmp.Compare(a.block, b.block) })
	var blob []byte
	end := uint64(0)
	for _, s := range slots {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		if uint64(s.block) < end {
			r.corrupt(fmt.Errorf("header %d: block %d belongs to two: %w", s.number, s.block, ErrCorrupt))
			continue
		}
		end = uint64(s.block) + uint64(s.blocks)
		length := int(s.blocks) * ndbBlockSize
		blob = slices.Grow(blob[:0], length)[:length]
		if err := readAt(f, blob, int64(s.block)*ndbBlockSize); err != nil {
			return err
		}
		header, err := ndbBlob(blob, s.number)
		if err != nil {
			r.corrupt(fmt.Errorf("header %d: %w", s.number, err))
			continue
		}
		if err := r.record(s.number, header); err != nil {
			return err
		}
	}
	return nil
}

// ndbSlots reads the table of slots. Slots that point to nowhere are noted.
func (r *rpmReader) ndbSlots(w *window) ([]ndbSlot, error) {
	le := binary.LittleEndian
	if w.size < ndbPageSize || w.size%ndbBlockSize != 0 {
		return nil, fmt.Errorf("%d bytes: %w", w.size, ErrCorrupt)
	}
	header, err := w.page(0, ndbHeaderSize)
	if err != nil {
		return nil, err
	}
	version, pages := le.Uint32(header[4:]), le.Uint32(header[12:])
	switch {
	case le.Uint32(header) != ndbMagic:
		return nil, fmt.Errorf("it does not begin as an NDB: %w", ErrCorrupt)
	case version != 0:
		return nil, fmt.Errorf("an NDB of version %d: %w", version, ErrUnsupported)
	case pages == 0 || int64(pages) > w.size/ndbPageSize:
		return nil, fmt.Errorf("%d pages of slots: %w", pages, ErrCorrupt)
	}
	var slots []ndbSlot
	firstBlock, lastBlock := pages*(ndbPageSize/ndbBlockSize), uint64(w.size/ndbBlockSize)
	for n := range pages {
		page, err := w.page(int64(n)*ndbPageSize, ndbPageSize)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			page = page[ndbHeaderSize:]
		}
		for ; len(page) > 0; page = page[ndbSlotSize:] {
			if le.Uint32(page) != ndbSlotMagic {
				r.corrupt(fmt.Errorf("slot page %d: a slot has no magic number: %w", n, ErrCorrupt))
				break
			}
			s := ndbSlot{le.Uint32(page[4:]), le.Uint32(page[8:]), le.Uint32(page[12:])}
			switch {
			case s == ndbSlot{}:
			case s.number == 0 || s.blocks < 2 || s.blocks > maxHeader/ndbBlockSize || s.block < firstBlock ||
				uint64(s.block)+uint64(s.blocks) > lastBlock:
				r.corrupt(fmt.Errorf("header %d: %d blocks at block %d: %w", s.number, s.blocks, s.block, ErrCorrupt))
			case len(slots) == maxPackages:
				return nil, fmt.Errorf("more than %d packages: %w", maxPackages, ErrUnsupported)
			default:
				slots = append(slots, s)
			}
		}
	}
	return slots, nil
}

// ndbBlob returns the header of a package that a blob holds.
func ndbBlob(blob []byte, number uint32) ([]byte, error) {
	le := binary.LittleEndian
	length := uint64(le.Uint32(blob[12:]))
	blocks := (ndbHeadSize + length + ndbTailSize + ndbBlockSize - 1) / ndbBlockSize
	tail := blob[len(blob)-ndbTailSize:]
	switch {
	case le.Uint32(blob) != ndbHeadMagic || le.Uint32(blob[4:]) != number:
		return nil, fmt.Errorf("its blob does not begin there: %w", ErrCorrupt)
	case blocks != uint64(len(blob)/ndbBlockSize):
		return nil, fmt.Errorf("%d bytes in %d blocks: %w", length, len(blob)/ndbBlockSize, ErrCorrupt)
	case le.Uint32(tail[8:]) != ndbTailMagic || uint64(le.Uint32(tail[4:])) != length:
		return nil, fmt.Errorf("its blob does not end there: %w", ErrCorrupt)
	}
	if sum, stored := adler32.Checksum(blob[:len(blob)-ndbTailSize]), le.Uint32(tail); sum != stored {
		return nil, fmt.Errorf("checksum %08x, stored %08x: %w", sum, stored, ErrCorrupt)
	}
	return blob[ndbHeadSize : ndbHeadSize+length], nil
}
