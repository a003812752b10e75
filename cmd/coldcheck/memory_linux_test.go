package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// peak runs a command, and returns the most memory that it took, in bytes.
func peak(t *testing.T, cmd *exec.Cmd) int64 {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		cmd.Wait()
	}()
	// The figure of wait4(2) includes at least the memory of this process.
	// proc(5): VmHWM is the peak so far.
	var most int64
	for {
		status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		for line := range strings.Lines(string(status)) {
			if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				most = max(most, kib<<10)
			}
		}
		select {
		case <-done:
			return most
		case <-time.After(time.Millisecond):
		}
	}
}

// Data that does not fit into --max-memory is reported, and the process never
// takes more.
func TestMaxMemory(t *testing.T) {
	if !testenv.Full() {
		t.Skip("makes large files: COLDCHECK_STRICT=1")
	}
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	root, user := file("root.img"), file("user.img")
	c := testcases.Find(t, "layout-bare")
	if err := writeImage(c, "root", root); err != nil {
		t.Fatal(err)
	}
	if err := writeImage(c, "user", user); err != nil {
		t.Fatal(err)
	}
	growMFT(t, user)
	if err := os.WriteFile(file("wide"), wideHive(), 0o600); err != nil {
		t.Fatal(err)
	}
	sparseHive(t, file("sparse"))
	linux := packagesImage(t, dir)

	for _, tt := range []struct {
		args  []string
		limit int64
		code  int
		says  string
	}{
		{[]string{"scan", root, user, "-o", "table"}, 128 << 20, 3, "index of files: out of the memory that may be used"},
		{[]string{"scan", root, user, "-o", "table"}, 512 << 20, 0, "1966015 records of $MFT cannot be read"},
		{[]string{"inspect", "ls", user}, 128 << 20, 74, "index of files: out of the memory that may be used"},
		{[]string{"inspect", "ls", user}, 512 << 20, 0, "damaged records in $MFT"},
		{[]string{"inspect", "hive", file("wide")}, 128 << 20, 0, "a list of 800000: out of the memory that may be used"},
		{[]string{"inspect", "hive", file("wide")}, 512 << 20, 0, "key799999"},
		{[]string{"inspect", "hive", file("sparse")}, 128 << 20, 74, "in a bin with a damaged header"},
		{[]string{"inspect", "hive", file("sparse")}, 512 << 20, 74, "in a bin with a damaged header"},
		{[]string{"scan", linux}, 128 << 20, 1, "out of the memory that may be used"},
		{[]string{"scan", linux}, 512 << 20, 1, "is not installed"},
	} {
		withinMemory(t, tt.limit, tt.code, tt.says, tt.args...)
	}
}

