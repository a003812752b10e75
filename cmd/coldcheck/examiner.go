package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
)

// expectFlag declares --expect-hash.
func expectFlag(c *cobra.Command, values *[]string) {
	c.Flags().StringArrayVar(values, "expect-hash", nil,
		"require that an image has the hash `[IMAGE=]HASH:HEX`, and write no report otherwise; HASH is sha256, sha1 "+
			"or md5, and readset-sha256 for a remote image; repeatable")
}

func expectedSums(values []string) ([]scanner.ExpectedSum, error) {
	var list []scanner.ExpectedSum
	for _, v := range values {
		e, err := scanner.ParseExpectedSum(v)
		if err != nil {
			return nil, inFlag("expect-hash", fmt.Errorf("--expect-hash: %w", err))
		}
		list = append(list, e)
	}
	return list, nil
}

// examinerFlags are the flags for what reports say about the examination, and for
// the manifest.
type examinerFlags struct {
	caseID, examiner, note string
	manifest               string
}

func (f *examinerFlags) declare(c *cobra.Command) {
	c.Flags().StringVar(&f.caseID, "case-id", "", "name the case `ID` in every report")
	c.Flags().StringVar(&f.examiner, "examiner", "", "name the examiner `NAME` in every report")
	c.Flags().StringVar(&f.note, "note", "", "add the note `TEXT` to every report")
	c.Flags().StringVar(&f.manifest, "manifest", "",
		"write the SHA-256 of every report file to `FILE`, as 'sha256sum -c' reads it")
}

// maxExaminerText bounds a text about the examination, in bytes.
const maxExaminerText = 4 << 10

// examination returns what reports say about it. machine adds the machine that
// scans.
func (f *examinerFlags) examination(began time.Time, machine bool) (report.Examination, error) {
	e := report.Examination{CaseID: f.caseID, Examiner: f.examiner, Note: f.note}
	for _, text := range []struct{ name, text string }{
		{"case-id", f.caseID}, {"examiner", f.examiner}, {"note", f.note},
	} {
		switch {
		case len(text.text) > maxExaminerText:
			return e, inFlag(text.name, usage("", "--%s is longer than %d bytes", text.name, maxExaminerText))
		case !utf8.ValidString(text.text):
			return e, inFlag(text.name, usage("", "--%s is not UTF-8", text.name))
		}
	}
	if machine {
		e.Host, e.User, e.Clock = hostName(), userName(), began.Local()
	}
	return e, nil
}

// hostName is "" if the system does not know it.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return name
}

func userName() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return cmp.Or(os.Getenv("USER"), os.Getenv("USERNAME"))
}

// manifest lists report files with their hashes.
type manifest struct {
	path string // "" for none
	text bytes.Buffer
}

// output returns the manifest as an output, so that its place is checked like that
// of a report; nil if there is none. A manifest must be a regular file and list at
// least one report.
func (m *manifest) output(outputs []output, began time.Time) ([]output, error) {
	if m.path == "" {
		return nil, nil
	}
	files := 0
	for _, o := range outputs {
		if path := o.file(began); path != "" {
			t, err := findTarget(path)
			if err != nil {
				return nil, err
			}
			if !t.stream {
				files++
			}
		}
	}
	if files == 0 {
		return nil, usage("name a file, such as -o json=report.json", "--manifest needs a report that is written to a file")
	}
	t, err := findTarget(m.path)
	if err != nil {
		return nil, err
	}
	if m.path == "-" || t.stream {
		return nil, usage("", "--manifest %s: not a regular file", m.path)
	}
	return []output{{report.Format{Name: "manifest"}, m.path}}, nil
}

// add lists a report file. Names with a backslash or the end of a line are escaped
// as sha256sum does.
func (m *manifest) add(path string, text []byte) {
	sum := sha256.Sum256(text)
	escaped := strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`).Replace(path)
	if escaped != path {
		m.text.WriteByte('\\')
	}
	fmt.Fprintf(&m.text, "%s  %s\n", hex.EncodeToString(sum[:]), escaped)
}

// write puts the manifest in its place, complete.
func (m *manifest) write(p *pendingFiles) error {
	if m.path == "" {
		return nil
	}
	t, err := findTarget(m.path)
	if err != nil {
		return err
	}
	if err := p.write(t, m.text.Bytes()); err != nil {
		return err
	}
	return p.commit()
}
