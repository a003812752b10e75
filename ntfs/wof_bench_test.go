package ntfs

import (
	"os"
	"os/exec"
	"testing"
)

// BenchmarkWOF reads a program of 12 MB that each algorithm compressed, and
// BenchmarkWimlib lets wimlib-imagex extract the same from a WIM file, its start
// and the test of the hash included.
func BenchmarkWOF(b *testing.B) {
	for i := range wofAlgorithms {
		algorithm := &wofAlgorithms[i]
		b.Run(algorithm.name, func(b *testing.B) {
			contents := wofContents(b, int(algorithm.chunk))
			contents = map[string][]byte{"program": contents["large"][:12<<20]}
			stored := wofStreams(b, algorithm, 50, contents)["program"]
			p := make([]byte, len(contents["program"]))
			o := overlayOn(b, algorithm, stored, len(p))
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			for b.Loop() {
				if err := o.readAt(p, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWimlib(b *testing.B) {
	for i := range wofAlgorithms {
		algorithm := &wofAlgorithms[i]
		b.Run(algorithm.name, func(b *testing.B) {
			contents := wofContents(b, int(algorithm.chunk))
			contents = map[string][]byte{"program": contents["large"][:12<<20]}
			wim := capture(b, algorithm, 50, contents)
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				b.Fatal(err)
			}
			defer null.Close()
			b.SetBytes(12 << 20)
			for b.Loop() {
				cmd := exec.Command("wimlib-imagex", "extract", wim, "1", "/program", "--to-stdout")
				cmd.Stdout = null
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
