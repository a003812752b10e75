package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
)

// LVM2 joins physical volumes into a group and parts it into logical volumes.
// Each physical volume has a label, and most have the metadata of the full
// group as a text in a ring buffer (LVM2, lib/format_text/layout.h).
const (
	lvmSector     = 512
	lvmMagic      = " LVM2 x[5A%r0N*>"
	lvmHeader     = 512 // of a metadata area
	lvmCRC        = 0xf597a6cf
	lvmAreas      = 16       // of metadata on a volume; LVM2 makes two at most
	maxLVMText    = 16 << 20 // bytes; LVM2's areas have 1 MiB by default
	maxLVMSectors = 1 << 53
	maxLVMStripes = 128 // as in LVM2 (MAX_STRIPES)
)

// physical is a physical volume and its copy of the group's metadata.
type physical struct {
	*Volume
	id    string // without hyphens
	group *lvmSection
	name  string // of the group
	seq   int64  // of the text: the highest is the newest
	err   error  // why there is no text; nil if the volume needs none
}

// lvmSum is LVM2's checksum.
func lvmSum(b []byte) uint32 { return ^crc32.Update(^uint32(lvmCRC), crc32.IEEETable, b) }

// readPhysical reads the label and the metadata of a physical volume:
//
//	label, in one of the first four sectors:
//	 0  8  "LABELONE", 8  8  its sector, 16  4  checksum from here on, 20  4  where the header is
//	header:
//	 0 32  UUID, 32  8  bytes of the volume, 40  pairs of 8 and 8: areas of data, 0 and 0,
//	areas of metadata, 0 and 0
func readPhysical(v *Volume) *physical {
	p := &physical{Volume: v}
	head := make([]byte, min(4*lvmSector, v.Size))
	if _, p.err = v.ReadAt(head, 0); p.err != nil && p.err != io.EOF {
		return p
	}
	var label []byte
	for n := range len(head) / lvmSector {
		b := head[n*lvmSector:][:lvmSector]
		if string(b[:8]) == "LABELONE" && string(b[24:32]) == "LVM2 001" && binary.LittleEndian.Uint64(b[8:]) == uint64(n) &&
			binary.LittleEndian.Uint32(b[16:]) == lvmSum(b[20:]) {
			label = b
			break
		}
	}
	if label == nil {
		p.err = fmt.Errorf("%w: the label of the physical volume fails its checksum", ErrCorrupt)
		return p
	}
	at := binary.LittleEndian.Uint32(label[20:])
	if at < 32 || at > lvmSector-40 {
		p.err = fmt.Errorf("%w: the label of the physical volume", ErrCorrupt)
		return p
	}
	p.id = string(label[at : at+32])
	areas, ok := lvmRanges(label[at+40:])
	if !ok {
		p.err = fmt.Errorf("%w: the label of the physical volume", ErrCorrupt)
		return p
	}
	p.err = fmt.Errorf("%w: no metadata of the group", ErrCorrupt)
	if len(areas) == 0 {
		p.err = nil // it is kept on the group's other volumes
	}
	for _, a := range areas {
		group, name, seq, err := readLVMArea(v, a)
		switch {
		case err != nil && p.group == nil:
			p.err = err
		case err == nil && (p.group == nil || seq > p.seq):
			p.group, p.name, p.seq, p.err = group, name, seq, nil
		}
	}
	return p
}

// lvmRange is an area, in bytes.
type lvmRange struct{ offset, size uint64 }

// lvmRanges decodes the areas of metadata, behind those of data.
func lvmRanges(b []byte) (areas []lvmRange, ok bool) {
	data := true
	for ; len(b) >= 16; b = b[16:] {
		r := lvmRange{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])}
		switch {
		case r.offset == 0 && !data:
			return areas, len(areas) <= lvmAreas
		case r.offset == 0:
			data = false
		case !data:
			areas = append(areas, r)
		}
	}
	return nil, false
}

