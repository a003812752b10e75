package disk

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/prose"
)

// minSize is the smallest image: one sector.
const minSize = 512

// TailSize is how much of the end of a disk is read at once, in bytes. The backup
// of a GPT of the usual size is in it, with either sector size.
const TailSize = 32 << 10

// read finds the volumes.
func (i *Image) read() error {
	switch {
	case i.Size == 0:
		return kind.NotImage("the file is empty", "")
	case i.Size < minSize:
		return kind.NotImage(fmt.Sprintf("%d bytes are less than a sector", i.Size), "")
	}
	head := make([]byte, min(HeadSize, i.Size))
	if _, err := i.reader.ReadAt(head, 0); err != nil {
		return err
	}
	// That the end cannot be read is no reason to give up the rest.
	tail := make([]byte, min(TailSize, i.Size))
	_, tailErr := i.reader.ReadAt(tail, i.Size-int64(len(tail)))
	if tailErr != nil {
		tail = nil
	}

	l, err := i.layout(edges{i.reader, i.Size, head, tail}, head)
	if err != nil {
		return err
	}
	i.Table, i.SectorSize, i.DiskSignature, i.DiskGUID = l.kind, l.sectorSize, l.signature, l.guid
	i.volumes = l.volumes
	if tailErr != nil {
		l.problem(fmt.Errorf("the end of the image: %w", tailErr))
	}
	if i.Size%minSize != 0 {
		l.note("the image has %s, which is not a multiple of the sector size: it is truncated", prose.Exact(i.Size))
	}
	l.check(i.Size)
	i.Hybrid, i.Short = l.hybrid, l.short
	i.Notes = l.notes
	i.Incomplete = errors.Join(l.problems...)
	return nil
}

// isoMagic is in the first volume descriptor of ISO 9660 (ECMA-119, section 8.1). It
// is checked only if nothing else is found: it may be a remnant of an earlier use of
// a partitioned disk.
const (
	isoMagicAt = 32768 + 1
	isoMagic   = "CD001"
)

// layout is a partition table with the volumes that it leads to, or the one
// volume of an image that has no table.
type layout struct {
	*table
	volumes []*Volume
	needs   []int64 // by volume: the size that its filesystem says it has
}

// known reports whether any volume has known content.
func (l *layout) known() bool {
	return slices.ContainsFunc(l.volumes, func(v *Volume) bool { return v.Filesystem != Unknown || v.Detail != "" })
}

// layout determines the type of the image. Its start may match several types at
// once, since reformatting a disk leaves old structures behind. Those that are
// ignored are noted.
func (i *Image) layout(r io.ReaderAt, head []byte) (*layout, error) {
	bare := detect(head)
	entries, isMBR := mbrEntries(head)

	// A protective entry makes the GPT the table, whatever else is there.
	if isMBR && protective(entries) {
		return i.gptLayout(r, head, entries)
	}
	// A filesystem that begins in sector 0 leaves no room for a table. FAT has
	// no signature there, and some disks are both.
	if bare.boot && bare.fs != FAT {
		return i.bareLayout(r, bare), nil
	}
	mbr := &layout{table: &table{}}
	if isMBR {
		mbr = i.mbrLayout(r, head)
	}
	named := cmp.Or(string(bare.fs), bare.detail)
	gpt, gptErr := i.gptTable(r, 0)
	switch {
	case len(mbr.volumes) > 0 && (mbr.known() || !bare.found()), mbr.problems != nil:
		if bare.found() {
			mbr.note("the beginning of the disk also bears the signature of %s, left by an earlier use", named)
		}
		if gptErr == nil {
			mbr.note("a GPT with %d partitions is there too; the MBR does not name it, so it was not used", len(gpt.partitions))
		}
		return mbr, nil
	case bare.found():
		l := i.bareLayout(r, bare)
		if len(mbr.volumes) > 0 {
			l.note("sector 0 also looks like a partition table, which leads to no filesystem")
		}
		if gptErr == nil {
			l.note("a GPT with %d partitions is there too, left by an earlier use", len(gpt.partitions))
		}
		return l, nil
	case gptErr == nil:
		gpt.note("sector 0 does not hold the protective MBR of the GPT")
		return i.volumesOf(r, gpt), nil
	case gptErr != errNoGPT:
		return nil, gptErr
	}

	// Nothing at the beginning. The end may hold the copy of a boot sector.
	l := i.bareLayout(r, bare)
	switch {
	case l.known():
		return l, nil
	case l.problems != nil:
		return nil, errors.Join(l.problems...)
	case has(head, isoMagicAt, isoMagic):
		return nil, ErrDisc
	case isMBR:
		return mbr, nil
	}
	what := "neither a partition table nor a known filesystem is in it"
	switch {
	case isText(head):
		what = "a text file"
	case i.Size%minSize != 0:
		what += fmt.Sprintf(", and its %s are not a multiple of the sector size", prose.Exact(i.Size))
	}
	return nil, kind.NotImage(what, "")
}

// isText says whether the beginning of an image is UTF-8 text without control
// characters other than those of lines.
func isText(head []byte) bool {
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		switch {
		case r == utf8.RuneError && n == 1:
			return !utf8.FullRune(head) // the rest of the character is behind the head
		case unicode.IsControl(r) && !strings.ContainsRune("\t\n\r\f", r):
			return false
		}
		head = head[n:]
	}
	return true
}

