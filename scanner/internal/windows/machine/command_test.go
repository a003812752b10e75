package machine

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/fold"
)

// uses takes a command line apart and lists what it executes or loads.
func uses(line string, exists ...string) []string {
	r := newCommandReader()
	r.exists = func(path string) bool { return fold.Contains(exists, path) }
	sh := shell{}
	r.line(line, &sh, 0)
	var list []string
	for _, u := range r.out.Uses {
		list = append(list, u.Path)
	}
	return list
}

// TestUses shows what of a command line counts: what is executed or loaded. All
// else in it is data.
func TestUses(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString(utf16LE(`& 'D:\Acme\run.exe' -x`))
	for line, want := range map[string][]string{
		`D:\a.exe`:                                             {`D:\a.exe`},
		`"C:\Program Files\a.exe" D:\data`:                     {`C:\Program Files\a.exe`},
		`C:\Program Files\Acme\a.exe /x D:\data`:               {`C:\Program Files\Acme\a.exe`},
		`cmd /c D:\Acme\run.cmd`:                               {`cmd`, `D:\Acme\run.cmd`},
		`cmd.exe /d /s /c ""D:\My Apps\run.exe" -x"`:           {`cmd.exe`, `D:\My Apps\run.exe`},
		`cmd /c "D:\My Apps\run.exe"`:                          {`cmd`, `D:\My Apps\run.exe`},
		`cmd /c start "Acme" /min /d D:\Acme run.exe`:          {`cmd`, `D:\Acme\run.exe`},
		`cmd /c start "" "D:\Acme\run.exe"`:                    {`cmd`, `D:\Acme\run.exe`},
		`cmd /c cd /d D:\Acme && run.exe`:                      {`cmd`, `D:\Acme\run.exe`},
		`cmd /c if exist D:\x (D:\a.exe) else D:\b.exe`:        {`cmd`, `D:\a.exe`, `D:\b.exe`},
		`cmd /c for %i in (1 2) do D:\a.exe %i`:                {`cmd`, `D:\a.exe`},
		`cmd /c copy D:\a.exe C:\b.exe`:                        {`cmd`},
		`cmd /c echo D:\a.exe`:                                 {`cmd`},
		`cmd /c rem D:\a.exe`:                                  {`cmd`},
		`cmd /c C:\x.exe > D:\log.txt 2>&1`:                    {`cmd`, `C:\x.exe`},
		`cmd /c "C:\a.exe" & "D:\b.exe"`:                       {`cmd`, `C:\a.exe`, `D:\b.exe`},
		`cmd /c echo "&" D:\b.exe ^& D:\c.exe`:                 {`cmd`},
		`cmd`:                                                  {`cmd`},
		`"C:\Java\bin\java.exe" -Xmx1g -jar D:\a.jar D:\c`:     {`C:\Java\bin\java.exe`, `D:\a.jar`},
		`java -cp C:\a.jar;D:\lib\* com.acme.Main`:             {`java`, `C:\a.jar`, `D:\lib`},
		`javaw -Dlog=D:\log -jar C:\a.jar`:                     {`javaw`, `C:\a.jar`},
		`java -javaagent:D:\agent.jar=x -jar C:\a.jar`:         {`java`, `D:\agent.jar`, `C:\a.jar`},
		`rundll32 D:\a.dll,Main D:\data`:                       {`rundll32`, `D:\a.dll`},
		`rundll32.exe "D:\My Apps\a.dll",Main`:                 {`rundll32.exe`, `D:\My Apps\a.dll`},
		`rundll32 /d srrstr.dll,ExecuteScheduledSPPCreation`:   {`rundll32`, `srrstr.dll`},
		`rundll32 shell32.dll,ShellExec_RunDLL D:\a.exe`:       {`rundll32`, `shell32.dll`, `D:\a.exe`},
		`rundll32 shell32.dll,Control_RunDLL D:\a.cpl,,3`:      {`rundll32`, `shell32.dll`, `D:\a.cpl`},
		`regsvr32 /s D:\a.dll`:                                 {`regsvr32`, `D:\a.dll`},
		`msiexec /i D:\a.msi /qn`:                              {`msiexec`, `D:\a.msi`},
		`MsiExec.exe /X{6C0B3C7D-1D0A-4B77-9B6E-2B7F1A6C9D10}`: {`MsiExec.exe`},
		`msiexec /fa D:\a.msi`:                                 {`msiexec`, `D:\a.msi`},
		`msiexec /i C:\a.msi INSTALLDIR=D:\x /l*v D:\log.txt`:  {`msiexec`, `C:\a.msi`},
		`conhost --headless D:\a.exe -x`:                       {`conhost`, `D:\a.exe`},
		`forfiles /p D:\log /c "cmd /c D:\a.exe"`:              {`forfiles`, `cmd`, `D:\a.exe`},
		`wscript //B D:\a.vbs D:\x`:                            {`wscript`, `D:\a.vbs`},
		`cscript.exe //E:vbscript D:\a.txt`:                    {`cscript.exe`, `D:\a.txt`},
		`mshta D:\a.hta`:                                       {`mshta`, `D:\a.hta`},
		`mshta vbscript:Execute("CreateObject(""WScript.Shell"").Run ""D:\a.exe"":close")`: {`mshta`, `D:\a.exe`},
		`powershell -NoP -ExecutionPolicy Bypass -File D:\a.ps1 -x D:\y`:                   {`powershell`, `D:\a.ps1`},
		`powershell -w hidden -c "& 'D:\My Apps\a.exe' -x"`: {`powershell`,
			`D:\My Apps\a.exe`},
		`powershell "Start-Process D:\a.exe -ArgumentList '-x' -Wait"`:       {`powershell`, `D:\a.exe`},
		`powershell Start-Process -FilePath cmd -ArgumentList '/c D:\a.exe'`: {`powershell`, `cmd`, `D:\a.exe`},
		`powershell /NoLogo /Command Get-ChildItem D:\data`:                  {`powershell`},
		`powershell -c "$x = 'D:\Acme'; & $x\a.exe"`:                         {`powershell`, `D:\Acme\a.exe`},
		`powershell -c "<# D:\a.exe #> # D:\b.exe"`:                          {`powershell`},
		`powershell -e ` + encoded:                                           {`powershell`, `D:\Acme\run.exe`},
		`powershell.exe -enc ` + encoded:                                     {`powershell.exe`, `D:\Acme\run.exe`},
		`pwsh -EncodedCommand ` + encoded + ` -NoProfile`:                    {`pwsh`, `D:\Acme\run.exe`},
		`powershell –EC ` + encoded:                                          {`powershell`, `D:\Acme\run.exe`},
		`python D:\a.py`:                                                     {`python`, `D:\a.py`},
		`dotnet D:\a.dll --urls http://*`:                                    {`dotnet`, `D:\a.dll`},
		`explorer.exe D:\a.exe`:                                              {`explorer.exe`, `D:\a.exe`},
		`explorer D:\data`:                                                   {`explorer`},
		`C:\Windows\System32\svchost.exe -k netsvcs -p`:                      {`C:\Windows\System32\svchost.exe`},
		`\??\D:\a.exe`: {`D:\a.exe`},
		``:             nil,
		`"`:            nil,
		`cmd /c`:       {`cmd`},
	} {
		if diff := cmp.Diff(want, uses(line)); diff != "" {
			t.Errorf("%s\n%s", line, diff)
		}
	}
}

