package container

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// overlaysOf looks for the overlays of a file.
func overlaysOf(t *testing.T, name string, parents ...string) (names []string, more bool, err error) {
	t.Helper()
	disks, err := openFile(t.Context(), name, parents...)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(t, disks)
	return Overlays(t.Context(), disks[0].Sources()[0], disks[0])
}

// TestOverlays: a file is an overlay if it has the identity of the disk, or its name
// where the format has no identity.
func TestOverlays(t *testing.T) {
	t.Parallel()
	content := make([]byte, 1<<20)
	copy(content, "content")
	vdi := func(u, parent byte) []byte {
		i := vdiImage{uuid: guid{u}, modified: guid{9}, kind: vdiDynamic}
		if parent != 0 {
			i.kind, i.parent, i.parent2 = vdiDiff, guid{parent}, guid{1}
		}
		return i.bytes(content)
	}
	vhd := func(id, parent byte) []byte {
		i := vhdImage{content: content, id: id, kind: vhdDynamic}
		if parent != 0 {
			i.kind, i.parent, i.parentName = vhdDifferencing, parent, "other.vhd"
		}
		return buildVHD(i)
	}
	vhdx := func(id, parent byte) []byte {
		i := vhdxImage{content: content, content1: id}
		if parent != 0 {
			i.present, i.linkage, i.paths = func(int64) bool { return true }, parent, map[string]string{"relative_path": "x"}
		}
		return buildVHDX(i)
	}
	dir, other := t.TempDir(), t.TempDir()
	for name, b := range map[string][]byte{
		"base.vdi": vdi(1, 0), "snap.vdi": vdi(2, 1), "next.VDI": vdi(3, 2), "alone.vdi": vdi(4, 0), "lost.vdi": vdi(5, 6),
		"snap.bin": vdi(7, 1), // another ending
		"base.vhd": vhd(1, 0), "snap.avhd": vhd(2, 1), "other.vhd": vhd(3, 0), "more.Vhd": vhd(4, 1), "late.vhd": vhd(5, 2),
		"base.vhdx": vhdx(1, 0), "snap.avhdx": vhdx(2, 1), "other.vhdx": vhdx(3, 0), "late.vhdx": vhdx(4, 2),
		"raw.img": content, "raw.vmdk": content, "empty.vdi": nil,
	} {
		writeImage(t, filepath.Join(dir, name), b)
	}
	writeImage(t, filepath.Join(other, "far.vdi"), vdi(8, 1))
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "folder.vdi"), 0o777),
		os.Symlink("nothing", filepath.Join(dir, "broken.vdi")),
		os.Symlink("snap.vdi", filepath.Join(dir, "linked.vdi"))); err != nil {
		t.Skip("needs links: ", err)
	}
	for base, want := range map[string][]string{
		"base.vdi":  {"linked.vdi", "snap.vdi"},
		"alone.vdi": nil,
		"base.vhd":  {"more.Vhd", "snap.avhd"},
		"other.vhd": nil, // it has only the name of a parent
		"base.vhdx": {"snap.avhdx"},
		"raw.img":   nil,
		"empty.vdi": nil,
	} {
		if got, more, err := overlaysOf(t, filepath.Join(dir, base)); err != nil || more || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %t, %v; want %q", base, got, more, err, want)
		}
	}
	// An overlay of an overlay.
	base := filepath.Join(dir, "base.vdi")
	put := vdiImage{uuid: guid{2}, kind: vdiDiff, parent: guid{1}, parent2: guid{9}}.bytes(content)
	writeImage(t, filepath.Join(dir, "snap.vdi"), put)
	got, _, err := overlaysOf(t, filepath.Join(dir, "snap.vdi"), base)
	if err != nil || !slices.Equal(got, []string{"next.VDI"}) {
		t.Errorf("of an overlay: %q, %v", got, err)
	}
	// What has no folder.
	s := source.NewReader(t.Context(), base, strings.NewReader(string(content)), 1<<20)
	d, err := openRaw(t.Context(), s, probe{})
	if err != nil {
		t.Fatal(err)
	}
	if got, more, err := Overlays(t.Context(), s, d); got != nil || more || err != nil {
		t.Errorf("of a reader: %q, %t, %v", got, more, err)
	}
}

