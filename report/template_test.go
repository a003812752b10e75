package report

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// sampleTemplate is a template that a team might write.
func sampleTemplate() *Template {
	source, err := os.ReadFile("testdata/report.tmpl")
	if err != nil {
		panic(err)
	}
	t, err := ParseTemplate("report.tmpl", source)
	if err != nil {
		panic(err)
	}
	return t
}

// templated is what a template makes of the failing sample.
func templated(source string, change func(*templateLimits)) (string, error) {
	t, err := ParseTemplate("t.tmpl", []byte(source))
	if err != nil {
		return "", err
	}
	if change != nil {
		change(&t.limits)
	}
	var b bytes.Buffer
	o := options("failing")
	o.Template = t
	err = Templated(&b, samples()["failing"], o)
	return b.String(), err
}

func TestTemplate(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"", ""},
		{"{{.verdict}}", "not_ready"},
		{"{{.exit_code}} {{.scan.reads}}", "1 78"},
		{`{{(index .volumes 0).size}}`, "85531292672"},
		{`{{range .findings}}{{if eq .status "failed"}}{{.id}} {{end}}{{end}}`,
			"win.services.domain-account win.sysprep.file "},
		{`{{join (index .verdict_reasons 0).ids ", "}}`, "win.services.domain-account, win.sysprep.file"},
		{`{{join .not_checked ","}}`, ""},
		{`{{json .summary}}`, `{"failed":2,"not_applicable":1,"passed":2,"undetermined":2,"warning":2}`},
		{`{{json "<a>&"}}{{html "<a>"}}{{js "'"}}{{urlquery "a b"}}`, `"<a>&"&lt;a&gt;\'a+b`},
		{`{{print 1 2}}{{println "a"}}{{printf "%5d|%-3s|%q" 7 "x" "y"}}`, "1 2a\n    7|x  |\"y\""},
		{`{{range 3}}{{.}}{{else}}none{{end}}{{range .not_checked}}x{{else}}none{{end}}`, "012none"},
		{`{{define "a"}}<{{.}}>{{end}}{{template "a" .verdict}}{{block "b" 1}}[{{.}}]{{end}}`, "<not_ready>[1]"},
		{`{{$n := 0}}{{range .findings}}{{if eq .id "win.tls.ssl3"}}{{break}}{{end}}{{$n = len .id}}{{end}}{{$n}}`,
			"17"},
		{`{{.examination.note}}{{range .images}}{{.size}}{{with .parts}}{{(index . 0).name}}{{end}} {{end}}`,
			"<no value>85899345920 21474836480 "},
		{`{{range .findings}}{{with .details}}{{with .any}}{{.key}}{{end}}{{end}}{{end}}{{.summary.failed}}`, "2"},
		{`{{$x := .platform}}{{range .volumes}}{{$x := .}}{{$x.size}},{{end}}{{$x.computer_name}}`,
			"85531292672,21474836480,WSAMZN-7F3K2Q1P"},
		{`{{$x := .platform}}{{$x = .scan}}{{$x.reads}}`, "78"},
		{`{{with .not_checked}}x{{else}}-{{end}}{{/* a comment */}}{{.findings | len}}`, "-9"},
	} {
		if got, err := templated(c.source, nil); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", c.source, got, err, c.want)
		}
	}
}

