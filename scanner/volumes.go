package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
	"github.com/coldcheck/coldcheck/scanner/windows"
)

// volumes are the images of a scan and what lies on them.
type volumes struct {
	images []*disk.Image
	list   []*volume
	root   *volume
	user   *volume // nil if there is none
	noUser error   // why there is none
}

// A volume of one of the images, as far as it could be opened.
type volume struct {
	*disk.Volume
	image *disk.Image
	role  Role
	ntfs  *ntfs.FS
	err   error // why it could not be opened; nil if it was, or if nobody tried
}

// name is how a person tells the volume apart.
func (v *volume) name() string {
	if v.Partition == 0 {
		return v.image.Name
	}
	return fmt.Sprintf("%s, partition %d", v.image.Name, v.Partition)
}

// content is what a person wants to know of the volume where it is not what a
// scan needs.
func (v *volume) content() string {
	switch {
	case v.err != nil:
		return v.err.Error()
	case v.Filesystem == disk.Unknown:
		return "no known filesystem"
	case v.Filesystem == disk.NTFS:
		return "ntfs without Windows"
	}
	return string(v.Filesystem)
}

func (v *volume) encrypted() bool { return v.Filesystem.Encrypted() }

// mayHoldData says whether the volume may be drive D: no partition that only
// starts or repairs the system.
func (v *volume) mayHoldData() bool {
	if v.Filesystem != disk.NTFS && !v.encrypted() {
		return false
	}
	if v.Hidden || v.NoDriveLetter || strings.Contains(strings.ToLower(v.TypeName), "recovery") {
		return false
	}
	if v.ntfs != nil {
		switch strings.ToLower(v.ntfs.Volume().Label) {
		case "system reserved", "recovery":
			return false
		}
	}
	return true
}

// holds says whether there is a folder of that name at the top of the volume.
func (v *volume) holds(folder string) bool {
	if v.ntfs == nil {
		return false
	}
	info, err := v.ntfs.Stat(folder)
	return err == nil && info.IsDir()
}

// Close closes the images.
func (vs *volumes) Close() error {
	var all error
	for _, i := range vs.images {
		all = errors.Join(all, i.Close())
	}
	return all
}

func (vs *volumes) counters() (bytes, reads int64) {
	for _, i := range vs.images {
		b, r := i.Counters()
		bytes, reads = bytes+b, reads+r
	}
	return bytes, reads
}

// openVolumes opens the images and the filesystems on them, and finds which is
// the root and which the user volume.
func openVolumes(ctx context.Context, in Input, trail *requirement.Trail) (*volumes, error) {
	sources := slices.Clone(in.Images)
	for _, forced := range []*Source{in.Root, in.User} {
		if forced != nil {
			sources = append(sources, *forced)
		}
	}
	if len(sources) == 0 {
		return nil, fail(ErrUsage, "name the images of the root and the user volume", "no image")
	}
	for i, s := range sources {
		for _, other := range sources[:i] {
			if s.same(other) {
				return nil, fail(ErrUsage, "", "%s is given twice", s.Name)
			}
		}
	}
	vs := &volumes{}
	for _, s := range sources {
		if err := vs.open(ctx, s, in.Progress, trail); err != nil {
			vs.Close()
			return nil, err
		}
	}
	imageOf := func(forced *Source) *disk.Image {
		if forced == nil {
			return nil
		}
		return vs.images[slices.IndexFunc(vs.images, func(i *disk.Image) bool { return i.Name == forced.Name })]
	}
	err := vs.findRoot(imageOf(in.Root), imageOf(in.User))
	if err == nil {
		err = vs.findUser(imageOf(in.User))
	}
	if err != nil {
		vs.Close()
		return nil, err
	}
	vs.notify(trail)
	return vs, nil
}

func (vs *volumes) open(ctx context.Context, s Source, progress func(Progress), trail *requirement.Trail) error {
	image, err := s.Open()
	switch {
	case errors.Is(err, disk.ErrNotImage):
		return fail(ErrNoSystem, hintOf(err), "%w", err)
	case err != nil:
		return fail(ErrIO, hintOf(err), "%w", err)
	}
	vs.images = append(vs.images, image)
	trail.Record("image", "name", image.Name, "format", image.Format, "size", fmt.Sprint(image.Size), "table", image.Table, "sector", fmt.Sprint(image.SectorSize))
	for _, d := range image.Volumes() {
		v := &volume{Volume: d, image: image, role: Other}
		vs.list = append(vs.list, v)
		if v.Filesystem == disk.NTFS {
			if progress != nil {
				progress(Progress{Step: "reading $MFT of " + v.name()})
			}
			v.ntfs, v.err = ntfs.Open(withContext(ctx, v.Volume), max(v.Size, v.Declared))
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
		}
		trail.Record("volume", "image", image.Name, "partition", fmt.Sprint(v.Partition), "offset", fmt.Sprint(v.Offset),
			"size", fmt.Sprint(v.Size), "filesystem", string(v.Filesystem), "error", errorText(v.err))
	}
	return nil
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// withContext makes reads fail once the context has ended, so that no parser
// goes on then.
func withContext(ctx context.Context, r io.ReaderAt) io.ReaderAt { return contextReader{ctx, r} }

type contextReader struct {
	ctx context.Context
	r   io.ReaderAt
}

func (c contextReader) ReadAt(p []byte, off int64) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.ReadAt(p, off)
}

