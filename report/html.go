package report

import (
	"bytes"
	"cmp"
	_ "embed" // for the page's template
	"fmt"
	"html/template"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

//go:embed html.tmpl
var htmlPage string

// htmlStyle defines the style sheet that all pages have.
//
//go:embed style.tmpl
var htmlStyle string

var htmlTemplate = parsePage(htmlPage)

func parsePage(page string) *template.Template {
	return template.Must(template.New("page").Funcs(template.FuncMap{"breaks": breaks}).Parse(htmlStyle + page))
}

// wideWord is the length of the shortest word that breaks lets a line end in, in
// characters.
const wideWord = 20

// breaks escapes a text and lets lines end behind the separators of its long
// paths. The marks are no characters: a copy of the text does not have them.
func breaks(text string) template.HTML {
	var b, word strings.Builder
	length, separators := 0, false
	end := func() {
		escaped := template.HTMLEscapeString(word.String())
		if separators && length >= wideWord {
			escaped = pathBreaks.ReplaceAllString(escaped, "$1<wbr>$2")
		}
		b.WriteString(escaped)
		word.Reset()
		length, separators = 0, false
	}
	for _, r := range text {
		if r == ' ' || r == '\n' {
			end()
			b.WriteRune(r)
			continue
		}
		word.WriteRune(r)
		length++
		separators = separators || r == '\\' || r == '/'
	}
	end()
	return template.HTML(b.String())
}

// pathBreaks are the separators of a path that another character follows.
var pathBreaks = regexp.MustCompile(`([\\/])([^\\/])`)

// HTML writes one self-contained page without scripts: a summary with the
// verdict, the computer and the images; the fixes, with the one that settles
// most checks first; undecided checks; every other check; and how the images
// were read. It supports light and dark mode. Folded sections are not printed.
func HTML(w io.Writer, r *scanner.Result, o Options) error {
	page := htmlReport{
		Title:    "coldcheck: " + verdictName[r.Verdict] + ", " + Neutral(system(r)),
		Question: "can an image be created from this WorkSpace?",
		Book:     ruleBook(r.RuleBook),
		Verdict:  verdictName[r.Verdict],
		Class:    string(r.Verdict),
		Tally:    tally(r),
		Remarks:  neutral(remarks(r, o)),
		Facts:    htmlFacts(r),
		Version:  Neutral(o.Version),
		Started:  second(r.Started),
		Finished: second(r.Finished),
		Read:     prose.Size(r.BytesRead),
		Reads:    r.Reads,
	}
	if b := r.RuleBook; b.Name != "" && b.Name != rules.Default {
		page.Question = Neutral(b.Title)
	}
	advice, command := next(r, o)
	page.Next, page.NextIsCommand = Neutral(advice), command
	for _, v := range volumes(r) {
		if v.Role == scanner.Other {
			continue
		}
		what, where := volume(v)
		if s := recovered(r, v); s != "" {
			what += ", " + s
		}
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
	carded, err := page.addSections(r)
	if err != nil {
		return err
	}
	for _, f := range r.Findings {
		h, err := htmlFindingOf(f)
		if err != nil {
			return err
		}
		switch {
		case f.Severity == requirement.Info && strings.Contains(f.ID, ".contents") && !carded[f.ID]:
			h.Open = true // its details are what the reader wants
			page.Contents = append(page.Contents, h)
		case !carded[f.ID]:
			page.Others = append(page.Others, h)
		}
	}
	for _, n := range r.NotChecked {
		page.NotChecked = append(page.NotChecked, htmlField{n.ID, htmlValue{Text: n.Reason}})
	}
	for _, one := range r.Each()[1:] {
		b, err := htmlBookOf(one)
		if err != nil {
			return err
		}
		page.Books = append(page.Books, b)
	}
	for _, n := range worstFirst(r.Notices) {
		page.Notices = append(page.Notices, htmlNotice{string(n.Level), Neutral(notice(n))})
	}
	for i, name := range r.Images {
		h := htmlImage{Name: Neutral(name)}
		if i < len(r.Files) {
			f := r.Files[i]
			h.Size, h.Modified, h.SHA256 = bytesText(f.Size), second(f.Modified), f.SHA256
			h.complete(f)
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
	page.With = neutral(r.With)

	var b bytes.Buffer
	if err := htmlTemplate.Execute(&b, page); err != nil {
		return err
	}
	_, err = w.Write(b.Bytes())
	return err
}

// htmlFacts names the system that was scanned and when.
// lastStart is when Windows last started, and whether it was shut down since; "" if that is not known.
func lastStart(r *scanner.Result) string {
	switch {
	case r.LastStart.IsZero():
		return ""
	case r.CleanStop.IsZero():
		return second(r.LastStart) + ", no shutdown since in the event log"
	}
	return second(r.LastStart) + ", shut down on " + second(r.CleanStop)
}

func htmlFacts(r *scanner.Result) []htmlField {
	var facts []htmlField
	for _, f := range []struct{ name, text string }{
		{"Computer", r.Platform.ComputerName},
		{"System", systemName(r.Platform)},
		{"User", r.Platform.UserName},
		{"Rule book", ruleBook(r.RuleBook)},
		{"Last start", lastStart(r)},
		{"Scanned", second(r.Started)},
	} {
		if f.text != "" {
			facts = append(facts, htmlField{f.name, htmlValue{Text: Neutral(f.text)}})
		}
	}
	return facts
}

// addSections adds the findings that need action, and returns their ids.
func (p *htmlReport) addSections(r *scanner.Result) (map[string]bool, error) {
	needed, extra, waived := cards(r)
	var unmet, undecided []card
	for _, c := range needed {
		if c[0].Status == requirement.Undetermined {
			undecided = append(undecided, c)
		} else {
			unmet = append(unmet, c)
		}
	}
	carded := map[string]bool{}
	for _, s := range []struct {
		id, title, note string
		cards           []card
	}{
		{"do", "What to do first", "", unmet},
		{"undecided", "What is undecided", "", undecided},
		{"optional", "Recommendations", "These do not affect the verdict.", extra},
		{"waived", "Waived", "These do not affect the exit code.", waived},
	} {
		if len(s.cards) == 0 {
			continue
		}
		section := htmlSection{ID: s.id, Title: s.title, Note: s.note}
		for _, fix := range fixes(s.cards) {
			group := htmlGroup{Class: string(fix[0][0].Status)}
			for _, c := range fix {
				hc := htmlCard{Message: Neutral(c.fullest().Message)}
				if c[0].Waiver != nil {
					hc.Waiver = Neutral(waiver(*c[0].Waiver))
				}
				if c[0].Status != requirement.Undetermined && c[0].Waiver == nil {
					hc.places(c[0])
				}
				for _, f := range c {
					h, err := htmlFindingOf(f)
					if err != nil {
						return nil, err
					}
					hc.Findings = append(hc.Findings, h)
					carded[f.ID] = true
				}
				group.Cards = append(group.Cards, hc)
			}
			if first := fix[0]; first.actionable() {
				label, how := advice(first[0])
				group.Advice, group.How, group.Command = label, Neutral(how), first[0].Outcome.Remediation == ""
			}
			section.Groups = append(section.Groups, group)
		}
		p.Sections = append(p.Sections, section)
	}
	return carded, nil
}

// fixes groups cards by their fix. For each status, the fix that settles most findings
// comes first. Undecided and waived cards are groups of their own.
func fixes(cards []card) [][]card {
	var groups [][]card
	for _, c := range cards {
		same := func(g []card) bool {
			return c[0].Outcome.Remediation != "" && c[0].Waiver == nil && g[0][0].Status == c[0].Status &&
				g[0][0].Outcome.Remediation == c[0].Outcome.Remediation
		}
		if i := slices.IndexFunc(groups, same); i >= 0 {
			groups[i] = append(groups[i], c)
		} else {
			groups = append(groups, []card{c})
		}
	}
	settled := func(g []card) int {
		n := 0
		for _, c := range g {
			n += len(c)
		}
		return n
	}
	rank := func(g []card) int { return slices.Index(requirement.Statuses, g[0][0].Status) }
	slices.SortStableFunc(groups, func(a, b []card) int {
		return cmp.Or(rank(a)-rank(b), settled(b)-settled(a))
	})
	return groups
}

// htmlReport is the data of the template. All texts are Neutral; the template escapes
// them for their context.
type htmlReport struct {
	Title, Verdict, Class, Tally, Next string
	Question, Book                     string
	NextIsCommand                      bool
	Remarks                            []string
	Facts                              []htmlField
	Bars                               []htmlBar
	Sections                           []htmlSection
	Contents                           []htmlFinding
	Others                             []htmlFinding
	NotChecked                         []htmlField // the reason under the id
	Books                              []htmlBook  // what the other rule books say
	Notices                            []htmlNotice
	Images                             []htmlImage
	Hives                              []htmlHive
	With, Arguments                    []string
	Version, Started, Finished, Read   string
	Reads                              int64
}

// htmlBook is what a rule book says that is not the first one.
type htmlBook struct {
	Name, Title, Verdict, Class, Tally string
	Findings                           []htmlFinding // what is not met first
}

func htmlBookOf(r *scanner.Result) (htmlBook, error) {
	b := htmlBook{Name: r.RuleBook.Name, Title: Neutral(ruleBook(r.RuleBook)), Verdict: verdictName[r.Verdict],
		Class: string(r.Verdict), Tally: tally(r)}
	findings := slices.Clone(r.Findings)
	slices.SortStableFunc(findings, func(x, y requirement.Finding) int {
		return statusRank[y.Status] - statusRank[x.Status]
	})
	for _, f := range findings {
		h, err := htmlFindingOf(f)
		if err != nil {
			return b, err
		}
		if f.Outcome.Remediation != "" {
			_, how := advice(f)
			h.Fix = Neutral(how)
		}
		b.Findings = append(b.Findings, h)
	}
	return b, nil
}

// htmlBar is a picture of how full a volume is.
type htmlBar struct {
	Name, Text, Where string
	Known             bool
	Used              string // of 100, with one digit
	Percent           int
}

type htmlSection struct {
	ID, Title, Note string
	Groups          []htmlGroup
}

// htmlGroup holds the cards that one fix settles.
type htmlGroup struct {
	Class       string
	Cards       []htmlCard
	Advice, How string
	Command     bool // How is one
}

// htmlCard holds the findings that are unmet or undecided for one cause.
type htmlCard struct {
	Findings        []htmlFinding
	Message, Waiver string
	Places          []htmlPlace
	More            int // places that are not shown
}

type htmlPlace struct{ Where, What []string }

func (c *htmlCard) places(f requirement.Finding) {
	all := deciding(f)
	for _, p := range all[:min(len(all), maxPlaces)] {
		c.Places = append(c.Places, htmlPlace{neutral(p.where), neutral(p.what)})
	}
	c.More = len(all) - len(c.Places)
}

type htmlFinding struct {
	ID, Demand, Label, Status, Class, Shown, Message string
	Marks                                            []string
	Reference                                        string
	Evidence                                         []htmlEvidence
	Details                                          *htmlValue
	Omitted, Fix                                     string
	Open                                             bool // evidence and details are unfolded
}

type htmlEvidence struct {
	Where, What []string
	Bytes       string
	Confirmed   string
}

type htmlImage struct {
	Name, Size, Modified, SHA256 string

	// of one that is not raw
	Container string
	Lines     []htmlLine // hashes of the disk, parts and parents
}

// htmlLine is a label with a code and what follows it.
type htmlLine struct{ Label, Code, Text string }

// maxFiles is how many parts of an image the page lists.
const maxFiles = 20

// complete adds what the disk in an image is, and the files it is made of.
func (h *htmlImage) complete(f scanner.ImageFile) {
	h.remote(f.Remote)
	if f.IsRaw() {
		return
	}
	h.Container = Neutral(f.Container)
	if f.Detail != "" {
		h.Container += " (" + Neutral(f.Detail) + ")"
	}
	h.Container += ", disk of " + bytesText(f.DiskSize)
	add := func(label, code, text string) {
		if code != "" {
			h.Lines = append(h.Lines, htmlLine{label, Neutral(code), Neutral(text)})
		}
	}
	hashed := func(p scanner.Part) string {
		text := bytesText(p.Size)
		if p.SHA256 != "" {
			text += ", SHA-256 " + p.SHA256
		}
		return text
	}
	parts := func(list []scanner.Part) {
		for n, p := range list {
			if n == maxFiles {
				h.Lines = append(h.Lines, htmlLine{Label: prose.Count(len(list)-n, "more part", "more parts")})
				return
			}
			add("Part", p.Name, hashed(p))
			h.remote(p.Remote)
		}
	}
	add("Disk, SHA-256", f.DiskSums.SHA256, "")
	add("Disk, SHA-1", f.DiskSums.SHA1, "")
	add("Disk, MD5", f.DiskSums.MD5, "")
	for _, s := range f.Stated {
		outcome := "not compared"
		if s.Compared {
			outcome = map[bool]string{false: "differs from the disk", true: "equal to the disk"}[s.Matches]
		}
		add("Stated "+algorithmNames[s.Algorithm], s.Sum, outcome)
	}
	parts(f.Parts)
	for _, p := range f.Parents {
		add("Parent", p.Name, p.Container+", "+hashed(p.Part))
		h.remote(p.Remote)
		parts(p.Parts)
	}
}

// remote adds which bytes a file has that was read over a network.
func (h *htmlImage) remote(f *scanner.RemoteFile) {
	if f == nil {
		return
	}
	if parts := remoteText(f); len(parts) > 0 {
		h.Lines = append(h.Lines, htmlLine{Label: "Remote:", Text: Neutral(strings.Join(parts, ", "))})
	}
}

type htmlHive struct {
	Path, State, Replayed string
	Primary, Secondary    uint32
}

// replayed lists the log entries that were applied to a hive.
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
}

type htmlField struct {
	Name  string
	Value htmlValue
}

func (b *htmlBar) fill(used, size int64) {
	if size <= 0 {
		return
	}
	share := min(max(float64(used)/float64(size), 0), 1) * 100
	b.Known = true
	b.Used = strconv.FormatFloat(share, 'f', 1, 64)
	b.Percent = int(share)
}

func htmlFindingOf(f requirement.Finding) (htmlFinding, error) {
	h := htmlFinding{
		ID: f.ID, Demand: Neutral(prose.Sentence(f.Demand)), Label: severityNames[f.Severity],
		Status: strings.ToLower(statusLabel(f.Status)), Class: string(f.Status), Shown: shownStatus(f),
		Message: Neutral(f.Message), Reference: f.Reference, Marks: neutral(marks(f)),
	}
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
	if f.Details != nil {
		v, err := valueOf(f.Details)
		if err != nil {
			return h, err
		}
		shown := htmlValueOf("", v)
		h.Details = &shown
	}
	h.Omitted = omitted(f)
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
		{e.FileOffset, "byte %d of " + strings.ReplaceAll(Neutral(e.File), "%", "%%")},
		{e.RecordFileOffset, "the file's record at byte %d of " + strings.ReplaceAll(Neutral(e.RecordFile), "%", "%%")},
	} {
		if p.at != nil {
			parts = append(parts, fmt.Sprintf(p.of, *p.at))
		}
	}
	return strings.Join(parts, ", ")
}

// htmlValueOf converts a value of the details; name is the name of its field. Empty
// fields are left out.
func htmlValueOf(name string, v value) htmlValue {
	h := htmlValue{Text: Neutral(readable(name, v)), Empty: v.empty()}
	switch columns := v.columns(); {
	case v.object:
		for i, name := range v.names {
			if !v.parts[i].empty() {
				h.Fields = append(h.Fields, htmlField{Neutral(caption(name)), htmlValueOf(name, v.parts[i])})
			}
		}
	case columns != nil:
		for _, c := range columns {
			h.Columns = append(h.Columns, Neutral(caption(c)))
		}
		for _, p := range v.parts {
			var row []htmlValue
			for _, c := range columns {
				row = append(row, htmlValueOf(c, p.field(c)))
			}
			h.Rows = append(h.Rows, row)
		}
	default:
		for _, p := range v.parts {
			h.Items = append(h.Items, htmlValueOf(name, p))
		}
	}
	return h
}