// What fails is an error with the file and the line, whether it is found when the
// template is parsed or when it runs.
func TestTemplateFails(t *testing.T) {
	for source, want := range map[string]string{
		"{{":                        "t.tmpl:1: ",
		"a\n{{.x":                   "t.tmpl:2: ",
		"a\nb\n{{nothing .}}":       `t.tmpl:3: function "nothing" not defined`,
		"{{if}}{{end}}":             "t.tmpl:1: ",
		"{{template \"none\"}}":     "t.tmpl:1:11: ",
		"a\n{{.verdict.x}}":         "t.tmpl:2:10: ",
		"a\n{{index .findings 99}}": "t.tmpl:2:2: ",
		"a\n{{call .verdict}}":      "t.tmpl:2:2: ",
		`{{join .verdict ","}}`:     "t.tmpl:1:2: ",
		"{{define \"a\"}}\n{{len 1}}{{end}}{{template \"a\"}}": "t.tmpl:2:2: ",
		// fields that no report has
		"a\n{{.verdct}}":                                  `t.tmpl:2:2: .verdct: a report has no field "verdct" there`,
		"{{if .nothing}}{{end}}":                          `t.tmpl:1:5: .nothing: `,
		"{{.platform.computer_nme}}":                      `t.tmpl:1:11: .platform.computer_nme: `,
		"{{.summary.faild}}":                              `t.tmpl:1:`,
		"{{range .findings}}{{.name}}{{end}}":             `t.tmpl:1:21: .name: `,
		"{{range $i, $f := .findings}}{{$f.name}}{{end}}": `t.tmpl:1:`,
		"{{with .scan}}{{else}}{{.x}}{{end}}":             `t.tmpl:1:24: .x: `,
		"{{len (index .images 0).nme}}":                   `t.tmpl:1:`,
		"{{range .findings}}{{$.id}}{{end}}":              `t.tmpl:1:`,
		"{{$x := .platform}}{{$x.id}}":                    `t.tmpl:1:`,
		"{{range .volumes}}{{template \"a\" .}}{{end}}{{define \"a\"}}\n{{.status}}{{end}}": `t.tmpl:2:2: .status: `,
		// what other programs have and what would read or run something
		`{{env "HOME"}}`:        `t.tmpl:1: function "env" not defined`,
		`{{include "/etc/x"}}`:  `t.tmpl:1: function "include" not defined`,
		`{{exec "id"}}`:         `t.tmpl:1: function "exec" not defined`,
		`{{readFile "/etc/x"}}`: `t.tmpl:1: function "readFile" not defined`,
	} {
		got, err := templated(source, nil)
		if !errors.Is(err, ErrTemplate) || !strings.HasPrefix(err.Error(), want) || got != "" {
			t.Errorf("%q: %q, %v; want %q", source, got, err, want)
		}
	}
	for size, ok := range map[int]bool{MaxTemplate - 1: true, MaxTemplate: true, MaxTemplate + 1: false} {
		if _, err := ParseTemplate("t.tmpl", bytes.Repeat([]byte("x"), size)); (err == nil) != ok {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if err := Templated(&bytes.Buffer{}, ready(), Options{}); !errors.Is(err, ErrTemplate) {
		t.Errorf("no template: %v", err)
	}
}

// No template writes, makes or runs without an end.
func TestTemplateBounds(t *testing.T) {
	forever := map[string]string{
		"a loop":                 "\n{{range 9000000000}}{{end}}",
		"loops in loops":         "\n{{range 9000}}{{range 9000}}{{range 9000}}{{end}}{{end}}{{end}}",
		"a loop with a step":     "\n{{range 9000000000}}{{coldcheckStep \"\" -9000000}}{{end}}",
		"a template of itself":   "\n{{define \"a\"}}{{template \"a\"}}{{template \"a\"}}{{end}}{{template \"a\"}}",
		"a loop over a skip":     "\n{{range 9000000000}}{{continue}}{{end}}",
		"output":                 "\n{{range 9000000}}0123456789{{end}}",
		"output of the document": "\n{{range 90000}}{{$}}{{end}}",
		"a string that doubles":  "\n{{$x := \"0123456789\"}}{{range 90}}{{$x = print $x $x}}{{end}}",
		"a format that doubles":  "\n{{$x := \"0123456789\"}}{{range 90}}{{$x = printf \"%s%s\" $x $x}}{{end}}",
		"a wide format":          "\n{{range 900}}{{$x := printf \"%999999d%999999d\" 1 1}}{{end}}",
		"a width that is given":  "\n{{range 900}}{{$x := printf \"%*d\" 999999 1}}{{end}}",
		"a precision":            "\n{{range 900}}{{$x := printf \"%.999999f\" 1.0}}{{end}}",
		"escapes":                "\n{{range 90000}}{{$x := html $}}{{end}}",
		"JSON":                   "\n{{range 90000}}{{$x := json $}}{{end}}",
		"lists":                  "\n{{range 9000000}}{{$x := join $.findings \"0123456789\"}}{{end}}",
	}
	for name, source := range forever {
		got, err := templated(source, func(l *templateLimits) { l.output, l.steps, l.text = 1<<20, 100_000, 8<<20 })
		if !errors.Is(err, ErrTemplate) || got != "" || !strings.HasPrefix(err.Error(), "t.tmpl") {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, err := templated("{{range 3}}{{end}}", func(l *templateLimits) { l.time = -1 }); !errors.Is(err,
		ErrTemplate) ||
		!strings.Contains(err.Error(), "longer than") {
		t.Errorf("time: %v", err)
	}
	// At a limit a template runs, above it does not.
	for _, c := range []struct {
		source string
		limit  func(*templateLimits, int)
		at     int
	}{
		{"0123456789{{range 9}}0{{end}}", func(l *templateLimits, n int) { l.output = n }, 19},
		{"{{range 9}}0{{end}}", func(l *templateLimits, n int) { l.steps = n }, 2 + 9*2},
		{`{{$x := print "0123456789"}}`, func(l *templateLimits, n int) { l.text = n }, 61},
		{`{{$x := json "0123456789"}}`, func(l *templateLimits, n int) { l.text = n }, 60},
	} {
		for _, n := range []int{c.at - 1, c.at, c.at + 1} {
			_, err := templated(c.source, func(l *templateLimits) { c.limit(l, n) })
			if (err == nil) != (n >= c.at) {
				t.Errorf("%s with %d: %v", c.source, n, err)
			}
		}
	}
	deep := strings.Repeat("{{if true}}", 2000) + strings.Repeat("{{end}}", 2000)
	if _, err := templated(deep, nil); err != nil {
		t.Errorf("deep: %v", err)
	}
}

// A text of an image is one line without a control character, wherever a template
// writes it.
func TestTemplateHostile(t *testing.T) {
	source := "{{range .findings}}{{.message}}{{json .message}}{{html .message}}" +
		"{{printf \"%s\" .message}}{{.details}}{{end}}{{.examination.note}}{{.settings}}{{.platform}}{{.images}}{{.notices}}"
	parsed, err := ParseTemplate("t.tmpl", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	o := options("hostile")
	o.Template = parsed
	var b bytes.Buffer
	if err := Templated(&b, samples()["hostile"], o); err != nil {
		t.Fatal(err)
	}
	for _, r := range b.String() {
		if !harmless(r) {
			t.Errorf("%U", r)
		}
	}
	if !strings.Contains(b.String(), "<U+001B>") {
		t.Error("nothing of the image is written")
	}
}

// No text makes parsing or running a template panic or go on without an end.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"", "{{.}}", "{{range .findings}}{{.id}}{{end}}",
		"{{define \"a\"}}{{end}}{{template \"a\" .}}",
		"{{printf \"%*d\" 3 4}}",
		"{{range $i, $x := .findings}}{{if $i}}{{break}}{{end}}{{end}}", "{{json . | html | js}}"} {
		f.Add(s)
	}
	document := map[string]any{"verdict": "ready", "exit_code": int64(0), "findings": []any{
		map[string]any{"id": "a", "message": "x"}, map[string]any{"id": "b"}}}
	f.Fuzz(func(t *testing.T, source string) {
		parsed, err := ParseTemplate("t.tmpl", []byte(source))
		if err == nil {
			parsed.limits = templateLimits{output: 1 << 16, steps: 10000, text: 1 << 20, time: time.Minute}
			var b bytes.Buffer
			if err = parsed.execute(&b, document); err == nil && b.Len() > 1<<16 {
				t.Errorf("%d bytes", b.Len())
			}
		}
		if err != nil && !errors.Is(err, ErrTemplate) {
			t.Errorf("%T: %v", err, err)
		}
	})
}
