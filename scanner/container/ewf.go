package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/klauspost/compress/zlib"

	"github.com/coldcheck/coldcheck/internal/lru"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Bounds of an Expert Witness image.
const (
	// maxEWFSegments is how many segments have a name, from .E01 to .ZZZ.
	maxEWFSegments = 14971
	// maxEWFSections bounds the sections of all segments: an image of 64 TiB has fewer.
	maxEWFSections = 1 << 19
	// maxEWFNotes bounds the notes on single sections, and maxEWFHashes the sections
	// xhash that are read. Images have one or two.
	maxEWFNotes  = 16
	maxEWFHashes = 16
)

// openEWF opens an Expert Witness image, whose first segment is first.
func openEWF(ctx context.Context, first *source.Source, _ Options) (Disk, error) {
	o := &ewfOpening{e: &ewf{tables: ewfTables{segments: []*source.Source{first},
		pages: lru.Cache[ewfPageKey, *ewfPage]{Max: maxEWFPages}}}}
	d, err := o.open(ctx, first)
	if err != nil {
		for _, s := range o.e.tables.segments[1:] {
			err = errors.Join(err, s.Close())
		}
		return nil, err
	}
	return d, nil
}

// ewfOpening is an image that is being opened.
type ewfOpening struct {
	e        *ewf
	sections int
	media    *ewfMedia
	sectors  *ewfSection // with chunks, of this segment
	// A table with a wrong header must be followed by its copy.
	damaged error
	// Numbers of tables of which one copy has a wrong header.
	noFirst, noSecond int
	lost              []ewfRange // sectors
	hash, digest      []Sum
	xhash             []Sum
	xhashes           int // sections
	header            bool
	labels            []string // the case and the evidence, as the header names them
	notes             []string
	unnoted           int      // sections without a note, beyond the bound
	unknown           []string // sections
}

func (o *ewfOpening) open(ctx context.Context, first *source.Source) (Disk, error) {
	e := o.e
	for s, number := first, 1; ; number++ {
		last, err := o.segment(s, number)
		if err != nil {
			return nil, err
		}
		if last {
			break
		}
		if s, err = nextEWFSegment(ctx, first, number+1); err != nil {
			return nil, err
		}
		e.tables.segments = append(e.tables.segments, s)
	}
	switch m := o.media; {
	case m == nil:
		return nil, fmt.Errorf("%s: it has no section with media values: %w", first.Name(), ErrCorrupt)
	case e.tables.chunks < int64(m.count()):
		return nil, fmt.Errorf("%s: %w", first.Name(), hinted{fmt.Errorf("its segments contain %d of %d chunks: %w",
			e.tables.chunks, m.count(), ErrIncomplete), hintCopyAgain})
	case e.tables.chunks > int64(m.count()):
		return nil, fmt.Errorf("%s: its segments contain %d chunks, more than its %d: %w",
			first.Name(), e.tables.chunks, m.count(), ErrCorrupt)
	}
	e.chunk = int64(o.media.perOne) * int64(o.media.sector)
	e.size = int64(o.media.sectors) * int64(o.media.sector)
	if err := o.losses(); err != nil {
		return nil, err
	}
	d := newMapped("ewf", e.size, e, e.tables.segments...)
	d.unpacked.Max = max(maxUnpacked, 2*e.chunk)
	d.detail, d.stated, d.notes = o.detail(), o.stated(), o.allNotes()
	return &ewfDisk{d, e}, nil
}

// detail says which kind of image it is, and of which case.
func (o *ewfOpening) detail() string {
	kind := "E01"
	if o.media.smart {
		kind = "SMART"
	}
	segments := prose.Count(len(o.e.tables.segments), "segment", "segments")
	return strings.Join(append([]string{kind, segments}, o.labels...), ", ")
}