// readLVMArea reads the newest text of an area:
//
//	 0  4  checksum of the rest of the sector, 4 16  magic, 20  4  version 1
//	24  8  where the area begins, 32  8  bytes, 40  24 each: 8  where in the area the text is,
//	8  bytes, 4  checksum, 4  flags: 1 for a place that is not used
func readLVMArea(v *Volume, a lvmRange) (group *lvmSection, name string, seq int64, err error) {
	bad := func(what string) (*lvmSection, string, int64, error) {
		return nil, "", 0, fmt.Errorf("%w: %s", ErrCorrupt, what)
	}
	if a.size <= lvmHeader || a.size > uint64(v.Size) || a.offset > uint64(v.Size)-a.size {
		return bad("an area of metadata outside the physical volume")
	}
	b := make([]byte, lvmHeader)
	if _, err := v.ReadAt(b, int64(a.offset)); err != nil && err != io.EOF {
		return nil, "", 0, err
	}
	if string(b[4:20]) != lvmMagic || binary.LittleEndian.Uint32(b) != lvmSum(b[4:]) {
		return bad("the header of the metadata fails its checksum")
	}
	if version := binary.LittleEndian.Uint32(b[20:]); version != 1 {
		return nil, "", 0, fmt.Errorf("%w: metadata of version %d", ErrUnsupported, version)
	}
	at, size := binary.LittleEndian.Uint64(b[40:]), binary.LittleEndian.Uint64(b[48:])
	sum, flags := binary.LittleEndian.Uint32(b[56:]), binary.LittleEndian.Uint32(b[60:])
	if binary.LittleEndian.Uint64(b[24:]) != a.offset || flags&1 != 0 ||
		at < lvmHeader || at >= a.size || size == 0 || size > a.size-lvmHeader {
		return bad("no metadata of the group")
	}
	if size > maxLVMText {
		return nil, "", 0, fmt.Errorf("%w: metadata of more than %d bytes", ErrUnsupported, maxLVMText)
	}
	text := make([]byte, size)
	n := min(size, a.size-at) // up to the area's end, and on behind its header
	if _, err := v.ReadAt(text[:n], int64(a.offset+at)); err != nil && err != io.EOF {
		return nil, "", 0, err
	}
	if n < size {
		if _, err := v.ReadAt(text[n:], int64(a.offset+lvmHeader)); err != nil && err != io.EOF {
			return nil, "", 0, err
		}
	}
	if lvmSum(text) != sum {
		return bad("the metadata fails its checksum")
	}
	root, err := parseLVM(string(bytes.TrimRight(text, "\x00")))
	if err != nil {
		return nil, "", 0, err
	}
	if len(root.names) != 1 {
		return bad("the metadata is not that of one group")
	}
	name = root.names[0]
	group = root.sections[name]
	seq, err = group.number("seqno", 1<<53)
	return group, name, seq, err
}

// plain is a UUID without its hyphens.
func plain(uuid string) string { return strings.ReplaceAll(uuid, "-", "") }

// AssembleLVM adds the logical volumes of the LVM groups on the images, each to the
// image with the group's first physical volume. A group may span several images of one
// machine. A logical volume that cannot be read has an Err that says why. Call it
// once, before you use the volumes.
func AssembleLVM(images ...*Image) {
	type member struct {
		*physical
		image *Image
	}
	groups := map[string][]member{}
	var ids []string
	byID := map[string]member{}
	twice := map[string]bool{}
	var bare []member
	for _, i := range images {
		for _, v := range i.volumes {
			if v.Filesystem != LVM2 {
				continue
			}
			m := member{readPhysical(v), i}
			v.Err = m.err
			if m.id != "" {
				_, again := byID[m.id]
				twice[m.id] = twice[m.id] || again
				byID[m.id] = m
			}
			if m.group == nil {
				bare = append(bare, m)
				continue
			}
			v.Group = m.name
			id := plain(m.group.text("id"))
			if groups[id] == nil {
				ids = append(ids, id)
			}
			groups[id] = append(groups[id], m)
		}
	}
	for _, id := range ids {
		newest := groups[id][0]
		for _, m := range groups[id][1:] {
			if m.seq > newest.seq {
				newest = m
			}
		}
		g := lvmGroup{name: newest.name, volumes: map[string]*lvmMember{}}
		names := newest.group.under("physical_volumes")
		for _, name := range names.names {
			s := names.sections[name]
			pv := &lvmMember{id: plain(s.text("id"))}
			pv.start, pv.err = s.number("pe_start", maxLVMSectors)
			if pv.err == nil {
				pv.extents, pv.err = s.number("pe_count", maxLVMSectors)
			}
			m, ok := byID[pv.id]
			switch {
			case !ok:
				pv.err = fmt.Errorf("%w: physical volume %s is not among the images", ErrIncomplete, s.text("id"))
			case twice[pv.id]:
				pv.err = fmt.Errorf("%w: physical volume %s is there twice", ErrCorrupt, s.text("id"))
			default:
				pv.volume = m.Volume
				m.Group = newest.name
			}
			g.volumes[name] = pv
		}
		groups[id][0].image.addLogical(newest.group, &g)
	}
	for _, m := range bare {
		if m.Group == "" && m.Err == nil && m.err == nil {
			m.Detail = join(m.Detail, "in no group whose metadata is on the images")
		}
	}
}

