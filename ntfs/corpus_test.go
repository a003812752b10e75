package ntfs

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// flsLines lists every $DATA, every directory and every view index as
// `fls -r -p` prints its allocated entries: type, record, attribute and path.
// The id of an attribute in an extension record is one that fls makes up; it
// is left out, as withoutID leaves it out of what fls prints.
func flsLines(t testing.TB, f *FS) []string {
	t.Helper()
	var lines []string
	err := fs.WalkDir(f, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		record := uint32(info.Sys().(*Entry).Record)
		ino, err := f.load(record)
		if err != nil {
			return err
		}
		_, own, err := f.readRecord(record)
		if err != nil {
			return err
		}
		listed := slices.ContainsFunc(own, func(a attribute) bool { return a.kind == typeAttributeList })
		seen := map[string]bool{}
		for _, a := range ino.attributes {
			name := decodeName(a.name)
			key := fmt.Sprint(a.kind, name)
			if a.kind != typeData && a.kind != typeIndexRoot || seen[key] {
				continue
			}
			seen[key] = true
			kind := "r/r"
			if d.IsDir() && a.kind == typeData {
				kind = "d/r"
			}
			if a.kind == typeIndexRoot && name == "$I30" {
				kind, name = "d/d", ""
			}
			if name != "" {
				name = ":" + name
			}
			line := fmt.Sprintf("%s %d-%d-%d:\t%s%s", kind, record, a.kind, a.id, path, name)
			if listed {
				line = withoutID(line)
			}
			lines = append(lines, line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

func withoutID(line string) string {
	id, path, _ := strings.Cut(line, ":")
	return id[:strings.LastIndexByte(id, '-')] + ":" + path
}

// flsLive keeps the allocated entries of a listing by fls.
func flsLive(out []byte) []string {
	var lines []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimRight(line, "\n")
		if line != "" && !strings.Contains(line, "* ") && !strings.Contains(line, "$OrphanFiles") {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

// corpusImages are the NTFS volumes of the corpus and where they begin in
// their images, in sectors.
var corpusImages = []struct {
	name   string
	sector int64
	want   Volume
}{
	{"ntfs/ColinFinck__ntfs/testdata/testfs1.gz", 0,
		Volume{Label: "mylabel", Journal: Journal{State: JournalEmpty}, ClusterSize: 512, Clusters: 4095, Records: 581,
			InUse: 536}},
	{"ntfs/gomod__velocidex__go-ntfs/parser/test_data/test.ntfs.dd.gz", 0,
		Volume{Label: "Test Volume", Journal: Journal{State: JournalClean}, ClusterSize: 1024, Clusters: 10239, Records: 256,
			InUse: 38}},
	{"ntfs/msuhanov__ntfs-samples/ntfs-lastaccess.raw.gz", 128,
		Volume{Label: "Last access", Journal: Journal{State: JournalClean}, ClusterSize: 4096, Clusters: 64767, Records: 256,
			InUse: 36}},
	{"ntfs/msuhanov__ntfs-samples/ntfs-ptrn.raw.gz", 128,
		Volume{Label: "Slack", Journal: Journal{State: JournalClean}, ClusterSize: 4096, Clusters: 261375, Records: 256,
			InUse: 37}},
	{"ntfs/msuhanov__ntfs-samples/ntfs-si-vs-fn.raw.gz", 128,
		Volume{Label: "SI-vs-FN", Journal: Journal{State: JournalClean}, ClusterSize: 4096, Clusters: 261375, Records: 256,
			InUse: 32}},
}

func corpusImage(t testing.TB, name string, sector int64) []byte {
	t.Helper()
	return testenv.CorpusFile(t, name)[512*sector:]
}

// The volumes of the corpus list as fls lists them, by the lists that were
// kept of it, and read as icat reads them.
func TestCorpus(t *testing.T) {
	var features map[string][]struct {
		Live   int    `json:"fls_live"`
		Digest string `json:"live_sha"`
	}
	if err := json.Unmarshal(testenv.CorpusFile(t, "_oracle/ntfs_features.json"), &features); err != nil {
		t.Fatal(err)
	}
	for _, image := range corpusImages {
		t.Run(filepath.Base(image.name), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image")
			unpackSparse(t, image.name, path)
			file, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			info, err := file.Stat()
			if err != nil {
				t.Fatal(err)
			}
			size := info.Size() - 512*image.sector
			f, err := Open(context.Background(), io.NewSectionReader(file, 512*image.sector, size), size, Options{})
			if err != nil {
				t.Fatal(err)
			}
			v := f.Volume()
			if v.Serial == 0 || v.Size != v.Clusters*int64(v.ClusterSize) && v.Size/int64(v.ClusterSize) != v.Clusters {
				t.Errorf("%+v", v)
			}
			got := Volume{Label: v.Label, Journal: v.Journal, ClusterSize: v.ClusterSize, Clusters: v.Clusters,
				Records: v.Records, InUse: v.InUse}
			if diff := cmp.Diff(image.want, got); diff != "" {
				t.Error(diff)
			}
			if v.Version != "3.1" || v.Dirty || v.Err != nil || v.RecordSize != 1024 || v.SectorSize != 512 {
				t.Errorf("%+v", v)
			}
			if d := f.Damage(); d.Count != 0 || d.Orphans != 0 || len(d.Notes) != 0 {
				t.Errorf("damage: %+v", d)
			}

			suffix := ".fls.txt"
			if image.sector > 0 {
				suffix = fmt.Sprintf(".o%d%s", image.sector, suffix)
			}
			want := flsLive(testenv.CorpusFile(t, "_oracle/"+strings.ReplaceAll(image.name, "/", "_")+suffix))
			if f := features[image.name][0]; len(want) != f.Live || digest(want) != f.Digest {
				t.Fatalf("the oracle's list has %d entries with digest %s, its features say %d with %s", len(want), digest(want),
					f.Live, f.Digest)
			}
			if diff := cmp.Diff(listed(f, t, want), flsLines(t, f)); diff != "" {
				t.Error(diff)
			}
			// They read byte by byte, which takes seconds for the larger volume.
			if size < 4<<20 || size < 16<<20 && testenv.Nightly() {
				if err := fstest.TestFS(f, "$MFT", "$Extend/$ObjId"); err != nil {
					t.Error(err)
				}
			}

			testenv.Tool(t, "icat")
			compareWithIcat(t, f, path, image.sector, want)
		})
	}
}

// unpackSparse unpacks a file of the corpus that ends in .gz into a file, but
// for what is zero.
func unpackSparse(t testing.TB, name, path string) {
	t.Helper()
	packed, err := os.Open(filepath.Join(testenv.Corpus(t), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	size := int64(0)
	for buf := make([]byte, 256<<10); ; {
		n, err := io.ReadFull(r, buf)
		if bytes.Count(buf[:n], []byte{0}) != n {
			if _, err := file.WriteAt(buf[:n], size); err != nil {
				t.Fatal(err)
			}
		}
		size += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Truncate(size); err != nil {
		t.Fatal(err)
	}
}

// digest is that of a listing: 16 hex digits of the SHA-256 of its lines.
func digest(lines []string) string {
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:8])
}

// listed leaves the ids out of those lines that flsLines has none for.
func listed(f *FS, t testing.TB, lines []string) []string {
	without := map[string]bool{}
	for _, line := range flsLines(t, f) {
		without[line] = true
	}
	lines = slices.Clone(lines)
	for i, line := range lines {
		if short := withoutID(line); without[short] {
			lines[i] = short
		}
	}
	slices.Sort(lines)
	return lines
}

// compareWithIcat reads every stream that fls lists with icat too.
func compareWithIcat(t *testing.T, f *FS, image string, sector int64, lines []string) {
	t.Helper()
	compared := 0
	for _, line := range lines {
		id, path, _ := strings.Cut(strings.TrimPrefix(line, "r/r "), ":\t")
		if !strings.Contains(id, "-128-") || strings.HasPrefix(path, "$BadClus:") {
			continue // an index, or a hole of the volume's size
		}
		name, stream, _ := strings.Cut(path, ":")
		data, err := readStream(f, name, stream)
		if err != nil {
			t.Error(err)
			continue
		}
		want, err := exec.Command("icat", "-o", fmt.Sprint(sector), image, id).Output()
		if err != nil {
			t.Fatalf("icat %s: %v", id, err)
		}
		if !bytes.Equal(data, want) {
			t.Errorf("%s: %d bytes differ from icat's %d", path, len(data), len(want))
		}
		compared++
	}
	if compared < 5 {
		t.Errorf("only %d streams compared", compared)
	}
}

func readStream(f *FS, name, stream string) ([]byte, error) {
	file, err := f.OpenStream(name, stream)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}

// The NTFS partitions in containers are those of raw images, too.
func TestCorpusContainers(t *testing.T) {
	testenv.Tool(t, "qemu-img", "fls", "icat")
	for _, image := range []struct {
		name           string
		sector, length int64
	}{
		{"images/gomod__google__osv-scalibr/extractor/filesystem/embeddedfs/" +
			"vdi/testdata/valid-ext-exfat-fat32-ntfs-dynamic.vdi.gz", 30720, 10207},
		{"images/google__osv-scalibr/extractor/filesystem/embeddedfs/qcow2/testdata/valid-ext-exfat-fat32-ntfs.qcow2.gz",
			393216, 129024},
	} {
		t.Run(filepath.Base(image.name), func(t *testing.T) {
			dir := t.TempDir()
			packed, raw := filepath.Join(dir, "packed"), filepath.Join(dir, "raw")
			if err := os.WriteFile(packed, testenv.CorpusFile(t, image.name), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("qemu-img", "convert", "-O", "raw", packed, raw).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			whole, err := os.ReadFile(raw)
			if err != nil {
				t.Fatal(err)
			}
			volume := whole[512*image.sector:][:512*image.length]
			path := filepath.Join(dir, "volume")
			if err := os.WriteFile(path, volume, 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("fls", "-r", "-p", path).Output()
			if err != nil {
				t.Fatal(err)
			}
			want := flsLive(out)
			if len(want) < 20 {
				t.Errorf("fls lists %d entries", len(want))
			}
			f, err := openBytes(volume)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(listed(f, t, want), flsLines(t, f)); diff != "" {
				t.Error(diff)
			}
			if d := f.Damage(); d.Count != 0 || len(d.Notes) != 0 {
				t.Errorf("%+v", d)
			}
			compareWithIcat(t, f, path, 0, want)
		})
	}
}

// A $MFT without its volume, as collectors keep it, and single records: every
// record is read or refused with a reason.
func TestCorpusRecords(t *testing.T) {
	t.Run("$MFT", func(t *testing.T) {
		mft := testenv.CorpusFile(t, "ntfs/EricZimmerman__MFT/MFT.Test/TestFiles/xw/$MFT")
		inUse, refused, names := 0, 0, 0
		for at := 0; at+1024 <= len(mft); at += 1024 {
			r, why := openRecord(mft[at:at+1024], uint32(at/1024))
			if why != readable {
				t.Logf("record %d %v", at/1024, why)
				refused++
				continue
			}
			if r.flags&recordInUse == 0 {
				continue
			}
			inUse++
			attributes, why := decodeAttributes(r)
			if why != readable {
				t.Logf("record %d %v", at/1024, why)
				refused++
			}
			for _, a := range attributes {
				if a.kind == typeFileName {
					if _, why := parseFileName(a.value); why != readable {
						t.Errorf("record %d %v", at/1024, why)
					}
					names++
				}
			}
		}
		if inUse != 466 || names != 648 || refused != 14 { // it was made to have damaged records
			t.Errorf("%d in use with %d names, %d refused", inUse, names, refused)
		}
		t.Logf("%d records in use with %d names", inUse, names)
	})
	for _, name := range []string{"samples/entry_data_run_at_offset", "samples/entry_single_file",
		"testdata/entry_long_name_and_res_ads_002"} {
		t.Run(name, func(t *testing.T) {
			record := testenv.CorpusFile(t, "ntfs/omerbenamram__mft/"+name)
			number := uint32(0)
			if binary.LittleEndian.Uint16(record[4:]) >= 48 {
				number = binary.LittleEndian.Uint32(record[44:])
			}
			r, why := openRecord(record, number)
			if why != readable {
				t.Logf("refused: it %v", why)
				return
			}
			attributes, why := decodeAttributes(r)
			if why != readable || len(attributes) == 0 {
				t.Errorf("%d attributes, it %v", len(attributes), why)
			}
			for _, a := range attributes {
				if !a.resident {
					runs, err := appendRuns(nil, a.value, a.lowest, 1<<40)
					t.Logf("attribute 0x%X: %d runs, %v", a.kind, len(runs), err)
				}
			}
		})
	}
	for _, name := range []string{"attribute_nonresident_001", "attribute_nonresident_002", "attribute_resident_001"} {
		t.Run(name, func(t *testing.T) {
			data := testenv.CorpusFile(t, "ntfs/omerbenamram__mft/testdata/"+name)
			var a attribute
			_, why := next(data, &a)
			t.Logf("0x%X, resident %v, %d bytes: %v", a.kind, a.resident, a.size, why)
			if why == readable && !a.resident {
				if _, err := appendRuns(nil, a.value, a.lowest, 1<<40); err != nil {
					t.Error(err)
				}
			}
		})
	}
	t.Run("$Boot", func(t *testing.T) {
		b, err := parseBoot(testenv.CorpusFile(t, "ntfs/EricZimmerman__MFT/MFT.Test/TestFiles/Boot/$Boot"))
		if err != nil || b.clusterSize != 4096 || b.recordSize != 1024 {
			t.Errorf("%+v, %v", b, err)
		}
	})
}
