package report

import (
	"bytes"
	_ "embed" // for the page's template
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

//go:embed html.tmpl
var htmlPage string

var htmlTemplate = template.Must(template.New("page").Parse(htmlPage))

// HTML writes one page that needs nothing beside itself and no script: the
// verdict, what to do first, the volumes and the profile as pictures, what the
// image will include, every finding with all its evidence and details, and how
// the images were read. It follows the reader's choice of a light or dark
// screen, and in print shows everything.
func HTML(w io.Writer, r *scanner.Result, o Options) error {
	page := htmlReport{
		Title:    "coldcheck: " + verdictName[r.Verdict] + ", " + Neutral(system(r)),
		Verdict:  verdictName[r.Verdict],
		Class:    string(r.Verdict),
		Tally:    tally(r),
		Beside:   remarks(r, o),
		System:   Neutral(system(r)),
		Version:  Neutral(o.Version),
		Started:  r.Started.UTC().Format("2006-01-02 15:04:05Z"),
		Finished: r.Finished.UTC().Format("2006-01-02 15:04:05Z"),
		Read:     prose.Size(r.BytesRead),
		Reads:    r.Reads,
	}
	for _, v := range volumes(r) {
		what, where := volume(v)
		b := htmlBar{
			Name:  strings.ToUpper(string(v.Role[:1])) + string(v.Role[1:]) + " volume",
			Text:  Neutral(what),
			Where: Neutral(where),
		}
		if v.Free >= 0 {
			b.fill(v.Size-v.Free, v.Size)
		}
		page.Bars = append(page.Bars, b)
	}
	for i, f := range r.Findings {
		h, err := htmlFindingOf(f)
		if err != nil {
			return err
		}
		h.Counts = f.Counts
		if b, ok := usage(h.Details); ok {
			b.Name, b.Text = f.ID, h.Message
			page.Bars = append(page.Bars, b)
		}
		if f.Severity == requirement.Info && strings.Contains(f.ID, ".contents") {
			page.Contents = append(page.Contents, h)
		}
		page.Findings = append(page.Findings, h)
		page.index = append(page.index, r.Findings[i].ID)
	}
	for _, n := range r.NotChecked {
		page.NotChecked = append(page.NotChecked, htmlField{n.ID, htmlValue{Text: n.Reason}})
	}
	for _, g := range actions(r) {
		a := htmlAction{htmlFinding: page.named(g[0].ID)}
		for _, f := range g {
			a.All = append(a.All, page.named(f.ID))
		}
		page.Actions = append(page.Actions, a)
	}
	for _, n := range worstFirst(r.Notices) {
		page.Notices = append(page.Notices, htmlNotice{string(n.Level), Neutral(notice(n))})
	}
	for i, name := range r.Images {
		h := htmlImage{Name: Neutral(name)}
		if i < len(r.Files) {
			f := r.Files[i]
			h.Size, h.Modified, h.SHA256 = strconv.FormatInt(f.Size, 10), timestamp(f.Modified), f.SHA256
		}
		page.Images = append(page.Images, h)
	}
	for _, h := range r.Hives {
		page.Hives = append(
			page.Hives,
			htmlHive{Neutral(h.Source + " " + h.Path), h.State, Neutral(replayed(h)), h.Primary, h.Secondary},
		)
	}
	page.Arguments = neutral(o.Arguments)
	for _, name := range r.With {
		page.With = append(page.With, Neutral(name))
	}

	var b bytes.Buffer
	if err := htmlTemplate.Execute(&b, page); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// What the template is filled with. All texts are Neutral; the template escapes
// them for the place where they stand.
type htmlReport struct {
	Title, Verdict, Class, Tally, System string
	Beside                               []string
	Bars                                 []htmlBar
	Actions                              []htmlAction
	Contents                             []htmlFinding
	Findings                             []htmlFinding
	NotChecked                           []htmlField // the reason under the id
	Notices                              []htmlNotice
	Images                               []htmlImage
	Hives                                []htmlHive
	With, Arguments                      []string
	Version, Started, Finished, Read     string
	Reads                                int64

	index []string // ids of Findings
}

// htmlBar is a picture of how full something is.
type htmlBar struct {
	Name, Text, Where string
	Known             bool
	Used              string // of 100, with one digit
	Percent           int
	Over              bool // more than there is room for
}

type htmlAction struct {
	htmlFinding
	All []htmlFinding // with the same reason
}

type htmlFinding struct {
	ID, Demand, Status, Class, Shown, Message string
	Marks                                     []string
	Waiver                                    string
	Advice, How                               string
	Command                                   bool // How is one
	Reference                                 string
	Basis                                     string
	Counts                                    bool
	Evidence                                  []htmlEvidence
	Details                                   *htmlValue
	Omitted                                   string
	Folded                                    bool // evidence and details are long, or the finding asks nothing
}

type htmlEvidence struct {
	Where, What []string
	Bytes       string
	Confirmed   string
}

type htmlImage struct{ Name, Size, Modified, SHA256 string }

type htmlHive struct {
	Path, State, Replayed string
	Primary, Secondary    uint32
}

// replayed says what of transaction logs was applied to a hive.
func replayed(h scanner.Hive) string {
	var parts []string
	for _, a := range h.Applied {
		parts = append(parts, fmt.Sprintf("%s: entries %d to %d", a.Name, a.First, a.Last))
	}
	return strings.Join(parts, ", ")
}

type htmlNotice struct{ Level, Text string }

// htmlValue is a value of the details.
type htmlValue struct {
	Text    string
	Fields  []htmlField   // of an object
	Items   []htmlValue   // of a list that is no table
	Columns []string      // of a table
	Rows    [][]htmlValue // with as many cells as there are columns
	Empty   bool
	plain   value
}

type htmlField struct {
	Name  string
	Value htmlValue
}

func (p *htmlReport) named(id string) htmlFinding {
	for i, name := range p.index {
		if name == id {
			return p.Findings[i]
		}
	}
	return htmlFinding{}
}

func (b *htmlBar) fill(used, size int64) {
	if size <= 0 {
		return
	}
	share := min(max(float64(used)/float64(size), 0), 1) * 100
	b.Known, b.Over = true, used > size
	b.Used = strconv.FormatFloat(share, 'f', 1, 64)
	b.Percent = int(share)
}

// usage is the picture of details that say how many bytes there are and how many
// there may be.
func usage(details *htmlValue) (htmlBar, bool) {
	var b htmlBar
	if details == nil {
		return b, false
	}
	used, err := strconv.ParseInt(details.plain.field("bytes").text, 10, 64)
	if err != nil {
		return b, false
	}
	limit, err := strconv.ParseInt(details.plain.field("limit").text, 10, 64)
	if err != nil {
		return b, false
	}
	b.fill(used, limit)
	return b, b.Known
}

// maxOpen is how many lines of evidence and details are shown without a click.
const maxOpen = 12

func htmlFindingOf(f requirement.Finding) (htmlFinding, error) {
	h := htmlFinding{
		ID: f.ID, Demand: prose.Sentence(f.Demand), Status: statusName(f.Status), Class: string(f.Status),
		Shown:   shownStatus(f),
		Message: Neutral(f.Message), Reference: f.Reference, Basis: string(f.Basis),
	}
	for _, m := range marks(f) {
		h.Marks = append(h.Marks, Neutral(m))
	}
	if f.Waiver != nil {
		h.Waiver = Neutral(waiver(*f.Waiver))
	}
	var how string
	h.Advice, how = advice(f)
	h.How, h.Command = Neutral(how), f.Outcome.Remediation == ""
	for _, e := range f.Evidence {
		where, what := describe(e)
		he := htmlEvidence{Where: neutral(where), What: neutral(what), Bytes: offsets(e)}
		if e.CrossCheck.State == requirement.CrossConfirmed {
			he.Confirmed = "confirmed by " + Neutral(e.CrossCheck.Readers)
		} else {
			he.Confirmed = Neutral(unconfirmed(e.CrossCheck))
		}
		h.Evidence = append(h.Evidence, he)
	}
	lines := len(h.Evidence)
	if f.Details != nil {
		v, err := valueOf(f.Details)
		if err != nil {
			return h, err
		}
		shown := htmlValueOf(v)
		h.Details = &shown
		lines += len(v.parts)
	}
	h.Omitted = omitted(f)
	quiet := f.Status == requirement.Passed || f.Status == requirement.NotApplicable
	h.Folded = lines > maxOpen || quiet
	return h, nil
}

func neutral(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = Neutral(s)
	}
	return out
}

// offsets says at which byte evidence is.
func offsets(e requirement.Evidence) string {
	var parts []string
	for _, p := range []struct {
		at *int64
		of string
	}{
		{e.Offset, "byte %d of the file"},
		{e.ImageOffset, "byte %d of the image"},
		{e.RecordOffset, "the file's record at byte %d of the image"},
	} {
		if p.at != nil {
			parts = append(parts, fmt.Sprintf(p.of, *p.at))
		}
	}
	return strings.Join(parts, ", ")
}

func htmlValueOf(v value) htmlValue {
	h := htmlValue{Text: Neutral(v.text), plain: v, Empty: len(v.parts) == 0 && v.text == ""}
	switch columns := v.columns(); {
	case v.object:
		for i, name := range v.names {
			h.Fields = append(h.Fields, htmlField{Neutral(name), htmlValueOf(v.parts[i])})
		}
	case columns != nil:
		h.Columns = neutral(columns)
		for _, p := range v.parts {
			var row []htmlValue
			for _, c := range columns {
				row = append(row, htmlValueOf(p.field(c)))
			}
			h.Rows = append(h.Rows, row)
		}
	default:
		for _, p := range v.parts {
			h.Items = append(h.Items, htmlValueOf(p))
		}
	}
	return h
}
