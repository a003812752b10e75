package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules/facts"
)

const module = "../.."

// printed runs the command and returns its standard output.
func printed(t *testing.T, want int, args ...string) string {
	t.Helper()
	var text strings.Builder
	cmd := coldcheck(t, args...)
	cmd.Stdout = &text
	if c := code(t, cmd.Run()); c != want {
		t.Fatalf("%q ended with %d", args, c)
	}
	return text.String()
}

// current compares a file with what it should hold, or writes it with -update.
func current(t *testing.T, name, want string) {
	t.Helper()
	path := filepath.Join(module, name)
	if *update {
		write(t, path, want)
	}
	if d := cmp.Diff(want, read(t, path)); d != "" {
		t.Errorf("%s is not current (-want +is; 'go test ./cmd/coldcheck -update' writes it):\n%s", name, d)
	}
}

func TestRequirementsPage(t *testing.T) {
	current(t, "docs/requirements.md", printed(t, 0, "requirements", "-o", "markdown"))
}

// The report in the README is the beginning and the end of what the program prints.
func TestReadme(t *testing.T) {
	const first, last = 13, 2
	report := strings.SplitAfter(strings.TrimSuffix(printed(t, 1, "demo"), "\n"), "\n")
	if len(report) <= first+last {
		t.Fatalf("the report has %d lines", len(report))
	}
	block := "```text\n$ coldcheck demo\n" + strings.Join(report[:first], "") + "…\n" +
		strings.Join(report[len(report)-last:], "") + "\n```"
	readme := regexp.MustCompile("(?s)```text\n\\$ coldcheck demo\n.*?```").ReplaceAllLiteralString(read(t,
		filepath.Join(module, "README.md")), block)
	current(t, "README.md", readme)
	if !strings.Contains(readme, block) {
		t.Error("the README has no block that begins with '$ coldcheck demo'")
	}
}

// The items of the page that describes the log, and the names in them.
var (
	logWord = regexp.MustCompile("`([^`]+)`")
	logItem = regexp.MustCompile("(?m)^- `.*(\n  .*)*")
)

// Every line of the logs of some scans is in the form that the page describes, with the
// fields that it has. TestLogEvents finds the events that none of these scans has.
func TestLogPage(t *testing.T) {
	cases := fixtures.Cases()
	every := 40
	if testenv.Full() {
		every = 10
	}
	for i, c := range testcases.All(t)[len(cases):] {
		if i%every == 0 {
			cases = append(cases, c)
		}
	}
	documented := documentedEvents(t)
	field := regexp.MustCompile(`([A-Za-z0-9_.-]+)=("(?:[^"]|"")*"|[^ ]*)`)
	for _, c := range cases {
		result, err := scanner.Scan(t.Context(), caseInput(c))
		if errors.Is(err, scanner.ErrNoSystem) {
			continue // a case that is about just that
		}
		if err != nil {
			t.Fatalf("case %s: %v", c.Name, err)
		}
		var text strings.Builder
		if err := report.Log(&text, result, report.Options{Commit: "0123abc"}); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text.String()) {
			fields := field.FindAllStringSubmatch(strings.TrimSuffix(line, "\n"), -1)
			event := fields[1][2]
			if fields[0][1] != "time" || fields[1][1] != "event" || documented[event] == nil {
				t.Fatalf("case %s: not documented: %s", c.Name, line)
			}
			for _, f := range fields {
				if !documented[event][f[1]] && event != "detail" {
					t.Errorf("case %s: field %q of event %s is not documented", c.Name, f[1], event)
					documented[event][f[1]] = true // once is enough
				}
			}
		}
	}
}

// pages are those at the top of the repository, and the pages in docs and deploy.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"} {
		all = append(all, filepath.Join(module, name))
	}
	for _, pattern := range []string{"docs/*.md", "deploy/*.md", "deploy/*/*.md"} {
		some, err := filepath.Glob(filepath.Join(module, pattern))
		if err != nil || len(some) == 0 {
			t.Fatalf("%s: %d pages, %v", pattern, len(some), err)
		}
		all = append(all, some...)
	}
	return all
}

// Every file that a page names is there, and every section.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			to := page
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(page), m[1])
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s: %v", page, err)
			} else if m[2] != "" && !slices.Contains(sections(t, to), m[2]) {
				t.Errorf("%s: %s has no section %s", page, to, m[2])
			}
		}
	}
}

