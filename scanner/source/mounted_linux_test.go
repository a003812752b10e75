package source

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestMountsOf reads a tree as /proc and /sys have it: disk 8:16 with the
// partitions 8:17 and 8:18, and the logical volume 253:0 on 8:18.
func TestMountsOf(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	write := func(name, data string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("sys/dev/block/8:16/dev", "8:16\n")
	for _, p := range []string{"17", "18"} {
		write("sys/dev/block/8:16/sdb"+p+"/dev", "8:"+p+"\n")
		write("sys/dev/block/8:16/sdb"+p+"/partition", "1\n")
		write("sys/dev/block/8:"+p+"/dev", "8:"+p+"\n")
	}
	write("sys/dev/block/8:18/holders/dm-0/dev", "253:0\n")
	write("sys/dev/block/253:0/dev", "253:0\n")
	write("proc/self/mountinfo", `22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 8:17 / /mnt/read\040only ro,relatime shared:2 - ext4 /dev/sdb1 ro
31 22 253:0 / /mnt/data ro,relatime shared:3 - xfs /dev/mapper/a-b rw,attr2
32 22 253:0 / /mnt/data ro,relatime shared:3 - xfs /dev/mapper/a-b rw,attr2
33 22 0:40 / /proc rw - proc proc rw
junk
`)
	devices := usersOf(root, []string{"8:16"})
	if want := []string{"8:16", "8:17", "8:18", "253:0"}; !slices.Equal(devices, want) {
		t.Errorf("%q, want %q", devices, want)
	}
	if got, want := mountsOf(root, devices), []WritableMount{{"/dev/mapper/a-b", "/mnt/data"}}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := mountsOf(root, []string{"8:17"}); got != nil {
		t.Errorf("what is mounted read-only: %q", got)
	}
	if got, want := mountsOf(root, usersOf(root, []string{"8:1"})),
		[]WritableMount{{"/dev/sda1", "/"}}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := mountsOf(t.TempDir(), devices); got != nil {
		t.Errorf("without /proc: %q", got)
	}
}

func TestNumbers(t *testing.T) {
	if got := numbers(0x811); got != "8:17" {
		t.Errorf("8:17 is %s", got)
	}
	if got := numbers(259<<8 | 5); got != "259:5" {
		t.Errorf("259:5 is %s", got)
	}
	if got := numbers(8<<8 | 0x12<<20 | 0x34); got != "8:4660" {
		t.Errorf("8:4660 is %s", got)
	}
}

func TestWritableMountsOfAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	dir := filepath.Join(root, "sys/block/loop7/loop")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for file, data := range map[string]string{"loop/backing_file": name + "\n", "dev": "7:7\n"} {
		if err := os.WriteFile(filepath.Join(root, "sys/block/loop7", file), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(root, "proc/self"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "proc/self/mountinfo"), []byte("40 1 7:7 / /mnt rw - ext4 /dev/loop7 rw\n"),
		0o644); err != nil {
		t.Fatal(err)
	}
	if got, want := writableMounts(root, info), []WritableMount{{"/dev/loop7", "/mnt"}}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
