package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/clipperhouse/displaywidth"
	"github.com/spf13/cobra"
)

// everyCommand calls look for each command that a person sees.
func everyCommand(look func(*cobra.Command)) {
	p := &program{stdout: os.Stdout, stderr: os.Stderr}
	walkCommands(p.rootCommand(), func(c *cobra.Command) {
		if !c.Hidden || c.Name() == "man" {
			look(c)
		}
	})
}

// Help fits the terminal, and every command has a sentence, examples and a
// description of each flag.
func TestHelp(t *testing.T) {
	everyCommand(func(c *cobra.Command) {
		for _, columns := range []int{40, 80, 100} {
			text := helpText(c, columns)
			examples, _, _ := strings.Cut(c.Example, "\n\n")
			for line := range strings.Lines(text) {
				line = strings.TrimSuffix(line, "\n")
				if slices.Contains(strings.Split(examples, "\n"), strings.TrimSpace(line)) {
					continue // a command line stands as it is typed
				}
				if n := displaywidth.String(line); n > columns && len(strings.Fields(line)) > 1 {
					t.Errorf("%s: %d columns of %d: %s", c.CommandPath(), n, columns, line)
				}
				if strings.TrimRight(line, " ") != line {
					t.Errorf("%s: spaces at the end of %q", c.CommandPath(), line)
				}
			}
		}
		if c.Example == "" {
			t.Errorf("%s has no examples", c.CommandPath())
		}
		if long := longText(c); !strings.HasSuffix(long, ".") || long[:1] != strings.ToUpper(long[:1]) &&
			!strings.HasPrefix(long, "coldcheck ") {
			t.Errorf("%s: no sentence: %q", c.CommandPath(), long)
		}
		if strings.HasSuffix(c.Short, ".") || c.Short[:1] != strings.ToUpper(c.Short[:1]) {
			t.Errorf("%s: %q", c.CommandPath(), c.Short)
		}
		for _, f := range append(flagEntries(c.LocalFlags()), flagEntries(c.InheritedFlags())...) {
			if f.text == "" || f.text[:1] != strings.ToLower(f.text[:1]) || strings.HasSuffix(f.text, ".") {
				t.Errorf("%s %s: %q", c.CommandPath(), f.name, f.text)
			}
		}
	})
}

// Every example is a command line that the program accepts.
func TestExamples(t *testing.T) {
	everyCommand(func(described *cobra.Command) {
		for line := range strings.Lines(described.Example) {
			line = strings.TrimSuffix(strings.TrimSpace(line), ")")
			_, line, found := strings.Cut(line, "coldcheck ")
			if !found {
				t.Errorf("%s: %q", described.CommandPath(), line)
			}
			checkCommandLine(t, described.CommandPath(), line)
		}
	})
}

func TestWrapWords(t *testing.T) {
	for _, c := range []struct {
		text    string
		columns int
		want    []string
	}{
		{"", 10, []string{""}},
		{"one two", 7, []string{"one two"}},
		{"one two", 6, []string{"one", "two"}},
		{"one  two\nthree", 9, []string{"one two", "three"}},
		{"incomprehensible x", 4, []string{"incomprehensible", "x"}},
		{"日本 語", 5, []string{"日本", "語"}},
	} {
		if got := wrapWords(c.text, c.columns); !slices.Equal(got, c.want) {
			t.Errorf("%q in %d: %q, want %q", c.text, c.columns, got, c.want)
		}
	}
}

func TestWriteEntries(t *testing.T) {
	var b strings.Builder
	writeEntries(&b, []helpEntry{{"-a", "one two three four five six"}, {"--much-too-long-a-name VALUE", "seven"}}, 30)
	const want = `  -a  one two three four five
      six
  --much-too-long-a-name VALUE
      seven
`
	if b.String() != want {
		t.Errorf("\n%s, want\n%s", &b, want)
	}
}