// sections are the sections of a page as GitHub names them in links.
func sections(t *testing.T, page string) (list []string) {
	t.Helper()
	seen := map[string]int{}
	code := false
	for line := range strings.Lines(read(t, page)) {
		if strings.HasPrefix(line, "```") {
			code = !code
		}
		_, title, ok := strings.Cut(line, "# ")
		if code || !ok || !strings.HasPrefix(line, "#") {
			continue
		}
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, strings.TrimSpace(title))
		if n := seen[name]; n > 0 {
			list = append(list, fmt.Sprintf("%s-%d", name, n))
		} else {
			list = append(list, name)
		}
		seen[name]++
	}
	return list
}

// Every command line in the documentation is one of the program's: its command,
// its flags and its formats are there.
func TestDocumentedCommands(t *testing.T) {
	line := regexp.MustCompile(`^ {4,}(?:\$ |sudo )*coldcheck (.*)`)
	found := 0
	for _, page := range pages(t) {
		for text := range strings.Lines(read(t, page)) {
			if m := line.FindStringSubmatch(text); m != nil {
				found++
				checkCommandLine(t, page, m[1])
			}
		}
	}
	if found < 20 {
		t.Errorf("%d command lines found", found)
	}
}

// checkCommandLine reports a command line, without the name of the program, that the program would refuse. where is
// where it stands.
func checkCommandLine(t *testing.T, where, line string) {
	t.Helper()
	word := regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s'"]+`)
	var args []string
	for _, w := range word.FindAllString(line, -1) {
		if strings.HasPrefix(w, ">") || w == "|" || w == "&&" || w == "#" || w == "2>" {
			break
		}
		args = append(args, strings.Trim(strings.TrimSuffix(w, ";"), `'"`))
	}
	p := &program{stdout: os.Stdout, stderr: os.Stderr}
	c, rest, err := p.rootCommand().Find(args)
	if err != nil || c.HasSubCommands() {
		t.Errorf("%s: %s: %v", where, line, err)
		return
	}
	if err := c.ParseFlags(rest); err != nil {
		t.Errorf("%s: %s: %v", where, line, err)
		return
	}
	if err := c.ValidateArgs(c.Flags().Args()); err != nil {
		t.Errorf("%s: %s: %v", where, line, err)
	}
	if outputs, err := c.Flags().GetStringArray("output"); err == nil {
		switch c.CommandPath() {
		case "coldcheck fleet export":
			_, err = parseExports(outputs)
		case "coldcheck fleet report":
			_, err = parseFleetOutputs(outputs)
		default:
			_, err = parseOutputs(outputs)
		}
		if err != nil {
			t.Errorf("%s: %s: %v", where, line, err)
		}
	}
}

// The page of facts is made from their types.
func TestFactsPage(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# Facts\n\nThe facts that [your own rules](rules.md) may use. " +
		"`coldcheck facts` shows those of a machine. This page is\n" +
		"made from the types of the facts; `coldcheck facts --schema` writes the same as a JSON Schema.\n\n" +
		"A field with \"?\" may be unknown on its own, or null.\n")
	for _, platform := range facts.Platforms {
		title := map[requirement.Platform]string{requirement.Windows: "Windows", requirement.Linux: "Linux"}[platform]
		fmt.Fprintf(&b, "\n## %s\n\n| fact | type | what it is |\n| --- | --- | --- |\n", title)
		var records []*facts.Type
		var note func(*facts.Type)
		note = func(of *facts.Type) {
			switch {
			case of == nil:
			case of.Kind == facts.List:
				note(of.Elem)
			case of.Kind == facts.Record && !slices.Contains(records, of):
				records = append(records, of)
				for _, a := range of.Attributes {
					note(a.Type)
				}
			}
		}
		for _, part := range facts.Parts(platform) {
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", part.Name, part.Type, part.Doc)
			note(part.Type)
		}
		for _, f := range facts.Functions(platform) {
			result := "any"
			if f.Result != nil {
				result = f.Result.String()
			}
			fmt.Fprintf(&b, "| `%s(%s)` | %s | %s |\n", f.Name, strings.Join(f.Parameters, ", "), result, f.Doc)
			note(f.Result)
		}
		for _, of := range records {
			fmt.Fprintf(&b, "\n### %s: %s\n\n| field | type | what it is |\n| --- | --- | --- |\n", title, of)
			for _, a := range of.Attributes {
				name := "`" + a.Name + "`"
				if a.Optional {
					name += " ?"
				}
				fmt.Fprintf(&b, "| %s | %s | %s |\n", name, a.Type, a.Doc)
			}
		}
	}
	current(t, "docs/facts.md", b.String())
}
