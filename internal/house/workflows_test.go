package house

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// workflow is what the rules look at in a workflow, or in an action, whose steps are in Runs.
type workflow struct {
	Permissions map[string]string
	Jobs        map[string]struct {
		Timeout   int `yaml:"timeout-minutes"`
		Container struct{ Image string }
		Steps     []workflowStep
	}
	Runs struct{ Steps []workflowStep }
}

type workflowStep struct {
	Uses, Run string
	With      map[string]string
}

var (
	makeCall    = regexp.MustCompile(`\bmake((?: +[A-Za-z][A-Za-z-]*\b(?:=\S*)?)+)`)
	makeTarget  = regexp.MustCompile(`(?m)^([a-z][a-z-]*):(?:[^=]|$)`)
	pinned      = regexp.MustCompile(`uses: (\S+)@([0-9a-f]{40}) # v[0-9]`)
	goDirective = regexp.MustCompile(`(?m)^go (\d+\.\d+)`)
	goImage     = regexp.MustCompile(`golang:(\d+\.\d+)`)
)

// workflows returns what breaks the rules for workflows, actions and the files that name a version of Go:
// they call targets that the Makefile has, use the Go of go.mod, pin what they use to a commit, which is the same
// everywhere, and put nothing that others typed into a script.
func workflows(fsys fs.FS) (broken []string, err error) {
	text := func(name string) string {
		data, readErr := fs.ReadFile(fsys, name)
		err = cmp.Or(err, readErr)
		return string(data)
	}
	var targets []string
	for _, m := range makeTarget.FindAllStringSubmatch(text("Makefile"), -1) {
		targets = append(targets, m[1])
	}
	version := goDirective.FindStringSubmatch(text("go.mod"))
	if err != nil || version == nil {
		return nil, cmp.Or(err, fmt.Errorf("go.mod has no version of Go"))
	}
	pins := map[string]string{}
	for _, pattern := range []string{".github/workflows/*.yml", ".github/scripts/*", "action.yml", "docs/ci/*",
		"deploy/image/Dockerfile", "templates/*"} {
		names, globErr := fs.Glob(fsys, pattern)
		if globErr != nil {
			return nil, globErr
		}
		for _, name := range names {
			source := text(name)
			report := func(format string, args ...any) {
				broken = append(broken, name+": "+fmt.Sprintf(format, args...))
			}
			for _, m := range makeCall.FindAllStringSubmatch(source, -1) {
				for _, word := range strings.Fields(m[1]) {
					if !strings.Contains(word, "=") && !slices.Contains(targets, word) {
						report("the Makefile has no target %s", word)
					}
				}
			}
			for _, m := range goImage.FindAllStringSubmatch(source, -1) {
				if m[1] != version[1] {
					report("Go %s, and go.mod has %s", m[1], version[1])
				}
			}
			for _, m := range pinned.FindAllStringSubmatch(source, -1) {
				if other := cmp.Or(pins[m[1]], m[2]); other != m[2] {
					report("%s at %s, and at %s elsewhere", m[1], m[2], other)
				}
				pins[m[1]] = m[2]
			}
			if !strings.HasPrefix(pattern, ".github/workflows") && name != "action.yml" {
				continue
			}
			var w workflow
			if err := yaml.Unmarshal([]byte(source), &w); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			steps := w.Runs.Steps
			if name != "action.yml" && len(w.Permissions) == 0 {
				report("no permissions: they would be those of the repository's settings")
			}
			for job, j := range w.Jobs {
				if j.Timeout == 0 {
					report("the job %s has no timeout-minutes", job)
				}
				steps = append(steps, j.Steps...)
			}
			for _, s := range steps {
				if strings.Contains(s.Run, "${{") {
					report("an expression in a script: %s", s.Run)
				}
				if s.Uses != "" && s.Uses != "./" && !pinned.MatchString("uses: "+s.Uses+" # v1") {
					report("%s is not pinned to a commit", s.Uses)
				}
				if v, ok := s.With["go-version"]; strings.Contains(s.Uses, "setup-go@") && (!ok || v != version[1]) {
					report("Go %q, and go.mod has %s", v, version[1])
				}
				if strings.Contains(s.Uses, "checkout@") && s.With["persist-credentials"] != "false" {
					report("the token stays in the clone")
				}
			}
		}
	}
	return broken, err
}

func TestWorkflows(t *testing.T) {
	broken, err := workflows(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Error(b)
	}
}

