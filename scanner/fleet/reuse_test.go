package fleet

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/internal/remotetest"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// patched is an image with other bytes in one place.
type patched struct {
	io.ReaderAt
	off  int64
	data []byte
}

func (p patched) ReadAt(b []byte, off int64) (int, error) {
	n, err := p.ReaderAt.ReadAt(b, off)
	for i, c := range p.data {
		if at := p.off + int64(i) - off; at >= 0 && at < int64(n) {
			b[at] = c
		}
	}
	return n, err
}

// Next tells the emulator where data is.
func (p patched) Next(off int64) int64 {
	next := off
	if s, ok := p.ReaderAt.(remotetest.Sparse); ok {
		next = s.Next(off)
	}
	if len(p.data) > 0 && off < p.off+int64(len(p.data)) && p.off < next {
		next = max(off, p.off)
	}
	return next
}

// snapshots are those of a machine of the demonstration: its root and its user volume.
type snapshots struct {
	*remotetest.EBSServer
	images [2]fixtures.Image
}

func snapshotsOf(t *testing.T, name string) *snapshots {
	t.Helper()
	c, err := fixtures.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return &snapshots{remotetest.EBS(t), [2]fixtures.Image(c.Images)}
}

// add makes a snapshot of a volume with other bytes in one place.
func (s *snapshots) add(t *testing.T, id string, volume int, off int64, data ...byte) {
	t.Helper()
	r, err := s.images[volume].Open()
	if err != nil {
		t.Fatal(err)
	}
	s.Add(id, patched{r, off, data}, s.images[volume].Size)
}

var firstScan = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// options are those of a run at a time.
func (s *snapshots) options(at time.Time) Options { return optionsOf(&s.Server, at) }

func optionsOf(server *remotetest.Server, at time.Time) Options {
	now := func() time.Time { return at }
	return Options{
		Version: "v1", Settings: "some settings", now: now,
		Input: scanner.Input{Now: now, Remote: source.Options{AWS: server.AWS}},
		Encode: func(r *scanner.Result) ([]byte, int, error) {
			type finding struct {
				ID      string
				Status  requirement.Status
				Message string
			}
			var list []finding
			for _, f := range r.Findings {
				list = append(list, finding{f.ID, f.Status, f.Message})
			}
			text, err := json.Marshal(map[string]any{"findings": list})
			return text, map[scanner.Verdict]int{scanner.Ready: 0, scanner.NotReady: 1, scanner.Inconclusive: 3}[r.Verdict], err
		},
	}
}

// scanOne runs a target and returns its record.
func scanOne(t *testing.T, to, reuse Store, o Options, target Target) *Record {
	t.Helper()
	if reuse != nil {
		o.Reuse = &Reuse{reuse}
	}
	sum, err := Run(t.Context(), []Target{target}, to, o)
	if err != nil || sum.Done() != 1 || sum.Pending != 0 {
		t.Fatalf("%+v, %v", sum, err)
	}
	r := recordOf(t, to, target.ID)
	if (r.Reused != nil) != (sum.Reused == 1) {
		t.Errorf("%d of the records are reused, and the record says %+v", sum.Reused, r.Reused)
	}
	return r
}

