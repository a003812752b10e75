package crosscheck

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"
)

// child is a running Worker.
type child struct {
	ctx    context.Context
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	first  []byte // written before the first question
	stderr *head
	lines  chan []byte   // its answers; closed at the end of its output
	gone   chan struct{} // closed when no more answers are needed
	tooBig bool          // an answer was longer than maxAnswer; valid once lines is closed
}

// farewell is how long a child may take to exit after a request to end,
// including the reading of its output.
const farewell = 2 * time.Second

func startChild(ctx context.Context, start Start) (*child, error) {
	c := &child{ctx: ctx, cmd: start(ctx), stderr: &head{}, lines: make(chan []byte), gone: make(chan struct{})}
	c.cmd.Stderr = c.stderr
	c.cmd.WaitDelay = farewell
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if c.cmd.Stdin != nil {
		if c.first, err = io.ReadAll(c.cmd.Stdin); err != nil {
			return nil, err
		}
		c.cmd.Stdin = nil
	}
	if c.stdin, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go c.read(stdout)
	return c, nil
}

// read passes the lines of the child's output on.
func (c *child) read(stdout io.Reader) {
	defer close(c.lines)
	s := bufio.NewScanner(stdout)
	s.Buffer(nil, maxAnswer)
	for s.Scan() {
		select {
		case c.lines <- bytes.Clone(s.Bytes()):
		case <-c.gone:
			return
		}
	}
	c.tooBig = errors.Is(s.Err(), bufio.ErrTooLong)
}

// ask writes a line and waits for one. The child reads a question only when it
// has answered the one before, so what it was sent never fills the pipe twice;
// one that does not read at all is met by the limit like one that does not
// answer.
func (c *child) ask(line []byte, limit time.Duration) ([]byte, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	line, c.first = slices.Concat(c.first, line), nil
	written := make(chan error, 1)
	go func() {
		_, err := c.stdin.Write(line)
		written <- err
	}()
	for {
		select {
		case err := <-written:
			if err != nil {
				return nil, c.ended()
			}
			written = nil // the answer comes next
		case answer, ok := <-c.lines:
			switch {
			case ok:
				return answer, nil
			case c.tooBig:
				return nil, errNoSense
			}
			return nil, c.ended()
		case <-timer.C:
			return nil, errNoAnswer
		case <-c.ctx.Done():
			return nil, errTimeIsUp
		}
	}
}

// ended is why a child exited unexpectedly.
func (c *child) ended() error {
	if c.ctx.Err() != nil {
		return errTimeIsUp
	}
	return errEnded
}

// errEnded is a placeholder: the child's own output or its exit code gives a
// better reason.
var errEnded = errors.New("its output ended")

// kill ends the child at once and says why it had to, or did: by its last
// words if it ended by itself.
func (c *child) kill(reason error) error {
	if reason != errEnded {
		c.cmd.Process.Kill()
	}
	err := c.wait()
	if reason != errEnded {
		return reason
	}
	if words := c.stderr.reason(); words != "" {
		return errors.New(words)
	}
	if err != nil {
		return err
	}
	return errEnded
}

// close ends the child's input: there are no more questions.
func (c *child) close() { c.wait() }

// wait closes the child's input, which ends it, and kills it if it does not.
func (c *child) wait() error {
	close(c.gone)
	c.stdin.Close()
	kill := time.AfterFunc(farewell, func() { c.cmd.Process.Kill() })
	defer kill.Stop()
	for range c.lines { // Wait wants the output to be read
	}
	return c.cmd.Wait()
}

// head keeps the beginning of what is written to it.
type head struct {
	mu   sync.Mutex
	text []byte
}

// maxHead is enough for the first lines of what Go's runtime writes when it
// gives up.
const maxHead = 4 << 10

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, p[:min(len(p), maxHead-len(h.text))]...)
	return len(p), nil
}

// reason is the line with which the program or Go's runtime gave up.
func (h *head) reason() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for line := range strings.Lines(string(h.text)) {
		line = strings.TrimSpace(line)
		for _, prefix := range []string{"coldcheck: ", "fatal error: ", "panic: "} {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				return fmt.Sprintf("%.200s", rest)
			}
		}
	}
	return ""
}
