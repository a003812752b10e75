package opening

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestReader(t *testing.T) {
	stop := errors.New("stop")
	ctx, end := context.WithCancelCause(t.Context())
	r := NewReader(ctx, strings.NewReader("content"))
	buf := make([]byte, 4)
	if n, err := r.ReadAt(buf, 3); n != 4 || err != nil {
		t.Fatalf("before the context ends: %d, %v", n, err)
	}
	end(stop)
	if _, err := r.ReadAt(buf, 0); !errors.Is(err, stop) {
		t.Errorf("a read after the context ended: %v", err)
	}
	if err := r.Done(); !errors.Is(err, stop) {
		t.Errorf("Done after the context ended: %v", err)
	}

	ctx, end = context.WithCancelCause(t.Context())
	r = NewReader(ctx, strings.NewReader("content"))
	if err := r.Done(); err != nil {
		t.Fatal(err)
	}
	end(stop)
	if n, err := r.ReadAt(buf, 3); n != 4 || err != nil || string(buf) != "tent" {
		t.Errorf("a read after Done: %d, %v, %q", n, err, buf)
	}
}
