package container

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Bounds of an archive.
const (
	maxMembers    = 10_000
	maxMemberName = 1024    // in bytes
	maxOVF        = 4 << 20 // the descriptor, in bytes
)

// openOVA opens the disks in an OVA, a tar archive with an OVF package (DMTF DSP0243,
// "Open Virtualization Format Specification" 1.1): those of which its descriptor says that
// they are disks; without a descriptor, all members that are images of disks. If some of
// several disks cannot be read, Unread has them; an archive that is incomplete is refused.
func openOVA(ctx context.Context, first *source.Source, o Options) (disks []Disk, err error) {
	if o.archived {
		return nil, fmt.Errorf("%s: an archive in an archive: %w", first.Name(), ErrUnsupported)
	}
	a, err := readArchive(first)
	if err != nil {
		return nil, err
	}
	list, described, err := a.described()
	if err == nil && !described {
		list, err = a.undescribed()
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			for _, d := range disks {
				d.(*member).Disk.Close()
			}
			disks = nil
		}
	}()
	o.archived = true
	var others []candidateMember // that cannot be read, unless a disk uses them: that is known at the end
	for _, c := range list {
		if m := a.members[c.name]; m != nil && m.used { // as a part of another one
			continue
		}
		d, err := a.open(ctx, c, o)
		switch {
		case ctx.Err() != nil:
			return disks, context.Cause(ctx)
		case err == nil && !described && d.Format() == "raw" && !rawMember(c.name, d):
			d.Close()
			if namedAsImage(c.name) {
				others = append(others, candidateMember{c.name, a.noDisk(c.name)})
			}
		case err == nil:
			for _, s := range d.Sources() {
				if m := a.member(s); m != nil {
					m.used = true
				}
			}
			disks = append(disks, &member{Disk: d, archive: a, name: c.name})
		case !described && errors.Is(err, errAlone):
			others = append(others, candidateMember{c.name, err})
		case !described && !namedAsImage(c.name) && (errors.Is(err, ErrNotImage) || a.members[c.name].err != nil):
		case ofMember(err):
			a.unread = append(a.unread, err)
		default:
			return disks, err
		}
	}
	switch {
	case len(disks) > 0:
	case len(a.unread) > 0 && (described || !errors.Is(a.unread[0], ErrNotImage)):
		return nil, a.unread[0]
	default:
		return nil, fmt.Errorf("%s: %w", first.Name(), kind.NotImage("a tar archive", fill(hintTar, first.Name())))
	}
	for _, m := range others {
		if !a.members[m.name].used {
			a.unread = append(a.unread, m.err)
		}
	}
	a.left.Store(int64(len(disks)))
	return disks, nil
}

// ofMember reports whether an error is about the content of a member, and neither about
// reading the archive nor about something that is missing.
func ofMember(err error) bool {
	is := func(kind error) bool { return errors.Is(err, kind) }
	return !is(kind.IO) && !is(ErrIncomplete) && slices.ContainsFunc(
		[]error{ErrNotImage, ErrCorrupt, ErrUnsupported, ErrEncrypted, ErrLimit, io.ErrUnexpectedEOF}, is)
}

// Unread returns the errors of the disks that are in the same archive as a disk and cannot
// be read; nil if there are none. What is on them is unknown. The errors may have a method
// Hint() string.
func Unread(d Disk) []error {
	if m, ok := d.(*member); ok {
		return m.archive.unread
	}
	return nil
}

// errAlone is the error for a part of an image that is not the one to open.
var errAlone = kind.New(ErrIncomplete.Error(), ErrIncomplete)

// rawMember reports whether a member without a format is the image of a disk: its name
// and its first sector say so.
func rawMember(name string, d Disk) bool {
	b := make([]byte, sector)
	if !endsIn(name, rawEndings) || d.Size()%sector != 0 {
		return false
	}
	n, _ := d.ReadAt(b, 0)
	return n == sector && b[510] == 0x55 && b[511] == 0xaa
}

