package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// errFile is the kind of an error about a file that cannot be opened. Its exit code is the default one.
var errFile = errors.New("cannot use the file")

// checkImages finds the common mistakes in names of images before anything is opened, each with a hint that helps. It
// returns nil for what only opening can decide.
func (p *program) checkImages(names ...string) error {
	for _, name := range names {
		if err := p.checkImage(name); err != nil {
			return err
		}
	}
	return nil
}

func (p *program) checkImage(name string) error {
	if source.IsRemote(name) {
		if err := source.CheckName(name); err != nil {
			return usage("", "%w", err)
		}
		return nil
	}
	if source.IsDevice(name) {
		return nil // os.Stat does not know it
	}
	info, err := os.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return problem{fmt.Errorf("%s: %w: it is a folder", name, disk.ErrNotImage), errNotThatKind, folderHint(name)}
	case err == nil && !readable(info.Mode()):
		return problem{fmt.Errorf("%s: %w: it is %s", name, disk.ErrNotImage, kindOf(info.Mode())), errNotThatKind,
			"use a file or a block device"}
	case err == nil && info.Mode().IsRegular() && info.Size() == 0:
		return problem{fmt.Errorf("%s: %w: the file is empty", name, disk.ErrNotImage), errNotThatKind,
			"the copy failed or is not finished; create the image again"}
	case err == nil:
		f, err := os.Open(name)
		if err == nil {
			return f.Close()
		}
		return problem{namedError(name, err), errFile, cmp.Or(busyHint(err), p.permissionHint(err, info))}
	}
	if snapshotID.MatchString(name) {
		return usage("to read the EBS snapshot, name it ebs:"+name, "%s: there is no such file", name)
	}
	return problem{namedError(name, err), errFile, p.missingHint(name, err)}
}

// namedError is an error of the system about a file, without the name of the call that failed.
func namedError(name string, err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("%s: %w", name, err)
}

// readable reports whether opening a file of that kind returns at once.
func readable(mode fs.FileMode) bool {
	return mode.IsRegular() || mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0
}

var snapshotID = regexp.MustCompile(`^snap-[0-9a-f]{8,17}$`)

// userHint is the hint for a scan that lacks the user volume: the command with its image, if only one file can be
// meant.
func (p *program) userHint(r *scanner.Result) string {
	hasUser := slices.ContainsFunc(r.Volumes, func(v scanner.Volume) bool { return v.Role == scanner.User })
	if hasUser || r.RuleBook.WithoutUser || r.Verdict == scanner.Ready || len(p.images) != 1 ||
		r.Platform.Family != "windows" {
		return ""
	}
	user := "USER_IMAGE"
	var used []string
	for _, i := range r.Files {
		used = append(used, filesOf(i)...)
	}
	others := slices.DeleteFunc(otherImages(p.images[0]), func(name string) bool {
		return slices.ContainsFunc(used, func(file string) bool { return source.Same(file, name) })
	})
	if len(others) == 1 {
		user = prose.Quote(others[0])
	}
	return "add the image of the user volume: " + p.commandLine() + " " + user
}

// mountHint is the hint for images that a mounted filesystem may write to during the scan. The report has a notice.
func (p *program) mountHint(ctx context.Context, r *scanner.Result) string {
	var mounts []source.WritableMount
	for _, name := range append(p.images, partsOf(r)...) {
		if source.IsRemote(name) {
			continue
		}
		s, err := source.Open(ctx, name, source.Options{})
		if err != nil {
			continue // the report says so
		}
		mounts = append(mounts, s.WritableMounts()...)
		s.Close()
	}
	return unmountHint(mounts)
}

// unmountHint is the command that unmounts filesystems; that of the running system cannot be unmounted.
func unmountHint(mounts []source.WritableMount) string {
	if runtime.GOOS == "windows" && len(mounts) > 0 {
		return "scan a shadow copy of the volume, or take the disk offline; see docs/guide-windows.md"
	}
	var points []string
	for _, m := range mounts {
		if m.Point == "/" {
			return "scan a snapshot of the disk, not the disk of the running system"
		}
		points = append(points, prose.Quote(m.Point))
	}
	if len(points) == 0 {
		return ""
	}
	return "unmount it, then repeat the command: sudo umount " + strings.Join(points, " ")
}