// stated are the hashes in the image, each once.
func (o *ewfOpening) stated() (list []Sum) {
	for _, s := range slices.Concat(o.hash, o.digest, o.xhash) {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// ewfName is the name of a first segment: the other segments have the same name but for
// the last two characters, or three.
var ewfName = regexp.MustCompile(`\.[EeSs]01$`)

// ewfSegmentName returns the name of a segment ("Segment file extensions"): E01 to E99,
// then EAA to EZZ, FAA and on to ZZZ, or s01 to zzz, in capital letters if the first
// one has one. It is "" if there is none.
func ewfSegmentName(first string, number int) string {
	if !ewfName.MatchString(first) || number < 1 {
		return ""
	}
	base, letter := first[:len(first)-3], first[len(first)-3]
	if number < 100 {
		return fmt.Sprintf("%s%c%02d", base, letter, number)
	}
	a, number := byte('a'), number-100
	if letter < 'a' {
		a = 'A'
	}
	if number >= 26*26*int(a+26-letter) {
		return ""
	}
	return base + string([]byte{letter + byte(number/(26*26)), a + byte(number/26%26), a + byte(number%26)})
}

// nextEWFSegment opens a segment that is not the first.
func nextEWFSegment(ctx context.Context, first *source.Source, number int) (*source.Source, error) {
	base := filepath.Base(first.Name())
	name := ewfSegmentName(base, number)
	switch {
	case name == "" && ewfName.MatchString(base):
		return nil, fmt.Errorf("%s: it has more than %d segments: %w", first.Name(), number-1, ErrLimit)
	case name == "":
		return nil, fmt.Errorf("%s: %w", first.Name(), hinted{
			fmt.Errorf("segment %d cannot be found: the name of the first one does not end in .E01 or .s01: %w",
				number, ErrIncomplete),
			"give the segments the names of one set: name.E01, name.E02 and so on"})
	}
	s, err := first.Beside(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", first.Name(), hinted{
			fmt.Errorf("segment %d, %s, is missing: %w", number, name, ErrIncomplete),
			"copy all segments to one folder"})
	}
	return s, err
}

// segment reads the sections of a segment. It reports whether it is the last one.
func (o *ewfOpening) segment(s *source.Source, number int) (last bool, err error) {
	b := make([]byte, ewfHead)
	if s.Size() < ewfHead {
		return false, ewfTruncated(s, ewfHead)
	}
	if _, err := readFull(s, b, 0); err != nil {
		return false, err
	}
	switch n := int(b[9]) | int(b[10])<<8; {
	case string(b[:8]) != ewfMagic:
		return false, fmt.Errorf("%s: it is segment %d by its name, but not a segment of an Expert Witness image: %w",
			s.Name(), number, ErrCorrupt)
	case n != number && number == 1:
		return false, fmt.Errorf("%s: %w", s.Name(), hinted{
			fmt.Errorf("it is segment %d of its image: %w", n, ErrIncomplete), "name the first segment instead"})
	case n != number:
		return false, fmt.Errorf("%s: it is segment %d by its name, and segment %d by its header: %w",
			s.Name(), number, n, ErrCorrupt)
	}
	o.sectors = nil
	for at := int64(ewfHead); ; {
		d, err := readEWFSection(s, at)
		if err != nil {
			return false, err
		}
		if o.sections++; o.sections > maxEWFSections {
			return false, fmt.Errorf("%s: at byte %d: the image has more than %d sections: %w",
				s.Name(), at, maxEWFSections, ErrLimit)
		}
		if err := o.section(d, number); err != nil {
			return false, err
		}
		if d.last() {
			return d.kind == "done", nil
		}
		at = d.end
	}
}

