package machine

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The evidence for all services is the key that lists them, not the keys of
// single services.
func TestServicesKey(t *testing.T) {
	m := fixture(t, "ready")
	services, err := m.Services()
	if err != nil {
		t.Fatal(err)
	}
	parent, err := m.Key(KeyServices)
	if err != nil {
		t.Fatal(err)
	}
	want := parent.Evidence
	want.Note = "all subkeys were read"
	for _, s := range services {
		if diff := cmp.Diff(want, s.ServicesKey()); diff != "" {
			t.Fatalf("%s: (-want +got) %s", s.Name, diff)
		}
		if s.Key.Offset == nil || want.Offset == nil || *s.Key.Offset == *want.Offset {
			t.Fatalf("%s: the same offset as its list, or none", s.Name)
		}
	}
}

// A hive is not read once the context has ended.
func TestLoadContext(t *testing.T) {
	m := fixture(t, "ready")
	ended := errors.New("ended")
	ctx, cancel := context.WithCancelCause(context.Background())
	const file = "Windows/System32/config/SAM"
	hive, err := m.Within(ctx).load(m.volumes["C"], file)
	if err != nil {
		t.Fatal(err)
	}
	hive.Close()
	cancel(ended)
	if _, err := m.Within(ctx).load(m.volumes["C"], file); !errors.Is(err, ended) {
		t.Error(err)
	}
}
