package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// A census is what a walk over a whole hive finds.
type census struct {
	keys, values int
	digest       string  // as the corpus defines it: over sorted lines of all keys and values
	errs         []error // damage met on the way
}

func (c census) String() string { return fmt.Sprintf("%d %d %s", c.keys, c.values, c.digest) }

// count reads everything in a hive.
func count(h *Hive) census {
	var c census
	var lines []string
	fail := func(err error) { c.errs = append(c.errs, err) }
	err := h.Walk(func(k *Key, err error) error {
		if err != nil {
			fail(err)
			return nil
		}
		c.keys++
		path := k.Path()
		lines = append(lines, "K|"+path)
		values, err := k.Values()
		if err != nil {
			fail(err)
		}
		for _, v := range values {
			c.values++
			data, err := v.Data()
			if err != nil {
				fail(err)
				continue
			}
			sum := sha256.Sum256(data)
			lines = append(lines, fmt.Sprintf("V|%s|%s|%d|%s", path, v.Name(), v.Type(), hex.EncodeToString(sum[:])))
			v.Offset()
			v.Recovered()
		}
		if _, err := k.ClassName(); err != nil {
			fail(err)
		}
		if _, err := k.SecurityDescriptor(); err != nil {
			fail(err)
		}
		if _, err := k.SymbolicLink(); err != nil {
			fail(err)
		}
		return nil
	})
	if err != nil {
		fail(err)
	}
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	c.digest = hex.EncodeToString(sum[:])[:16]
	return c
}

func openBytes(data []byte, o Options) (*Hive, error) {
	switch *how {
	case "cache":
		o.InMemory = -1
	case "parts":
		o.Part = partsOf(3 * pageSize / 2)
	}
	return Open(context.Background(), bytes.NewReader(data), int64(len(data)), o)
}

func logOf(name string, data []byte) Log { return Log{name, bytes.NewReader(data), int64(len(data))} }

// A manifestRow is what the corpus' manifest says of a file.
type manifestRow struct {
	path   string
	oracle string // what independent tools say of it
}

func (r manifestRow) isHive() bool { return strings.HasPrefix(r.oracle, "HIVE") }

// corpusManifest returns the rows of the files below hives.
func corpusManifest(t *testing.T) []manifestRow {
	t.Helper()
	f, err := os.Open(filepath.Join(testenv.Corpus(t), "MANIFEST.tsv"))
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
	path, oracle := slices.Index(lines[0], "path"), slices.Index(lines[0], "oracle")
	var rows []manifestRow
	for _, l := range lines[1:] {
		if strings.HasPrefix(l[path], "hives/") {
			rows = append(rows, manifestRow{l[path], l[oracle]})
		}
	}
	return rows
}

// Every file among the corpus' hives is read to the end or refused with a reason. Where two of the three tools that
// the manifest quotes count alike, so do we; where yarp and hivex count alike, our digest is yarp's.
func TestCorpusHives(t *testing.T) {
	reglookup := regexp.MustCompile(`reglookup keys,values=(\d+ \d+) `)
	yarp := regexp.MustCompile(`digest=(\d+ \d+) none ([0-9a-f]{16})`)
	hivex := regexp.MustCompile(`n>16344=(\d+ \d+) (\d+) `)
	var hives int
	for _, row := range corpusManifest(t) {
		t.Run(strings.TrimPrefix(row.path, "hives/"), func(t *testing.T) {
			h, err := openBytes(testenv.CorpusFile(t, row.path), Options{NoRecovery: true})
			if err != nil {
				if row.isHive() {
					t.Fatal(err)
				}
				if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
					t.Fatalf("refused without a reason: %v", err)
				}
				t.Logf("refused: %v", err)
				return
			}
			c := count(h)
			t.Logf("read: %v, %d errors %v", c, len(c.errs), c.errs[:min(len(c.errs), 3)])
			if !row.isHive() {
				return
			}
			hives++
			if n := wrongHashes(h); n != 0 {
				t.Errorf("%d names have another hash than ours", n)
			}
			if err := absence(h); c.errs == nil && err != nil {
				t.Error(err)
			}
			counts := fmt.Sprint(c.keys, " ", c.values)
			said := map[string]int{}
			y, x, l := yarp.FindStringSubmatch(row.oracle), hivex.FindStringSubmatch(row.oracle),
				reglookup.FindStringSubmatch(row.oracle)
			for _, m := range [][]string{y, x, l} {
				if m != nil {
					said[m[1]]++
				}
			}
			for s, n := range said {
				if n >= 2 && s != counts {
					t.Errorf("keys and values: %s, %d tools count %s", counts, n, s)
				}
			}
			if y != nil && x != nil && y[1] == x[1] {
				if y[2] != c.digest {
					t.Errorf("digest %s, yarp's is %s", c.digest, y[2])
				}
				if c.errs != nil && x[2] == "0" {
					t.Errorf("damage that no tool sees: %v", c.errs)
				}
			}
		})
	}
	if hives == 0 {
		t.Error("the manifest has no hives")
	}
}

// wrongHashes returns how many elements of hash leaves do not have the hash we give their name.
func wrongHashes(h *Hive) (wrong int) {
	h.Walk(func(k *Key, err error) error {
		leaves, _, _ := k.leaves(nil)
		for _, l := range leaves {
			for i := range l.count {
				subkey, err := h.keyAt(l.offset(i), k)
				if err != nil || !l.hashed {
					continue
				}
				if w := want(subkey.Name()); w.hash != l.hash(i) {
					wrong++
				}
			}
		}
		return nil
	})
	return wrong
}

