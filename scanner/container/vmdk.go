package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/coldcheck/coldcheck/internal/lru"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// A VMDK image has a descriptor, a text, and extents, which are one after the other on
// the disk. An extent is a file: flat, which is the bytes of the disk, or sparse, which
// has tables of grains. The descriptor is a file of its own or inside the only extent.
// The formats are in VMware's "Virtual Disk Format 5.0", and version 1.1 for COWD.
const (
	vmdkMagic     = "KDMV"
	cowdMagic     = "COWD"
	vmdkTextMagic = "# Disk DescriptorFile"
	utf8Mark      = "\xef\xbb\xbf" // which editors write before a text
)

// vmdk is the mapping of a VMDK image.
type vmdk struct {
	name  string // of the file with the descriptor
	cid   uint32 // changes whenever the disk does
	parts []vmdkPart
	pages vmdkPages
}

// vmdkPart is an extent.
type vmdkPart struct {
	start, size int64 // on the disk, in bytes
	denied      bool  // the descriptor allows no access
	flat        *source.Source
	at          int64 // where a flat one begins in its file, in bytes
	sparse      *vmdkSparse
}

// openVMDKFile opens the image whose descriptor is inside its only extent.
func openVMDKFile(ctx context.Context, first *source.Source, o Options) (Disk, error) {
	h, d, err := readVMDKFile(first)
	if err != nil {
		return nil, vmdkHint(err, first)
	}
	if d == nil {
		return nil, vmdkAlone(ctx, first)
	}
	if len(d.extents) != 1 || d.extents[0].kind != "SPARSE" {
		return nil, fmt.Errorf("%s: the descriptor, at byte %d: other extents than the file that it is in: %w",
			first.Name(), h.text.at, ErrCorrupt)
	}
	return openVMDK(ctx, first, d, &h, o)
}

// readVMDKFile reads the header of a sparse extent and the descriptor inside; nil if
// there is none.
func readVMDKFile(s *source.Source) (vmdkHeader, *vmdkDescriptor, error) {
	h, err := readVMDKHeader(s)
	if err != nil || h.text.size == 0 {
		return h, nil, err
	}
	if h.text.at < h.size || h.text.at > s.Size()-h.text.size {
		return h, nil, fmt.Errorf("%s: the header, at byte 0: the descriptor at byte %d is not in the file: %w",
			s.Name(), h.text.at, ErrCorrupt)
	}
	d, err := readVMDKText(s, h.text.at, h.text.size)
	if errors.Is(err, errNoText) { // room for a descriptor, as qemu-img leaves in each extent
		return h, nil, nil
	}
	return h, d, err
}

// openVMDK opens the extents of an image, and its parent. h is the header of the only
// extent if first is that; nil if first is the descriptor.
func openVMDK(ctx context.Context, first *source.Source, d *vmdkDescriptor, h *vmdkHeader, o Options) (disk Disk,
	err error) {
	v := &vmdk{name: first.Name(), cid: d.cid, pages: vmdkPages{lru.Cache[vmdkPage, []byte]{Max: maxPages}}}
	m := newMapped("vmdk", d.size, v, first)
	defer func() {
		if err != nil {
			for _, s := range m.sources[1:] {
				s.Close()
			}
		}
	}()
	files := make([]*source.Source, len(d.extents)) // nil where an extent has none
	if h != nil {
		files[0] = first
	} else if files, err = openVMDKExtents(ctx, first, d); err != nil {
		return nil, err
	} else {
		none := func(s *source.Source) bool { return s == nil }
		m.sources = append(m.sources, slices.DeleteFunc(slices.Clone(files), none)...)
	}
	room, start := int64(maxVMDKDirectory), int64(0)
	for n, line := range d.extents {
		p := vmdkPart{start: start, size: line.size, denied: line.access == "NOACCESS"}
		start += line.size
		switch s := files[n]; {
		case s == nil:
		case strings.HasSuffix(line.kind, "SPARSE"):
			if p.sparse, err = openVMDKPart(s, h, line, &room); err != nil {
				return nil, err
			}
			p.sparse.delta = d.parentCID != noParent
			m.notes = append(m.notes, p.sparse.notes(len(files) > 1)...)
		default:
			p.flat, p.at = s, line.at
			if p.at > s.Size()-p.size {
				return nil, fmt.Errorf("%s: it has %d bytes, and the descriptor has %d of it from byte %d on: truncated: %w",
					s.Name(), s.Size(), p.size, p.at, ErrCorrupt)
			}
		}
		v.parts = append(v.parts, p)
	}
	m.detail = d.detail()
	if d.parentCID == noParent {
		return m, nil
	}
	is := func(parent Disk) error { return isVMDK(parent, d.parentCID) }
	// A CID that many images have does not tell them apart: the name decides too.
	byName := d.parentCID == newCID && d.parentName != ""
	if m.parent, err = o.findParent(ctx, first, wanted{d.parentName, is}, byName); err != nil {
		return nil, err
	}
	return m, nil
}

