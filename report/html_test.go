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
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// The checker of the W3C finds no error in any page, nor in its style sheet, and
// does find the one in a page that has one.
func TestHTMLValid(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "java")
	checker := testenv.Validator(t, "vnu-jar", "build/dist/vnu.jar")
	pages := files(t, "html")
	check := func(files ...string) (string, error) {
		out, err := exec.Command("java",
			append([]string{"-Xss8m", "-jar", checker, "--errors-only"}, files...)...).CombinedOutput()
		return string(out), err
	}
	if out, err := check(pages...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	good, err := os.ReadFile(pages[0])
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.html")
	if err := os.WriteFile(broken, bytes.Replace(good, []byte("</h1>"), []byte("</h2>"), 1), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := check(broken); err == nil {
		t.Error("a heading that does not end is accepted")
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
	b := startBrowser(t)
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".html")
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

// What is folded on a screen is to be read in print.
func TestHTMLInPrint(t *testing.T) {
	t.Parallel()
	b := startBrowser(t)
	dir := t.TempDir()
	page := filepath.Join(dir, "page.html")
	if err := os.WriteFile(page, written(t, HTML, failing()), 0o666); err != nil {
		t.Fatal(err)
	}
	count := func(look string) (shown, folded int) {
		b.open(page, 900, look)
		var n []int
		b.run(`(() => { const all = [...document.querySelectorAll("details table, details .details")];
			return [all.filter(e => e.checkVisibility() && e.getBoundingClientRect().height > 0).length, all.length]; })()`, &n)
		return n[0], n[1]
	}
	if shown, folded := count("light"); shown != 0 || folded == 0 {
		t.Errorf("on a screen %d of %d are shown", shown, folded)
	}
	if shown, folded := count("print"); shown != folded {
		t.Errorf("in print %d of %d are shown", shown, folded)
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
					articles[attribute(n, "id")] = n
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
				wanted := []string{Neutral(f.Message), statusName(f.Status), Neutral(f.Outcome.Remediation)}
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
				t.Errorf("%d articles for %d findings", len(articles), len(r.Findings))
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
		{"a list", []any{"z", "a", true, nil}, []string{"<li>z</li>", "<li>a</li>", "<li>true</li>", "–"}},
		{"an object", struct {
			Z int
			A []string
		}{1, []string{"x"}}, []string{"<dt>Z</dt><dd>1</dd>", "<dt>A</dt>", "<li>x</li>"}},
		{"a table", []any{map[string]any{"path": "/tmp"}, map[string]any{"path": "/var", "files": 3}},
			[]string{`<th scope="col">path</th><th scope="col">files</th>`, "/tmp", "/var"}},
		{"a mixed list", []any{map[string]any{"path": "/tmp"}, "text"}, []string{"<dt>path</dt>", "<li>text</li>"}},
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

// What has bytes and a limit is drawn, full at most.
func TestHTMLUsage(t *testing.T) {
	for _, tt := range []struct {
		bytes int64
		want  string
	}{{0, "0 percent used"}, {5 << 30, "50 percent used"}, {10<<30 - 1, "99 percent used"}, {10 << 30, "100 percent used"},
		{25 << 30, `used over" x="0" y="0" width="100.0"`}} {
		o := requirement.Pass("the profile")
		o.Details = map[string]any{"bytes": tt.bytes, "limit": int64(10 << 30)}
		page := string(written(t, HTML, result(requirement.Find(row("win.profile.size", requirement.Required), o))))
		if !strings.Contains(page, tt.want) {
			t.Errorf("%d bytes: %q is not there", tt.bytes, tt.want)
		}
	}
}
