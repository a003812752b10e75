package scanner_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/remotetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// servers are the kinds of servers that have the images of a case.
var servers = []string{"ebs", "s3", "http"}

// smallBlocks is a server of EBS direct APIs with blocks of 4 KiB.
const smallBlocks = "ebs in 4 KiB"

// placed is a case whose images are somewhere else, under the same names.
type placed struct {
	scanner.Input
	server *remotetest.Server
	action string // of a request for data
	names  []string
}

// options opens the images with other options.
func (p *placed) options(o source.Options) {
	o.AWS = p.server.AWS
	for n, name := range p.names {
		p.Images[n].Open = func(ctx context.Context) (*source.Source, error) { return source.Open(ctx, name, o) }
	}
}

// serve puts the images of a case on a server.
func serve(t *testing.T, c fixtures.Case, where string) placed {
	t.Helper()
	p := placed{Input: input(c)}
	var put func(n int, r io.ReaderAt, size int64) (name string)
	switch where {
	case "ebs", smallBlocks:
		s := remotetest.EBS(t)
		if where == smallBlocks {
			s.BlockSize = 4 << 10
		}
		p.server, p.action = &s.Server, "ebs:GetSnapshotBlock"
		put = func(n int, r io.ReaderAt, size int64) string {
			s.Add(fmt.Sprint("snap-", n), r, size)
			return fmt.Sprint("ebs:snap-", n)
		}
	case "s3":
		s := remotetest.S3(t)
		p.server, p.action = &s.Server, "s3:GetObject"
		put = func(n int, r io.ReaderAt, size int64) string {
			s.PutLarge(fmt.Sprint(n), r, size)
			return fmt.Sprint("s3://images/", n)
		}
	case "http":
		s := remotetest.HTTP(t)
		p.server, p.action = &s.Server, "GET"
		put = func(n int, r io.ReaderAt, size int64) string {
			s.PutReader(fmt.Sprint(n), r, size, fmt.Sprintf(`"%d"`, n))
			return fmt.Sprint(s.URL, "/", n, "?X-Amz-Signature=a-secret-of-a-url")
		}
	}
	for n, i := range c.Images {
		r, err := i.Open()
		if err != nil {
			t.Fatal(err)
		}
		p.names = append(p.names, put(n, r, i.Size))
	}
	p.options(source.Options{})
	return p
}

// TestRemoteCases: a scan of images that are somewhere else has the findings of a scan of
// local ones, down to the evidence.
func TestRemoteCases(t *testing.T) {
	for n, c := range fixtures.Cases() {
		for k, where := range servers {
			if !testenv.Full() && n%len(servers) != k {
				continue
			}
			t.Run(c.Name+" "+where, func(t *testing.T) {
				t.Parallel()
				want, wantErr := scanner.Scan(t.Context(), input(c))
				p := serve(t, c, where)
				got, err := scanner.Scan(t.Context(), p.Input)
				if wantErr != nil || err != nil {
					if fmt.Sprint(err) != fmt.Sprint(wantErr) || errors.Is(err, scanner.ErrNoSystem) != errors.Is(wantErr,
						scanner.ErrNoSystem) {
						t.Errorf("%v, locally %v", err, wantErr)
					}
					return
				}
				all := cmp.Exporter(func(reflect.Type) bool { return true })
				if diff := cmp.Diff(want.Findings, got.Findings, all); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff(want.Volumes, got.Volumes, all); diff != "" {
					t.Error(diff)
				}
				// Each image has a notice that the connection is not encrypted.
				if got.Verdict != want.Verdict || len(got.Notices) != len(want.Notices)+len(p.names) {
					t.Errorf("%s with %d notices, locally %s with %d", got.Verdict, len(got.Notices), want.Verdict,
						len(want.Notices))
				}
				t.Logf("%d requests", p.server.Requests())
			})
		}
	}
}

// TestRemoteRequests: a scan of a Linux pair sends few requests, and the bounds are what
// it needs. More files do not need more of them.
func TestRemoteRequests(t *testing.T) {
	for name, most := range map[string]int{"linux-ready": 36, "linux-ubuntu": 36, "linux-xfs-ready": 15} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testcases.Find(t, name)
			p := serve(t, c, "ebs")
			if _, err := scanner.Scan(t.Context(), p.Input); err != nil {
				t.Fatal(err)
			}
			sent := p.server.Actions()[p.action]
			if sent > most {
				t.Errorf("%d requests for blocks, more than %d", sent, most)
			}
			if sent < most-2 { // that many may be read ahead
				t.Errorf("%d requests for blocks: lower the bound of %d", sent, most)
			}
		})
	}
}

