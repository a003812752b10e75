package source

import (
	"context"
	"fmt"
	"io"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// ErrTooLarge is the error of ReadAll for a source above the bound.
var ErrTooLarge = kind.New("it is too large", kind.Limit)

// ReadAll reads a source that is not an image, such as a document: all of its bytes, at
// most limit. The error names the source. It is an ErrTooLarge if there are more; others
// are those of Open and ReadAt.
func ReadAll(ctx context.Context, name string, limit int64, o Options) ([]byte, error) {
	s, err := Open(ctx, name, o)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	if s.Size() > limit {
		return nil, fmt.Errorf("%s: %w: %d bytes, more than %d", s.Name(), ErrTooLarge, s.Size(), limit)
	}
	data := make([]byte, s.Size())
	if n, err := s.ReadAt(data, 0); n < len(data) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if s.Remote() == nil { // errors of remote sources have the name
			err = fmt.Errorf("%s: %w", s.Name(), err)
		}
		return nil, err
	}
	return data, nil
}