// absence asks every key for a subkey and a value that it does not have, and returns the first answer that is not
// fs.ErrNotExist.
func absence(h *Hive) error {
	const nothing = "no such name"
	return h.Walk(func(k *Key, _ error) error {
		if _, err := k.Subkey(nothing); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("subkey %q: %w", nothing, err)
		}
		if _, err := k.Value(nothing); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("value %q: %w", nothing, err)
		}
		return nil
	})
}

// Hives recovered from their logs are what other tools, for two of them Windows itself, make of them.
func TestCorpusRecovery(t *testing.T) {
	data, err := os.ReadFile(filepath.Join(testenv.Corpus(t), "_oracle", "hive_recovery.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Primary, Log, Log1, Log2 string
		YarpRecoverAuto          string `json:"yarp_recover_auto"`
	}
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	expectation := regexp.MustCompile(`^(\d+ \d+) (none|recovered=(\w+),is_new_log=\w+) ([0-9a-f]{16})$`)
	var recovered int
	for _, c := range cases {
		m := expectation.FindStringSubmatch(c.YarpRecoverAuto)
		if m == nil {
			continue // BadLogHive, for which yarp has no scheme: see TestCorpusHivesLeftAsTheyAre
		}
		var o Options
		for _, name := range []string{c.Log, c.Log1, c.Log2} {
			if name != "" {
				o.Logs = append(o.Logs, logOf(filepath.Base(name), corpusHive(t, name)))
			}
		}
		h, err := openBytes(corpusHive(t, c.Primary), o)
		if err != nil {
			t.Fatalf("%s: %v", c.Primary, err)
		}
		got := count(h)
		if want := m[1] + " " + m[4]; got.String() != want || got.errs != nil {
			t.Errorf("%s: %v with errors %v, want %s", c.Primary, got, got.errs, want)
		}
		if want := m[3] == "True"; (h.Recovery().State == Recovered) != want {
			t.Errorf("%s: %+v, recovered is to be %v", c.Primary, h.Recovery(), want)
		}
		if h.Recovery().State == Recovered {
			recovered++
		}
		t.Logf("%s: %v %+v", c.Primary, got, h.Recovery())
	}
	if recovered != 3 {
		t.Errorf("%d hives recovered, want 3", recovered)
	}
}

// A dirty hive whose log does not verify, and a clean hive with a log beside it, stay as they lie.
func TestCorpusHivesLeftAsTheyAre(t *testing.T) {
	for _, c := range []struct {
		hive string
		logs []string
		want State
	}{
		{"msuhanov__yarp/hives_for_tests/BadLogHive1/BadLogHive", []string{".LOG1", ".LOG2"}, Dirty},
		{"msuhanov__yarp/hives_for_tests/BadLogHive1/BadLogHive", nil, Dirty},
		{"log2timeline__dfwinreg/test_data/NTUSER.DAT", []string{".LOG"}, Clean},
		{"mkorman90__regipy/regipy_tests/data/UsrClass.dat", nil, Dirty},
	} {
		var o Options
		for _, suffix := range c.logs {
			o.Logs = append(o.Logs, logOf(suffix, corpusHive(t, c.hive+suffix)))
		}
		with, err := openBytes(corpusHive(t, c.hive), o)
		if err != nil {
			t.Fatal(err)
		}
		r := with.Recovery()
		if r.State != c.want || (r.State == Dirty) != errors.Is(r.Err, ErrDirty) || r.Pages != 0 {
			t.Errorf("%s with %q: %+v", c.hive, c.logs, r)
		}
		without, err := openBytes(corpusHive(t, c.hive), Options{NoRecovery: true})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := count(with).String(), count(without).String(); got != want {
			t.Errorf("%s with %q: %s, as it lies %s", c.hive, c.logs, got, want)
		}
		t.Logf("%s with %q: %v %v", c.hive, c.logs, r.State, r.Err)
	}
}

// The entries of logs whose hive is not there are read.
func TestCorpusLogs(t *testing.T) {
	const dir = "williballenthin__python-registry/testing/reg_samples/new_log_1/"
	for _, c := range []struct {
		log         string
		first, last uint32
	}{
		{dir + "SYSTEM.LOG1", 178, 185},
		{dir + "SYSTEM.LOG2", 186, 216},
		{"log2timeline__dfwinreg/test_data/NTUSER.DAT.LOG", 131, 131},
		{"mkorman90__regipy/regipy_tests/data/UsrClass.dat.LOG1", 287, 290},
		{"mkorman90__regipy/regipy_tests/data/UsrClass.dat.LOG2", 291, 300},
	} {
		f, err := openLog(logOf(c.log, corpusHive(t, c.log)), nil)
		if err != nil {
			t.Fatal(err)
		}
		if f.base.primary != c.first {
			t.Errorf("%s starts at %d, want %d", c.log, f.base.primary, c.first)
		}
		n, pages := f.base.primary, 0
		for ; ; n++ {
			e, err := f.readEntry(n)
			if err != nil {
				t.Fatalf("%s, entry %d: %v", c.log, n, err)
			}
			if e == nil {
				break
			}
			pages += len(e.pages)
		}
		if n-1 != c.last || pages == 0 {
			t.Errorf("%s ends at %d with %d pages, want %d", c.log, n-1, pages, c.last)
		}
	}
}

// corpusHive returns a file below hives, packed or not.
func corpusHive(t testing.TB, name string) []byte {
	t.Helper()
	name = "hives/" + name
	for _, suffix := range []string{".xz", ".gz", ".zst"} {
		if _, err := os.Stat(filepath.Join(testenv.Corpus(t), name+suffix)); err == nil {
			return testenv.CorpusFile(t, name+suffix)
		}
	}
	return testenv.CorpusFile(t, name)
}