// lvmGroup is the part of a group that its logical volumes need.
type lvmGroup struct {
	name    string
	extent  int64 // bytes
	volumes map[string]*lvmMember
	// snapshots are what logical volumes are to a snapshot, by name.
	snapshots map[string]string
	logical   *lvmSection
}

type lvmMember struct {
	id      string
	start   int64 // of the first extent, in sectors
	extents int64
	volume  *Volume
	err     error // why it cannot be read
}

// addLogical adds the logical volumes of a group.
func (i *Image) addLogical(s *lvmSection, g *lvmGroup) {
	extent, extentErr := s.number("extent_size", maxLVMSectors/lvmSector)
	if extentErr == nil && extent == 0 {
		extentErr = fmt.Errorf("%w: extents of no size", ErrCorrupt)
	}
	g.extent = extent * lvmSector
	volumes := s.under("logical_volumes")
	g.findSnapshots(volumes)
	for _, name := range volumes.names {
		lv := volumes.sections[name]
		if !slices.Contains(lv.values["status"], "VISIBLE") {
			continue // a part of another
		}
		v := &Volume{
			Number: len(i.volumes) + 1, Group: g.name, LogicalVolume: g.name + "/" + name,
			TypeName: "LVM2 logical volume",
		}
		m, err := g.segments(lv)
		switch {
		case extentErr != nil:
			err = extentErr
		case g.snapshots[name] != "":
			err = fmt.Errorf("%w: it is %s", ErrUnsupported, g.snapshots[name])
		}
		if err != nil {
			v.Err = fmt.Errorf("logical volume %s: %w", v.LogicalVolume, err)
			v.reader = failedReader{v.Err}
		} else {
			v.reader = m
		}
		v.Size, v.Declared = m.size, m.size
		i.volumes = append(i.volumes, v)
		if v.Err != nil {
			continue
		}
		head := make([]byte, min(HeadSize, v.Size))
		if _, err := v.ReadAt(head, 0); err != nil && err != io.EOF {
			v.Err = fmt.Errorf("logical volume %s: its beginning: %w", v.LogicalVolume, err)
			continue
		}
		found := detect(head)
		v.Filesystem, v.Detail = found.fs, found.detail
		if found.needs > v.Size {
			i.Notes = append(i.Notes, fmt.Sprintf("logical volume %s: has %s, its filesystem needs %s",
				v.LogicalVolume, prose.Exact(v.Size), prose.Exact(found.needs)))
		}
	}
}

// findSnapshots finds the logical volumes that hold what a snapshot differs by,
// and those that one is being merged into. Neither can be read for itself.
func (g *lvmGroup) findSnapshots(volumes *lvmSection) {
	g.logical, g.snapshots = volumes, map[string]string{}
	for _, lv := range volumes.sections {
		for _, s := range lv.sections {
			if s.text("type") != "snapshot" {
				continue
			}
			g.snapshots[s.text("cow_store")] = "a snapshot"
			if merging := s.text("merging_store"); merging != "" {
				g.snapshots[merging] = "a snapshot"
				g.snapshots[s.text("origin")] = "the origin of a snapshot that is being merged into it"
			}
		}
	}
}

// failedReader is a volume that cannot be read.
type failedReader struct{ err error }

func (f failedReader) ReadAt([]byte, int64) (int, error) { return 0, f.err }

// logical reads a logical volume.
type logical struct {
	size     int64
	segments []lvmSegment // in order, without gaps
}

