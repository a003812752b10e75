package scanner_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// panicking is an image on which one read after so many panics: a defect in
// whatever asked for it.
type panicking struct {
	io.ReaderAt
	left *atomic.Int64
}

func (p panicking) ReadAt(b []byte, off int64) (int, error) {
	if p.left.Add(-1) == 0 {
		panic("defect for a test")
	}
	return p.ReaderAt.ReadAt(b, off)
}

// withPanic is the input of a case where a read of the image of a role panics:
// that before which left is 1.
func withPanic(c fixtures.Case, role string, left *atomic.Int64) scanner.Input {
	in := input(c)
	for i, image := range c.Images {
		if image.Role != role {
			continue
		}
		in.Images[i].Open = func(ctx context.Context) (*source.Source, error) {
			r, err := image.Open()
			if err != nil {
				return nil, err
			}
			return source.NewReader(ctx, image.Name, panicking{r, left}, image.Size), nil
		}
	}
	return in
}

// Wherever a reader panics, the scan ends with a result or an error that names
// the place, and nothing passes that did not pass before.
func TestPanicAnywhere(t *testing.T) {
	apart := int64(16)
	if testing.Short() {
		apart = 4
	}
	for _, name := range []string{"failing", "linux-failing"} {
		c := testcases.Find(t, name)
		plain, err := scanner.Scan(t.Context(), input(c))
		if err != nil {
			t.Fatal(err)
		}
		before := map[string]requirement.Status{}
		for _, f := range plain.Findings {
			before[f.ID] = f.Status
		}
		for _, role := range []string{"root", "user"} {
			results := 0
			for read := int64(1); ; read += 1 + read/apart {
				left := &atomic.Int64{}
				left.Store(read)
				r, err := scanner.Scan(t.Context(), withPanic(c, role, left))
				if left.Load() > 0 {
					break // there are not so many reads
				}
				if err != nil {
					if !strings.Contains(err.Error(), "defect for a test at ") || !errors.Is(err, scanner.ErrNoSystem) &&
						!errors.Is(err, scanner.ErrIO) {
						t.Errorf("%s, %s, read %d: %v", name, role, read, err)
					}
					continue
				}
				told := false
				for _, n := range r.Notices {
					// The library for SQLite contains its own.
					told = told || strings.Contains(n.Message, "contain_test.go:") || strings.HasSuffix(n.Path, ".srd")
				}
				if told {
					results++
				}
				for _, f := range r.Findings {
					switch {
					case f.Status == before[f.ID]:
					case !told:
						t.Errorf("%s, %s, read %d: %s is %s, and was %s, and no notice says why: %s", name, role, read, f.ID, f.Status,
							before[f.ID], f.Message)
					case f.Status != requirement.Undetermined:
						t.Errorf("%s, %s, read %d: %s is %s, and was %s", name, role, read, f.ID, f.Status, before[f.ID])
					}
				}
			}
			if results == 0 {
				t.Errorf("%s, %s: no result tells of a panic", name, role)
			}
			t.Logf("%s, %s: %d results", name, role, results)
		}
	}
}
