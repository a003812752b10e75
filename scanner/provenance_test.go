package scanner_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Another tool finds evidence at its offset in the image: the cell of the key,
// the data of the value, the record of the file.
func TestEvidenceOffsets(t *testing.T) {
	for _, name := range []string{"failing", "dirty", "ready", "linux-failing", "linux-journal"} {
		t.Run(name, func(t *testing.T) {
			c, err := fixtures.Find(name)
			if err != nil {
				t.Fatal(err)
			}
			in := input(c)
			r, err := scanner.Scan(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			image := map[string]io.ReaderAt{}
			for _, v := range r.Volumes {
				i := slices.IndexFunc(in.Images, func(s scanner.Source) bool { return s.Name == v.Image })
				open, err := in.Images[i].Open(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer open.Close()
				image[string(v.Role)] = open
			}
			read := func(source string, at int64, n int) []byte {
				b := make([]byte, n)
				if _, err := image[source].ReadAt(b, at); err != nil && err != io.EOF {
					t.Fatal(err)
				}
				return b
			}
			windows := r.Platform.Family == "windows"
			values, keys, records := 0, 0, 0
			for _, f := range r.Findings {
				for _, e := range f.Evidence {
					if at := e.RecordOffset; at != nil {
						records++
						if b := read(e.Source, *at, 4); windows && string(b) != "FILE" {
							t.Errorf("%s: %s: no MFT record at %d: % x", f.ID, e.Path, *at, b)
						}
					}
					if e.Key == "" || e.ImageOffset == nil {
						continue
					}
					switch {
					case e.Note == "" && e.Type == registry.SZ.String():
						values++
						var want []byte
						for _, c := range []byte(e.Data) {
							want = append(want, c, 0)
						}
						if got := read(e.Source, *e.ImageOffset, len(want)); !bytes.Equal(got, want) {
							t.Errorf("%s: %s %s: % x at %d, not %q", f.ID, e.Key, e.Value, got, *e.ImageOffset, e.Data)
						}
					case e.Type == "":
						keys++
						if b := read(e.Source, *e.ImageOffset, 6); string(b[4:]) != "nk" {
							t.Errorf("%s: %s: no key at %d: % x", f.ID, e.Key, *e.ImageOffset, b)
						}
					}
				}
			}
			if windows && (values < 3 || keys < 3) || records < 10 {
				t.Errorf("%d values, %d keys and %d records were found: too few to tell", values, keys, records)
			}
			t.Logf("%d values, %d keys, %d records", values, keys, records)
		})
	}
}

// What came out of a transaction log is not where it will be in the hive, and the
// report says of the hive what was applied.
func TestRecoveredEvidenceHasNoPlace(t *testing.T) {
	c, err := fixtures.Find("dirty")
	if err != nil {
		t.Fatal(err)
	}
	r, err := scanner.Scan(t.Context(), input(c))
	if err != nil {
		t.Fatal(err)
	}
	recovered := 0
	for _, f := range r.Findings {
		for _, e := range f.Evidence {
			if strings.HasPrefix(e.Note, "from the transaction log") {
				recovered++
				if e.ImageOffset != nil {
					t.Errorf("%s: %s %s: at %d", f.ID, e.Key, e.Value, *e.ImageOffset)
				}
			}
		}
	}
	if recovered == 0 {
		t.Error("nothing came out of a transaction log")
	}
	i := slices.IndexFunc(r.Hives, func(h scanner.Hive) bool { return strings.HasSuffix(h.Path, "/SYSTEM") })
	if i < 0 {
		t.Fatalf("hives: %+v", r.Hives)
	}
	if h := r.Hives[i]; h.State != "recovered" || h.Primary == h.Secondary || len(h.Applied) == 0 ||
		h.Applied[0].Entries == 0 || h.Pages == 0 {
		t.Errorf("%+v", h)
	}
}

// A replayed journal is reported with its transactions.
func TestJournalReported(t *testing.T) {
	c, err := fixtures.Find("linux-journal")
	if err != nil {
		t.Fatal(err)
	}
	r, err := scanner.Scan(t.Context(), input(c))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range r.Volumes {
		if j := v.Journal; v.Role == scanner.Root &&
			(j.State != "replayed" || j.Transactions == 0 || j.Blocks == 0 || j.Last < j.First) {
			t.Errorf("%+v", j)
		}
	}
}

// Who ends a scan need not wait for the sums, which are the longest part of it.
func TestHashEnds(t *testing.T) {
	c, err := fixtures.Find("linux-ready")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	in := input(c)
	in.Hash = true
	in.Progress = func(p scanner.Progress) {
		if p.Unit == scanner.UnitBytes {
			cancel()
		}
	}
	if _, err := scanner.Scan(ctx, in); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// An image that fails while it is summed fails the scan as any read does.
func TestHashFails(t *testing.T) {
	c, err := fixtures.Find("linux-ready")
	if err != nil {
		t.Fatal(err)
	}
	in := input(c)
	in.Hash = true
	image := c.Images[0]
	in.Images[0].Open = func(ctx context.Context) (*source.Source, error) {
		r, err := image.Open()
		if err != nil {
			return nil, err
		}
		return source.NewReader(ctx, image.Name, &cutReader{r, image.Size}, image.Size), nil
	}
	if _, err := scanner.Scan(t.Context(), in); !errors.Is(err, scanner.ErrIO) {
		t.Errorf("error %v", err)
	}
}

// cutReader cannot read a large piece, as only sums ask for.
type cutReader struct {
	io.ReaderAt
	size int64
}

func (c *cutReader) ReadAt(p []byte, off int64) (int, error) {
	if len(p) == 4<<20 {
		return 0, errors.New("bad sector")
	}
	return c.ReaderAt.ReadAt(p, off)
}
