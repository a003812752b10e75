//go:build linux

package mutate_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/internal/mutate"
)

// toolTime is how long a tool may take over a damaged volume.
const toolTime = time.Minute

// tools is a witness that shares no code with the readers under test: ntfs-3g
// for NTFS, debugfs for ext4 (e2fsck replays the journal), the kernel for XFS,
// hivex for registry hives, rpm, dpkg and sqlite3 for databases.
type tools struct {
	dir  string
	ntfs map[string]string // where a volume is mounted, by role
	ext  map[string]string // image of a volume, by role
	xfs  map[string]string // where a volume is mounted, by role
}

// newTools needs the volumes as files, and mounts them. It is over with the
// test.
func newTools(t *testing.T, s *surveyed, images []*mutate.Overlay, result *scanner.Result) *tools {
	t.Helper()
	testenv.Loop(t)
	testenv.Tool(t, "lowntfs-3g", "fusermount", "debugfs", "e2fsck", "perl", "sqlite3", "rpm", "dpkg-query")
	w := &tools{dir: t.TempDir(), ntfs: map[string]string{}, ext: map[string]string{}, xfs: map[string]string{}}
	for _, v := range result.Volumes {
		if v.Role == scanner.Other {
			continue
		}
		role := string(v.Role)
		i := slices.Index(result.Images, v.Image)
		file := filepath.Join(w.dir, role+".img")
		if err := unfold(file, s.packs[i], images[i], v.Offset, v.Size); err != nil {
			t.Fatal(err)
		}
		switch v.Filesystem {
		case "ntfs":
			w.ntfs[role] = mountNTFS(t, file)
		case "ext2", "ext3", "ext4":
			w.ext[role] = file
			if err := replay(file); err != nil {
				t.Logf("%s volume: %v", role, err)
			}
		case "xfs":
			w.xfs[role] = mountXFS(t, file)
		}
	}
	return w
}

// mountXFS returns where the kernel mounted a volume, which replays its log; "" if
// it refuses it.
func mountXFS(t *testing.T, image string) string {
	t.Helper()
	at := image + ".mnt"
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := run("mount", "-t", "xfs", "-o", "loop,ro,nouuid", image, at); err != nil {
		t.Logf("%s: %v", image, err)
		return ""
	}
	t.Cleanup(func() {
		if _, err := run("umount", at); err != nil {
			t.Error(err)
		}
	})
	return at
}

// replay writes to an ext4 volume what its journal holds.
func replay(image string) error {
	f, err := os.Open(image)
	if err != nil {
		return err
	}
	defer f.Close()
	incompatible := make([]byte, 4)
	if _, err := f.ReadAt(incompatible, 1024+0x60); err != nil {
		return err
	}
	if incompatible[0]&4 != 0 { // EXT4_FEATURE_INCOMPAT_RECOVER
		_, err = run("e2fsck", "-E", "journal_only", "-y", image)
	}
	return err
}

// pages is an extra method of fixture images: it returns the next bytes that
// may not be zero.
type pages interface {
	io.ReaderAt
	Next(off int64) int64
}

// unfold writes a volume of a damaged image to a sparse file.
func unfold(name string, undamaged pages, image *mutate.Overlay, off, size int64) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	size = max(0, min(size, image.Size()-off))
	if err := f.Truncate(size); err != nil {
		return err
	}
	page := make([]byte, 4096)
	put := func(at int64) error {
		n, err := image.ReadAt(page[:max(0, min(4096, off+size-at))], at)
		if n > 0 {
			_, err = f.WriteAt(page[:n], at-off)
		}
		if err == io.EOF {
			return nil
		}
		return err
	}
	for at := undamaged.Next(off); at < off+size; at = undamaged.Next(at + 4096) {
		if err := put(at); err != nil {
			return err
		}
	}
	for _, at := range image.Changed() {
		if at >= off && at < off+size {
			if err := put(at); err != nil {
				return err
			}
		}
	}
	return nil
}

