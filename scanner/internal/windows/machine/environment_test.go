package machine

import "testing"

func TestExpand(t *testing.T) {
	env := Environment{"A": "x", "SYSTEMROOT": `C:\Windows`, "SYSTEMDRIVE": "C:"}
	for in, want := range map[string]string{
		"": "", "%A%": "x", "%a%b": "xb", "100%": "100%", "%%": "%%", "%B%A%": "%Bx", "%B%": "%B%", "%A": "%A",
		"a%A%%A%": "axx",
	} {
		if got := env.Expand(in); got != want {
			t.Errorf("expand(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{
		`"D:\Program Files\a.exe" -x`:          `D:\Program Files\a.exe`,
		`D:\Program Files\a.exe -x C:\b.exe`:   `D:\Program Files\a.exe`,
		`\SystemRoot\System32\drivers\x.sys`:   `C:\Windows\System32\drivers\x.sys`,
		`system32\drivers\x.sys`:               `C:\Windows\system32\drivers\x.sys`,
		`\??\C:\x.sys`:                         `C:\x.sys`,
		`\DosDevices\D:\x.sys`:                 `D:\x.sys`,
		`\GLOBAL??\D:\x.sys`:                   `D:\x.sys`,
		`\??\UNC\server\share\x.sys`:           `\\server\share\x.sys`,
		`\\?\UNC\server\share\x.exe`:           `\\server\share\x.exe`,
		`//server/share/x.exe`:                 `\\server\share\x.exe`,
		`D:/App/app.exe`:                       `D:\App\app.exe`,
		`\Device\HarddiskVolume3\x.sys`:        `\Device\HarddiskVolume3\x.sys`,
		`MsiExec.exe /X{0}`:                    `C:\Windows\System32\MsiExec.exe`,
		`\\server\share\setup.exe /u`:          `\\server\share\setup.exe`,
		`\Tools\a.exe`:                         `C:\Tools\a.exe`,
		`%SystemRoot%\system32\svchost.exe -k`: `C:\Windows\system32\svchost.exe`,
		`D:\App\app.exe,0`:                     `D:\App\app.exe`,
		`D:\App`:                               `D:\App`,
		`D:\Program Files\Contoso\`:            `D:\Program Files\Contoso\`,
		`E:\my.exe.files\run.cmd`:              `E:\my.exe.files\run.cmd`,
	} {
		if got := env.Program(env.Expand(in)); got != want {
			t.Errorf("program(%q) = %q, want %q", in, got, want)
		}
	}
}
