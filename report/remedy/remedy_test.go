package remedy

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/source"
)

var update = flag.Bool("update", false, "write the golden files again")

// scanned is the report of a case of the demonstration, read back.
func scanned(t *testing.T, name string) *report.Saved {
	t.Helper()
	if written[name] == nil {
		written[name] = scan(t, name)
	}
	s, err := report.Read(name+".json", written[name])
	if err != nil {
		t.Fatal(err)
	}
	// What depends on the day of the scan is no part of what is tested here.
	s.Findings = slices.DeleteFunc(s.Findings,
		func(f requirement.Finding) bool { return strings.HasSuffix(f.ID, ".bp.updates") })
	return s
}

// written holds the reports of cases that were scanned.
var written = map[string][]byte{}

func scan(t *testing.T, name string) []byte {
	t.Helper()
	example, err := fixtures.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	in := scanner.Input{Now: func() time.Time { return fixtures.Now }}
	for _, i := range example.Images {
		in.Images = append(in.Images, scanner.Source{Name: i.Name, Open: func(ctx context.Context) (*source.Source, error) {
			r, err := i.Open()
			if err != nil {
				return nil, err
			}
			return source.NewReader(ctx, i.Name, r, i.Size), nil
		}})
	}
	result, err := scanner.Scan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	result.Started = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	var b bytes.Buffer
	if err := report.JSON(&b, result, report.Options{}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func script(t *testing.T, s *report.Saved) (string, Summary) {
	t.Helper()
	var b bytes.Buffer
	sum, err := Write(&b, s, report.Options{Version: "v1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range b.Bytes() {
		if c != '\n' && c != '\t' && (c < ' ' || c > '~') {
			t.Fatalf("byte 0x%02X at %d is not printable ASCII: %q", c, i, b.Bytes()[max(0, i-40):i+1])
		}
	}
	return b.String(), sum
}

// scripts are those of the cases that fail, for Windows Server 2019, Windows 7
// and Amazon Linux.
var scripts = map[string]string{"failing": "failing.ps1", "windows7": "windows7.ps1",
	"linux-failing": "linux-failing.sh"}

// The complete scripts, so that a reader can see the fix for each finding.
func TestGolden(t *testing.T) {
	for name, file := range scripts {
		got, _ := script(t, scanned(t, name))
		file = filepath.Join("testdata", file)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(string(want), got); d != "" {
			t.Errorf("%s differs (-want +got; -update writes it again):\n%s", file, d)
		}
	}
}

// Each change is made for its finding, and the others are left to a person.
func TestSummary(t *testing.T) {
	for name, want := range map[string]map[string]int{
		"failing": {"win.profile.single": 1, "win.drives.only-c-d": 1, "win.services.domain-account": 2,
			"win.powershell.execpolicy": 1, "win.net.dhcp": 1,
			"win.winrm.auto": 1, "win.ssm.disabled": 1, "win.env.path": 2, "win.tls.ssl3": 4, "win.appx.staged": 1},
		"windows7": {"win.tls.tls12": 4},
		"linux-failing": {"linux.component.cloud-init": 1, "linux.component.skylight": 1, "linux.bp.antivirus": 1,
			"linux.bp.cache": 2},
	} {
		s := scanned(t, name)
		text, sum := script(t, s)
		total := 0
		for id, n := range want {
			total += n
			called := strings.Count(text, "\nInvoke-Change '"+id+"' ") + strings.Count(text, "\nelif wanted '"+id+"' ")
			if called != n {
				t.Errorf("%s: %d changes for %s, want %d", name, called, id, n)
			}
		}
		var byHand []string
		for _, f := range s.Findings {
			unmet := f.Status == requirement.Failed || f.Status == requirement.Warning
			if unmet && (want[f.ID] == 0 || f.ID == "win.appx.staged") {
				byHand = append(byHand, f.ID)
			}
			if !unmet && strings.Contains(text, "\n# "+f.ID+" ") {
				t.Errorf("%s: %s, which is %s, is in the script", name, f.ID, f.Status)
			}
		}
		if d := cmp.Diff(byHand, sum.ByHand); d != "" || sum.Changes != total {
			t.Errorf("%s: %d changes, want %d; by hand: %s", name, sum.Changes, total, d)
		}
	}
}

// What is waived stays as it is, and the script says so.
func TestWaived(t *testing.T) {
	s := scanned(t, "failing")
	for i := range s.Findings {
		if s.Findings[i].ID == "win.winrm.auto" {
			s.Findings[i].Waiver = &requirement.Waiver{Reason: "started\nby hand", Owner: "jdoe", Expiry: s.Started}
		}
	}
	text, sum := script(t, s)
	if !cmp.Equal(sum.Waived, []string{"win.winrm.auto"}) || slices.Contains(sum.ByHand, "win.winrm.auto") ||
		strings.Contains(text, "Invoke-Change 'win.winrm.auto'") ||
		!strings.Contains(text, "\n# Waived and not changed: until 2026-03-02 by jdoe: started<U+000A>by hand\n") {
		t.Errorf("%+v\n%s", sum, text)
	}
}

// A report of an earlier version says of no finding what it is about: its messages
// are not read in place of that, and all of it is left to a person.
func TestWithoutSubjects(t *testing.T) {
	for _, name := range []string{"failing", "windows7"} {
		s := scanned(t, name)
		var unmet []string
		for i := range s.Findings {
			f := &s.Findings[i]
			f.Subjects = nil
			if f.Status == requirement.Failed || f.Status == requirement.Warning {
				unmet = append(unmet, f.ID)
			}
		}
		if _, sum := script(t, s); sum.Changes != 0 || !cmp.Equal(unmet, sum.ByHand) {
			t.Errorf("%s: %d changes; by hand: %s", name, sum.Changes, cmp.Diff(unmet, sum.ByHand))
		}
	}
}

func TestWriteError(t *testing.T) {
	full := errors.New("no space left")
	if _, err := Write(failing{full}, scanned(t, "windows7"), report.Options{}); !errors.Is(err, full) {
		t.Errorf("%v", err)
	}
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }

// evil are strings that would be code if they were not quoted: the quotes that
// PowerShell knows, ends of lines and of comments, and what either shell would
// put in place of them.
var evil = []string{
	`'; Start-Process calc; '`, "\u2018; Start-Process calc; \u2019", "\u201a; Start-Process calc; \u201b",
	"\u201c; calc; \u201d \u201e",
	`"; calc; "`, "`n; calc", "$(calc)", "${env:X}", "`calc`", "a\nInvoke-Expression calc", "a\r\ncalc\r", "#> calc <#",
	"\u2028calc\u0085calc", "@'\ncalc\n'@",
	"a' + (calc) + 'b", "\x00calc", "--% calc", "; calc", "| calc", "& calc", "\x1b]0;owned\x07", "\u202ecalc",
	"日本語\U0001f600", "%SystemRoot%", "*", "?[a]", "'", "''", `\`, "a\tb",
}

// hostile is a report in which every string that a fix may use is evil.
func hostile(t *testing.T, name, text string) *report.Saved {
	s := scanned(t, name)
	s.Name, s.Platform.ComputerName, s.Platform.UserName, s.Platform.Name = text, text, `CORP\`+text, text
	for i := range s.Findings {
		f := &s.Findings[i]
		f.Message += text
		f.Outcome.Remediation += text
		for k := range f.Evidence {
			e := &f.Evidence[k]
			if e.Data != "" {
				e.Data = text
			}
			if e.Value == "ObjectName" {
				e.Key += text
			}
			e.Note = text
		}
		for k := range f.Subjects {
			about := &f.Subjects[k]
			if about.Reason == requirement.ReasonAccount {
				about.ID += text
			}
			about.Name, about.Value = text, text
		}
	}
	return s
}

// Whatever a report says, a script for PowerShell is of the same commands, and
// the parser finds nothing wrong with it; and one for sh too.
func TestHostile(t *testing.T) {
	dir := t.TempDir()
	for name, file := range scripts {
		for i, text := range evil {
			got, _ := script(t, hostile(t, name, text))
			path := filepath.Join(dir, string(rune('a'+i/26))+string(rune('a'+i%26))+file)
			if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(got) {
				if strings.HasSuffix(file, ".sh") && !strings.HasPrefix(line, "#") && strings.Contains(line, "calc") {
					t.Errorf("%q: %s", text, line)
				}
			}
		}
	}
	shells, err := filepath.Glob(filepath.Join(dir, "*.sh"))
	if err != nil || len(shells) != len(evil) {
		t.Fatal(len(shells), err)
	}
	t.Run("sh", func(t *testing.T) { checkShell(t, shells...) })
	power, err := filepath.Glob(filepath.Join(dir, "*.ps1"))
	if err != nil || len(power) != 2*len(evil) {
		t.Fatal(len(power), err)
	}
	t.Run("powershell", func(t *testing.T) { checkPowerShell(t, power...) })
}

func TestParsers(t *testing.T) {
	t.Run("sh", func(t *testing.T) { checkShell(t, "testdata/linux-failing.sh") })
	t.Run("powershell", func(t *testing.T) { checkPowerShell(t, "testdata/failing.ps1", "testdata/windows7.ps1") })
}

// checkShell has shells and shellcheck read scripts.
func checkShell(t *testing.T, files ...string) {
	for _, shell := range []string{"dash", "bash"} {
		testenv.Tool(t, shell)
		for _, f := range files {
			if out, err := exec.Command(shell, "-n", f).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s", shell, err, out)
			}
		}
	}
	testenv.Tool(t, "shellcheck")
	if out, err := exec.Command("shellcheck", append([]string{"--norc"}, files...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// commands are all that a script for PowerShell may run or call.
var commands = []string{
	"Add-Member", "Assert-Zero", "ForEach-Object", "Get-AppxPackage", "Get-ExecutionPolicy", "Get-ItemProperty",
	"Get-MachineValue", "Get-OneService", "Get-PathEntry",
	"Get-WmiObject", "Invoke-Change", "New-Object", "Out-Null", "Remove-AppxPackage", "Remove-Item", "Set-ExecutionPolicy",
	"Test-Path", "Where-Object",
	"Write-Host", "Write-Verbose", "Write-Warning", "net.exe", "$Settled", "$Apply",
}

// parsePowerShell is run by node: it parses scripts with the grammar of
// tree-sitter, and prints for each whether that found an error, then the names
// of its commands. The baseline compiler of WebAssembly is used: the optimizing
// one takes a minute for the grammar.
const parsePowerShell = `
const { Parser, Language } = require('web-tree-sitter');
const { readFileSync } = require('node:fs');
(async () => {
  await Parser.init();
  const parser = new Parser();
  parser.setLanguage(await Language.load(require.resolve('tree-sitter-powershell/tree-sitter-powershell.wasm')));
  for (const file of process.argv.slice(1)) {
    const root = parser.parse(readFileSync(file, 'utf8')).rootNode;
    const names = new Set(root.descendantsOfType(['command_name', 'command_name_expr']).map(n => n.text));
    console.log([root.hasError ? 'error' : 'good', ...names].join(' '));
  }
})();
`

// checkPowerShell has a parser of PowerShell read scripts.
func checkPowerShell(t *testing.T, files ...string) {
	lines := parsed(t, files...)
	if len(lines) != len(files) {
		t.Fatalf("%d lines for %d scripts", len(lines), len(files))
	}
	for i, line := range lines {
		words := strings.Fields(line)
		if words[0] != "good" {
			text, _ := os.ReadFile(files[i])
			t.Errorf("%s is no PowerShell:\n%s", files[i], text)
		}
		for _, name := range words[1:] {
			if !slices.Contains(commands, name) {
				t.Errorf("%s runs %s", files[i], name)
			}
		}
	}
}

func parsed(t *testing.T, files ...string) []string {
	t.Helper()
	testenv.Tool(t, "node")
	grammar := testenv.Validator(t, "tree-sitter-powershell", "tree-sitter-powershell.wasm")
	modules := filepath.Dir(filepath.Dir(grammar))
	cmd := exec.Command("node", append([]string{"--liftoff-only", "-e", parsePowerShell, "--"}, files...)...)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// The parser is none that says yes to everything, and finds commands.
func TestParserRefuses(t *testing.T) {
	dir := t.TempDir()
	var files []string
	for name, text := range map[string]string{"a": "Get-It 'x\n", "b": "if ($x) {\n", "c": "Get-It 'a'; calc.exe 'b'\n"} {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	slices.Sort(files)
	lines := parsed(t, files...)
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "error") || !strings.HasPrefix(lines[1], "error") ||
		lines[2] != "good Get-It calc.exe" {
		t.Errorf("%q", lines)
	}
}

// The commands for PowerShell in the pages of the documentation have no syntax errors.
func TestPowerShellOfPages(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```powershell\n(.*?)```")
	dir := t.TempDir()
	var files []string
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for n, m := range block.FindAllStringSubmatch(string(text), -1) {
			file := filepath.Join(dir, fmt.Sprintf("%s-%d.ps1", filepath.Base(page), n))
			if err := os.WriteFile(file, []byte(m[1]), 0o666); err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
	}
	if len(files) < 2 {
		t.Fatalf("%d blocks", len(files))
	}
	for i, line := range parsed(t, files...) {
		if !strings.HasPrefix(line, "good ") {
			t.Errorf("%s: %s", files[i], line)
		}
	}
}

// The script for sh, run with commands that only write down what they are asked:
// it shows, asks, does, and does nothing twice.
func TestShellRuns(t *testing.T) {
	testenv.Tool(t, "dash")
	text, _ := script(t, scanned(t, "linux-failing"))
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o777); err != nil {
			t.Fatal(err)
		}
		return file
	}
	// A unit is enabled once it was; /root is a folder of the test's.
	write("id", "#!/bin/sh\necho 0\n")
	write("systemctl", `#!/bin/sh
echo "systemctl $*" >>log
case "$1" in
is-enabled) [ -e "state-$4" ] ;;
enable) : >"state-$3" ;;
disable) rm -f "state-$3" ;;
esac
`)
	write("state-ds_agent.service", "")
	home := filepath.Join(dir, "root")
	for _, folder := range []string{".cache/x", ".mozilla/x", ".ssh"} {
		if err := os.MkdirAll(filepath.Join(home, folder), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	text = strings.ReplaceAll(text, " /root/", " "+home+"/")
	run := func(answer string, args ...string) (output, log string) {
		t.Helper()
		os.Remove(filepath.Join(dir, "log"))
		file := write("remediate.sh", strings.ReplaceAll(text, "/dev/tty", write("answer", answer)))
		cmd := exec.Command("dash", append([]string{file}, args...)...)
		cmd.Dir = dir
		cmd.Env = []string{"PATH=" + dir + ":/usr/bin:/bin"}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		asked, err := os.ReadFile(filepath.Join(dir, "log"))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		var changes []string
		for line := range strings.Lines(string(asked)) {
			if !strings.HasPrefix(line, "systemctl is-enabled ") {
				changes = append(changes, strings.TrimSpace(line))
			}
		}
		return string(out), strings.Join(changes, "; ")
	}
	if out, log := run("y\n", "--what-if"); log != "" || strings.Count(out, ": would be done: ") != 5 {
		t.Errorf("--what-if did %q:\n%s", log, out)
	}
	if out, log := run("\n"); log != "" || strings.Count(out, ": not changed: ") != 5 {
		t.Errorf("without a yes it did %q:\n%s", log, out)
	}
	const all = "systemctl unmask -- cloud-final.service; systemctl enable -- cloud-final.service; systemctl enable -- " +
		"skylight-agent.service; systemctl disable -- ds_agent.service"
	if out, log := run("yes\n"); log != all || strings.Count(out, ": done: ") != 5 {
		t.Errorf("it did %q:\n%s", log, out)
	}
	left, err := os.ReadDir(home)
	if err != nil || len(left) != 1 || left[0].Name() != ".ssh" {
		t.Errorf("what is left of root's home: %v, %v", left, err)
	}
	if out, log := run("y\n"); log != "" || strings.Count(out, ": skipped: ") != 5 {
		t.Errorf("the second time it did %q:\n%s", log, out)
	}
	cmd := exec.Command("dash", filepath.Join(dir, "remediate.sh"), "--force")
	cmd.Stderr = io.Discard
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.ExitCode() != 64 {
		t.Errorf("--force: %v", err)
	}
}
