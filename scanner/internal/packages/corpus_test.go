package packages

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// corpusRPM are the rpm databases of the corpus and what rpm 4.18 says of them:
// the number of packages, and the first 16 digits of the SHA-256 of the lines
// of packages and files that askPackages and askFiles give. What it says of the
// NDB, which it was not built for, is of the same headers in SQLite.
var corpusRPM = []struct {
	file            string
	form            string
	count           int
	packages, files string
}{
	{"anchore__syft/cmd/syft/internal/test/integration/testdata/image-pkg-coverage/pkgs/var/lib/rpm/Packages", "Packages",
		1, "48c53a0fa57d9a2e", "dccdbd7b7c81993b"},
	{"gomod__google__osv-scalibr/extractor/filesystem/os/rpm/testdata/Packages.gz", "Packages", 148, "a443aac7f50b8a2e",
		"74936b8ee02a96f5"},
	{"gomod__google__osv-scalibr/extractor/filesystem/os/rpm/testdata/rpmdb.sqlite.gz", "rpmdb.sqlite", 141,
		"8f1ee751753768b0", "8de89dc39c16e22f"},
	{"gomod__knqyf263__go-rpmdb/pkg/testdata/centos5-plain/Packages.gz", "Packages", 110, "32948672ce6c6ca9",
		"efed89fd7fec6734"},
	{"gomod__knqyf263__go-rpmdb/pkg/testdata/centos7-plain/Packages.gz", "Packages", 144, "2689d928bcb5b323",
		"897a530622d68eaf"},
	{"gomod__knqyf263__go-rpmdb/pkg/testdata/centos8-modularitylabel/Packages.gz", "Packages", 518, "96373e8143187038",
		"92cf37881f751bdc"},
	{"google__osv-scalibr/extractor/filesystem/os/rpm/testdata/Packages_epoch", "Packages", 1, "9d81667313e8d959",
		"e82240f74be9c3e0"},
	{"knqyf263__go-rpmdb/pkg/testdata/cbl-mariner-2.0/rpmdb.sqlite.gz", "rpmdb.sqlite", 129, "6f5cf6e97c857fe4",
		"d0068b1fd5cff6cb"},
	{"knqyf263__go-rpmdb/pkg/testdata/sle15-bci/Packages.db.gz", "Packages.db", 35, "f8c963be9ed46cfa",
		"a4161aa50e318e32"},
}

func digest(lines string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(lines)))[:16] }

func TestCorpusRPM(t *testing.T) {
	for _, tt := range corpusRPM {
		t.Run(tt.file, func(t *testing.T) {
			db, err := Open(t.Context(), rpmRoot("var/lib/rpm/"+tt.form, testenv.CorpusFile(t, "linux/"+tt.file)))
			if err != nil {
				t.Fatal(err)
			}
			if n := len(db.packages); n != tt.count {
				t.Errorf("%d packages, want %d", n, tt.count)
			}
			if got := digest(packageLines(db)); got != tt.packages {
				t.Errorf("packages differ from rpm's: %s", got)
			}
			if got := digest(fileLines(t, db)); got != tt.files {
				t.Errorf("files differ from rpm's: %s", got)
			}
			if len(db.Notes()) != 0 {
				t.Errorf("notes: %q", db.Notes())
			}
		})
	}
}

// Every file of the corpus that could be a database, in the place of one: it is
// read, or refused with a reason.
func TestCorpusIsReadOrRefused(t *testing.T) {
	root := filepath.Join(testenv.Corpus(t), "linux")
	places := []string{"var/lib/rpm/Packages", "var/lib/rpm/Packages.db", "var/lib/rpm/rpmdb.sqlite",
		"var/lib/dpkg/status", "var/lib/dpkg/status.d/x"}
	count := 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, _ := filepath.Rel(root, path)
		data := testenv.CorpusFile(t, "linux/"+filepath.ToSlash(name))
		for _, place := range places {
			db, err := Open(t.Context(), rpmRoot(place, data))
			if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s as %s: %v", name, place, err)
			}
			if err == nil && len(db.packages) > 0 {
				count++
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if count < 20 {
		t.Errorf("only %d were read", count)
	}
}

// The folders of the corpus that are laid out as on a system.
func TestCorpusRoots(t *testing.T) {
	root := filepath.Join(testenv.Corpus(t), "linux", "anchore__syft")
	for dir, tt := range map[string]struct {
		packages string
		err      error
		note     string
	}{
		"cmd/syft/internal/test/integration/testdata/image-pkg-coverage/pkgs": {
			"apt 1.8.2 amd64;dash 0.5.8-2.4 amd64;netbase 5.4 all", nil, "var/lib/rpm/Packages, has 1 installed packages"},
		"syft/pkg/cataloger/debian/testdata/image-distroless-deb": {"libsqlite3-0 3.34.1-3 arm64", nil, ""},
		"syft/pkg/cataloger/debian/testdata/image-dpkg":           {"", ErrCorrupt, ""}, // which dpkg refuses too
	} {
		db, err := Open(t.Context(), os.DirFS(filepath.Join(root, dir)))
		if db == nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range db.packages {
			got = append(got, p.Name+" "+p.EVR()+" "+p.Arch)
		}
		if strings.Join(got, ";") != tt.packages || !errors.Is(err, tt.err) ||
			!strings.Contains(strings.Join(db.Notes(), ";"), tt.note) {
			t.Errorf("%s: %q, %v, notes %q", dir, got, err, db.Notes())
		}
	}
}
