//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/container"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// containerFormat is a format that the Windows pair is converted to.
type containerFormat struct {
	name   string
	suffix string
	tool   string
	// convert is the command that converts a raw image.
	convert func(raw, target string) []string
	// serve is what reads the image for another program: the command for nbdcopy and
	// the format for qemu-io; "" for EWF, which ewfmount serves.
	qemu string
}

// qemu converts with qemu-img.
func qemu(args ...string) func(raw, target string) []string {
	return func(raw, target string) []string {
		return slices.Concat([]string{"qemu-img", "convert", "-f", "raw"}, args, []string{raw, target})
	}
}

var containerFormats = []containerFormat{
	{"QCOW2", ".qcow2", "qemu-img", qemu("-O", "qcow2"), "qcow2"},
	{"QCOW2, zlib", ".zlib.qcow2", "qemu-img", qemu("-c", "-O", "qcow2"), "qcow2"},
	{"QCOW2, zstd", ".zstd.qcow2", "qemu-img", qemu("-c", "-O", "qcow2", "-o", "compression_type=zstd"), "qcow2"},
	{"VMDK, sparse", ".vmdk", "qemu-img", qemu("-O", "vmdk"), "vmdk"},
	{"VMDK, stream-optimized", ".stream.vmdk", "qemu-img", qemu("-O", "vmdk", "-o", "subformat=streamOptimized"), "vmdk"},
	{"VHD, dynamic", ".vhd", "qemu-img", qemu("-O", "vpc", "-o", "force_size=on"), "vpc"},
	{"VHDX", ".vhdx", "qemu-img", qemu("-O", "vhdx"), "vhdx"},
	{"VDI", ".vdi", "qemu-img", qemu("-O", "vdi"), "vdi"},
	{"EWF (E01), fast", ".E01", "ewfacquire", func(raw, target string) []string {
		return []string{"ewfacquire", "-u", "-q", "-c", "fast", "-f", "encase6", "-S", "7EiB", "-t",
			strings.TrimSuffix(target, ".E01"), raw}
	}, ""},
}

// containers are the names of the Windows pair in a format. Their folder is a recipe
// of its own.
func (f files) containers(c containerFormat) []string {
	folder := f.path("windows" + c.suffix)
	return []string{filepath.Join(folder, "root"+c.suffix), filepath.Join(folder, "user"+c.suffix)}
}

// buildContainers converts the Windows pair.
func (f files) buildContainers(c containerFormat, target string) error {
	if _, err := exec.LookPath(c.tool); err != nil {
		return nil // the folder is empty, and the rows say that an image is missing
	}
	if err := os.Mkdir(target, 0o755); err != nil {
		return err
	}
	for i, role := range []string{"root", "user"} {
		args := c.convert(f.scans()["windows"][i], filepath.Join(target, role+c.suffix))
		if err := command(args...); err != nil {
			return err
		}
	}
	return nil
}

func init() {
	for _, c := range containerFormats {
		recipes = append(recipes, recipe{"windows" + c.suffix, func(f files, target string) error {
			return f.buildContainers(c, target)
		}})
	}
}

// containerTables compare scans of the Windows pair in containers with that of the raw
// images, and reading them with what serves them to other programs.
func (s *session) containerTables() []table {
	windows := s.files.scans()["windows"]
	scans := table{title: "Windows pair in containers, warm",
		rows: []row{{name: "raw", run: scan(s.program, windows...)}}}
	front := table{title: "The user volume's container, from front to back, warm",
		note: "Holes are not read. The first GiB of data is.",
		rows: []row{{name: "raw", run: s.child("front", windows[1])}}}
	random := table{title: "The user volume's container, 4,000 random reads of 4 KiB of data, warm",
		rows: []row{{name: "raw", run: s.child("random", windows[1])}}}
	for _, c := range containerFormats {
		pair := s.files.containers(c)
		scans.rows = append(scans.rows, row{name: c.name, tool: c.tool, run: scan(s.program, pair...)})
		front.rows = append(front.rows, row{name: c.name, tool: c.tool, run: s.child("front", pair[1])})
		random.rows = append(random.rows, row{name: c.name, tool: c.tool, run: s.child("random", pair[1])})
		if c.qemu == "" {
			front.rows = append(front.rows, row{name: c.name + ": ewfmount", tool: "ewfmount", slow: true,
				run: s.throughEWF("front", pair[1])})
			random.rows = append(random.rows, row{name: c.name + ": ewfmount", tool: "ewfmount", slow: true,
				run: s.throughEWF("random", pair[1])})
			continue
		}
		random.rows = append(random.rows, row{name: c.name + ": qemu-io", tool: "qemu-io", slow: true,
			run: s.qemuIO(c.qemu, pair[1], windows[1])})
		front.rows = append(front.rows, row{name: c.name + ": qemu-io", tool: "qemu-io", slow: true,
			run: s.qemuFront(c.qemu, pair[1], windows[1])})
	}
	for _, c := range containerFormats[:2] {
		pair := s.files.containers(c)
		scans.rows = append(scans.rows, row{name: c.name + ": qemu-img convert, then a scan", tool: "qemu-img", slow: true,
			run: s.convertAndScan(pair)})
	}
	return []table{scans, front, random}
}