// mountNTFS returns where the volume is mounted, "" if ntfs-3g refuses it. Names
// are found whatever their case, and listed in lower case. What hangs is killed,
// and every read fails then.
func mountNTFS(t *testing.T, image string) string {
	t.Helper()
	at := image + ".mnt"
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), toolTime)
	cmd := exec.CommandContext(ctx, "lowntfs-3g", image, at, "-o", "ro,ignore_case,norecover,show_sys_files,no_detach")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan bool)
	go func() { cmd.Wait(); close(over) }()
	t.Cleanup(func() {
		exec.Command("fusermount", "-u", "-z", at).Run()
		cancel()
		<-over
	})
	for !mounted(at) {
		select {
		case <-over:
			return ""
		case <-time.After(5 * time.Millisecond):
		}
	}
	return at
}

func mounted(at string) bool {
	var here, above syscall.Stat_t
	return syscall.Stat(at, &here) == nil && syscall.Stat(filepath.Dir(at), &above) == nil && here.Dev != above.Dev
}

// run returns what a program prints, and what it complains of as the error.
func run(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), toolTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBUGFS_PAGER=cat", "PAGER=cat")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), err
}

func failed(err error) string { return "error: " + err.Error() }

func (w *tools) read(i item) string {
	switch {
	case i.kind == "packages":
		return w.packages(i)
	case i.kind == "appx":
		return w.appx(i)
	case w.ntfs[i.role] != "":
		return w.readNTFS(i, w.ntfs[i.role])
	case w.ext[i.role] != "":
		return w.readExt(i, w.ext[i.role])
	case w.xfs[i.role] != "":
		return w.readXFS(i, w.xfs[i.role])
	}
	return "error: the volume cannot be read"
}

func (w *tools) readNTFS(i item, mount string) string {
	name := filepath.Join(mount, filepath.FromSlash(i.path))
	say := func(s string, err error) string {
		if os.IsNotExist(err) {
			return absent
		}
		if err != nil {
			return failed(err)
		}
		return s
	}
	switch i.kind {
	case "path":
		info, err := os.Lstat(name)
		if err != nil {
			return say("", err)
		}
		switch {
		case info.IsDir():
			return "folder"
		case !info.Mode().IsRegular():
			return "link"
		}
		f, err := os.Open(name)
		if err != nil {
			return failed(err)
		}
		defer f.Close()
		return fileReading(f, info.Size())
	case "list":
		entries, err := os.ReadDir(name)
		var names []string
		for _, e := range entries {
			names = append(names, strings.ToLower(e.Name()))
		}
		return say(listReading(names), err)
	case "free":
		var s syscall.Statfs_t
		err := syscall.Statfs(mount, &s)
		return say(fmt.Sprint(int64(s.Bfree)*s.Bsize), err)
	case "tree":
		files, size := 0, int64(0)
		seen := map[uint64]bool{}
		err := filepath.WalkDir(name, func(_ string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			if n := info.Sys().(*syscall.Stat_t).Ino; !e.IsDir() && !seen[n] {
				seen[n] = true
				files++
				size += info.Size()
			}
			return nil
		})
		return say(fmt.Sprintf("%d files, %d bytes", files, size), err)
	}
	panic("no such kind: " + i.kind)
}

func (w *tools) readXFS(i item, mount string) string {
	name := mount
	if i.path != "." {
		name += "/" + asOnDisk(i.path)
	}
	say := func(s string, err error) string {
		if os.IsNotExist(err) || errors.Is(err, syscall.ENOTDIR) {
			return absent
		}
		if err != nil {
			return failed(err)
		}
		return s
	}
	switch i.kind {
	case "path":
		info, err := os.Lstat(name)
		if err != nil {
			return say("", err)
		}
		switch mode := info.Mode(); {
		case mode.IsDir():
			return "folder"
		case mode&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			return say("link to "+target, err)
		case !mode.IsRegular():
			return "special file"
		}
		f, err := os.Open(name)
		if err != nil {
			return failed(err)
		}
		defer f.Close()
		return fileReading(f, info.Size())
	case "list":
		entries, err := os.ReadDir(name)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return say(listReading(names), err)
	case "free":
		var s syscall.Statfs_t
		err := syscall.Statfs(mount, &s)
		return say(fmt.Sprint(int64(s.Bfree)*s.Bsize), err)
	}
	panic("no such kind: " + i.kind)
}

