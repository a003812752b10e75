package report

import (
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
)

// Examination identifies the case, the examiner and the machine of a scan.
// Unknown fields are "" or zero.
type Examination struct {
	CaseID, Examiner, Note string // text from the examiner

	// About the machine that made the scan. Only JSON and Log show these.
	Host  string
	User  string
	Clock time.Time // when the program began, in the time zone of the machine
}

// Setting is a setting that the program used.
type Setting struct {
	Name   string // of its flag
	Value  any    // a string, a bool or a []string
	Source string // "default", "file", "variable" or "flag"
}

type jsonExamination struct {
	CaseID   string `json:"case_id,omitempty"`
	Examiner string `json:"examiner,omitempty"`
	Note     string `json:"note,omitempty"`
	Host     string `json:"host,omitempty"`
	User     string `json:"user,omitempty"`
	Clock    string `json:"clock,omitempty"`
	TimeZone string `json:"time_zone,omitempty"`
}

type jsonSetting struct {
	Name   string `json:"name"`
	Value  any    `json:"value"`
	Source string `json:"source"`
}

// examination is nil if nothing is known.
func (o Options) examination() *jsonExamination {
	if o.Examination == (Examination{}) {
		return nil
	}
	e := &jsonExamination{
		CaseID: o.Examination.CaseID, Examiner: o.Examination.Examiner, Note: o.Examination.Note,
		Host: o.Examination.Host, User: o.Examination.User,
	}
	if clock := o.Examination.Clock; !clock.IsZero() {
		e.Clock = clock.Format(time.RFC3339)
		e.TimeZone, _ = clock.Zone()
	}
	return e
}

func (o Options) settings() []jsonSetting {
	var list []jsonSetting
	for _, s := range o.Settings {
		list = append(list, jsonSetting(s))
	}
	return list
}

// text is a setting's value in one line.
func (s Setting) text() string {
	switch v := s.Value.(type) {
	case bool:
		return strconv.FormatBool(v)
	case []string:
		return strings.Join(v, ",")
	case string:
		return v
	}
	return ""
}

// label is a text of the examination with its name.
type label struct{ key, name, text string }

// stated are the texts that the examiner gave.
func (e Examination) stated() []label {
	var list []label
	for _, n := range []label{
		{"case_id", "Case", e.CaseID}, {"examiner", "Examiner", e.Examiner}, {"note", "Note", e.Note},
	} {
		if n.text != "" {
			list = append(list, n)
		}
	}
	return list
}

// background returns lines about the case, the examiner, and the requirements that were
// not checked.
func background(r *scanner.Result, o Options) []string {
	var lines []string
	for _, n := range o.Examination.stated() {
		lines = append(lines, n.name+": "+n.text)
	}
	if len(r.NotChecked) > 0 {
		var ids []string
		for _, n := range r.NotChecked {
			ids = append(ids, n.ID)
		}
		lines = append(lines, "Not checked: "+prose.Count(len(ids), "requirement", "requirements")+
			" left out by --only or --skip: "+strings.Join(ids, ", ")+".")
	}
	return lines
}
