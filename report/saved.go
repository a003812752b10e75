package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

// MaxSaved is the maximum size of a report that Read accepts, in bytes. A
// typical report has less than a megabyte, but lists from a crafted image may
// be long.
const MaxSaved = 128 << 20

// ErrNotReport is the error for a file that is not a JSON report of a supported
// version.
var ErrNotReport = errors.New("not a report of coldcheck in JSON")

// Saved is a report that was read back, with the fields that comparisons and
// scripts need.
type Saved struct {
	Name      string // of its file
	Started   time.Time
	Images    []string
	Platform  scanner.Platform
	RuleBooks []string // by which the system was judged, by name
	// Verdict is the worst one of all rule books of the scan.
	Verdict scanner.Verdict
	// Findings has each id once, of several rule books with the worst status.
	// Requirement has the fields that a report contains.
	Findings []requirement.Finding

	Reasons    []scanner.VerdictReason
	NotChecked []scanner.NotChecked // with its ID and the reason only
}

// Read parses a report that JSON wrote, in UTF-8, or in UTF-16 with a byte
// order mark, which Windows PowerShell writes when output is redirected. The
// error is ErrNotReport.
func Read(name string, data []byte) (*Saved, error) {
	s, err := read(data, MaxSaved)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrNotReport, err)
	}
	s.Name = name
	return s, nil
}

func read(data []byte, limit int) (*Saved, error) {
	if len(data) > limit {
		return nil, fmt.Errorf("it is larger than %d MiB", limit>>20)
	}
	data, _, err := transform.Bytes(unicode.BOMOverride(encoding.Nop.NewDecoder()), data)
	if err != nil {
		return nil, err
	}
	var doc jsonReport
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&doc); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("something follows the report")
	}
	return doc.saved()
}

// saved checks a report that was read back.
func (doc *jsonReport) saved() (s *Saved, err error) {
	switch {
	case doc.Tool.Name != toolName:
		return nil, errors.New("no tool.name that says so")
	case doc.SchemaVersion != schemaVersion:
		return nil, fmt.Errorf("schema_version %d is not read", doc.SchemaVersion)
	}
	verdicts := []scanner.Verdict{doc.Verdict}
	for _, b := range doc.RuleBooks {
		verdicts = append(verdicts, b.Verdict)
	}
	for _, v := range verdicts {
		if !slices.Contains([]scanner.Verdict{scanner.Ready, scanner.NotReady, scanner.Inconclusive}, v) {
			return nil, fmt.Errorf("unknown verdict %q", v)
		}
	}
	s = &Saved{Images: doc.Scan.Images, Platform: scanner.Platform(doc.Platform), Verdict: doc.Verdict}
	if s.Started, err = time.Parse(time.RFC3339Nano, doc.Scan.Started); err != nil {
		return nil, err
	}
	s.RuleBooks = []string{rules.Default} // of a report that was written before there were others
	if doc.RuleBook != nil {
		s.RuleBooks[0] = doc.RuleBook.Name
	}
	if err := s.add(doc.Findings, doc.Reasons, doc.NotChecked); err != nil {
		return nil, err
	}
	for i, b := range doc.RuleBooks {
		if i == 0 {
			continue // the one above
		}
		other := &Saved{Verdict: b.Verdict}
		if err := other.add(b.Findings, b.Reasons, b.NotChecked); err != nil {
			return nil, fmt.Errorf("rule book %s: %w", b.Name, err)
		}
		s.RuleBooks = append(s.RuleBooks, b.Name)
		s.merge(other)
	}
	return s, nil
}

// add adds what one rule book says.
func (s *Saved) add(findings []jsonFinding, reasons []jsonVerdictReason, left []jsonNotChecked) error {
	seen := map[string]bool{}
	for i, j := range findings {
		f, err := j.finding()
		if err == nil && seen[f.ID] {
			err = errors.New("it is there twice")
		}
		if err != nil {
			return fmt.Errorf("finding %d (%s): %w", i+1, j.ID, err)
		}
		seen[f.ID] = true
		s.Findings = append(s.Findings, f)
	}
	for _, r := range reasons {
		s.Reasons = append(s.Reasons, scanner.VerdictReason{Kind: r.Reason, IDs: r.IDs, Messages: r.Messages})
	}
	for _, n := range left {
		s.NotChecked = append(s.NotChecked, scanner.NotChecked{
			Requirement: requirement.Requirement{ID: n.ID}, Reason: n.Reason,
		})
	}
	return nil
}