var (
	debugfsType = regexp.MustCompile(`Type: (\w+)`)
	debugfsSize = regexp.MustCompile(`Size: (\d+)`)
	debugfsLink = regexp.MustCompile(`Fast link dest: "(.*)"`)
	debugfsFree = regexp.MustCompile(`(\d+) free blocks?,`)
)

// debugfs runs one command on a path; one that is not there is fs.ErrNotExist.
// It complains on stderr and ends with 0 all the same.
func debugfs(image, command, name string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), toolTime)
	defer cancel()
	if name != "" {
		command += ` "/` + asOnDisk(name) + `"`
	}
	cmd := exec.CommandContext(ctx, "debugfs", "-c", "-R", command, image) // -c leaves the bitmaps alone
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBUGFS_PAGER=cat")
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("debugfs: %w: %s", err, complaint.String())
	}
	_, said, _ := strings.Cut(complaint.String(), "\n") // behind its version
	said = strings.Replace(said, image+": catastrophic mode - not reading inode or group bitmaps", "", 1)
	switch said = strings.TrimSpace(said); {
	case strings.HasSuffix(said, "File not found by ext2_lookup"),
		strings.HasSuffix(said, "Ext2 inode is not a directory"):
		return "", fs.ErrNotExist
	case said != "":
		return "", fmt.Errorf("debugfs: %s", said)
	}
	return out.String(), nil
}

func (w *tools) readExt(i item, image string) string {
	say := func(s string, err error) string {
		if err == fs.ErrNotExist {
			return absent
		}
		if err != nil {
			return failed(err)
		}
		return s
	}
	switch i.kind {
	case "path":
		if i.path == "." {
			return "folder"
		}
		said, err := debugfs(image, "stat", i.path)
		if err != nil {
			return say("", err)
		}
		kind, size := debugfsType.FindStringSubmatch(said), debugfsSize.FindStringSubmatch(said)
		if kind == nil || size == nil {
			return "error: debugfs: " + said
		}
		switch kind[1] {
		case "directory":
			return "folder"
		case "symlink":
			if fast := debugfsLink.FindStringSubmatch(said); fast != nil {
				return "link to " + fast[1]
			}
			target, err := debugfs(image, "cat", i.path)
			return say("link to "+target, err)
		case "regular":
			n, err := strconv.ParseInt(size[1], 10, 64)
			if err != nil {
				return failed(err)
			}
			content, err := debugfs(image, "cat", i.path)
			return say(fileReading(strings.NewReader(content), n), err)
		}
		return "special file"
	case "list":
		said, err := debugfs(image, "ls -p", strings.TrimPrefix(i.path, "."))
		var names []string
		for line := range strings.Lines(said) {
			if f := strings.Split(line, "/"); len(f) > 6 && f[1] != "0" && f[5] != "." && f[5] != ".." {
				names = append(names, f[5])
			}
		}
		return say(listReading(names), err)
	case "free":
		said, err := debugfs(image, "stats", "")
		if err != nil {
			return failed(err)
		}
		field := func(name string) string {
			_, value, _ := strings.Cut(said, "\n"+name+":")
			value, _, _ = strings.Cut(value, "\n")
			return strings.TrimSpace(value)
		}
		number := func(s string) int64 {
			n, _ := strconv.ParseInt(s, 10, 64)
			return n
		}
		free := int64(0)
		for _, n := range debugfsFree.FindAllStringSubmatch(said, -1) {
			free += number(n[1])
		}
		size := number(field("Block size"))
		return usageReading(free*size, number(field("Reserved block count"))*size, number(field("Block count")),
			strings.Fields(field("Filesystem features")))
	}
	panic("no such kind: " + i.kind)
}