// TestReuse: a verdict is taken from an earlier record if nothing that was read has changed.
func TestReuse(t *testing.T) {
	t.Parallel()
	s := snapshotsOf(t, "linux-ready")
	s.add(t, "snap-r1", 0, 0)
	s.add(t, "snap-u1", 1, 0)
	target := Target{ID: "ws-1", Images: []string{"ebs:snap-r1", "ebs:snap-u1"}, UserName: "jdoe"}
	first := folderOf(t)
	old := scanOne(t, first, nil, s.options(firstScan), target)
	if old.Inputs == nil || old.Inputs.Until == nil || len(old.Inputs.Images) != 2 || old.Error != nil {
		t.Fatalf("%+v", old)
	}
	later := firstScan.AddDate(0, 0, 1)
	schema := recordSchema(t)

	t.Run("the same snapshots", func(t *testing.T) {
		before := s.Requests()
		to := folderOf(t)
		r := scanOne(t, to, first, s.options(later), target)
		want := &Reused{From: first.String(), Finished: old.Finished, Basis: SameIdentity}
		if d := cmp.Diff(want, r.Reused); d != "" || r.Verdict != old.Verdict || string(r.Report) != string(old.Report) ||
			!r.Started.Equal(later) || s.Requests() != before {
			t.Errorf("%d requests, %s, %+v", s.Requests()-before, d, r)
		}
		text, err := to.Get(t.Context(), "ws-1")
		if err != nil || validate(t, schema, text) != nil {
			t.Errorf("%v: %v", err, validate(t, schema, text))
		}
		again := scanOne(t, folderOf(t), to, s.options(later.AddDate(0, 0, 1)), target)
		if again.Reused == nil || !again.Reused.Finished.Equal(old.Finished) || again.Reused.From != to.String() {
			t.Errorf("reused once more: %+v", again.Reused)
		}
	})

	// Where the scan reads, and where it does not: with data, and without.
	root := old.Inputs.Images[0]
	read, err := parseRanges(root.Read)
	if err != nil || root.Block != remotetest.EBSBlock || root.Size != 80<<30 {
		t.Fatalf("%v, %+v", err, root)
	}
	reads := func(n int64) bool {
		return slices.ContainsFunc(read, func(r source.BlockRange) bool { return r.First <= n && n <= r.Last })
	}
	image, err := s.images[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	hole := int64(-1)
	p := make([]byte, root.Block)
	unread := int64(-1)
	for n := range root.Size / root.Block {
		if !reads(n) {
			if unread < 0 && n > 100 {
				unread = n
			}
			continue
		}
		if _, err := image.ReadAt(p, n*root.Block); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if hole < 0 && len(strings.Trim(string(p), "\x00")) == 0 {
			hole = n
		}
	}
	if unread < 0 || hole < 0 {
		t.Fatalf("the block %d is not read, and %d is a hole that is: there must be both", unread, hole)
	}
	change := map[string]struct {
		block int64
		reuse bool
	}{"a block that was not read": {unread, true}, "a block that was read": {read[len(read)/2].First, false},
		"the last block that was read": {read[len(read)-1].Last, false}, "a hole that was read": {hole, false}}
	s.add(t, "snap-u2", 1, 0)
	s.Volume("snap-u1", "snap-u2")
	for name, tt := range change {
		t.Run(name, func(t *testing.T) {
			id := fmt.Sprint("snap-b", tt.block)
			s.add(t, id, 0, tt.block*root.Block+77, 'x')
			s.Volume("snap-r1", id)
			gets := s.Actions()["ebs:GetSnapshotBlock"]
			now := target
			now.Images = []string{"ebs:" + id, "ebs:snap-u2"}
			to := folderOf(t)
			r := scanOne(t, to, first, s.options(later), now)
			if (r.Reused != nil) != tt.reuse {
				t.Fatalf("block %d: reused: %+v", tt.block, r.Reused)
			}
			if !tt.reuse {
				return
			}
			if r.Reused.Basis != ChangedBlocks || r.Reused.Compared < 20 || s.Actions()["ebs:GetSnapshotBlock"] != gets {
				t.Errorf("%+v, requests %v", r.Reused, s.Actions())
			}
			// A scan comes to the same.
			fresh := scanOne(t, folderOf(t), nil, s.options(later), now)
			renamed := strings.NewReplacer(id, "snap-r1", "snap-u2", "snap-u1").Replace(string(fresh.Report))
			if d := cmp.Diff(renamed, string(r.Report)); d != "" || fresh.Verdict != r.Verdict {
				t.Errorf("a scan finds something else: %s", d)
			}
			if d := cmp.Diff(fresh.Inputs, r.Inputs); d != "" {
				t.Errorf("a scan rests on something else: %s", d)
			}
			// The next one is compared with this one.
			next := now
			next.Images = []string{"ebs:" + id, "ebs:snap-u1"}
			s.Volume("snap-u2", "snap-u1")
			if r := scanOne(t, folderOf(t), to, s.options(later), next); r.Reused == nil {
				t.Error("a reused record is not reused")
			}
			s.Volume("snap-u1", "snap-u2")
		})
	}

	s.add(t, "snap-other", 0, 0)
	for name, tt := range map[string]func(target *Target, o *Options){
		"another volume":       func(target *Target, _ *Options) { target.Images[0] = "ebs:snap-other" },
		"another order":        func(target *Target, _ *Options) { slices.Reverse(target.Images) },
		"other settings":       func(_ *Target, o *Options) { o.Settings = "others" },
		"another version":      func(_ *Target, o *Options) { o.Version = "v2" },
		"another user":         func(target *Target, _ *Options) { target.UserName = "asmith" },
		"after findings hold":  func(_ *Target, o *Options) { *o = s.options(old.Inputs.Until.Add(1)) },
		"before the first one": func(_ *Target, o *Options) { *o = s.options(firstScan.Add(-1)) },
	} {
		t.Run(name, func(t *testing.T) {
			now, o := target, s.options(later)
			now.Images = slices.Clone(target.Images)
			tt(&now, &o)
			if r := scanOne(t, folderOf(t), first, o, now); r.Reused != nil {
				t.Errorf("%+v", r.Reused)
			}
		})
	}
	t.Run("until findings hold", func(t *testing.T) {
		if r := scanOne(t, folderOf(t), first, s.options(*old.Inputs.Until), target); r.Reused == nil {
			t.Error("it is not reused")
		}
	})
	t.Run("records that are of no use", func(t *testing.T) {
		for name, edit := range map[string]func(r *Record){
			"no inputs":   func(r *Record) { r.Inputs = nil },
			"an error":    func(r *Record) { *r = Record{Target: r.Target}; r.fail(errors.New("x")) },
			"other order": func(r *Record) { r.Inputs.Images[0].Read = "7-3" },
		} {
			from := folderOf(t)
			r := *old
			edit(&r)
			r.SchemaVersion, r.Tool, r.Started, r.Finished = RecordVersion, old.Tool, old.Started, old.Finished
			text, err := r.Encode()
			if err != nil {
				t.Fatal(name, err)
			}
			if _, err := from.Put(t.Context(), "ws-1", text, Keep); err != nil {
				t.Fatal(err)
			}
			now := target
			s.add(t, "snap-r9", 0, 0)
			s.Volume("snap-r1", "snap-r9")
			now.Images = []string{"ebs:snap-r9", "ebs:snap-u1"}
			if r := scanOne(t, folderOf(t), from, s.options(later), now); r.Reused != nil {
				t.Errorf("%s: %+v", name, r.Reused)
			}
		}
		damaged := folderOf(t)
		if _, err := damaged.Put(t.Context(), "ws-1", []byte("{"), Keep); err != nil {
			t.Fatal(err)
		}
		if r := scanOne(t, folderOf(t), damaged, s.options(later), target); r.Reused != nil {
			t.Errorf("damaged: %+v", r.Reused)
		}
	})
	t.Run("no permission to compare", func(t *testing.T) {
		s.add(t, "snap-r8", 0, 0)
		s.Volume("snap-r1", "snap-r8")
		s.FailAction("ebs:ListChangedBlocks", 0, remotetest.Denied, -1)
		defer s.Heal()
		now := target
		now.Images = []string{"ebs:snap-r8", "ebs:snap-u1"}
		if r := scanOne(t, folderOf(t), first, s.options(later), now); r.Reused != nil || r.Error != nil {
			t.Errorf("%+v, %+v", r.Reused, r.Error)
		}
	})
}

// TestReuseOfFiles: objects state an ETag, and local files their hash where it is asked for.
func TestReuseOfFiles(t *testing.T) {
	t.Parallel()
	states := map[string]ImageState{
		"etag":    {Image: "s3://b/k", Size: 10, ETag: `"a"`},
		"version": {Image: "s3://b/k", Size: 10, ETag: `"a"`, Version: "1"},
		"hash":    {Image: "disk.img", Size: 10, SHA256: "00"},
		"none":    {Image: "disk.img", Size: 10},
		"snap":    {Image: "ebs:snap-1", Size: 10, Snapshot: "snap-1"},
	}
	for name, s := range states {
		if s.identified() != (name != "none") || s.same(s) != s.identified() {
			t.Errorf("%s: %t, %t", name, s.identified(), s.same(s))
		}
		for other, o := range states {
			if name != other && s.same(o) {
				t.Errorf("%s and %s are the same", name, other)
			}
		}
		longer := s
		longer.Size++
		if s.same(longer) {
			t.Errorf("%s: the same with another size", name)
		}
	}
	renamed := func(s ImageState) ImageState { s.Image = "another"; return s }
	if s := states["etag"]; s.same(renamed(s)) {
		t.Error("two objects with the same ETag are the same")
	}
	if s := states["hash"]; !s.same(renamed(s)) {
		t.Error("a file that was moved is another")
	}

	c, err := fixtures.Find("linux-ready")
	if err != nil {
		t.Fatal(err)
	}
	server := remotetest.S3(t)
	for n, image := range c.Images {
		r, err := image.Open()
		if err != nil {
			t.Fatal(err)
		}
		server.PutLarge([]string{"root", "user"}[n], r, image.Size)
	}
	o := optionsOf(&server.Server, firstScan)
	target := Target{ID: "ws-1", Images: []string{"s3://images/root", "s3://images/user"}}
	first := folderOf(t)
	if r := scanOne(t, first, nil, o, target); r.Inputs == nil || r.Inputs.Images[0].ETag == "" {
		t.Fatalf("%+v", r)
	}
	before := server.Requests()
	if r := scanOne(t, folderOf(t), first, o, target); r.Reused == nil || r.Reused.Basis != SameIdentity {
		t.Errorf("%+v", r)
	}
	if n := server.Requests() - before; n > 4 {
		t.Errorf("%d requests", n)
	}
	r, err := c.Images[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	server.PutLarge("root", patched{r, 5 << 30, []byte{1}}, c.Images[0].Size-1)
	if r := scanOne(t, folderOf(t), first, o, target); r.Reused != nil {
		t.Errorf("an object of another size: %+v", r.Reused)
	}
}

// TestStateOfLocal: a local file states its hash if hashes are asked for, and nothing otherwise.
func TestStateOfLocal(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(name, []byte("some bytes"), 0o666); err != nil {
		t.Fatal(err)
	}
	got, err := stateNow(t.Context(), name, ImageState{}, scanner.Input{Hash: true})
	want := ImageState{Image: name, Size: 10, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte("some bytes")))}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := stateNow(t.Context(), name, ImageState{}, scanner.Input{}); err == nil {
		t.Errorf("without hashes: %+v", got)
	}
	if got, err := stateNow(t.Context(), name+".missing", ImageState{}, scanner.Input{Hash: true}); err == nil {
		t.Errorf("no file: %+v", got)
	}
}

func TestRanges(t *testing.T) {
	for text, list := range map[string][]source.BlockRange{
		"0": {{First: 0, Last: 0}}, "0-3,7": {{First: 0, Last: 3}, {First: 7, Last: 7}},
		"5,9-12,400000": {{First: 5, Last: 5}, {First: 9, Last: 12}, {First: 400000, Last: 400000}},
	} {
		if got := formatRanges(list); got != text {
			t.Errorf("%s, want %s", got, text)
		}
		if got, err := parseRanges(text); err != nil || !slices.Equal(got, list) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ",", "1,", "3-1", "4,4", "4-6,6", "7,3", "-1", "1-", "a", "+1", "1--2",
		"9999999999999999999999"} {
		if got, err := parseRanges(text); !errors.Is(err, ErrRecord) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// FuzzRanges: what is parsed is written in the same way again.
func FuzzRanges(f *testing.F) {
	for _, text := range []string{"", "0-3,7", "5,9-12", "1-1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseRanges(text)
		if err != nil {
			return
		}
		again, err := parseRanges(formatRanges(list))
		if err != nil || !slices.Equal(list, again) {
			t.Errorf("%q: %v, %v, %v", text, list, again, err)
		}
	})
}
