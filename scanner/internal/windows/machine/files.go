package machine

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

// What evidence calls the volumes.
const (
	RoleRoot = "root"
	RoleUser = "user"
)

// Drive is one of the two drives of a WorkSpace.
type Drive struct {
	Role  string // RoleRoot or RoleUser
	FS    volume.WindowsFS
	Err   error // why FS is nil
	Trail *requirement.Trail
	meter *fact.Meter

	request, offset int64 // of Volume
}

// File is a file or folder that was looked for.
type File struct {
	Exists   bool
	Dir      bool
	Size     int64 // in bytes
	Modified time.Time
	Created  time.Time
	ID       fact.ID // the same for all names of one file
	Evidence requirement.Evidence
}

// ErrElsewhere says that a path leads to a drive that is neither C nor D, or
// to a volume that is not among the images.
var ErrElsewhere = errors.New("not on a volume that was given")

// ErrTooLarge says that a file is larger than anything of its kind.
var ErrTooLarge = errors.New("too large to read")

// TooLarge is the ErrTooLarge of a file that is larger than limit bytes.
func (f File) TooLarge(limit int64) error {
	return fmt.Errorf("%s: %w: it has %s; the limit is %s", f.Evidence.Path, ErrTooLarge, prose.Size(f.Size),
		prose.Size(limit))
}

// Windows follows at most 63 reparse points on one path ([MS-FSCC] 2.1.2.1
// leaves the number open; MAXIMUM_REPARSE_COUNT of its I/O manager is 64).
const maxLinks = 63

// File looks for a file or folder by its Windows path, "C:\Windows\explorer.exe".
// That it does not exist is no error.
func (m *Machine) File(win string) (File, error) {
	v, name, err := m.Locate(win)
	if err != nil {
		return File{}, err
	}
	return v.File(name)
}

// ReadFile returns the content of a file of at most limit bytes. A file that does
// not exist is no error: see File.Exists.
func (m *Machine) ReadFile(win string, limit int64) ([]byte, File, error) {
	v, name, err := m.Locate(win)
	if err != nil {
		return nil, File{}, err
	}
	return v.read(name, limit)
}

func (v *Drive) read(name string, limit int64) ([]byte, File, error) {
	f, err := v.File(name)
	if err != nil || !f.Exists {
		return nil, f, err
	}
	if f.Size > limit {
		return nil, f, f.TooLarge(limit)
	}
	if err := v.meter.File(f.Size); err != nil {
		return nil, f, v.Problem(name, err)
	}
	open, err := v.FS.Open(name)
	if err != nil {
		return nil, f, v.Problem(name, err)
	}
	defer open.Close()
	data, err := io.ReadAll(io.LimitReader(open, limit+1))
	if err != nil {
		return nil, f, v.Problem(name, err)
	}
	v.Trail.Record("open", "source", v.Role, "path", name, "size", strconv.Itoa(len(data)))
	f.Evidence.Content = true
	return data, f, nil
}

// ReadParsed returns what parse makes of the content of a file of at most limit
// bytes, the zero value if it does not exist. A file with several names is read
// and parsed once for each fact. kind distinguishes parsers.
func ReadParsed[T any](v *Drive, name string, limit int64, kind string, parse func([]byte) (T, error)) (T, File,
	error) {
	var none T
	f, err := v.File(name)
	if err != nil || !f.Exists {
		return none, f, err
	}
	parsed, err := fact.Parsed(v.meter, f.ID, kind, func() (T, error) {
		data, _, err := v.read(name, limit)
		if err != nil {
			return none, err
		}
		return parse(data)
	})
	f.Evidence.Content = err == nil
	return parsed, f, err
}

// Walk calls fn for every file below a folder that may not be there. What is
// behind a reparse point in it is left out. More entries than most are an
// error.
func (m *Machine) Walk(win string, most int, fn func(v *Drive, name string) error) error {
	v, folder, err := m.Locate(win)
	if err != nil {
		return err
	}
	start, err := v.File(folder)
	if err != nil || !start.Exists {
		return err
	}
	seen := 0
	return fs.WalkDir(v.FS, folder, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return v.Problem(name, err)
		}
		if seen++; seen > most {
			return fmt.Errorf("%s volume: %s: %w: it has more than %d entries", v.Role, folder, kind.Unsupported, most)
		}
		if err := v.meter.Steps(1); err != nil {
			return v.Problem(name, err)
		}
		if !e.Type().IsRegular() {
			return nil
		}
		return fn(v, name)
	})
}

