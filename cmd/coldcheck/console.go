package main

import (
	"os"
	"sync"

	"golang.org/x/term"
)

// consoles are the terminals that the program writes to.
type consoles struct {
	stdout, stderr bool // a terminal that understands control sequences

	mu       sync.Mutex
	restores []func()
}

// open finds out what the terminals understand.
func (c *consoles) open(stdout, stderr *os.File) {
	c.stdout, c.stderr = c.understands(stdout), c.understands(stderr)
}

func (c *consoles) understands(f *os.File) bool {
	if !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return false
	}
	ansi, restore := openConsole(f)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.restores = append(c.restores, restore)
	return ansi
}

// close sets the terminals to what they were before.
func (c *consoles) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, restore := range c.restores {
		restore()
	}
	c.restores = nil
}