// TestRemoteHives: a hive of many blocks is read where it is needed, with the same findings. Blocks of 4 KiB make
// the hives of the cases such hives.
func TestRemoteHives(t *testing.T) {
	for n, name := range []string{"failing", "ready"} {
		if n > 0 && !testenv.Full() {
			break
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testcases.Find(t, name)
			want, err := scanner.Scan(t.Context(), input(c))
			if err != nil {
				t.Fatal(err)
			}
			got, err := scanner.Scan(t.Context(), serve(t, c, smallBlocks).Input)
			if err != nil {
				t.Fatal(err)
			}
			all := cmp.Exporter(func(reflect.Type) bool { return true })
			if diff := cmp.Diff(want.Findings, got.Findings, all); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRemoteWindows: a scan of a Windows pair with few files asks for few blocks.
func TestRemoteWindows(t *testing.T) {
	t.Parallel()
	c := testcases.Find(t, "ready")
	p := serve(t, c, "ebs")
	if _, err := scanner.Scan(t.Context(), p.Input); err != nil {
		t.Fatal(err)
	}
	const most = 40
	n := p.server.Actions()[p.action]
	if n > most || n == 0 {
		t.Errorf("%d blocks, at most %d", n, most)
	}
	t.Logf("%d blocks", n)
}

// TestRemoteFailure: a read that fails for good ends a scan wherever it happens, with an
// error that says whether it may pass, and never with a result or with no system.
func TestRemoteFailure(t *testing.T) {
	for _, name := range []string{"failing", "linux-failing"} {
		c := testcases.Find(t, name)
		for _, where := range servers {
			t.Run(name+" "+where, func(t *testing.T) {
				t.Parallel()
				p := serve(t, c, where)
				if _, err := scanner.Scan(t.Context(), p.Input); err != nil {
					t.Fatal(err)
				}
				requests := p.server.Actions()[p.action]
				every := max(requests/4, 1)
				switch {
				case testenv.Nightly():
					every = 1
				case testenv.Full():
					every = max(requests/8, 1)
				case testing.Short():
					every = max(requests/2, 1)
				}
				ended := 0
				for skip := 0; skip < requests; skip += every {
					for fault, passes := range map[remotetest.Fault]bool{
						remotetest.ExpiredCredentials: true, remotetest.Missing: false,
					} {
						p.server.FailAction(p.action, skip, fault, -1)
						r, err := scanner.Scan(t.Context(), p.Input)
						p.server.Heal()
						if err == nil && skip > 0 {
							continue // what is read ahead differs, and the last requests are not always sent
						}
						ended++
						if r != nil || !errors.Is(err, scanner.ErrIO) || errors.Is(err, scanner.ErrPassing) != passes ||
							errors.Is(err, scanner.ErrNoSystem) || errors.Is(err, scanner.ErrUsage) {
							t.Errorf("%s from request %d of %d on: %v", fault, skip, requests, err)
						}
						if strings.Contains(fmt.Sprint(err), "a-secret-of-a-url") {
							t.Errorf("the secret of a URL is shown: %v", err)
						}
					}
				}
				if ended < 4 && ended < requests {
					t.Errorf("%d scans ended", ended)
				}
				// One that is repeated, and does not pass.
				p.server.FailAction(p.action, requests/2, remotetest.Failed, -1)
				if r, err := scanner.Scan(t.Context(), p.Input); r != nil || !errors.Is(err, scanner.ErrPassing) {
					t.Errorf("%v", err)
				}
			})
		}
	}
}

// TestRemoteNames: what a scan shows of a URL has no secret, and images behind the same
// path may be different ones.
func TestRemoteNames(t *testing.T) {
	t.Parallel()
	s := remotetest.HTTP(t)
	s.Put("disk.img", bytes.Repeat([]byte("not a disk"), 1000))
	secret := "X-Amz-Signature=a-secret-of-a-url"
	image := scanner.File(s.URL + "/disk.img?" + secret)
	if image.Name != s.URL+"/disk.img" {
		t.Errorf("the name is %s", image.Name)
	}
	for _, tt := range []struct {
		images []string
		is     error
		text   string
	}{
		{[]string{"/disk.img?" + secret, "/disk.img?X-Amz-Signature=another"}, scanner.ErrUsage, "given twice"},
		{[]string{"/disk.img?versionId=1&" + secret, "/disk.img?versionId=2&" + secret}, scanner.ErrNoSystem, ""},
		{[]string{"/missing.img?" + secret}, scanner.ErrIO, "not found"},
	} {
		var in scanner.Input
		for _, i := range tt.images {
			in.Images = append(in.Images, scanner.File(s.URL+i))
		}
		_, err := scanner.Scan(t.Context(), in)
		if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %v", tt.images, err)
		}
	}
}

// TestRemoteReading: a scan counts the requests that the server received, and what it
// refused of them.
func TestRemoteReading(t *testing.T) {
	t.Parallel()
	c := testcases.Find(t, "linux-failing")
	for _, where := range servers {
		p := serve(t, c, where)
		const throttled = 3
		p.server.FailAction(p.action, 2, remotetest.Throttled, throttled)
		r, err := scanner.Scan(t.Context(), p.Input)
		if err != nil {
			t.Fatal(err)
		}
		var sum source.Traffic
		var bytes, reads int64
		for _, f := range r.Files {
			sum.Add(*f.Reading.Remote)
			bytes, reads = bytes+f.Reading.Bytes, reads+f.Reading.Reads
		}
		if bytes != r.BytesRead || reads != r.Reads || reads == 0 {
			t.Errorf("%s: the images have %d bytes in %d reads, the scan %d in %d", where, bytes, reads, r.BytesRead, r.Reads)
		}
		lists, gets := int64(p.server.Actions()["ebs:ListSnapshotBlocks"]), int64(p.server.Actions()[p.action])
		price := map[string]int64{"ebs": 3000*gets + 600*lists, "s3": 400 * gets}[where]
		if sum.Requests != lists+gets || sum.Lists != lists || sum.Gets != gets || sum.Price != price ||
			sum.Throttled != throttled || sum.Retries != throttled {
			t.Errorf("%s: %+v, and the server received %v", where, sum, p.server.Actions())
		}
		if sum.Bytes == 0 || sum.Fetched == 0 || sum.Fetched > sum.Blocks || sum.Hits == 0 || sum.BlockSize == 0 {
			t.Errorf("%s: %+v", where, sum)
		}
	}
	local, err := scanner.Scan(t.Context(), input(c))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range local.Files {
		if f.Reading.Reads == 0 || f.Reading.Bytes == 0 || f.Reading.Remote != nil {
			t.Errorf("%s: %+v", f.Name, f.Reading)
		}
	}
}

// TestRemoteReadSet: the digest of what was read is the same whatever the number of
// requests at a time and the size of the cache. It can be expected, but not the hash of a
// whole image.
func TestRemoteReadSet(t *testing.T) {
	for n, name := range []string{"failing", "linux-failing"} {
		c := testcases.Find(t, name)
		for k, where := range servers {
			if !testenv.Full() && n != k {
				continue
			}
			t.Run(name+" "+where, func(t *testing.T) {
				t.Parallel()
				p := serve(t, c, where)
				scan := func(expect ...scanner.ExpectedSum) (*scanner.Result, error) {
					in := p.Input
					in.Hash, in.Expect = len(expect) == 0, expect
					return scanner.Scan(t.Context(), in)
				}
				var want []*scanner.ReadSet
				fetched := map[int64]bool{}
				for _, o := range []struct {
					source.Options
					reads int
				}{
					{}, {source.Options{CacheBytes: 1}, 64}, {source.Options{CacheBytes: 1, Parallel: 1}, 1},
					{source.Options{CacheBytes: 1 << 30, Parallel: 64}, 64},
				} {
					p.options(o.Options)
					p.ParallelReads = o.reads
					r, err := scan()
					if err != nil {
						t.Fatal(err)
					}
					var got []*scanner.ReadSet
					for _, f := range r.Files {
						got = append(got, f.Remote.ReadSet)
						fetched[f.Reading.Remote.Fetched] = true
						if f.SHA256 != "" || len(f.Remote.ReadSet.SHA256) != 64 || f.Remote.ReadSet.Blocks == 0 {
							t.Errorf("%+v", f)
						}
					}
					if want == nil {
						want = got
					} else if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%+v: %s", o, diff)
					}
				}
				if len(fetched) <= len(want) {
					t.Errorf("every scan fetched as many blocks: %v", fetched)
				}
				p.options(source.Options{})
				for n, i := range p.Images[:1] {
					right := scanner.ExpectedSum{Image: i.Name, Algorithm: scanner.ReadSetSHA256,
						Sum: strings.ToUpper(want[n].SHA256)}
					if r, err := scan(right); err != nil || r.Files[n].Remote.ReadSet.SHA256 != want[n].SHA256 {
						t.Errorf("%v", err)
					}
					wrong := right
					wrong.Sum = strings.Repeat("0a", 32)
					if r, err := scan(wrong); r != nil || !errors.Is(err, scanner.ErrIO) || errors.Is(err, scanner.ErrPassing) ||
						!strings.Contains(err.Error(), want[n].SHA256) {
						t.Errorf("a wrong digest: %v", err)
					}
					wrong.Algorithm = scanner.SHA256
					if r, err := scan(wrong); r != nil || !errors.Is(err, scanner.ErrUsage) {
						t.Errorf("the hash of an image: %v", err)
					}
				}
			})
		}
	}
}

// TestDescribedSnapshots: reports have what a document says of a snapshot. No finding
// changes, and a document that does not fit is a notice.
func TestDescribedSnapshots(t *testing.T) {
	t.Parallel()
	c := testcases.Find(t, "linux-failing")
	p := serve(t, c, "ebs")
	plain, err := scanner.Scan(t.Context(), p.Input)
	if err != nil {
		t.Fatal(err)
	}
	id := plain.Files[0].Remote.Snapshot
	gib := plain.Files[0].Remote.VolumeSize >> 30
	if id == "" || gib == 0 {
		t.Fatalf("%+v", plain.Files[0].Remote)
	}
	entry := func(id string, gib int64, more string) string {
		return fmt.Sprintf(`{"Snapshots": [{"SnapshotId": "%s", "VolumeSize": %d, "State": "error"%s}]}`, id, gib, more)
	}
	for _, tt := range []struct {
		name      string
		documents []string
		described bool
		notice    string
	}{
		{"of the snapshot", []string{entry(id, gib, `, "Encrypted": true, "StartTime": "2026-03-01"`)}, true, ""},
		{"twice the same", []string{entry(id, gib, ""), entry(id, gib, "")}, true, ""},
		{"another size", []string{entry(id, gib+1, "")}, false,
			fmt.Sprintf("0.json is ignored: it says that the volume of %s has %d GiB, and", id, gib+1)},
		{"a huge size", []string{entry(id, 1<<62, "")}, false, "0.json is ignored: it says"},
		{"of another snapshot", []string{entry("snap-999", gib, "")}, false,
			"0.json is ignored: it describes no snapshot that is scanned."},
		{"contradiction", []string{entry(id, gib, ""), entry(id, gib, `, "Encrypted": true`)}, false,
			"What the documents say of " + id + " is ignored: 0.json and 1.json: the entries"},
	} {
		in := p.Input
		in.With = nil
		for n, text := range tt.documents {
			in.With = append(in.With, scanner.Document{Name: fmt.Sprint(n, ".json"), Data: []byte(text)})
		}
		r, err := scanner.Scan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		all := cmp.Exporter(func(reflect.Type) bool { return true })
		if diff := cmp.Diff(plain.Findings, r.Findings, all); diff != "" || r.Verdict != plain.Verdict {
			t.Errorf("%s: the findings differ: %s", tt.name, diff)
		}
		d := r.Files[0].Remote.Described
		if (d != nil) != tt.described || d != nil && (d.SnapshotID != id || d.State != "error" || d.Document != "0.json") {
			t.Errorf("%s: %+v", tt.name, d)
		}
		var notices []string
		for _, n := range r.Notices {
			notices = append(notices, n.Message)
		}
		if added := len(notices) - len(plain.Notices); (added > 0) != (tt.notice != "") ||
			!strings.Contains(strings.Join(notices, "\n"), tt.notice) {
			t.Errorf("%s: %q", tt.name, notices)
		}
	}
}
