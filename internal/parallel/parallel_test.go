package parallel

import (
	"strings"
	"sync/atomic"
	"testing"
)

func TestWait(t *testing.T) {
	var g Group
	var n atomic.Int32
	for range 10 {
		g.Go(func() { n.Add(1) })
	}
	g.Wait()
	if n.Load() != 10 {
		t.Errorf("%d functions ran", n.Load())
	}
}

// A panic comes out of Wait, through groups in groups, with the place where it
// began, when all others have ended.
func TestPanic(t *testing.T) {
	var ended atomic.Int32
	defer func() {
		p, ok := recover().(*Panic)
		if !ok || p.String() != "defect" || !strings.Contains(string(p.Stack), "parallel.defect(") {
			t.Errorf("%v, %s", p, p.Stack)
		}
		if ended.Load() != 5 {
			t.Errorf("%d others ended", ended.Load())
		}
	}()
	var outer Group
	outer.Go(func() {
		var inner Group
		for range 5 {
			inner.Go(func() { ended.Add(1) })
		}
		inner.Go(defect)
		inner.Wait()
	})
	outer.Wait()
	t.Error("no panic")
}

func defect() { panic("defect") }
