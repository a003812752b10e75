package source

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/remotetest"
)

// TestChanges: the blocks that differ are listed, in pages, until the caller has seen enough.
func TestChanges(t *testing.T) {
	t.Parallel()
	const block, blocks = 4096, 600
	s := remotetest.EBS(t)
	s.BlockSize, s.PageLimit = block, 100
	before := random(blocks * block)
	after := bytes.Clone(before)
	var want []int64
	for n := int64(3); n < blocks; n += 2 {
		after[n*block+17]++
		want = append(want, n)
	}
	clear(after[8*block : 9*block]) // has no data any more
	want = append(want, 8)
	slices.Sort(want)
	s.Add("snap-1", bytes.NewReader(before), int64(len(before)))
	s.Add("snap-2", bytes.NewReader(after), int64(len(after)))
	s.Add("snap-3", bytes.NewReader(after), int64(len(after)))
	s.Volume("snap-1", "snap-2")
	o := awsOptions(&s.Server)

	var got []int64
	size, volume, err := Changes(t.Context(), "ebs:snap-1", "ebs:snap-2", o, func(n int64) bool {
		got = append(got, n)
		return true
	})
	if err != nil || size != block || volume != 1<<30 || !slices.Equal(got, want) {
		t.Errorf("blocks of %d of %d, %d changed of %d: %v", size, volume, len(got), len(want), err)
	}
	pages := s.Actions()["ebs:ListChangedBlocks"]
	if pages != 3 || s.Actions()["ebs:GetSnapshotBlock"] != 0 {
		t.Errorf("requests: %v", s.Actions())
	}
	got = nil
	if _, _, err := Changes(t.Context(), "ebs:snap-1", "ebs:snap-2", o, func(n int64) bool {
		got = append(got, n)
		return len(got) < 2
	}); err != nil || !slices.Equal(got, want[:2]) || s.Actions()["ebs:ListChangedBlocks"] != pages+1 {
		t.Errorf("%v, %v, requests: %v", got, err, s.Actions())
	}
	none := func(int64) bool { t.Error("a block is said to differ"); return true }
	if _, _, err := Changes(t.Context(), "ebs:snap-1", "ebs:snap-1", o, none); err != nil {
		t.Error(err)
	}

	for to, is := range map[string]error{"ebs:snap-3": ErrUnrelated, "ebs:snap-9": fs.ErrNotExist} {
		if _, _, err := Changes(t.Context(), "ebs:snap-1", to, o, none); !errors.Is(err, is) || !errors.Is(err, kind.IO) ||
			errors.Is(err, kind.Passing) {
			t.Errorf("%s: %v", to, err)
		}
	}
	for _, to := range []string{"disk.img", "s3://b/k", "ebs:vol-1"} {
		if _, _, err := Changes(t.Context(), "ebs:snap-1", to, o, none); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v", to, err)
		}
	}
}

// TestChangesFaults: what may pass is repeated, and an error of what does not pass says so.
func TestChangesFaults(t *testing.T) {
	t.Parallel()
	s := remotetest.EBS(t)
	content := random(3 << 20)
	s.Add("snap-1", bytes.NewReader(content), int64(len(content)))
	const action = "ebs:ListChangedBlocks"
	none := func(int64) bool { t.Error("a block is said to differ"); return true }
	for _, fault := range []remotetest.Fault{remotetest.Throttled, remotetest.Failed, remotetest.Reset} {
		s.FailAction(action, 0, fault, 2)
		if _, _, err := Changes(t.Context(), "ebs:snap-1", "ebs:snap-1", awsOptions(&s.Server), none); err != nil {
			t.Errorf("%s twice: %v", fault, err)
		}
		s.Heal()
	}
	for fault, passes := range map[remotetest.Fault]bool{
		remotetest.ExpiredCredentials: true, remotetest.Failed: true, remotetest.Denied: false,
	} {
		s.FailAction(action, 0, fault, -1)
		_, _, err := Changes(t.Context(), "ebs:snap-1", "ebs:snap-1", awsOptions(&s.Server), none)
		s.Heal()
		if !errors.Is(err, kind.IO) || errors.Is(err, kind.Passing) != passes {
			t.Errorf("%s: %v", fault, err)
		}
		quiet(t, err)
	}
}

// TestTouched: blocks without data that were asked for count too, and those that were
// fetched ahead do not.
func TestTouched(t *testing.T) {
	t.Parallel()
	const block = 4096
	s := remotetest.EBS(t)
	s.BlockSize = block
	content := random(200 * block)
	clear(content[50*block : 60*block])
	s.Add("snap-1", bytes.NewReader(content), int64(len(content)))
	source := mustOpen(t, "ebs:snap-1", awsOptions(&s.Server))
	for _, read := range [][2]int64{{0, 1}, {block - 1, 2}, {49*block + 7, 3 * block}, {58 * block, 1}, {1<<30 - 1, 1},
		{3 * block, 0}} {
		if _, err := source.ReadAt(make([]byte, read[1]), read[0]); err != nil {
			t.Fatal(err)
		}
	}
	source.ReadAt(make([]byte, 10), 1<<30) // outside
	want := []BlockRange{{0, 1}, {49, 52}, {58, 58}, {1<<30/block - 1, 1<<30/block - 1}}
	if got := source.Remote().Touched(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	part, err := source.Section("part", 100*block, 10*block, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.ReadAt(make([]byte, 1), 2*block); err != nil {
		t.Fatal(err)
	}
	want = slices.Insert(want, 3, BlockRange{102, 102})
	if got := source.Remote().Touched(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
