package scanner_test

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/coldcheck/coldcheck/ext4"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/internal/packages"
	"github.com/coldcheck/coldcheck/scanner/internal/sqlitefs"
	"github.com/coldcheck/coldcheck/scanner/statement"
	"github.com/coldcheck/coldcheck/xfs"
)

const (
	// corpusShort is the size of the largest file that is read without make
	// nightly: unpacking the larger ones takes a minute.
	corpusShort = 32 << 20

	// What a file may cost: processor time, and memory in addition to four
	// times its size.
	corpusTime   = 10 * time.Second
	corpusMemory = 64 << 20

	// corpusChild marks the process that reads, so that it may crash, hang or
	// take too much.
	corpusChild = "COLDCHECK_TEST_CORPUS_CHILD"
)

// A reading is what became of one file.
type reading struct {
	Kinds   []string // what was read in it
	Damage  int      // places that could not be read
	Refused string   // why nothing was read
	Bad     string   // an error that says nothing of the file, or a panic
	Peak    int64    // bytes of memory that the process took for it
	Took    time.Duration
}

// Every file of the corpus is read to its end or refused with a reason, in
// bounded time and memory. go test -v prints the table.
func TestCorpus(t *testing.T) {
	dir := testenv.Corpus(t)
	long := testenv.Nightly()
	var names []string
	sizes := map[string]int64{}
	for _, row := range corpusRows(t, dir) {
		names = append(names, row.path)
		sizes[row.path] = row.size
	}
	work := t.TempDir()
	child := &corpusReader{t: t}
	defer child.stop()
	results := map[string]reading{}
	left := map[string]int{}
	for _, name := range names {
		category, _, _ := strings.Cut(name, "/")
		if sizes[name] > corpusShort && !long {
			left[category]++
			continue
		}
		file := filepath.Join(work, path.Base(plainName(name)))
		if err := os.WriteFile(file, testenv.CorpusFile(t, name), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, log := range []string{".LOG", ".LOG1", ".LOG2"} {
			if slices.Contains(names, name+log) {
				if err := os.WriteFile(file+log, testenv.CorpusFile(t, name+log), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		r := child.read(file)
		results[name] = r
		switch {
		case r.Bad != "":
			t.Errorf("%s: %s", name, r.Bad)
		case len(r.Kinds) == 0 && r.Refused == "":
			t.Errorf("%s: neither read nor refused", name)
		case r.Took > corpusTime:
			t.Errorf("%s: took %v", name, r.Took)
		case r.Peak > 4*sizes[name]+corpusMemory:
			t.Errorf("%s: %d bytes of memory for a file of %d", name, r.Peak, sizes[name])
		}
		for _, suffix := range []string{"", ".LOG", ".LOG1", ".LOG2"} {
			os.Remove(file + suffix)
		}
	}
	t.Log("\n" + corpusTable(results, sizes, left))
}

// A corpusRow is a file of the corpus.
type corpusRow struct {
	path string
	size int64 // unpacked, in bytes
}

func corpusRows(t *testing.T, dir string) []corpusRow {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "MANIFEST.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes = '\t', true
	lines, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := func(name string) int { return slices.Index(lines[0], name) }
	name, size, raw := column("path"), column("bytes"), column("raw_bytes")
	var rows []corpusRow
	for _, l := range lines[1:] {
		n, err := strconv.ParseInt(l[size], 10, 64)
		if packed, rawErr := strconv.ParseInt(l[raw], 10, 64); rawErr == nil {
			n, err = packed, nil
		}
		if err != nil {
			t.Fatalf("%s: %v", l[name], err)
		}
		rows = append(rows, corpusRow{l[name], n})
	}
	return rows
}

// plainName is the name of a file once it is unpacked.
func plainName(name string) string {
	for _, suffix := range []string{".gz", ".xz", ".zst", ".bz2"} {
		name = strings.TrimSuffix(name, suffix)
	}
	return name
}

func corpusTable(results map[string]reading, sizes map[string]int64, left map[string]int) string {
	type row struct {
		files, read, damaged, refused, left int
		bytes, peak                         int64
		took                                time.Duration
		kinds                               map[string]int
	}
	rows := map[string]*row{}
	all := &row{kinds: map[string]int{}}
	for name, r := range results {
		category, _, _ := strings.Cut(name, "/")
		if rows[category] == nil {
			rows[category] = &row{kinds: map[string]int{}}
		}
		for _, w := range []*row{rows[category], all} {
			w.files++
			w.bytes += sizes[name]
			w.peak, w.took = max(w.peak, r.Peak), max(w.took, r.Took)
			switch {
			case len(r.Kinds) == 0:
				w.refused++
			case r.Damage > 0:
				w.damaged++
			default:
				w.read++
			}
			for _, k := range r.Kinds {
				w.kinds[k]++
			}
		}
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CATEGORY\tFILES\tREAD WHOLE\tWITH DAMAGE\tREFUSED\tLEFT OUT\tMiB\tMOST MiB\tMOST TIME\tREAD AS")
	var categories []string
	for c := range rows {
		categories = append(categories, c)
	}
	slices.Sort(categories)
	for _, c := range append(categories, "all") {
		r := rows[c]
		if c == "all" {
			r = all
			for _, n := range left {
				r.left += n
			}
		} else {
			r.left = left[c]
		}
		var kinds []string
		for k, n := range r.kinds {
			kinds = append(kinds, fmt.Sprintf("%s %d", k, n))
		}
		slices.Sort(kinds)
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%v\t%s\n", c, r.files, r.read, r.damaged, r.refused, r.left,
			r.bytes>>20, r.peak>>20,
			r.took.Round(time.Millisecond), strings.Join(kinds, ", "))
	}
	w.Flush()
	return b.String()
}

// A corpusReader has files read in a child process.
type corpusReader struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	lines  chan string
	stderr *strings.Builder
}

func (c *corpusReader) start() {
	self, err := os.Executable()
	if err != nil {
		c.t.Fatal(err)
	}
	c.cmd, c.stderr, c.lines = exec.Command(self, "-test.run=^TestCorpusChild$"), &strings.Builder{}, make(chan string)
	c.cmd.Env = append(os.Environ(), corpusChild+"=1")
	c.cmd.Stderr = c.stderr
	stdout, err := c.cmd.StdoutPipe()
	if err == nil {
		c.stdin, err = c.cmd.StdinPipe()
	}
	if err == nil {
		err = c.cmd.Start()
	}
	if err != nil {
		c.t.Fatal(err)
	}
	lines := c.lines
	go func() {
		defer close(lines)
		s := bufio.NewScanner(stdout)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			lines <- s.Text()
		}
	}()
}

// read has a file read. A child that hangs is killed, and the next file gets a
// new one.
func (c *corpusReader) read(file string) reading {
	if c.cmd == nil {
		c.start()
	}
	fmt.Fprintln(c.stdin, file)
	const grace = 30 // times the limit, for a machine that is busy
	timer := time.NewTimer(grace * corpusTime)
	defer timer.Stop()
	select {
	case line, ok := <-c.lines:
		if ok {
			var r reading
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				r.Bad = fmt.Sprintf("%v: %q", err, line)
			}
			return r
		}
		c.stop()
		return reading{Bad: "crashed: " + c.stderr.String()}
	case <-timer.C:
		c.stop()
		return reading{Bad: fmt.Sprintf("not read within %v", grace*corpusTime)}
	}
}

func (c *corpusReader) stop() {
	if c.cmd == nil {
		return
	}
	c.stdin.Close()
	c.cmd.Process.Kill()
	for range c.lines {
	}
	c.cmd.Wait()
	c.cmd = nil
}

// TestCorpusChild is the child.
func TestCorpusChild(t *testing.T) {
	if os.Getenv(corpusChild) == "" {
		return
	}
	names := bufio.NewScanner(os.Stdin)
	for names.Scan() {
		debug.FreeOSMemory()
		// proc(5): 5 sets the peak back to what is held now.
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			t.Fatal(err)
		}
		held := peakMemory(t)
		begun := processorTime()
		r := readAnything(names.Text())
		r.Took, r.Peak = processorTime()-begun, peakMemory(t)-held
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Printf("%s\n", line)
	}
	os.Exit(0) // without the words of the testing package
}