// gptTable reads the GPT with either sector size. The error is errNoGPT if
// there is no trace of one.
func (i *Image) gptTable(r io.ReaderAt, last uint64) (*table, error) {
	t, err := readGPT(r, i.Size, 512, last)
	if err == errNoGPT {
		t, err = readGPT(r, i.Size, 4096, last)
	}
	return t, err
}

// gptLayout reads the GPT that the protective entry of an MBR promises.
func (i *Image) gptLayout(r io.ReaderAt, head []byte, entries [4]mbrEntry) (*layout, error) {
	var last uint64
	for _, e := range entries {
		if e.typ == mbrProtective {
			last = uint64(e.first) + uint64(e.sectors) - 1
		}
	}
	hybrid := readMBR(r, head[:minSize], minSize)
	t, err := i.gptTable(r, last)
	switch {
	case err == nil:
		t.signature = hybrid.signature
		if n := len(hybrid.partitions); n > 0 {
			t.hybrid = true
			t.note("hybrid MBR: it has %d partitions of its own; the GPT was used", n)
		}
		return i.volumesOf(r, t), nil
	case err == errNoGPT:
		err = fmt.Errorf("%w: the MBR promises a GPT, and none is there", ErrCorrupt)
	}
	if len(hybrid.partitions) == 0 {
		return nil, err
	}
	hybrid.hybrid = true
	hybrid.problem(err)
	hybrid.note("hybrid MBR: its own partitions were used")
	return i.volumesOf(r, hybrid), nil
}

// mbrLayout reads the MBR with sectors of 512 bytes, and if that leads to
// nothing known, of 4096.
func (i *Image) mbrLayout(r io.ReaderAt, head []byte) *layout {
	l := i.volumesOf(r, readMBR(r, head[:minSize], 512))
	if len(l.volumes) > 0 && !l.known() {
		if large := i.volumesOf(r, readMBR(r, head[:minSize], 4096)); large.known() {
			return large
		}
	}
	return l
}

// bareLayout is the layout of an image that is one volume.
func (i *Image) bareLayout(r io.ReaderAt, s signature) *layout {
	l := &layout{table: &table{kind: "none", sectorSize: 512}}
	if !s.found() {
		l.detectBackup(r, "the end of the image", i.Size, &s)
	}
	l.volumes = []*Volume{{
		Number: 1, Size: i.Size, Declared: max(i.Size, s.needs),
		Filesystem: s.fs, Detail: s.detail, reader: i.reader,
	}}
	l.needs = []int64{s.needs}
	return l
}

// volumesOf makes the volumes of a partition table.
func (i *Image) volumesOf(r io.ReaderAt, t *table) *layout {
	l := &layout{table: t}
	head := make([]byte, HeadSize)
	for n, p := range t.partitions {
		v := &Volume{
			Number: n + 1, Partition: p.number, Offset: p.offset, Declared: p.size,
			Size: max(0, min(p.size, i.Size-p.offset)),
			Type: p.typ, TypeName: p.typeName, Name: p.name, GUID: p.guid,
			Active: p.active, Hidden: p.hidden, NoDriveLetter: p.noLetter,
			reader: i.reader,
		}
		h := head[:min(HeadSize, v.Size)]
		var s signature
		if _, err := r.ReadAt(h, v.Offset); err != nil && len(h) > 0 {
			t.problem(fmt.Errorf("partition %d: its beginning: %w", p.number, err))
		} else if s = detect(h); !s.found() && p.ntfs && v.Size == p.size {
			l.detectBackup(r, fmt.Sprintf("partition %d: its end", p.number), v.Offset+v.Size, &s)
		}
		v.Filesystem, v.Detail = s.fs, s.detail
		l.volumes = append(l.volumes, v)
		l.needs = append(l.needs, s.needs)
	}
	return l
}

// detectBackup looks at the end of a volume whose start has no signature.
func (l *layout) detectBackup(r io.ReaderAt, where string, end int64, s *signature) {
	b, err := detectBackup(r, end, l.sectorSize)
	if err != nil {
		l.problem(fmt.Errorf("%s: %w", where, err))
		return
	}
	*s = b
}

// check notes volumes that do not fit the image, their filesystem or each
// other.
func (l *layout) check(size int64) {
	for n, v := range l.volumes {
		who := "the volume"
		if v.Partition > 0 {
			who = fmt.Sprintf("partition %d", v.Partition)
		}
		if v.Size < v.Declared {
			l.short = true
			l.note("%s: needs %s, the image has %s of it: it is truncated", who, prose.Exact(v.Declared),
				prose.Exact(v.Size))
		} else if l.needs[n] > v.Declared {
			l.note("%s: has %s, its filesystem needs %s", who, prose.Exact(v.Declared), prose.Exact(l.needs[n]))
		}
		if v.Partition > 0 && v.Offset == 0 {
			l.note("%s: begins in sector 0, where the partition table is", who)
		}
	}
	byOffset := slices.Clone(l.volumes)
	slices.SortStableFunc(byOffset, func(a, b *Volume) int { return cmp.Compare(a.Offset, b.Offset) })
	var farthest *Volume
	for _, v := range byOffset {
		if farthest != nil && v.Offset < farthest.Offset+farthest.Declared {
			l.note("partitions %d and %d overlap", farthest.Partition, v.Partition)
		}
		if farthest == nil || v.Offset+v.Declared > farthest.Offset+farthest.Declared {
			farthest = v
		}
	}
}