// noDisk is the error for a member that is named like a raw image and is none.
func (a *archive) noDisk(name string) error {
	return fmt.Errorf("%s: %w", a.shown(name), kind.NotImage("a file without a format or a boot sector",
		"if it is a disk or a volume, "+a.unpack(name)+", and name it as an image of its own"))
}

// namedAsImage reports whether a member is named like an image, or like a compressed one.
func namedAsImage(name string) bool {
	if endsIn(name, packedEndings) {
		name = strings.TrimSuffix(name, path.Ext(name))
	}
	return endsIn(name, imageEndings)
}

// packedEndings are the ends of the names of compressed files.
var packedEndings = []string{".gz", ".xz", ".zst", ".bz2", ".lz4", ".lz", ".lzo", ".zip", ".7z"}

// archive is a tar archive.
type archive struct {
	file    *source.Source
	names   []string // of its files, in order
	members map[string]*tarMember
	end     int64   // where its end marker begins, in bytes
	unread  []error // of disks that cannot be read

	mu     sync.Mutex
	opened map[*source.Source]*tarMember

	left atomic.Int64 // disks that are open
}

// tarMember is a file in an archive.
type tarMember struct {
	at, size int64  // in bytes
	stored   string // its name in the archive
	err      error  // why it cannot be read; nil if it can
	used     bool   // by a disk
}

// readArchive reads the headers of an archive.
func readArchive(s *source.Source) (*archive, error) {
	a := &archive{file: s, members: map[string]*tarMember{}, opened: map[*source.Source]*tarMember{}}
	section := io.NewSectionReader(s, 0, s.Size())
	r := tar.NewReader(section)
	for n := 0; ; n++ {
		at, _ := section.Seek(0, io.SeekCurrent)
		h, err := r.Next()
		switch {
		case err == io.EOF:
			if a.end == 0 { // the last member has another size in the archive
				here, _ := section.Seek(0, io.SeekCurrent)
				a.end = max(here-2*sector, 0)
			}
			slices.Sort(a.names)
			return a, nil
		case errors.Is(err, tar.ErrHeader):
			return nil, fmt.Errorf("%s: the header of a member after byte %d: %w", s.Name(), at, kind.Mark(err, ErrCorrupt))
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("%s: the archive ends in the header of a member: %w", s.Name(), kind.Mark(err, ErrCorrupt))
		case err != nil:
			return nil, fmt.Errorf("%s: the header of a member after byte %d: %w", s.Name(), at, err)
		case n == maxMembers:
			return nil, fmt.Errorf("%s: more than %d members: %w", s.Name(), maxMembers, ErrLimit)
		}
		start, _ := section.Seek(0, io.SeekCurrent)
		a.end = start
		if slices.Contains(tarWithoutData, h.Typeflag) { // whatever size its header states
			continue
		}
		a.end += (h.Size + sector - 1) / sector * sector
		if sparse(h) {
			a.end = 0
		}
		if err := a.add(h, start); err != nil {
			return nil, err
		}
	}
}

// sparse reports whether a member is stored with its holes left out.
func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// tarWithoutData are the types of members that are no files (POSIX.1-2024, pax, "ustar
// Interchange Format").
var tarWithoutData = []byte{
	tar.TypeLink, tar.TypeSymlink, tar.TypeChar, tar.TypeBlock, tar.TypeDir, tar.TypeFifo, tar.TypeXGlobalHeader,
}

// memberName is the name by which a member is found.
func memberName(stored string) string { return path.Clean("/" + stored)[1:] }