// convertAndScan measures what a user does without a reader of containers.
func (s *session) convertAndScan(pair []string) func(ctx context.Context) (usage, error) {
	return func(ctx context.Context) (usage, error) {
		folder, err := os.MkdirTemp(s.files.folder, "converted")
		if err != nil {
			return usage{}, err
		}
		defer os.RemoveAll(folder)
		var all usage
		var raw []string
		for _, image := range pair {
			target := filepath.Join(folder, filepath.Base(image)+".img")
			raw = append(raw, target)
			u, err := commands([]string{"qemu-img", "convert", "-O", "raw", image, target})(ctx)
			if err != nil {
				return usage{}, err
			}
			all = all.add(u)
		}
		u, err := scan(s.program, raw...)(ctx)
		return all.add(u), err
	}
}

// throughEWF measures a child that reads through ewfmount, which goes on in the
// background and is not counted.
func (s *session) throughEWF(child, image string) func(ctx context.Context) (usage, error) {
	return func(ctx context.Context) (_ usage, err error) {
		dir, err := os.MkdirTemp("", "coldcheck-bench")
		if err != nil {
			return usage{}, err
		}
		defer os.Remove(dir)
		if err := command("ewfmount", image, dir); err != nil {
			return usage{}, err
		}
		u, err := s.child(child, filepath.Join(dir, "ewf1"), s.files.scans()["windows"][1])(ctx)
		return u, errors.Join(err, command("umount", dir))
	}
}

// places returns where the reads of a child are: data of an image, which for a mounted
// container is that of the raw image.
func places(image string, each func(start, end int64) bool) error {
	d, err := openContainer(image)
	if err != nil {
		return err
	}
	defer d.Close()
	for at := int64(0); ; {
		start, end := d.Data(at)
		if start >= d.Size() || !each(start, end) {
			return nil
		}
		at = end
	}
}

// openContainer opens the only disk in an image.
func openContainer(image string) (container.Disk, error) {
	s, err := source.Open(context.Background(), image, source.Options{})
	if err != nil {
		return nil, err
	}
	disks, err := container.Open(context.Background(), s, container.Options{})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return disks[0], nil
}

const (
	frontBytes  = 1 << 30
	frontPiece  = 1 << 20
	randomReads = 4000
	randomPiece = 4096
)

// frontReads are reads of the first GiB of data, in pieces of up to 1 MiB.
func frontReads(image string) (list [][2]int64, err error) {
	total := int64(0)
	err = places(image, func(start, end int64) bool {
		for at := start; at < end && total < frontBytes; {
			n := min(end-at, frontPiece)
			list = append(list, [2]int64{at, n})
			at, total = at+n, total+n
		}
		return total < frontBytes
	})
	return list, err
}

// randomPlaces are reads of 4 KiB in the data of an image, the same for each.
func randomPlaces(image string) ([][2]int64, error) {
	var pages []int64
	err := places(image, func(start, end int64) bool {
		for at := start / randomPiece * randomPiece; at+randomPiece <= end; at += randomPiece {
			pages = append(pages, at)
		}
		return true
	})
	if err != nil || len(pages) == 0 {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	list := make([][2]int64, randomReads)
	for i := range list {
		list[i] = [2]int64{pages[rng.IntN(len(pages))], randomPiece}
	}
	return list, nil
}

func readFront(args []string) error  { return readPlaces(args, frontReads) }
func readRandom(args []string) error { return readPlaces(args, randomPlaces) }

// readPlaces makes the reads of the last image in the first.
func readPlaces(args []string, reads func(image string) ([][2]int64, error)) error {
	list, err := reads(args[len(args)-1])
	if err != nil {
		return err
	}
	d, err := openContainer(args[0])
	if err != nil {
		return err
	}
	defer d.Close()
	p := make([]byte, frontPiece)
	for _, r := range list {
		if _, err := d.ReadAt(p[:r[1]], r[0]); err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}

// qemuIO makes the random reads with qemu-io.
func (s *session) qemuIO(format, image, raw string) func(ctx context.Context) (usage, error) {
	return s.qemuReads(format, image, raw, randomPlaces)
}

// qemuFront makes the reads from front to back with qemu-io.
func (s *session) qemuFront(format, image, raw string) func(ctx context.Context) (usage, error) {
	return s.qemuReads(format, image, raw, frontReads)
}

func (s *session) qemuReads(
	format, image, raw string, reads func(string) ([][2]int64, error),
) func(ctx context.Context) (usage, error) {
	return func(ctx context.Context) (usage, error) {
		list, err := reads(raw)
		if err != nil {
			return usage{}, err
		}
		var script strings.Builder
		for _, r := range list {
			fmt.Fprintf(&script, "read -q %d %d\n", r[0], r[1])
		}
		p, err := startWith(ctx, []string{"qemu-io", "-r", "-f", format, image}, script.String())
		if err != nil {
			return usage{}, err
		}
		return p.wait()
	}
}
