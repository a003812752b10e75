package sqlitefs

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// makeDB writes a database and returns its files while it is still open, so
// that they include a write-ahead log.
func makeDB(t testing.TB, statements ...string) fstest.MapFS {
	t.Helper()
	dir := t.TempDir()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[e.Name()] = &fstest.MapFile{Data: data}
	}
	return files
}

// inWAL are statements after which rows 1 to 3 are in the database and 4 to
// 600 in its log, in three transactions.
var inWAL = []string{
	"PRAGMA page_size = 1024", "PRAGMA journal_mode = WAL", "PRAGMA wal_autocheckpoint = 0",
	"CREATE TABLE T (n INTEGER PRIMARY KEY, s TEXT, b BLOB)",
	"INSERT INTO T VALUES (1, 'a', NULL), (2, 'b', X'00FF'), (3, 'c', X'')",
	"PRAGMA wal_checkpoint(TRUNCATE)",
	"INSERT INTO T VALUES (4, 'd', NULL)",
	"WITH RECURSIVE c(n) AS (SELECT 5 UNION ALL SELECT n+1 FROM c WHERE n < 300) INSERT INTO T SELECT n, 'in the log', " +
		"NULL FROM c",
	"WITH RECURSIVE c(n) AS (SELECT 301 UNION ALL SELECT n+1 FROM c WHERE n < 600) INSERT INTO T SELECT n, 'in the " +
		"log', NULL FROM c",
}

