package scanner_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/internal/remotetest"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// TestEstimate: the estimate of a scan sends few requests, counts them, and is within a
// factor of two of what a scan then needs.
func TestEstimate(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"failing", "ready", "linux-ready", "linux-failing", "linux-xfs-ready", "linux-xfs-lvm"} {
		c, err := fixtures.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, where := range append(servers, "local") {
			t.Run(name+" "+where, func(t *testing.T) {
				t.Parallel()
				in := input(c)
				var server *remotetest.Server
				if where != "local" {
					p := serve(t, c, where)
					in, server = p.Input, p.server
				}
				e, err := scanner.Estimate(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				var read, estimate scanner.Amount
				systems := 0
				for _, i := range e.Images {
					read.Add(i.Read)
					estimate.Add(i.Scan)
					for _, v := range i.Volumes {
						if v.System {
							systems++
						}
						if v.Err != nil {
							t.Errorf("partition %d: %v", v.Partition, v.Err)
						}
						if windows := v.Filesystem == "ntfs"; windows != (v.Index > 0) || windows && v.Files == 0 {
							t.Errorf("%+v", v)
						}
					}
				}
				if systems != 1 || len(e.Basis) == 0 {
					t.Errorf("%d volumes with a system, and %q", systems, e.Basis)
				}
				if server != nil {
					if sent := int64(server.Requests()); sent != read.Requests || sent > 9 {
						t.Errorf("it says %d requests, the server received %v", read.Requests, server.Actions())
					}
				}
				r, err := scanner.Scan(t.Context(), in)
				if err != nil {
					t.Fatal(err)
				}
				var needed scanner.Amount
				for _, f := range r.Files {
					needed.Add(amountOf(f.Reading))
				}
				for _, n := range []struct {
					what             string
					estimate, needed int64
				}{
					{"requests", estimate.Requests, needed.Requests}, {"bytes", estimate.Bytes, needed.Bytes},
					{"price", estimate.Price, needed.Price},
				} {
					if n.estimate > 2*n.needed || n.needed > 2*n.estimate {
						t.Errorf("%s: the estimate is %d, a scan needs %d", n.what, n.estimate, n.needed)
					}
				}
				t.Logf("read %+v, estimate %+v, needed %+v", read, estimate, needed)
			})
		}
	}
}

func amountOf(r *scanner.Reading) scanner.Amount {
	if t := r.Remote; t != nil {
		return scanner.Amount{Requests: t.Requests, Bytes: t.Bytes, Price: t.Price}
	}
	return scanner.Amount{Requests: r.Reads, Bytes: r.Bytes}
}

// TestEstimateOne: an image of a pair can be estimated without the other.
func TestEstimateOne(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"failing", "linux-failing"} {
		c, err := fixtures.Find(name)
		if err != nil {
			t.Fatal(err)
		}
		pair, err := scanner.Estimate(t.Context(), input(c))
		if err != nil {
			t.Fatal(err)
		}
		one := input(c)
		one.Images = one.Images[:1]
		e, err := scanner.Estimate(t.Context(), one)
		if err != nil || len(e.Images) != 1 || e.Images[0].Scan != pair.Images[0].Scan {
			t.Errorf("%s: %+v, %v", name, e, err)
		}
		// With Sizes, a scan of Linux reads all inodes.
		one.Sizes = true
		sizes, err := scanner.Estimate(t.Context(), one)
		if err != nil || (sizes.Images[0].Scan.Bytes > e.Images[0].Scan.Bytes) != strings.HasPrefix(name, "linux") {
			t.Errorf("%s with Sizes: %+v, %v", name, sizes, err)
		}
	}
}

// TestEstimateErrors: the errors are those of a scan.
func TestEstimateErrors(t *testing.T) {
	t.Parallel()
	c, err := fixtures.Find("failing")
	if err != nil {
		t.Fatal(err)
	}
	twice := input(c)
	first := scanner.File("estimate_test.go")
	twice.Images = []scanner.Source{first, first}
	forced := input(c)
	noVolume := scanner.Reader("empty", strings.NewReader(strings.Repeat("\x00", 1<<20)), 1<<20)
	forced.Root = &noVolume
	locked := make([]byte, 1<<20)
	copy(locked, "\xeb\x58\x90-FVE-FS-")
	locked[510], locked[511] = 0x55, 0xAA
	encrypted := scanner.Input{Images: []scanner.Source{
		scanner.Reader("locked.img", strings.NewReader(string(locked)), int64(len(locked)))}}
	for _, tt := range []struct {
		name string
		in   scanner.Input
		is   error
		text string
	}{
		{"none", scanner.Input{}, scanner.ErrUsage, "no image given"},
		{"twice", twice, scanner.ErrUsage, "given twice"},
		{"not an image", scanner.Input{Images: twice.Images[:1]}, scanner.ErrNoSystem, ""},
		{"nothing on the root volume", forced, scanner.ErrNoSystem, ""},
		{"encrypted", encrypted, scanner.ErrNoSystem, "locked.img is encrypted with BitLocker"},
		{"failing", scanner.Input{Images: []scanner.Source{scanner.Reader("bad", badReader{}, 1<<20)}}, scanner.ErrIO, ""},
	} {
		e, err := scanner.Estimate(t.Context(), tt.in)
		if e != nil || !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, where := range servers {
		for fault, passes := range map[remotetest.Fault]bool{
			remotetest.ExpiredCredentials: true, remotetest.Missing: false,
		} {
			for skip := range 2 {
				p := serve(t, c, where)
				p.options(source.Options{Parallel: 1})
				p.server.FailAction(p.action, skip, fault, -1)
				e, err := scanner.Estimate(t.Context(), p.Input)
				if e != nil || !errors.Is(err, scanner.ErrIO) || errors.Is(err, scanner.ErrPassing) != passes {
					t.Errorf("%s: %s after %d requests: %v", where, fault, skip, err)
				}
			}
		}
	}
}

// badReader fails.
type badReader struct{}

func (badReader) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }
