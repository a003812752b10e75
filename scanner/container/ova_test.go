package container

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// ovf returns a descriptor with disks in these files. A name may be followed by
// attributes of the element File.
func ovf(files ...string) string {
	var refs, disks string
	for n, f := range files {
		name, attributes, _ := strings.Cut(f, " ")
		refs += fmt.Sprintf("<File ovf:id=\"f%d\" ovf:href=\"%s\" %s/>\n", n, name, attributes)
		disks += fmt.Sprintf("<Disk ovf:diskId=\"d%d\" ovf:fileRef=\"f%d\" ovf:capacity=\"1\"/>\n", n, n)
	}
	return `<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1">
<References>` + refs + `<File ovf:id="iso" ovf:href="cd.iso"/></References>
<DiskSection><Info>Disks</Info>` + disks + `<Disk ovf:diskId="empty" ovf:capacity="10"/></DiskSection>
<VirtualSystem ovf:id="vm"><Info>x</Info></VirtualSystem></Envelope>`
}

// tarFile is a member that a test writes.
type tarFile struct {
	name    string
	content []byte
}

// tarOf returns an archive.
func tarOf(t testing.TB, files ...tarFile) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		err := w.WriteHeader(&tar.Header{Name: f.name, Size: int64(len(f.content)), Mode: 0o644})
		if _, writeErr := w.Write(f.content); err != nil || writeErr != nil {
			t.Fatal(err, writeErr)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestOVA: the disk in an archive passes the suite.
func TestOVA(t *testing.T) {
	for name, f := range map[string]struct {
		format string
		unit   int
		files  func(content []byte) []tarFile
	}{
		"raw": {"raw", 1, func(content []byte) []tarFile {
			return []tarFile{{"vm.ovf", []byte(ovf("disk.raw"))}, {"disk.raw", content}}
		}},
		"split vmdk": {"vmdk", 512, func(content []byte) []tarFile {
			extent := fmt.Sprintf("%d SPARSE \"disk-s001.vmdk\"", len(content)/512)
			return []tarFile{{"vm/disk-s001.vmdk", vmdkFile{}.write(content)}, {"vm/vm.ovf", []byte(ovf("disk.vmdk"))},
				{"vm/disk.vmdk", []byte(vmdkText("twoGbMaxExtentSparse", extent))}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			imgconform.Run(t, imgconform.Format{Unit: f.unit, Open: openAs(f.format), Sparse: f.format != "raw",
				Write: func(t *testing.T, folder string, content []byte) string {
					return writeFiles(t, folder, "vm.ova", map[string][]byte{"vm.ova": tarOf(t, f.files(content)...)})
				},
				Read: sourceBytes,
			})
		})
	}
}

// ovaOf packs an image that another maker makes with tar. If descriptor is not "", the
// archive has one.
func ovaOf(m maker, descriptor string, args ...string) maker {
	return func(t *testing.T, folder, raw string) (string, []string) {
		inside := t.TempDir()
		name, _ := m(t, inside, raw)
		if descriptor != "" {
			if err := os.WriteFile(filepath.Join(inside, descriptor), []byte(ovf(filepath.Base(name))), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		entries, err := os.ReadDir(inside)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(folder, "vm.ova")
		args := append([]string{"-C", inside, "-cf", file}, args...)
		for _, e := range entries {
			args = append(args, e.Name())
		}
		run(t, "tar", args...)
		return file, nil
	}
}

func rawImage(name string) maker {
	return func(t *testing.T, folder, raw string) (string, []string) {
		run(t, "cp", "--sparse=always", raw, filepath.Join(folder, name))
		return filepath.Join(folder, name), nil
	}
}

// TestOVAVariants: archives that tar makes, with images of several formats.
func TestOVAVariants(t *testing.T) {
	stream, split := vmdkOf("subformat=streamOptimized"), vmdkOf("subformat=twoGbMaxExtentSparse")
	flat := vmdkOf("subformat=monolithicFlat")
	boot := func(m maker) maker { // with the signature of a boot sector
		return func(t *testing.T, folder, raw string) (string, []string) {
			b, err := os.ReadFile(raw)
			if err != nil {
				t.Fatal(err)
			}
			b[510], b[511] = 0x55, 0xaa
			if err := os.WriteFile(raw, b, 0o666); err != nil {
				t.Fatal(err)
			}
			return m(t, folder, raw)
		}
	}
	list := []variant{
		{name: "ustar", make: ovaOf(stream, "vm.ovf", "--format=ustar"), format: "vmdk"},
		{name: "gnu", make: ovaOf(split, "vm.ovf", "--format=gnu"), format: "vmdk"},
		{name: "pax", make: ovaOf(flat, "vm.ovf", "--format=pax"), format: "vmdk"},
		{name: "footer", make: ovaOf(vmdkStream, "vm.ovf", "--format=ustar"), format: "vmdk"},
		{name: "raw", make: ovaOf(rawImage("disk.bin"), "vm.ovf", "--format=gnu"), format: "raw"},
		{name: "no descriptor", make: ovaOf(stream, ""), format: "vmdk"},
		{name: "no descriptor, split", make: ovaOf(split, ""), format: "vmdk"},
		{name: "no descriptor, flat", make: ovaOf(flat, ""), format: "vmdk"},
		{name: "no descriptor, raw", make: ovaOf(rawImage("disk.raw"), ""), refused: "a tar archive"},
		{name: "with the holes left out", make: ovaOf(rawImage("disk.raw"), "vm.ovf", "-S"), refused: "holes left out"},
		{name: "holes of pax", make: ovaOf(rawImage("disk.raw"), "vm.ovf", "-S", "--format=pax"), refused: "holes left out"},
		{name: "gzip", make: ovaOf(stream, "vm.ovf", "-z"), refused: "gzip data"},
	}
	var some []variant
	for n, v := range list {
		v.tools = []string{"qemu-img", "tar", "cp", "/usr/bin/python3"}
		if n%2 == 0 || v.refused != "" || testenv.Full() {
			some = append(some, v)
		}
	}
	runVariants(t, some)
	testenv.Tool(t, "tar", "cp")
	raw := filepath.Join(t.TempDir(), "disk.raw")
	if err := os.WriteFile(raw, variantContent(variantSize), 0o666); err != nil {
		t.Fatal(err)
	}
	name, _ := ovaOf(boot(rawImage("disk.raw")), "")(t, t.TempDir(), raw)
	disks, err := openFile(t.Context(), name)
	if err != nil || len(disks) != 1 || disks[0].Size() != variantSize {
		t.Fatalf("a raw image without a descriptor: %d, %v", len(disks), err)
	}
	closeAll(t, disks)
}

// TestOVADisks: each disk has its name, its place in the archive, and the archive, which is
// open until the last is closed.
func TestOVADisks(t *testing.T) {
	one, two := bytes.Repeat([]byte{1}, 100_000), bytes.Repeat([]byte{2}, 4096)
	b := tarOf(t, tarFile{"./two.raw", two}, tarFile{"vm.ovf", []byte(ovf("one.raw", "my%20two.raw"))},
		tarFile{"vm.mf", []byte("SHA1(vm.ovf)= 0\n")}, tarFile{"one.raw", one}, tarFile{"my two.raw", two},
		tarFile{"cd.iso", two})
	s := source.NewReader(t.Context(), "vm.ova", bytes.NewReader(b), int64(len(b)))
	disks, err := Open(t.Context(), s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(disks) != 2 {
		t.Fatalf("%d disks", len(disks))
	}
	for n, want := range []struct {
		name    string
		content []byte
	}{{"one.raw", one}, {"my two.raw", two}} {
		d, p := disks[n], make([]byte, len(want.content))
		if d.Member() != want.name || d.Sources()[0] != s || len(d.Sources()) != 1 {
			t.Errorf("%s of %d", d.Member(), len(d.Sources()))
		}
		if _, err := d.ReadAt(p, 0); err != nil && err != io.EOF || !bytes.Equal(p, want.content) {
			t.Errorf("%s: %v", want.name, err)
		}
		file, at, ok := d.Locate(1000)
		if !ok || file != s || !bytes.Equal(b[at:at+100], want.content[:100]) || b[at-1001] == want.content[0] {
			t.Errorf("%s: %v, %d, %t", want.name, file, at, ok)
		}
		if _, _, ok := d.Locate(d.Size()); ok {
			t.Errorf("%s: the end is somewhere", want.name)
		}
	}
	for range 2 {
		if err := disks[0].Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := disks[0].ReadAt(one[:1], 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the first is closed: %v", err)
	}
	if _, err := disks[1].ReadAt(two[:1], 0); err != nil {
		t.Errorf("the second is open: %v", err)
	}
	if err := disks[1].Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.ReadAt(two[:1], 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the archive is closed: %v", err)
	}
}

// TestOVALarge: members of more than 8 GiB, whose size is in a field of another kind.
func TestOVALarge(t *testing.T) {
	for _, format := range []tar.Format{tar.FormatGNU, tar.FormatPAX} {
		name := filepath.Join(t.TempDir(), "vm.ova")
		const size = 9 << 30
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		descriptor := []byte(ovf("disk.raw"))
		for _, h := range []*tar.Header{{Name: "vm.ovf", Size: int64(len(descriptor))}, {Name: "disk.raw", Size: size}} {
			h.Format, h.Mode = format, 0o644
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if h.Size < size {
				if _, err := w.Write(descriptor); err != nil {
					t.Fatal(err)
				}
			}
		}
		start := int64(b.Len())
		if err := os.WriteFile(name, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, start+size-1); err != nil {
			t.Fatal(err)
		}
		if _, err := openFile(t.Context(), name); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "truncated") {
			t.Errorf("%v: a byte too few: %v", format, err)
		}
		f, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte("end"), start+size-3)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		disks, err := openFile(t.Context(), name)
		if err != nil {
			t.Fatalf("%v: %v", format, err)
		}
		p := make([]byte, 3)
		_, err = disks[0].ReadAt(p, size-3)
		if disks[0].Size() != size || err != nil && err != io.EOF || string(p) != "end" {
			t.Errorf("%v: %d bytes, %q, %v", format, disks[0].Size(), p, err)
		}
		closeAll(t, disks)
	}
}

// TestOVAErrors: what cannot be read in an archive, and its bounds.
func TestOVAErrors(t *testing.T) {
	testenv.Sequential(t)
	disk := tarFile{"disk.raw", make([]byte, 4096)}
	good := tarFile{"vm.ovf", []byte(ovf("disk.raw"))}
	described := func(files ...string) tarFile { return tarFile{"vm.ovf", []byte(ovf(files...))} }
	many := func(n int) []tarFile {
		list := []tarFile{good, disk}
		for len(list) < n {
			list = append(list, tarFile{fmt.Sprint(len(list)), nil})
		}
		return list
	}
	padded := func(n int) tarFile {
		return tarFile{"vm.ovf", append(bytes.Clone(good.content), bytes.Repeat([]byte{' '}, n-len(good.content))...)}
	}
	inside := tarFile{"disk.raw", tarOf(t, good, disk)}
	text := func(s string) []tarFile { return []tarFile{{"vm.ovf", []byte(s)}, disk} }
	plain := tarOf(t, good, disk)
	cut := func(n int) []byte { return plain[:len(plain)-n] }
	damaged := bytes.Clone(plain)
	damaged[1024+148] ^= 1 // the second checksum
	for name, c := range map[string]struct {
		files []tarFile
		raw   []byte // instead of files
		err   error
		text  string // in the error
		hint  string
	}{
		"good":             {files: []tarFile{good, disk}},
		"most members":     {files: many(maxMembers)},
		"too many members": {files: many(maxMembers + 1), err: ErrLimit, text: "more than 10000 members"},
		"a long name":      {files: []tarFile{good, disk, {strings.Repeat("x", 1024), nil}}},
		"a name too long": {
			files: []tarFile{good, disk, {strings.Repeat("x", 1025), nil}}, err: ErrLimit, text: "1025 bytes",
		},
		"a large descriptor":     {files: []tarFile{padded(maxOVF), disk}},
		"too large a descriptor": {files: []tarFile{padded(maxOVF + 1), disk}, err: ErrLimit, text: "4194305 bytes"},
		"no image": {
			files: []tarFile{{"a.txt", []byte("x")}, disk},
			err:   ErrNotImage, text: "a tar archive", hint: "tar -xf vm.ova",
		},
		"no disks": {files: []tarFile{described(), disk}, err: ErrNotImage, text: "without disks"},
		"two descriptors": {
			files: []tarFile{good, disk, {"b.ovf", nil}}, err: ErrUnsupported, text: "2 OVF descriptors",
		},
		"a disk is missing": {files: []tarFile{good}, err: ErrIncomplete, text: `"disk.raw"`},
		"a disk elsewhere": {
			files: []tarFile{described("http://example.com/disk.raw"), disk}, err: ErrIncomplete, text: "example",
		},
		"a disk is there twice": {files: []tarFile{good, disk, disk}, err: ErrCorrupt, text: "twice"},
		"gzip": {files: []tarFile{described(`disk.raw ovf:compression="gzip"`), disk}, err: ErrUnsupported, text: "gzip",
			hint: "tar -xOf vm.ova disk.raw | gzip -dc >disk.raw.unpacked"},
		"identity": {files: []tarFile{described(`disk.raw ovf:compression="identity"`), disk}},
		"another compression": {
			files: []tarFile{described(`disk.raw ovf:compression="xz"`), disk},
			err:   ErrUnsupported, text: "compressed",
		},
		"chunks": {files: []tarFile{described(`disk.raw ovf:chunkSize="4096"`), {"disk.raw.000000000", disk.content}},
			err: ErrUnsupported, text: "chunks", hint: "tar -xf vm.ova; cat disk.raw.0*"},
		"chunks without a size": {
			files: []tarFile{good, {"disk.raw.000000000", disk.content}}, err: ErrUnsupported, text: "chunks",
		},
		"an archive inside": {
			files: []tarFile{good, inside}, err: ErrUnsupported, text: "an archive in an archive",
		},
		"an archive inside, without a descriptor": {
			files: []tarFile{inside}, err: ErrUnsupported, text: "an archive in",
		},
		"a format that is refused": {files: []tarFile{good, {"disk.raw", append([]byte("QED\x00"), disk.content...)}},
			err: ErrNotImage, text: "QED", hint: "tar -xf vm.ova disk.raw; then convert it to a raw image: " +
				"qemu-img convert -O raw disk.raw disk.img"},
		"no XML":          {files: text("x"), err: ErrCorrupt, text: "empty"},
		"damaged XML":     {files: text(ovf("disk.raw")[:300]), err: ErrCorrupt, text: "at byte"},
		"another element": {files: text("<x/>"), err: ErrCorrupt, text: "not Envelope"},
		"no file": {
			files: text(`<Envelope><Disk fileRef="x"/></Envelope>`), err: ErrCorrupt, text: "not listed",
		},
		"no id": {
			files: text(`<Envelope><File href="x"/></Envelope>`), err: ErrCorrupt, text: "id of its own",
		},
		"an id twice": {files: text(`<Envelope><File id="a" href="x"/><File id="a" href="y"/></Envelope>`),
			err: ErrCorrupt, text: "id of its own"},
		"a disk twice": {
			files: text(`<Envelope><File id="a" href="disk.raw"/><Disk fileRef="a"/><Disk fileRef="a"/></Envelope>`),
		},
		"above the archive":  {files: []tarFile{described("../../../disk.raw"), disk}},
		"truncated":          {raw: cut(1024 + 1), err: ErrCorrupt, text: "truncated"},
		"without its end":    {raw: cut(1024)},
		"a wrong checksum":   {raw: damaged, err: ErrCorrupt, text: "header of a member"},
		"a truncated header": {raw: plain[:1024+100], err: ErrCorrupt, text: "ends in the header"},
	} {
		t.Run(name, func(t *testing.T) {
			b := c.raw
			if b == nil {
				b = tarOf(t, c.files...)
			}
			disks, err := openDisks(t.Context(), "vm.ova", b)
			if !errors.Is(err, c.err) || c.err == nil && err != nil {
				t.Fatalf("%v, want %v", err, c.err)
			}
			if err == nil {
				if len(disks) != 1 || disks[0].Size() != 4096 {
					t.Errorf("%d disks", len(disks))
				}
				closeAll(t, disks)
				return
			}
			if !strings.Contains(err.Error(), c.text) || !strings.HasPrefix(err.Error(), "vm.ova") {
				t.Errorf("%v, want %s", err, c.text)
			}
			if hint := hintOf(err); !strings.Contains(hint, c.hint) {
				t.Errorf("hint %q", hint)
			}
		})
	}
}

// TestOVAPartial: the disks that can be read are read, and the others are known. An archive
// that is incomplete is refused.
func TestOVAPartial(t *testing.T) {
	boot := make([]byte, 4096)
	boot[510], boot[511] = 0x55, 0xaa
	disk, qed := tarFile{"disk.raw", boot}, append([]byte("QED\x00"), boot...)
	described := func(files ...string) tarFile { return tarFile{"vm.ovf", []byte(ovf(files...))} }
	child := strings.Replace(vmdkText("custom", "8 ZERO"), "ffffffff", "12345678", 1)
	gzip := []byte("\x1f\x8b\x08" + strings.Repeat("x", 600))
	flat := vmdkText("monolithicFlat", "8 FLAT \"disk.raw\" 0")
	delta := strings.Replace(ovf("disk.raw", "delta.vmdk"), "fileRef=\"f1\"", "fileRef=\"f1\" ovf:parentRef=\"d0\"", 1)
	plain := tarOf(t, disk)
	with := func(n int, tail string) []byte {
		return append(append(bytes.Clone(plain), make([]byte, n)...), tail...)
	}
	odd := tarOf(t, tarFile{"user.img", boot}, disk)
	odd[156] = 'M' // GNU tar: the rest of a file that began in another archive
	signTar(odd)
	folder := tarOf(t, disk, tarFile{"x", nil})
	folder[len(plain)-1024+156] = tar.TypeDir
	copy(folder[len(plain)-1024+124:], "00000010000\x00")
	signTar(folder[len(plain)-1024:])
	for name, c := range map[string]struct {
		files  []tarFile
		raw    []byte // instead of files
		disks  string // their names
		unread string // in the errors of the others, in order, apart by "; "
		hint   string // of the first
		err    error  // of the archive
		text   string // in it
	}{
		"all": {files: []tarFile{described("disk.raw"), disk}, disks: "disk.raw"},
		"a format that is refused": {files: []tarFile{described("disk.raw", "b.qed"), disk, {"./b.qed", qed}},
			disks: "disk.raw", unread: "vm.ova/b.qed: not a supported disk image: a QED image",
			hint: "unpack it first: tar -xf vm.ova ./b.qed; then convert it"},
		"compressed": {files: []tarFile{described("b.gz ovf:compression=\"gzip\"", "disk.raw"), disk, {"./b.gz", gzip}},
			disks: "disk.raw", unread: "\"b.gz\" is compressed with gzip",
			hint: "unpack it first: tar -xOf vm.ova ./b.gz | gzip -dc >b.unpacked"},
		"damaged": {files: []tarFile{described("disk.raw", "b.vmdk"), disk, {"b.vmdk", append([]byte("KDMV\x01\x00\x00\x00"),
			boot...)}}, disks: "disk.raw", unread: "vm.ova/b.vmdk: the header"},
		"encrypted": {files: []tarFile{described("disk.raw", "b.vmdk"), disk,
			{"b.vmdk", []byte(flat + "ddb.iofilters = \"vmwarevmcrypt\"\n")}}, disks: "disk.raw", unread: "encrypted"},
		"two of three": {files: []tarFile{described("a.qed", "disk.raw", "b.qed"), disk, {"a.qed", qed}, {"b.qed", qed}},
			disks: "disk.raw", unread: "a.qed: ; b.qed: "},
		"missing": {files: []tarFile{described("disk.raw", "b.raw"), disk}, err: ErrIncomplete, text: "\"b.raw\""},
		"without its parent": {files: []tarFile{described("disk.raw", "b.vmdk"), disk, {"b.vmdk", []byte(child)}},
			err: ErrIncomplete, text: "not named"},
		"a parent in the archive": {files: []tarFile{{"vm.ovf", []byte(delta)}, disk, {"delta.vmdk", []byte(child)}},
			err: ErrUnsupported, text: "\"delta.vmdk\" is a differencing disk, with the parent \"disk.raw\" in the archive",
			hint: "unpack all members: tar -xf vm.ova; then scan delta.vmdk with --parent disk.raw"},

		"no descriptor": {files: []tarFile{disk, {"a.txt.gz", gzip}, {"a.db", []byte("SQLite format 3\x00" + string(boot))},
			{"a.mf", nil}, {"a", boot}}, disks: "disk.raw"},
		"no descriptor, compressed": {files: []tarFile{disk, {"user.img.gz", gzip}}, disks: "disk.raw",
			unread: "user.img.gz: not a supported disk image: gzip data"},
		"no descriptor, a format that is refused": {files: []tarFile{disk, {"user.qed", qed}}, disks: "disk.raw",
			unread: "user.qed: not a supported"},
		"no descriptor, a volume": {files: []tarFile{disk, {"x/user.img", make([]byte, 4096)}}, disks: "disk.raw",
			unread: "user.img: not a supported disk image: a file without a format or a boot sector",
			hint:   "if it is a disk or a volume, unpack it first: tar -xf vm.ova x/user.img, and name it"},
		"no descriptor, an extent of nothing": {files: []tarFile{disk, {"user-s001.vmdk", vmdkFile{}.write(boot)}},
			disks: "disk.raw", unread: "user-s001.vmdk: it is an extent of a VMDK image, without the descriptor"},
		"no descriptor, a flat extent of nothing": {files: []tarFile{disk, {"user-flat.vmdk", make([]byte, 4096)}},
			disks: "disk.raw", unread: "user-flat.vmdk: not"},
		"no descriptor, an extent like a disk": {files: []tarFile{disk, {"z.vmdk", []byte(flat)}}, disks: "z.vmdk"},
		"no descriptor, other members twice":   {files: []tarFile{disk, {"a", boot}, {"a", boot}}, disks: "disk.raw"},
		"no descriptor, a disk twice": {files: []tarFile{disk, {"a.raw", boot}, {"a.raw", boot}}, disks: "disk.raw",
			unread: "\"a.raw\" is there twice"},
		"no descriptor, an unknown type": {raw: odd, disks: "disk.raw",
			unread: "\"user.img\" at byte 512 has the unknown type 'M'"},
		"no end":              {raw: plain[:512+4096], err: ErrCorrupt, text: "ends at byte 4608 without an end marker"},
		"half an end":         {raw: plain[:512+4096+512], disks: "disk.raw"},
		"a size without data": {raw: folder, disks: "disk.raw"},
		"the longest record":  {raw: with(1<<20-1024, ""), disks: "disk.raw"},
		"a longer record":     {raw: with(1<<20-1023, ""), err: ErrCorrupt, text: "goes on after it"},
		"more after the end":  {raw: with(512, "x"), err: ErrCorrupt, text: "an end marker at byte 4608 and goes on"},
		"the last member is not filled up": {raw: tarOf(t, tarFile{"disk.img", []byte("x")})[:513], err: ErrCorrupt,
			text: "without an end marker"},
	} {
		t.Run(name, func(t *testing.T) {
			b := c.raw
			if b == nil {
				b = tarOf(t, c.files...)
			}
			disks, err := openDisks(t.Context(), "vm.ova", b)
			if c.err != nil || err != nil {
				if !errors.Is(err, c.err) || c.err == nil || !strings.Contains(err.Error(), c.text) ||
					!strings.Contains(hintOf(err), c.hint) {
					t.Errorf("%v (%s), want %v: %s", err, hintOf(err), c.err, c.text)
				}
				return
			}
			defer closeAll(t, disks)
			var names []string
			for _, d := range disks {
				names = append(names, d.Member())
			}
			if got := strings.Join(names, "; "); got != c.disks {
				t.Errorf("disks %q, want %q", got, c.disks)
			}
			unread, want := Unread(disks[0]), strings.Split(c.unread, "; ")
			if c.unread == "" {
				want = nil
			}
			if len(unread) != len(want) {
				t.Fatalf("%q, want %q", unread, want)
			}
			for n, err := range unread {
				if !strings.Contains(err.Error(), want[n]) || n == 0 && !strings.Contains(hintOf(err), c.hint) {
					t.Errorf("%v (%s), want %s (%s)", err, hintOf(err), want[n], c.hint)
				}
			}
			o := Options{Parents: []Candidate{candidate("vm.ova", b)}, open: Open}
			parent, err := o.openParent(t.Context(), source.NewReader(t.Context(), "x", bytes.NewReader(nil), 0), wanted{})
			if (err == nil) != (len(unread) == 0) || err != nil && !strings.Contains(err.Error(), "several disks") {
				t.Errorf("as a parent: %v", err)
			}
			if err == nil {
				closeAll(t, []Disk{parent})
			}
		})
	}
}

// signTar puts the checksum into the header of a member.
func signTar(header []byte) {
	copy(header[148:], "        ")
	sum := 0
	for _, c := range header[:512] {
		sum += int(c)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
}

// TestOVACorpus: an archive without disks is refused.
func TestOVACorpus(t *testing.T) {
	const name = "images/google__osv-scalibr/extractor/filesystem/embeddedfs/ova/testdata/valid.ova"
	_, err := openFile(t.Context(), filepath.Join(testenv.Corpus(t), name))
	if !errors.Is(err, ErrNotImage) || !strings.Contains(err.Error(), "an OVA without disks") {
		t.Error(err)
	}
}
