package scanner_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// image returns one of the images of a case under a name of its own.
func image(t *testing.T, of, role, name string) scanner.Source {
	t.Helper()
	for _, i := range testcases.Find(t, of).Images {
		if i.Role == role {
			return scanner.Source{Name: name, Open: func(ctx context.Context) (*source.Source, error) {
				r, err := i.Open()
				if err != nil {
					return nil, err
				}
				return source.NewReader(ctx, name, r, i.Size), nil
			}}
		}
	}
	t.Fatalf("case %s has no %s image", of, role)
	return scanner.Source{}
}

// inMemory is an image of these bytes.
func inMemory(name string, data []byte) scanner.Source {
	return scanner.Reader(name, bytes.NewReader(data), int64(len(data)))
}

func TestRoles(t *testing.T) {
	root, user := image(t, "ready", "root", "root.img"), image(t, "ready", "user", "user.img")
	otherRoot, otherUser := image(t, "failing", "root", "root2.img"), image(t, "failing", "user", "user2.img")
	btrfs := make([]byte, 1<<20)
	copy(btrfs[64<<10+0x40:], "_BHRfS_M")

	for name, c := range map[string]struct {
		in   scanner.Input
		kind error  // of the error, nil for a result
		says string // in the error, or in the message of win.profile.exists
		exit int
	}{
		"root and user": {scanner.Input{Images: []scanner.Source{root, user}}, nil, "", 0},
		"user and root": {scanner.Input{Images: []scanner.Source{user, root}}, nil, "", 0},
		"named":         {scanner.Input{Root: &root, User: &user}, nil, "", 0},
		"user named":    {scanner.Input{Images: []scanner.Source{root}, User: &user}, nil, "", 0},
		"no user volume": {scanner.Input{Images: []scanner.Source{root}}, nil,
			"The user volume was not given. Add its image.", 3},
		"two roots": {scanner.Input{Images: []scanner.Source{root, otherRoot}}, scanner.ErrUsage,
			"root.img, partition 2 and root2.img", 0},
		"two roots, one named": {scanner.Input{Images: []scanner.Source{otherRoot, user}, Root: &root}, nil, "", 0},
		"two users": {scanner.Input{Images: []scanner.Source{root, user, otherUser}}, scanner.ErrUsage,
			"two user volumes", 0},
		"no root": {scanner.Input{Images: []scanner.Source{user}}, scanner.ErrNoSystem, "ntfs without a system",
			0},
		"roles swapped": {scanner.Input{Root: &user, User: &root}, scanner.ErrNoSystem, "no supported system", 0},
		"btrfs": {scanner.Input{Images: []scanner.Source{inMemory("linux.img", btrfs)}}, scanner.ErrNoSystem,
			"linux.img: btrfs, which is not supported", 0},
		"no image": {scanner.Input{}, scanner.ErrUsage, "no image", 0},
		"not a disk": {scanner.Input{
			Images: []scanner.Source{inMemory("x.img", bytes.Repeat([]byte("text "), 1000))}}, scanner.ErrNoSystem, "x.img", 0},
		"unknown acceptance": {scanner.Input{Images: []scanner.Source{root, user},
			Policy: scanner.Policy{Accept: []string{"x"}}}, scanner.ErrUsage, `"x"`, 0},
		"unknown document": {scanner.Input{Images: []scanner.Source{root},
			With: []scanner.Document{{Name: "a.txt", Data: []byte("hello")}}}, scanner.ErrUsage, "a.txt", 0},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := scanner.Scan(t.Context(), c.in)
			if c.kind != nil {
				if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("error %v, want %v that says %q", err, c.kind, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if exitCode(r.PolicyVerdict) != c.exit {
				t.Errorf("exit code %d, want %d", exitCode(r.PolicyVerdict), c.exit)
			}
			for _, f := range r.Findings {
				if f.ID == "win.profile.exists" && !strings.Contains(f.Message, c.says) {
					t.Errorf("%s: %s", f.ID, f.Message)
				}
			}
		})
	}
}

