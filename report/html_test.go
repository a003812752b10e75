package report

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// The checker of the W3C finds no error in any page, nor in its style sheet, and
// does find the one in a page that has one.
func TestHTMLValid(t *testing.T) {
	if !testenv.Full() {
		t.Skip("the checker takes its time: runs in strict mode")
	}
	t.Parallel()
	testenv.Tool(t, "java")
	checker := testenv.Validator(t, "vnu-jar", "build/dist/vnu.jar")
	pages := append(append(files(t, "html"), fleetPages(t)...), explainedPage(t))
	good, err := os.ReadFile(pages[0])
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.html")
	if err := os.WriteFile(broken, bytes.Replace(good, []byte("</h1>"), []byte("</h2>"), 1), 0o666); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("java",
		append([]string{"-Xss8m", "-jar", checker, "--errors-only", broken}, pages...)...).CombinedOutput()
	refused := false
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, "/broken.html") {
			refused = true
		} else {
			t.Error(line)
		}
	}
	if !refused {
		t.Errorf("a heading that does not end is accepted: %v", err)
	}
}

// No page sticks out of its window, at the width of a phone or of a desk, folded
// or not, and an accessibility checker finds nothing in it, on a light screen or
// a dark one.
func TestHTMLInBrowser(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(testenv.Validator(t, "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	axe := string(source)
	// all that a page may hold; the checker takes its time
	checked := []string{"case-failing", "case-linux-failing", "hostile", "waived", "cross-checked"}
	pages := files(t, "html")
	if testenv.Full() {
		pages, checked = append(pages, explainedPage(t)), append(checked, "explain-reserved-storage")
	}
	b := startBrowser(t)
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".html")
		if !slices.Contains(checked, name) && !testenv.Full() {
			continue
		}
		for _, width := range []int{390, 1280} {
			look := map[int]string{390: "dark", 1280: "light"}[width]
			b.open(page, width, look)
			if s := b.overflow(); s != "" {
				t.Errorf("%s at %d: %s", name, width, s)
			}
			if dir := os.Getenv("COLDCHECK_PICTURES"); dir != "" {
				b.picture(filepath.Join(dir, name+"-"+look+".png"))
			}
			b.unfold()
			if s := b.overflow(); s != "" {
				t.Errorf("%s at %d, unfolded: %s", name, width, s)
			}
			if !slices.Contains(checked, name) {
				continue
			}
			for _, v := range b.violations(axe) {
				t.Errorf("%s at %d: %s", name, width, v)
			}
		}
	}

	broken := filepath.Join(t.TempDir(), "broken.html")
	if err := os.WriteFile(broken,
		[]byte(`<!DOCTYPE html><title>x</title><p style="width: 2000px; color: #ccc; background: #fff">wide and pale</p>`),
		0o666); err != nil {
		t.Fatal(err)
	}
	b.open(broken, 390, "light")
	if b.overflow() == "" || len(b.violations(axe)) < 2 {
		t.Error("nothing is found in a page that is wrong")
	}
}

// What is folded is not printed, and what was unfolded is: the reader chooses.
func TestHTMLInPrint(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	dir := t.TempDir()
	page := filepath.Join(dir, "page.html")
	if err := os.WriteFile(page, written(t, HTML, failing()), 0o666); err != nil {
		t.Fatal(err)
	}
	b.open(page, 900, "print")
	count := func() (shown, folded int) {
		var n []int
		b.run(`(() => { const all = [...document.querySelectorAll("details table, details .details")];
			return [all.filter(e => e.checkVisibility() && e.getBoundingClientRect().height > 0).length, all.length]; })()`, &n)
		return n[0], n[1]
	}
	if shown, folded := count(); shown != 0 || folded == 0 {
		t.Errorf("folded, %d of %d are printed", shown, folded)
	}
	b.unfold()
	if shown, folded := count(); shown != folded {
		t.Errorf("unfolded, %d of %d are printed", shown, folded)
	}
}

