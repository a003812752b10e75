package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coldcheck/coldcheck/report"
)

// sampleCommand has a flag of each kind.
func sampleCommand() *cobra.Command {
	c := &cobra.Command{Use: "sample"}
	c.Flags().Bool("strict", false, "")
	c.Flags().String("fail-on", "warning", "")
	c.Flags().StringSlice("skip", []string{"default"}, "")
	c.Flags().StringArray("output", nil, "")
	var reads parallelReads
	parallelReadsFlag(c, &reads)
	root := &cobra.Command{Use: "root"}
	other := &cobra.Command{Use: "other"}
	other.Flags().Bool("list", false, "")
	root.AddCommand(c, other)
	return c
}

// values are the flags of a command after settings.
func values(t *testing.T, c *cobra.Command, list []setting) map[string]string {
	t.Helper()
	for _, s := range list {
		if err := s.apply(c.Flags().Lookup(s.flag)); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed {
			got[f.Name] = f.Value.String()
		}
	})
	return got
}

func TestParseSettings(t *testing.T) {
	c := sampleCommand()
	list, err := parseSettings(c, "s.yaml", []byte(`# all kinds
strict: true
fail-on: 2024
skip: a,b
output:
  - table
  - json=a,b.json
parallel-reads: 3
`))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"strict": "true", "fail-on": "2024", "skip": "[a,b]", "output": `[table,"json=a,b.json"]`,
		"parallel-reads": "3"}
	if d := cmp.Diff(want, values(t, c, list)); d != "" {
		t.Error(d)
	}
	c = sampleCommand()
	list, err = parseSettings(c, "s.yaml", []byte("skip: []\noutput: json=a,b.json\n"))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]string{"skip": "[]", "output": `["json=a,b.json"]`}, values(t, c, list)); d != "" {
		t.Error(d)
	}
	for text, want := range map[string]string{
		"strict: 1\n":                  "s.yaml:1: strict: true or false is required",
		"\nstrict: [true]\n":           "s.yaml:2: strict: true or false is required",
		"strict:\n":                    "s.yaml:1: strict: true or false is required",
		"fail-on: true\n":              "s.yaml:1: fail-on: a text is required",
		"fail-on:\n":                   "s.yaml:1: fail-on: a text is required",
		"fail-on: {a: b}\n":            "s.yaml:1: fail-on: a text is required",
		"skip: true\n":                 "s.yaml:1: skip: a text or a list of texts is required",
		"skip: {a: b}\n":               "s.yaml:1: skip: a text or a list of texts is required",
		"skip:\n- a\n- [b]\n":          "s.yaml:2: skip: a list of texts is required",
		"parallel-reads: 1.5\n":        "s.yaml:1: parallel-reads: a number is required",
		"list: true\n":                 `s.yaml:1: unknown key "list"`,
		"Strict: true\n":               `s.yaml:1: unknown key "Strict"`,
		"[strict]: true\n":             `s.yaml:1: unknown key ""`,
		"<<: {strict: true}\n":         `s.yaml:1: unknown key "<<"`,
		"strict: true\nstrict: true\n": "s.yaml:2: the key strict is there twice",
		"strict\n":                     "s.yaml:1: not a mapping",
		"strict: true\n--- a\n":        "s.yaml:2: a second document",
		"strict: true\n---\n[\n":       "s.yaml: line",
		"\xff\n":                       "s.yaml: ",
		strings.Repeat("[", 20000):     "s.yaml: ",
	} {
		if _, err := parseSettings(sampleCommand(), "s.yaml", []byte(text)); exitCode(err) != 64 ||
			!strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.40q: %v, want %q", text, err, want)
		}
	}
}

func TestVariables(t *testing.T) {
	c := sampleCommand()
	list, err := variables(c, []string{"COLDCHECK_OPT_STRICT=true", "HOME=/", "COLDCHECK_OPT_SKIP=a,b",
		"COLDCHECK_OPT_OUTPUT=table\njson=a,b.json\n", "COLDCHECK_OPT_LIST=true", "COLDCHECK_OPT_FAIL_ON=a=b"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"strict": "true", "skip": "[a,b]", "output": `[table,"json=a,b.json"]`, "fail-on": "a=b"}
	if d := cmp.Diff(want, values(t, c, list)); d != "" {
		t.Error(d)
	}
	for _, entry := range []string{"COLDCHECK_OPT_=1", "COLDCHECK_OPT_FAILON=never", "COLDCHECK_OPT_fail_on=never",
		"COLDCHECK_OPT_STRICT=", "COLDCHECK_OPT_CONFIG=s.yaml", "COLDCHECK_OPT_HELP=true"} {
		if _, err := variables(sampleCommand(), []string{entry}); exitCode(err) != 64 {
			t.Errorf("%s: %v", entry, err)
		}
	}
}

// A setting that another source overrides changes nothing, but is checked.
func TestSettingsTry(t *testing.T) {
	c := sampleCommand()
	for name, value := range map[string]string{"strict": "true", "skip": "x,y", "parallel-reads": "5"} {
		if err := c.Flags().Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []setting{{flag: "strict", values: []string{"false"}},
		{flag: "skip", values: []string{"z"}, list: true},
		{flag: "skip", values: []string{"z"}}, {flag: "parallel-reads", values: []string{"1"}}} {
		if err := s.try(c); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []setting{{flag: "strict", values: []string{"maybe"}},
		{flag: "parallel-reads", values: []string{"0"}}} {
		if err := s.try(c); exitCode(err) != 64 {
			t.Errorf("%+v: %v", s, err)
		}
	}
	want := map[string]string{"strict": "true", "skip": "[x,y]", "parallel-reads": "5"}
	if d := cmp.Diff(want, values(t, c, nil)); d != "" {
		t.Error(d)
	}
}

// The settings in force have their types, and no secret of a signed URL.
func TestEffectiveSettings(t *testing.T) {
	c := sampleCommand()
	for name, value := range map[string]string{"skip": "a,https://h/k?sig=secret", "fail-on": "--root=s3://b/k?x=secret"} {
		if err := c.Flags().Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	got := effective(c, map[string]string{"skip": fromFlag, "fail-on": fromFile, "strict": fromDefault,
		"output": fromDefault, "parallel-reads": fromDefault})
	want := []report.Setting{
		{Name: "fail-on", Value: "--root=s3://b/k?…", Source: "file"},
		{Name: "output", Value: []string{}, Source: "default"},
		{Name: "parallel-reads", Value: "0", Source: "default"},
		{Name: "skip", Value: []string{"a", "https://h/k?…"}, Source: "flag"},
		{Name: "strict", Value: false, Source: "default"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, s := range []string{"", "a?b", "C:\\x?y", "https://h/k", "?://"} {
		if withoutSecret(s) != s {
			t.Errorf("%q becomes %q", s, withoutSecret(s))
		}
	}
}

// The bound on the file: at it a file is read, above it is not.
func TestSettingsSize(t *testing.T) {
	t.Chdir(t.TempDir())
	for size, code := range map[int]int{maxSettings - 1: 0, maxSettings: 0, maxSettings + 1: 64} {
		write(t, "s.yaml", strings.Repeat("#", size-1)+"\n")
		if err := new(program).configure(sampleCommand(), "s.yaml"); exitCode(err) != code {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
