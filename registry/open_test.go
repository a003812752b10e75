package registry

import (
	"context"
	"io"
	"testing"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/internal/opening/openingtest"
)

func TestOpenContext(t *testing.T) {
	raw := hivetest.Build(hivetest.Key{Name: "ROOT", Subkeys: keys("a", "b")}, hivetest.Options{})
	openingtest.Context(t, raw, func(ctx context.Context, r io.ReaderAt) (func() error, error) {
		f, err := Open(ctx, r, int64(len(raw)), Options{InMemory: -1})
		return func() error { _, err := f.Key("a"); return err }, err
	})
}
