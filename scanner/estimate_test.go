package scanner_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/remotetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// TestEstimate: the estimate of a scan sends few requests, counts them, and is within a
// factor of two of what a scan then needs.
func TestEstimate(t *testing.T) {
	t.Parallel()
	for n, name := range []string{"failing", "linux-ready", "linux-xfs-ready", "ready", "linux-failing", "linux-xfs-lvm"} {
		if n >= 3 && !testenv.Full() {
			break
		}
		c := testcases.Find(t, name)
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
		c := testcases.Find(t, name)
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

// TestEstimateUser: the system is not assumed on an image that is named as that of the
// user volume, even if that has more files.
func TestEstimateUser(t *testing.T) {
	t.Parallel()
	c := testcases.Find(t, "failing")
	for named := range c.Images {
		in := input(c)
		user := in.Images[named]
		in.User, in.Images = &user, slices.Delete(in.Images, named, named+1)
		e, err := scanner.Estimate(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range e.Images {
			system := slices.ContainsFunc(i.Volumes, func(v scanner.VolumeEstimate) bool { return v.System })
			if system == (i.File.Name == user.Name) {
				t.Errorf("%s is named as the user volume; the system on %s is assumed: %v", user.Name, i.File.Name, system)
			}
		}
	}
}

// TestEstimateErrors: the errors are those of a scan.
func TestEstimateErrors(t *testing.T) {
	t.Parallel()
	testenv.Sequential(t)
	c := testcases.Find(t, "failing")
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
			t.Run(where+" "+string(fault), func(t *testing.T) {
				t.Parallel()
				for skip := range 2 {
					if skip > 0 && !testenv.Full() {
						break
					}
					p := serve(t, c, where)
					p.server.FailAction(p.action, skip, fault, -1)
					e, err := scanner.Estimate(t.Context(), p.Input)
					if e != nil || !errors.Is(err, scanner.ErrIO) || errors.Is(err, scanner.ErrPassing) != passes {
						t.Errorf("%d requests before: %v", skip, err)
					}
				}
			})
		}
	}
}

// badReader fails.
type badReader struct{}

func (badReader) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

// ntfsHead returns the first bytes of an NTFS volume with clusters of 4 KiB: its boot
// sector, and at cluster 4 the first record of the $MFT, whose clusters begin there and in
// as many further pieces. The pieces are a gap of clusters apart.
func ntfsHead(size int64, pieces, clusters, gap int) []byte {
	le := binary.LittleEndian
	b := make([]byte, 5*4096)
	copy(b[3:], "NTFS    ")
	le.PutUint16(b[11:], 512)
	b[13] = 8
	le.PutUint64(b[40:], uint64(size/512))
	le.PutUint64(b[48:], 4)
	le.PutUint64(b[56:], 2)
	b[64] = 0xF6 // records of 2^10 bytes
	le.PutUint16(b[510:], 0xAA55)

	var runs []byte
	distance := 4
	for range pieces {
		runs = append(runs, 0x44) // a length of 4 bytes and a distance of 4 bytes
		runs = le.AppendUint32(runs, uint32(clusters))
		runs = le.AppendUint32(runs, uint32(distance))
		distance = clusters + gap
	}
	runs = append(runs, make([]byte, 8-len(runs)%8)...)
	total := uint64(pieces) * uint64(clusters)
	r := b[4*4096:][:1024]
	copy(r, "FILE")
	le.PutUint16(r[4:], 48)
	le.PutUint16(r[6:], 3)
	le.PutUint16(r[16:], 1)
	le.PutUint16(r[20:], 56)
	le.PutUint16(r[22:], 1)
	le.PutUint32(r[24:], uint32(56+64+len(runs)+8))
	data := r[56:]
	le.PutUint32(data, 0x80)
	le.PutUint32(data[4:], uint32(64+len(runs)))
	data[8] = 1
	le.PutUint64(data[24:], total-1)
	le.PutUint16(data[32:], 64)
	for _, at := range []int{40, 48, 56} {
		le.PutUint64(data[at:], total*4096)
	}
	copy(data[64:], runs)
	le.PutUint32(data[64+len(runs):], 0xFFFFFFFF)
	// The last words of its two sectors are the update sequence number, which is 0.
	return b
}

// zerosAfter is an image of which only the beginning is not zeros.
type zerosAfter []byte

func (b zerosAfter) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(b)) {
		copy(p, b[off:])
	}
	return len(p), nil
}

