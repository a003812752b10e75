package container

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// QCOW2 images are as QEMU documents them in docs/interop/qcow2.txt, whose sections are
// named here. All numbers are big-endian.

// qcow2Header is the header of a QCOW2 image, and the extensions that follow it
// ("Header", "Header extensions").
type qcow2Header struct {
	file            *source.Source
	version         uint32
	clusterBits     uint32
	cluster         int64 // its size in bytes
	size            int64 // of the disk, in bytes
	crypt           uint32
	l1              span // what the disk needs of the L1 table
	refcounts       span
	snapshots       uint32
	incompatible    uint64
	autoclear       uint64
	zstd            bool
	backing         string // the path of the backing file; "" if there is none
	backingFormat   string // "" if it is not stored
	externalName    string // of the external data file; "" if it is not stored
	entriesPerTable int64  // of an L2 table
}

// Bits of incompatible features, and one of the autoclear features.
const (
	qcow2Dirty       = 1 << 0
	qcow2Corrupt     = 1 << 1
	qcow2External    = 1 << 2
	qcow2Compression = 1 << 3
	qcow2Extended    = 1 << 4
	qcow2Known       = qcow2Dirty | qcow2Corrupt | qcow2External | qcow2Compression | qcow2Extended

	qcow2RawExternal = 1 << 1
)

// Types of header extensions.
const (
	qcow2BackingFormat = 0xe2792aca
	qcow2ExternalName  = 0x44415441
)

// Bounds of the header. Those of the cluster size and of both tables are QEMU's.
const (
	qcow2MinClusterBits = 9
	qcow2MaxClusterBits = 21
	qcow2MaxL1          = 32 << 20 // in bytes
	qcow2MaxRefcounts   = 8 << 20  // of the refcount table, in bytes
	qcow2MaxName        = 1023     // of the path of the backing file, in bytes
	qcow2MinHeader      = 72       // of version 2, in bytes
)

func (h *qcow2Header) extended() bool { return h.incompatible&qcow2Extended != 0 }
func (h *qcow2Header) external() bool { return h.incompatible&qcow2External != 0 }

// openQcow2 opens an image of version 2 or 3.
func openQcow2(ctx context.Context, first *source.Source, o Options) (Disk, error) {
	h, err := readQcow2Header(first)
	if err != nil {
		return nil, err
	}
	q, err := newQcow2(h)
	if err != nil {
		return nil, err
	}
	d := newMapped("qcow2", h.size, q, first)
	d.detail, d.notes = h.detail(), h.notes()
	if h.external() {
		if q.data, err = h.openExternal(ctx); err != nil {
			return nil, err
		}
		d.sources = append(d.sources, q.data)
	}
	if h.backing != "" {
		if d.parent, err = h.openBacking(ctx, o); err != nil {
			return nil, errors.Join(err, closeRest(d))
		}
		q.unallocated = below
	}
	return d, nil
}

