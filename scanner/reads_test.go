package scanner_test

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// meter measures what is read through it, and takes its time for each read.
type meter struct {
	delay              time.Duration
	bytes, reads       atomic.Int64
	underWay, together atomic.Int64 // reads now, and the most there were at a time
}

func (m *meter) wrap(r io.ReaderAt) io.ReaderAt { return metered{r, m} }

type metered struct {
	io.ReaderAt
	*meter
}

func (m metered) ReadAt(p []byte, off int64) (int, error) {
	for now := m.underWay.Add(1); ; {
		if most := m.together.Load(); now <= most || m.together.CompareAndSwap(most, now) {
			break
		}
	}
	defer m.underWay.Add(-1)
	time.Sleep(m.delay)
	n, err := m.ReaderAt.ReadAt(p, off)
	m.reads.Add(1)
	m.bytes.Add(int64(n))
	return n, err
}

// scanCase scans a case of the demonstration through a meter.
func scanCase(t *testing.T, name string, in scanner.Input, m *meter) *scanner.Result {
	t.Helper()
	c, err := fixtures.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range c.Images {
		in.Images = append(in.Images, scanner.Source{Name: i.Name, Open: func(ctx context.Context) (*source.Source, error) {
			r, err := i.Open()
			if err != nil {
				return nil, err
			}
			return source.NewReader(ctx, i.Name, m.wrap(r), i.Size), nil
		}})
	}
	r, err := scanner.Scan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What a scan says that it read is what it read, and is little: counts are the
// same on every machine. The bounds leave a quarter for what is yet to come.
func TestReads(t *testing.T) {
	for name, most := range map[string]struct{ reads, bytes int64 }{
		"failing":       {200, 9_400_000},
		"ready":         {200, 9_400_000},
		"dirty":         {210, 9_500_000},
		"windows7":      {175, 9_300_000},
		"windows10":     {195, 9_400_000},
		"windows11":     {200, 9_400_000},
		"linux-failing": {355, 2_210_000},
		"linux-ready":   {330, 2_010_000},
		"linux-journal": {350, 10_100_000},
		"linux-ubuntu":  {265, 1_270_000},

		"linux-xfs-failing": {245, 4_250_000},
		"linux-xfs-ready":   {230, 4_160_000},
	} {
		t.Run(name, func(t *testing.T) {
			m := &meter{}
			r := scanCase(t, name, scanner.Input{}, m)
			if r.Reads != m.reads.Load() || r.BytesRead != m.bytes.Load() {
				t.Errorf("%d reads of %d bytes are told, %d of %d were made", r.Reads, r.BytesRead, m.reads.Load(), m.bytes.Load())
			}
			if r.Reads > most.reads || r.BytesRead > most.bytes {
				t.Errorf("%d reads of %d bytes, more than %d of %d", r.Reads, r.BytesRead, most.reads, most.bytes)
			}
		})
	}
}

// No more reads are under way than are allowed, as many as are allowed where
// there is that much to read, and the findings are the same.
func TestParallelReads(t *testing.T) {
	for _, name := range []string{"ready", "linux-ready"} {
		var findings string
		for _, parallel := range []int{1, 4, 0} {
			synctest.Test(t, func(t *testing.T) {
				m := &meter{delay: time.Millisecond}
				start := time.Now()
				r := scanCase(t, name, scanner.Input{ParallelReads: parallel, Sizes: true}, m)
				took := time.Since(start) // on the clock of the test, where only reads take time
				most := int64(parallel)
				if parallel == 0 {
					most = scanner.DefaultParallelReads
				}
				if together := m.together.Load(); together > most || together < min(most, 2) {
					t.Errorf("%s: %d reads at a time, where %d are allowed", name, together, most)
				}
				said := ""
				for _, f := range r.Findings {
					said += fmt.Sprintln(f.ID, f.Status, f.Message)
				}
				if findings == "" {
					findings = said
				}
				if said != findings {
					t.Errorf("%s: with %d reads at a time the findings are\n%snot\n%s", name, parallel, said, findings)
				}
				inTurn := time.Duration(m.reads.Load()) * time.Millisecond
				if parallel == 1 && took != inTurn || parallel != 1 && took > inTurn*9/10 {
					t.Errorf("%s: %d reads, %d at a time, took %v", name, m.reads.Load(), most, took)
				}
			})
		}
	}
}
