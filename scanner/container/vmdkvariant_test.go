package container

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// maker makes an image of a raw image in a folder.
type maker = func(t *testing.T, folder, raw string) (file string, parents []string)

// vmdkOf makes a VMDK image with options of qemu-img.
func vmdkOf(options string, args ...string) maker {
	return func(t *testing.T, folder, raw string) (string, []string) {
		file := filepath.Join(folder, "disk.vmdk")
		args := append([]string{"convert", "-f", "raw", "-O", "vmdk", "-o", options}, args...)
		run(t, "qemu-img", append(args, raw, file)...)
		return file, nil
	}
}

// vmdkStream makes an image whose grain directory is only in the footer.
func vmdkStream(t *testing.T, folder, raw string) (string, []string) {
	file := filepath.Join(folder, "disk.vmdk")
	run(t, "/usr/bin/python3", "-c", "import sys, VMDKstream; VMDKstream.convert_to_stream(*sys.argv[1:])", raw, file)
	return file, nil
}

// vmdkDeltas makes a chain of images: the last has the raw image, and those below it
// have other bytes in some places.
func vmdkDeltas(n int, options string) maker {
	return func(t *testing.T, folder, raw string) (string, []string) {
		content, err := os.ReadFile(raw)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for i := range n {
			from := raw
			if i < n-1 {
				below := bytes.Clone(content)
				for at := i * 100_000; at < len(below)/2; at += 1 << 20 {
					copy(below[at:at+70_000], bytes.Repeat([]byte{byte(i + 1)}, 70_000))
				}
				clear(below[2<<20 : 3<<20])
				from = filepath.Join(t.TempDir(), "below.raw")
				if err := os.WriteFile(from, below, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(folder, fmt.Sprintf("disk%d.vmdk", i))
			args := []string{"convert", "-f", "raw", "-O", "vmdk", "-o", options}
			if i > 0 {
				args = append(args, "-B", list[0], "-F", "vmdk")
			}
			run(t, "qemu-img", append(args, from, file)...)
			list = append([]string{file}, list...)
		}
		return list[0], list[1:]
	}
}

// vmdkBackward makes an image whose grains are in the opposite order.
func vmdkBackward(t *testing.T, folder, raw string) (string, []string) {
	content, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "disk.vmdk")
	run(t, "qemu-img", "create", "-q", "-f", "vmdk", file, fmt.Sprint(len(content)))
	args := []string{"-f", "vmdk"}
	const piece = 192 << 10
	for at := (len(content) - 1) / piece * piece; at >= 0; at -= piece {
		part := content[at:min(at+piece, len(content))]
		if bytes.Count(part, []byte{0}) == len(part) {
			continue
		}
		name := filepath.Join(t.TempDir(), "part")
		if err := os.WriteFile(name, part, 0o666); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-c", fmt.Sprintf("write -q -s %s %d %d", name, at, len(part)))
	}
	run(t, "qemu-io", append(args, file)...)
	return file, nil
}

// without removes files of an image that another maker makes.
func without(m maker, names ...string) maker {
	return func(t *testing.T, folder, raw string) (string, []string) {
		file, parents := m(t, folder, raw)
		for _, name := range names {
			if err := os.Remove(filepath.Join(folder, name)); err != nil {
				t.Fatal(err)
			}
		}
		return file, parents
	}
}

// instead opens another file of an image than the one that is made.
func instead(m maker, name string) maker {
	return func(t *testing.T, folder, raw string) (string, []string) {
		_, parents := m(t, folder, raw)
		return filepath.Join(folder, name), parents
	}
}

// renamed renames the file of an image.
func renamed(m maker, name string) maker {
	return func(t *testing.T, folder, raw string) (string, []string) {
		file, parents := m(t, folder, raw)
		if err := os.Rename(file, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(folder, name), parents
	}
}

// edited replaces text in the descriptor of an image by text of the same size.
func edited(m maker, before, after string) maker {
	return func(t *testing.T, folder, raw string) (string, []string) {
		file, parents := m(t, folder, raw)
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(b[:min(len(b), 64<<10)], []byte(before)) != 1 {
			t.Fatalf("%s does not have %q once", file, before)
		}
		if err := os.WriteFile(file, bytes.Replace(b, []byte(before), []byte(after), 1), 0o666); err != nil {
			t.Fatal(err)
		}
		return file, parents
	}
}

// orphan names no parents.
func orphan(m maker) maker {
	return func(t *testing.T, folder, raw string) (string, []string) {
		file, _ := m(t, folder, raw)
		return file, nil
	}
}

// TestVMDKVariants: every kind of VMDK image that tools make is the raw image, or
// refused. Only some of them are made if the run is not full.
func TestVMDKVariants(t *testing.T) {
	qemu := []string{"qemu-img"}
	sparse, flat := vmdkOf("subformat=monolithicSparse"), vmdkOf("subformat=monolithicFlat")
	split, splitFlat := vmdkOf("subformat=twoGbMaxExtentSparse"), vmdkOf("subformat=twoGbMaxExtentFlat")
	stream, delta := vmdkOf("subformat=streamOptimized"), vmdkDeltas(2, "subformat=monolithicSparse")
	list := []variant{
		{name: "monolithicSparse", make: sparse},
		{name: "monolithicFlat", make: flat},
		{name: "twoGbMaxExtentSparse", make: split},
		{name: "twoGbMaxExtentFlat", make: splitFlat},
		{name: "streamOptimized", make: stream},
		{name: "stream with footer", make: vmdkStream, tools: []string{"/usr/bin/python3"}},
		{name: "ide", make: vmdkOf("adapter_type=ide")},
		{name: "lsilogic", make: vmdkOf("adapter_type=lsilogic")},
		{name: "buslogic", make: vmdkOf("adapter_type=buslogic,subformat=twoGbMaxExtentSparse")},
		{name: "legacyESX", make: vmdkOf("adapter_type=legacyESX")},
		{name: "compat6", make: vmdkOf("compat6=on")},
		{name: "compat6 stream", make: vmdkOf("compat6=on,subformat=streamOptimized")},
		{name: "compat6 flat", make: vmdkOf("compat6=on,subformat=monolithicFlat")},
		{name: "hwversion", make: vmdkOf("hwversion=13,toolsversion=10345")},
		{name: "zeroed grains", make: vmdkOf("zeroed_grain=on")},
		{name: "zeroed grains, split", make: vmdkOf("zeroed_grain=on,subformat=twoGbMaxExtentSparse")},
		{name: "all grains", make: vmdkOf("subformat=monolithicSparse", "-S", "0")},
		{name: "all grains, stream", make: vmdkOf("subformat=streamOptimized", "-S", "0")},
		{name: "out of order", make: vmdkOf("subformat=monolithicSparse", "-W", "-m", "16")},
		{name: "backward", make: vmdkBackward, tools: []string{"qemu-io"}},
		{name: "odd size", make: sparse, size: variantSize + 5*sector},
		{name: "odd size, flat", make: flat, size: variantSize + 5*sector},
		{name: "odd size, stream", make: stream, size: variantSize + 5*sector},
		{name: "odd size, split", make: split, size: variantSize + 129*sector},
		{name: "several grain tables", make: sparse, size: 200 << 20},
		{name: "several grain tables, stream", make: stream, size: 200 << 20},
		{name: "several grain tables, footer", make: vmdkStream, size: 200 << 20, tools: []string{"/usr/bin/python3"}},
		{name: "another name", make: renamed(sparse, "root.bin")},
		{name: "descriptor with another name", make: renamed(split, "root.txt")},
		{name: "an extent of its own name", make: instead(sparse, "disk.vmdk")},
		{name: "delta", make: delta},
		{name: "delta with zeroed grains", make: vmdkDeltas(2, "zeroed_grain=on")},
		{name: "delta, split", make: vmdkDeltas(2, "subformat=twoGbMaxExtentSparse")},
		{name: "delta of delta", make: vmdkDeltas(3, "subformat=monolithicSparse")},
		{name: "version 4", make: edited(flat, "version=1", "version=4")},
		{name: "read-only", make: edited(flat, "RW 49152", "RDONLY 49152")},
		{name: "encoding", make: edited(flat, "version=1\n", "version=1\nencoding=\"windows-1252\"\r\n")},
		{name: "the flat extent", make: instead(flat, "disk-flat.vmdk"), format: "raw"},
		{name: "the only flat extent", make: instead(splitFlat, "disk-f001.vmdk"), format: "raw"},

		{name: "delta without parent", make: orphan(delta), refused: "which was not named"},
		{name: "delta of another CID", make: edited(delta, "parentCID=", "parentCID=1"), refused: "parentcid"},
		{name: "sparse extent", make: instead(split, "disk-s001.vmdk"), refused: "without the descriptor"},
		{name: "no extent", make: without(split, "disk-s001.vmdk"), refused: "disk-s001.vmdk, missing from"},
		{name: "no flat extent", make: without(flat, "disk-flat.vmdk"), refused: "disk-flat.vmdk, missing from"},
		{name: "SE sparse", make: edited(flat, " FLAT ", " SESPARSE "), refused: "SE sparse"},
		{name: "device", make: edited(flat, "disk-flat.vmdk\"", `\\.\PhysicalDrive0"`), refused: "not a file in the same"},
		{name: "encrypted", make: edited(flat, "version=1\n", "version=1\nencryptionKeys=\"vmware:key/list\"\n"),
			refused: "encrypted"},
		{name: "no parentCID", make: edited(sparse, "parentCID", "qarentCID"), refused: "parentcid"},
	}
	var some []variant
	for n, v := range list {
		v.tools = append(slices.Clone(v.tools), qemu...)
		if v.format == "" && v.refused == "" {
			v.format = "vmdk"
		}
		if n < 6 || n%16 == 0 || v.refused != "" || testenv.Full() {
			some = append(some, v)
		}
	}
	runVariants(t, some)
}

// TestVMDKLarge: images in pieces of 2 GiB.
func TestVMDKLarge(t *testing.T) {
	testenv.Tool(t, "qemu-img")
	if !testenv.Full() {
		t.Skip("writes 2 GiB; only in a strict or nightly run")
	}
	const size = 2<<30 + 64<<20
	raw := filepath.Join(testenv.ImageDir(t), "disk.raw")
	f, err := os.Create(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	content := variantContent(variantSize)
	for _, at := range []int64{0, 1<<31 - 8<<20, 1<<31 - 512*5, size - variantSize} {
		if _, err := f.WriteAt(content, at); err != nil {
			t.Fatal(err)
		}
	}
	for _, kind := range []string{"twoGbMaxExtentSparse", "twoGbMaxExtentFlat"} {
		t.Run(kind, func(t *testing.T) {
			folder := testenv.ImageDir(t)
			name, _ := vmdkOf("subformat="+kind)(t, folder, raw)
			disks, err := openFile(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			defer closeAll(t, disks)
			if d := disks[0]; d.Size() != size || !strings.HasSuffix(d.Detail(), ", 2 extents") || len(d.Sources()) != 3 {
				t.Errorf("%d bytes, %s, %d files", d.Size(), d.Detail(), len(d.Sources()))
			}
			same(t, disks[0], f)
		})
	}
}

// same compares a disk with a raw image.
func same(t *testing.T, d Disk, raw io.ReaderAt) {
	t.Helper()
	a, b := make([]byte, 1<<20), make([]byte, 1<<20)
	for at := int64(0); at < d.Size(); at += int64(len(a)) {
		n := min(int64(len(a)), d.Size()-at)
		if _, err := d.ReadAt(a[:n], at); err != nil && err != io.EOF {
			t.Fatalf("at %d: %v", at, err)
		}
		if _, err := raw.ReadAt(b[:n], at); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		if !bytes.Equal(a[:n], b[:n]) {
			t.Fatalf("within 1 MiB from byte %d: other bytes", at)
		}
	}
}

// TestVMDKCorpus: images of the corpus are what another reader reads.
func TestVMDKCorpus(t *testing.T) {
	corpus := filepath.Join(testenv.Corpus(t), "images")
	testenv.Tool(t, "qemu-img")
	for _, name := range []string{
		"gomod__masahiro331__go-vmdk-parser/pkg/virtualization/vmdk/testdata/vmdk-monolith.img",
		"log2timeline__plaso/test_data/image.vmdk",
	} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			name := filepath.Join(corpus, filepath.FromSlash(name))
			disks, err := openFile(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			defer closeAll(t, disks)
			sameAsQEMU(t, disks[0], name)
			sameAsLibvmdk(t, disks[0], name)
		})
	}
}

// sameAsQEMU compares a disk with what qemu-img reads.
func sameAsQEMU(t *testing.T, d Disk, name string) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "oracle.raw")
	run(t, "qemu-img", "convert", "-O", "raw", name, raw)
	f, err := os.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != d.Size() {
		t.Errorf("qemu-img: %d bytes, want %d", info.Size(), d.Size())
	}
	same(t, d, f)
}

// sameAsLibvmdk compares a disk with what libvmdk reads.
func sameAsLibvmdk(t *testing.T, d Disk, name string) {
	t.Helper()
	testenv.Tool(t, "vmdkmount")
	testenv.Loop(t)
	dir := t.TempDir()
	run(t, "vmdkmount", name, dir)
	defer testenv.Unmount(t, dir)
	f, err := os.Open(filepath.Join(dir, "vmdk1"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	same(t, d, f)
}
