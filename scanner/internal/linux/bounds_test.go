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

// Symbolic links are followed up to the kernel's limit.
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

// Chains that call each other many times over are evaluated once each, to a
// depth that real rules do not exceed. Deeper chains are undecided.
func TestChainLimits(t *testing.T) {
	rules := func(depth, calls int) string {
		var b strings.Builder
		b.WriteString("*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j c1\n")
		for i := 1; i < depth; i++ {
			fmt.Fprintf(&b, ":c%d - [0:0]\n", i)
			for range calls {
				fmt.Fprintf(&b, "-A c%d -j c%d\n", i, i+1)
			}
		}
		fmt.Fprintf(&b, ":c%d - [0:0]\n-A c%d -j DROP\nCOMMIT\n", depth, depth)
		return b.String()
	}
	for depth, want := range map[int]outcome{maxJumps - 2: outDrop, maxJumps - 1: outDrop,
		maxJumps: outDoubt | outAccept} {
		for _, calls := range []int{1, 50} {
			s := parseIPTables(rules(depth, calls))
			for _, p := range knownPorts {
				got := s.outcome(packet{port: p, Interface: "eth0"})
				if got != want && (want == outDrop || got&outDoubt == 0) {
					t.Errorf("%d chains deep, %d calls: %s: %b, want %b", depth, calls, p, got, want)
				}
			}
		}
	}
	// The same chain from two places: what it does not decide the second time is
	// left to what follows.
	s := parseIPTables("*filter\n:INPUT ACCEPT [0:0]\n:a - [0:0]\n:b - [0:0]\n-A INPUT -j a\n-A INPUT -j b\n-A a -j b\n" +
		"-A a -j RETURN\n-A INPUT -j DROP\nCOMMIT\n")
	if got := s.outcome(packet{port: alwaysPorts[0], Interface: "eth0"}); got != outDrop {
		t.Errorf("%b", got)
	}
}
