package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// browser is a real one without a window, steered by the DevTools protocol over
// a pair of pipes: messages in JSON that end with a zero byte.
type browser struct {
	t       *testing.T
	out     *os.File
	in      *bufio.Reader
	session string
	number  int
}

// startBrowser starts a browser with an empty page.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	const program = "chromium-headless-shell"
	testenv.Tool(t, program)
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--user-data-dir="+t.TempDir())
	c.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4 there
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	if err := ourIn.SetReadDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	b := &browser{t: t, out: ourOut, in: bufio.NewReader(ourIn)}
	t.Cleanup(func() {
		b.session = ""
		b.call("Browser.close", nil, nil)
		ourOut.Close()
		c.Wait() // a browser that was closed may end with any code
		ourIn.Close()
	})
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var attached struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached)
	b.session = attached.SessionID
	b.call("Page.enable", nil, nil)
	return b
}

type browserMessage struct {
	ID     int             `json:"id,omitempty"`
	Method string          `json:"method,omitempty"`
	Params map[string]any  `json:"params,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error,omitempty"`
	Session string `json:"sessionId,omitempty"`
}

// call sends a command and waits for its result.
func (b *browser) call(method string, params map[string]any, result any) {
	b.t.Helper()
	b.number++
	text, err := json.Marshal(browserMessage{ID: b.number, Method: method, Params: params, Session: b.session})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.out.Write(append(text, 0)); err != nil {
		b.t.Fatal(err)
	}
	m := b.wait(func(m browserMessage) bool { return m.ID == b.number })
	if m.Error != nil {
		b.t.Fatalf("%s: %s", method, m.Error.Message)
	}
	if result != nil {
		if err := json.Unmarshal(m.Result, result); err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
	}
}

func (b *browser) wait(wanted func(browserMessage) bool) browserMessage {
	b.t.Helper()
	for {
		text, err := b.in.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("the browser: %v", err)
		}
		var m browserMessage
		if err := json.Unmarshal(text[:len(text)-1], &m); err != nil {
			b.t.Fatal(err)
		}
		if wanted(m) {
			return m
		}
	}
}

// open shows a file in a window of that width, on a "light" or "dark" screen or
// in "print".
func (b *browser) open(file string, width int, look string) {
	b.t.Helper()
	media, scheme := "screen", look
	if look == "print" {
		media, scheme = "print", "light"
	}
	b.call("Emulation.setDeviceMetricsOverride",
		map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
	b.call("Emulation.setEmulatedMedia",
		map[string]any{"media": media, "features": []any{map[string]any{"name": "prefers-color-scheme", "value": scheme}}},
		nil)
	b.call("Page.navigate", map[string]any{"url": "file://" + file}, nil)
	b.wait(func(m browserMessage) bool { return m.Method == "Page.loadEventFired" })
}

// run evaluates an expression in the page, waits for it if it is a promise, and
// decodes its value.
func (b *browser) run(expression string, value any) {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &r)
	if e := r.ExceptionDetails; e != nil {
		b.t.Fatalf("%s %s", e.Text, e.Exception.Description)
	}
	if value != nil {
		if err := json.Unmarshal(r.Result.Value, value); err != nil {
			b.t.Fatalf("%s: %v", r.Result.Value, err)
		}
	}
}

// picture writes a full-page PNG.
func (b *browser) picture(file string) {
	b.t.Helper()
	var shot struct{ Data []byte }
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &shot)
	if err := os.WriteFile(file, shot.Data, 0o666); err != nil {
		b.t.Fatal(err)
	}
}

// pages is how many pages of that size in inches the page takes on paper.
func (b *browser) pages(width, height float64) int {
	b.t.Helper()
	var pdf struct{ Data []byte }
	b.call("Page.printToPDF", map[string]any{"paperWidth": width, "paperHeight": height}, &pdf)
	return len(pdfPage.FindAll(pdf.Data, -1))
}

// pdfPage is an object of a PDF that is a page, and not the list of them.
var pdfPage = regexp.MustCompile(`/Type\s*/Page\b`)

// unfold opens everything that is folded.
func (b *browser) unfold() {
	b.run(`document.querySelectorAll("details").forEach(d => d.open = true)`, nil)
}

// overflow says what sticks out of the page to the right, "" if nothing does.
func (b *browser) overflow() string {
	b.t.Helper()
	var wide []string
	b.run(`(() => {
		const room = document.documentElement.clientWidth;
		const out = [...document.body.querySelectorAll("*")].filter(e => e.getClientRects().length && e.getBoundingClientRect().right > room + 0.5 && getComputedStyle(e).clipPath == "none" && !e.closest("thead")).map(e => e.tagName + ": " + e.textContent.slice(0, 60));
		if (document.documentElement.scrollWidth > room) out.push("the page is " + document.documentElement.scrollWidth + " wide");
		return out;
	})()`, &wide)
	if len(wide) == 0 {
		return ""
	}
	return fmt.Sprint(wide[:min(len(wide), 3)])
}

// violations are what the accessibility checker finds in the page, each with
// its weight and the first element.
func (b *browser) violations(axe string) []string {
	b.t.Helper()
	var found []string
	b.run(axe+"\n;axe.run(document).then(r => r.violations.map(v => v.impact + \" \" + v.id + \": \" + v.help + \" \" + "+
		"v.nodes[0].html.slice(0, 100)))", &found)
	return found
}
