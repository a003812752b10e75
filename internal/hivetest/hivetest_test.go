package hivetest

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/internal/utf16le"
)

// The entries of real logs fit their hashes, so the hash written into ours is Windows' own.
func TestHashOfRealLogs(t *testing.T) {
	for file, want := range map[string]int{
		"hives/msuhanov__yarp/hives_for_tests/NewDirtyHive1/NewDirtyHive.LOG2":                3,
		"hives/williballenthin__python-registry/testing/reg_samples/new_log_1/SYSTEM.LOG1.gz": 8,
	} {
		log := testenv.CorpusFile(t, file)
		var n int
		for off := 512; n < want; n++ {
			e := log[off:]
			e = e[:binary.LittleEndian.Uint32(e[4:])]
			if got, want := marvin32(e[40:]), binary.LittleEndian.Uint64(e[24:]); got != want {
				t.Fatalf("%s, entry at %d: Hash-1 = %#x, the log has %#x", file, off, got, want)
			}
			if got, want := marvin32(e[:32]), binary.LittleEndian.Uint64(e[32:]); got != want {
				t.Fatalf("%s, entry at %d: Hash-2 = %#x, the log has %#x", file, off, got, want)
			}
			off += len(e)
		}
	}
}

// hivex and reglookup read what Build writes, hivexregedit writes into it.
func TestToolsReadOurHives(t *testing.T) {
	testenv.Tool(t, "hivexml", "hivexregedit", "reglookup")
	file := filepath.Join(t.TempDir(), "hive")
	if err := os.WriteFile(file, Empty("ROOT"), 0o644); err != nil {
		t.Fatal(err)
	}
	reg := filepath.Join(t.TempDir(), "a.reg")
	text := "Windows Registry Editor Version 5.00\n\n[\\]\n\n[\\Foo]\n\"a\"=dword:00000005\n\n[\\Foo\\Bar]\n@=hex:01,02\n"
	if err := os.WriteFile(reg, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, "hivexregedit", "--merge", file, reg)
	run(t, "hivexml", file)
	if got := run(t, "reglookup", file); !strings.Contains(got, "/Foo/a,DWORD,0x00000005") ||
		!strings.Contains(got, "/Foo/Bar/,BINARY,%01%02") {
		t.Errorf("reglookup prints\n%s", got)
	}

	for _, list := range []string{"lf", "lh", "li"} {
		root := Key{Name: "ROOT", Values: []Value{{"big", 3, make([]byte, 40000)}, {"inline", 4, []byte{1, 2, 3, 4}}}}
		for _, name := range []string{"zeta", "Alpha", "Größe", "日本", "beta"} {
			root.Subkeys = append(root.Subkeys,
				Key{Name: name, Values: []Value{{Name: "名", Type: 1, Data: utf16le.Encode("x")}}})
		}
		if err := os.WriteFile(file, Build(root, Options{List: list, MaxLeaf: 2}), 0o644); err != nil {
			t.Fatal(err)
		}
		xml := run(t, "hivexml", file)
		if got, want := strings.Count(xml, "<node "), 6; got != want {
			t.Errorf("%s: hivexml finds %d keys, want %d", list, got, want)
		}
		if got, want := strings.Count(xml, "<value "), 7; got != want {
			t.Errorf("%s: hivexml finds %d values, want %d", list, got, want)
		}
		if got, want := strings.Count(run(t, "reglookup", file), ",KEY,"), 6; got != want {
			t.Errorf("%s: reglookup finds %d keys, want %d", list, got, want)
		}
	}
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}
