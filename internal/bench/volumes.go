//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/internal/loopdev"
	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/scanner"
)

// files are those in the cache folder.
type files struct{ folder string }

func (f files) path(name string) string { return filepath.Join(f.folder, name) }

// scans are the images that are scanned together.
func (f files) scans() map[string][]string {
	return map[string][]string{
		"windows": {f.path("windows-root.img"), f.path("windows-user.img")},
		"aged":    {f.path("ready-root.img"), f.path("aged-user.img")},
		"linux":   {f.path("linux-root.img"), f.path("linux-user.img")},
		"xfs":     {f.path("xfs-root.img"), f.path("xfs-user.img")},
	}
}

// The volumes' content, in addition to the files of the case they are made from.
const (
	rootFiles  = 200_000
	userFiles  = 100_000
	agedFiles  = 300_000
	linuxFiles = 500_000

	volumeSize = 80_000_000_000 // of those that are not made from a case's
)

// recipe says how a file of the cache is built.
type recipe struct {
	name  string
	build func(f files, target string) error
}

// recipes are those of all files; each may need those before it.
var recipes = []recipe{
	{"ready-root.img", func(_ files, target string) error { return unpack("ready", "root", target) }},
	{"ready-user.img", func(_ files, target string) error { return unpack("ready", "user", target) }},
	{"hives", files.buildHives},
	{"windows-root.img", files.buildWindowsRoot},
	{"windows-user.img", func(f files, target string) error {
		return f.buildUser(target, func(v volume) error { return tree(2, userFiles, userPlaces, v.create) })
	}},
	{"aged-user.img", func(f files, target string) error {
		return f.buildUser(target, func(v volume) error { return aged(3, agedFiles, userPlaces, v.create, v.remove) })
	}},
	{"linux-root.img", func(_ files, target string) error {
		return buildLinuxRoot("linux-ubuntu", "ext4", volume.create, target)
	}},
	{"linux-user.img", func(_ files, target string) error { return unpack("linux-ubuntu", "user", target) }},
	{"xfs-root.img", func(_ files, target string) error {
		return buildLinuxRoot("linux-xfs-ready", "xfs", volume.allocate, target)
	}},
	{"xfs-user.img", func(_ files, target string) error { return unpack("linux-xfs-ready", "user", target) }},
	{"windows.mft", func(f files, target string) error {
		return copyMFT(target, f.path("windows-root.img"), f.path("windows-user.img"))
	}},
	{"aged.mft", func(f files, target string) error { return copyMFT(target, f.path("aged-user.img")) }},
}

// build makes the volumes that are missing from the cache folder.
func build(args []string) error {
	f := files{args[0]}
	for _, r := range recipes {
		target := f.path(r.name)
		if _, err := os.Stat(target); err == nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "building %s\n", target)
		start := time.Now()
		part := target + ".part"
		if err := os.RemoveAll(part); err != nil {
			return err
		}
		if err := r.build(f, part); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		if err := os.Rename(part, target); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "built %s in %s\n", target, time.Since(start).Round(time.Second))
	}
	return nil
}

// unpack writes an image of a case as a sparse file.
func unpack(name, role, target string) error {
	c, err := fixtures.Find(name)
	if err != nil {
		return err
	}
	for _, i := range c.Images {
		if i.Role != role {
			continue
		}
		r, err := i.Open()
		if err != nil {
			return err
		}
		out, err := os.Create(target)
		if err != nil {
			return err
		}
		return errors.Join(out.Truncate(i.Size), copySparse(out, r, i.Size), out.Close())
	}
	return fmt.Errorf("the case %s has no %s image", name, role)
}

// copySparse copies pages that are not zero. Images of cases know where the
// next one is.
func copySparse(out io.WriterAt, in io.ReaderAt, size int64) error {
	next, ok := in.(interface{ Next(off int64) int64 })
	if !ok {
		return errors.New("the image of the case does not tell where its data is")
	}
	page := make([]byte, 4096)
	for off := next.Next(0); off < size; off = next.Next(off + int64(len(page))) {
		n, err := in.ReadAt(page, off)
		if err != nil && err != io.EOF {
			return err
		}
		if _, err := out.WriteAt(page[:n], off); err != nil {
			return err
		}
	}
	return nil
}

// volume is a mounted one that is being filled.
type volume struct {
	dir   string
	noise []byte
	made  map[string]bool // folders
}

func newVolume(dir string) volume {
	v := volume{dir: dir, noise: make([]byte, 1<<20), made: map[string]bool{}}
	n := newNames(1)
	for i := range v.noise {
		v.noise[i] = byte(n.Uint32())
	}
	return v
}

func (v volume) create(f file) error { return v.write(f.path, v.noise[:f.size]) }

