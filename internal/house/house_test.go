package house

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestTree(t *testing.T) {
	broken, err := Check(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Error(b)
	}
}

// TestCheck shows that what is forbidden is found, and only that.
func TestCheck(t *testing.T) {
	source := func(imports ...string) *fstest.MapFile {
		s := "package p\n"
		for _, i := range imports {
			s += "import _ \"" + i + "\"\n"
		}
		return &fstest.MapFile{Data: []byte(s)}
	}
	ours := func(p string) string { return module + "/" + p }
	tree := fstest.MapFS{
		"cmd/coldcheck/main.go":                 source("fmt", ours("report"), ours("fixtures"), ours("internal/testenv")),
		"cmd/coldcheck/main_test.go":            source(ours("internal/testenv")),
		"report/table.go":                       source(ours("scanner"), ours("ntfs")),
		"scanner/scan.go":                       source(ours("scanner/internal/windows"), ours("report")),
		"scanner/disk/gpt.go":                   source("github.com/diskfs/go-diskfs/partition/gpt"),
		"scanner/disk/ext4.go":                  source("github.com/diskfs/go-diskfs/filesystem/ext4"),
		"scanner/internal/windows/w.go":         source("www.velocidex.com/golang/go-ntfs/parser", ours("registry")),
		"scanner/internal/windows/v.go":         source(ours("scanner/volume"), ours("ntfs")),
		"scanner/internal/windows/machine/m.go": source(ours("scanner/volume"), ours("ntfs")),
		"scanner/internal/linux/l.go":           source(ours("scanner/internal/fact")),
		"scanner/internal/fact/f.go":            source(ours("scanner/requirement"), ours("scanner/internal/windows")),
		"ntfs/ntfs.go":                          source("io", ours("registry")),
		"ntfs/words.go":                         {Data: []byte("package ntfs // for WorkSpaces\n")},
		"ntfs/words_test.go":                    {Data: []byte("package ntfs // for WorkSpaces\n")},
		"registry/README.md":                    {Data: []byte("a workspace")},
		"registry/testdata/x.go":                source(ours("report")),
		"scanner/words.go":                      {Data: []byte("package scanner // WorkSpaces\n")},
		"scanner/prose.go": {Data: []byte(`package scanner

func reads(f finding, err error) bool {
	switch f.Note {
	case "not found":
		return true
	}
	return strings.HasPrefix(strings.ToLower(f.Message), "1 profile") || f.Remediation == "reboot" || pattern.MatchString(err.Error())
}

func writes(f finding) string {
	if f.Note == "" {
		return f.Message
	}
	return strings.TrimSpace(f.Message + "; " + f.Note)
}
`)},
		"report/words.go": {Data: []byte(
			"package report\n\nfunc same(f, g finding) bool { return f.Message == g.Message }\n")},
		"attic/a.go":  source("fmt"),
		".cache/x.go": source(ours("report")),
	}
	got, err := Check(tree)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"attic/a.go: no rule for package attic",
		"cmd/coldcheck/main.go: cmd/coldcheck may not import internal/testenv",
		"ntfs/ntfs.go: ntfs may not import registry",
		`ntfs/words.go: a library that speaks of "workspace"`,
		`registry/README.md: a library that speaks of "workspace"`,
		"report/table.go: report may not import ntfs",
		"scanner/disk/ext4.go: scanner/disk may not import github.com/diskfs/go-diskfs/filesystem/ext4",
		"scanner/internal/fact/f.go: scanner/internal/fact may not import scanner/internal/windows",
		"scanner/internal/windows/machine/m.go: scanner/internal/windows/machine may not import ntfs",
		"scanner/internal/windows/v.go: scanner/internal/windows may not import ntfs",
		"scanner/internal/windows/w.go: scanner/internal/windows may not import www.velocidex.com/golang/go-ntfs/parser",
		"scanner/prose.go:4: reads the prose of Note",
		"scanner/prose.go:8: reads the prose of Message",
		"scanner/prose.go:8: reads the prose of Remediation",
		"scanner/prose.go:8: reads the prose of an error",
		"scanner/scan.go: scanner may not import report",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := Check(fstest.MapFS{"report/x.go": {Data: []byte("no Go")}}); err == nil {
		t.Error("a file that is no Go was let through")
	}
}
