package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// packed is how the raw images of a case are put into containers.
type packed struct {
	name  string
	plain bool     // it is tested in every run
	slow  bool     // it takes a minute: in a nightly run; TestSmallE01 has less to do
	tools []string // that pack needs
	// pack writes a container of a raw image to a folder, and returns the name of the
	// file to scan, and its parents.
	pack func(t *testing.T, folder, raw string) (file string, parents []string)
	// both does the same with both images, which are in one file then.
	both func(t *testing.T, folder string, raw []string) string
	// users limits it to the user volume: what takes long.
	users bool
}

// qemu converts with qemu-img.
func qemu(format string, options ...string) packed {
	return packed{name: strings.Join(append([]string{format}, options...), " "), tools: []string{"qemu-img"},
		pack: func(t *testing.T, folder, raw string) (string, []string) {
			file := filepath.Join(folder, "disk."+format)
			args := append([]string{"convert", "-f", "raw", "-O", format}, options...)
			tool(t, "qemu-img", append(args, raw, file)...)
			return file, nil
		}}
}

func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

func (p packed) always() packed { p.plain = true; return p }

// packings are all kinds of containers.
func packings() []packed {
	return []packed{
		qemu("qcow2"), qemu("qcow2", "-o", "compat=0.10"), qemu("qcow2", "-c"),
		qemu("qcow2", "-c", "-o", "compression_type=zstd,cluster_size=512k").always(),
		qemu("vpc", "-o", "subformat=dynamic,force_size=on"), qemu("vhdx", "-o", "subformat=dynamic").always(),
		qemu("vdi"),
		qemu("vmdk", "-o", "subformat=monolithicSparse"), qemu("vmdk", "-o", "subformat=streamOptimized"),
		qemu("vmdk", "-o", "subformat=twoGbMaxExtentSparse").always(),
		{name: "OVA", plain: true, tools: []string{"qemu-img", "tar"}, both: packOVA},
		{name: "E01", slow: true, tools: []string{"ewfacquire"}, users: true, pack: packE01},
		{name: "qcow2 overlay", plain: true, tools: []string{"qemu-img", "qemu-io"}, pack: packOverlay},
		{name: "split raw", plain: true, users: true, pack: packParts},
	}
}

// packOverlay makes an overlay that has some of the data of its parent.
func packOverlay(t *testing.T, folder, raw string) (string, []string) {
	base, file := filepath.Join(folder, "base.qcow2"), filepath.Join(folder, "over.qcow2")
	tool(t, "qemu-img", "convert", "-O", "qcow2", raw, base)
	tool(t, "qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", file)
	first := make([]byte, 1<<20)
	f, err := os.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(first, 0); err != nil {
		t.Fatal(err)
	}
	from := filepath.Join(folder, "first")
	if err := os.WriteFile(from, first, 0o666); err != nil {
		t.Fatal(err)
	}
	tool(t, "qemu-io", "-c", "write -s "+from+" 0 1M", file)
	return file, []string{base}
}