func count(t testing.TB, files fs.FS) (int, WAL) {
	t.Helper()
	db, err := Open(t.Context(), files, "x.db")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := db.Rows("T", []string{"n"}, 1000, func([]Value) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	wal := db.WAL()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return n, wal
}

func TestRows(t *testing.T) {
	db, err := Open(t.Context(), makeDB(t, inWAL[:5]...), "x.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	columns, err := db.Columns("t")
	if diff := cmp.Diff([]string{"n", "s", "b"}, columns); diff != "" || err != nil {
		t.Errorf("columns: %v %s", err, diff)
	}
	var rows [][]Value
	err = db.Rows("t", []string{"N", "s", "b"}, 3, func(row []Value) error {
		rows = append(rows, append([]Value(nil), row...))
		return nil
	})
	want := [][]Value{{int64(1), "a", nil}, {int64(2), "b", []byte{0, 255}}, {int64(3), "c", []byte(nil)}}
	if diff := cmp.Diff(want, rows); diff != "" || err != nil {
		t.Errorf("rows: %v %s", err, diff)
	}
	stop := errors.New("stop")
	for _, tt := range []struct {
		table, column string
		limit         int
		row           error
		want          error
	}{
		{"t", "n", 2, nil, ErrUnsupported},
		{"t", "n", 3, stop, stop},
		{"t", "x", 3, nil, ErrMissing},
		{"t", "n, s", 3, nil, ErrMissing},
		{"x", "n", 3, nil, ErrMissing},
		{`t"; --`, "n", 3, nil, ErrMissing},
	} {
		err := db.Rows(tt.table, []string{tt.column}, tt.limit, func([]Value) error { return tt.row })
		if !errors.Is(err, tt.want) {
			t.Errorf("%s.%s, at most %d: %v, want %v", tt.table, tt.column, tt.limit, err, tt.want)
		}
	}
}

func TestWriteAheadLogIsRead(t *testing.T) {
	files := makeDB(t, inWAL...)
	n, wal := count(t, files)
	if n != 600 || wal.Commits != 3 || wal.Damaged != 0 || wal.Pending != 0 ||
		!strings.Contains(wal.Applied(), "3 transactions") || wal.Loss() != "" {
		t.Errorf("%d rows, %+v", n, wal)
	}
	if (len(files["x.db-wal"].Data)-walHeaderSize)/(frameHeaderSize+1024) != wal.Frames {
		t.Errorf("%d frames in a log of %d bytes", wal.Frames, len(files["x.db-wal"].Data))
	}
}

// A database in WAL mode that was closed has no log.
func TestWriteAheadLogIsGone(t *testing.T) {
	files := makeDB(t, inWAL...)
	for _, log := range []*fstest.MapFile{nil, {}} {
		delete(files, "x.db-wal")
		if log != nil {
			files["x.db-wal"] = log
		}
		if n, wal := count(t, files); n != 3 || wal.Present || wal.Applied() != "" {
			t.Errorf("log %v: %d rows, %+v", log, n, wal)
		}
	}
}

func TestDamagedWriteAheadLog(t *testing.T) {
	files := makeDB(t, inWAL...)
	whole := files["x.db-wal"].Data
	const frame = frameHeaderSize + 1024
	frames := (len(whole) - walHeaderSize) / frame
	damage := func(at int) []byte {
		d := append([]byte(nil), whole...)
		d[at] ^= 1
		return d
	}
	stale := append([]byte(nil), whole...)
	for i := walHeaderSize + frame*3; i < len(stale); i += frame {
		stale[i+8]-- // an older salt
	}
	for name, tt := range map[string]struct {
		log  []byte
		want WAL
	}{
		"first frame": {damage(walHeaderSize + frameHeaderSize), WAL{Damaged: frames, Lost: 2}},
		"later frame": {damage(walHeaderSize + frame*5 + 100),
			WAL{Frames: 1, Commits: 1, Pending: 4, Damaged: frames - 5, Lost: 2}},
		"page number 0": {zero(whole, walHeaderSize+frame*2, 4),
			WAL{Frames: 1, Commits: 1, Pending: 1, Damaged: frames - 2, Lost: 2}},
		"salt of one": {damage(walHeaderSize + frame*2 + 9),
			WAL{Frames: 1, Commits: 1, Pending: 1, Damaged: frames - 3, Lost: 2}},
		"torn":           {whole[:walHeaderSize+frame*4+50], WAL{Frames: 1, Commits: 1, Pending: 3, Damaged: 1}},
		"torn in header": {whole[:walHeaderSize+frame*4+5], WAL{Frames: 1, Commits: 1, Pending: 3}},
		"older frames":   {stale, WAL{Frames: 1, Commits: 1, Pending: 2}},
		"header sum":     {damage(24), WAL{Ignored: "the checksum of its header is wrong"}},
		"magic":          {damage(1), WAL{Ignored: "it does not begin as one"}},
		"zeros":          {zero(whole, 0, walHeaderSize), WAL{Ignored: "it does not begin as one", Zeros: true}},
		"last frame":     {damage(len(whole) - 1), WAL{Frames: 9, Commits: 2, Pending: frames - 10, Damaged: 1}},
		"page size":      {damage(8), WAL{Ignored: "its page size is 16778240"}},
		"header alone":   {whole[:walHeaderSize], WAL{}},
	} {
		t.Run(name, func(t *testing.T) {
			damaged := fstest.MapFS{"x.db": files["x.db"], "x.db-wal": {Data: tt.log}}
			n, wal := count(t, damaged)
			tt.want.Size, tt.want.Present = int64(len(tt.log)), len(tt.log) > walHeaderSize
			if diff := cmp.Diff(tt.want, wal); diff != "" {
				t.Error(diff)
			}
			if lost := wal.Damaged > 0 || wal.Ignored != ""; lost != (wal.Loss() != "") {
				t.Errorf("loss: %q", wal.Loss())
			}
			if lost := wal.Lost > 0 || wal.Ignored != "" && !wal.Zeros; lost != errors.Is(wal.Err(), ErrCorrupt) ||
				lost != (wal.Err() != nil) {
				t.Errorf("error: %v", wal.Err())
			}
			if want := recoveredCount(t, damaged); n != want {
				t.Errorf("%d rows, and after SQLite's own recovery %d", n, want)
			}
		})
	}
}

func zero(b []byte, at, n int) []byte {
	b = append([]byte(nil), b...)
	clear(b[at:][:n])
	return b
}

// recoveredCount lets SQLite recover a copy on the disk in its own way, and
// write to it.
func recoveredCount(t *testing.T, files fstest.MapFS) int {
	t.Helper()
	dir := t.TempDir()
	for name, f := range files {
		if err := os.WriteFile(filepath.Join(dir, name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err := db.QueryRow("SELECT count(*) FROM T").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestOpenRefuses(t *testing.T) {
	good := makeDB(t, inWAL...)
	journal := func(data string) fstest.MapFS {
		return fstest.MapFS{"x.db": good["x.db"], "x.db-wal": good["x.db-wal"], "x.db-journal": {Data: []byte(data)}}
	}
	for name, tt := range map[string]struct {
		files fs.FS
		want  error // nil: it opens
	}{
		"nothing there":        {fstest.MapFS{}, fs.ErrNotExist},
		"empty":                {fstest.MapFS{"x.db": {}}, ErrCorrupt},
		"cut in its header":    {fstest.MapFS{"x.db": {Data: good["x.db"].Data[:99]}}, ErrCorrupt},
		"another file":         {fstest.MapFS{"x.db": {Data: make([]byte, 4096)}}, ErrCorrupt},
		"a folder":             {fstest.MapFS{"x.db/y": {}}, ErrUnsupported},
		"hot journal":          {journal("\xd9\xd5\x05\xf9 and so on"), ErrUnsupported},
		"journal of the past":  {journal("\x00\x00\x00\x00 and so on"), nil},
		"truncated journal":    {journal(""), nil},
		"log cannot be looked": {failing{good, "x.db-wal", 0}, errDisk},
		"journal cannot be":    {failing{journal("x"), "x.db-journal", 0}, errDisk},
		"log of other pages": {fstest.MapFS{"x.db": {Data: zero(good["x.db"].Data, 16, 1)}, "x.db-wal": good["x.db-wal"]},
			ErrCorrupt},
	} {
		db, err := Open(t.Context(), tt.files, "x.db")
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if err == nil {
			db.Close()
		}
	}
}

var errDisk = errors.New("the disk has a bad sector")

// failing fails to open a file, or to read it from an offset on.
type failing struct {
	fs.FS
	name string
	from int64
}

func (f failing) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	if err != nil || name != f.name {
		return file, err
	}
	if f.from == 0 {
		return nil, errDisk
	}
	return badFile{file, f.from}, nil
}

type badFile struct {
	fs.File
	from int64
}

func (f badFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= f.from {
		return 0, errDisk
	}
	return f.File.(interface {
		ReadAt([]byte, int64) (int, error)
	}).ReadAt(p, off)
}

func TestErrorsOfTheDiskComeThrough(t *testing.T) {
	files := makeDB(t, inWAL...)
	delete(files, "x.db-wal")
	db, err := Open(t.Context(), failing{files, "x.db", 1024}, "x.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Rows("T", []string{"n"}, 1000, func([]Value) error { return nil })
	if !errors.Is(err, errDisk) || errors.Is(err, ErrCorrupt) {
		t.Errorf("%v", err)
	}
}

func TestDamagedPagesAreFound(t *testing.T) {
	files := makeDB(t, append(inWAL[:5:5],
		"WITH RECURSIVE c(n) AS (SELECT 5 UNION ALL SELECT n+1 FROM c WHERE n < 600) INSERT INTO T SELECT n, 'long enough "+
			"for some pages', NULL FROM c",
		"PRAGMA wal_checkpoint(TRUNCATE)")...)
	whole := files["x.db"].Data
	for name, change := range map[string]func([]byte) []byte{
		"cells that a smaller count hides": func(d []byte) []byte { d[3*1024+4]--; return d },
		"a page that is zero":              func(d []byte) []byte { return zero(d, 4*1024, 1024) },
		"a file that is cut":               func(d []byte) []byte { return d[:5*1024] },
	} {
		damaged := change(append([]byte(nil), whole...))
		db, err := Open(t.Context(), fstest.MapFS{"x.db": {Data: damaged}}, "x.db")
		if err != nil {
			t.Fatal(err)
		}
		err = db.Rows("T", []string{"n"}, 1000, func([]Value) error { return nil })
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		db.Close()
	}
}

func TestHostileSchema(t *testing.T) {
	files := makeDB(t,
		"CREATE VIEW T AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c) SELECT n FROM c",
		"CREATE TABLE Big (b)", "INSERT INTO Big VALUES (zeroblob("+fmt.Sprint(maxValue+1)+"))",
		"CREATE TABLE Fits (b)", "INSERT INTO Fits VALUES (zeroblob("+fmt.Sprint(maxValue-100)+"))",
		"CREATE TABLE Own (n INTEGER, s TEXT COLLATE NOCASE)", "CREATE INDEX I ON Own (s)", "INSERT INTO Own VALUES (1, 'a')",
		"PRAGMA writable_schema = 1", "UPDATE sqlite_schema SET sql = replace(sql, 'NOCASE', 'ITS_OWN') WHERE name = 'Own'")
	db, err := Open(t.Context(), files, "x.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for table, want := range map[string]error{"T": ErrUnsupported, "Big": ErrCorrupt, "Fits": nil, "Own": nil} {
		column := map[string]string{"T": "n", "Own": "n"}[table]
		if column == "" {
			column = "b"
		}
		err := db.Rows(table, []string{column}, 10, func([]Value) error { return nil })
		if !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("%s: %v, want %v", table, err, want)
		}
	}
	if len(db.Notes()) != 1 || !strings.Contains(db.Notes()[0], "Own") {
		t.Errorf("notes: %q", db.Notes())
	}
}

func TestContextEndsTheWork(t *testing.T) {
	files := makeDB(t, inWAL...)
	ctx, cancel := context.WithCancel(t.Context())
	db, err := Open(ctx, files, "x.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	n := 0
	err = db.Rows("T", []string{"n"}, 1000, func([]Value) error {
		if n++; n == 10 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n != 10 {
		t.Errorf("%d rows, %v", n, err)
	}
	if _, err := db.Columns("T"); !errors.Is(err, context.Canceled) {
		t.Errorf("afterwards: %v", err)
	}
	expired, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	if _, err := Open(expired, files, "x.db"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("expired: %v", err)
	}
}

func TestPanicIsAnError(t *testing.T) {
	files := makeDB(t, inWAL[:5]...)
	db, err := Open(t.Context(), files, "x.db")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.Rows("T", []string{"n"}, 10, func([]Value) error { panic("as the library might") })
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "as the library might") {
		t.Errorf("%v", err)
	}
}

func TestCorpus(t *testing.T) {
	for name, tt := range map[string]struct {
		log, table, column string
		rows               int
	}{
		"sqlite/log2timeline__plaso/test_data/wal_database.db": {
			"sqlite/log2timeline__plaso/test_data/wal_database.db-wal", "MyTable", "Field1", 11},
		"sqlite/log2timeline__plaso/test_data/windows/ActivitiesCache.db": {"", "Activity", "Id", 112},
		"linux/knqyf263__go-rpmdb/pkg/testdata/cbl-mariner-2.0/rpmdb.sqlite.gz": {"", "Packages", "blob",
			129},
		"linux/gomod__google__osv-scalibr/extractor/filesystem/os/rpm/testdata/rpmdb.sqlite.gz": {"", "Packages", "blob",
			141},
		"hives/msuhanov__yarp/hives_for_tests/SqliteFragment.sqlite": {"", "values", "name", 17},
	} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			files := fstest.MapFS{"x.db": {Data: testenv.CorpusFile(t, name)}}
			if tt.log != "" {
				files["x.db-wal"] = &fstest.MapFile{Data: testenv.CorpusFile(t, tt.log)}
			}
			db, err := Open(t.Context(), files, "x.db")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			n := 0
			err = db.Rows(tt.table, []string{tt.column}, 100_000, func([]Value) error { n++; return nil })
			if err != nil || n != tt.rows {
				t.Errorf("%d rows, want %d: %v", n, tt.rows, err)
			}
		})
	}
}

// FuzzOpen damages a database and its log: nothing but errors comes of it.
// The damage is a row of three bytes: where, which counts through the
// database and then the log, and what to change there.
func FuzzOpen(f *testing.F) {
	files := makeDB(f, append([]string{"PRAGMA page_size = 512"}, inWAL[1:7]...)...)
	data, log := files["x.db"].Data, files["x.db-wal"].Data
	f.Add([]byte{})
	f.Add([]byte{0, 19, 3, 4, 3, 0xFF})
	f.Add([]byte{8, 100, 1})
	f.Fuzz(func(t *testing.T, damage []byte) {
		all := append(append([]byte(nil), data...), log...)
		for ; len(damage) >= 3; damage = damage[3:] {
			all[(int(damage[0])<<8|int(damage[1]))%len(all)] ^= damage[2]
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		db, err := Open(ctx, fstest.MapFS{"x.db": {Data: all[:len(data)]}, "x.db-wal": {Data: all[len(data):]}}, "x.db")
		if err == nil {
			err = db.Rows("T", []string{"n", "s", "b"}, 10_000, func([]Value) error { return nil })
			if closed := db.Close(); closed != nil {
				t.Errorf("close: %v", closed)
			}
		}
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it took too long: %v", err)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrMissing) {
			t.Errorf("an error of no kind: %v", err)
		}
	})
}
