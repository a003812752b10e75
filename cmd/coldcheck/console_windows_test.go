package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/windows"
)

// TestConsole: what is not a console gets no control sequences, and a console gets its mode
// back.
func TestConsole(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	if ansi, _ := openConsole(w); ansi {
		t.Error("a pipe is a console")
	}
	console, err := os.OpenFile("CONOUT$", os.O_RDWR, 0)
	if err != nil {
		t.Skip("needs a console: ", err)
	}
	defer console.Close()
	var before, during, after uint32
	h := windows.Handle(console.Fd())
	if err := windows.GetConsoleMode(h, &before); err != nil {
		t.Skip("needs a console: ", err)
	}
	if err := windows.SetConsoleMode(h, before&^windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING); err != nil {
		t.Fatal(err)
	}
	defer windows.SetConsoleMode(h, before)
	ansi, restore := openConsole(console)
	if err := windows.GetConsoleMode(h, &during); err != nil {
		t.Fatal(err)
	}
	if ansi != (during&windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING != 0) {
		t.Errorf("%t with mode %#x", ansi, during)
	}
	restore()
	if err := windows.GetConsoleMode(h, &after); err != nil {
		t.Fatal(err)
	}
	if after&windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING != 0 {
		t.Errorf("mode %#x is not restored", after)
	}
}

// TestClosedPipeOfWindows: a reader that goes away is not an error that is worth a message.
func TestClosedPipeOfWindows(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	if _, err = io.WriteString(w, "text"); !isClosedPipe(err) || !brokenPipe(outputError{err}) {
		t.Errorf("%v", err)
	}
	if isClosedPipe(errors.New("another")) || brokenPipe(err) {
		t.Error("any error is that of a pipe")
	}
}

// TestCtrlBreak: Ctrl+Break ends the program as Ctrl+C does, while it waits for input.
func TestCtrlBreak(t *testing.T) {
	t.Parallel()
	cmd := coldcheck(t, "fleet", "run", "-", "--results", "results")
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Once it has read more than a pipe holds, it handles signals.
	line := `{"id":"a","images":["b"]}` + "\n"
	if _, err := io.WriteString(stdin, strings.Repeat(line, 10_000)); err != nil {
		t.Fatal(err)
	}
	err = windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(cmd.Process.Pid))
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		t.Skip("needs a console: ", err)
	}
	if err := cmd.Wait(); code(t, err) != 130 || stderr.String() != "coldcheck: interrupted\n" {
		t.Errorf("%v: %s", err, &stderr)
	}
	stdin.Close()
}

func TestBusyHint(t *testing.T) {
	for err, hinted := range map[error]bool{
		windows.ERROR_SHARING_VIOLATION: true, &os.PathError{Err: windows.ERROR_LOCK_VIOLATION}: true,
		windows.ERROR_ACCESS_DENIED: false, windows.ERROR_FILE_NOT_FOUND: false,
	} {
		if is := busyHint(err) != ""; is != hinted {
			t.Errorf("%v: %t", err, is)
		}
	}
}
