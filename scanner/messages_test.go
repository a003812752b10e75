package scanner_test

import (
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/house"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var updateMessages = flag.Bool("update-messages", false, "write docs/messages.md again")

const messagesPage = "../docs/messages.md"

// constructors make outcomes.
var constructors = []string{"Pass", "Infer", "Fail", "Warn", "Skip", "Unknown"}

// notifiers take the text of a notice.
var notifiers = []string{"note", "notice", "notify"}

// longSentences are parts of messages with more words in a sentence than a person likes to read, and why they stay.
var longSentences = map[string]string{
	"root certificates of Amazon or Starfield are trusted": "lists the names of certificates",
	"will not include what the user installed":             "lists programs with their paths",
	"Pending for other reasons":                            "lists reasons",
	"the journal has changes that cannot be replayed":      "says which cause is behind which",
	"Cannot tell whether the answer file sets SkipRearm":   "says which cause is behind which",
	"Cannot tell which control set the next start":         "says which cause is behind which",
	"dirty hive":                  "says of each log why it does not help",
	"drive D of this computer is": "names two disks",
}

// check holds the texts of the cases to the rules of wording and, if they are of all cases, docs/messages.md to them.
func (m *messages) check(t *testing.T) {
	used := map[string]bool{}
	for _, text := range slices.Sorted(maps.Keys(m.texts)) {
		for _, broken := range house.Rendered(text) {
			t.Errorf("%s: %s", m.texts[text], broken)
		}
		for _, s := range house.Long(text) {
			reason := ""
			for part := range longSentences {
				if strings.Contains(s, part) {
					reason, used[part] = longSentences[part], true
				}
			}
			if reason == "" {
				t.Errorf("%s: a sentence has %d words: %q", m.texts[text], len(strings.Fields(s)), s)
			}
		}
	}
	if m.scans < len(testcases.All(t)) || t.Failed() && !*updateMessages {
		return
	}
	for part := range longSentences {
		if !used[part] {
			t.Errorf("no long sentence has %q", part)
		}
	}
	m.readSources(t)
	want := m.page()
	if *updateMessages {
		if err := os.WriteFile(messagesPage, []byte(want), 0o666); err != nil {
			t.Error(err)
		}
		return
	}
	is, err := os.ReadFile(messagesPage)
	if err != nil {
		t.Error(err)
	}
	if d := gocmp.Diff(want, string(is)); d != "" {
		t.Errorf("docs/messages.md is not current (-want +is; 'go test ./scanner -run ^TestCases$ -update-messages' "+
			"writes it):\n%s", d)
	}
}

// TestMessagesOrder makes sure that the page is the same in whichever order parallel cases end.
func TestMessagesOrder(t *testing.T) {
	var results []*scanner.Result
	for i, text := range []string{"C: has 9 GiB free.", "C: has 10 GiB free.", "C: is full.", "C: has 8 GiB free."} {
		f := requirement.Finding{Outcome: requirement.Fail(text)}
		f.ID, f.Outcome.Remediation = "win.disk.c-free", fmt.Sprintf("Delete %d files.", 4-i)
		results = append(results, &scanner.Result{Findings: []requirement.Finding{f},
			Notices: []requirement.Notice{{Message: text}}})
	}
	forward, backward := newMessages(), newMessages()
	for i := range results {
		forward.add(results[i])
		backward.add(results[len(results)-1-i])
	}
	want := forward.page()
	if d := gocmp.Diff(want, backward.page()); d != "" {
		t.Error(d)
	}
	const list = "- `` C: has 10 GiB free. `` (3)\n- `` C: is full. `` (1)\n- Fix: `` Delete 1 files. `` (4)\n"
	if !strings.Contains(want, list) {
		t.Error(want)
	}
}

func TestKindOfMessage(t *testing.T) {
	for _, same := range [][2]string{
		{"1 service runs as CORP\\svc-backup.", "1 service runs as CORP\\other."},
		{"C: has 9.2 GiB free.", "C: has 10 GiB free."},
		{"Packages: a_1.0, b_2.0.", "Packages: c_3.0."},
	} {
		if a, b := kindOfMessage(same[0]), kindOfMessage(same[1]); a != b {
			t.Errorf("%q and %q differ", a, b)
		}
	}
	if kindOfMessage("SSL is on.") == kindOfMessage("SSL is off.") {
		t.Error("different messages are one kind")
	}
}

// spoken is one kind of text: an example, and in how many cases it is.
type spoken struct {
	example string
	cases   int
}

// messages are the texts of all cases: by requirement and status, by kind.
type messages struct {
	findings map[string]map[string]*spoken
	remedies map[string]map[string]*spoken
	notices  map[string]*spoken
	raw      []string // all messages and notices
	sources  map[string][]string
	texts    map[string]string // all texts, and the requirement of each
	scans    int               // how many were added
	mu       sync.Mutex
}

var (
	names   = regexp.MustCompile(`[^\s,;:()"']*[\\/_.\d][^\s,;:()"']*[^\s,;:()"'.]|\b\d+\b|"[^"]*"`)
	several = regexp.MustCompile(`…(?:, …)+(?: and … more)?`)
)

// kindOfMessage is a message without the names and numbers in it.
func kindOfMessage(s string) string {
	return several.ReplaceAllString(names.ReplaceAllString(s, "…"), "…")
}

func add(kinds map[string]*spoken, text string) {
	kind := kindOfMessage(text)
	s := kinds[kind]
	if s == nil {
		s = &spoken{example: text}
		kinds[kind] = s
	}
	s.cases++
	if text < s.example {
		s.example = text
	}
}

func newMessages() *messages {
	m := &messages{findings: map[string]map[string]*spoken{}, remedies: map[string]map[string]*spoken{},
		notices: map[string]*spoken{}, sources: map[string][]string{}, texts: map[string]string{}}
	for _, r := range scanner.AllRequirements() {
		m.texts[r.Demand], m.texts[r.Doubts] = r.ID, r.ID
	}
	delete(m.texts, "")
	return m
}

// add adds what a scan says; nil is one that is not possible.
func (m *messages) add(r *scanner.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.scans++
	if r == nil {
		return
	}
	for _, f := range r.Findings {
		key := f.ID + " " + string(f.Status)
		if m.findings[key] == nil {
			m.findings[key], m.remedies[key] = map[string]*spoken{}, map[string]*spoken{}
		}
		add(m.findings[key], f.Message)
		m.texts[f.Message] = f.ID
		m.raw = append(m.raw, f.Message)
		if f.Outcome.Remediation != "" {
			add(m.remedies[key], f.Outcome.Remediation)
			m.texts[f.Outcome.Remediation] = f.ID
		}
	}
	for _, n := range r.Notices {
		add(m.notices, n.Message)
		m.texts[n.Message] = "notice"
		m.raw = append(m.raw, n.Message)
	}
}

// readSources finds the texts of outcomes that no case shows, and those of errors and notices.
func (m *messages) readSources(t *testing.T) {
	root := os.DirFS("..")
	folders := []string{"scanner", "cmd", "ntfs", "ext4", "xfs", "registry", "evtx", "report"}
	all := strings.Join(m.raw, "\n")
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dir, _, _ := strings.Cut(name, "/")
		if d.IsDir() && name != "." && (d.Name() == "testdata" || !slices.Contains(folders, dir)) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		source, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		unseen := func(what, text string) {
			if strings.Contains(text, " ") && !shown(all, text) {
				m.sources[what+" that no case shows: "+path.Dir(name)] = append(
					m.sources[what+" that no case shows: "+path.Dir(name)], text)
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if made, ok := n.(*ast.CompositeLit); ok && isNotice(made.Type) {
				for _, e := range made.Elts {
					if pair, ok := e.(*ast.KeyValueExpr); ok {
						e = pair.Value
					}
					unseen("Notices", literal(e))
				}
			}
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			called, _ := call.Fun.(*ast.SelectorExpr)
			plain, _ := call.Fun.(*ast.Ident)
			for _, arg := range call.Args {
				text := literal(arg)
				if !strings.Contains(text, " ") {
					continue
				}
				switch {
				case called != nil && slices.Contains(constructors, called.Sel.Name):
					unseen("Messages", text)
				case called != nil && slices.Contains(notifiers, called.Sel.Name):
					unseen("Notices", text)
				case called != nil && (called.Sel.Name == "Errorf" || called.Sel.Name == "New"),
					plain != nil && plain.Name == "fail":
					key := "Errors and hints: " + path.Dir(name)
					m.sources[key] = append(m.sources[key], text)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isNotice reports whether a type is one of notices.
func isNotice(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name == "Notice"
	case *ast.SelectorExpr:
		return e.Sel.Name == "Notice"
	}
	return false
}

// shown reports whether some message has all the constant parts of a text.
func shown(all, text string) bool {
	for part := range strings.SplitSeq(text, "…") {
		if part = strings.Trim(part, " ."); len(part) > 3 && !strings.Contains(all, part) {
			return false
		}
	}
	return true
}

var verb = regexp.MustCompile(`%[-+#0-9.\[\]]*[a-zA-Z]`)

// literal is the text of an expression, with … for what is not constant.
func literal(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return verb.ReplaceAllString(s, "…")
		}
	case *ast.BinaryExpr:
		return cmp.Or(literal(e.X), "…") + cmp.Or(literal(e.Y), "…")
	case *ast.CallExpr:
		if f, ok := e.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Sprintf" && len(e.Args) > 0 {
			return literal(e.Args[0])
		}
	}
	return ""
}

func (m *messages) page() string {
	var b strings.Builder
	b.WriteString("# Messages\n\nEvery message, remedy and notice of the test cases, one example of each kind, and in " +
		"how many\ncases it is. `go test ./scanner -run '^TestCases$' -update-messages` writes this page.\n")
	list := func(kinds map[string]*spoken, mark string) {
		texts := slices.SortedFunc(maps.Values(kinds), func(x, y *spoken) int {
			return cmp.Or(-cmp.Compare(x.cases, y.cases), cmp.Compare(x.example, y.example))
		})
		for _, s := range texts {
			b.WriteString(prose.MarkdownItem("- ", fmt.Sprintf("%s%s (%d)", mark, code(s.example), s.cases)))
		}
	}
	for _, r := range scanner.AllRequirements() {
		fmt.Fprintf(&b, "\n## `%s`\n\n%s", r.ID, prose.MarkdownItem("", code(r.Demand)))
		if r.Doubts != "" {
			b.WriteString("\n" + prose.MarkdownItem("", "Unclear: "+code(r.Doubts)))
		}
		for _, status := range []string{"passed", "failed", "warning", "not_applicable", "undetermined"} {
			if key := r.ID + " " + status; m.findings[key] != nil {
				fmt.Fprintf(&b, "\n### %s: %s\n\n", r.ID, strings.ReplaceAll(status, "_", " "))
				list(m.findings[key], "")
				list(m.remedies[key], "Fix: ")
			}
		}
	}
	b.WriteString("\n## Notices\n\n")
	list(m.notices, "")
	for _, title := range slices.Sorted(maps.Keys(m.sources)) {
		fmt.Fprintf(&b, "\n## %s\n\n", title)
		slices.Sort(m.sources[title])
		for _, text := range slices.Compact(m.sources[title]) {
			b.WriteString(prose.MarkdownItem("- ", code(text)))
		}
	}
	return b.String()
}

// code is a text that Markdown shows as it is.
func code(text string) string {
	if len(text) > 600 {
		text = strings.ToValidUTF8(text[:600], "") + "…"
	}
	return "`` " + strings.ReplaceAll(strings.ReplaceAll(text, "``", "''"), "\n", " ") + " ``"
}
