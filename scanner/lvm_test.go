package scanner_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// stripes is one of two physical volumes over which a partition of another
// disk is striped: a head of 1 MiB with a label and the metadata of the group,
// and then every second stripe of the partition.
type stripes struct {
	head        []byte
	r           io.ReaderAt
	begin, size int64 // of the partition
	index       int64
}

const (
	stripe   = 64 << 10
	headSize = 1 << 20
)

func (s stripes) ReadAt(p []byte, off int64) (int, error) {
	for done := 0; done < len(p); {
		at := off + int64(done)
		if at < headSize {
			done += copy(p[done:], s.head[at:])
			continue
		}
		at -= headSize
		n := min(len(p)-done, int(stripe-at%stripe))
		from := (at/stripe*2+s.index)*stripe + at%stripe
		clear(p[done : done+n])
		if left := s.size - from; left > 0 {
			if _, err := s.r.ReadAt(p[done:done+min(n, int(min(left, stripe)))], s.begin+from); err != nil && err != io.EOF {
				return done, err
			}
		}
		done += n
	}
	return len(p), nil
}

// lvmHead is what a physical volume begins with (LVM2, lib/format_text/layout.h).
func lvmHead(id, text string) []byte {
	sum := func(b []byte) uint32 { return ^crc32.Update(^uint32(0xf597a6cf), crc32.IEEETable, b) }
	le := binary.LittleEndian
	b := make([]byte, headSize)
	label, area := b[512:1024], b[4096:4096+512]
	copy(label, "LABELONE\x01")
	le.PutUint32(label[20:], 32)
	copy(label[24:], "LVM2 001"+id)
	le.PutUint64(label[72:], headSize)
	le.PutUint64(label[104:], 4096)
	le.PutUint64(label[112:], headSize-4096)
	le.PutUint32(label[16:], sum(label[20:]))
	copy(area[4:], " LVM2 x[5A%r0N*>\x01")
	le.PutUint64(area[24:], 4096)
	le.PutUint64(area[32:], headSize-4096)
	le.PutUint64(area[40:], 512)
	le.PutUint64(area[48:], uint64(len(text)))
	le.PutUint32(area[56:], sum([]byte(text)))
	le.PutUint32(area, sum(area[4:]))
	copy(b[4096+512:], text)
	return b
}

// A system on a logical volume that is striped over two disks is judged as the
// same system on a partition, and not at all where one of the disks is missing.
func TestStriped(t *testing.T) {
	const begin, size = 2 << 20, 81917 << 20 // of the root partition
	ids := []string{strings.Repeat("a", 32), strings.Repeat("b", 32)}
	text := fmt.Sprintf(`rhel { id = "g" seqno = 3 extent_size = 2048
physical_volumes {
pv0 { id = "%s" pe_start = 2048 pe_count = 40959 }
pv1 { id = "%s" pe_start = 2048 pe_count = 40959 } }
logical_volumes { root { status = ["READ", "WRITE", "VISIBLE"] segment_count = 1
segment1 { start_extent = 0 extent_count = 81918 type = "striped" stripe_count = 2 stripe_size = 128 stripes = ["pv0", 0, "pv1", 0] } } } }
`, ids[0], ids[1])
	c := testcases.Find(t, "linux-xfs-failing")
	var whole scanner.Input
	var sources []scanner.Source
	for _, i := range c.Images {
		r, err := i.Open()
		if err != nil {
			t.Fatal(err)
		}
		whole.Images = append(whole.Images,
			scanner.Source{Name: i.Name, Open: func(ctx context.Context) (*source.Source, error) {
				return source.NewReader(ctx, i.Name, r, i.Size), nil
			}})
		if i.Role != "root" {
			sources = append(sources, whole.Images[len(whole.Images)-1])
			continue
		}
		for n, id := range ids {
			pv := stripes{lvmHead(id, text), r, begin, size, int64(n)}
			name := fmt.Sprintf("disk%d.img", n)
			sources = append(sources, scanner.Source{Name: name, Open: func(ctx context.Context) (*source.Source, error) {
				return source.NewReader(ctx, name, pv, headSize+40959<<20), nil
			}})
		}
	}
	want, err := scanner.Scan(t.Context(), whole)
	if err != nil {
		t.Fatal(err)
	}
	got, err := scanner.Scan(t.Context(), scanner.Input{Images: sources})
	if err != nil {
		t.Fatal(err)
	}
	// These two depend on the disks themselves.
	disks := map[string]bool{"linux.volume.readable": true, "bp.volume-smallest": true}
	for n, f := range want.Findings {
		if g := got.Findings[n]; g.ID != f.ID || g.Status != f.Status || !disks[f.ID] && g.Message != f.Message {
			t.Errorf("%s: %s: %s, want %s: %s", f.ID, g.Status, g.Message, f.Status, f.Message)
		}
	}
	found := false
	for _, v := range got.Volumes {
		found = found || v.Role == scanner.Root && v.Logical == "rhel/root" && v.Filesystem == "xfs"
	}
	if !found {
		t.Errorf("%+v", got.Volumes)
	}
	for n, s := range sources {
		if !strings.HasPrefix(s.Name, "disk") {
			continue
		}
		some := append(append([]scanner.Source{}, sources[:n]...), sources[n+1:]...)
		if _, err := scanner.Scan(t.Context(), scanner.Input{Images: some}); !errors.Is(err, scanner.ErrNoSystem) ||
			!strings.Contains(err.Error(), "not among the images") {
			t.Errorf("without %s: %v", s.Name, err)
		}
	}
}
