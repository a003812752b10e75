//go:build linux

package main

import (
	"strings"
	"testing"
	"time"
)

// Volumes are the same in every build, and have the files that they say.
func TestShape(t *testing.T) {
	for name, places := range map[string][]place{"windows": windowsPlaces, "user": userPlaces, "linux": linuxPlaces} {
		shares := 0
		for _, p := range places {
			shares += p.share
		}
		if shares != 1000 {
			t.Errorf("%s: %d thousandths", name, shares)
		}
		var first, second []file
		for _, list := range []*[]file{&first, &second} {
			if err := tree(1, 1000, places, func(f file) error { *list = append(*list, f); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		paths := map[string]bool{}
		for i, f := range first {
			if f != second[i] {
				t.Fatalf("%s: %v, then %v", name, f, second[i])
			}
			paths[strings.ToLower(f.path)] = true
		}
		if len(paths) != 1000 {
			t.Errorf("%s: %d files", name, len(paths))
		}
	}
}

func TestAged(t *testing.T) {
	left := map[string]bool{}
	removed := 0
	err := aged(1, 1000, userPlaces, func(f file) error { left[f.path] = true; return nil }, func(path string) error {
		if !left[path] {
			t.Errorf("%s is not there", path)
		}
		delete(left, path)
		removed++
		return nil
	})
	if err != nil || len(left) != 1000 || removed != 250 {
		t.Errorf("%d left, %d removed, %v", len(left), removed, err)
	}
}

// What is measured is what the kernel counted for the process.
func TestUsage(t *testing.T) {
	p, err := start(t.Context(), []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=1M", "count=8"})
	if err != nil {
		t.Fatal(err)
	}
	u, err := p.wait()
	if err != nil {
		t.Fatal(err)
	}
	if u.read < 8<<20 || u.read > 9<<20 || u.reads < 8 || u.peak < 1<<20 || u.wall <= 0 {
		t.Errorf("%+v", u)
	}
	if p, err = start(t.Context(), []string{"sh", "-c", "echo gone wrong >&2; exit 3"}); err != nil {
		t.Fatal(err)
	}
	if _, err = p.wait(1); err == nil || !strings.Contains(err.Error(), "gone wrong") {
		t.Error(err)
	}
}

func TestMarkdown(t *testing.T) {
	of := func(walls ...int) (runs []usage) {
		for _, w := range walls {
			runs = append(runs, usage{wall: time.Duration(w) * time.Millisecond, cpu: time.Millisecond, peak: int64(w) << 20,
				read: 2e6, reads: 3})
		}
		return runs
	}
	table := table{title: "A title",
		rows: []row{{name: "ours", runs: of(30, 10, 20)}, {name: "slow", runs: of(500)},
			{name: "none", why: "not installed"}}}
	want := `### A title

| | wall | CPU | peak memory | read | reads | × wall of the first |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| ours | 0.020 s | 0.001 s | 30 MiB | 2.0 MB | 3 | 1.00 |
| slow | 0.500 s | 0.001 s | 500 MiB | 2.0 MB | 3 | 25.00 |
| none | not installed | | | | | |
`
	if got := table.markdown(); got != want {
		t.Errorf("%s", got)
	}
}
