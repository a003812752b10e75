package main

import (
	"errors"
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	words := []string{"scan", "demo", "diff", "inspect", "requirements", "remediate", "version"}
	for word, want := range map[string]string{
		"scna": "scan", "SCAN": "scan", "sacn": "scan", "demos": "demo", "dif": "diff", "inspct": "inspect",
		"requirement": "requirements", "req": "requirements", "rem": "remediate", "remidate": "remediate",
		"re": "", "x": "", "": "", "frobnicate": "", "scanning everything": "",
	} {
		if got := nearest(word, words); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
	if got := nearest("abc", []string{"abcd", "abcx"}); got != "abcd" {
		t.Errorf("of two that are equally near: %q", got)
	}
	if got := nearest("win.tls", []string{"win.tls.tls12", "win.tls.ssl3"}); got != "" {
		t.Errorf("the beginning of two: %q", got)
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"abc", "abc", 0}, {"abc", "acb", 1}, {"abc", "axc", 1},
		{"kitten", "sitting", 3},
	} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("%q, %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func TestExpandIDs(t *testing.T) {
	for name, want := range map[string]string{
		"win.tls.tls12": "win.tls.tls12",
		"tls.tls12":     "win.tls.tls12",
		"tls12":         "win.tls.tls12",
		"win.tls.*":     "win.tls.tls12 win.tls.ssl3",
		"tls.*":         "win.tls.tls12 win.tls.ssl3",
		"*.ssl3":        "win.tls.ssl3",
	} {
		got, err := expandIDs([]string{name}, nil, nil)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v; want %s", name, got, err, want)
		}
	}
	if got, err := expandIDs(nil, nil, nil); err != nil || len(got) != 0 {
		t.Errorf("nothing named: %q, %v", got, err)
	}
	if all, err := expandIDs([]string{"*"}, nil, nil); err != nil || len(all) < 50 {
		t.Errorf("all: %d, %v", len(all), err)
	}
	for name, hint := range map[string]string{
		"win.tls":       "did you mean 'win.tls.*'?",
		"win.tls.tls21": "did you mean 'win.tls.tls12'?",
		"tls.tsl12":     "did you mean 'tls.tls12'?",
		"nonsense":      "'coldcheck requirements' lists them",
		"":              "'coldcheck requirements' lists them",
		"win.xyz.[ts]*": "'coldcheck requirements' lists them",
		"enabled":       "name one of them, or all with '*.enabled'",
	} {
		_, err := expandIDs([]string{"win.tls.tls12", name}, nil, nil)
		var p problem
		if !errors.As(err, &p) || exitCode(err) != 64 || p.Hint() != hint {
			t.Errorf("%q: %v, hint %q, want %q", name, err, p.Hint(), hint)
		}
	}
}
