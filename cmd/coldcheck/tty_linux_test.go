package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// On a terminal there is colour, the terminal's width is used, and progress is
// one line that is gone when the report comes.
func TestTerminal(t *testing.T) {
	wide := onTerminal(t, 160, nil, "demo")
	if !strings.Contains(wide, "\x1b[1;31mFAILED") {
		t.Error("no colour")
	}
	if n := longestLine(wide); n <= 80 || n > 160 {
		t.Errorf("the longest line has %d columns of 160", n)
	}
	progress := regexp.MustCompile(`\A(\r\x1b\[K[^\r\n\x1b]+)+\r\x1b\[KWindows Server`)
	if !progress.MatchString(wide) {
		t.Errorf("the report does not begin where a line of progress was: %.200q", wide)
	}
	if n := longestLine(onTerminal(t, 80, nil, "demo")); n > 80 {
		t.Errorf("the longest line has %d columns of 80", n)
	}
}

// NO_COLOR and a terminal that cannot show it leave colour out.
func TestTerminalWithoutColour(t *testing.T) {
	if text := onTerminal(t, 80, []string{"NO_COLOR=1"}, "demo"); strings.Contains(text, "\x1b[1;31m") {
		t.Error("colour, although NO_COLOR is set")
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
	text := make(chan string)
	go func() {
		var b strings.Builder
		buffer := make([]byte, 4096)
		for {
			n, err := master.Read(buffer)
			b.Write(buffer[:n])
			if err != nil { // EIO: the terminal is closed on the other side
				text <- b.String()
				return
			}
		}
	}()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	terminal.Close()
	if err := cmd.Wait(); err != nil {
		code(t, err)
	}
	return strings.ReplaceAll(<-text, "\r\n", "\n") // until the terminal is closed
}