// TestEstimateMFT: the blocks of the $MFT are counted by its runs, and only those that the
// snapshot lists. The sizes of the first case are those of the pair of 300,000 files of
// docs/remote.md, of which a scan needs 935 blocks.
func TestEstimateMFT(t *testing.T) {
	t.Parallel()
	const size = 20 << 30
	all := func(int64) bool { return true }
	for _, tt := range []struct {
		name                  string
		pieces, clusters, gap int
		written               func(block int64) bool
		least, most           int64 // blocks
	}{
		{"one piece", 1, 740 * 128, 0, all, 890, 960},
		{"pieces in blocks of their own", 75, 10, 246, all, 22 + 75, 22 + 75 + 5},
		{"pieces in the same blocks", 75, 10, 6, all, 22 + 10, 22 + 10 + 5},
		{"not listed", 1, 750 * 128, 0, func(n int64) bool { return n < 100 || n >= 1000 }, 22 + 100 + 150, 22 + 100 + 155},
		{"fewer blocks than the estimate", 1, 750 * 128, 0, func(n int64) bool { return n < 9 }, 9, 9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := remotetest.EBS(t)
			s.AddSparse("snap-1", zerosAfter(ntfsHead(size, tt.pieces, tt.clusters, tt.gap)), size, tt.written)
			open := func(ctx context.Context) (*source.Source, error) {
				return source.Open(ctx, "ebs:snap-1", source.Options{AWS: s.AWS})
			}
			e, err := scanner.Estimate(t.Context(), scanner.Input{Images: []scanner.Source{{Name: "ebs:snap-1", Open: open}}})
			if err != nil {
				t.Fatal(err)
			}
			i := e.Images[0]
			lists := int64(1)
			if tt.name != "fewer blocks than the estimate" { // more than a list has
				lists = 1 + 4
			}
			blocks := i.Scan.Requests - lists
			if blocks < tt.least || blocks > tt.most || i.Scan.Price != 3000*blocks+600*lists ||
				i.Scan.Bytes != blocks<<19 {
				t.Errorf("%d blocks, want %d to %d: %+v", blocks, tt.least, tt.most, i.Scan)
			}
			if v := i.Volumes[0]; v.Pieces != tt.pieces || v.Index != int64(tt.pieces*tt.clusters)<<12 ||
				v.Files != v.Index>>10 {
				t.Errorf("%+v", v)
			}
			if i.Read.Requests > 4 || i.Read.Requests != int64(s.Requests()) {
				t.Errorf("%d requests, the server received %v", i.Read.Requests, s.Actions())
			}
		})
	}
	// Of an object, all blocks are there.
	s := remotetest.HTTP(t)
	s.PutReader("disk.img", zerosAfter(ntfsHead(size, 1, 375*256, 0)), size, `"1"`)
	e, err := scanner.Estimate(t.Context(), scanner.Input{Images: []scanner.Source{scanner.File(s.URL + "/disk.img")}})
	if err != nil || e.Images[0].Scan.Requests < 300 || e.Images[0].Scan.Requests > 370 || e.Images[0].Scan.Price != 0 {
		t.Errorf("%+v, %v", e, err)
	}
	// Without a network, the unit is the read.
	head := ntfsHead(1<<30, 1, 375*256, 0)
	in := scanner.Input{Images: []scanner.Source{scanner.Reader("disk.img", zerosAfter(head), 1<<30)}}
	e, err = scanner.Estimate(t.Context(), in)
	if err != nil || e.Images[0].Scan.Requests < 375+120 || e.Images[0].Scan.Bytes < 375<<20 {
		t.Errorf("%+v, %v", e, err)
	}
	damaged := bytes.Clone(head)
	copy(damaged[4*4096:], "BAAD")
	in.Images[0] = scanner.Reader("disk.img", zerosAfter(damaged), 1<<30)
	if e, err = scanner.Estimate(t.Context(), in); e != nil || !errors.Is(err, scanner.ErrNoSystem) ||
		!strings.Contains(fmt.Sprint(err), "disk.img: ") {
		t.Errorf("a damaged $MFT: %+v, %v", e, err)
	}
}
