package machine

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/hivetest"
)

// TestMakesDrives shows by what a driver's family is known.
func TestMakesDrives(t *testing.T) {
	for _, c := range []struct {
		name, image string
		want        bool
	}{
		{"googledrivefs31931", `\SystemRoot\System32\drivers\googledrivefs31931.sys`, true},
		{"WinFsp+20240101", "", true},
		{"dokan1", "", true},
		{"Acme", `\??\C:\Windows\System32\drivers\cbfs20.sys`, true},
		{"Acme", `"C:\Program Files\RaiDrive\RaiDrive.Service.exe" --service`, true},
		{"Acme", `C:\Program Files (x86)\WinFsp\bin\launcher-x64.exe`, true},
		{"ElbyCDIO", "", true},
		{"VClone", "", true},
		{"Ramdisk", `\SystemRoot\system32\DRIVERS\ramdisk.sys`, false},
		{"vhdmp", `\SystemRoot\System32\drivers\vhdmp.sys`, false},
		{"cdrom", "", false},
		{"Acme", `C:\Tools\run.exe C:\Program Files\WinFsp\x`, false},
		{"Netlogon", `C:\Windows\system32\lsass.exe`, false},
		{"NetDDE", "", false},
		{"aimless", "", false},
	} {
		s := Service{Name: c.name, ImagePath: words(c.image)}
		if got := s.MakesDrives(); got != c.want {
			t.Errorf("%s, %s: %t", c.name, c.image, got)
		}
	}
}

// TestScriptList reads lists of policy scripts in both encodings.
func TestScriptList(t *testing.T) {
	text := "\r\n[Logon]\r\n0CmdLine=a.cmd\r\n0Parameters=/x y\r\n1CmdLine=b.ps1\r\n[Logoff]\r\n0CmdLine=c.cmd\r\n" +
		"[startup]\r\n0cmdline=d.vbs\r\n[ScriptsConfig]\r\nEndExecutePSFirst=true\r\n"
	want := []listedScript{{"Logon", "a.cmd", "/x y"}, {"Logon", "b.ps1", ""}, {"startup", "d.vbs", ""}}
	for name, data := range map[string][]byte{"UTF-16": append([]byte{0xFF, 0xFE}, utf16LE(text)...),
		"bytes": []byte(text)} {
		got, err := parseScriptList(data)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(listedScript{})); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	for n, whole := range map[int]bool{maxListed - 1: true, maxListed: true, maxListed + 1: false} {
		var b strings.Builder
		b.WriteString("[Logon]\n")
		for i := range n {
			fmt.Fprintf(&b, "%dCmdLine=a.cmd\n", i)
		}
		list, err := parseScriptList([]byte(b.String()))
		if (err == nil) != whole || whole && len(list) != n {
			t.Errorf("%d scripts: %d, %v", n, len(list), err)
		}
	}
}