// Unshown is the error of a folder in which entries could not be read, or are in
// doubt; nil if there are none.
func (v *Drive) Unshown(folder string, damaged, doubtful int64) error {
	switch {
	case damaged > 0:
		return fmt.Errorf("%s volume: %s: %s could not be read", v.Role, folder,
			prose.Count(int(damaged), "entry", "entries"))
	case doubtful > 0:
		return fmt.Errorf("%s volume: %s: %s: %w", v.Role, folder, prose.Count(int(doubtful), "name", "names"),
			volume.ErrInDoubt)
	}
	return nil
}

// UnreadFile is the evidence for a file of which not even its name could be looked
// up. It is not Found: nothing shows that it is there.
func (m *Machine) UnreadFile(win string) File {
	ev := m.pathEvidence(win)
	ev.Note = "could not be read"
	return File{Evidence: ev}
}

// List returns the entries of a folder. A folder that does not exist is no
// error: see File.Exists.
func (m *Machine) List(win string) ([]fs.DirEntry, File, error) {
	v, name, err := m.Locate(win)
	if err != nil {
		return nil, File{}, err
	}
	f, err := v.File(name)
	if err != nil || !f.Exists || !f.Dir {
		return nil, f, err
	}
	entries, err := v.FS.ReadDir(name)
	if err == nil {
		err = v.meter.Folder(len(entries))
	}
	if err != nil {
		return nil, f, v.Problem(name, err)
	}
	v.Trail.Record("list", "source", v.Role, "path", name, "entries", strconv.Itoa(len(entries)))
	return entries, f, nil
}

// Locate finds the volume and the name on it that a Windows path leads to,
// through the junctions and symbolic links on its way.
func (m *Machine) Locate(win string) (*Drive, string, error) {
	drive, name, err := m.Follow(win)
	if err != nil {
		return nil, "", err
	}
	v, ok := m.volumes[drive]
	if !ok {
		return nil, "", fmt.Errorf("%s: %w", win, ErrElsewhere)
	}
	if v.FS == nil {
		return nil, "", v.missing()
	}
	return v, name, nil
}

// missing is the error of a volume that cannot be read at all.
func (v *Drive) missing() error {
	return fact.Missing(v.Err, fmt.Errorf("%s volume: %w", v.Role, v.Err))
}

// Follow finds the drive and the name on it that a Windows path leads to. It
// follows links while the volumes are readable.
func (m *Machine) Follow(win string) (drive, name string, err error) {
	for range maxLinks + 1 {
		if drive, name, err = splitDrive(win); err != nil {
			return "", "", err
		}
		v, ok := m.volumes[drive]
		if !ok || v.FS == nil {
			return drive, name, nil
		}
		target, err := v.followed(drive, name)
		if err != nil || target == "" {
			return drive, name, err
		}
		v.Trail.Record("follow", "source", v.Role, "path", name, "target", target)
		win = target
	}
	return "", "", fmt.Errorf("%s: %w: the path leads through more than %d links", win, kind.Corrupt, maxLinks)
}

