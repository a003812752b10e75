package container

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// acquired makes an image with ewfacquire.
func acquired(args ...string) func(t *testing.T, folder, raw string) (string, []string) {
	return func(t *testing.T, folder, raw string) (string, []string) {
		run(t, "ewfacquire", append(append([]string{"-u", "-q", "-t", filepath.Join(folder, "disk")}, args...), raw)...)
		return firstSegment(t, folder), nil
	}
}

// firstSegment is the first segment in a folder.
func firstSegment(t *testing.T, folder string) string {
	t.Helper()
	for _, ending := range []string{"E01", "e01", "s01"} {
		if names, err := filepath.Glob(filepath.Join(folder, "*."+ending)); err == nil && len(names) == 1 {
			return names[0]
		}
	}
	t.Fatal("no first segment")
	return ""
}

// ewfVariants are the images that ewf-tools can make of one disk. Some of the tools'
// formats differ in their headers only.
func ewfVariants() (list []variant) {
	add := func(name string, args ...string) {
		list = append(list, variant{name: name, tools: []string{"ewfacquire"}, make: acquired(args...), format: "ewf"})
	}
	for _, f := range []string{"ewf", "smart", "ftk", "encase1", "encase2", "encase3", "encase4", "encase5", "encase6",
		"encase7", "encase7-v2", "linen5", "linen6", "linen7", "ewfx"} {
		add(f, "-f", f, "-c", "fast", "-d", "sha1")
		add(f+" in segments", "-f", f, "-c", "none", "-S", "3000000")
	}
	for _, c := range []string{"none", "empty-block", "fast", "best"} {
		add("compression "+c, "-f", "encase6", "-c", c)
		add("SMART, compression "+c, "-f", "smart", "-c", c)
	}
	for _, n := range []string{"16", "32", "128", "1024", "4096", "16384", "32768"} {
		add(n+" sectors in a chunk", "-b", n, "-c", "fast")
		list[len(list)-1].slow = len(n) > 3 // each random read unpacks a chunk
		add(n+" sectors in a chunk, as they are", "-b", n, "-c", "none", "-S", "20000000")
	}
	add("sectors of 4096 bytes", "-P", "4096", "-c", "fast")
	add("sectors of 4096 bytes, 8192 in a chunk", "-P", "4096", "-b", "8192", "-c", "fast")
	add("sectors of 2048 bytes", "-P", "2048", "-m", "optical", "-c", "best")
	add("a logical volume in memory", "-m", "memory", "-M", "logical", "-N", "x")
	list = append(list,
		variant{name: "chunks above the bound", tools: []string{"ewfacquire"},
			make: acquired("-P", "4096", "-b", "16384"), refused: "chunks of 16384 sectors of 4096 bytes: over a limit"},
		variant{name: "an odd number of sectors", tools: []string{"ewfacquire"}, format: "ewf", size: variantSize + 512,
			make: acquired("-c", "fast", "-S", "2000000")},
		variant{name: "an odd number of sectors, as they are", tools: []string{"ewfacquire"}, format: "ewf",
			size: variantSize + 11*512, make: acquired("-f", "encase1", "-S", "5000000")},
		variant{name: "a stream", tools: []string{"sh", "ewfacquirestream"}, format: "ewf",
			make: func(t *testing.T, folder, raw string) (string, []string) {
				t.Helper()
				run(t, "sh", "-c", `exec ewfacquirestream -q -S 4000000 -c best -t "$1" <"$2"`, "sh",
					filepath.Join(folder, "disk"), raw)
				return firstSegment(t, folder), nil
			}},
		variant{name: "segments from E01 to EAA", tools: []string{"ewfacquire"}, format: "ewf", size: 108 << 20,
			make: manySegments("encase6", 101)},
		variant{name: "segments from s01 to saa", tools: []string{"ewfacquire"}, format: "ewf", size: 108 << 20,
			make: manySegments("smart", 101)},
	)
	return list
}

// manySegments makes at least n segments.
func manySegments(format string, n int) func(t *testing.T, folder, raw string) (string, []string) {
	return func(t *testing.T, folder, raw string) (string, []string) {
		name, _ := acquired("-f", format, "-c", "none", "-S", "1048576")(t, folder, raw)
		if names, err := fs.Glob(os.DirFS(folder), "*"); err != nil || len(names) < n ||
			strings.ToLower(names[99][len(names[99])-2:]) != "aa" {
			t.Fatalf("%d segments: %q", len(names), names)
		}
		return name, nil
	}
}

// TestEWFVariants: an image that a real tool makes has the bytes of the disk.
func TestEWFVariants(t *testing.T) {
	runVariants(t, ewfVariants())
}