// closeRest closes the files of a disk that cannot be opened, but for the first.
func closeRest(d *mapped) error {
	var errs []error
	for _, s := range d.sources[1:] {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// wrong is an error of the header: what is wrong with the field at an offset.
func (h *qcow2Header) wrong(at int, kind error, format string, args ...any) error {
	return fmt.Errorf("%s: the header, at byte %d: %s: %w", h.file.Name(), at, fmt.Sprintf(format, args...), kind)
}

// readQcow2Header reads and checks the first cluster.
func readQcow2Header(file *source.Source) (*qcow2Header, error) {
	h := &qcow2Header{file: file}
	b := make([]byte, 1<<qcow2MinClusterBits)
	if _, err := readFull(file, b, 0); err != nil {
		return nil, err
	}
	be := binary.BigEndian
	bits := be.Uint32(b[20:])
	h.version, h.crypt, h.snapshots = be.Uint32(b[4:]), be.Uint32(b[32:]), be.Uint32(b[60:])
	switch {
	case h.version != 2 && h.version != 3:
		return nil, h.wrong(4, ErrUnsupported, "version %d of QCOW", h.version)
	case bits < qcow2MinClusterBits:
		return nil, h.wrong(20, ErrCorrupt, "clusters of 2^%d bytes are too small", bits)
	case bits > qcow2MaxClusterBits:
		return nil, h.wrong(20, ErrUnsupported, "clusters of 2^%d bytes; at most 2^%d can be read", bits, qcow2MaxClusterBits)
	}
	h.clusterBits, h.cluster = bits, 1<<bits
	b = make([]byte, h.cluster)
	if _, err := readFull(file, b, 0); err != nil {
		return nil, err
	}
	length := qcow2MinHeader
	if h.version == 3 {
		var err error
		if length, err = h.readFeatures(b); err != nil {
			return nil, err
		}
	}
	if err := h.encrypted(); err != nil {
		return nil, err
	}
	if err := h.readTables(b); err != nil {
		return nil, err
	}
	return h, h.readNames(b, length)
}

// readFeatures reads the fields that version 3 adds, and returns the length of the
// header.
func (h *qcow2Header) readFeatures(b []byte) (length int, err error) {
	be := binary.BigEndian
	h.incompatible, h.autoclear = be.Uint64(b[72:]), be.Uint64(b[88:])
	size, order := be.Uint32(b[100:]), be.Uint32(b[96:])
	switch {
	case size < 104 || size%8 != 0 || int64(size) > h.cluster:
		return 0, h.wrong(100, ErrCorrupt, "a header of %d bytes", size)
	case h.incompatible&^qcow2Known != 0:
		return 0, h.wrong(72, ErrUnsupported, "unknown incompatible features %#x", h.incompatible&^qcow2Known)
	case h.incompatible&qcow2Corrupt != 0:
		return 0, hinted{h.wrong(72, ErrCorrupt, "QEMU has marked the image as corrupt"),
			fill("repair a copy of it: qemu-img check -r all {file}", h.file.Name())}
	case order > 6:
		return 0, h.wrong(96, ErrCorrupt, "reference counts of 2^%d bits", order)
	case h.extended() && h.cluster < 32<<qcow2MinClusterBits:
		return 0, h.wrong(20, ErrCorrupt, "clusters of %d bytes are too small for subclusters", h.cluster)
	}
	compression := byte(0)
	if size > 104 {
		compression = b[104]
	}
	switch {
	case (compression != 0) != (h.incompatible&qcow2Compression != 0):
		return 0, h.wrong(104, ErrCorrupt, "the compression type %d contradicts the features", compression)
	case compression > 1:
		return 0, h.wrong(104, ErrUnsupported, "the unknown compression type %d", compression)
	}
	h.zstd = compression == 1
	return int(size), nil
}

// encrypted is the error for an image that is encrypted; nil if it is not.
func (h *qcow2Header) encrypted() error {
	if h.crypt > 2 {
		return h.wrong(32, ErrUnsupported, "the unknown encryption method %d", h.crypt)
	}
	if h.crypt == 0 {
		return nil
	}
	method, name := []string{"AES", "LUKS"}[h.crypt-1], h.file.Name()
	// A comma within a value is doubled there.
	options := "driver=qcow2,encrypt.key-secret=key,file.filename=" + strings.ReplaceAll(name, ",", ",,")
	return hinted{h.wrong(32, ErrEncrypted, "the disk is encrypted with %s", method),
		"with its password in the file password.txt, convert it to a raw image: qemu-img convert " +
			"--object secret,id=key,file=password.txt --image-opts " + prose.Quote(options) +
			" -O raw " + prose.Quote(RawName(name))}
}

// readTables reads the size of the disk, and where the tables are.
func (h *qcow2Header) readTables(b []byte) error {
	be := binary.BigEndian
	size, l1Entries := be.Uint64(b[24:]), int64(be.Uint32(b[36:]))
	refcountClusters, snapshotsAt := int64(be.Uint32(b[56:])), be.Uint64(b[64:])
	h.entriesPerTable = h.cluster / 8
	if h.extended() {
		h.entriesPerTable = h.cluster / 16
	}
	if l1Entries*8 > qcow2MaxL1 {
		return h.wrong(36, ErrLimit, "an L1 table of %d bytes; at most %d can be read", l1Entries*8, qcow2MaxL1)
	}
	perEntry := uint64(h.entriesPerTable * h.cluster)
	if size > uint64(l1Entries)*perEntry {
		return h.wrong(36, ErrCorrupt, "an L1 table of %d entries is too small for a disk of %d bytes", l1Entries, size)
	}
	h.size = int64(size)
	needed := 8 * int64((size+perEntry-1)/perEntry)
	var err error
	if h.l1, err = h.table(b, 40, "L1 table", needed); err != nil {
		return err
	}
	if refcountClusters*h.cluster > qcow2MaxRefcounts {
		return h.wrong(56, ErrLimit, "a refcount table of %d bytes; at most %d can be read",
			refcountClusters*h.cluster, qcow2MaxRefcounts)
	}
	if h.refcounts, err = h.table(b, 48, "refcount table", refcountClusters*h.cluster); err != nil {
		return err
	}
	if h.snapshots > 0 && (snapshotsAt%uint64(h.cluster) != 0 || snapshotsAt >= uint64(h.file.Size())) {
		return h.wrong(64, ErrCorrupt, "the snapshot table is at byte %d of the file", snapshotsAt)
	}
	return nil
}

// table reads the offset of a table, in a field of the header. The table is within
// the file, after the header.
func (h *qcow2Header) table(b []byte, field int, name string, size int64) (span, error) {
	at := binary.BigEndian.Uint64(b[field:])
	if size == 0 {
		return span{}, nil
	}
	if at%uint64(h.cluster) != 0 || at == 0 || at > uint64(h.file.Size()) || size > h.file.Size()-int64(at) {
		return span{}, h.wrong(field, ErrCorrupt, "the %s is at byte %d, with %d bytes, in a file of %d",
			name, at, size, h.file.Size())
	}
	return span{int64(at), int64(at) + size}, nil
}

// readNames reads the path of the backing file, and the extensions after the header,
// which has a length.
func (h *qcow2Header) readNames(b []byte, length int) error {
	be, end := binary.BigEndian, len(b)
	if at, size := qcow2Backing(b); at != 0 {
		if at < uint64(length) || at > uint64(h.cluster) || size == 0 || size > qcow2MaxName ||
			int64(size) > h.cluster-int64(at) || bytes.IndexByte(b[at:][:size], 0) >= 0 {
			return h.wrong(8, ErrCorrupt, "the path of the backing file is at byte %d, with %d bytes", at, size)
		}
		h.backing, end = qcow2Path(string(b[at:][:size])), int(at)
	}
	for at := length; at+8 <= end; {
		kind, size := be.Uint32(b[at:]), int64(be.Uint32(b[at+4:]))
		if kind == 0 {
			break
		}
		if size > int64(end-at-8) {
			return h.wrong(at, ErrCorrupt, "an extension of %d bytes, of which %d are in the header", size, end-at-8)
		}
		switch text := string(b[at+8:][:size]); kind {
		case qcow2BackingFormat:
			h.backingFormat = text
		case qcow2ExternalName:
			h.externalName = text
		}
		at += 8 + int(size+7)&^7
	}
	raw := h.autoclear&qcow2RawExternal != 0
	switch {
	case raw && !h.external():
		return h.wrong(88, ErrCorrupt, "a raw external data file, but no external data file")
	case raw && h.backing != "":
		return h.wrong(88, ErrCorrupt, "a raw external data file and a backing file")
	}
	return nil
}

// qcow2Backing is where the path of the backing file is in the file, and how long it
// is, in bytes; at byte 0 if there is none. Version 1 has it in the same fields.
func qcow2Backing(b []byte) (at uint64, size uint32) {
	return binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint32(b[16:])
}

// qcow2Path is the path in the name of a backing file. The name may have the prefix of a
// protocol, or be QEMU's options of a block device, in which the path is that of a file
// ("json:" in QEMU's qapi/block-core.json, BlockdevOptions). It is the name itself if it
// has no path.
func qcow2Path(name string) string {
	text, isJSON := strings.CutPrefix(name, "json:")
	if !isJSON {
		return strings.TrimPrefix(name, "file:")
	}
	var options map[string]any
	if json.Unmarshal([]byte(text), &options) != nil {
		return name
	}
	for options != nil {
		for _, key := range []string{"filename", "file.filename", "file.file.filename"} {
			if path, ok := options[key].(string); ok {
				return path
			}
		}
		options, _ = options["file"].(map[string]any)
	}
	return name
}

func (h *qcow2Header) detail() string {
	detail := fmt.Sprintf("version %d", h.version)
	for _, f := range []struct {
		has  bool
		text string
	}{
		{h.zstd, "zstd"},
		{h.extended(), "subclusters"},
		{h.external(), "external data file"},
		{h.backing != "", "overlay"},
	} {
		if f.has {
			detail += ", " + f.text
		}
	}
	return detail
}

func (h *qcow2Header) notes() []string {
	var notes []string
	if h.incompatible&qcow2Dirty != 0 {
		notes = append(notes, "The image was not closed properly. Its reference counts may be wrong, "+
			"but they are not needed to read it.")
	}
	if h.snapshots > 0 {
		notes = append(notes, prose.Count(int64(h.snapshots), "internal snapshot is", "internal snapshots are")+
			" ignored: the disk is read in its current state.")
	}
	return notes
}

// openExternal opens the external data file, which has the data of the disk at the
// offsets of the disk.
func (h *qcow2Header) openExternal(ctx context.Context) (*source.Source, error) {
	name := h.file.Name()
	if h.externalName == "" {
		return nil, fmt.Errorf("%s: its data is in another file, which it does not name: %w", name, ErrIncomplete)
	}
	data, err := h.file.Beside(ctx, h.externalName)
	switch base := baseName(h.externalName); {
	case err == nil:
		return data, nil
	case errors.Is(err, fs.ErrInvalid) && h.autoclear&qcow2RawExternal != 0:
		return nil, hinted{fmt.Errorf("%s: its data is in %q, in another folder: %w", name, base, ErrUnsupported),
			"scan that file, which is a raw image"}
	case errors.Is(err, fs.ErrInvalid):
		return nil, hinted{fmt.Errorf("%s: its data is in %q, in another folder: %w", name, base, ErrUnsupported),
			fill(hintConvert, name)}
	case errors.Is(err, fs.ErrNotExist):
		return nil, hinted{fmt.Errorf("%s: its data is in %q, which is missing: %w", name, base, ErrIncomplete),
			"copy it to the same folder"}
	}
	return nil, err
}

// openBacking opens the backing file. The image stores its format, because a raw
// image that begins as another format would be opened as that.
func (h *qcow2Header) openBacking(ctx context.Context, o Options) (Disk, error) {
	d, err := o.openParent(ctx, h.file, wanted{name: h.backing})
	if err != nil {
		return nil, err
	}
	is := d.Format()
	want, known := qcow2Formats[h.backingFormat]
	if known && is != want || h.backingFormat == "raw" && slices.Contains(slices.Collect(maps.Values(qcow2Formats)), is) {
		err := fmt.Errorf("%s: its parent is of the format %s, but %s is %s: %w",
			h.file.Name(), cmp.Or(want, "raw"), d.Sources()[0].Name(), is, ErrIncomplete)
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// qcow2Formats are the formats of a backing file, by the names that QEMU has for them. Raw
// is not one: the disk of a raw parent may also be in an image of a forensic format.
var qcow2Formats = map[string]string{"qcow2": "qcow2", "vmdk": "vmdk", "vpc": "vhd", "vhdx": "vhdx", "vdi": "vdi"}
