package container

import (
	"context"

	"github.com/coldcheck/coldcheck/scanner/source"
)

// raw is an image that holds the bytes of the disk as they are.
type raw struct{ *source.Source }

func openRaw(ctx context.Context, first *source.Source, _ Options) (Disk, error) {
	if err := vmdkFlatPart(ctx, first); err != nil {
		return nil, err
	}
	return raw{first}, nil
}

func (raw) Format() string              { return "raw" }
func (raw) Detail() string              { return "" }
func (raw) Member() string              { return "" }
func (r raw) Sources() []*source.Source { return []*source.Source{r.Source} }
func (raw) Parent() Disk                { return nil }
func (raw) Notes() []string             { return nil }
func (raw) Stated() []Sum               { return nil }

func (r raw) Locate(off int64) (*source.Source, int64, bool) {
	return r.Source, off, off >= 0 && off < r.Size()
}