// copyFolder copies the files of a folder out of a volume and returns where
// they are.
func (w *tools) copyFolder(role, folder string) (string, error) {
	to, err := os.MkdirTemp(w.dir, "copy")
	if err != nil {
		return "", err
	}
	if image := w.ext[role]; image != "" {
		_, err := debugfs(image, fmt.Sprintf(`rdump "/%s" %s`, folder, to), "")
		return filepath.Join(to, path.Base(folder)), err
	}
	return to, os.CopyFS(to, os.DirFS(filepath.Join(cmp.Or(w.ntfs[role], w.xfs[role]), folder)))
}

func (w *tools) packages(i item) string {
	folder, err := w.copyFolder(i.role, path.Dir(i.path))
	if err != nil {
		return failed(err)
	}
	var said string
	if base := path.Base(i.path); base == "status" {
		said, err = run("dpkg-query", "--admindir", folder, "-W", "-f", "${db:Status-Status}:${Package} ${Version}\n")
		var installed strings.Builder
		for line := range strings.Lines(said) {
			if p, ok := strings.CutPrefix(line, "installed:"); ok {
				installed.WriteString(p)
			}
		}
		said = installed.String()
	} else {
		backend := map[string]string{"Packages": "bdb_ro", "Packages.db": "ndb", "rpmdb.sqlite": "sqlite"}[base]
		said, err = run("rpm", "-qa", "--dbpath", folder, "--define", "_db_backend "+backend, "--qf",
			"%{NAME} %|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE}\\n")
	}
	if err != nil {
		return failed(err)
	}
	return listReading(strings.Split(strings.TrimSpace(said), "\n"))
}

const appxQuery = `SELECT p.PackageFullName, p.PackageType, (SELECT group_concat(hex(u.UserSid) || ':' || pu.DeploymentState, ' ')
FROM PackageUser pu JOIN User u ON u._UserID = pu.User WHERE pu.Package = p._PackageID AND pu._WorkId = 0) FROM Package p WHERE p._WorkId = 0`

func (w *tools) appx(i item) string {
	folder, err := w.copyFolder(i.role, path.Dir(i.path))
	if err != nil {
		return failed(err)
	}
	said, err := run("sqlite3", filepath.Join(folder, strings.ToLower(path.Base(i.path))), appxQuery)
	if err != nil {
		return failed(err)
	}
	var lines []string
	for line := range strings.Lines(said) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) != 3 {
			return "error: sqlite3: " + line
		}
		var users []string
		for user := range strings.FieldsSeq(f[2]) {
			id, state, _ := strings.Cut(user, ":")
			users = append(users, sid(id)+":"+state)
		}
		lines = append(lines, f[0]+" "+f[1]+" "+strings.Join(users, " "))
	}
	return listReading(lines)
}

// sid writes a security identifier as people do. [MS-DTYP] 2.4.2.
func sid(digits string) string {
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) < 8 {
		return digits
	}
	s := fmt.Sprintf("S-%d-%d", b[0], binary.BigEndian.Uint64(append([]byte{0, 0}, b[2:8]...)))
	for b = b[8:]; len(b) >= 4; b = b[4:] {
		s += fmt.Sprintf("-%d", binary.LittleEndian.Uint32(b))
	}
	return s
}

// content reads a complete file.
func (w *tools) content(role, name string) ([]byte, error) {
	if mount := w.ntfs[role]; mount != "" {
		return os.ReadFile(filepath.Join(mount, filepath.FromSlash(name)))
	}
	return nil, fmt.Errorf("%s volume: not mounted", role)
}