// section reads a section as far as it is needed. Sections that say nothing of the
// bytes of the disk are skipped.
func (o *ewfOpening) section(d ewfSection, number int) (err error) {
	if o.damaged != nil && d.kind != "table2" {
		return o.damaged
	}
	switch d.kind {
	case "volume", "disk", "data":
		return o.mediaValues(d)
	case "sectors":
		o.sectors = &d
	case "table", "table2":
		return o.table(d, number)
	case "error2":
		list, err := readEWFErrors(d)
		if o.lost = append(o.lost, list...); len(o.lost) > maxEWFErrors {
			err = fmt.Errorf("%s: the section %q at byte %d: more than %d ranges: %w", d.file.Name(), d.kind, d.at,
				maxEWFErrors, ErrLimit)
		}
		return err
	case "hash":
		o.hash, err = readEWFSums(d)
		return o.optional(d, err)
	case "digest":
		o.digest, err = readEWFSums(d)
		return o.optional(d, err)
	case "xhash":
		return o.xmlHashes(d)
	case "header":
		return o.caseOf(d)
	case "ltree", "ltypes":
		return fmt.Errorf("%s: %w", d.file.Name(), hinted{
			fmt.Errorf("a logical image, which contains files: %w", ErrUnsupported), hintLogical})
	case "delta_chunk": // of EWF-X: other bytes for a chunk
		return fmt.Errorf("%s: the section %q at byte %d: %w", d.file.Name(), d.kind, d.at,
			hinted{fmt.Errorf("chunks that were changed later: %w", ErrUnsupported), fill(hintExport, d.file.Name())})
	case "incomplete":
		o.note("The acquisition of the image was interrupted: %s has a section %q.", filepath.Base(d.file.Name()), d.kind)
	case "header2", "xheader", "session", "next", "done":
	default:
		if !slices.Contains(o.unknown, d.kind) && len(o.unknown) < 8 {
			o.unknown = append(o.unknown, d.kind)
		}
	}
	return nil
}

// optional notes that a section is damaged that is not needed to read the disk.
func (o *ewfOpening) optional(d ewfSection, err error) error {
	if errors.Is(err, ErrCorrupt) {
		o.note("The section %q at byte %d of %s is damaged and was not used.", d.kind, d.at, filepath.Base(d.file.Name()))
		return nil
	}
	return err
}

// note notes something about a section, of which an image may have many.
func (o *ewfOpening) note(format string, args ...any) {
	if len(o.notes) >= maxEWFNotes {
		o.unnoted++
		return
	}
	o.notes = append(o.notes, fmt.Sprintf(format, args...))
}

// mediaValues compares the media values with those that came before.
func (o *ewfOpening) mediaValues(d ewfSection) error {
	m, err := readEWFMedia(d)
	if err != nil {
		return err
	}
	if o.media != nil {
		if why := o.media.sameSet(m); why != "" {
			return fmt.Errorf("%s: the section %q at byte %d: %w", d.file.Name(), d.kind, d.at, hinted{
				fmt.Errorf("%s than in the segments before it: %w", why, ErrCorrupt),
				"the segment belongs to another image: copy the right one to the folder"})
		}
		if o.media.set == [16]byte{} {
			o.media.set = m.set
		}
		return nil
	}
	if err := m.check(d); err != nil {
		return err
	}
	o.media = &m
	return nil
}

// table adds a table, or the copy of the one before.
func (o *ewfOpening) table(d ewfSection, number int) error {
	l := &o.e.tables
	t, err := readEWFTable(d, number-1, o.sectors)
	wrong := errors.Is(err, ErrCorrupt)
	switch second := d.kind == "table2"; {
	case err != nil && !wrong:
		return err
	case !second && wrong:
		o.damaged = err
		return nil
	case second && wrong && o.damaged != nil:
		return errors.Join(o.damaged, err)
	case second && wrong:
		o.noSecond++
		return nil
	case second && o.damaged != nil:
		o.damaged = nil
		o.noFirst++
	case second && len(l.list) > 0:
		before := &l.list[len(l.list)-1]
		if before.segment == t.segment && before.both == 1 && before.start == t.start && before.end == t.end {
			if before.count != t.count {
				return d.corrupt("it has %d entries, and the table before it %d", t.count, before.count)
			}
			before.copies[1], before.both = t.copies[0], 2
			return nil
		}
	}
	if t.count > 0 {
		l.add(t)
	}
	return nil
}