// A report is short on paper: that of the case that fails in many ways takes six pages
// at most, and its summary ends on the first.
func TestHTMLPages(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	page := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(page, written(t, HTML, scans(t)["case-failing"]), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, paper := range map[string][2]float64{"Letter": {8.5, 11}, "A4": {8.27, 11.69}} {
		b.open(page, int(paper[0]*96), "print")
		if n := b.pages(paper[0], paper[1]); n < 2 || n > 6 {
			t.Errorf("%s: %d pages, want 2 to 6", name, n)
		}
		var height float64
		b.run(`document.querySelector("header").getBoundingClientRect().bottom`, &height)
		const margins = 0.8 // inches, above and below together
		if room := (paper[1] - margins) * 96; height > room {
			t.Errorf("%s: the summary is %.0f high, and a page %.0f", name, height, room)
		}
	}
}

// The page has no script and refers to nothing outside itself; every finding is
// in it with each piece of its evidence; and nothing of an image is markup.
func TestHTMLContent(t *testing.T) {
	all := scans(t)
	all["attack"] = attack()
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			doc, err := html.Parse(bytes.NewReader(written(t, HTML, r)))
			if err != nil {
				t.Fatal(err)
			}
			articles := map[string]*html.Node{}
			ids := map[string]bool{}
			for n := range doc.Descendants() {
				if n.Type != html.ElementNode {
					continue
				}
				switch n.Data {
				case "script", "link", "img", "iframe", "object", "embed", "form", "base":
					t.Errorf("element %s", n.Data)
				case "article":
					for c := range n.Descendants() {
						if attribute(c, "class") == "head" {
							articles[attribute(c, "id")] = n
						}
					}
				}
				if id := attribute(n, "id"); id != "" {
					if ids[id] {
						t.Errorf("id %s twice", id)
					}
					ids[id] = true
				}
				for _, a := range n.Attr {
					outside := a.Key == "href" && !strings.HasPrefix(a.Val, "#")
					if outside || a.Key == "src" || a.Key == "style" || strings.HasPrefix(a.Key, "on") {
						t.Errorf("%s %s=%s", n.Data, a.Key, a.Val)
					}
				}
			}
			for _, f := range r.Findings {
				a := articles[f.ID]
				if a == nil {
					t.Errorf("%s is not there", f.ID)
					continue
				}
				text := content(a)
				fix := a
				if f.Waiver == nil && f.Outcome.Remediation != "" {
					fix = a.Parent // one fix may settle several
				}
				if how := Neutral(f.Outcome.Remediation); f.Waiver == nil && !strings.Contains(content(fix), how) {
					t.Errorf("%s: the fix is not there", f.ID)
				}
				status := shownStatus(f)
				if asksSomething(f) {
					status = strings.ToLower(statusLabel(f.Status))
				}
				wanted := []string{Neutral(f.Message), status}
				for _, e := range f.Evidence {
					where, what := describe(e)
					wanted = append(wanted, neutral(where)...)
					wanted = append(wanted, neutral(what)...)
				}
				for _, w := range wanted {
					if !strings.Contains(text, w) {
						t.Errorf("%s: %q is not there", f.ID, w)
					}
				}
			}
			if len(articles) != len(r.Findings) {
				t.Errorf("%d heads of %d findings", len(articles), len(r.Findings))
			}
		})
	}
}

func attribute(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func content(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data)
		}
	}
	return b.String()
}

// Details are shown whatever their shape, in the order in which they are.
func TestHTMLDetails(t *testing.T) {
	for _, tt := range []struct {
		name    string
		details any
		want    []string
	}{
		{"a number", 42, []string{"42"}},
		{"text", "a <b>", []string{"a &lt;b&gt;"}},
		{"none", []string{}, []string{"–"}},
		{"a list", []any{"z", "a", true, nil}, []string{"<li>z</li>", "<li>a</li>", "<li>yes</li>", "–"}},
		{"an object", struct {
			Z int
			N []string
			A []string `json:"more_of_it"`
		}{1, nil, []string{"x"}}, []string{"<dl><div><dt>Z</dt><dd>1</dd></div><div><dt>More of it</dt>", "<li>x</li>"}},
		{"sizes", map[string]any{"bytes": 5 << 30, "complete": false, "limit": 1},
			[]string{"<dt>Size</dt><dd>5.0 GiB (5368709120 bytes)</dd>", "<dt>Complete</dt><dd>no</dd>",
				"<dt>Limit</dt><dd>1 byte</dd>"}},
		{"a table", []any{map[string]any{"path": "/tmp"}, map[string]any{"path": "/var", "files": 3}},
			[]string{`<th scope="col">Path</th><th scope="col">Files</th>`, "/tmp", "/var"}},
		{"a mixed list", []any{map[string]any{"path": "/tmp"}, "text"}, []string{"<dt>Path</dt>", "<li>text</li>"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := requirement.Pass("read")
			o.Details = tt.details
			page := string(written(t, HTML, result(requirement.Find(row("win.contents", requirement.Info), o))))
			at := 0
			for _, w := range tt.want {
				i := strings.Index(page[at:], w)
				if i < 0 {
					t.Fatalf("%q is not there, or not in order", w)
				}
				at += i
			}
			if !strings.Contains(page, "What the image will include") {
				t.Error("no chapter on what the image will include")
			}
		})
	}
}

