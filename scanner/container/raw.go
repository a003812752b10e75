package container

import (
	"context"

	"github.com/coldcheck/coldcheck/scanner/source"
)

// raw is an image that holds the bytes of the disk as they are.
type raw struct{ *source.Source }

func openRaw(_ context.Context, first *source.Source, _ Options) (Disk, error) {
	return raw{first}, nil
}

func (raw) Format() string { return "raw" }

func (r raw) Sources() []*source.Source { return []*source.Source{r.Source} }