// packParts splits a raw image into parts of 3 GiB, with their holes.
func packParts(t *testing.T, folder, raw string) (string, []string) {
	s, err := source.Open(t.Context(), raw, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const part = 3 << 30
	block := make([]byte, 1<<20)
	for n := int64(0); n*part < s.Size(); n++ {
		f, err := os.Create(fmt.Sprintf("%s/disk.%03d", folder, n+1))
		if err != nil {
			t.Fatal(err)
		}
		begin, limit := n*part, min((n+1)*part, s.Size())
		for at, end := s.Data(begin); at < limit && err == nil; at, end = s.Data(at) {
			b := block[:min(int64(len(block)), end-at, limit-at)]
			if _, err = s.ReadAt(b, at); err == nil {
				_, err = f.WriteAt(b, at-begin)
			}
			at += int64(len(b))
		}
		if err := errors.Join(err, f.Truncate(limit-begin), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "disk.001"), nil
}

// packOVA makes an archive of two disks.
func packOVA(t *testing.T, folder string, raw []string) string {
	var disks []string
	for n, name := range raw {
		disk := fmt.Sprintf("machine-disk%d.vmdk", n+1)
		tool(t, "qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized", name,
			filepath.Join(folder, disk))
		disks = append(disks, disk)
	}
	ovf := `<Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"><References>` +
		`<File ovf:id="f1" ovf:href="machine-disk1.vmdk"/><File ovf:id="f2" ovf:href="machine-disk2.vmdk"/></References>` +
		`<DiskSection><Disk ovf:diskId="d1" ovf:fileRef="f1"/><Disk ovf:diskId="d2" ovf:fileRef="f2"/></DiskSection>` +
		`</Envelope>`
	if err := os.WriteFile(filepath.Join(folder, "machine.ovf"), []byte(ovf), 0o666); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(folder, "machine.ova")
	tool(t, "tar", append([]string{"--format=ustar", "-C", folder, "-cf", file, "machine.ovf"}, disks...)...)
	return file
}

// packE01 acquires an image as an examiner does, in segments.
func packE01(t *testing.T, folder, raw string) (string, []string) {
	tool(t, "ewfacquire", "-u", "-q", "-f", "encase6", "-c", "deflate:empty-block", "-S", "1MiB", "-t",
		filepath.Join(folder, "disk"), raw)
	return filepath.Join(folder, "disk.E01"), nil
}

// rawImages writes the root and the user image of a case as raw files.
func rawImages(t *testing.T, name string) (root, user string) {
	t.Helper()
	c, dir := testcases.Find(t, name), t.TempDir()
	root, user = filepath.Join(dir, "root.raw"), filepath.Join(dir, "user.raw")
	for role, file := range map[string]string{"root": root, "user": user} {
		if err := writeImage(c, role, file); err != nil {
			t.Fatal(err)
		}
	}
	return root, user
}

// TestContainers: a scan has the same report whatever containers the images are in, but
// for names, formats, and what is read of the files.
func TestContainers(t *testing.T) {
	t.Parallel()
	for k, name := range []string{"failing", "linux-failing"} {
		root, user := rawImages(t, name)
		want := reportOf(t, scanner.Input{Images: files([]string{root, user})}, nil, root, user)
		for n, p := range packings() {
			// A strict run has each container for one of the cases, but for the slow ones.
			strict := testenv.Strict() && (n+k)%2 == 0 && !p.slow
			if !p.plain && !strict && !testenv.Nightly() {
				continue
			}
			t.Run(name+"/"+p.name, func(t *testing.T) { sameReport(t, p, want, root, user) })
		}
	}
}

// TestSmallE01: a user volume of 254 MiB, which ewfacquire reads in a second, has the same
// report as E01. Those of the other cases have 10 GiB.
func TestSmallE01(t *testing.T) {
	t.Parallel()
	if !testenv.Full() {
		t.Skip("TestContainers compares the other containers; a strict run also compares E01")
	}
	root, user := rawImages(t, "linux-user-small")
	want := reportOf(t, scanner.Input{Images: files([]string{root, user})}, nil, root, user)
	for _, p := range packings() {
		if p.name == "E01" {
			sameReport(t, p, want, root, user)
		}
	}
}

// sameReport compares the report of containers with that of the raw images.
func sameReport(t *testing.T, p packed, want map[string]any, root, user string) {
	t.Helper()
	testenv.Tool(t, p.tools...)
	in, names := scanner.Input{}, []string{root, user}
	for n, raw := range names {
		if n == 0 && p.users || p.both != nil {
			continue
		}
		var parents []string
		names[n], parents = p.pack(t, t.TempDir(), raw)
		in.Parents = append(in.Parents, files(parents)...)
	}
	if p.both != nil {
		names = []string{p.both(t, t.TempDir(), names)}
	}
	in.Images = files(names)
	if d := cmp.Diff(want, reportOf(t, in, map[string]string{"root": root, "user": user}, names...)); d != "" {
		t.Errorf("another report (-raw +container):\n%s", d)
	}
}

// checkPlaces compares the bytes at the places of evidence in the files of containers with
// those at its offsets in the raw images, by the roles of the volumes on them.
func checkPlaces(t *testing.T, r *scanner.Result, raw map[string]string) {
	t.Helper()
	read := func(name string, at int64) string {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		b := make([]byte, 8)
		if _, err := f.ReadAt(b, at); err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, f := range r.Findings {
		for _, e := range f.Evidence {
			for _, p := range []struct {
				disk, inFile *int64
				file         string
			}{{e.ImageOffset, e.FileOffset, e.File}, {e.RecordOffset, e.RecordFileOffset, e.RecordFile}} {
				switch {
				case (p.inFile == nil) != (p.file == ""):
					t.Errorf("%s: %s: half of a place: %q", f.ID, e.Path, p.file)
				case p.inFile != nil && raw[e.Source] != "" && read(raw[e.Source], *p.disk) != read(p.file, *p.inFile):
					t.Errorf("%s: %s: byte %d of the disk is not at byte %d of %s", f.ID, e.Path, *p.disk, *p.inFile, p.file)
				case p.disk != nil && p.inFile == nil && strings.HasPrefix(r.Files[0].Detail, "dynamic"): // without compression
					t.Errorf("%s: %s: byte %d of the disk is nowhere", f.ID, e.Path, *p.disk)
				}
			}
		}
	}
}

// reportOf is the JSON report of a scan without names of images and what depends on the
// container. The places of its evidence are compared with the raw images.
func reportOf(t *testing.T, in scanner.Input, raw map[string]string, names ...string) map[string]any {
	t.Helper()
	in.Now = caseInput(fixtures.Case{}).Now
	r, err := scanner.Scan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	checkPlaces(t, r, raw)
	var text strings.Builder
	if err := report.JSON(&text, r, report.Options{}); err != nil {
		t.Fatal(err)
	}
	plain := text.String()
	for _, i := range r.Files { // those of disks in archives first: they begin with that of the archive
		if i.Member != "" {
			plain = strings.ReplaceAll(plain, i.Name, "image")
		}
	}
	for _, name := range names {
		plain = strings.ReplaceAll(plain, name, "image")
	}
	var doc map[string]any
	if err := json.Unmarshal([]byte(plain), &doc); err != nil {
		t.Fatal(err)
	}
	for _, v := range doc["volumes"].([]any) {
		delete(v.(map[string]any), "format")
	}
	for _, f := range doc["findings"].([]any) {
		evidence, _ := f.(map[string]any)["evidence"].([]any)
		for _, e := range evidence {
			for _, key := range []string{"file", "file_offset", "record_file", "record_file_offset"} {
				delete(e.(map[string]any), key)
			}
		}
	}
	delete(doc, "scan")
	delete(doc, "images")
	return doc
}