// add adds a file that begins at byte at.
func (a *archive) add(h *tar.Header, at int64) error {
	if len(h.Name) > maxMemberName {
		return fmt.Errorf("%s: the member at byte %d has a name of %d bytes, more than %d: %w",
			a.file.Name(), at, len(h.Name), maxMemberName, ErrLimit)
	}
	name := memberName(h.Name)
	m := &tarMember{at: at, size: h.Size, stored: h.Name}
	switch {
	case name == "":
		return nil
	case a.members[name] != nil:
		m.err = fmt.Errorf("%s: the member %q is there twice, at bytes %d and %d: %w",
			a.file.Name(), name, a.members[name].at, at, ErrCorrupt)
	case sparse(h):
		m.err = fmt.Errorf("%s: the member %q at byte %d is stored with its holes left out: %w",
			a.file.Name(), name, at, ErrUnsupported)
	case h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeCont:
		m.err = fmt.Errorf("%s: the member %q at byte %d has the unknown type %q: %w",
			a.file.Name(), name, at, h.Typeflag, ErrUnsupported)
	case h.Size > a.file.Size()-at:
		return fmt.Errorf("%s: the member %q at byte %d has %d bytes, and the archive ends at byte %d: truncated: %w",
			a.file.Name(), name, at, h.Size, a.file.Size(), ErrCorrupt)
	}
	if a.members[name] == nil {
		a.names = append(a.names, name)
	}
	a.members[name] = m
	return nil
}

// section opens a member. Those that are opened together are in one folder.
func (a *archive) section(name string) (*source.Source, error) {
	m := a.members[name]
	if m == nil {
		return nil, fmt.Errorf("%s: the member %q: %w", a.file.Name(), name, fs.ErrNotExist)
	}
	if m.err != nil {
		return nil, m.err
	}
	s, err := a.file.Section(a.shown(name), m.at, m.size,
		func(_ context.Context, other string) (*source.Source, error) {
			return a.section(path.Join(path.Dir(name), other))
		})
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.opened[s] = m
	return s, nil
}

// shown is the name of a member in errors.
func (a *archive) shown(name string) string { return a.file.Name() + "/" + path.Base(name) }

// unpack is the first part of the hint for a member.
func (a *archive) unpack(name string) string {
	if m := a.members[name]; m != nil {
		name = m.stored
	}
	return fmt.Sprintf("unpack it first: tar -xf %s %s", argument(a.file.Name()), prose.Quote(name))
}

// open opens the disk in a member.
func (a *archive) open(ctx context.Context, c candidateMember, o Options) (Disk, error) {
	if c.err != nil {
		return nil, c.err
	}
	s, err := a.section(c.name)
	if err != nil {
		return nil, err
	}
	disks, err := o.open(ctx, s, o)
	if err != nil {
		s.Close()
		return nil, a.unpackFirst(err, c.name)
	}
	return disks[0], nil // only an archive has several
}

// unpackFirst changes the hint for a format that is refused: it is about a file.
func (a *archive) unpackFirst(err error, name string) error {
	var hinting interface{ Hint() string }
	if !errors.Is(err, ErrNotImage) && !errors.Is(err, ErrUnsupported) || !errors.As(err, &hinting) {
		return err
	}
	hint := strings.ReplaceAll(hinting.Hint(), a.file.Name()+"/", "")
	return hinted{err, a.unpack(name) + "; then " + hint}
}

// member returns which member a source is of; nil if of none.
func (a *archive) member(s *source.Source) *tarMember {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.opened[s]
}

// locate returns where the byte at off of an open member is in the archive.
func (a *archive) locate(s *source.Source, off int64) (int64, bool) {
	m := a.member(s)
	if m == nil {
		return 0, false
	}
	return m.at + off, true
}

// member is a disk in an archive.
type member struct {
	Disk
	archive *archive
	name    string
	closed  sync.Once
}

// inside is the disk of a member; d if it is none.
func inside(d Disk) Disk {
	if m, ok := d.(*member); ok {
		return m.Disk
	}
	return d
}

func (m *member) Member() string { return m.name }

// Sources returns the archive: what it contains are parts of it.
func (m *member) Sources() []*source.Source { return []*source.Source{m.archive.file} }

func (m *member) Locate(off int64) (*source.Source, int64, bool) {
	s, at, ok := m.Disk.Locate(off)
	if !ok {
		return nil, 0, false
	}
	if inside, ok := m.archive.locate(s, at); ok {
		return m.archive.file, inside, true
	}
	return s, at, true // of a parent
}