// lvmSegment is a part of a logical volume, on one physical volume or striped
// over several.
type lvmSegment struct {
	begin, end int64 // in bytes
	width      int64 // of a stripe, in bytes; with one stripe that of the segment
	stripes    []lvmStripe
}

type lvmStripe struct {
	volume *Volume
	offset int64 // in bytes
}

// segments decodes the segments of a logical volume, which are called segment1,
// segment2 and so on.
func (g *lvmGroup) segments(lv *lvmSection) (*logical, error) {
	m := &logical{}
	count, err := lv.number("segment_count", maxLVMValues)
	if err != nil {
		return m, err
	}
	var first error
	for n := range count {
		s := lv.under("segment" + strconv.FormatInt(n+1, 10))
		extents, err := s.number("extent_count", maxLVMSectors)
		if err != nil {
			return m, err
		}
		start, err := s.number("start_extent", maxLVMSectors)
		if err != nil {
			return m, err
		}
		if g.extent == 0 || extents == 0 || extents > (1<<62)/g.extent ||
			start*g.extent != m.size || m.size > 1<<62-extents*g.extent {
			return m, fmt.Errorf("%w: segment %d", ErrCorrupt, n+1)
		}
		seg := lvmSegment{begin: m.size, end: m.size + extents*g.extent}
		m.size = seg.end
		if err := g.stripes(s, &seg, extents); err != nil && first == nil {
			first = err
		}
		m.segments = append(m.segments, seg)
	}
	if m.size == 0 && first == nil {
		first = fmt.Errorf("%w: no segments", ErrCorrupt)
	}
	return m, first
}

func (g *lvmGroup) stripes(s *lvmSection, seg *lvmSegment, extents int64) error {
	kind := s.text("type")
	if kind != "striped" {
		return fmt.Errorf("%w: a segment of type %q", ErrUnsupported, kind)
	}
	count, err := s.number("stripe_count", maxLVMStripes)
	if err != nil {
		return err
	}
	list := s.values["stripes"]
	if count == 0 || int64(len(list)) != 2*count || extents%count != 0 {
		return fmt.Errorf("%w: %d stripes", ErrCorrupt, count)
	}
	each := extents / count
	seg.width = each * g.extent
	if count > 1 {
		width, err := s.number("stripe_size", maxLVMSectors/lvmSector)
		if err != nil {
			return err
		}
		seg.width = width * lvmSector
		if width == 0 || each*g.extent%seg.width != 0 {
			return fmt.Errorf("%w: stripes of %d sectors", ErrCorrupt, width)
		}
	}
	for ; len(list) > 0; list = list[2:] {
		pv := g.volumes[list[0]]
		first, err := strconv.ParseInt(list[1], 10, 64)
		switch {
		case pv == nil && g.logical.sections[list[0]] != nil:
			return fmt.Errorf("%w: a segment on another logical volume, %s", ErrUnsupported, list[0])
		case pv == nil:
			return fmt.Errorf("%w: physical volume %q is not in the group", ErrCorrupt, list[0])
		case pv.err != nil:
			return pv.err
		case err != nil || first < 0 || first > pv.extents-each || pv.extents > (1<<62)/g.extent:
			return fmt.Errorf("%w: extents outside physical volume %s", ErrCorrupt, list[0])
		}
		seg.stripes = append(seg.stripes, lvmStripe{pv.volume, pv.start*lvmSector + first*g.extent})
	}
	return nil
}

func (m *logical) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	n, _ := slices.BinarySearchFunc(m.segments, off, func(s lvmSegment, off int64) int {
		if s.end <= off {
			return -1
		}
		return 1
	})
	for ; n < len(m.segments) && done < len(p); n++ {
		s := &m.segments[n]
		for at := off + int64(done); done < len(p) && at < s.end; at = off + int64(done) {
			inside := at - s.begin
			stripe := inside / s.width
			k := int64(len(s.stripes))
			t := s.stripes[stripe%k]
			want := min(int64(len(p)-done), s.width-inside%s.width, s.end-at)
			got, err := t.volume.ReadAt(p[done:done+int(want)], t.offset+stripe/k*s.width+inside%s.width)
			done += got
			if int64(got) < want {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF // the physical volume is shorter than it says
				}
				return done, err
			}
		}
	}
	if done < len(p) {
		return done, io.EOF
	}
	return done, nil
}
