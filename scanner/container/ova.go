package container

import (
	"archive/tar"
	"bytes"
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
// they are disks; without a descriptor, all members that are images of disks.
func openOVA(ctx context.Context, first *source.Source, o Options) (disks []Disk, err error) {
	if o.archived {
		return nil, fmt.Errorf("%s: an archive in an archive: %w", first.Name(), ErrUnsupported)
	}
	a, err := readArchive(first)
	if err != nil {
		return nil, err
	}
	described, names, err := a.described()
	if err != nil {
		return nil, err
	}
	if !described {
		names = a.names
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
	for _, name := range names {
		if m := a.members[name]; m.used { // as a part of another one
			continue
		}
		d, err := a.open(ctx, name, o)
		switch {
		case ctx.Err() != nil:
			return disks, context.Cause(ctx)
		case !described && (errors.Is(err, ErrNotImage) || errors.Is(err, errAlone)):
			continue
		case err != nil:
			return disks, err
		case !described && d.Format() == "raw" && !rawMember(name, d):
			d.Close()
			continue
		}
		for _, s := range d.Sources() {
			if m := a.member(s); m != nil {
				m.used = true
			}
		}
		disks = append(disks, &member{Disk: d, archive: a, name: name})
	}
	if len(disks) == 0 {
		return nil, fmt.Errorf("%s: %w", first.Name(), kind.NotImage("a tar archive", fill(hintTar, first.Name())))
	}
	a.left.Store(int64(len(disks)))
	return disks, nil
}

// errAlone is the error for a part of an image that is not the one to open.
var errAlone = kind.New(ErrIncomplete.Error(), ErrIncomplete)

// rawMember reports whether a member without a format is the image of a disk: its name
// and its first sector say so.
func rawMember(name string, d Disk) bool {
	b := make([]byte, sector)
	if !slices.Contains([]string{".img", ".raw", ".dd"}, strings.ToLower(path.Ext(name))) || d.Size()%sector != 0 {
		return false
	}
	n, _ := d.ReadAt(b, 0)
	return n == sector && b[510] == 0x55 && b[511] == 0xaa
}

// archive is a tar archive.
type archive struct {
	file    *source.Source
	names   []string // of its files, in order
	members map[string]*tarMember

	mu     sync.Mutex
	opened map[*source.Source]*tarMember

	left atomic.Int64 // disks that are open
}

// tarMember is a file in an archive.
type tarMember struct {
	at, size int64 // in bytes
	err      error // why it cannot be read; nil if it can
	used     bool  // by a disk
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
		if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeGNUSparse {
			continue
		}
		start, _ := section.Seek(0, io.SeekCurrent)
		if err := a.add(h, start); err != nil {
			return nil, err
		}
	}
}

// add adds a file that begins at byte at.
func (a *archive) add(h *tar.Header, at int64) error {
	if len(h.Name) > maxMemberName {
		return fmt.Errorf("%s: the member at byte %d has a name of %d bytes, more than %d: %w",
			a.file.Name(), at, len(h.Name), maxMemberName, ErrLimit)
	}
	name := path.Clean("/" + h.Name)[1:]
	m := &tarMember{at: at, size: h.Size}
	sparse := h.Typeflag == tar.TypeGNUSparse
	for key := range h.PAXRecords {
		sparse = sparse || strings.HasPrefix(key, "GNU.sparse.")
	}
	switch {
	case name == "":
		return nil
	case a.members[name] != nil:
		m.err = fmt.Errorf("%s: the member %q is there twice, at bytes %d and %d: %w",
			a.file.Name(), name, a.members[name].at, at, ErrCorrupt)
	case sparse:
		m.err = fmt.Errorf("%s: the member %q at byte %d is stored with its holes left out: %w",
			a.file.Name(), name, at, ErrUnsupported)
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
	s, err := a.file.Section(a.file.Name()+"/"+path.Base(name), m.at, m.size,
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

// open opens the disk in a member.
func (a *archive) open(ctx context.Context, name string, o Options) (Disk, error) {
	s, err := a.section(name)
	if err != nil {
		return nil, err
	}
	disks, err := o.open(ctx, s, o)
	if err != nil {
		s.Close()
		return nil, a.unpackFirst(err, name)
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
	return hinted{err, fmt.Sprintf("unpack it first: tar -xf %s %s; then %s",
		prose.Quote(a.file.Name()), prose.Quote(name), hint)}
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

// ovfFile is an element File of a descriptor: a file of the package.
type ovfFile struct{ id, href, compression, chunk string }

// described returns the members that the descriptor says are disks. It is not ok if
// there is no descriptor.
func (a *archive) described() (ok bool, disks []string, err error) {
	var descriptors []string
	for _, name := range a.names {
		if strings.EqualFold(path.Ext(name), ".ovf") {
			descriptors = append(descriptors, name)
		}
	}
	switch {
	case len(descriptors) == 0:
		return false, nil, nil
	case len(descriptors) > 1:
		return true, nil, fmt.Errorf("%s: it has %d OVF descriptors (%s): %w",
			a.file.Name(), len(descriptors), prose.List(descriptors, 2), ErrUnsupported)
	}
	descriptor := descriptors[0]
	m := a.members[descriptor]
	switch {
	case m.err != nil:
		return true, nil, m.err
	case m.size > maxOVF:
		return true, nil, fmt.Errorf("%s: the descriptor %q at byte %d has %d bytes, more than %d: %w",
			a.file.Name(), descriptor, m.at, m.size, maxOVF, ErrLimit)
	}
	text := make([]byte, m.size)
	if _, err := readFull(a.file, text, m.at); err != nil {
		return true, nil, fmt.Errorf("the descriptor %q: %w", descriptor, err)
	}
	files, err := parseOVF(text)
	if err != nil {
		return true, nil, fmt.Errorf("%s: the descriptor %q at byte %d: %w", a.file.Name(), descriptor, m.at, err)
	}
	for _, f := range files {
		name, err := a.resolve(path.Dir(descriptor), f)
		if err != nil {
			return true, nil, err
		}
		disks = append(disks, name)
	}
	if len(disks) == 0 {
		return true, nil, fmt.Errorf("%s: %w", a.file.Name(), kind.NotImage("an OVA without disks", ""))
	}
	return true, disks, nil
}

// resolve returns the member that has a disk. Names are relative to the descriptor.
func (a *archive) resolve(dir string, f ovfFile) (string, error) {
	name := path.Join("/", dir, f.href)[1:]
	if plain, err := url.PathUnescape(f.href); err == nil && a.members[name] == nil {
		name = path.Join("/", dir, plain)[1:]
	}
	fail := func(format, hint string) (string, error) {
		err := fmt.Errorf("%s: the disk %q "+format, a.file.Name(), f.href, ErrUnsupported)
		return "", hinted{err, fmt.Sprintf(hint, prose.Quote(a.file.Name()), prose.Quote(name))}
	}
	chunk := name + ".000000000"
	switch {
	case f.compression != "" && f.compression != "identity":
		if f.compression != "gzip" {
			return fail("is compressed: %w", "unpack it first: tar -xf %s %s")
		}
		out := prose.Quote(strings.TrimSuffix(path.Base(name), ".gz") + ".unpacked")
		return fail("is compressed with gzip: %w",
			"unpack it first: tar -xOf %s %s | gzip -dc >"+strings.ReplaceAll(out, "%", "%%"))
	case f.chunk != "" && f.chunk != "0" || a.members[name] == nil && a.members[chunk] != nil:
		return fail("is split into chunks: %w", "unpack all members and join the chunks: tar -xf %s; cat %s.0*")
	case a.members[name] == nil:
		return "", fmt.Errorf("%s: the disk %q of the descriptor is not in the archive: %w",
			a.file.Name(), f.href, ErrIncomplete)
	}
	return name, nil
}

// parseOVF returns the files that the elements Disk of a descriptor refer to, each once.
// A disk without a file is empty until it is deployed.
func parseOVF(text []byte) ([]ovfFile, error) {
	files, refs := map[string]ovfFile{}, []string{}
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
			f := ovfFile{attr["id"], attr["href"], strings.ToLower(attr["compression"]), attr["chunkSize"]}
			if _, twice := files[f.id]; f.id == "" || f.href == "" || twice {
				return nil, fmt.Errorf("at byte %d of it: a file without an id of its own or a name: %w",
					d.InputOffset(), ErrCorrupt)
			}
			files[f.id] = f
		case "Disk":
			if ref := attr["fileRef"]; ref != "" && !slices.Contains(refs, ref) {
				refs = append(refs, ref)
			}
		}
	}
	if !root {
		return nil, fmt.Errorf("it is empty: %w", ErrCorrupt)
	}
	var disks []ovfFile
	for _, ref := range refs {
		f, ok := files[ref]
		if !ok {
			return nil, fmt.Errorf("a disk refers to the file %q, which is not listed: %w", ref, ErrCorrupt)
		}
		disks = append(disks, f)
	}
	return disks, nil
}