// otherGUID is an image whose first partition has another GUID: in the GPT (UEFI
// 2.10, section 5.3) the entry is changed, and the checksums with it.
func otherGUID(t *testing.T, image scanner.Source) scanner.Source {
	t.Helper()
	s, err := image.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 1<<20)
	if _, err := s.ReadAt(head, 0); err != nil {
		t.Fatal(err)
	}
	le, header := binary.LittleEndian, head[512:]
	if string(header[:8]) != "EFI PART" {
		t.Fatalf("%s has no GPT", image.Name)
	}
	entries := head[le.Uint64(header[72:])*512:][:le.Uint32(header[80:])*le.Uint32(header[84:])]
	entries[16] ^= 1
	le.PutUint32(header[88:], crc32.ChecksumIEEE(entries))
	le.PutUint32(header[16:], 0)
	le.PutUint32(header[16:], crc32.ChecksumIEEE(header[:le.Uint32(header[12:])]))
	return scanner.Reader(image.Name, beginning{s, head}, s.Size())
}

// beginning is an image that begins with other bytes.
type beginning struct {
	io.ReaderAt
	head []byte
}

func (b beginning) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.ReaderAt.ReadAt(p, off)
	if off < int64(len(b.head)) {
		copy(p, b.head[off:])
	}
	return n, err
}

// TestOtherMachinesUserVolume gives the user volume of another machine, which
// MountedDevices shows: its profile must not be judged in the place of ours.
func TestOtherMachinesUserVolume(t *testing.T) {
	root := image(t, "ready", "root", "root.img")
	user := image(t, "ready", "user", "user.img")
	changed := otherGUID(t, user)
	r, err := scanner.Scan(t.Context(), scanner.Input{Images: []scanner.Source{root, changed}})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		switch f.ID {
		case "win.profile.exists", "win.profile.size", "win.apps.on-c", "win.powershell.execpolicy":
			if f.Status != requirement.Undetermined || !strings.Contains(f.Message, "not drive D of this computer") {
				t.Errorf("%s: %s: %s", f.ID, f.Status, f.Message)
			}
		}
	}
	if r.Verdict != scanner.Inconclusive {
		t.Errorf("verdict %s", r.Verdict)
	}
}

// TestForcedUserVolume gives the same volume with --user: it is read, and a notice
// says what speaks against it.
func TestForcedUserVolume(t *testing.T) {
	root := image(t, "ready", "root", "root.img")
	user := image(t, "ready", "user", "user.img")
	changed := otherGUID(t, user)
	r, err := scanner.Scan(t.Context(), scanner.Input{Images: []scanner.Source{root}, User: &changed})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if (f.ID == "win.profile.exists" || f.ID == "win.apps.on-c") && f.Status != requirement.Passed {
			t.Errorf("%s: %s: %s", f.ID, f.Status, f.Message)
		}
	}
	said := false
	for _, n := range r.Notices {
		said = said || strings.Contains(n.Message, "because --user names it, although drive D of this computer is")
	}
	if !said || r.Verdict != scanner.Ready {
		t.Errorf("verdict %s, notices %+v", r.Verdict, r.Notices)
	}
}

func TestSameFileTwice(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.img")
	if err := os.WriteFile(path, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "b.img")
	if err := os.Symlink(path, link); err != nil {
		t.Skip(err)
	}
	_, err := scanner.Scan(t.Context(), scanner.Input{Images: []scanner.Source{scanner.File(path), scanner.File(link)}})
	if !errors.Is(err, scanner.ErrUsage) {
		t.Errorf("error %v", err)
	}
	_, err = scanner.Scan(t.Context(), scanner.Input{Images: []scanner.Source{scanner.File(filepath.Join(dir, "c.img"))}})
	if !errors.Is(err, scanner.ErrIO) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

func TestCancelledScan(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("interrupted")
	cancel(reason)
	_, err := scanner.Scan(ctx, scanner.Input{Images: []scanner.Source{image(t, "ready", "root", "root.img")}})
	if !errors.Is(err, reason) {
		t.Errorf("error %v", err)
	}
}