// splitDrive takes "C:\Windows\System32" apart into "C" and
// "Windows/System32", the name that io/fs wants.
func splitDrive(win string) (drive, name string, err error) {
	win = strings.ReplaceAll(win, "/", `\`)
	for _, prefix := range []string{`\??\`, `\\?\`, `\\.\`} {
		win = strings.TrimPrefix(win, prefix)
	}
	if len(win) < 2 || win[1] != ':' || (len(win) > 2 && win[2] != '\\') {
		return "", "", fmt.Errorf("%s: %w", win, ErrElsewhere)
	}
	name = path.Clean("/" + strings.ReplaceAll(win[2:], `\`, "/"))[1:]
	if name == "" {
		name = "."
	}
	return strings.ToUpper(win[:1]), name, nil
}

// NameSurrogate marks the reparse tags that stand for another file: junctions
// and symbolic links ([MS-FSCC] 2.1.2.1, bit N).
const NameSurrogate = 0x2000_0000

// followed returns the Windows path that the first junction or symbolic link
// on the way to name leads to, with the rest of the way joined to it; "" if
// there is none.
func (v *Drive) followed(drive, name string) (string, error) {
	if info, err := v.FS.Stat(name); err == nil && !IsLink(info) {
		return "", nil
	}
	parts := strings.Split(name, "/")
	for i := range parts {
		here := path.Join(parts[:i+1]...)
		info, err := v.FS.Stat(here)
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		if err != nil {
			return "", v.Problem(here, err)
		}
		if !IsLink(info) {
			continue
		}
		r, err := v.FS.Reparse(here)
		if err != nil {
			return "", v.Problem(here, err)
		}
		return behindLink(drive, parts[:i], r, parts[i+1:]), nil
	}
	return "", nil
}

// behindLink is the Windows path that a link in the folder before leads to,
// with the rest of the way joined to it. A relative link begins in that folder
// or, with a backslash, at the root of the drive ([MS-FSCC] 2.1.2.4).
func behindLink(drive string, before []string, link volume.Reparse, rest []string) string {
	way := append([]string{link.Substitute}, rest...)
	switch {
	case link.Relative && strings.HasPrefix(link.Substitute, `\`):
		way = append([]string{drive + ":"}, way...)
	case link.Relative:
		way = append(append([]string{drive + ":"}, before...), way...)
	}
	return strings.Join(way, `\`)
}

// IsLink reports whether a name is a junction or symbolic link.
func IsLink(info fs.FileInfo) bool {
	e, ok := info.Sys().(*volume.Entry)
	return ok && e.ReparseTag&NameSurrogate != 0
}

// File looks for a name on the volume.
func (v *Drive) File(name string) (File, error) {
	ev := FileEvidence(v.Role, name)
	if err := v.meter.Steps(1); err != nil {
		return File{}, v.Problem(name, err)
	}
	info, err := v.FS.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		v.Trail.Record("file", "source", v.Role, "path", name, "found", "no")
		ev.Note = NotFound
		return File{Evidence: ev}, nil
	}
	if err != nil {
		return File{}, v.Problem(name, err)
	}
	f := File{Exists: true, Dir: info.IsDir(), Size: info.Size(), Modified: info.ModTime(),
		Evidence: FoundEvidence(v.Role, name, info.IsDir())}
	f.Evidence.Time = info.ModTime().UTC()
	record := ""
	if e, ok := info.Sys().(*volume.Entry); ok {
		record = strconv.FormatUint(e.Record, 10)
		f.ID, f.Created = fact.ID{Volume: v.Role, Number: e.Record}, e.Created
	}
	if f.Dir {
		f.Evidence.Data = "folder, MFT record " + record
	} else {
		f.Evidence.Data = fmt.Sprintf("%d bytes, MFT record %s", f.Size, record)
	}
	v.Trail.Record("file", "source", v.Role, "path", name, "found", "yes", "size", strconv.FormatInt(f.Size, 10),
		"record", record)
	return f, nil
}

// Open opens a file for reading anywhere in it. The error is fs.ErrNotExist
// only if the file is truly not there.
func (v *Drive) Open(name string) (io.ReaderAt, int64, error) {
	file, err := v.FS.Open(name)
	if err != nil {
		return nil, 0, v.Problem(name, err)
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, v.Problem(name, err)
	}
	r, ok := file.(io.ReaderAt)
	if !ok {
		return nil, 0, v.Problem(name, fmt.Errorf("%w: a folder instead of a file", kind.Corrupt))
	}
	v.Trail.Record("open", "source", v.Role, "path", name, "size", strconv.FormatInt(info.Size(), 10))
	return r, info.Size(), nil
}

// Problem says which file of which volume an error is about. Errors of a volume
// name the file already where they are *fs.PathError.
func (v *Drive) Problem(name string, err error) error {
	v.Trail.Record("error", "source", v.Role, "path", name, "error", err.Error())
	var pe *fs.PathError
	if errors.As(err, &pe) {
		name = ""
	}
	return &fact.ReadError{Volume: v.Role, Path: name, Err: err}
}