// peakMemory returns VmHWM of proc(5), in bytes.
func peakMemory(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}

// reasons are what a file may be refused for.
var reasons = []error{
	disk.ErrNotImage, disk.ErrCorrupt, disk.ErrUnsupported, disk.ErrIncomplete,
	ntfs.ErrCorrupt, ntfs.ErrUnsupported, ntfs.ErrEncrypted,
	ext4.ErrCorrupt, ext4.ErrUnsupported, ext4.ErrEncrypted, ext4.ErrLinks,
	xfs.ErrCorrupt, xfs.ErrUnsupported, xfs.ErrLinks,
	registry.ErrCorrupt, registry.ErrUnsupported, registry.ErrDirty,
	sqlitefs.ErrCorrupt, sqlitefs.ErrUnsupported, sqlitefs.ErrMissing,
	packages.ErrCorrupt, packages.ErrUnsupported, packages.ErrNoDatabase,
	fs.ErrNotExist, errNothing,
}

// errNothing says that a reader has nothing to read in a file.
var errNothing = errors.New("nothing in it is read")

// readAnything reads a file with the readers for what it may be.
func readAnything(name string) (r reading) {
	defer func() {
		if p := recover(); p != nil {
			r.Bad = fmt.Sprintf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	f, err := os.Open(name)
	if err != nil {
		return reading{Bad: err.Error()}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return reading{Bad: err.Error()}
	}
	head := make([]byte, min(info.Size(), 16))
	if _, err := f.ReadAt(head, 0); err != nil && info.Size() > 0 {
		return reading{Bad: err.Error()}
	}
	var refused []string
	try := func(kind string, read func(bad func(error)) error) {
		if len(r.Kinds) > 0 {
			return
		}
		damage := func(err error) {
			if !slices.ContainsFunc(reasons, func(reason error) bool { return errors.Is(err, reason) }) {
				r.Bad = fmt.Sprintf("%s: an error without a reason: %v", kind, err)
			}
			r.Damage++
		}
		err := read(damage)
		switch {
		case err == nil:
			r.Kinds = append(r.Kinds, kind)
		default:
			damage(err)
			refused = append(refused, kind+": "+err.Error())
			r.Damage = 0
		}
	}
	switch {
	case strings.HasPrefix(string(head), "regf"):
		try("hive", func(bad func(error)) error { return readHive(name, bad) })
	case strings.HasPrefix(string(head), "PReg"):
		try("policy", func(func(error)) error {
			data, err := os.ReadFile(name)
			if err == nil {
				_, err = registry.ParsePol(data)
			}
			return err
		})
	case strings.HasPrefix(string(head), "SQLite format"):
		try("packages", func(bad func(error)) error { return readPackages(name) })
		try("database", func(bad func(error)) error { return readDatabase(name) })
	default:
		try("image", func(bad func(error)) error { return readImage(name, bad) })
		if info.Size() <= statement.MaxSize {
			try("statement", func(func(error)) error {
				data, err := os.ReadFile(name)
				if err == nil {
					_, err = statement.Parse("document", data)
				}
				if err != nil {
					err = fmt.Errorf("%w: %v", errNothing, err)
				}
				return err
			})
		}
		try("packages", func(bad func(error)) error { return readPackages(name) })
	}
	if len(r.Kinds) == 0 {
		r.Refused = strings.Join(refused, "; ")
	}
	return r
}

func readHive(name string, bad func(error)) error {
	open := func(name string) (*os.File, int64, error) {
		f, err := os.Open(name)
		if err != nil {
			return nil, 0, err
		}
		info, err := f.Stat()
		return f, info.Size(), err
	}
	var o registry.Options
	for _, suffix := range []string{".LOG", ".LOG1", ".LOG2"} {
		if f, size, err := open(name + suffix); err == nil {
			defer f.Close()
			o.Logs = append(o.Logs, registry.Log{Name: suffix, R: f, Size: size})
		}
	}
	f, size, err := open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	h, err := registry.Open(context.Background(), f, size, o)
	if err != nil {
		return err
	}
	if err := h.Recovery().Err; err != nil {
		bad(err)
	}
	tell := func(err error) {
		if err != nil {
			bad(err)
		}
	}
	err = h.Walk(func(k *registry.Key, err error) error {
		tell(err)
		values, err := k.Values()
		tell(err)
		for _, v := range values {
			_, err := v.Data()
			tell(err)
		}
		_, err = k.ClassName()
		tell(err)
		_, err = k.SecurityDescriptor()
		tell(err)
		_, err = k.SymbolicLink()
		tell(err)
		return nil
	})
	tell(err)
	return nil
}

func readDatabase(name string) error {
	db, err := sqlitefs.Open(context.Background(), os.DirFS(filepath.Dir(name)), filepath.Base(name))
	if err != nil {
		return err
	}
	defer db.Close()
	for _, table := range []string{"Package", "Packages", "packages", "urls", "sms"} {
		columns, err := db.Columns(table)
		if errors.Is(err, sqlitefs.ErrMissing) {
			continue
		}
		if err != nil {
			return err
		}
		return db.Rows(table, columns, 1<<20, func([]sqlitefs.Value) error { return nil })
	}
	return nil
}

// readPackages reads a file in the place of each kind of package database.
func readPackages(name string) error {
	var all error
	for _, place := range []string{"var/lib/rpm/Packages", "var/lib/rpm/Packages.db", "var/lib/rpm/rpmdb.sqlite",
		"var/lib/dpkg/status"} {
		root, err := os.MkdirTemp(filepath.Dir(name), "root")
		if err != nil {
			return err
		}
		defer os.RemoveAll(root)
		if err := os.MkdirAll(filepath.Join(root, path.Dir(place)), 0o700); err != nil {
			return err
		}
		if err := os.Link(name, filepath.Join(root, place)); err != nil {
			return err
		}
		db, err := packages.Open(context.Background(), os.DirFS(root))
		if err == nil {
			var list []packages.Package
			if list, err = db.Packages(); err == nil && len(list) == 0 {
				err = fmt.Errorf("%w: no packages", errNothing)
			}
		}
		if err == nil {
			return nil
		}
		all = errors.Join(all, err)
	}
	return all
}

func readImage(name string, bad func(error)) error {
	image, err := scanner.OpenOne(context.Background(), scanner.File(name))
	if err != nil {
		return err
	}
	defer image.Close()
	scanner.AssembleLVM(image)
	if image.Incomplete != nil {
		bad(image.Incomplete)
	}
	var refused error
	read := 0
	for _, v := range image.Volumes() {
		if err := readVolume(v, bad); err != nil {
			refused = errors.Join(refused, err)
			continue
		}
		read++
	}
	switch {
	case read == 0 && refused == nil:
		return fmt.Errorf("%w: no volumes", errNothing)
	case read == 0:
		return refused
	case refused != nil:
		bad(refused)
	}
	return nil
}

// tree is what is read of a volume, whatever filesystem is on it.
type tree interface {
	fs.ReadDirFS
	fs.ReadLinkFS
}

func readVolume(v *disk.Volume, bad func(error)) error {
	if v.Err != nil {
		return v.Err
	}
	var fsys tree
	switch v.Filesystem {
	case disk.NTFS:
		f, err := ntfs.Open(context.Background(), v, v.Size, ntfs.Options{})
		if err != nil {
			return err
		}
		for range f.Damage().Count {
			bad(ntfs.ErrCorrupt)
		}
		if _, err := f.Tree("."); err != nil {
			bad(err)
		}
		fsys = f
	case disk.Ext2, disk.Ext3, disk.Ext4:
		f, err := ext4.Open(context.Background(), v, v.Size, ext4.Options{Stale: true})
		if err != nil {
			return err
		}
		if err := f.Volume().Journal.Err; err != nil {
			bad(err)
		}
		if _, err := f.Tree("."); err != nil {
			bad(err)
		}
		for range f.Damage().Count {
			bad(ext4.ErrCorrupt)
		}
		fsys = f
	case disk.XFS:
		f, err := xfs.Open(context.Background(), v, v.Size, xfs.Options{Stale: true})
		if err != nil {
			return err
		}
		if err := f.Volume().Journal.Err; err != nil {
			bad(err)
		}
		if _, err := f.Tree("."); err != nil {
			bad(err)
		}
		for range f.Damage().Count {
			bad(xfs.ErrCorrupt)
		}
		fsys = f
	default:
		return fmt.Errorf("%w: %s", errNothing, v.Filesystem)
	}
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			bad(err)
			return nil
		}
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			_, err = fsys.ReadLink(name)
		case d.Type().IsRegular():
			err = readSome(fsys, name)
		}
		if err != nil {
			bad(err)
		}
		return nil
	})
}

// readSome reads the beginning and the end of a file: sparse ones may have
// terabytes.
func readSome(fsys fs.FS, name string) error {
	const some = 1 << 20
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, f, some); err != nil && err != io.EOF {
		return err
	}
	at := info.Size() - some
	if r, ok := f.(io.ReaderAt); ok && at > 0 {
		if _, err := r.ReadAt(make([]byte, some), at); err != nil && err != io.EOF {
			return err
		}
	}
	return nil
}