// TestEWFReadErrors: a real tool copies a device with sectors that cannot be read: a
// loop device of a file in which nbdkit has bad sectors.
func TestEWFReadErrors(t *testing.T) {
	if !testenv.Full() {
		t.Skip("runs in strict mode")
	}
	testenv.Loop(t)
	testenv.Tool(t, "ewfacquire", "nbdfuse", "nbdkit")
	content, folder := variantContent(variantSize), t.TempDir()
	const from, to = 3<<20 + 8192, 3<<20 + 16384
	raw, bad, file := filepath.Join(folder, "raw"), filepath.Join(folder, "map"), filepath.Join(folder, "disk")
	text := fmt.Sprintf("0x0 +\n0x0 %#x +\n%#x %#x -\n%#x %#x +\n", from, from, to-from, to, len(content)-to)
	if err := errors.Join(os.WriteFile(raw, content, 0o666), os.WriteFile(bad, []byte(text), 0o666),
		os.WriteFile(file, nil, 0o666)); err != nil {
		t.Fatal(err)
	}
	ready := filepath.Join(folder, "pid")
	server := exec.Command("nbdfuse", "--readonly", "--pidfile", ready, file, "--command", "nbdkit", "-s",
		"--filter=ddrescue", "file", raw, "ddrescue-mapfile="+bad)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		testenv.Unmount(t, file)
		if err := server.Wait(); err != nil {
			t.Error(err)
		}
	})
	for tries := 0; ; tries++ {
		if _, err := os.Stat(ready); err == nil {
			break
		}
		if time.Sleep(10 * time.Millisecond); tries == 3000 {
			t.Fatal("nbdfuse does not start")
		}
	}
	device, detach := testenv.Attach(t, file, "--read-only")
	t.Cleanup(detach)
	name, _ := acquired("-f", "encase6", "-c", "fast", "-g", "1", "-r", "0")(t, t.TempDir(), device)
	d, err := openEWFTest(t, name)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(d.Notes(), " "), "sectors could not be read when the image was made") {
		t.Errorf("%q", d.Notes())
	}
	p, lost := make([]byte, 512), 0
	for off := int64(0); off < d.Size(); off += 512 {
		switch n, err := d.ReadAt(p, off); {
		case errors.Is(err, ErrIncomplete) && n == 0:
			lost++
		case err != nil || !bytes.Equal(p, content[off:off+512]):
			t.Fatalf("%d bytes at %d, %v", n, off, err)
		case off >= from && off < to:
			t.Errorf("byte %d was read", off)
		}
	}
	if lost > 4096 {
		t.Errorf("%d sectors cannot be read", lost)
	}
}

// TestEWFCorpus: images of the corpus have the bytes that libewf exports.
func TestEWFCorpus(t *testing.T) {
	root := filepath.Join(testenv.Corpus(t), "images")
	testenv.Tool(t, "ewfexport")
	found := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !ewfName.MatchString(path) {
			return err
		}
		found++
		t.Run(d.Name(), func(t *testing.T) {
			t.Parallel()
			target := filepath.Join(t.TempDir(), "disk")
			run(t, "ewfexport", "-u", "-q", "-f", "raw", "-t", target, path)
			want, err := os.ReadFile(target + ".raw")
			if err != nil {
				t.Fatal(err)
			}
			disk, err := openEWFTest(t, path)
			if err != nil {
				t.Fatal(err)
			}
			imgconform.Equal(t, disk, want)
			if sum := fmt.Sprintf("%x", md5.Sum(want)); !slices.Contains(disk.Stated(), Sum{"md5", sum}) {
				t.Errorf("%v is stated, not %s", disk.Stated(), sum)
			}
		})
		return nil
	})
	if err != nil || found < 3 {
		t.Errorf("%d images, %v", found, err)
	}
}

// TestEWFLarge: a segment above 2 GiB, whose tables have base offsets.
func TestEWFLarge(t *testing.T) {
	if !testenv.Nightly() {
		t.Skip("writes 5 GB: runs every night")
	}
	testenv.Tool(t, "ewfacquire")
	folder := t.TempDir()
	raw := filepath.Join(folder, "raw")
	f, err := os.Create(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rng, b := rand.NewChaCha8([32]byte{2}), make([]byte, 1<<20)
	for range 2300 {
		if _, err := rng.Read(b); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	name, _ := acquired("-f", "encase6", "-c", "none", "-S", "3221225472")(t, folder, raw)
	d, err := openEWFTest(t, name)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Size() < 1<<31 || len(d.Sources()) != 1 {
		t.Fatalf("%v, %v", info, err)
	}
	want := make([]byte, len(b))
	for off := int64(0); off < d.Size(); off += int64(len(b)) {
		_, err := d.ReadAt(b, off)
		if _, err2 := f.ReadAt(want, off); err != nil || err2 != nil || !bytes.Equal(b, want) {
			t.Fatalf("at %d: %v, %v", off, err, err2)
		}
	}
}

// BenchmarkEWF reads images in large and small pieces, and the raw file as a measure.
func BenchmarkEWF(b *testing.B) {
	content := variantContent(variantSize)
	s := ewfSpecs["encase6"]
	s.perChunk, s.perTable = 64, 16375
	raw := filepath.Join(b.TempDir(), "disk.img")
	if err := os.WriteFile(raw, content, 0o666); err != nil {
		b.Fatal(err)
	}
	packed := s
	packed.pack = func(int) bool { return true }
	s.pack = func(int) bool { return false }
	for _, kind := range []struct{ name, file string }{{"raw", raw}, {"as they are", s.write(b, b.TempDir(), content)},
		{"compressed", packed.write(b, b.TempDir(), content)}} {
		for _, piece := range []int{1 << 20, 4096} {
			b.Run(fmt.Sprintf("%s/%d", kind.name, piece), func(b *testing.B) {
				disks, err := openFile(b.Context(), kind.file)
				if err != nil {
					b.Fatal(err)
				}
				defer disks[0].Close()
				p, rng := make([]byte, piece), rand.New(rand.NewPCG(1, 1))
				b.SetBytes(int64(piece))
				b.ReportAllocs()
				for n := 0; b.Loop(); n++ {
					off := int64(n) * int64(piece) % (variantSize - int64(piece))
					if piece == 4096 {
						off = rng.Int64N(variantSize-4096) &^ 4095
					}
					if _, err := disks[0].ReadAt(p, off); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
