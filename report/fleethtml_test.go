package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// fleetPages writes pages of fleets into a folder, and returns their names.
func fleetPages(t *testing.T) []string {
	t.Helper()
	now, before, targets := sampleFleet(t)
	dir := t.TempDir()
	var files []string
	for name, f := range map[string]*Fleet{
		"fleet":         readFleet(t, now, FleetOptions{Targets: targets, Since: before}),
		"fleet-hostile": hostileFleet(t),
		"fleet-empty":   {Store: "none"},
	} {
		file := filepath.Join(dir, name+".html")
		if err := os.WriteFile(file, []byte(fleetText(t, f, "html", fleetOptions)), 0o666); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// The page loads nothing and has one script, which is the one that its policy allows. Each
// machine is in the table, and each machine that does not meet a requirement is named
// there.
func TestFleetHTMLContent(t *testing.T) {
	t.Parallel()
	now, before, targets := sampleFleet(t)
	f := readFleet(t, now, FleetOptions{Targets: targets, Since: before})
	doc, err := html.Parse(strings.NewReader(fleetText(t, f, "html", fleetOptions)))
	if err != nil {
		t.Fatal(err)
	}
	policy, script := "", ""
	rows := map[string]string{}
	cards := map[string]string{}
	for n := range doc.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		switch n.Data {
		case "link", "img", "iframe", "object", "embed", "form", "base":
			t.Errorf("element %s", n.Data)
		case "script":
			if script != "" {
				t.Error("two scripts")
			}
			script = content(n)
		case "meta":
			if attribute(n, "http-equiv") == "Content-Security-Policy" {
				policy = attribute(n, "content")
			}
		case "tr":
			if n.FirstChild != nil && attribute(n.FirstChild, "scope") == "row" {
				rows[content(n.FirstChild)] = content(n)
			}
		case "div":
			if id := attribute(n, "id"); strings.HasPrefix(id, "r-") {
				cards[id[2:]] = content(n.Parent)
			}
		}
		for _, a := range n.Attr {
			outside := a.Key == "href" && !strings.HasPrefix(a.Val, "#")
			if outside || a.Key == "src" || a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("%s %s=%s", n.Data, a.Key, a.Val)
			}
		}
	}
	hash := sha256.Sum256([]byte(script))
	wanted := "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-" +
		base64.StdEncoding.EncodeToString(hash[:]) + "'; base-uri 'none'; form-action 'none'"
	if policy != wanted {
		t.Errorf("policy %s, want %s", policy, wanted)
	}
	for _, m := range f.Machines {
		row, ok := rows[m.ID+m.Computer]
		if !ok {
			t.Errorf("%s is not in the table", m.ID)
		}
		for _, id := range f.problems(&m) {
			if !strings.Contains(row, id) || !strings.Contains(cards[id], m.ID) {
				t.Errorf("%s: %s is not there", m.ID, id)
			}
		}
	}
}

// The pages fit their window, an accessibility checker finds nothing in them, and their
// script sorts and filters.
func TestFleetHTMLInBrowser(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile(testenv.Validator(t, "axe-core", "axe.min.js"))
	if err != nil {
		t.Fatal(err)
	}
	b := startBrowser(t)
	for _, page := range fleetPages(t) {
		name := strings.TrimSuffix(filepath.Base(page), ".html")
		for width, look := range map[int]string{390: "dark", 1280: "light"} {
			if (name != "fleet" || width != 390) && !testenv.Full() {
				continue // the checker takes its time
			}
			b.open(page, width, look)
			b.unfold()
			if s := b.overflow(); s != "" {
				t.Errorf("%s at %d: %s", name, width, s)
			}
			if dir := os.Getenv("COLDCHECK_PICTURES"); dir != "" {
				b.picture(filepath.Join(dir, name+"-"+look+".png"))
			}
			for _, v := range b.violations(string(source)) {
				t.Errorf("%s at %d: %s", name, width, v)
			}
		}
		if name == "fleet" {
			sortAndFilter(t, b, page)
		}
	}
}

func sortAndFilter(t *testing.T, b *browser, page string) {
	t.Helper()
	const visible = `[...document.querySelectorAll("#list tbody tr:not(.group)")].filter(r => !r.hidden)` +
		`.map(r => r.cells[0].firstChild.textContent).join(" ")`
	shows := func(when, want string) {
		t.Helper()
		var got string
		b.run(visible, &got)
		if got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	b.open(page, 1280, "light")
	const byState = "ws-dev-2 ws-locked ws-torn ws-cad-9 ws-dev-1"
	shows("at first", "ws-cad-1 ws-cad-2 ws-dev-3 ws-linux ws-new "+byState)
	press := func(column string) {
		b.run(`document.querySelectorAll("#list thead button")[`+column+`].click()`, nil)
	}
	press("0")
	shows("sorted down", "ws-new ws-linux ws-dev-3 ws-cad-2 ws-cad-1 "+byState)
	press("0")
	shows("sorted up", "ws-cad-1 ws-cad-2 ws-dev-3 ws-linux ws-new "+byState)
	filter := func(text, state string) {
		b.run(`(() => { const t = document.getElementById("text"), s = document.getElementById("state");
			t.value = "`+text+`"; s.value = "`+state+`";
			t.dispatchEvent(new Event("input")); s.dispatchEvent(new Event("change")); })()`, nil)
	}
	filter("TEAM=cad", "")
	shows("with a label", "ws-cad-1 ws-cad-2 ws-new ws-cad-9")
	filter("team=cad", "no_record")
	shows("with a label in a state", "ws-cad-9")
	var text string
	b.run(`document.getElementById("shown").textContent`, &text)
	if text != "1 of 10 machines are shown." {
		t.Error(text)
	}
	filter("", "")
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	b.open(page, 1280, "light")
	b.call("Emulation.setScriptExecutionDisabled", map[string]any{"value": false}, nil)
	shows("without scripts", "ws-cad-1 ws-cad-2 ws-dev-3 ws-linux ws-new "+byState)
	var hidden bool
	b.run(`document.getElementById("controls").hidden`, &hidden)
	if !hidden {
		t.Error("controls that do nothing are shown without scripts")
	}
}

// The script is plain enough to be part of a page.
func TestFleetScript(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"</", "<!--", "innerHTML", "eval", "fetch", "http"} {
		if bytes.Contains([]byte(fleetScript), []byte(s)) {
			t.Errorf("it has %q", s)
		}
	}
}