// Close closes the disk, and the archive with its last one.
func (m *member) Close() error {
	err := m.Disk.Close()
	m.closed.Do(func() {
		if m.archive.left.Add(-1) == 0 {
			err = errors.Join(err, m.archive.file.Close())
		}
	})
	return err
}

// candidateMember is a member that may be a disk.
type candidateMember struct {
	name string
	err  error // why it cannot be read; nil if that is not known yet
}

// maxTarTail is how much may follow the end marker of an archive: tar fills up its last
// record, which has up to so many bytes.
const maxTarTail = 1 << 20

// undescribed returns all members, those that may be raw images last: they may be the
// parts of others. Only the end of the archive says that all members are there.
func (a *archive) undescribed() (list []candidateMember, err error) {
	tail := make([]byte, min(max(a.file.Size()-a.end, 0), maxTarTail)) // the last member may not be filled up
	if _, err := readFull(a.file, tail, a.end); err != nil {
		return nil, err
	}
	switch {
	case len(tail) < sector:
		return nil, fmt.Errorf("%s: the archive ends at byte %d without an end marker: it may be truncated: %w",
			a.file.Name(), a.end, ErrCorrupt)
	case !allZeros(tail) || a.file.Size()-a.end > maxTarTail:
		return nil, fmt.Errorf("%s: the archive has an end marker at byte %d and goes on after it: %w",
			a.file.Name(), a.end, ErrCorrupt)
	}
	for _, raw := range []bool{false, true} {
		for _, name := range a.names {
			if endsIn(name, rawEndings) == raw {
				list = append(list, candidateMember{name: name})
			}
		}
	}
	return list, nil
}

// ovfFile is an element File of a descriptor: a file of the package.
type ovfFile struct {
	id, href, compression, chunk string
	parent                       string // the name of the file with the parent of the disk in it; "" if it has none
}

// described returns the members that the descriptor says are disks. It is not ok if
// there is no descriptor.
func (a *archive) described() (disks []candidateMember, ok bool, err error) {
	var descriptors []string
	for _, name := range a.names {
		if strings.EqualFold(path.Ext(name), ".ovf") {
			descriptors = append(descriptors, name)
		}
	}
	switch {
	case len(descriptors) == 0:
		return nil, false, nil
	case len(descriptors) > 1:
		return nil, true, fmt.Errorf("%s: it has %d OVF descriptors (%s): %w",
			a.file.Name(), len(descriptors), prose.List(descriptors, 2), ErrUnsupported)
	}
	descriptor := descriptors[0]
	m := a.members[descriptor]
	switch {
	case m.err != nil:
		return nil, true, m.err
	case m.size > maxOVF:
		return nil, true, fmt.Errorf("%s: the descriptor %q at byte %d has %d bytes, more than %d: %w",
			a.file.Name(), descriptor, m.at, m.size, maxOVF, ErrLimit)
	}
	text := make([]byte, m.size)
	if _, err := readFull(a.file, text, m.at); err != nil {
		return nil, true, fmt.Errorf("the descriptor %q: %w", descriptor, err)
	}
	files, err := parseOVF(text)
	if err != nil {
		return nil, true, fmt.Errorf("%s: the descriptor %q at byte %d: %w", a.file.Name(), descriptor, m.at, err)
	}
	for _, f := range files {
		name, err := a.resolve(path.Dir(descriptor), f)
		if err != nil && f.parent != "" { // without its changes, its parent is not the disk of the machine
			return nil, true, err
		}
		disks = append(disks, candidateMember{name, err})
	}
	if len(disks) == 0 {
		return nil, true, fmt.Errorf("%s: %w", a.file.Name(), kind.NotImage("an OVA without disks", ""))
	}
	return disks, true, nil
}

