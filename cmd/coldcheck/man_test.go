package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/report"
)

// The manual page has every command and every flag that the help has, and every
// format.
func TestManPage(t *testing.T) {
	page := printed(t, 0, "man")
	p := &program{}
	walkCommands(p.rootCommand(), func(c *cobra.Command) {
		if c.Hidden || c.HasSubCommands() {
			return
		}
		i := strings.Index(page, ".SS \""+roff(c.CommandPath()))
		if i < 0 {
			t.Errorf("%s is not in the page", c.CommandPath())
			return
		}
		text, _, _ := strings.Cut(page[i+1:], "\n.SS ")
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && !strings.Contains(text, roff("--"+f.Name)) {
				t.Errorf("--%s of %s is not in the page", f.Name, c.CommandPath())
			}
		})
	})
	for _, f := range report.Formats {
		if !strings.Contains(page, ".B "+f.Name+"\n") {
			t.Errorf("format %s is not in the page", f.Name)
		}
	}
	if strings.Contains(page, workerName) {
		t.Error("a hidden command is in the page")
	}
}

// mandoc finds nothing to say about the page, and shows it.
func TestManPageLint(t *testing.T) {
	testenv.Tool(t, "mandoc")
	file := filepath.Join(t.TempDir(), "coldcheck.1")
	if err := os.WriteFile(file, []byte(printed(t, 0, "man")), 0o666); err != nil {
		t.Fatal(err)
	}
	said, _ := exec.Command("mandoc", "-T", "lint", "-W", "warning", file).Output() // it ends with 2 for any warning
	for line := range strings.Lines(string(said)) {
		if !strings.Contains(line, "missing date") { // a page is as old as its program
			t.Error(line)
		}
	}
	out, err := exec.Command("mandoc", "-T", "ascii", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	if s := string(out); !strings.Contains(s, "inspect") || !strings.Contains(s, "repeatable") {
		t.Errorf("%s", s)
	}
}

func TestRoff(t *testing.T) {
	for s, want := range map[string]string{
		"a b": "a b", ".x": `\&.x`, "'x": `\&\(aqx`, `HKLM\SYSTEM`: `HKLM\eSYSTEM`, "-o": `\-o`, `"x"`: `\(dqx\(dq`,
		"IMAGE…": `IMAGE\[u2026]`, "a.b": "a.b",
	} {
		if got := roff(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
