package main

import (
	"context"
	"strings"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

// cutDrive separates the drive of a path such as C:\Windows from the rest. drive is "" if the path has none.
func cutDrive(path string) (drive, rest string) {
	if len(path) < 2 || path[1] != ':' || len(path) > 2 && path[2] != '\\' && path[2] != '/' {
		return "", path
	}
	letter := strings.ToUpper(path[:1])
	if letter < "A" || letter > "Z" {
		return "", path
	}
	return letter, path[2:]
}

// openPath opens the volume that a path is on, and returns the name of the path there. C: is the volume with the
// Windows system, and D: the user volume, as in every WorkSpace. The number of a volume overrides the letter.
func (p *program) openPath(
	ctx context.Context, image *inspected, number int, path string,
) (fsys volume.FS, name string, err error) {
	v, fsys, err := p.openVolume(ctx, image, number)
	if err != nil {
		return nil, "", err
	}
	drive, rest := cutDrive(path)
	if drive == "" || !ofWindows(v) {
		return fsys, fsys.Name(path), nil // on Linux a name may contain a colon
	}
	if number == 0 {
		if fsys, err = p.openDrive(ctx, image, v, fsys, drive); err != nil {
			return nil, "", err
		}
	}
	return fsys, fsys.Name(rest), nil
}

// openDrive returns the volume with that drive letter. v is the volume that is used without a letter.
func (p *program) openDrive(
	ctx context.Context, image *inspected, v *disk.Volume, fsys volume.FS, drive string,
) (volume.FS, error) {
	hasSystem, err := scanner.HoldsSystem(volume.Windows, fsys)
	if err != nil {
		return nil, err
	}
	switch {
	case drive == "C" && hasSystem:
		return fsys, nil
	case drive == "C":
		return nil, notThatKind("use the image of the root volume, or leave 'C:' out", "%s has no Windows system on drive C:",
			image.Name)
	case drive != "D":
		return nil, usage("name the volume with --volume; "+seeVolumes(image), "cannot tell which volume is drive %s:", drive)
	}
	for _, other := range image.Volumes() {
		if !ofWindows(other) || hasSystem && other == v {
			continue
		}
		candidate := fsys
		if other != v {
			if candidate, err = p.openFilesystem(ctx, other); err != nil {
				continue // reported when it is used
			}
		}
		if info, err := candidate.Stat("Users"); err == nil && info.IsDir() {
			return candidate, nil
		}
	}
	if !hasSystem {
		return fsys, nil
	}
	return nil, notThatKind("use the image of the user volume, or name the volume with --volume; "+seeVolumes(image),
		"%s has no user volume for drive D:", image.Name)
}

// ofWindows reports whether a volume has a filesystem of Windows.
func ofWindows(v *disk.Volume) bool {
	row, ok := volume.Supported.Row(v.Filesystem)
	return ok && row.System == volume.Windows
}