// TestWorkflowRules shows that what is forbidden is found.
func TestWorkflowRules(t *testing.T) {
	commit := strings.Repeat("a", 40)
	good := "permissions:\n  contents: read\njobs:\n  a:\n    timeout-minutes: 1\n    steps:\n" +
		"      - uses: actions/checkout@" + commit + " # v6\n        with:\n          persist-credentials: false\n" +
		"      - uses: actions/setup-go@" + commit + " # v6\n        with:\n          go-version: '1.26'\n" +
		"      - run: make lint VERSION=1 test\n"
	other := "runs:\n  steps:\n    - uses: actions/checkout@" + commit + " # v6\n" +
		"      with: {persist-credentials: 'false'}\n"
	for name, tt := range map[string]struct{ old, new, want string }{
		"good":         {},
		"target":       {"lint", "lintt", "no target lintt"},
		"Go":           {"1.26", "1.25", `Go "1.25", and go.mod has 1.26`},
		"go-version":   {"          go-version: '1.26'\n", "          cache: false\n", `Go ""`},
		"image":        {"timeout-minutes: 1", "timeout-minutes: 1\n    container: {image: 'golang:1.25'}", "Go 1.25"},
		"tag":          {"setup-go@" + commit, "setup-go@v6", "is not pinned"},
		"comment":      {"checkout@" + commit, "checkout@" + commit[1:], "is not pinned"},
		"another pin":  {"checkout@" + commit, "checkout@" + strings.Repeat("b", 40), "elsewhere"},
		"timeout":      {"    timeout-minutes: 1\n", "", "timeout-minutes"},
		"permissions":  {"permissions:\n  contents: read\n", "", "no permissions"},
		"expression":   {"make lint", "make lint ${{ github.head_ref }}", "an expression"},
		"a credential": {"persist-credentials: false", "fetch-depth: 0", "the token stays"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(good, tt.old, tt.new, 1)
			broken, err := workflows(fstest.MapFS{
				"Makefile":                 {Data: []byte("VERSION := 1\nlint: tools\n\ttrue\ntest:\n")},
				"go.mod":                   {Data: []byte("module m\n\ngo 1.26.0\n")},
				".github/workflows/ci.yml": {Data: []byte(text)},
				"action.yml":               {Data: []byte(other)},
			})
			if err != nil {
				t.Fatal(err)
			}
			if tt.want == "" && broken != nil || tt.want != "" && (len(broken) != 1 || !strings.Contains(broken[0], tt.want)) {
				t.Errorf("%q, want %q", broken, tt.want)
			}
		})
	}
}

func TestActionlint(t *testing.T) {
	testenv.Tool(t, "actionlint", "shellcheck")
	names, err := filepath.Glob("../../.github/workflows/*.yml")
	if err != nil || len(names) < 2 {
		t.Fatalf("%d workflows, %v", len(names), err)
	}
	cmd := exec.Command("actionlint", append(names, "../../docs/ci/github-actions.yml")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestForms: the forms for issues have what GitHub requires of them (docs.github.com, "Syntax for GitHub's form
// schema"), and the folders that dependabot looks at exist.
func TestForms(t *testing.T) {
	names, err := filepath.Glob("../../.github/ISSUE_TEMPLATE/*.yml")
	if err != nil || len(names) < 3 {
		t.Fatalf("%d forms, %v", len(names), err)
	}
	for _, name := range names {
		if filepath.Base(name) == "config.yml" {
			continue
		}
		var form struct {
			Name, Description, Title string
			Labels                   []string
			Body                     []struct {
				Type, ID   string
				Attributes struct {
					Label, Description, Placeholder, Render, Value string
					Options                                        []string
				}
				Validations struct{ Required bool }
			}
		}
		strict(t, name, &form)
		if form.Name == "" || form.Description == "" {
			t.Errorf("%s has no name or no description", name)
		}
		seen := map[string]bool{}
		questions := 0
		for _, e := range form.Body {
			a := e.Attributes
			switch e.Type {
			case "markdown":
				if a.Value == "" {
					t.Errorf("%s: empty text", name)
				}
				continue
			case "input", "textarea":
			case "dropdown":
				if len(a.Options) < 2 {
					t.Errorf("%s: %s has no options", name, e.ID)
				}
			default:
				t.Errorf("%s: there is no type %q", name, e.Type)
			}
			questions++
			if !regexp.MustCompile(`^[a-z-]+$`).MatchString(e.ID) || seen[e.ID] || a.Label == "" {
				t.Errorf("%s: element %q", name, e.ID)
			}
			if a.Render != "" && e.Type != "textarea" {
				t.Errorf("%s: %s cannot have render", name, e.ID)
			}
			seen[e.ID] = true
		}
		if questions == 0 {
			t.Errorf("%s asks nothing", name)
		}
	}
	var dependabot struct {
		Version int
		Updates []struct {
			Ecosystem   string `yaml:"package-ecosystem"`
			Directory   string
			Directories []string
			Schedule    map[string]string
			Groups      map[string]struct{ Patterns []string }
		}
	}
	strict(t, "../../.github/dependabot.yml", &dependabot)
	manifests := map[string]string{"gomod": "go.mod", "github-actions": "action.yml", "docker": "Dockerfile"}
	for _, u := range dependabot.Updates {
		for _, dir := range append(u.Directories, u.Directory) {
			if dir == "" {
				continue
			}
			manifest, ok := manifests[u.Ecosystem]
			if _, err := os.Stat(filepath.Join("../..", dir, manifest)); !ok || err != nil {
				t.Errorf("dependabot: %s: %v", u.Ecosystem, err)
			}
		}
	}
}

// strict decodes a YAML file that has only the keys which into has.
func strict(t *testing.T, name string, into any) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