// findRoot finds the volume with the system. forced is the image it has to be
// on, user one that it is not on; both may be nil.
func (vs *volumes) findRoot(forced, user *disk.Image) error {
	var found, encrypted []*volume
	var considered []string
	for _, v := range vs.list {
		if forced != nil && v.image != forced || user != nil && v.image == user {
			continue
		}
		considered = append(considered, v.name()+": "+v.content())
		if v.encrypted() {
			encrypted = append(encrypted, v)
		}
		if v.ntfs == nil {
			if isIO(v.err) {
				return fail(ErrIO, "", "%s: %w", v.name(), v.err)
			}
			continue
		}
		switch _, err := windows.FindSystemRoot(v.ntfs); {
		case err == nil:
			found = append(found, v)
		case !errors.Is(err, windows.ErrNoWindows):
			considered[len(considered)-1] = v.name() + ": " + err.Error()
		}
	}
	switch {
	case len(found) == 1:
		vs.root = found[0]
		vs.root.role = Root
		return nil
	case len(found) > 1:
		return fail(ErrUsage, "scan one WorkSpace at a time, or name its root volume with --root", "two root volumes: %s and %s", found[0].name(), found[1].name())
	case len(encrypted) > 0:
		e := encrypted[0]
		return fail(ErrNoSystem, "decrypt the volume before the snapshot is taken", "%s is encrypted with %s: its content cannot be judged", e.name(), encryption(e))
	case len(considered) == 0:
		return fail(ErrNoSystem, "", "no volume was found on the images")
	}
	return fail(ErrNoSystem, "a scan needs the root volume of a Windows WorkSpace", "no supported system: %s", strings.Join(considered, "; "))
}

// isIO says whether an image could not be read, rather than understood.
func isIO(err error) bool {
	return err != nil && !errors.Is(err, ntfs.ErrCorrupt) && !errors.Is(err, ntfs.ErrUnsupported) &&
		!errors.Is(err, ntfs.ErrEncrypted) && !errors.Is(err, io.ErrUnexpectedEOF)
}

func encryption(v *volume) string {
	switch v.Filesystem {
	case disk.BitLocker:
		return "BitLocker"
	case disk.LUKS:
		return "LUKS"
	}
	return string(v.Filesystem)
}

// findUser finds the volume with the profiles: on the image that is named,
// else the one with a Users folder, else the only other volume that may hold
// data, which may be encrypted or damaged.
func (vs *volumes) findUser(forced *disk.Image) error {
	var users, others []*volume
	for _, v := range vs.list {
		if v == vs.root || forced != nil && v.image != forced || !v.mayHoldData() {
			continue
		}
		others = append(others, v)
		if v.holds("Users") {
			users = append(users, v)
		}
	}
	if len(users) > 1 {
		return fail(ErrUsage, "scan one WorkSpace at a time, or name its user volume with --user", "two user volumes: %s and %s", users[0].name(), users[1].name())
	}
	if len(users) == 0 {
		users = others
	}
	switch {
	case len(users) == 1:
		vs.user = users[0]
		vs.user.role = User
	case len(users) > 1:
		vs.noUser = fmt.Errorf("not found: %s may be it, name it with --user", users[0].name()+" or "+users[1].name())
	case forced != nil:
		return fail(ErrNoSystem, "", "%s holds no volume with profiles", forced.Name)
	default:
		vs.noUser = errors.New("not among the images: give the image of drive D too")
	}
	return nil
}

