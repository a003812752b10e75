package evtx

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// benchmarkLog is the largest log of the corpus: 2.1 MiB, 5,009 records.
func benchmarkLog(b *testing.B) []byte {
	data := corpusLog(b, "log2timeline__plaso/test_data/evtx/System.evtx.gz")
	b.SetBytes(int64(len(data)))
	return data
}

// BenchmarkRecords reads all records.
func BenchmarkRecords(b *testing.B) {
	data := benchmarkLog(b)
	b.ReportAllocs()
	for b.Loop() {
		if records, _ := readLog(b, data); len(records) != 5009 {
			b.Fatal(len(records))
		}
	}
}

// BenchmarkXML writes all records as XML, which is what evtxexport does.
func BenchmarkXML(b *testing.B) {
	data := benchmarkLog(b)
	b.ReportAllocs()
	for b.Loop() {
		records, _ := readLog(b, data)
		for _, r := range records {
			_ = r.Event.String()
		}
	}
}

// BenchmarkEvtxexport has evtxexport do the same.
func BenchmarkEvtxexport(b *testing.B) {
	testenv.Tool(b, "evtxexport")
	name := filepath.Join(b.TempDir(), "System.evtx")
	if err := os.WriteFile(name, benchmarkLog(b), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := exec.Command("evtxexport", "-f", "xml", name).Run(); err != nil {
			b.Fatal(err)
		}
	}
}
