package prose

import (
	"regexp"
	"runtime"
	"strings"
)

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:@%+,=][A-Za-z0-9_./:@%+,=-]*$`)

// Quote writes a name as the shell of the running system takes it: sh, or the command prompt and PowerShell on
// Windows.
func Quote(name string) string { return quote(name, runtime.GOOS == "windows") }

func quote(name string, windows bool) string {
	switch {
	case windows && plainWord.MatchString(strings.ReplaceAll(name, `\`, "/")):
		return name
	case windows:
		return `"` + name + `"` // names of files cannot contain a quotation mark there
	case plainWord.MatchString(name):
		return name
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
