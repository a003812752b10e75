package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

// CatalogueRow is a requirement as a rule book has it.
type CatalogueRow struct {
	requirement.Requirement
	New bool // the default rule book does not have it
	// Differs says in phrases how it differs from what the default rule book has.
	Differs []string
}

// CatalogueFormat is one way to write requirements.
type CatalogueFormat func(w io.Writer, rows []CatalogueRow, o Options) error

// CatalogueTable lists requirements.
func CatalogueTable(w io.Writer, rows []CatalogueRow, o Options) error {
	p := newPage(w, o)
	added := 0
	list := make([]entry, 0, len(rows))
	for _, r := range rows {
		text, tag := r.Demand, string(r.Severity)
		switch {
		case r.New:
			tag += " *"
			added++
		case len(r.Differs) > 0:
			text = prose.Sentence(text) + " (" + strings.Join(r.Differs, "; ") + ")"
		}
		list = append(list, entry{id: r.ID, tag: tag, text: text})
	}
	p.rows(list)
	if added > 0 {
		p.paragraph([]string{"* not in the rule book " + rules.Default})
	}
	return p.w.Flush()
}

// Explain writes for each requirement its text, the evidence that decides it,
// how to check it live, and how to meet it.
func Explain(w io.Writer, rows []CatalogueRow, o Options) error {
	p := newPage(w, o)
	for i, r := range rows {
		if i > 0 {
			p.line("")
		}
		p.painted("", "", 2, r.ID+"  ("+kind(r.Requirement)+")")
		p.text("  ", prose.Sentence(r.Demand))
		p.text("  ", meaning(r.Requirement))
		for _, field := range explained(r) {
			p.text(fmt.Sprintf("  %-11s ", field.name+":"), field.text)
		}
	}
	return p.w.Flush()
}

// meaning says what depends on a requirement.
func meaning(r requirement.Requirement) string {
	var s string
	switch r.Severity {
	case requirement.Required:
		s = "Until this is met, the service creates no image and the verdict is NOT READY."
	case requirement.Recommended:
		s = "The service creates an image without it. If it is not met, it is a warning that does not change the " +
			"verdict; --fail-on recommended makes it change the exit code."
	default:
		s = "It requires nothing. It lists what you should know before you create the image."
	}
	if r.AWSErrorCode != "" {
		s += " If image creation fails because of it, the service reports " + r.AWSErrorCode + "."
	}
	if r.Scope == requirement.Service {
		s += " The disk does not show it. It is undetermined and does not count until --with adds the document."
	}
	return s
}

const live = "Live" // its text is a command

// explained lists what else is known of a requirement.
func explained(r CatalogueRow) []struct{ name, text string } {
	all := []struct{ name, text string }{
		{"Decided by", r.Reads}, {live, r.Live}, {"Unclear", r.Doubts}, {"Fix", r.Remediation}, {"Source", r.Reference},
		{"Differs", strings.Join(r.Differs, "; ")},
	}
	var some []struct{ name, text string }
	for _, f := range all {
		if f.text != "" {
			some = append(some, f)
		}
	}
	return some
}

// kind says what sort of requirement it is.
func kind(r requirement.Requirement) string {
	parts := []string{string(r.Severity)}
	if r.Scope == requirement.Service {
		parts = append(parts, "needs data from AWS: --with")
	}
	if r.AWSErrorCode != "" {
		parts = append(parts, "AWS: "+r.AWSErrorCode)
	}
	return strings.Join(parts, ", ")
}

type jsonRequirement struct {
	ID           string               `json:"id"`
	Platform     requirement.Platform `json:"platform"`
	Scope        requirement.Scope    `json:"scope"`
	Severity     requirement.Severity `json:"severity"`
	AWSErrorCode string               `json:"aws_error_code,omitempty"`
	Demand       string               `json:"demand"`
	Reads        string               `json:"reads,omitempty"`
	Live         string               `json:"live,omitempty"`
	Doubts       string               `json:"doubts,omitempty"`
	Remediation  string               `json:"remediation,omitempty"`
	Reference    string               `json:"reference,omitempty"`
	Differs      []string             `json:"differs,omitempty"`
}

// CatalogueJSON writes requirements as a JSON array.
func CatalogueJSON(w io.Writer, rows []CatalogueRow, _ Options) error {
	list := make([]jsonRequirement, 0, len(rows))
	for _, r := range rows {
		list = append(list, jsonRequirement{ID: r.ID, Platform: r.Platform, Scope: r.Scope, Severity: r.Severity,
			AWSErrorCode: r.AWSErrorCode, Demand: r.Demand, Reads: r.Reads, Live: r.Live, Doubts: r.Doubts,
			Remediation: r.Remediation, Reference: r.Reference, Differs: r.Differs})
	}
	e := NewJSONEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(list)
}

// CatalogueMarkdown writes requirements as a page of documentation, a chapter
// for each platform.
func CatalogueMarkdown(w io.Writer, rows []CatalogueRow, _ Options) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "# Requirements\n\nWritten by `coldcheck requirements -o markdown`.\n\n%s\n%s",
		prose.MarkdownItem("", "`required` ones block the creation of an image. `recommended` ones are warnings at most. "+
			"`info` ones list content and require nothing."),
		prose.MarkdownItem("", "\"Source\" is the section of *Create a Custom WorkSpaces Image and Bundle*, in the Amazon "+
			"WorkSpaces Administration Guide."))
	var platform requirement.Platform
	for _, r := range rows {
		if r.Platform != platform {
			platform = r.Platform
			fmt.Fprintf(b, "\n## %s\n", cmp.Or(platformNames[platform], string(platform)))
		}
		fmt.Fprintf(b, "\n### `%s`\n\n%s\n%s", r.ID, prose.MarkdownItem("", markdown(prose.Sentence(r.Demand))),
			prose.MarkdownItem("- ", "Kind: "+markdown(kind(r.Requirement))))
		for _, f := range explained(r) {
			text := markdown(f.text)
			if f.name == live {
				text = code(f.text)
			}
			b.WriteString(prose.MarkdownItem("- ", f.name+": "+text))
		}
	}
	return b.Flush()
}

var platformNames = map[requirement.Platform]string{
	requirement.Any: "Any system", requirement.Windows: "Windows", requirement.Linux: "Linux",
}

// markdown escapes characters of s that would be markup.
func markdown(s string) string {
	return strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "<", `\<`, "[", `\[`, "|", `\|`, "#",
		`\#`).Replace(s)
}

// code writes s as a code span, whose fence must not be in it (CommonMark, 6.1).
func code(s string) string {
	fence := "`"
	for strings.Contains(s, fence) {
		fence += "`"
	}
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return fence + s + fence
}