// openVMDKPart opens a sparse extent. h is its header; nil if it is not read yet.
func openVMDKPart(s *source.Source, h *vmdkHeader, line vmdkLine, room *int64) (*vmdkSparse, error) {
	if h == nil {
		read, err := readVMDKHeader(s)
		if err != nil {
			return nil, err
		}
		h = &read
	}
	if line.size > h.capacity || h.capacity-line.size >= h.grain {
		return nil, fmt.Errorf("%s: the header, at byte 0: a capacity of %d bytes; the descriptor has %d: %w",
			s.Name(), h.capacity, line.size, ErrCorrupt)
	}
	return openVMDKSparse(s, *h, room)
}

// openVMDKExtents opens the files of extents; nil for an extent that has none. They
// are in the folder of the descriptor, and each is there once.
func openVMDKExtents(ctx context.Context, first *source.Source, d *vmdkDescriptor) (files []*source.Source, err error) {
	defer func() {
		if err != nil {
			for _, s := range files {
				if s != nil {
					s.Close()
				}
			}
		}
	}()
	seen := map[string]bool{filepath.Base(first.Name()): true}
	for n, line := range d.extents {
		if line.name == "" {
			continue
		}
		if seen[line.name] {
			return nil, fmt.Errorf("%s: extent %d is in %q, which is used already: %w",
				first.Name(), n+1, line.name, ErrCorrupt)
		}
		seen[line.name] = true
	}
	files = make([]*source.Source, len(d.extents))
	var missing []string
	for n, line := range d.extents {
		if line.name == "" || line.access == "NOACCESS" {
			continue
		}
		s, err := first.Beside(ctx, line.name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			missing = append(missing, line.name)
		case errors.Is(err, fs.ErrInvalid):
			return files, hinted{fmt.Errorf("%s: extent %d is in %q, which is not a file in the same folder: %w",
				first.Name(), n+1, line.name, ErrUnsupported),
				"copy the file to the folder of the descriptor, and write its name without the folder into the descriptor"}
		case err != nil:
			return files, fmt.Errorf("%s: extent %d: %w", first.Name(), n+1, err)
		}
		files[n] = s
	}
	if len(missing) > 0 {
		return files, hinted{fmt.Errorf("%s: its data is in %s, missing from the same folder: %w",
			first.Name(), prose.List(missing, 3), ErrIncomplete), "copy all files of the image to one folder"}
	}
	return files, nil
}

// isVMDK returns why a disk is not the parent with a CID.
func isVMDK(d Disk, cid uint32) error {
	m, ok := d.(*mapped)
	if !ok {
		return errors.New("it is not a VMDK image")
	}
	v, ok := m.mapping.(*vmdk)
	if !ok {
		return errors.New("it is not a VMDK image")
	}
	if v.cid != cid {
		return fmt.Errorf("its CID is %08x, not %08x: it is another image, or was changed after the child was made",
			v.cid, cid)
	}
	return nil
}

// newCID is the CID of a disk that was never written: many have it.
const newCID = 0xfffffffe

// vmdkFlat is the end of the name of a flat extent, which is a raw image of its own.
var vmdkFlat = regexp.MustCompile(`(?i)-flat\.vmdk$`)

// parent returns whether a disk is the parent: by its CID, and by the name of its file,
// since it has another CID if it was written later. The only extent of the parent, which
// may be scanned as a raw image, counts too.
func (d *vmdkDescriptor) parent() func(string, Disk) bool {
	if d == nil || d.parentCID == noParent {
		return nil
	}
	named := hasName(d.parentName)
	return func(name string, disk Disk) bool {
		return named(name, disk) || named(vmdkFlat.ReplaceAllString(name, ".vmdk"), disk) ||
			d.parentCID != newCID && isVMDK(disk, d.parentCID) == nil
	}
}

// vmdkFileParent reads what the parent of an image is whose descriptor is inside.
func vmdkFileParent(s *source.Source) (func(string, Disk) bool, error) {
	_, d, err := readVMDKFile(s)
	return d.parent(), err
}

// vmdkTextParent reads what the parent of an image is whose descriptor is a file.
func vmdkTextParent(s *source.Source) (func(string, Disk) bool, error) {
	d, err := readVMDKText(s, 0, s.Size())
	return d.parent(), err
}

// vmdkTypes are names of the types that a descriptor states.
var vmdkTypes = map[string]string{
	"monolithicsparse": "monolithic sparse", "monolithicflat": "monolithic flat",
	"twogbmaxextentsparse": "split sparse", "twogbmaxextentflat": "split flat",
	"streamoptimized": "stream-optimized", "vmfs": "ESX flat", "vmfssparse": "ESX sparse (COWD)", "custom": "custom",
}

