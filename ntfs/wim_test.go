package ntfs

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// No tool here compresses a file as WOF does, but wimlib makes WIM files, whose
// resources are compressed the same way: the same chunks, behind the same table.

// wimCompression is what wimlib calls the algorithm, and its chunks.
var wimCompression = map[string][2]string{
	"XPRESS4K":  {"XPRESS", "4096"},
	"XPRESS8K":  {"XPRESS", "8192"},
	"XPRESS16K": {"XPRESS", "16384"},
	"LZX":       {"LZX", "32768"},
}

// capture makes a WIM file of the contents and returns its name.
func capture(t testing.TB, algorithm *wofAlgorithm, level int, contents map[string][]byte) string {
	t.Helper()
	testenv.Tool(t, "wimlib-imagex")
	dir, wim := t.TempDir(), filepath.Join(t.TempDir(), "wim")
	for name, data := range contents {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	how := wimCompression[algorithm.name]
	out, err := exec.Command("wimlib-imagex", "capture", dir, wim, "--no-acls", "--threads=1",
		fmt.Sprintf("--compress=%s:%d", how[0], level), "--chunk-size="+how[1]).CombinedOutput()
	if err != nil {
		t.Fatalf("wimlib-imagex: %v\n%s", err, out)
	}
	return wim
}

// wofStreams returns, for each of the contents, what WOF would have in the
// stream WofCompressedData.
func wofStreams(t testing.TB, algorithm *wofAlgorithm, level int, contents map[string][]byte) map[string][]byte {
	t.Helper()
	wim, err := os.ReadFile(capture(t, algorithm, level, contents))
	if err != nil {
		t.Fatal(err)
	}
	resources := wimResources(t, wim)
	streams := map[string][]byte{}
	for name, data := range contents {
		if len(data) == 0 {
			streams[name] = nil
			continue
		}
		r, ok := resources[sha1.Sum(data)]
		if !ok || r.size != uint64(len(data)) {
			t.Fatalf("%s is not in the WIM file", name)
		}
		stream := wim[r.offset:][:r.stored]
		if r.flags&wimCompressed == 0 { // since that made it larger
			stream = storedStream(algorithm, data)
		}
		streams[name] = stream
	}
	return streams
}

// storedStream makes a stream of chunks that are stored as they are.
func storedStream(algorithm *wofAlgorithm, data []byte) []byte {
	var stream []byte
	for at := algorithm.chunk; at < int64(len(data)); at += algorithm.chunk {
		stream = binary.LittleEndian.AppendUint32(stream, uint32(at))
	}
	return append(stream, data...)
}

type wimResource struct {
	stored, offset, size uint64
	flags                byte
}

const wimCompressed = 4

// wimResources returns what is in a WIM file by its hash. wimlib, wim.h and
// lookup table.
func wimResources(t testing.TB, wim []byte) map[[sha1.Size]byte]wimResource {
	t.Helper()
	if len(wim) < 208 || string(wim[:8]) != "MSWIM\x00\x00\x00" || le.Uint32(wim[12:]) != 0x10D00 {
		t.Fatal("no WIM file")
	}
	resource := func(p []byte) wimResource {
		stored := le.Uint64(p)
		return wimResource{stored: stored & (1<<56 - 1), flags: byte(stored >> 56), offset: le.Uint64(p[8:]),
			size: le.Uint64(p[16:])}
	}
	table := resource(wim[48:])
	if table.flags&wimCompressed != 0 {
		t.Fatal("the lookup table is compressed")
	}
	resources := map[[sha1.Size]byte]wimResource{}
	for p := wim[table.offset:][:table.stored]; len(p) >= 50; p = p[50:] {
		resources[[sha1.Size]byte(p[30:])] = resource(p)
	}
	return resources
}
