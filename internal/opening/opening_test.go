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

func TestAccount(t *testing.T) {
	full := errors.New("full")
	var taken int64
	a := Account{Ask: func(n int64) error {
		if taken+n > 100 {
			return full
		}
		taken += n
		return nil
	}}
	for _, test := range []struct {
		n    int64
		want error
		left int64
	}{{60, nil, 60}, {50, full, 60}, {-20, nil, 40}, {60, nil, 100}} {
		if err := a.Reserve(test.n); !errors.Is(err, test.want) || taken != test.left {
			t.Errorf("Reserve(%d): %v, %d taken; want %v, %d", test.n, err, taken, test.want, test.left)
		}
	}
	for range 2 { // the second time there is nothing left to give back
		if err := a.Close(); err != nil || taken != 0 {
			t.Errorf("Close: %v, %d taken", err, taken)
		}
	}
	var free Account
	if err := free.Reserve(1 << 60); err != nil || free.Close() != nil {
		t.Errorf("without Ask: %v", err)
	}
}