// losses takes over the sectors that could not be read when the image was made, in
// order and in bytes.
func (o *ewfOpening) losses() error {
	e, total := o.e, int64(o.media.sectors)
	slices.SortFunc(o.lost, func(a, b ewfRange) int { return int(min(max(a.start-b.start, -1), 1)) })
	sector, count := int64(o.media.sector), int64(0)
	for _, r := range o.lost {
		if r.start >= total {
			return fmt.Errorf("%s: a read error at sector %d of %d is recorded: %w",
				e.tables.segments[0].Name(), r.start, total, ErrCorrupt)
		}
		r = ewfRange{r.start * sector, min(r.end, total) * sector}
		if n := len(e.lost); n > 0 && r.start <= e.lost[n-1].end {
			r.start = e.lost[n-1].end
			if r.end > r.start {
				count += (r.end - r.start) / sector
				e.lost[n-1].end = r.end
			}
		} else if r.end > r.start {
			count += (r.end - r.start) / sector
			e.lost = append(e.lost, r)
		}
	}
	if count > 0 {
		o.notes = append(o.notes, fmt.Sprintf(
			"%d of %d sectors could not be read when the image was made. Reading them is an error.", count, total))
	}
	return nil
}

// allNotes are the notes that are known when the image is open.
func (o *ewfOpening) allNotes() []string {
	if o.unnoted > 0 {
		o.notes = append(o.notes, "The notes on "+prose.Count(o.unnoted, "more section", "more sections")+" are left out.")
	}
	if o.noFirst > 0 {
		o.notes = append(o.notes, prose.Count(o.noFirst, "table", "tables")+" with a damaged header: the copy was used.")
	}
	if o.noSecond > 0 {
		o.notes = append(o.notes, prose.Count(o.noSecond, "copy", "copies")+
			" of a table with a damaged header: it was not needed.")
	}
	for _, kind := range o.unknown {
		o.notes = append(o.notes, fmt.Sprintf("A section of an unknown kind was not used: %q.", kind))
	}
	return o.notes
}

// maxEWFText bounds the texts of an image, packed or unpacked, in bytes.
const maxEWFText = 64 << 10

// text unpacks the text in a section; "" if it is too long or damaged.
func (d ewfSection) text() (string, error) {
	if d.size() > maxEWFText {
		return "", nil
	}
	b := make([]byte, d.size())
	if _, err := readFull(d.file, b, d.data()); err != nil {
		return "", err
	}
	r, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return "", nil // damaged
	}
	if b, err = io.ReadAll(io.LimitReader(r, maxEWFText)); err != nil {
		return "", nil // damaged
	}
	return string(b), nil
}

var ewfXMLHash = regexp.MustCompile(`(?i)<(md5|sha1)>([0-9a-f]{32}|[0-9a-f]{40})</(?:md5|sha1)>`)

// xmlHashes reads the hashes of an EWF-X image ("Xhash").
func (o *ewfOpening) xmlHashes(d ewfSection) error {
	if o.xhashes++; o.xhashes > maxEWFHashes {
		o.note("The section %q at byte %d of %s was not used: the image has more than %d of them.", d.kind, d.at,
			filepath.Base(d.file.Name()), maxEWFHashes)
		return nil
	}
	text, err := d.text()
	for _, m := range ewfXMLHash.FindAllStringSubmatch(text, 4) {
		s := Sum{strings.ToLower(m[1]), strings.ToLower(m[2])}
		if len(s.Sum) != map[string]int{"md5": 32, "sha1": 40}[s.Algorithm] || slices.Contains(o.xhash, s) {
			continue
		}
		s.Sum = strings.Clone(s.Sum) // not the text that it is in
		o.xhash = append(o.xhash, s)
	}
	return err
}

// ewfPlain is a value of a header that is short and safe to show.
var ewfPlain = regexp.MustCompile(`^[ -~]{1,64}$`)

// caseOf finds the numbers of the case and of the evidence ("Header section"): a line
// has the names of values, c and n among them, and the next one the values, separated
// by tabs.
func (o *ewfOpening) caseOf(d ewfSection) error {
	if o.header {
		return nil // the same again
	}
	o.header = true
	text, err := d.text()
	lines := strings.Split(strings.ReplaceAll(text, "\r", ""), "\n")
	if err != nil || len(lines) < 4 || lines[1] != "main" {
		return err
	}
	values := strings.Split(lines[3], "\t")
	for n, name := range strings.Split(lines[2], "\t") {
		if what := map[string]string{"c": "case", "n": "evidence"}[name]; what != "" && n < len(values) &&
			ewfPlain.MatchString(values[n]) {
			o.labels = append(o.labels, fmt.Sprintf("%s %q", what, values[n]))
		}
	}
	return nil
}
