package linux

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// What is larger than anything of its kind is an error, neither absent nor cut
// short.
func TestReadLimit(t *testing.T) {
	m := newMachine(t, "-- etc/long --\n"+strings.Repeat("x", 99)+"\n")
	for limit, want := range map[int64]error{101: nil, 100: nil, 99: errTooLarge, 0: errTooLarge} {
		data, f, err := m.tree.read("/etc/long", limit)
		if !errors.Is(err, want) || (err == nil) != (want == nil) || !f.Exists || err == nil && len(data) != 100 {
			t.Errorf("%d bytes at most: %d, %v", limit, len(data), err)
		}
	}
}

// Symbolic links are followed as far as the kernel does.
func TestLinkLimit(t *testing.T) {
	var links strings.Builder
	for i := range maxLinks + 1 {
		fmt.Fprintf(&links, "etc/link%d -> link%d\n", i, i+1)
	}
	m := newMachine(t, fmt.Sprintf("-- etc/link%d --\nthe end\n-- links --\n%s", maxLinks+1, &links))
	for i, whole := range map[int]bool{2: true, 1: true, 0: false} { // so many are left out at the beginning
		data, f, err := m.tree.read(fmt.Sprintf("/etc/link%d", i), 100)
		if whole && (err != nil || string(data) != "the end\n") {
			t.Errorf("%d links: %q, %v", maxLinks+1-i, data, err)
		} else if !whole && (err == nil || f.Exists) {
			t.Errorf("%d links: %q, %v", maxLinks+1-i, data, err)
		}
	}
}