// statusRank and verdictRank order statuses and verdicts, the worst last.
var (
	statusRank = map[requirement.Status]int{requirement.Passed: 1, requirement.Undetermined: 2, requirement.Warning: 3,
		requirement.Failed: 4}
	verdictRank = map[scanner.Verdict]int{scanner.Inconclusive: 1, scanner.NotReady: 2}
)

// merge adds what another rule book of the same scan says. The worse counts.
func (s *Saved) merge(other *Saved) {
	at := map[string]int{}
	for i, f := range s.Findings {
		at[f.ID] = i
	}
	for _, f := range other.Findings {
		i, known := at[f.ID]
		switch {
		case !known:
			s.Findings = append(s.Findings, f)
		case statusRank[f.Status] > statusRank[s.Findings[i].Status]:
			s.Findings[i] = f
		}
	}
	if verdictRank[other.Verdict] > verdictRank[s.Verdict] {
		s.Verdict, s.Reasons = other.Verdict, other.Reasons
	}
	for _, n := range other.NotChecked {
		if !slices.ContainsFunc(s.NotChecked, func(o scanner.NotChecked) bool { return o.ID == n.ID }) {
			s.NotChecked = append(s.NotChecked, n)
		}
	}
}

// finding is what the finding was before it was written.
func (j jsonFinding) finding() (f requirement.Finding, err error) {
	switch {
	case j.ID == "":
		return f, errors.New("no id")
	case !slices.Contains(requirement.Statuses, j.Status):
		return f, fmt.Errorf("unknown status %q", j.Status)
	case !slices.Contains([]requirement.Severity{requirement.Required, requirement.Recommended, requirement.Info},
		j.Severity):
		return f, fmt.Errorf("unknown severity %q", j.Severity)
	}
	f = requirement.Finding{
		Requirement: requirement.Requirement{
			ID: j.ID, Scope: j.Scope, Severity: j.Severity, AWSErrorCode: j.AWSErrorCode, Demand: j.Title,
			Reference: j.Reference,
		},
		Outcome: requirement.Outcome{Status: j.Status, Basis: j.Basis, Message: j.Message, Remediation: j.Remediation,
			Details: j.Details},
		Accepted: j.Accepted,
	}
	for _, s := range j.Subjects {
		f.Subjects = append(f.Subjects, requirement.Subject(s))
	}
	for _, e := range j.Evidence {
		back := requirement.Evidence{
			Kind: e.Kind, Origin: e.Origin, Found: e.Found != nil && *e.Found, Content: e.Content,
			Source: e.Source, Path: e.Path, Key: e.Key, Type: e.Type, Data: e.Data, Offset: e.Offset, Note: e.Note,
			ImageOffset: e.ImageOffset, RecordOffset: e.RecordOffset, File: e.File, FileOffset: e.FileOffset,
			RecordFile: e.RecordFile, RecordFileOffset: e.RecordFileOffset,
			CrossCheck: crossCheckOf(e.ConfirmedBy, e.Unconfirmed),
		}
		if e.Value != nil {
			back.Value = *e.Value
		}
		if e.Time != "" {
			if back.Time, err = time.Parse(time.RFC3339Nano, e.Time); err != nil {
				return f, err
			}
		}
		f.Evidence = append(f.Evidence, back)
	}
	if j.Omitted != nil {
		f.Omitted = requirement.Omitted(*j.Omitted)
	}
	if w := j.Waiver; w != nil {
		f.Waiver = &requirement.Waiver{ID: j.ID, Target: w.Target, Reason: w.Reason, Owner: w.Owner,
			Undetermined: w.Undetermined, Source: w.Source}
		if f.Waiver.Expiry, err = time.Parse(time.DateOnly, w.Expiry); err != nil {
			return f, err
		}
	}
	return f, nil
}
