package container

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// makeVariant is the make of a variant.
type makeVariant = func(t *testing.T, folder, raw string) (file string, parents []string)

// converted is an image that qemu-img converts to, with more arguments.
func converted(args ...string) makeVariant {
	return func(t *testing.T, folder, raw string) (string, []string) {
		file := filepath.Join(folder, "disk.qcow2")
		run(t, "qemu-img", append(append([]string{"convert", "-O", "qcow2"}, args...), raw, file)...)
		return file, nil
	}
}

// written is an image that qemu-io writes to after it is made.
func written(make makeVariant, commands ...string) makeVariant {
	return func(t *testing.T, folder, raw string) (string, []string) {
		file, parents := make(t, folder, raw)
		args := []string{"-f", "qcow2"}
		for _, c := range commands {
			args = append(args, "-c", c)
		}
		// The name of an external data file is relative to the current folder there.
		run(t, "sh", append([]string{"-c", `cd "$0" && qemu-io "$@"`, folder}, append(args, file)...)...)
		return file, parents
	}
}

// poked is an image with other bytes at an offset.
func poked(make makeVariant, at int64, b ...byte) makeVariant {
	return func(t *testing.T, folder, raw string) (string, []string) {
		file, parents := make(t, folder, raw)
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err == nil {
			_, err = f.WriteAt(b, at)
			f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
		return file, parents
	}
}

// overlaid is a chain of images, each with the changes to the one below it. The lowest
// is a disk of size bytes, of a format; each has the options that are above it.
func overlaid(size int64, format string, options ...string) makeVariant {
	return func(t *testing.T, folder, raw string) (file string, parents []string) {
		b, err := os.ReadFile(raw)
		if err != nil {
			t.Fatal(err)
		}
		disk := append(b, make([]byte, max(0, size-int64(len(b))))...)[:size]
		rng := rand.New(rand.NewPCG(4, 4))
		scribble := func() {
			for range 40 {
				at := rng.IntN(len(disk) - 100_000)
				for i := range rng.IntN(100_000) {
					disk[at+i] = byte(rng.Uint32())
				}
			}
		}
		write := func(name string) string {
			name = filepath.Join(folder, name)
			if err := os.WriteFile(name, disk, 0o666); err != nil {
				t.Fatal(err)
			}
			return name
		}
		scribble()
		last := filepath.Join(folder, "base."+format)
		run(t, "qemu-img", "convert", "-O", format, write("base.disk"), last)
		for i, o := range options {
			next, from := filepath.Join(folder, fmt.Sprintf("overlay%d.qcow2", i)), raw
			if i < len(options)-1 {
				scribble()
				from = write("next.disk")
			}
			run(t, "qemu-img", "convert", "-O", "qcow2", "-o", o, "-B", last, "-F", format, from, next)
			parents, last, format = append(parents, last), next, "qcow2"
		}
		return last, parents
	}
}

// encrypted is an image that is encrypted.
func encrypted(method string) makeVariant {
	return func(t *testing.T, folder, raw string) (string, []string) {
		options := "encrypt.format=" + method + ",encrypt.key-secret=key"
		if method == "luks" {
			options += ",encrypt.iter-time=10" // milliseconds
		}
		return converted("--object", "secret,id=key,data=0123456789abcdef", "-o", options)(t, folder, raw)
	}
}

// withDataFile is an image with an external data file, whose name is as the image has it.
func withDataFile(name, options string) makeVariant {
	return func(t *testing.T, folder, raw string) (string, []string) {
		file := filepath.Join(folder, "disk.qcow2")
		run(t, "sh", "-c", `cd "$0" && mkdir sub && qemu-img convert -O qcow2 -o "$1" "$2" disk.qcow2`,
			folder, "data_file="+name+options, raw)
		return file, nil
	}
}

// qcow2Variants are the kinds of QCOW2 images that qemu-img makes.
func qcow2Variants() []variant {
	o := func(options string) makeVariant { return converted("-o", options) }
	compressed := func(options string) makeVariant { return converted("-c", "-o", options) }
	dirty := func(t *testing.T, folder, raw string) (string, []string) {
		file, _ := o("lazy_refcounts=on")(t, folder, raw)
		run(t, "sh", "-c", "ulimit -c 0; qemu-io -c 'write -P 9 20M 1M' -c 'write -z 20M 1M' -c flush -c abort "+
			file+" || true")
		return file, nil
	}
	snapshot := func(t *testing.T, folder, raw string) (string, []string) {
		file, _ := o("compat=1.1")(t, folder, raw)
		run(t, "qemu-io", "-c", "write -P 0xee 6M 300k", "-c", "write -P 0xee 14M 300k", file)
		run(t, "qemu-img", "snapshot", "-c", "before", file)
		text := filepath.Join(t.TempDir(), "text")
		run(t, "dd", "if="+raw, "of="+text, "bs=1M", "skip=6", "count=1", "status=none")
		run(t, "qemu-io", "-c", "write -s "+text+" 6M 1M", "-c", "write -z 14M 300k", file)
		return file, nil
	}
	variants := []variant{
		{name: "version 2", make: o("compat=0.10"), detail: "version 2"},
		{name: "version 3", make: o("compat=1.1")},
		{name: "512 bytes", make: o("cluster_size=512")},
		{name: "version 2, 4 KiB", make: o("cluster_size=4k,compat=0.10")},
		{name: "2 MiB", make: o("cluster_size=2M")},
		{name: "zlib", make: compressed("compat=1.1")},
		{name: "zlib, version 2", make: compressed("compat=0.10")},
		{name: "zlib, 512 bytes", make: compressed("cluster_size=512")},
		{name: "zlib, 4 KiB", make: compressed("cluster_size=4k")},
		{name: "zlib, 2 MiB", make: compressed("cluster_size=2M")},
		{name: "zstd", make: compressed("compression_type=zstd"), detail: "version 3, zstd"},
		{name: "zstd, 2 MiB", make: compressed("compression_type=zstd,cluster_size=2M")},
		{name: "zstd, 512 bytes", make: compressed("compression_type=zstd,cluster_size=512")},
		{name: "subclusters", make: o("extended_l2=on")},
		{name: "subclusters, 16 KiB", make: o("extended_l2=on,cluster_size=16k")},
		{name: "subclusters, zlib", make: compressed("extended_l2=on"), detail: "version 3, subclusters"},
		{name: "subclusters, zstd, 2 MiB", make: compressed("extended_l2=on,compression_type=zstd,cluster_size=2M")},
		{name: "subclusters, written", make: written(o("extended_l2=on,cluster_size=128k"), "write -P 7 14001k 3k",
			"write -P 7 15M 1M", "write -z 15M 20k", "write -z 15380k 1004k", "write -z 14001k 3k", "discard 3M 1M")},
		{name: "preallocated tables", make: o("preallocation=metadata")},
		{name: "preallocated tables, subclusters", make: o("preallocation=metadata,extended_l2=on")},
		{name: "preallocated", make: o("preallocation=falloc")},
		{name: "preallocated and written", make: o("preallocation=full")},
		{name: "lazy reference counts", make: o("lazy_refcounts=on")},
		{name: "not closed", make: dirty, note: "not closed properly"},
		{name: "reference counts of 1 bit", make: o("refcount_bits=1")},
		{name: "reference counts of 64 bits", make: o("refcount_bits=64")},
		{name: "discarded and zeroed", make: written(o("preallocation=metadata"), "write -P 7 3M 1M", "write -z 3M 1M",
			"write -P 7 15M 1M", "discard 15M 1M", "write -P 7 17M 1M", "write -z -u 17M 1M")},
		{name: "discarded, version 2", make: written(o("compat=0.10"), "write -P 7 15M 1M", "write -z 15M 1M",
			"write -P 7 17M 1M", "write -z 17M 100k", "write -z 17508k 924k", "discard 17M 1M")},
		{name: "internal snapshot", make: snapshot, note: "1 internal snapshot is ignored"},
		{name: "a size that is no multiple", make: o("compat=1.1"), size: variantSize + 1536},
		{name: "a size that is no multiple, zstd", make: compressed("compression_type=zstd"), size: variantSize + 1536},
		{name: "a size that is no multiple, 2 MiB", make: o("cluster_size=2M"), size: variantSize + 512},
		{name: "overlay of raw", make: overlaid(variantSize, "raw", "compat=1.1")},
		{name: "overlay of version 2", make: overlaid(variantSize, "qcow2", "compat=0.10")},
		{name: "overlay with subclusters", make: overlaid(variantSize, "qcow2", "extended_l2=on"),
			detail: "version 3, subclusters, overlay"},
		{name: "overlay of VMDK", make: overlaid(variantSize, "vmdk", "compat=1.1")},
		{name: "chain of three", make: overlaid(variantSize, "qcow2", "compat=1.1", "cluster_size=4k")},
		{name: "chain of four", make: overlaid(variantSize, "raw", "cluster_size=512", "extended_l2=on", "compat=0.10")},
		{name: "overlay of a smaller disk", make: overlaid(12_345_856, "qcow2", "compat=1.1")},
		{name: "overlay of a smaller raw disk", make: overlaid(12_345_856, "raw", "extended_l2=on")},
		{name: "overlay of a larger disk", make: overlaid(variantSize+5<<20, "qcow2", "compat=1.1")},
		{name: "external data file", make: withDataFile("disk.data", "")},
		{name: "raw external data file", make: withDataFile("disk.raw", ",data_file_raw=on"),
			detail: "version 3, external data file"},
		{name: "external data file, subclusters", make: written(withDataFile("disk.data", ",extended_l2=on"),
			"write -P 7 15M 1M", "write -z 15M 20k", "write -z 15380k 1004k")},
		{name: "external data file elsewhere", make: withDataFile("sub/disk.data", ""),
			refused: `in "disk.data", in another`},
		{name: "LUKS", make: encrypted("luks"), refused: "the disk is encrypted with LUKS: encrypted"},
		{name: "AES", make: encrypted("aes"), refused: "the disk is encrypted with AES: encrypted"},
		{name: "marked as corrupt", make: poked(o("compat=1.1"), 79, qcow2Corrupt), refused: "marked the image as corrupt"},
		{name: "version 1", make: func(t *testing.T, folder, raw string) (string, []string) {
			file := filepath.Join(folder, "disk.qcow")
			run(t, "qemu-img", "convert", "-O", "qcow", raw, file)
			return file, nil
		}, refused: "a QCOW image of version 1"},
		{name: "QED", make: func(t *testing.T, folder, raw string) (string, []string) {
			file := filepath.Join(folder, "disk.qed")
			run(t, "qemu-img", "convert", "-O", "qed", raw, file)
			return file, nil
		}, refused: "a QED image"},
	}
	for i := range variants {
		v := &variants[i]
		if v.tools = []string{"qemu-img", "qemu-io"}; v.refused == "" {
			v.format = "qcow2"
		}
	}
	return variants
}

func TestQcow2Variants(t *testing.T) {
	t.Parallel()
	runVariants(t, qcow2Variants())
}

// TestQcow2Corpus: the images of the corpus are as qemu-img reads them.
func TestQcow2Corpus(t *testing.T) {
	t.Parallel()
	for name, refused := range map[string]string{
		"log2timeline__dfvfs/test_data/ext2.qcow2":                                                               "",
		"log2timeline__plaso/test_data/image.qcow2":                                                              "",
		"google__osv-scalibr/extractor/filesystem/embeddedfs/qcow2/testdata/valid-ext-exfat-fat32-ntfs.qcow2.gz": "",
		"google__osv-scalibr/extractor/filesystem/embeddedfs/qcow2/testdata/" +
			"valid-ext-exfat-fat32-ntfs-encrypted-legacy-aes.qcow2": "encrypted with AES",
	} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			b := testenv.CorpusFile(t, "images/"+name)
			disks, err := openDisks(t.Context(), name, b)
			if refused != "" {
				if err == nil || !strings.Contains(err.Error(), refused) {
					t.Errorf("%v, want %s", err, refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer closeAll(t, disks)
			testenv.Tool(t, "qemu-img")
			image, raw := filepath.Join(t.TempDir(), "image"), filepath.Join(t.TempDir(), "raw")
			if err := os.WriteFile(image, b, 0o666); err != nil {
				t.Fatal(err)
			}
			run(t, "qemu-img", "convert", "-O", "raw", image, raw)
			content, err := os.ReadFile(raw)
			if err != nil {
				t.Fatal(err)
			}
			imgconform.Equal(t, disks[0], content)
		})
	}
}

// TestQcow2ToolDamage damages the header and the tables of images that qemu-img makes. None
// may make the reader panic, loop, use much memory or return more than there is.
func TestQcow2ToolDamage(t *testing.T) {
	testenv.Tool(t, "qemu-img")
	const size = 6<<20 + 512
	content := variantContent(variantSize)[:size]
	raw := writeImage(t, filepath.Join(t.TempDir(), "disk.raw"), content)
	for name, make := range map[string]makeVariant{
		"version 2":         converted("-o", "compat=0.10"),
		"version 3":         converted("-o", "compat=1.1"),
		"512 bytes":         converted("-o", "cluster_size=512"),
		"2 MiB":             converted("-o", "cluster_size=2M"),
		"zlib":              converted("-c", "-o", "compat=1.1"),
		"zlib, 4 KiB":       converted("-c", "-o", "cluster_size=4k"),
		"zstd":              converted("-c", "-o", "compression_type=zstd"),
		"subclusters":       converted("-o", "extended_l2=on"),
		"zstd, subclusters": converted("-c", "-o", "compression_type=zstd,extended_l2=on"),
	} {
		t.Run(name, func(t *testing.T) {
			file, _ := make(t, t.TempDir(), raw)
			image, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			be := binary.BigEndian
			l1, entries := int(be.Uint64(image[40:])), int(be.Uint32(image[36:]))
			header := structure{0, 112, false}
			structures := []structure{header, header, {l1, 8 * entries, false}}
			cluster := 1 << be.Uint32(image[20:])
			for i := range min(entries, 3) {
				table := int(be.Uint64(image[l1+8*i:]) & qcow2Offset)
				used := bytes.TrimRight(image[table:table+cluster], "\x00")
				structures = append(structures, structure{table, len(used), false})
			}
			damageTool(t, image, content, structures)
		})
	}
}
