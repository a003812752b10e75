// Package remedy writes scripts from reports: for Windows PowerShell if the
// report is about Windows, for sh if it is about Linux. A script fixes only the
// problems that unmet findings name. It asks before each change, skips what is
// already correct, and lists manual steps as comments.
//
// A report contains strings from an untrusted image. A script contains only
// printable ASCII. In comments, other characters are written as report.Neutral
// writes them. In PowerShell code, strings are literals in single quotes, with
// the number of every character that is not printable ASCII. In sh code, the
// only strings are unit names and paths without characters that are special to
// the shell. Names that Windows or systemd would not allow become manual steps.
package remedy

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Summary describes a script.
type Summary struct {
	Changes int      // number of changes that it offers
	ByHand  []string // ids of findings that need manual steps, fully or in part
	Waived  []string // ids of findings that it does not fix because of a waiver
}

// A change is one thing that a script does for a finding.
type change struct {
	target string // what is changed, in words; may hold strings of the report
	action string // description of the change; a constant of this package

	settled string // code that returns the reason to skip the change, or nothing
	apply   string // code that makes the change
}

// A fixer finds the changes that meet a finding. rest says what is left to a
// person in addition; no changes and no rest means: all of it.
type fixer func(f requirement.Finding, s *report.Saved) (changes []change, rest string)

// language is one kind of script.
type language struct {
	fixers map[string]fixer
	begin  func(s *report.Saved, o report.Options) string
	change func(id string, c change) string
	end    string
}

// Write writes the script for the findings of a report that are not met.
func Write(w io.Writer, s *report.Saved, o report.Options) (Summary, error) {
	l := powershell
	if s.Platform.Family == "linux" {
		l = shell
	}
	b := bufio.NewWriter(w)
	b.WriteString(l.begin(s, o))
	var sum Summary
	for _, f := range s.Findings {
		if f.Status != requirement.Failed && f.Status != requirement.Warning {
			continue
		}
		b.WriteString("\n# " + strings.Repeat("-", 76) + "\n")
		comment(b, "", fmt.Sprintf("%s (%s, %s)", f.ID, f.Status, f.Severity))
		comment(b, "", f.Message)
		if f.Waiver != nil {
			comment(b, "Waived and not changed: ", fmt.Sprintf("until %s by %s: %s",
				f.Waiver.Expiry.Format(time.DateOnly), f.Waiver.Owner, f.Waiver.Reason))
			sum.Waived = append(sum.Waived, f.ID)
			continue
		}
		var changes []change
		var rest string
		// If evidence or subjects were left out, changes would fix only a part.
		if fix := l.fixers[f.ID]; fix != nil && !f.Omitted.Any() {
			changes, rest = fix(f, s)
		}
		if len(changes) == 0 {
			rest = f.Outcome.Remediation
		}
		for _, c := range changes {
			b.WriteString("\n" + l.change(f.ID, c))
			sum.Changes++
		}
		if rest != "" {
			comment(b, "By hand: ", rest)
			sum.ByHand = append(sum.ByHand, f.ID)
		}
	}
	b.WriteString(strings.ReplaceAll(l.end, "BYHAND", fmt.Sprint(len(sum.ByHand))))
	return sum, b.Flush()
}

// commentColumns is how wide a comment gets; a longer word is not broken.
const commentColumns = 78

// comment writes text as comments in printable ASCII: no character of it ends a
// line or becomes code.
func comment(b io.StringWriter, lead, text string) {
	line := "# " + lead
	empty := true
	for _, word := range strings.Fields(ascii(text)) {
		if !empty && len(line)+1+len(word) > commentColumns {
			b.WriteString(strings.TrimRight(line, " ") + "\n")
			line, empty = "#   ", true
		}
		if !empty {
			line += " "
		}
		line, empty = line+word, false
	}
	b.WriteString(strings.TrimRight(line, " ") + "\n")
}

// ascii is report.Neutral with everything marked that is not ASCII.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range report.Neutral(s) {
		if r < ' ' || r > '~' {
			fmt.Fprintf(&b, "<U+%04X>", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// subjects are what a finding is about, if all of it is of that kind and has one
// of the reasons. There are none where something else is wrong as well, or where
// the report does not say: reports of earlier versions name no subjects.
func subjects(f requirement.Finding, kind requirement.SubjectKind,
	reasons ...requirement.Reason) []requirement.Subject {
	for _, s := range f.Subjects {
		if s.Kind != kind || !slices.Contains(reasons, s.Reason) {
			return nil
		}
	}
	return f.Subjects
}

// shown says whether the evidence shows a value in a hive, in a key whose last part
// is key. Hives of the machine are on the root volume.
func shown(f requirement.Finding, hive, key, value string) bool {
	return slices.ContainsFunc(f.Evidence, func(e requirement.Evidence) bool {
		return e.Kind == requirement.KindValue && e.Found && e.Data != "" &&
			(e.Source == "root" || hive == "NTUSER.DAT") && strings.EqualFold(path.Base(e.Path), hive) &&
			strings.EqualFold(last(e.Key), key) && strings.EqualFold(e.Value, value)
	})
}

// last is the last part of a registry key.
func last(key string) string { return key[strings.LastIndexByte(key, '\\')+1:] }

// account is a user's name without its domain.
func account(name string) string { return last(name) }
