package report

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/unicode"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// What was written is read back as it was, but for what a report does not hold.
func TestRead(t *testing.T) {
	for name, r := range samples() {
		if name == "hostile" { // bytes that are not UTF-8, and times beyond RFC 3339
			continue
		}
		t.Run(name, func(t *testing.T) {
			s, err := Read("r.json", encoded(t, r))
			if err != nil {
				t.Fatal(err)
			}
			if s.Name != "r.json" || !s.Started.Equal(r.Started) || s.Verdict != r.Verdict || s.Platform != r.Platform ||
				!cmp.Equal(s.Images, r.Images) {
				t.Errorf("%+v", s)
			}
			var want []requirement.Finding
			for _, f := range r.Findings {
				f.Requirement = requirement.Requirement{ID: f.ID, Scope: f.Scope, Severity: f.Severity,
					AWSErrorCode: f.AWSErrorCode, Demand: f.Demand, Reference: f.Reference}
				f.Counts, f.Unmet, f.Open = false, false, false // of the scan: the document has the verdict
				want = append(want, f)
			}
			ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Details" }, cmp.Ignore())
			if d := cmp.Diff(want, s.Findings, ignore); d != "" {
				t.Error(d)
			}
		})
	}
	if _, err := Read("r.json", encoded(t, hostile())); err != nil {
		t.Errorf("what an image brought into a report: %v", err)
	}
}

// Windows PowerShell writes what a program prints as UTF-16 with a byte order
// mark; editors of Windows put one before UTF-8.
func TestReadEncodings(t *testing.T) {
	text := encoded(t, failing())
	utf16, err := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder().Bytes(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"UTF-16": utf16,
		"UTF-8 with a mark": append([]byte("\xef\xbb\xbf"), text...)} {
		if s, err := Read("r.json", data); err != nil || len(s.Findings) != len(failing().Findings) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What is no report is refused, with the reason: nothing may be concluded from
// a file that merely looks like one.
func TestReadRefuses(t *testing.T) {
	text := string(encoded(t, failing()))
	replaced := func(old, new string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("no %q in the report", old)
		}
		return strings.Replace(text, old, new, 1)
	}
	for name, c := range map[string]struct{ text, want string }{
		"empty":           {"", "EOF"},
		"not JSON":        {"READY\n", "invalid character"},
		"cut":             {text[:len(text)/2], "unexpected EOF"},
		"two":             {text + text, "something follows the report"},
		"another tool":    {replaced(`"name": "coldcheck"`, `"name": "other"`), "no tool.name that says so"},
		"another JSON":    {"{}", "no tool.name that says so"},
		"a later version": {replaced(`"schema_version": 1`, `"schema_version": 2`), "schema_version 2 is not read"},
		"verdict":         {replaced(`"verdict": "not_ready"`, `"verdict": "fine"`), `unknown verdict "fine"`},
		"start":           {replaced(`"started": "2026-03-02T08`, `"started": "2026-13-02T08`), "month out of range"},
		"no id":           {replaced(`"id": "ws.state.available"`, `"id": ""`), "finding 1 (): no id"},
		"id twice": {replaced(`"id": "win.disk.c-free"`, `"id": "ws.state.available"`),
			"finding 2 (ws.state.available): it is there twice"},
		"status": {replaced(`"status": "failed"`, `"status": "Failed"`),
			`(win.services.domain-account): unknown status "Failed"`},
		"severity": {replaced(`"severity": "recommended"`, `"severity": "nice"`),
			`(win.bp.cache): unknown severity "nice"`},
		"evidence's time": {replaced(`"time": "2026-03-01`, `"time": "2026-03-32`), "day out of range"},
	} {
		_, err := Read("r.json", []byte(c.text))
		if !errors.Is(err, ErrNotReport) || !strings.Contains(err.Error(), c.want) ||
			!strings.HasPrefix(err.Error(), "r.json: ") {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	covered := strings.Replace(string(encoded(t, waived())), `"expiry": "2026-05-02"`, `"expiry": "soon"`, 1)
	if _, err := Read("r.json", []byte(covered)); !errors.Is(err, ErrNotReport) {
		t.Errorf("a waiver without a date: %v", err)
	}
}

// The bound on the size: a report at it is read, one that is a byte larger is
// not.
func TestReadSize(t *testing.T) {
	text := encoded(t, ready())
	if _, err := read(text, len(text)); err != nil {
		t.Error(err)
	}
	if _, err := read(append(text, ' '), len(text)); err == nil {
		t.Error("accepted")
	}
}

// A report that anybody may have written is read back to what can be compared.
func FuzzRead(f *testing.F) {
	for _, r := range samples() {
		var b bytes.Buffer
		if err := JSON(&b, r, Options{}); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Read("r.json", data)
		if err != nil {
			if !errors.Is(err, ErrNotReport) {
				t.Errorf("%v", err)
			}
			return
		}
		for _, d := range Compare(s, s).Differences {
			if d.Change != Same {
				t.Errorf("%s: %s against itself", d.New.ID, d.Change)
			}
		}
	})
}

// saved is a report of one computer with these findings.
func saved(name string, findings ...requirement.Finding) *Saved {
	return &Saved{Name: name, Started: start, Images: []string{"root.img"}, Platform: ready().Platform, Verdict: "ready",
		Findings: findings}
}

// Of several rule books the worst verdict counts, and the worst status of a requirement.
func TestReadRuleBooks(t *testing.T) {
	r := ruleBooks()
	failed := requirement.Find(row("win.disk.c-free", requirement.Required),
		requirement.Fail("no room", requirement.Evidence{Source: "root"}))
	r.Others = append(r.Others, r.Others[0])
	r.Others[1].Findings = []requirement.Finding{failed}
	s, err := Read("r.json", encoded(t, r))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range s.Findings {
		got = append(got, f.ID+" "+string(f.Status))
	}
	want := []string{"win.disk.c-free failed", "pools.workstation-service failed"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if s.Verdict != scanner.NotReady || len(s.Reasons) != 1 || len(s.NotChecked) != 1 {
		t.Errorf("%s, %v, %v", s.Verdict, s.Reasons, s.NotChecked)
	}
	r.Others[1].Verdict = "perhaps"
	if _, err := Read("r.json", encoded(t, r)); err == nil {
		t.Error("a verdict that does not exist is read")
	}
}