// A bar shows the use of its own volume, full at most; a volume whose free space is not
// known has none, and no finding has one.
func TestHTMLBars(t *testing.T) {
	o := requirement.Pass("the profile")
	o.Details = map[string]any{"bytes": 5, "limit": 10}
	for _, tt := range []struct {
		free int64
		want string
	}{{-1, ""}, {0, "100 percent used: "}, {1, "99 percent used: "}, {5, "50 percent used: "}, {10, "0 percent used: "},
		{11, "0 percent used: "}} {
		r := result(requirement.Find(row("win.profile.size", requirement.Required), o))
		r.Volumes = []scanner.Volume{{Role: scanner.Root, Image: "a", Size: 1000, Free: tt.free * 100}}
		if tt.free < 0 {
			r.Volumes[0].Free = -1
		}
		if tt.free == 1 {
			r.Volumes[0].Free = 1
		}
		page := string(written(t, HTML, r))
		if n := strings.Count(page, "<svg"); n != min(len(tt.want), 1) || !strings.Contains(page, tt.want) {
			t.Errorf("%d free: %d bars, and %q is not there", tt.free, n, tt.want)
		}
	}
}

// What settles most comes first: a fix for two requirements before one for a
// requirement, what is not met before what is a warning.
func TestFixes(t *testing.T) {
	e := requirement.Evidence{Source: "root"}
	one := func(id, fix string, o requirement.Outcome) card {
		o.Remediation = fix
		return card{requirement.Find(row(id, requirement.Required), o)}
	}
	waived := one("g", "B", requirement.Fail("7", e))
	waived[0].Waiver = &requirement.Waiver{}
	var got []string
	for _, g := range fixes([]card{one("a", "A", requirement.Warn("1", e)), one("b", "A", requirement.Fail("2", e)),
		one("c", "B", requirement.Fail("3", e)), one("d", "A", requirement.Warn("4", e)), waived,
		one("e", "B", requirement.Fail("5", e)), one("f", "", requirement.Unknown("6")),
		one("h", "", requirement.Unknown("8"))}) {
		ids := ""
		for _, c := range g {
			ids += c[0].ID
		}
		got = append(got, ids)
	}
	if s := strings.Join(got, " "); s != "ce b g ad f h" {
		t.Errorf("%s", s)
	}
}

// Lines end behind the separators of long paths, and nowhere else in them; what was
// markup in a text is none, and the text stays as it is.
func TestBreaks(t *testing.T) {
	for text, want := range map[string]string{
		"":                  "",
		"C:\\Windows":       "C:\\Windows",
		`C:\Windows\Temp\a`: `C:\Windows\Temp\a`,
		`in C:\Windows\System32\config\SYSTEM now`: `in C:\<wbr>Windows\<wbr>System32\<wbr>config\<wbr>SYSTEM now`,
		`ProgramData/Amazon/EC2/`:                  `ProgramData/<wbr>Amazon/<wbr>EC2/`,
		`\\server.example.com\share`:               `\\<wbr>server.example.com\<wbr>share`,
		`/opt/<script>/"alert"/here`:               `/<wbr>opt/<wbr>&lt;script&gt;/<wbr>&#34;alert&#34;/<wbr>here`,
		"aaaaaaaaaaaaaaaaaaaaaaaaa":                "aaaaaaaaaaaaaaaaaaaaaaaaa",
		"größe/größe/größe/größe":                  "größe/<wbr>größe/<wbr>größe/<wbr>größe",
		"<b>/</b>":                                 "&lt;b&gt;/&lt;/b&gt;",
	} {
		if got := string(breaks(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
