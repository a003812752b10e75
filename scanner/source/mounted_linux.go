package source

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	maxMountInfo = 4 << 20 // bytes of /proc/self/mountinfo
	maxUsed      = 1000    // devices that are made of an image
)

// writableMounts reads /proc and /sys below root: proc(5), mountinfo, and the
// kernel's sysfs-block and sysfs-class-block.
func writableMounts(root string, info fs.FileInfo) []WritableMount {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	var devices []string
	switch {
	case info.Mode()&fs.ModeDevice != 0:
		devices = []string{numbers(uint64(stat.Rdev))}
	case info.Mode().IsRegular():
		devices = loopsOf(root, info)
	}
	if len(devices) == 0 {
		return nil
	}
	return mountsOf(root, usersOf(root, devices))
}

// numbers are major and minor of a device, as /proc and /sys write them.
func numbers(dev uint64) string {
	major := dev>>8&0xfff | dev>>32&^uint64(0xfff)
	minor := dev&0xff | dev>>12&^uint64(0xff)
	return fmt.Sprintf("%d:%d", uint32(major), uint32(minor))
}

// loopsOf are the loop devices that a file is behind.
func loopsOf(root string, info fs.FileInfo) []string {
	files, err := filepath.Glob(filepath.Join(root, "sys/block/loop*/loop/backing_file"))
	if err != nil {
		return nil
	}
	var devices []string
	for _, f := range files {
		backing, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		other, err := os.Stat(strings.TrimSuffix(string(backing), "\n"))
		if err != nil || !os.SameFile(info, other) {
			continue
		}
		dev, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(f)), "dev"))
		if err == nil {
			devices = append(devices, strings.TrimSpace(string(dev)))
		}
	}
	return devices
}

// usersOf are the devices themselves, their partitions, and what holds either
// of them: logical volumes, encrypted and RAID devices.
func usersOf(root string, devices []string) []string {
	for i := 0; i < len(devices) && len(devices) < maxUsed; i++ {
		dir := filepath.Join(root, "sys/dev/block", devices[i])
		partitions, _ := filepath.Glob(filepath.Join(dir, "*/partition"))
		holders, _ := filepath.Glob(filepath.Join(dir, "holders/*"))
		for j := range partitions {
			partitions[j] = filepath.Dir(partitions[j])
		}
		for _, below := range append(partitions, holders...) {
			dev, err := os.ReadFile(filepath.Join(below, "dev"))
			if n := strings.TrimSpace(string(dev)); err == nil && n != "" && !slices.Contains(devices, n) {
				devices = append(devices, n)
			}
		}
	}
	return devices
}

// mountsOf finds the mounts of devices whose filesystem is writable, wherever
// a mount of it is read-only. A filesystem with a number of its own (btrfs) is
// known by its source.
func mountsOf(root string, devices []string) []WritableMount {
	f, err := os.Open(filepath.Join(root, "proc/self/mountinfo"))
	if err != nil {
		return nil
	}
	defer f.Close()
	var mounts []WritableMount
	lines := bufio.NewScanner(f)
	lines.Buffer(make([]byte, 64<<10), maxMountInfo)
	for lines.Scan() {
		// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
		before, after, ok := strings.Cut(lines.Text(), " - ")
		mount, super := strings.Fields(before), strings.Fields(after)
		if !ok || len(mount) < 6 || len(super) < 3 || !slices.Contains(strings.Split(super[2], ","), "rw") {
			continue
		}
		source := unescapeMount(super[1])
		if !slices.Contains(devices, mount[2]) && !slices.Contains(devices, numberOf(root, source)) {
			continue
		}
		m := WritableMount{source, unescapeMount(mount[4])}
		if !slices.Contains(mounts, m) {
			mounts = append(mounts, m)
		}
	}
	return mounts
}

// numberOf is the number of the device at a path, "" if there is none.
func numberOf(root, path string) string {
	if !strings.HasPrefix(path, "/dev/") {
		return ""
	}
	info, err := os.Stat(filepath.Join(root, path))
	if err != nil || info.Mode()&fs.ModeDevice == 0 {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return numbers(uint64(stat.Rdev))
}

// unescapeMount decodes the octal escapes of a field of mountinfo.
func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