// detail says which kind of image it is.
func (d *vmdkDescriptor) detail() string {
	var list []string
	if name := vmdkTypes[strings.ToLower(d.createType)]; name != "" {
		list = append(list, name)
	}
	if n := len(d.extents); n > 1 {
		list = append(list, prose.Count(n, "extent", "extents"))
	}
	if d.parentCID != noParent {
		list = append(list, "differencing")
	}
	return strings.Join(list, ", ")
}

// notes are those of a sparse extent, with its name if there are several.
func (x *vmdkSparse) notes(several bool) []string {
	var list []string
	if x.note != "" {
		list = append(list, x.note)
	}
	if x.unclean {
		list = append(list, "the image was not closed cleanly; its last writes may be missing")
	}
	for n := range list {
		if several {
			list[n] = filepath.Base(x.file.Name()) + ": " + list[n]
		}
	}
	return list
}

// openVMDKExtent refuses an extent of a kind that never has the descriptor inside.
func openVMDKExtent(ctx context.Context, first *source.Source, _ Options) (Disk, error) {
	return nil, vmdkAlone(ctx, first)
}

// vmdkAlone is the error for an extent that is given without its descriptor.
func vmdkAlone(ctx context.Context, s *source.Source) error {
	err := fmt.Errorf("%s: it is an extent of a VMDK image, without the descriptor: %w", s.Name(), errAlone)
	return hinted{err, vmdkDescriptorHint(ctx, s)}
}

// vmdkExtentName is the name of an extent: the image's name, and what VMware's products
// and qemu-img add.
var vmdkExtentName = regexp.MustCompile(`(?i)^(.+)-(?:[sf][0-9]{3}|delta|flat|sesparse)(\.vmdk)$`)

// vmdkDescriptorHint says where the descriptor of an extent is.
func vmdkDescriptorHint(ctx context.Context, s *source.Source) string {
	match := vmdkExtentName.FindStringSubmatch(filepath.Base(s.Name()))
	if match == nil {
		return "name the descriptor, a small text file with the suffix .vmdk in the same folder"
	}
	name := match[1] + match[2]
	descriptor, err := s.Beside(ctx, name)
	if err != nil {
		return fmt.Sprintf("copy the descriptor, %s, to the same folder and name it", prose.Quote(name))
	}
	defer descriptor.Close()
	return "name the descriptor instead: " + prose.Quote(descriptor.Name())
}

// vmdkFlatName is the name of one of several flat extents.
var vmdkFlatName = regexp.MustCompile(`(?i)^(.+)-f([0-9]{3})\.vmdk$`)

// vmdkFlatPart returns the error for one of several flat extents, which looks like a raw
// image; nil for any other file. The only extent of an image is a raw image.
func vmdkFlatPart(ctx context.Context, s *source.Source) error {
	match := vmdkFlatName.FindStringSubmatch(filepath.Base(s.Name()))
	if match == nil {
		return nil
	}
	if match[2] == "001" {
		second, err := s.Beside(ctx, strings.Replace(filepath.Base(s.Name()), match[2]+".", "002.", 1))
		if err != nil {
			return nil
		}
		second.Close()
	}
	return vmdkAlone(ctx, s)
}

// vmdkHint adds the command that converts an image that qemu-img can read.
func vmdkHint(err error, s *source.Source) error {
	if !errors.Is(err, ErrUnsupported) {
		return err
	}
	return hinted{err, fill(hintConvert, s.Name())}
}

// part returns the extent with the byte at off.
func (v *vmdk) part(off int64) *vmdkPart {
	n := sort.Search(len(v.parts), func(n int) bool { return v.parts[n].start > off })
	return &v.parts[n-1]
}

func (v *vmdk) extent(off int64) (extent, error) {
	p := v.part(off)
	within := off - p.start
	left := p.size - within
	switch {
	case p.denied:
		return extent{}, fmt.Errorf("%s: the descriptor allows no access to the extent at byte %d of the disk: %w",
			v.name, p.start, ErrIncomplete)
	case p.flat != nil:
		return extent{where: stored, size: left, file: p.flat, at: p.at + within}, nil
	case p.sparse == nil:
		return extent{where: zeros, size: left}, nil
	}
	e, err := p.sparse.extent(&v.pages, within, p.size)
	e.size = min(e.size, left)
	e.block.start += p.start
	return e, err
}

func (v *vmdk) unpack(dst, packed []byte, e extent) error {
	p := v.part(e.block.start)
	return p.sparse.unpack(dst, packed, e.block.start-p.start, e.at)
}
