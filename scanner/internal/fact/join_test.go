package fact

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// unreadable is a new error of a path each time, as readers make them.
func unreadable(volume, name string, k error) error {
	return &ReadError{Volume: volume, Err: &fs.PathError{Op: "stat", Path: name,
		Err: fmt.Errorf("%w: record 279 is torn", k)}}
}

func TestJoinNamesCausesOnce(t *testing.T) {
	a, b := unreadable("root", "a", kind.Corrupt), unreadable("root", "b", kind.IO)
	noKind := &ReadError{"root", "a", errors.New("x")}
	for name, c := range map[string]struct {
		errs []error
		want int // lines
	}{
		"the same path":             {[]error{a, fmt.Errorf("startup: %w", unreadable("root", "a", kind.Corrupt))}, 1},
		"another operation":         {[]error{a, &ReadError{"root", "a", fmt.Errorf("read: %w", kind.Corrupt)}}, 1},
		"another path":              {[]error{a, unreadable("root", "b", kind.Corrupt)}, 2},
		"another volume":            {[]error{a, unreadable("user", "a", kind.Corrupt)}, 2},
		"another kind":              {[]error{a, unreadable("root", "a", kind.IO)}, 2},
		"no kind":                   {[]error{noKind, noKind}, 2},
		"no subject":                {[]error{errors.New("x"), errors.New("x")}, 2},
		"nothing but nil":           {[]error{nil, nil}, 0},
		"joined again":              {[]error{Join(a, unreadable("root", "b", kind.Corrupt)), a, nil}, 2},
		"several, one of them new":  {[]error{a, fmt.Errorf("b: %w", errors.Join(a, errors.New("a doubt")))}, 3},
		"several, all of them read": {[]error{a, b, errors.Join(b, a)}, 2},
		"a path and a sentinel":     {[]error{a, fmt.Errorf("%w: %w", ErrBound, a)}, 2},
	} {
		err := Join(c.errs...)
		if err == nil {
			if c.want != 0 {
				t.Errorf("%s: no error", name)
			}
			continue
		}
		if lines := len(strings.Split(err.Error(), "\n")); lines != c.want {
			t.Errorf("%s: %d lines, not %d: %v", name, lines, c.want, err)
		}
		for _, e := range c.errs {
			if e != nil && errors.Is(e, kind.Corrupt) && !errors.Is(err, kind.Corrupt) {
				t.Errorf("%s: a kind is lost", name)
			}
		}
	}
}

func TestJoinIsBounded(t *testing.T) {
	for _, n := range []int{MaxJoined - 1, MaxJoined, MaxJoined + 1, MaxJoined + 2} {
		var all error
		for i := range n {
			all = Join(all, unreadable("root", fmt.Sprint(i), kind.Corrupt))
		}
		all = Join(all, unreadable("root", "0", kind.Corrupt))
		kept := len(all.(*Joined).List)
		if kept != min(n, MaxJoined) || all.(*Joined).More != n-kept {
			t.Errorf("of %d errors %d are kept and %d counted", n, kept, all.(*Joined).More)
		}
		if counted := strings.Contains(all.Error(), "more error"); counted != (n > MaxJoined) {
			t.Errorf("%d errors: %v", n, all)
		}
	}
}

// Joining leaves the errors that it joins as they are, so that two may continue one.
func TestJoinCopies(t *testing.T) {
	of := func(name string) error { return unreadable("root", name, kind.Corrupt) }
	first := Join(of("0"), of("1"), of("2"))
	before := first.Error()
	b, c := Join(first, of("b")), Join(first, of("c"))
	for text, err := range map[string]error{before: first, before + "\n" + of("b").Error(): b,
		before + "\n" + of("c").Error(): c, before + "\n" + of("b").Error() + "\n" + of("c").Error(): Join(b, of("c"))} {
		if err.Error() != text {
			t.Errorf("%v, want %s", err, text)
		}
	}
}
