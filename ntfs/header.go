package ntfs

import (
	"context"
	"io"
	"slices"

	"github.com/coldcheck/coldcheck/internal/opening"
)

// Header is what the boot sector and the first record of $MFT say of a volume.
type Header struct {
	ClusterSize int   // in bytes
	RecordSize  int   // of $MFT, in bytes
	Size        int64 // of the volume, in bytes
	Records     int64 // of $MFT, in use or free
	// MFT is where the records are, in the order of their numbers. Open reads all of it.
	MFT   []Extent
	Notes []string // damage that did not prevent reading, as in Damage
}

// Extent is a part of a volume, in bytes.
type Extent struct{ Offset, Size int64 }

// ReadHeader reads the boot sector and the first record of $MFT, with the records that
// its attribute list names. It does not read the rest of $MFT, as Open does. The reader,
// the size, the context and the errors are those of Open.
func ReadHeader(ctx context.Context, r io.ReaderAt, size int64) (Header, error) {
	reader := opening.NewReader(ctx, r)
	b, note, err := readBoot(reader, size)
	if err != nil {
		return Header{}, err
	}
	f := &FS{boot: b, disk: &disk{r: reader, size: size, clusterSize: int64(b.clusterSize), clusters: b.clusters,
		readers: 1}}
	if note != "" {
		f.note("%s", note)
	}
	if err := f.openMFT(); err != nil {
		return Header{}, err
	}
	h := Header{ClusterSize: b.clusterSize, RecordSize: b.recordSize, Size: b.size, Records: int64(f.records),
		Notes: slices.Clone(f.damage.Notes)}
	left := h.Records * int64(b.recordSize)
	for _, run := range f.mft.runs {
		e := Extent{run.lcn * int64(b.clusterSize), min(run.n*int64(b.clusterSize), left)}
		if e.Size > 0 {
			h.MFT = append(h.MFT, e)
		}
		left -= e.Size
	}
	return h, reader.Done()
}