// keys reads keys of one hive, as they are after its recovery.
func (w *tools) keys(hive item, paths []string) []string {
	all := func(s string) []string { return slices.Repeat([]string{s}, len(paths)) }
	b, err := w.content(hive.role, hive.path)
	if err != nil {
		return all(failed(err))
	}
	var logs [][]byte
	for _, suffix := range logSuffixes {
		if log, err := w.content(hive.role, hive.path+suffix); err == nil {
			logs = append(logs, log)
		}
	}
	file := filepath.Join(w.dir, "hive")
	if err := os.WriteFile(file, recovered(b, logs), 0o600); err != nil {
		return all(failed(err))
	}
	said, err := run("perl", append([]string{"testdata/hive.pl", file}, paths...)...)
	if err != nil {
		return all(failed(err))
	}
	lines := strings.Split(strings.TrimSuffix(said, "\n"), "\n")
	if len(lines) != len(paths) {
		return all("error: hive.pl: " + said)
	}
	return lines
}

// recovered returns a hive that is clean as it is, and one that is dirty with
// what its logs hold, as Windows does it at the next start. hivex knows no
// logs. (github.com/msuhanov/regf, "Dirty state of a hive".)
func recovered(hive []byte, logs [][]byte) []byte {
	u32 := binary.LittleEndian.Uint32
	if len(hive) < 4096 || u32(hive[4:]) == u32(hive[8:]) && bytes.Equal(hive[:512], sealed(hive[:512])) {
		return hive
	}
	hive = bytes.Clone(hive)
	put := func(at int, page []byte) {
		if at += 4096; at+len(page) > len(hive) {
			hive = append(hive, make([]byte, at+len(page)-len(hive))...)
		}
		copy(hive[at:], page)
	}
	type entry struct {
		sequence uint32
		b        []byte
	}
	var chain []entry
	for _, log := range logs {
		if len(log) < 512 || string(log[:4]) != "regf" || u32(log[4:]) != u32(log[8:]) ||
			!bytes.Equal(log[:512], sealed(log[:512])) {
			continue
		}
		if len(log) > 1024 && string(log[512:516]) == "DIRT" {
			copy(hive[:512], log[:512])
			sectors := int(u32(log[40:])) / 512
			from := (512 + 4 + sectors/8 + 511) &^ 511
			for i := range sectors {
				if at := 516 + i/8; at < len(log) && log[at]>>(i%8)&1 != 0 && from+512 <= len(log) {
					put(512*i, log[from:from+512])
					from += 512
				}
			}
			continue
		}
		want := u32(log[4:])
		for at := 512; at+40 <= len(log); want++ {
			n := int(u32(log[at+4:]))
			if string(log[at:at+4]) != "HvLE" || n < 40 || n > len(log)-at || u32(log[at+12:]) != want {
				break
			}
			b := bytes.Clone(log[at : at+n])
			if hivetest.FixEntry(b); !bytes.Equal(b, log[at:at+n]) {
				break
			}
			chain = append(chain, entry{want, b})
			at += n
		}
	}
	slices.SortStableFunc(chain, func(a, b entry) int { return cmp.Compare(a.sequence, b.sequence) })
	next := uint32(0)
	for _, e := range chain {
		if e.sequence < u32(hive[8:]) || next != 0 && e.sequence != next {
			continue
		}
		next = e.sequence + 1
		pages := int(u32(e.b[20:]))
		from := 40 + 8*pages
		for i := range pages {
			at, n := int(u32(e.b[40+8*i:])), int(u32(e.b[44+8*i:]))
			put(at, e.b[from:from+n])
			from += n
		}
		copy(hive[40:44], e.b[16:20])
	}
	copy(hive[28:32], []byte{0, 0, 0, 0})
	copy(hive[4:8], hive[8:12])
	return append(sealed(hive[:512]), hive[512:]...)
}

// sealed is a base block with the checksum that it asks for.
func sealed(block []byte) []byte {
	block = bytes.Clone(block)
	hivetest.FixChecksum(block)
	return block
}
