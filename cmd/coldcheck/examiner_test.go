package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A manifest has the hash of each report file on the disk, under the name that
// it was given, and is written again with the reports.
func TestManifest(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "sums.txt", "old\n")
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		cmd := coldcheck(t, "demo", "-o", "json=r.json", "-o", "table", "-o", "html=./r.html", "-o", `log=a\b.log`,
			"--manifest", "sums.txt")
		cmd.Dir = here
		if c := code(t, cmd.Run()); c != 1 {
			t.Fatalf("exit code %d", c)
		}
	}
	want := ""
	for _, name := range []string{"r.json", "./r.html", `a\b.log`} {
		sum := sha256.Sum256([]byte(read(t, name)))
		line := hex.EncodeToString(sum[:]) + "  " + name + "\n"
		if strings.Contains(name, `\`) {
			line = `\` + strings.ReplaceAll(line, `\`, `\\`)
		}
		want += line
	}
	if got := read(t, "sums.txt"); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	onlyFiles(t, ".", `a\b.log`, "r.html", "r.json", "sums.txt")
}

// A manifest that cannot take its place leaves what was there.
func TestManifestFails(t *testing.T) {
	dir := t.TempDir()
	m := manifest{path: filepath.Join(dir, "m.txt")}
	m.add("line\nend\r", []byte("x"))
	if err := os.Mkdir(m.path, 0o777); err != nil {
		t.Fatal(err)
	}
	var p pendingFiles
	if err := m.write(&p); err == nil || exitCode(err) != 74 {
		t.Errorf("written over a folder: %v", err)
	}
	onlyFiles(t, dir, "m.txt")
	lines := bufio.NewScanner(&m.text)
	for lines.Scan() {
		if !strings.HasSuffix(lines.Text(), `  line\nend\r`) || !strings.HasPrefix(lines.Text(), `\`) {
			t.Errorf("%q", lines.Text())
		}
	}
}

// Texts about the examination are bounded, and are UTF-8.
func TestExaminationTexts(t *testing.T) {
	for _, c := range []struct {
		text string
		code int
	}{{"", 0}, {strings.Repeat("x", maxExaminerText-1), 0}, {strings.Repeat("x", maxExaminerText), 0},
		{strings.Repeat("x", maxExaminerText+1), 64}, {"a\xff", 64}, {"a\x1b[2J", 0}} {
		for i, f := range []examinerFlags{{caseID: c.text}, {examiner: c.text}, {note: c.text}} {
			if _, err := f.examination(time.Now(), false); exitCode(err) != c.code {
				t.Errorf("%d: %d bytes: %v", i, len(c.text), err)
			}
		}
	}
	e, err := (&examinerFlags{}).examination(time.Unix(0, 0), true)
	if err != nil || e.Host == "" || e.User == "" || fmt.Sprint(e.Clock.Unix()) != "0" {
		t.Errorf("%+v, %v", e, err)
	}
}
