package kind

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

func TestNew(t *testing.T) {
	own, other := New("corrupt hive", Corrupt), New("corrupt hive", Corrupt)
	err := fmt.Errorf("SYSTEM: %w", own)
	if err.Error() != "SYSTEM: corrupt hive" {
		t.Errorf("the text is %q", err)
	}
	if !errors.Is(err, own) || !errors.Is(err, Corrupt) {
		t.Error("it is not of its kinds")
	}
	if errors.Is(err, other) || errors.Is(err, Unsupported) || errors.Is(Corrupt, own) {
		t.Error("it is of a kind that is not its own")
	}
}

func TestMark(t *testing.T) {
	err := &fs.PathError{Op: "read", Path: "disk.img", Err: syscall.EIO}
	marked := Mark(err, IO)
	if marked.Error() != err.Error() {
		t.Errorf("the text is %q", marked)
	}
	if !errors.Is(marked, IO) || !errors.Is(marked, syscall.EIO) || errors.Is(marked, Passing) {
		t.Error("it is of other kinds than IO and EIO")
	}
	if again := Mark(marked, IO); again != marked {
		t.Error("it is marked twice")
	}
	if Mark(nil, IO) != nil {
		t.Error("no error became one")
	}
}

func TestInput(t *testing.T) {
	for _, test := range []struct {
		err    error
		passes bool
	}{
		{syscall.EIO, false},
		{&fs.PathError{Op: "read", Path: "disk.img", Err: syscall.EIO}, false},
		{os.ErrClosed, false},
		{syscall.EINTR, true},
		{&fs.PathError{Op: "read", Path: "disk.img", Err: syscall.EAGAIN}, true},
		{os.ErrDeadlineExceeded, true},
		{context.DeadlineExceeded, true},
		{Passing, true},
		{IO, false},
	} {
		err := Input(fmt.Errorf("at 4096: %w", test.err))
		if !errors.Is(err, IO) || !errors.Is(err, test.err) {
			t.Errorf("%v is not input/output", test.err)
		}
		if passes := errors.Is(err, Passing); passes != test.passes {
			t.Errorf("%v may pass: %t", test.err, passes)
		}
	}
	if Input(nil) != nil {
		t.Error("no error became one")
	}
}
