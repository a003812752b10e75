package main

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// breakCluster makes the tables of a QCOW2 image wrong for one byte of the disk: they
// point outside the file (QCOW2 specification, "Cluster mapping").
func breakCluster(t *testing.T, name string, at int64) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	number := func(off int64) int64 {
		b := make([]byte, 8)
		if _, err := f.ReadAt(b, off); err != nil {
			t.Fatal(err)
		}
		return int64(binary.BigEndian.Uint64(b))
	}
	bits := number(16) & 0xffffffff // cluster_bits is the lower half: bytes 20 to 23
	const offset = 0x00fffffffffffe00
	n := at >> bits
	l2 := number(number(40)+n>>(bits-3)*8) & offset
	entry := l2 + n&(1<<(bits-3)-1)*8
	if l2 == 0 || number(entry)&offset == 0 {
		t.Fatalf("byte %d of the disk is in no cluster", at)
	}
	if _, err := f.WriteAt([]byte{0x80, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0}, entry); err != nil {
		t.Fatal(err)
	}
}

// TestDamagedContainer: what a damaged container cannot deliver makes the findings that
// need it undetermined. It is never zeros, and nothing that needs it passes.
func TestDamagedContainer(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "qemu-img")
	root, user := rawImages(t, "ready")
	now := caseInput(fixtures.Case{}).Now
	whole, err := scanner.Scan(t.Context(), scanner.Input{Images: files([]string{root, user}), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if whole.Verdict == scanner.NotReady {
		t.Fatalf("the case is %s", whole.Verdict)
	}
	var in requirement.Evidence // a value in a hive
	for _, f := range whole.Findings {
		for _, e := range f.Evidence {
			if strings.HasSuffix(e.Path, "config/SOFTWARE") && e.ImageOffset != nil && e.Kind == requirement.KindValue {
				in = e
			}
		}
	}
	if in.ImageOffset == nil {
		t.Fatal("no evidence has a place in SOFTWARE")
	}
	file := filepath.Join(t.TempDir(), "root.qcow2")
	tool(t, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", root, file)
	breakCluster(t, file, *in.ImageOffset)
	r, err := scanner.Scan(t.Context(), scanner.Input{Images: files([]string{file, user}), Now: now})
	if err != nil {
		t.Fatal(err)
	}
	if r.Verdict == scanner.Ready || r.PolicyVerdict == scanner.Ready {
		t.Error("it is ready")
	}
	lost := 0
	for n, f := range r.Findings {
		before := whole.Findings[n]
		if f.ID != before.ID {
			t.Fatalf("%s is where %s was", f.ID, before.ID)
		}
		switch {
		case f.Status == requirement.Undetermined && before.Status != requirement.Undetermined:
			lost++
		case f.Status != before.Status:
			t.Errorf("%s: %s, was %s: %s", f.ID, f.Status, before.Status, f.Message)
		}
	}
	if lost == 0 {
		t.Error("nothing is undetermined")
	}
}
