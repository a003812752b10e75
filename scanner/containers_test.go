package scanner

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/container"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// smallDisk is a disk of 6 MiB with data, a hole and data.
func smallDisk() []byte {
	b := make([]byte, 6<<20)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(b[4096 : 1<<20])
	rng.Read(b[5<<20:])
	copy(b, "LUKS\xba\xbe\x00\x02")
	return b
}

// smallImages writes the disk as raw.img and, in QCOW2, as base.qcow2 with an overlay
// over.qcow2, and returns the folder.
func smallImages(t *testing.T) string {
	t.Helper()
	testenv.Tool(t, "qemu-img")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "raw.img"), smallDisk(), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"convert", "-f", "raw", "-O", "qcow2", "raw.img", "base.qcow2"},
		{"create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "over.qcow2"},
	} {
		cmd := exec.CommandContext(t.Context(), "qemu-img", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
	}
	return dir
}

// openAll opens images as a scan does.
func openAll(t *testing.T, in Input) (*volumes, error) {
	t.Helper()
	vs, err := openVolumes(t.Context(), in, nil, &requirement.Trail{})
	if err == nil {
		t.Cleanup(func() { vs.Close() })
	}
	return vs, err
}

// TestParents: an image is opened with the parents that are named, and each of them
// must be needed, once, and not as an image too.
func TestParents(t *testing.T) {
	t.Parallel()
	dir := smallImages(t)
	file := func(name string) Source { return File(filepath.Join(dir, name)) }
	for _, name := range []string{"disk.001", "disk.002"} {
		content := smallDisk()[:2<<20]
		if name == "disk.002" {
			content = content[1<<20:]
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Join(dir, "link.qcow2")
	if err := os.Symlink("base.qcow2", other); err != nil {
		t.Skip(err)
	}
	for name, c := range map[string]struct {
		in   Input
		kind error // nil if it opens
		want string
	}{
		"alone":           {Input{Images: []Source{file("base.qcow2")}}, nil, ""},
		"with its parent": {Input{Images: []Source{file("over.qcow2")}, Parents: []Source{file("base.qcow2")}}, nil, ""},
		"without it": {Input{Images: []Source{file("over.qcow2")}}, ErrNoSystem,
			`parent "base.qcow2", which was not named`},
		"with another": {Input{Images: []Source{file("over.qcow2")}, Parents: []Source{file("raw.img")}}, ErrNoSystem,
			"qcow2"},
		"that is not there": {Input{Images: []Source{file("over.qcow2")}, Parents: []Source{file("x")}}, ErrNoSystem,
			"no such file"},
		"not needed": {Input{Images: []Source{file("raw.img")}, Parents: []Source{file("base.qcow2")}}, ErrUsage,
			"base.qcow2 is not a parent of an image"},
		"one not needed": {Input{Images: []Source{file("over.qcow2")},
			Parents: []Source{file("base.qcow2"), file("raw.img")}}, ErrUsage, "raw.img is not a parent of an image"},
		"twice": {Input{Images: []Source{file("over.qcow2")}, Parents: []Source{file("base.qcow2"), File(other)}}, ErrUsage,
			"is given twice"},
		"as an image too": {Input{Images: []Source{file("over.qcow2"), File(other)}, Parents: []Source{file("base.qcow2")}},
			ErrUsage, "is given as an image and as a parent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vs, err := openAll(t, c.in)
			if c.kind == nil && err != nil ||
				c.kind != nil && (!errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if err == nil {
				got := make([]byte, 6<<20)
				if _, err := vs.images[0].ReadAt(got, 0); err != nil || !bytes.Equal(got, smallDisk()) {
					t.Errorf("other bytes, or %v", err)
				}
			}
		})
	}
}

// TestShared: a part of an image, and a part of its parent, cannot be images beside it.
func TestShared(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	image := func(name string, below container.Disk, files ...string) *Image {
		i := &Image{Name: name, source: File(filepath.Join(dir, name)), Image: &disk.Image{}}
		d := fakeDisk{below: below}
		for _, f := range append([]string{name}, files...) {
			path := filepath.Join(dir, f)
			if err := os.WriteFile(path, nil, 0o666); err != nil {
				t.Fatal(err)
			}
			d.sources = append(d.sources, source.NewReader(t.Context(), path, bytes.NewReader(nil), 0))
		}
		i.disk = d
		return i
	}
	base := image("base.vmdk", nil, "base-s001.vmdk").disk
	over, another := image("over.vmdk", base), image("another.vmdk", base)
	split, part := image("a.001", nil, "a.002", "a.003"), image("a.003", nil)
	parentPart := image("base-s001.vmdk", nil)
	for name, c := range map[string]struct {
		images []*Image
		want   string
	}{
		"different":     {[]*Image{split, over}, ""},
		"with one base": {[]*Image{over, another}, ""},
		"a part":        {[]*Image{split, part}, "a.003 is a part of"},
		"a part, first": {[]*Image{part, split}, "a.003 is a part of"},
		"a part of the base": {[]*Image{over, parentPart},
			"base-s001.vmdk is given as an image, and is a part of a parent of"},
	} {
		err := shared(c.images)
		if c.want == "" && err != nil ||
			c.want != "" && (!errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// fakeDisk is a disk that has only files, a parent and notes.
type fakeDisk struct {
	container.Disk
	sources []*source.Source
	below   container.Disk
	notes   []string
}

func (f fakeDisk) Sources() []*source.Source { return f.sources }
func (f fakeDisk) Parent() container.Disk    { return f.below }
func (f fakeDisk) Notes() []string           { return f.notes }

// TestContainerNotices: each note of a container and of its parents is one notice, in its
// last form if reading changes it.
func TestContainerNotices(t *testing.T) {
	t.Parallel()
	file := func(name string) []*source.Source {
		return []*source.Source{source.NewReader(t.Context(), name, bytes.NewReader(nil), 0)}
	}
	below := fakeDisk{sources: file("base.E01"), notes: []string{"old"}}
	d := fakeDisk{sources: file("over.vmdk"), notes: []string{"a", "b"}, below: below}
	i := &Image{Name: "over.vmdk", Image: &disk.Image{Notes: []string{"partition"}}, disk: d, atFirst: containerNotes(d)}
	other := &Image{Name: "raw.img", Image: &disk.Image{}, disk: fakeDisk{sources: file("raw.img")}}
	vs, trail := &volumes{images: []*Image{i, other}}, &requirement.Trail{}
	vs.notify(trail)
	below.notes = append(below.notes, "new")
	d.below, d.notes = below, append(d.notes, "2 tables")
	i.disk = d
	vs.notifyLate(trail)
	var got []string
	for _, n := range trail.Notices() {
		if n.Level != requirement.LevelWarning {
			t.Errorf("%s: %v", n.Message, n.Level)
		}
		got = append(got, n.Message)
	}
	want := []string{"over.vmdk: a.", "over.vmdk: b.", "over.vmdk: base.E01: old.", "over.vmdk: partition.",
		"over.vmdk: 2 tables.", "over.vmdk: base.E01: new."}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// stating is a disk that states hashes.
type stating struct {
	container.Disk
	sums []container.Sum
}

func (s stating) Stated() []container.Sum { return s.sums }

// TestUnreadDisks: the disk of an archive that can be read is scanned, and each other one is
// named once: in a notice, and in the error if there is no system.
func TestUnreadDisks(t *testing.T) {
	t.Parallel()
	boot := smallDisk()[:1<<20]
	boot[510], boot[511] = 0x55, 0xaa
	name := filepath.Join(t.TempDir(), "vm.tar")
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for file, content := range map[string][]byte{"a.img": boot, "b.img": boot, "c.qed": []byte("QED\x00" + string(boot))} {
		err := w.WriteHeader(&tar.Header{Name: file, Size: int64(len(content)), Mode: 0o644})
		if _, writeErr := w.Write(content); err != nil || writeErr != nil {
			t.Fatal(err, writeErr)
		}
	}
	if err := errors.Join(w.Close(), os.WriteFile(name, b.Bytes(), 0o666)); err != nil {
		t.Fatal(err)
	}
	const want = "cannot be read: "
	in := Input{Images: []Source{File(name)}}
	if _, err := Scan(t.Context(), in); !errors.Is(err, ErrNoSystem) ||
		strings.Count(err.Error(), "; a disk in "+name+" "+want+name+"/c.qed: not a supported disk image: a QED image") != 1 {
		t.Errorf("a scan: %v", err)
	}
	vs, err := openAll(t, in)
	if err != nil {
		t.Fatal(err)
	}
	trail := &requirement.Trail{}
	list := vs.unreadDisks(trail)
	if len(vs.images) != 2 || len(list) != 1 || !strings.Contains(list[0], want) {
		t.Errorf("%d images, %q", len(vs.images), list)
	}
	notices := trail.Notices()
	if len(notices) != 1 || notices[0].Level != requirement.LevelError ||
		!strings.HasPrefix(notices[0].Message, "A disk in "+name+" "+want) ||
		!strings.Contains(notices[0].Message, ". Unpack it first: tar -xf ") {
		t.Errorf("%+v", notices)
	}
}

// TestContainerSums: with Hash, the files of an image, those of its parents, and the disk
// are hashed; hashing the disk is not counted. A hash may be expected of either.
func TestContainerSums(t *testing.T) {
	t.Parallel()
	dir := smallImages(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	in := Input{Hash: true, Images: []Source{File(file("over.qcow2"))}, Parents: []Source{File(file("base.qcow2"))}}
	of := func(name string) string {
		b, err := os.ReadFile(file(name))
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(b)
		return hex.EncodeToString(sum[:])
	}
	vs, err := openAll(t, in)
	if err != nil {
		t.Fatal(err)
	}
	before := vs.readings()
	files, unverified, err := vs.files(t.Context(), in, &requirement.Trail{})
	if err != nil || len(unverified) > 0 {
		t.Fatal(err, unverified)
	}
	if d := cmp.Diff(before, vs.readings()); d != "" {
		t.Errorf("hashing was counted: %s", d)
	}
	f := files[0]
	got := []string{f.SHA256, f.DiskSums.SHA256, f.Parents[0].SHA256}
	if d := cmp.Diff([]string{of("over.qcow2"), of("raw.img"), of("base.qcow2")}, got); d != "" {
		t.Error(d)
	}
	inside := md5.Sum(smallDisk())
	fileSum, diskSum := ExpectedSum{"", SHA256, of("over.qcow2")}, ExpectedSum{"", MD5, hex.EncodeToString(inside[:])}
	for _, c := range []struct {
		expect []ExpectedSum
		events string
		want   string
	}{
		{[]ExpectedSum{fileSum}, "sha256 file", ""},
		{[]ExpectedSum{diskSum}, "md5 disk", ""},
		{[]ExpectedSum{fileSum, diskSum}, "sha256 file, md5 disk", ""},
		{[]ExpectedSum{{"", SHA256, strings.Repeat("0", 64)}}, "", "SHA-256 is " + of("over.qcow2") + " (file) and " +
			of("raw.img") + " (disk), expected 00"},
	} {
		vs.sums, in.Expect = sums{}, c.expect
		trail := &requirement.Trail{}
		err := vs.verify(t.Context(), in, trail)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrIO) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%v, want %q", err, c.want)
		}
		var matched []string
		events, _ := trail.Events()
		for _, e := range events {
			matched = append(matched, e.Attrs[1].Value+" "+e.Attrs[2].Value)
		}
		if got := strings.Join(matched, ", "); got != c.events {
			t.Errorf("matched %q, want %q", got, c.events)
		}
	}
}

// TestStatedSums: hashes that an image states are compared with the disk only with Hash. One
// that differs, and a disk that cannot be read, keep the image from being verified.
func TestStatedSums(t *testing.T) {
	t.Parallel()
	content := smallDisk()
	sum := md5.Sum(content)
	right := container.Sum{Algorithm: "md5", Sum: strings.ToUpper(hex.EncodeToString(sum[:]))}
	wrong := container.Sum{Algorithm: "sha1", Sum: strings.Repeat("0", 40)}
	damage, low := errors.New("chunk 3"), strings.ToLower(right.Sum)
	for name, c := range map[string]struct {
		hash   bool
		stated []container.Sum
		err    error
		want   []StatedSum
		doubt  string
		kind   error
	}{
		"without --hash": {false, []container.Sum{right}, nil, []StatedSum{{MD5, low, false, false}}, "", nil},
		"equal":          {true, []container.Sum{right}, nil, []StatedSum{{MD5, low, true, true}}, "", nil},
		"differs": {true, []container.Sum{right, wrong}, nil,
			[]StatedSum{{MD5, low, true, true}, {SHA1, wrong.Sum, true, false}}, "the SHA-1 of the disk is", nil},
		"none":       {true, nil, nil, nil, "", nil},
		"damaged":    {true, []container.Sum{right}, errors.Join(damage, container.ErrCorrupt), nil, "cannot be hashed", nil},
		"not read":   {true, []container.Sum{right}, errors.Join(damage, source.ErrIO), nil, "", ErrIO},
		"of no kind": {true, []container.Sum{right}, damage, nil, "", ErrIO},
	} {
		t.Run(name, func(t *testing.T) {
			image, err := openImage(t.Context(), Reader("x.E01", bytes.NewReader(content), int64(len(content))))
			if err != nil {
				t.Fatal(err)
			}
			image.Format, image.disk = "ewf", failsAt{stating{image.disk, c.stated}, c.err}
			in := Input{Hash: c.hash}
			trail := &requirement.Trail{}
			vs := &volumes{images: []*Image{image}}
			files, unverified, err := vs.files(t.Context(), in, trail)
			if !errors.Is(err, c.kind) {
				t.Fatal(err)
			}
			if err != nil {
				return
			}
			if c.want != nil {
				if d := cmp.Diff(c.want, files[0].Stated); d != "" {
					t.Error(d)
				}
			}
			doubt := strings.Join(unverified, "; ")
			if (doubt == "") != (c.doubt == "") || !strings.Contains(doubt, c.doubt) || len(trail.Notices()) != len(unverified) {
				t.Errorf("doubt %q, want %q", doubt, c.doubt)
			}
		})
	}
}

// failsAt is a disk whose reads after the first 4 MiB fail, if there is an error.
type failsAt struct {
	container.Disk
	err error
}

func (f failsAt) ReadAt(p []byte, off int64) (int, error) {
	if off >= 4<<20 && f.err != nil {
		return 0, f.err
	}
	return f.Disk.ReadAt(p, off)
}

// TestUnreadable: what is wrong with the content of an image is ErrNotImage; what is wrong
// with reading it is not.
func TestUnreadable(t *testing.T) {
	for _, c := range []struct {
		err         error
		inContainer bool
		want        bool
	}{
		{container.ErrCorrupt, true, true}, {container.ErrUnsupported, true, true}, {container.ErrEncrypted, true, true},
		{container.ErrLimit, true, true}, {container.ErrIncomplete, true, true}, {disk.ErrCorrupt, false, true},
		{io.ErrUnexpectedEOF, true, true}, {io.ErrUnexpectedEOF, false, false}, {os.ErrNotExist, true, false},
		{source.ErrIO, true, false}, {errors.Join(source.ErrIO, container.ErrIncomplete), true, false},
		{errors.Join(source.ErrPassing, container.ErrCorrupt), true, false}, {context.Canceled, true, false},
	} {
		err := unreadable(c.err, c.inContainer)
		if !errors.Is(err, c.err) || errors.Is(err, disk.ErrNotImage) != c.want {
			t.Errorf("%v: %t", c.err, !c.want)
		}
	}
}