// notify says what the reader of the report must know of the volumes.
func (vs *volumes) notify(trail *requirement.Trail) {
	for _, i := range vs.images {
		for _, note := range i.Notes {
			trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Message: i.Name + ": " + note})
		}
	}
	for _, v := range vs.list {
		if v.err != nil {
			trail.Notify(requirement.Notice{Level: requirement.LevelError, Message: v.name() + ": " + v.err.Error(), Source: string(v.role)})
		}
		if v.ntfs == nil {
			continue
		}
		info, damage := v.ntfs.Volume(), v.ntfs.Damage()
		if info.Dirty {
			trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Message: v.name() + ": the volume is marked dirty: Windows checks it at the next start", Source: string(v.role)})
		}
		if info.Err != nil {
			trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Message: v.name() + ": " + info.Err.Error(), Source: string(v.role)})
		}
		if damage.Count > 0 {
			var first []string
			for _, d := range damage.Records[:min(len(damage.Records), 3)] {
				first = append(first, fmt.Sprintf("%d (%s)", d.Record, d.Reason))
			}
			trail.Notify(requirement.Notice{Level: requirement.LevelError, Source: string(v.role),
				Message: fmt.Sprintf("%s: %d records of $MFT cannot be read: %s", v.name(), damage.Count, strings.Join(first, ", "))})
		}
		for _, note := range damage.Notes {
			trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Message: v.name() + ": " + note, Source: string(v.role)})
		}
	}
}

// describe returns the volumes as reports show them.
func (vs *volumes) describe() []Volume {
	var list []Volume
	for _, v := range vs.list {
		d := Volume{
			Role: v.role, Image: v.image.Name, Format: v.image.Format, Partition: v.Partition,
			Offset: v.Offset, Size: v.Size, Free: -1, Filesystem: string(v.Filesystem),
		}
		if d.Filesystem == "" {
			d.Filesystem = "unknown"
		}
		if v.ntfs != nil {
			info := v.ntfs.Volume()
			d.Label = info.Label
			d.Serial = fmt.Sprintf("%016X", info.Serial)
			d.State = state(info)
			if free, err := v.ntfs.Free(); err == nil {
				d.Free = free
			}
		}
		list = append(list, d)
	}
	return list
}

func state(info ntfs.Volume) string {
	switch {
	case info.Err != nil:
		return "unknown"
	case info.Dirty:
		return "dirty"
	case info.LogFile == ntfs.LogNotClean:
		return "in use when it was taken"
	}
	return "clean"
}

// system opens the system on the root volume.
func (vs *volumes) system(in Input, documents []*statement.Document, trail *requirement.Trail, now time.Time) (system, error) {
	w := windows.Input{
		Root:      windows.Volume{FS: vs.root.ntfs, Device: device(vs.root)},
		User:      windows.Volume{Err: vs.noUser},
		Documents: documents,
		UserName:  in.UserName,
		Trail:     trail,
		Now:       now,
	}
	if vs.user != nil {
		w.User = windows.Volume{FS: vs.user.ntfs, Err: vs.user.err, Device: device(vs.user)}
		if vs.user.encrypted() {
			w.User.Err = fmt.Errorf("%s is encrypted with %s", vs.user.name(), encryption(vs.user))
		}
	}
	for _, v := range vs.list {
		s := windows.VolumeState{Role: string(v.role), Image: v.image.Name, Name: v.name(), Err: v.err}
		if v.encrypted() {
			s.Encrypted = encryption(v)
		}
		w.Volumes = append(w.Volumes, s)
		if d := device(v); d != "" {
			w.Partitions = append(w.Partitions, windows.Partition{Device: d, Name: v.name()})
		}
	}
	for _, i := range vs.images {
		if i.Incomplete != nil {
			w.Volumes = append(w.Volumes, windows.VolumeState{Role: string(Other), Image: i.Name, Name: i.Name, Err: i.Incomplete})
		}
	}
	m, err := windows.Open(w)
	switch {
	case errors.Is(err, windows.ErrNoWindows), errors.Is(err, fs.ErrNotExist):
		return nil, fail(ErrNoSystem, "", "%s: %w", vs.root.name(), err)
	case err != nil:
		return nil, fail(ErrIO, "", "%s: %w", vs.root.name(), err)
	}
	return windowsSystem{m}, nil
}

// device is the identity that the registry of Windows gives a partition.
func device(v *volume) string {
	switch {
	case v.GUID != disk.GUID{}:
		return windows.DeviceGPT(v.GUID)
	case v.image.Table == "mbr" && v.image.DiskSignature != 0:
		return windows.DeviceMBR(v.image.DiskSignature, v.Offset)
	}
	return ""
}

// windowsSystem is a Windows system as the scan sees it.
type windowsSystem struct{ *windows.Machine }

func (w windowsSystem) Platform() (Platform, error) {
	p := Platform{Family: "windows", Name: "Windows"}
	s, version := w.System()
	if version == nil {
		p.Name, p.Version = s.Name(), s.Version()
	}
	var architecture, computer error
	p.Architecture, architecture = w.Architecture()
	p.ComputerName, computer = w.ComputerName()
	if wanted, err := w.Wanted(); err == nil && wanted.Profile != nil {
		p.UserName = wanted.Profile.Folder()
		if wanted.User != "" {
			p.UserName = wanted.User
		}
	}
	return p, errors.Join(version, architecture, computer)
}
