package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
)

// On a terminal there is color, the terminal's width is used, and progress is
// one line that is gone when the report comes.
func TestTerminal(t *testing.T) {
	wide := onTerminal(t, 160, nil, "demo")
	if !strings.Contains(wide, "\x1b[1;31mFAILED") {
		t.Error("no color")
	}
	if n := longestLine(wide); n <= 80 || n > 160 {
		t.Errorf("the longest line has %d columns of 160", n)
	}
	progress := regexp.MustCompile(`\A((\r\x1b\[K[^\r\n\x1b]+)+\r\x1b\[K)?Windows Server`)
	if !progress.MatchString(wide) {
		t.Errorf("the report does not begin where a line of progress was: %.200q", wide)
	}
	if n := longestLine(onTerminal(t, 80, nil, "demo")); n > 80 {
		t.Errorf("the longest line has %d columns of 80", n)
	}
}

// What takes longer than a second shows how far it is, how fast, and how long it
// still takes. --no-progress shows nothing.
func TestTerminalProgress(t *testing.T) {
	image := filepath.Join(t.TempDir(), "root.img")
	if err := writeImage(testcases.Find(t, "ready"), "root", image); err != nil {
		t.Fatal(err)
	}
	const pattern = `\r\x1b\[K\[[#.]{20}\] +\d+%  hashing \S+: \S+ [KMG]iB of 80.0 GiB, \S+ [KMG]iB/s, \S+ left`
	line := regexp.MustCompile(pattern)
	text := ""
	code := watchTerminal(t, 200, nil, func(cmd *exec.Cmd, more string) {
		if text += more; line.MatchString(text) {
			cmd.Process.Signal(os.Interrupt)
		}
	}, "scan", "--hash", image)
	if !line.MatchString(text) || code != 130 {
		t.Errorf("%d: %.500q", code, text)
	}
	if text := onTerminal(t, 80, nil, "demo", "--no-progress"); strings.Contains(text, "\r\x1b[K") {
		t.Errorf("%.200q", text)
	}
}

// NO_COLOR and a terminal that cannot show it leave color out.
func TestTerminalWithoutColor(t *testing.T) {
	if text := onTerminal(t, 80, []string{"NO_COLOR=1"}, "demo"); strings.Contains(text, "\x1b[1;31m") {
		t.Error("color, although NO_COLOR is set")
	}
	if text := onTerminal(t, 80, []string{"TERM=dumb"}, "demo"); strings.Contains(text, "\x1b") {
		t.Error("escape sequences on a dumb terminal")
	}
}

func longestLine(text string) int {
	longest := 0
	for _, line := range regexp.MustCompile(`[\r\n]`).Split(regexp.MustCompile(`\x1b\[[0-9;]*[mK]`).ReplaceAllString(text,
		""), -1) {
		longest = max(longest, len([]rune(line)))
	}
	return longest
}

// onTerminal runs the command with standard output and standard error on a
// terminal of that width and returns what it wrote there.
func onTerminal(t *testing.T, columns uint16, env []string, args ...string) string {
	t.Helper()
	var b strings.Builder
	watchTerminal(t, columns, env, func(_ *exec.Cmd, more string) { b.WriteString(more) }, args...)
	return strings.ReplaceAll(b.String(), "\r\n", "\n")
}

// watchTerminal does the same, calls look with each piece that is written, and
// returns the exit code.
func watchTerminal(
	t *testing.T, columns uint16, env []string, look func(cmd *exec.Cmd, more string), args ...string,
) int {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer master.Close()
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skip(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skip(err)
	}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	terminal, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	cmd := coldcheck(t, args...)
	cmd.Env = append(os.Environ(), append([]string{"TERM=xterm", "NO_COLOR="}, env...)...)
	cmd.Stdout, cmd.Stderr = terminal, terminal
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	buffer := make([]byte, 4096)
	for {
		n, err := master.Read(buffer)
		look(cmd, string(buffer[:n]))
		if err != nil { // EIO: the terminal is closed on the other side
			return code(t, cmd.Wait())
		}
	}
}
