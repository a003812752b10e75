package xfs

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/coldcheck/coldcheck/internal/opening/openingtest"
)

func TestOpenContext(t *testing.T) {
	raw := unpack(t, images[0])
	openingtest.Context(t, raw, func(ctx context.Context, r io.ReaderAt) (func() error, error) {
		f, err := Open(ctx, r, int64(len(raw)), Options{Readers: 1})
		return func() error { _, err := f.Tree("."); return err }, err
	})
	openingtest.Context(t, raw, func(ctx context.Context, r io.ReaderAt) (func() error, error) {
		_, err := ReadHeader(ctx, r, int64(len(raw)))
		return func() error { return nil }, err
	})
}

func TestClose(t *testing.T) {
	raw := unpack(t, images[0])
	openingtest.Close(t, raw, func(r io.ReaderAt, reserve func(int64) error) (func() error, error) {
		f, err := Open(t.Context(), r, int64(len(raw)), Options{Readers: 1, Reserve: reserve})
		return func() error {
			_, err := f.Tree(".")
			return errors.Join(err, f.Close())
		}, err
	})
}