// TestCommandBounds meets each bound of taking commands apart, and stays below it.
func TestCommandBounds(t *testing.T) {
	read := func(change func(*commandReader), line string) *commandReader {
		r := newCommandReader()
		change(r)
		sh := shell{}
		r.line(line, &sh, 0)
		return r
	}
	line := `cmd /c D:\a.exe`
	// Each level takes what is left of the line: all of it, "D:\a.exe" as a
	// command of the shell, and again as a command line.
	need := len(line) + 2*len(`D:\a.exe`)
	for left, whole := range map[int]bool{need - 1: false, need: true, need + 1: true} {
		r := read(func(r *commandReader) { r.left = left }, line)
		if (r.err == nil) != whole || whole != (len(r.out.Uses) == 2) {
			t.Errorf("%d bytes: %v, %v", left, r.out.Uses, r.err)
		}
	}
	for n, whole := range map[int]bool{1: false, 2: true, 3: true} {
		r := read(func(r *commandReader) { r.uses = n }, line)
		if errors.Is(r.err, ErrTooLarge) == whole {
			t.Errorf("%d uses: %v, %v", n, r.out.Uses, r.err)
		}
	}
	// and cmd itself
	for n, whole := range map[int]bool{maxUsesOfOne - 2: true, maxUsesOfOne - 1: true, maxUsesOfOne: false} {
		var b strings.Builder
		b.WriteString("cmd /c x")
		for i := range n - 1 {
			fmt.Fprintf(&b, "&x%d", i)
		}
		r := read(func(*commandReader) {}, b.String())
		if (r.err == nil) != whole {
			t.Errorf("%d commands: %d uses, %v", n, len(r.out.Uses), r.err)
		}
	}
	for n, whole := range map[int]bool{maxCommandDepth/2 - 1: true, maxCommandDepth / 2: true,
		maxCommandDepth/2 + 1: false} {
		r := read(func(*commandReader) {}, strings.Repeat("cmd /c ", n)+"subst X: C:\\")
		if (len(r.out.Doubts) == 0) != whole || whole != (len(r.out.Makes) == 1) {
			t.Errorf("%d deep: %v, %v", n, r.out.Makes, r.out.Doubts)
		}
	}
	for _, hostile := range []string{
		strings.Repeat("cmd /c ", 4000), strings.Repeat(`"`, 30_000), strings.Repeat(`\`, 30_000),
		strings.Repeat("&", 30_000), strings.Repeat("(", 30_000),
		"cmd /c " + strings.Repeat("if x==y ", 4000), "cmd /c " + strings.Repeat("for %i in (1) do ", 1800),
		"powershell " + strings.Repeat("-c ", 10_000), "powershell -c " + strings.Repeat("$x=$x$x;", 4000),
		"cmd /c " + strings.Repeat("set a=%a%%a%&", 2000), "rundll32 " + strings.Repeat("-", 30_000),
		"mshta vbscript:" + strings.Repeat(`Execute("`, 3000), "conhost " + strings.Repeat("- ", 15_000),
	} {
		r := read(func(*commandReader) {}, hostile)
		if len(r.out.Uses) > maxUsesOfOne || len(r.out.Makes) > MaxNamedData || len(r.out.Doubts) > MaxNamedData ||
			len(r.out.Scripts) > maxScripts+1 {
			t.Errorf("%.20s…: %d uses, %d scripts", hostile, len(r.out.Uses), len(r.out.Scripts))
		}
	}
}

// TestScriptBounds meets each bound of reading scripts.
func TestScriptBounds(t *testing.T) {
	m := fixture(t, "drives-script-calls-script")
	path := `C:\Scripts\logon.cmd`
	for count, whole := range map[int]bool{maxScripts - 1: true, maxScripts: false} {
		r := scriptReader{m: m, count: count}
		if _, f, err := r.read(path); (err == nil) != whole || !f.Exists {
			t.Errorf("after %d scripts: %v", count, err)
		}
	}
	size := int64(len("call \"%~dp0lib\\drives.bat\" /q\n"))
	for bytes, whole := range map[int64]bool{maxScriptBytes - size - 1: true, maxScriptBytes - size: true,
		maxScriptBytes - size + 1: false} {
		r := scriptReader{m: m, bytes: bytes}
		if _, _, err := r.read(path); (err == nil) != whole || err != nil && !errors.Is(err, ErrTooLarge) {
			t.Errorf("after %d bytes: %v", bytes, err)
		}
	}
	r := scriptReader{m: m}
	for range 3 {
		if _, _, err := r.read(path); err != nil || r.count != 1 {
			t.Errorf("%d scripts, %v", r.count, err)
		}
	}
}

// TestScriptsElsewhere shows which scripts cannot be among the images.
func TestScriptsElsewhere(t *testing.T) {
	r := scriptReader{m: registryOnly(map[string][]hivetest.Value{})}
	for path, want := range map[string]bool{`\\corp\netlogon\a.cmd`: true, `%LOGONSERVER%\netlogon\a.cmd`: true,
		`Z:\a.cmd`: true, `C:\a.cmd`: false, `D:\a.cmd`: false, `a.cmd`: false} {
		if got := r.elsewhereScript(path); got != want {
			t.Errorf("%s: %t", path, got)
		}
	}
}

// TestLinkArguments reads what follows the target of a shortcut.
func TestLinkArguments(t *testing.T) {
	link := shortcut(`C:\Java\bin\java.exe`, "", true)
	le.PutUint32(link[0x14:], le.Uint32(link[0x14:])|linkHasName|linkHasWorkingDir|linkHasArguments|linkIsUnicode)
	for _, text := range []string{"Acme", `D:\Acme`, `-jar D:\Acme\a.jar`} {
		link = append(le.AppendUint16(link, uint16(len(text))), utf16LE(text)...)
	}
	l, err := parseLink(append(link, 0, 0, 0, 0))
	if want := (shellLink{`C:\Java\bin\java.exe`, `-jar D:\Acme\a.jar`, `D:\Acme`}); l != want || err != nil {
		t.Errorf("%+v, %v", l, err)
	}
	begin := len(shortcut(`C:\Java\bin\java.exe`, "", true))
	for i := begin; i < len(link); i++ {
		if l, err := parseLink(link[:i]); err == nil {
			t.Errorf("%d of %d bytes are read as %+v", i, len(link), l)
		}
	}
}

// Letters and bytes whose lower case takes another number of bytes.
func TestProgramEndOfLongerLowerCase(t *testing.T) {
	for _, before := range []string{`C:\`, "C:\\\xff\xff\xff\xff", "C:\\\u023a\u023a\u023a\u023a\u023a", "C:\\\u0130"} {
		if end := programEnd(before + ".EXE x"); end != len(before)+len(".EXE") {
			t.Errorf("program in %q ends at %d", before+".EXE x", end)
		}
		if got := behind("SysVol/"+before+"/sysvol/a/b.ini", "/sysvol/"); got != "a" {
			t.Errorf("behind /sysvol/ is %q", got)
		}
	}
}

func FuzzCommandLine(f *testing.F) {
	for _, s := range []string{`cmd /c subst X: /d & subst X: C:\Data`, `"C:\a b.exe" -x "D:\y"`, `powershell -enc QQA=`,
		`rundll32 "D:\a.dll",Main`, `java -cp a;b -jar c`, `mshta vbscript:Execute("x")`,
		`cmd /c if not exist x (a) else b`, "C:\\\xff\xff\xff\xff\xff\xff.exe x", "C:\\\u023a\u023a\u023a\u023a\u023a.exe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := newCommandReader()
		r.exists = func(path string) bool { return len(path)%3 == 0 }
		sh := shell{dir: `D:\Acme`}
		r.line(s, &sh, 0)
		checkCommands(t, r, len(s))
		if words := arguments(s); len(strings.Join(words, "")) > len(s) {
			t.Errorf("%q of %q", words, s)
		}
	})
}

func checkCommands(t *testing.T, r *commandReader, size int) {
	t.Helper()
	if len(r.out.Uses) > maxUsesOfOne || len(r.out.Makes) > MaxNamedData || len(r.out.Data) > MaxNamedData ||
		len(r.out.Doubts) > MaxNamedData || len(r.out.Scripts) > maxScripts+1 {
		t.Errorf("%+v", r.out)
	}
	if taken := maxCommandBytes - r.left; r.err == nil && taken > (size+maxCommandLine)*2*(maxCommandDepth+2) {
		t.Errorf("%d bytes were taken apart of %d", taken, size)
	}
}

func FuzzScript(f *testing.F) {
	for _, s := range []string{"@echo off\r\nset X=Y:\r\nsubst %X% C:\\\r\n", "<# #> & 'a' -b; New-PSDrive -Persist @x",
		"' x\ns.Run \"a \" & b & \" c\" _\n, 0", "attach vdisk\nassign letter=x", "@\"\n\"@\n`"} {
		for l := byte(0); l < 4; l++ {
			f.Add(l, s)
		}
	}
	f.Fuzz(func(t *testing.T, lang byte, s string) {
		r := newCommandReader()
		sh := shell{folder: `C:\S`, text: s}
		switch Language(lang%4 + 1) {
		case languageBatch:
			r.batch(s, &sh, 0)
		case languagePowerShell:
			r.powerShell(s, &sh, 0)
		case languageHost:
			r.host(s, &sh, 0)
		default:
			r.diskpart(s)
		}
		if len(r.out.Uses) > maxUsesOfOne || len(r.out.Makes) > MaxNamedData || len(r.out.Doubts) > MaxNamedData {
			t.Errorf("%+v", r.out)
		}
		parseScriptList([]byte(s))
	})
}

func FuzzDecodeCommand(f *testing.F) {
	f.Add(base64.StdEncoding.EncodeToString(utf16LE("subst X: C:\\")))
	f.Add("QQ A=")
	f.Fuzz(func(t *testing.T, s string) {
		text, ok := decodeCommand(s)
		if !ok && text != "" || len(text) > 3*len(s) {
			t.Errorf("%q of %q", text, s)
		}
	})
}

func FuzzParseLink(f *testing.F) {
	f.Add(shortcut(`C:\a.exe`, "", true))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parseLink(data)
		if err != nil && l != (shellLink{}) {
			t.Errorf("%+v with %v", l, err)
		}
		if len(l.Target)+len(l.Arguments)+len(l.Folder) > 12*len(data) {
			t.Errorf("%d bytes of %d", len(l.Arguments), len(data))
		}
	})
}
