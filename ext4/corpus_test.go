package ext4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// flsKinds are the letters of fls for types of files.
func flsKind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "d"
	case m&fs.ModeSymlink != 0:
		return "l"
	case m&fs.ModeNamedPipe != 0:
		return "p"
	case m&fs.ModeSocket != 0:
		return "h"
	case m&fs.ModeCharDevice != 0:
		return "c"
	case m&fs.ModeDevice != 0:
		return "b"
	}
	return "r"
}

// flsLines lists a volume as fls -r -p does, but for what is deleted.
func flsLines(t testing.TB, f *FS) []string {
	t.Helper()
	var lines []string
	err := fs.WalkDir(f, ".", func(path string, d fs.DirEntry, err error) error {
		if path == "." {
			return err
		}
		if err != nil {
			t.Logf("%s: %v", path, err)
			return nil
		}
		info, err := d.Info()
		if err != nil {
			t.Logf("%s: %v", path, err)
			return nil
		}
		k := flsKind(d.Type())
		lines = append(lines, fmt.Sprintf("%s/%s %d:\t%s", k, k, info.Sys().(*Entry).Inode, path))
		return nil
	})
	if err != nil {
		t.Logf("%v", err)
	}
	slices.Sort(lines)
	return lines
}

// digest is that of a listing of an ext volume: 12 hex digits of the SHA-256
// of its lines.
func digest(lines []string) string {
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:6])
}

func TestCorpusReplay(t *testing.T) {
	type listing struct {
		count  int
		digest string
	}
	var oracle map[string]struct {
		NeedsRecovery bool  `json:"needs_recovery"`
		Before        []any `json:"before"`
		After         []any `json:"after"`
		RC            int   `json:"journal_only_rc"`
	}
	if err := json.Unmarshal(testenv.CorpusFile(t, "_oracle/ext_journal_replay.json"), &oracle); err != nil {
		t.Fatal(err)
	}
	for name, want := range oracle {
		t.Run(name, func(t *testing.T) {
			raw := testenv.CorpusFile(t, name)
			f, err := Options{Stale: true}.Open(bytes.NewReader(raw), int64(len(raw)))
			if err != nil {
				t.Fatal(err)
			}
			lines := flsLines(t, f)
			got := listing{len(lines), digest(lines)}
			w := listing{int(want.After[0].(float64)), want.After[1].(string)}
			t.Logf("%+v %v", f.Volume().Journal, f.Damage())
			if got != w {
				t.Errorf("listing %v, want %v (before %v)", got, w, want.Before)
				os.WriteFile("/tmp/ext4/"+strings.ReplaceAll(name, "/", "_"), raw, 0o600)
				t.Log(strings.Join(lines[:min(len(lines), 50)], "\n"))
			}
		})
	}
	_ = filepath.Base
}
