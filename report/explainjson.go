package report

import (
	_ "embed" // for the schema
	"io"
	"time"

	"github.com/coldcheck/coldcheck/scanner"
)

// ExplainSchema is the JSON Schema of the output of ExplainJSON. It refers to Schema.
//
//go:embed explain.schema.json
var ExplainSchema []byte

type jsonExplanation struct {
	SchemaVersion int           `json:"schema_version"`
	Tool          jsonTool      `json:"tool"`
	Started       string        `json:"started"`
	Finished      string        `json:"finished"`
	Images        []string      `json:"images"`
	With          []string      `json:"with"`
	Platform      jsonPlatform  `json:"platform"`
	RuleBook      string        `json:"rulebook,omitempty"`
	WindowHours   float64       `json:"window_hours"`
	Summary       string        `json:"summary"`
	Failures      []jsonFailure `json:"failures"`
	Looked        []jsonLooked  `json:"looked"`
	Notices       []jsonNotice  `json:"notices"`
}

type jsonFailure struct {
	Kind      scanner.FailureKind `json:"kind"`
	ImageID   string              `json:"image_id,omitempty"`
	ImageName string              `json:"image_name,omitempty"`
	Time      string              `json:"time,omitempty"`
	Precision scanner.Precision   `json:"precision,omitempty"`
	From      string              `json:"from,omitempty"`
	To        string              `json:"to,omitempty"`
	Explained bool                `json:"explained"`
	Reasons   []jsonReason        `json:"reasons"`
	Lines     []jsonLogLine       `json:"lines"`
	Changes   []jsonChange        `json:"changes"`
	Omitted   int                 `json:"omitted,omitempty"`
}

type jsonReason struct {
	Code        string        `json:"code,omitempty"`
	Message     string        `json:"message,omitempty"`
	Explained   bool          `json:"explained"`
	Explanation string        `json:"explanation"`
	Remediation string        `json:"remediation,omitempty"`
	ExplainedBy []string      `json:"explained_by"`
	Findings    []jsonFinding `json:"findings"`
	Disk        *jsonDisk     `json:"disk,omitempty"`
	NotChecked  []string      `json:"not_checked,omitempty"`
}

// jsonDisk is what the disk says of a code that no requirement covers.
type jsonDisk struct {
	Status   string         `json:"status"`
	Message  string         `json:"message"`
	Evidence []jsonEvidence `json:"evidence,omitempty"`
}

type jsonLogLine struct {
	Time      string            `json:"time,omitempty"`
	Precision scanner.Precision `json:"precision,omitempty"`
	Text      string            `json:"text"`
	Evidence  jsonEvidence      `json:"evidence"`
}

type jsonChange struct {
	Time      string            `json:"time"`
	Precision scanner.Precision `json:"precision"`
	Kind      string            `json:"kind"`
	Subject   string            `json:"subject,omitempty"`
	What      string            `json:"what"`
	Evidence  []jsonEvidence    `json:"evidence"`
}

type jsonLooked struct {
	Name     string        `json:"name"`
	Found    int           `json:"found"`
	Problem  string        `json:"problem,omitempty"`
	Evidence *jsonEvidence `json:"evidence,omitempty"`
}

// ExplainJSON writes an explanation as ExplainSchema describes it.
func ExplainJSON(w io.Writer, e *scanner.Explanation, o Options) error {
	doc := jsonExplanation{
		SchemaVersion: schemaVersion, Tool: o.tool(), Started: timestamp(e.Started), Finished: timestamp(e.Finished),
		Images: append([]string{}, e.Images...), With: append([]string{}, e.With...), Platform: jsonPlatform(e.Platform),
		RuleBook: e.RuleBook.Name, WindowHours: float64(e.Window) / float64(time.Hour), Summary: explainSummary(e),
		Failures: []jsonFailure{}, Looked: []jsonLooked{}, Notices: []jsonNotice{},
	}
	for _, f := range e.Failures {
		doc.Failures = append(doc.Failures, failure(f))
	}
	for _, l := range e.Looked {
		j := jsonLooked{Name: l.Name, Found: l.Found, Problem: l.Problem}
		if l.Evidence.Path != "" {
			ev := evidence(l.Evidence)
			j.Evidence = &ev
		}
		doc.Looked = append(doc.Looked, j)
	}
	for _, n := range e.Notices {
		doc.Notices = append(doc.Notices, jsonNotice(n))
	}
	encoder := NewJSONEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(doc)
}

func failure(f scanner.Failure) jsonFailure {
	j := jsonFailure{
		Kind: f.Kind, ImageID: f.ImageID, ImageName: f.ImageName, Time: timestamp(f.Time), From: timestamp(f.From),
		To: timestamp(f.To), Explained: f.Explained, Omitted: f.Omitted,
		Reasons: []jsonReason{}, Lines: []jsonLogLine{}, Changes: []jsonChange{},
	}
	if !f.Time.IsZero() {
		j.Precision = f.Precision
	}
	for _, r := range reasonsOf(f) {
		one := jsonReason{Code: r.Code, Message: r.Message, Explained: r.Explained, Explanation: r.Text,
			Remediation: r.Fix, ExplainedBy: append([]string{}, r.ExplainedBy...), Findings: []jsonFinding{},
			NotChecked: r.Unchecked}
		for _, found := range r.Findings {
			one.Findings = append(one.Findings, finding(found))
		}
		if d := r.Disk; d != nil {
			one.Disk = &jsonDisk{Status: string(d.Status), Message: d.Message}
			for _, ev := range d.Evidence {
				one.Disk.Evidence = append(one.Disk.Evidence, evidence(ev))
			}
		}
		j.Reasons = append(j.Reasons, one)
	}
	for _, l := range f.Lines {
		line := jsonLogLine{Time: timestamp(l.Time), Text: l.Text, Evidence: evidence(l.Evidence)}
		if line.Time != "" {
			line.Precision = l.Precision
		}
		j.Lines = append(j.Lines, line)
	}
	for _, c := range f.Changes {
		one := jsonChange{Time: timestamp(c.Time), Precision: c.Precision, Kind: string(c.Kind), Subject: c.Subject,
			What: c.What, Evidence: []jsonEvidence{}}
		for _, ev := range c.Evidence {
			one.Evidence = append(one.Evidence, evidence(ev))
		}
		j.Changes = append(j.Changes, one)
	}
	return j
}