// withinMemory runs the command with --max-memory. It must not take more, end with a code,
// and say something.
func withinMemory(t *testing.T, limit int64, code int, says string, args ...string) {
	t.Helper()
	size := memorySize(limit).String()
	cmd := coldcheck(t, append(slices.Clone(args), "--max-memory", size)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	begun := time.Now()
	most := peak(t, cmd)
	name := strings.Join(args[:2], " ") + " " + filepath.Base(args[len(args)-1]) + ", " + size
	t.Logf("%s: %d MiB, %v", name, most>>20, time.Since(begun).Round(time.Millisecond))
	if most > limit || most == 0 {
		t.Errorf("%s: took %d bytes", name, most)
	}
	said := strings.Join(strings.Fields(out.String()), " ") // the table breaks lines
	if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(said, says) {
		t.Errorf("%s: ended with %d, want %d and %q: %.3000s", name, got, code, says, &out)
	}
}

// TestMaxMemoryContainers: blocks of compressed containers count too, however large they
// are. The scans find what those of the raw images find.
func TestMaxMemoryContainers(t *testing.T) {
	root, user := rawImages(t, "linux-user-small")
	for n, p := range []packed{
		qemu("qcow2", "-c", "-o", "compression_type=zstd,cluster_size=2M"),
		{name: "E01 with chunks of 16 MiB", tools: []string{"ewfacquire"},
			pack: func(t *testing.T, folder, raw string) (string, []string) {
				tool(t, "ewfacquire", "-u", "-q", "-f", "encase6", "-b", "32768", "-c", "deflate:fast", "-t",
					filepath.Join(folder, "disk"), raw)
				return filepath.Join(folder, "disk.E01"), nil
			}},
	} {
		t.Run(p.name, func(t *testing.T) {
			testenv.Part(t, n, 2)
			testenv.Tool(t, p.tools...)
			image, _ := p.pack(t, t.TempDir(), user)
			withinMemory(t, memory.Least, 0, "READY", "scan", root, image)
		})
	}
}

var le = binary.LittleEndian

// growMFT lets the $MFT of a volume with records of 1 KiB and sectors of 512
// bytes go on for two million records, all of them in the same 16 MiB of
// something else. Its bitmap has all of them in use.
func growMFT(t *testing.T, name string) {
	t.Helper()
	const (
		junk = 16 << 20
		runs = 120
		kib  = 1024
		// used is the bitmap, in bytes: a bit for each record.
		used = 240 << 10
	)
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	boot := make([]byte, 512)
	readAt(t, f, boot, 0)
	cluster := int64(boot[13]) * 512
	at := int64(le.Uint64(boot[48:])) * cluster
	base := (info.Size() + cluster - 1) / cluster * cluster
	writeAt(t, f, bytes.Repeat([]byte("junk"), junk/4), base)
	writeAt(t, f, bytes.Repeat([]byte{0xFF}, used), base+junk)
	le.PutUint64(boot[40:], uint64(base+junk+used)/512)
	writeAt(t, f, boot, 0)
	writeAt(t, f, boot, base+junk+used) // its copy

	record := make([]byte, kib)
	readAt(t, f, record, at)
	usa := int(le.Uint16(record[4:]))
	for s := range 2 {
		copy(record[512*s+510:], record[usa+2+2*s:][:2])
	}
	var before, after, data []byte
	for p := int(le.Uint16(record[20:])); le.Uint32(record[p:]) != 0xFFFFFFFF; {
		n := int(le.Uint32(record[p+4:]))
		a := slices.Clone(record[p : p+n])
		switch kind := le.Uint32(a); {
		case kind < 0x80:
			before = append(before, a...)
		case kind == 0x80:
			data = a
		case kind == 0xB0:
			list := int(le.Uint16(a[32:]))
			pairs := []byte{0x41, byte(used / cluster)}
			pairs = le.AppendUint32(pairs, uint32((base+junk)/cluster))
			a = append(a[:list], append(pairs, 0, 0)...)
			le.PutUint32(a[4:], uint32(len(a)))
			le.PutUint64(a[24:], uint64(used/cluster-1))
			for _, size := range []int{40, 48, 56} {
				le.PutUint64(a[size:], used)
			}
			after = append(after, a...)
		default:
			after = append(after, a...)
		}
		p += n
	}
	list := int(le.Uint16(data[32:]))
	pairs := data[list:]
	end, lcn := 0, int64(0)
	for pairs[end] != 0 {
		lengthSize, offsetSize := int(pairs[end]&15), int(pairs[end]>>4)
		offset := make([]byte, 8)
		copy(offset, pairs[end+1+lengthSize:][:offsetSize])
		v := int64(le.Uint64(offset))
		if shift := 64 - 8*offsetSize; offsetSize > 0 {
			v = v << shift >> shift
		}
		lcn += v
		end += 1 + lengthSize + offsetSize
	}
	clusters := int64(junk) / cluster
	pairs = slices.Clone(pairs[:end])
	for i := range runs {
		if i == 0 {
			pairs = append(pairs, 0x44)
			pairs = le.AppendUint32(pairs, uint32(clusters))
			pairs = le.AppendUint32(pairs, uint32(base/cluster-lcn))
			continue
		}
		pairs = append(pairs, 0x12)
		pairs = le.AppendUint16(pairs, uint16(clusters))
		pairs = append(pairs, 0)
	}
	pairs = append(pairs, make([]byte, 8-len(pairs)%8)...)
	data = append(data[:list], pairs...)
	le.PutUint32(data[4:], uint32(len(data)))
	le.PutUint64(data[24:], le.Uint64(data[24:])+uint64(runs*clusters))
	for _, size := range []int{40, 48, 56} {
		le.PutUint64(data[size:], (le.Uint64(data[24:])+1)*uint64(cluster))
	}
	body := slices.Concat(before, data, after, []byte{0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0})
	first := int(le.Uint16(record[20:]))
	if first+len(body) > kib {
		t.Fatalf("a record of %d bytes", first+len(body))
	}
	clear(record[first:])
	copy(record[first:], body)
	le.PutUint32(record[24:], uint32(first+len(body)))
	for s := range 2 {
		copy(record[usa+2+2*s:][:2], record[512*s+510:])
		copy(record[512*s+510:], record[usa:][:2])
	}
	writeAt(t, f, record, at)
}

func readAt(t *testing.T, f *os.File, p []byte, at int64) {
	t.Helper()
	if _, err := f.ReadAt(p, at); err != nil {
		t.Fatal(err)
	}
}

func writeAt(t *testing.T, f *os.File, p []byte, at int64) {
	t.Helper()
	if _, err := f.WriteAt(p, at); err != nil {
		t.Fatal(err)
	}
}

// wideHive has 800,000 subkeys in one list: 80 MiB, and as much again for who
// lists them.
func wideHive() []byte {
	root := hivetest.Key{Name: "ROOT"}
	for i := range 800_000 {
		root.Subkeys = append(root.Subkeys, hivetest.Key{Name: fmt.Sprintf("key%06d", i)})
	}
	return hivetest.Build(root, hivetest.Options{})
}

// sparseHive is a large file that says it is full of bins.
func sparseHive(t *testing.T, name string) {
	t.Helper()
	hive := hivetest.Empty("ROOT")
	const size = 600 << 20
	le.PutUint32(hive[36:], size/2) // the root key
	le.PutUint32(hive[40:], size-4096)
	hivetest.FixChecksum(hive)
	if err := os.WriteFile(name, hive, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, size); err != nil {
		t.Fatal(err)
	}
}

// packagesImage is the root of a Linux system with a package database that is
// as large as there may be one.
func packagesImage(t *testing.T, dir string) string {
	t.Helper()
	testenv.Tool(t, "mkfs.ext4")
	root, image := filepath.Join(dir, "root"), filepath.Join(dir, "linux.img")
	var status bytes.Buffer
	for i := 0; status.Len() < 100<<20; i++ {
		fmt.Fprintf(&status, "Package: p%d\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"+
			"Maintainer: %0500d\nDescription: %0500d\n\n", i, i, i)
	}
	for name, data := range map[string][]byte{
		"etc/os-release":      []byte("ID=ubuntu\nVERSION_ID=\"22.04\"\nNAME=Ubuntu\n"),
		"var/lib/dpkg/status": status.Bytes(),
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-d", root, image, "256M").CombinedOutput(); err != nil {
		t.Fatalf("mkfs.ext4: %v: %s", err, out)
	}
	return image
}