// TestOverlaysByName: formats that store only a path, as qemu-img writes them.
func TestOverlaysByName(t *testing.T) {
	testenv.Tool(t, "qemu-img")
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o777); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	writeImage(t, at("raw.img"), make([]byte, 1<<20))
	writeImage(t, at("my base.img"), make([]byte, 1<<20))
	create := func(name, format string, args ...string) {
		run(t, "qemu-img", append(append([]string{"create", "-q", "-f", format}, args...), at(name))...)
	}
	create("base.qcow2", "qcow2", "-o", "size=1M")
	create("one.qcow2", "qcow2", "-b", "raw.img", "-F", "raw")
	create("two.QCOW2", "qcow2", "-b", at("raw.img"), "-F", "raw", "-o", "compat=0.10")
	create("three.qed", "qed", "-b", "raw.img", "-F", "raw")
	create("four.qcow", "qcow", "-b", "raw.img", "-F", "raw")
	create("five.qcow2", "qcow2", "-b", `json:{"driver":"raw","file":{"driver":"file","filename":"`+at("raw.img")+`"}}`,
		"-F", "raw")
	create("six.qcow2", "qcow2", "-b", "base.qcow2", "-F", "qcow2")
	create("seven.qcow2", "qcow2", "-b", "file:"+at("my base.img"), "-F", "raw")
	for base, want := range map[string][]string{
		"raw.img":     {"five.qcow2", "four.qcow", "one.qcow2", "three.qed", "two.QCOW2"},
		"base.qcow2":  {"six.qcow2"},
		"my base.img": {"seven.qcow2"},
	} {
		if got, more, err := overlaysOf(t, at(base)); err != nil || more || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %t, %v; want %q", base, got, more, err, want)
		}
	}
}

// TestOverlaysFlat: the flat extent of a VMDK image is stale if the image is.
func TestOverlaysFlat(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeImage(t, filepath.Join(dir, "base-flat.vmdk"), make([]byte, 1<<20))
	writeImage(t, filepath.Join(dir, "snap.vmdk"), []byte("# Disk DescriptorFile\nversion=1\nCID=00000002\n"+
		"parentCID=00000001\ncreateType=\"monolithicSparse\"\nparentFileNameHint=\"C:\\vm\\base.vmdk\"\n"+
		"RW 2048 SPARSE \"snap-s001.vmdk\"\n"+strings.Repeat("# \n", 200)))
	s, err := source.Open(t.Context(), filepath.Join(dir, "base-flat.vmdk"), source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d, err := openRaw(t.Context(), s, probe{})
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := Overlays(t.Context(), s, d); err != nil || !slices.Equal(got, []string{"snap.vmdk"}) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestOverlaysUnreadable: files that cannot be read are no overlays, and are counted
// if there are no others.
func TestOverlaysUnreadable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content := make([]byte, 4096)
	raw := filepath.Join(dir, "raw.img")
	qed := make([]byte, 4096)
	copy(qed, "QED\x00")
	qed[16], qed[57] = 1, 0x20
	for name, b := range map[string][]byte{
		"raw.img": content, "good.vdi": vdiImage{uuid: guid{1}}.bytes(content),
		"a.vdi":   vdiImage{uuid: guid{2}, change: func(b []byte) { b[76] = 7 }}.bytes(content),
		"b.qcow2": append([]byte("QFI\xfb\x00\x00\x00\x03\xff"), content...),
		"c.qed":   qed, "d.vhdx": append([]byte("vhdxfile"), content...), "e.vhd": append([]byte("conectix"), content...),
	} {
		writeImage(t, filepath.Join(dir, name), b)
	}
	names, more, err := overlaysOf(t, raw)
	if names != nil || more || err == nil || !strings.HasPrefix(err.Error(), "5 files of the folder cannot be read: ") ||
		!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), filepath.Join(dir, "a.vdi")) {
		t.Errorf("%q, %t, %v", names, more, err)
	}
	writeImage(t, filepath.Join(dir, "f.vdi"), vdiImage{kind: vdiDiff, parent: guid{1}}.bytes(content))
	if names, more, err = overlaysOf(t, filepath.Join(dir, "good.vdi")); err != nil || more ||
		!slices.Equal(names, []string{"f.vdi"}) {
		t.Errorf("with an overlay: %q, %t, %v", names, more, err)
	}
	s, err := source.Open(t.Context(), raw, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d, err := openRaw(t.Context(), s, probe{})
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Overlays(ended, s, d); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context ended: %v", err)
	}
}

// TestOverlaysBound: 1,000 names are looked at, and no more.
func TestOverlaysBound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	raw := filepath.Join(dir, "raw.img")
	writeImage(t, raw, make([]byte, 512))
	for n := range maxNeighbors - 1 { // and the image
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.txt", n)), nil, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if names, more, err := overlaysOf(t, raw); names != nil || more || err != nil {
		t.Errorf("1,000 names: %q, %t, %v", names, more, err)
	}
	writeImage(t, filepath.Join(dir, "more.txt"), nil)
	if names, more, err := overlaysOf(t, raw); names != nil || !more || err != nil {
		t.Errorf("1,001 names: %q, %t, %v", names, more, err)
	}
}
