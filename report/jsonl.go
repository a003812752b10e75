package report

import (
	"io"

	"github.com/coldcheck/coldcheck/scanner"
)

// JSONL writes one finding a line, in the order of the catalogue and of one rule
// book after the other, as LineSchema describes it. A line has the object that JSON
// has in findings. Before it are the fields that identify the scan, so that the lines
// of many scans can be combined.
func JSONL(w io.Writer, r *scanner.Result, o Options) error {
	e := NewJSONEncoder(w)
	scan := jsonLineScan{
		Started: timestamp(r.Started), Images: append([]string{}, r.Images...), ComputerName: r.Platform.ComputerName,
		UserName: r.Platform.UserName, Platform: r.Platform.Family, Version: o.tool().Version,
		CaseID: o.Examination.CaseID, Examiner: o.Examination.Examiner, Note: o.Examination.Note,
	}
	for _, one := range r.Each() {
		j := judgement(one, o)
		scan.RuleBook, scan.Verdict, scan.NotChecked = j.Name, j.Verdict, j.NotChecked
		for _, f := range j.Findings {
			if err := e.Encode(jsonLine{schemaVersion, scan, f}); err != nil {
				return err
			}
		}
	}
	return nil
}

type jsonLine struct {
	SchemaVersion int          `json:"schema_version"`
	Scan          jsonLineScan `json:"scan"`
	jsonFinding
}

type jsonLineScan struct {
	Started      string          `json:"started"`
	Images       []string        `json:"images"`
	ComputerName string          `json:"computer_name,omitempty"`
	UserName     string          `json:"user_name,omitempty"`
	Platform     string          `json:"platform"`
	RuleBook     string          `json:"rule_book,omitempty"`
	Verdict      scanner.Verdict `json:"verdict"`
	Version      string          `json:"version"`

	CaseID     string           `json:"case_id,omitempty"`
	Examiner   string           `json:"examiner,omitempty"`
	Note       string           `json:"note,omitempty"`
	NotChecked []jsonNotChecked `json:"not_checked,omitempty"`
}