func (v volume) write(path string, data []byte) error {
	path, err := v.place(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// place makes the folder of a file.
func (v volume) place(path string) (string, error) {
	path = filepath.Join(v.dir, path)
	if folder := filepath.Dir(path); !v.made[folder] {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return "", err
		}
		v.made[folder] = true
	}
	return path, nil
}

// allocate makes a file whose blocks are allocated but not written, so that the
// image takes little room and its metadata is where it would be otherwise.
func (v volume) allocate(f file) error {
	path, err := v.place(f.path)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if f.size > 0 {
		err = unix.Fallocate(int(out.Fd()), 0, 0, int64(f.size))
	}
	return errors.Join(err, out.Close())
}

func (v volume) remove(path string) error { return os.Remove(filepath.Join(v.dir, path)) }

// buildWindowsRoot fills the root volume of the case, which is all well.
func (f files) buildWindowsRoot(target string) error {
	if err := unpack("ready", "root", target); err != nil {
		return err
	}
	part, err := largest(target)
	if err != nil {
		return err
	}
	return mounted("ntfs-3g", part, func(v volume) error {
		if err := tree(1, rootFiles, windowsPlaces, v.create); err != nil {
			return err
		}
		for _, name := range hiveFiles {
			data, err := os.ReadFile(filepath.Join(f.path("hives"), name))
			if err != nil {
				return err
			}
			if err := v.write("Windows/System32/config/"+name, data); err != nil {
				return err
			}
		}
		return nil
	})
}

// buildUser makes a volume with the files of the case's user and more.
func (f files) buildUser(target string, fill func(volume) error) error {
	if err := sparseFile(target); err != nil {
		return err
	}
	if err := command("mkntfs", "--quiet", "--fast", "--force", "--label", "User", target); err != nil {
		return err
	}
	return mounted("ntfs-3g", slice{path: target}, func(v volume) error {
		err := eachFile(f.path("ready-user.img"), v.write)
		if err != nil {
			return err
		}
		return fill(v)
	})
}

// buildLinuxRoot fills the root volume of a case, which is all well.
func buildLinuxRoot(name, kind string, create func(volume, file) error, target string) error {
	if err := unpack(name, "root", target); err != nil {
		return err
	}
	part, err := largest(target)
	if err != nil {
		return err
	}
	return mounted(kind, part, func(v volume) error {
		return tree(4, linuxFiles, linuxPlaces, func(f file) error { return create(v, f) })
	})
}

func sparseFile(path string) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(out.Truncate(volumeSize), out.Close())
}

// slice is the part of an image that holds a volume.
type slice struct {
	path        string
	start, size int64
}

// largest finds the largest volume on an image, which is the one with the
// files.
func largest(path string) (slice, error) {
	images, err := scanner.OpenImages(context.Background(), scanner.File(path), scanner.OpenOptions{})
	if err != nil {
		return slice{}, err
	}
	i := images[0] // a raw image has one disk
	defer i.Close()
	found := slice{path: path}
	for _, v := range i.Volumes() {
		if v.Size > found.size {
			found.start, found.size = v.Offset, v.Size
		}
	}
	return found, nil
}

// eachFile calls write for every ordinary file of the NTFS volume on an image.
func eachFile(image string, write func(name string, data []byte) error) error {
	return withNTFS(image, func(f *ntfs.FS) error {
		return fs.WalkDir(f, ".", func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case strings.HasPrefix(name, "$"), name == "System Volume Information":
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			case !d.Type().IsRegular():
				return nil
			}
			data, err := f.ReadFile(name)
			if err != nil {
				return err
			}
			return write(name, data)
		})
	})
}

// withNTFS opens the largest volume of an image.
func withNTFS(image string, use func(*ntfs.FS) error) error {
	part, err := largest(image)
	if err != nil {
		return err
	}
	file, err := os.Open(image)
	if err != nil {
		return err
	}
	defer file.Close()
	f, err := ntfs.Open(context.Background(), io.NewSectionReader(file, part.start, part.size), part.size, ntfs.Options{})
	if err != nil {
		return err
	}
	return use(f)
}

// copyMFT writes the $MFT of each image behind each other.
func copyMFT(target string, images ...string) error {
	out, err := os.Create(target)
	if err != nil {
		return err
	}
	for _, image := range images {
		err = errors.Join(err, withNTFS(image, func(f *ntfs.FS) error {
			mft, err := f.Open("$MFT")
			if err != nil {
				return err
			}
			_, err = io.Copy(out, mft)
			return err
		}))
	}
	return errors.Join(err, out.Close())
}

// mounted mounts a volume, has it filled, and unmounts it.
func mounted(kind string, s slice, fill func(volume) error) error {
	device, detach, err := attach(s)
	if err != nil {
		return err
	}
	defer detach()
	dir, err := os.MkdirTemp("", "coldcheck-bench")
	if err != nil {
		return err
	}
	defer os.Remove(dir)
	mount := []string{"mount", "-t", kind, device, dir}
	if kind == "ntfs-3g" {
		mount = []string{"ntfs-3g", device, dir}
	}
	if err := command(mount...); err != nil {
		return err
	}
	err = fill(newVolume(dir))
	return errors.Join(err, command("umount", dir))
}

// attach makes a loop device of a part of an image. A complete image needs none.
func attach(s slice) (device string, detach func(), err error) {
	if s.start == 0 {
		return s.path, func() {}, nil
	}
	device, err = loopdev.Attach(context.Background(), s.path, "--offset", fmt.Sprint(s.start), "--sizelimit",
		fmt.Sprint(s.size))
	return device, func() { _ = loopdev.Detach(device) }, err
}

func command(args ...string) error {
	if out, err := exec.CommandContext(context.Background(), args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, out)
	}
	return nil
}

// dropCaches empties the page cache.
func dropCaches() error {
	unix.Sync()
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0)
}
