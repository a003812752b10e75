package scanner

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What is reported is repeated at each tick with what was read since, and never
// after the end.
func TestProgress(t *testing.T) {
	content := make([]byte, 1<<20)
	copy(content[3:], "NTFS    ") // enough for an image
	content[510], content[511] = 0x55, 0xaa
	image, err := openImage(t.Context(), Reader("a.img", bytes.NewReader(content), int64(len(content))))
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	reported, ticks := make(chan Progress, 10), make(chan time.Time)
	p, end := newProgress(func(p Progress) { reported <- p }, func(context.Context) <-chan time.Time { return ticks })
	p.count([]*Image{image})
	opened, _ := counters([]*Image{image})
	p.show(Progress{Step: "a step", Unit: UnitRequirements, Done: 1, Total: 3})
	want := Progress{Step: "a step", Unit: UnitRequirements, Done: 1, Total: 3, Read: opened}
	if d := cmp.Diff(want, <-reported); d != "" {
		t.Error(d)
	}
	if _, err := image.ReadAt(make([]byte, 4096), 500000); err != nil {
		t.Fatal(err)
	}
	ticks <- time.Time{}
	want.Read += 4096
	if d := cmp.Diff(want, <-reported); d != "" {
		t.Error(d)
	}
	end()
	select {
	case ticks <- time.Time{}:
		t.Error("a tick after the end was taken")
	case p := <-reported:
		t.Errorf("after the end: %+v", p)
	default:
	}
}

// A tick before the first step repeats nothing.
func TestProgressBefore(t *testing.T) {
	reported, ticks := make(chan Progress, 1), make(chan time.Time)
	_, end := newProgress(func(p Progress) { reported <- p }, func(context.Context) <-chan time.Time { return ticks })
	ticks <- time.Time{}
	end()
	select {
	case p := <-reported:
		t.Errorf("before the first step: %+v", p)
	default:
	}
}

// The records of volumes that are indexed at the same time are added up, and
// numbers that come late are left out.
func TestProgressOfVolumes(t *testing.T) {
	var last Progress
	p, end := newProgress(func(p Progress) { last = p }, everyInterval)
	defer end()
	first, second := p.volume(1), p.volume(2)
	for _, step := range []struct {
		volume            func(done, total int64)
		done, total       int64
		wantDone, wantAll int64
	}{
		{first, 10, 100, 10, 100}, {second, 5, 50, 15, 150}, {first, 30, 100, 35, 150}, {first, 20, 100, 35, 150},
		{second, 50, 50, 80, 150},
	} {
		step.volume(step.done, step.total)
		want := Progress{Step: "indexing files", Unit: UnitRecords, Done: step.wantDone, Total: step.wantAll}
		if d := cmp.Diff(want, last); d != "" {
			t.Error(d)
		}
	}
}

// Nobody wants to know.
func TestNoProgress(t *testing.T) {
	p, end := newProgress(nil, everyInterval)
	p.count(nil)
	p.show(Progress{Step: "a step"})
	if p != nil || p.volume(1) != nil {
		t.Error("there is a progress")
	}
	end()
}
