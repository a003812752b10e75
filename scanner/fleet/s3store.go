package fleet

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/source"
)

// s3Store has its records in S3.
type s3Store struct{ folder *source.Folder }

func openS3Store(ctx context.Context, name string, o StoreOptions) (Store, error) {
	folder, err := source.OpenFolder(ctx, name, o.Source)
	if err != nil {
		return nil, err
	}
	return &s3Store{folder}, nil
}

func (s *s3Store) String() string { return s.folder.String() }

func (s *s3Store) Close() error { return s.folder.Close() }

func key(id string) string { return records + "/" + id + extension }

// probeName is the name of an object that is no record.
const probeName = records + "/.coldcheck-probe"

func (s *s3Store) Probe(ctx context.Context) error { return s.folder.Probe(ctx, probeName) }

func (s *s3Store) Has(ctx context.Context, id string) (bool, error) {
	return s.folder.Exists(ctx, key(id))
}

func (s *s3Store) Get(ctx context.Context, id string) ([]byte, error) {
	data, err := s.folder.Get(ctx, key(id), MaxRecord)
	if errors.Is(err, source.ErrTooLarge) {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return data, err
}

func (s *s3Store) Put(ctx context.Context, id string, record []byte, over Over) (written bool, err error) {
	return s.folder.Put(ctx, key(id), record, bool(over))
}

func (s *s3Store) IDs(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for key, err := range s.folder.List(ctx, records+"/") {
			if err != nil {
				yield("", err)
				return
			}
			if id, ok := idOf(strings.TrimPrefix(key, records+"/")); ok && !yield(id, nil) {
				return
			}
		}
	}
}
