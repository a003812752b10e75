package container

import (
	"context"

	"github.com/coldcheck/coldcheck/scanner/source"
)

// raw is an image that holds the bytes of the disk as they are.
type raw struct {
	*source.Source
	notes []string
}

// openRaw opens what has the signature of no format. Some formats have theirs at the end.
func openRaw(ctx context.Context, first *source.Source, p probe) (Disk, error) {
	if err := vmdkFlatPart(ctx, first); err != nil {
		return nil, err
	}
	r := raw{Source: first}
	switch {
	case first.Size() < sector:
	case p.footer == nil:
		r.notes = []string{"the last 512 bytes cannot be read, so it is read as a raw image; " +
			"it may be a VHD image of fixed size, whose disk does not have them"}
	case looksLikeVHDFooter(p.footer, first.Size()):
		r.notes = []string{"the last 512 bytes look like the damaged footer of a VHD image of fixed size; " +
			"they are read as a part of the disk"}
	}
	return r, nil
}

func (raw) Format() string              { return "raw" }
func (raw) Detail() string              { return "" }
func (raw) Member() string              { return "" }
func (r raw) Sources() []*source.Source { return []*source.Source{r.Source} }
func (raw) Parent() Disk                { return nil }
func (r raw) Notes() []string           { return r.notes }
func (raw) Stated() []Sum               { return nil }

func (r raw) Locate(off int64) (*source.Source, int64, bool) {
	return r.Source, off, off >= 0 && off < r.Size()
}