// TestSplit shows how a program without quotes is found where its path holds
// blanks: Windows tries the shortest part first.
func TestSplit(t *testing.T) {
	for _, c := range []struct {
		line   string
		exists []string
		want   string
	}{
		{`C:\Program Files\Java\java -jar D:\a.jar`, []string{`C:\Program Files\Java\java.exe`},
			`C:\Program Files\Java\java`},
		{`C:\Program Files\Java\java -jar D:\a.jar`, []string{`C:\Program.exe`, `C:\Program Files\Java\java.exe`},
			`C:\Program`},
		{`C:\Program Files\Java\java -jar D:\a.jar`, nil, `C:\Program Files\Java\java`},
		{`C:\Program Files\Acme\a.exe -x`, nil, `C:\Program Files\Acme\a.exe`},
		{`C:\a b`, nil, `C:\a`},
		{`notepad D:\a.exe`, nil, `notepad`},
		{`"C:\a b\c.exe"-x`, nil, `C:\a b\c.exe`},
	} {
		r := newCommandReader()
		r.exists = func(path string) bool { return fold.Contains(c.exists, path) }
		if got, _ := r.split(c.line); got != c.want {
			t.Errorf("%s: %q, want %q", c.line, got, c.want)
		}
	}
}

// TestRelative shows where a program is that is named without a folder.
func TestRelative(t *testing.T) {
	for _, c := range []struct {
		line, dir string
		exists    []string
		want      []string
	}{
		{`a.exe`, `D:\Acme`, nil, []string{`D:\Acme\a.exe`}},
		{`bin\a.exe`, `D:\Acme\`, nil, []string{`D:\Acme\bin\a.exe`}},
		{`powershell -File a.ps1`, `D:\Acme`, nil, []string{`powershell`, `D:\Acme\a.ps1`}},
		{`java -jar a.jar`, `D:\Acme`, nil, []string{`java`, `D:\Acme\a.jar`}},
		{`java -jar a.jar`, `D:\Acme`, []string{`D:\Acme\java.exe`}, []string{`D:\Acme\java.exe`, `D:\Acme\a.jar`}},
		{`a.exe`, ``, nil, []string{`a.exe`}},
		{`C:\a.exe`, `D:\Acme`, nil, []string{`C:\a.exe`}},
		{`tool`, `D:\Acme`, []string{`C:\Windows\System32\tool.exe`}, []string{`C:\Windows\System32\tool`}},
	} {
		r := newCommandReader()
		r.exists = func(path string) bool { return fold.Contains(c.exists, path) }
		r.expand = func(s string) (string, error) { return Environment{"SYSTEMROOT": `C:\Windows`}.Expand(s), nil }
		sh := shell{dir: c.dir}
		r.line(c.line, &sh, 0)
		var got []string
		for _, u := range r.out.Uses {
			got = append(got, u.Path)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s in %s\n%s", c.line, c.dir, diff)
		}
	}
}

func makes(line string) string {
	r := newCommandReader()
	sh := shell{}
	r.line(line, &sh, 0)
	return strings.Join(r.out.Makes, ", ")
}

func TestMakesDrive(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString(
		utf16LE(`New-PSDrive -Name X -PSProvider FileSystem -Root \\s\x -Persist`))
	for line, want := range map[string]string{
		`subst X: C:\Data`: "subst X:",
		`"C:\Windows\System32\SUBST.EXE"  x:  C:\Data`: "subst X:",
		`subst X: /d`:                           "",
		`subst X: /D`:                           "",
		`subst`:                                 "",
		`subst D: C:\a`:                         "",
		`cmd /c subst X: /d & subst X: C:\Data`: "subst X:",
		`cmd /c subst X: /d&subst X: "C:\My Data"`:                "subst X:",
		`cmd /c "subst X: C:\Data"`:                               "subst X:",
		`cmd /c rem subst X: C:\Data`:                             "",
		`cmd /c echo subst X: C:\Data`:                            "",
		`cmd /c if not exist X:\ subst X: C:\Data`:                "subst X:",
		`cmd /c for %d in (X Y) do subst %d: C:\Data`:             "subst %d:",
		`cmd /c net use H: \\server\home /persistent:yes`:         "net use H:",
		`net.exe use h: \\server\home`:                            "net use H:",
		`net use * \\fs\share`:                                    "net use *",
		`net use \\fs\share X:`:                                   "net use X:",
		`net use /persistent:yes \\fs\share X:`:                   "net use X:",
		`net use /user:CORP\a X: \\fs\share secret`:               "net use X:",
		`net use X: https://dav.example.com/x`:                    "net use X:",
		`net1 use X: \\fs\share`:                                  "net use X:",
		`net use X: /home`:                                        "net use X:",
		`net use X:`:                                              "",
		`net use`:                                                 "",
		`net use \\fs\ipc$ /user:a b`:                             "",
		`net use H: /delete`:                                      "",
		`net use * /d /y`:                                         "",
		`net use * /del /y`:                                       "",
		`net use C: \\server\c`:                                   "",
		`net start x:`:                                            "",
		`C:\Windows\System32\mountvol.exe E: \\?\Volume{1}\`:      "mountvol E:",
		`mountvol S: /s`:                                          "mountvol S:",
		`mountvol E: /d`:                                          "",
		`mountvol C:\mnt \\?\Volume{1}\`:                          "",
		`powershell -c "Mount-DiskImage C:\a.iso"`:                "Mount-DiskImage",
		`powershell -c "Mount-DiskImage C:\a.iso -NoDriveLetter"`: "",
		`powershell -c "Dismount-DiskImage C:\a.iso"`:             "",
		`powershell Mount-VHD C:\a.vhdx`:                          "Mount-VHD",
		`powershell -c "New-PSDrive X FileSystem \\s\x -Persist"`: "New-PSDrive -Persist",
		`powershell -c "New-PSDrive -Name X -PSProvider FileSystem -Root \\s\x"`:                 "",
		`powershell -c "New-SmbMapping -LocalPath X: -RemotePath \\s\x"`:                         "New-SmbMapping",
		`powershell -c "Remove-SmbMapping -LocalPath X:"`:                                        "",
		`powershell -c "(New-Object -ComObject WScript.Network).MapNetworkDrive('X:', '\\s\x')"`: "MapNetworkDrive",
		`powershell -c "$n.RemoveNetworkDrive('X:')"`:                                            "",
		`powershell -c "# subst X: C:\Data"`:                                                     "",
		`powershell -c "Set-Partition -DiskNumber 1 -PartitionNumber 1 -NewDriveLetter E"`: "Set-Partition " +
			"-NewDriveLetter",
		`powershell -c "net use X: \\s\x"`:                             "net use X:",
		`powershell -c "cmd /c 'subst X: C:\Data'"`:                    "subst X:",
		`powershell -EncodedCommand ` + encoded:                        "New-PSDrive -Persist",
		`wmic volume where "DriveLetter is null" set DriveLetter='X:'`: "wmic … set DriveLetter",
		`rclone mount remote: X: --vfs-cache-mode full`:                "a mounted drive X:",
		`rclone copy remote: C:\x`:                                     "",
		`imdisk -a -s 1G -m X: -p "/fs:ntfs /q /y"`:                    "a virtual disk X:",
		`imdisk -d -m X:`:                                              "a virtual disk X:",
		`C:\substitute\a.exe X:`:                                       "",
		`C:\Program Files\7-Zip\7zFM.exe`:                              "",
		"":                                                             "",
	} {
		if got := makes(line); got != want {
			t.Errorf("%s makes %q, want %q", line, got, want)
		}
	}
}

// TestScripts shows what scripts do, each in its language.
func TestScripts(t *testing.T) {
	for name, c := range map[string]struct {
		language Language
		text     string
		makes    string
		uses     []string
	}{
		"batch": {languageBatch, "@echo off\r\nsubst X: C:\\Data\r\n", "subst X:", []string{"subst"}},
		"comments of a batch": {languageBatch,
			"rem subst X: C:\\Data\r\n:: subst X: C:\\Data\r\n@rem subst X: C:\\\r\n:subst X: C:\\\r\n", "", nil},
		"a batch that sets": {languageBatch, "set DRIVE=X:\r\nset \"ROOT=C:\\My Data\"\r\nsubst %DRIVE% \"%ROOT%\"",
			"subst X:", []string{"subst"}},
		"delayed expansion":   {languageBatch, "set D=X:\r\nsubst !D! C:\\Data", "subst X:", []string{"subst"}},
		"a line that goes on": {languageBatch, "net use ^\r\n X: ^\r\n \\\\s\\x", "net use X:", []string{"net"}},
		"blocks": {languageBatch, "if exist C:\\x (\r\n  subst X: C:\\x\r\n) else (\r\n  D:\\a.exe\r\n)",
			"subst X:", []string{"subst", `D:\a.exe`}},
		"its own folder": {languageBatch, "call \"%~dp0b.cmd\"\r\n\"%~dp0bin\\a.exe\"", "",
			[]string{`C:\S\b.cmd`, `C:\S\bin\a.exe`}},
		"diskpart by echo": {languageBatch, "(echo select vdisk file=C:\\a.vhd & echo attach vdisk) | diskpart",
			"diskpart: attach vdisk", []string{"diskpart"}},
		"diskpart that lists": {languageBatch, "echo list disk | diskpart", "", []string{"diskpart"}},
		"diskpart's commands": {languageDiskpart, "select volume 3\r\nassign letter=X\r\n", "diskpart: assign letter=x",
			nil},
		"diskpart for D": {languageDiskpart, "select volume 3\r\nassign letter=D\r\n", "", nil},
		"PowerShell": {languagePowerShell,
			"$net = New-Object -ComObject WScript.Network\n$net.MapNetworkDrive('X:', '\\\\s\\x')", "MapNetworkDrive", nil},
		"PowerShell's comments": {languagePowerShell,
			"<#\nsubst X: C:\\Data\n#>\n# net use X: \\\\s\\x\nWrite-Host 'subst X: C:\\Data'", "", nil},
		"a here-string": {languagePowerShell, "$t = @\"\nsubst X: C:\\\n\"@\n", "", nil},
		"its folder": {languagePowerShell, "& \"$PSScriptRoot\\a.exe\"\n. $PSScriptRoot\\b.ps1", "",
			[]string{`C:\S\a.exe`, `C:\S\b.ps1`}},
		"a parameter split": {languagePowerShell,
			"New-PSDrive -Name X `\n -PSProvider FileSystem `\n -Root \\\\s\\x -Persist:$true", "New-PSDrive -Persist", nil},
		"VBScript": {languageHost,
			"Set n = CreateObject(\"WScript.Network\")\nn.MapNetworkDrive \"X:\", \"\\\\s\\x\"", "MapNetworkDrive", nil},
		"VBScript's comments": {languageHost,
			"' n.MapNetworkDrive \"X:\"\nrem n.MapNetworkDrive \"X:\"\nx = 1 ' n.MapNetworkDrive", "", nil},
		"VBScript that runs": {languageHost,
			"Set s = CreateObject(\"WScript.Shell\")\ns.Run \"cmd /c subst X: \"\"C:\\My Data\"\"\", 0", "subst X:",
			[]string{"cmd", "subst"}},
		"VBScript that joins": {languageHost, "s.Run \"subst \" & letter & \" C:\\Data\"", "subst %?%", []string{"subst"}},
		"VBScript that keeps": {languageHost, "c = \"net use X: \\\\s\\x\"\ns.Run c", "net use X:", []string{"net"}},
		"JScript": {languageHost,
			"/* s.Run('subst X: C:') */\nvar s = new ActiveXObject('WScript.Shell');\ns.Run('D:\\\\Acme\\\\a.exe');", "",
			[]string{`D:\Acme\a.exe`}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newCommandReader()
			sh := shell{folder: `C:\S`, text: c.text}
			switch c.language {
			case languageBatch:
				r.batch(c.text, &sh, 0)
			case languagePowerShell:
				r.powerShell(c.text, &sh, 0)
			case languageHost:
				r.host(c.text, &sh, 0)
			case languageDiskpart:
				r.diskpart(c.text)
			}
			var got []string
			for _, u := range r.out.Uses {
				got = append(got, u.Path)
			}
			if made := strings.Join(r.out.Makes, ", "); made != c.makes {
				t.Errorf("makes %q, want %q", made, c.makes)
			}
			if diff := cmp.Diff(c.uses, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDoubts shows what is not understood, and so may do anything.
func TestDoubts(t *testing.T) {
	deep := strings.Repeat("cmd /c ", maxCommandDepth+1)
	for line, doubts := range map[string]bool{
		`powershell -enc !!!!`:             true,
		`powershell -enc QQA=`:             false,
		`powershell -enc QQ==`:             true, // half a character
		`powershell -enc "QQ A ="`:         false,
		`java @C:\args -jar C:\a.jar`:      true,
		deep + `subst X: C:\`:              true,
		strings.Repeat("cmd /c ", 3) + `x`: false,
		`wscript C:\a.vbs`:                 false,
		`mshta vbscript:#@~^AAAA==`:        true,
	} {
		r := newCommandReader()
		sh := shell{}
		r.line(line, &sh, 0)
		if (len(r.out.Doubts) > 0) != doubts {
			t.Errorf("%s: %q", line, r.out.Doubts)
		}
	}
}