// resolve returns the member that has a disk, and the error for what cannot be read. Names are
// relative to the descriptor.
func (a *archive) resolve(dir string, f ovfFile) (string, error) {
	name := path.Join("/", dir, f.href)[1:]
	if plain, err := url.PathUnescape(f.href); err == nil && a.members[name] == nil {
		name = path.Join("/", dir, plain)[1:]
	}
	fail := func(what, hint string) (string, error) {
		err := fmt.Errorf("%s: the disk %q is %s: %w", a.file.Name(), f.href, what, ErrUnsupported)
		return name, hinted{err, "unpack " + hint}
	}
	file, chunk, stored := argument(a.file.Name()), name+".000000000", name
	if m := a.members[name]; m != nil {
		stored = m.stored
	}
	switch {
	case f.compression == "gzip":
		out := strings.TrimSuffix(path.Base(name), ".gz") + ".unpacked"
		return fail("compressed with gzip", fmt.Sprintf("it first: tar -xOf %s %s | gzip -dc >%s",
			file, prose.Quote(stored), prose.Quote(out)))
	case f.compression != "" && f.compression != "identity":
		return fail("compressed", fmt.Sprintf("it first: tar -xf %s %s", file, prose.Quote(stored)))
	case f.chunk != "" && f.chunk != "0" || a.members[name] == nil && a.members[chunk] != nil:
		return fail("split into chunks", fmt.Sprintf("all members and join the chunks: tar -xf %s; cat %s.0*",
			file, prose.Quote(name)))
	case f.parent != "":
		return fail(fmt.Sprintf("a differencing disk, with the parent %q in the archive", f.parent),
			fmt.Sprintf("all members: tar -xf %s; then scan %s with --parent %s", file, argument(name), argument(f.parent)))
	case a.members[name] == nil:
		return name, fmt.Errorf("%s: the disk %q of the descriptor is not in the archive: %w",
			a.file.Name(), f.href, ErrIncomplete)
	}
	return name, nil
}

// parseOVF returns the files that the elements Disk of a descriptor refer to, each once.
// A disk without a file is empty until it is deployed.
func parseOVF(text []byte) ([]ovfFile, error) {
	files, disks, refs := map[string]ovfFile{}, map[string]ovfDisk{}, []ovfDisk(nil)
	d := xml.NewDecoder(bytes.NewReader(text))
	root := false
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("at byte %d of it: %w", d.InputOffset(), kind.Mark(err, ErrCorrupt))
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if !root && e.Name.Local != "Envelope" {
			return nil, fmt.Errorf("its first element is %q, not Envelope: %w", e.Name.Local, ErrCorrupt)
		}
		root = true
		attr := map[string]string{}
		for _, a := range e.Attr {
			attr[a.Name.Local] = a.Value
		}
		switch e.Name.Local {
		case "File":
			f := ovfFile{id: attr["id"], href: attr["href"], compression: strings.ToLower(attr["compression"]),
				chunk: attr["chunkSize"]}
			if _, twice := files[f.id]; f.id == "" || f.href == "" || twice {
				return nil, fmt.Errorf("at byte %d of it: a file without an id of its own or a name: %w",
					d.InputOffset(), ErrCorrupt)
			}
			files[f.id] = f
		case "Disk":
			disk := ovfDisk{file: attr["fileRef"], parent: attr["parentRef"]}
			disks[attr["diskId"]] = disk
			if disk.file != "" {
				refs = append(refs, disk)
			}
		}
	}
	if !root {
		return nil, fmt.Errorf("it is empty: %w", ErrCorrupt)
	}
	var list []ovfFile
	numbers := map[string]int{} // in the list, by the ids of files
	for _, disk := range refs {
		f, ok := files[disk.file]
		if !ok {
			return nil, fmt.Errorf("a disk refers to the file %q, which is not listed: %w", disk.file, ErrCorrupt)
		}
		n, twice := numbers[f.id]
		if !twice {
			n = len(list)
			list, numbers[f.id] = append(list, f), n
		}
		if disk.parent != "" {
			list[n].parent = cmp.Or(files[disks[disk.parent].file].href, disk.parent)
		}
	}
	return list, nil
}

// ovfDisk is an element Disk of a descriptor: the ids of its file and of its parent.
type ovfDisk struct{ file, parent string }