// otherImages are the images in the same folder.
func otherImages(name string) []string {
	images, _ := imagesIn(filepath.Dir(name))
	return slices.DeleteFunc(images, func(image string) bool { return filepath.Base(image) == filepath.Base(name) })
}

// imageSuffixes are those of files that may be images.
var imageSuffixes = []string{
	".img", ".raw", ".dd", ".bin", ".001", ".qcow2", ".vmdk", ".vhd", ".vhdx", ".vdi", ".e01", ".ova",
}

// imagesIn returns the paths of the files in a folder that may be images.
func imagesIn(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var images []string
	for _, e := range entries {
		if e.Type().IsRegular() && slices.Contains(imageSuffixes, strings.ToLower(filepath.Ext(e.Name()))) {
			images = append(images, filepath.Join(folder, e.Name()))
		}
	}
	return images, nil
}

// folderHint names the images in a folder.
func folderHint(folder string) string {
	const most = 4
	images, err := imagesIn(folder)
	if err != nil {
		return "name an image file"
	}
	for i := range images {
		images[i] = prose.Quote(images[i])
	}
	if len(images) == 0 || len(images) > most {
		return "name the image files in it"
	}
	return "name the image files in it: " + strings.Join(images, " ")
}

// resourceID is an ID of something in AWS that has disks.
var resourceID = regexp.MustCompile(`^(vol|i|ami|ws|wsi)-[0-9a-z]{8,17}$`)

// resourceHint says how to scan something in AWS that is no image itself.
func resourceHint(name string) string {
	m := resourceID.FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	switch m[1] {
	case "vol":
		return "create a snapshot, then scan ebs:snap-…: aws ec2 create-snapshot --volume-id " + name
	case "i":
		return "create snapshots, then scan ebs:snap-…: aws ec2 create-snapshots --instance-specification InstanceId=" +
			name
	case "ami":
		return "scan its snapshots as ebs:snap-…: aws ec2 describe-images --image-ids " + name
	}
	return "AWS does not expose the volumes of WorkSpaces; see docs/images.md for where to get images"
}

var windowsPath = regexp.MustCompile(`^([A-Za-z]):(.*)$`)

// missingHint says what may be meant by the name of a file that cannot be found.
func (p *program) missingHint(name string, err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return p.permissionHint(err, nil)
	}
	if runtime.GOOS != "windows" {
		if m := windowsPath.FindStringSubmatch(name); m != nil {
			return windowsPathHint(m[1], m[2])
		}
		if strings.HasPrefix(name, `\\`) {
			return "mount the network share and use the path below its mount point"
		}
	}
	if hint := resourceHint(name); hint != "" {
		return hint
	}
	folder := filepath.Dir(name)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return ""
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	if near := nearest(filepath.Base(name), names); near != "" {
		return "did you mean " + prose.Quote(filepath.Join(folder, near)) + "?"
	}
	return ""
}

// windowsPathHint says what to use instead of a path of Windows. In the Windows Subsystem for Linux drives are mounted
// below /mnt.
func windowsPathHint(drive, rest string) string {
	mounted := "/mnt/" + strings.ToLower(drive) + "/" + strings.TrimLeft(strings.ReplaceAll(rest, `\`, "/"), "/")
	if _, err := os.Stat(mounted); err == nil {
		return "this is a Windows path; on this system use " + prose.Quote(mounted)
	}
	return "this is a Windows path; copy the file to this machine, and quote paths that contain a backslash"
}

// permissionHint says how a file that may not be read can be read. info is nil if nothing is known of the file.
func (p *program) permissionHint(err error, info fs.FileInfo) string {
	if !errors.Is(err, fs.ErrPermission) {
		return ""
	}
	if runtime.GOOS == "windows" {
		return "run it as administrator: open the terminal with 'Run as administrator'"
	}
	hint := "run it with sudo: sudo " + p.commandLine()
	if info != nil {
		if group := readingGroup(info); group != "" {
			hint += " (or join the group " + group + ")"
		}
	}
	return hint
}

// commandLine is how the program was started, for a shell.
func (p *program) commandLine() string {
	words := []string{"coldcheck"}
	if strings.ContainsRune(os.Args[0], '/') {
		words[0] = prose.Quote(os.Args[0])
	}
	for _, a := range p.arguments {
		words = append(words, prose.Quote(withoutSecret(a)))
	}
	return strings.Join(words, " ")
}
