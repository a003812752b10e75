package scanner

import (
	"testing"

	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// TestRemoteOptions: the caches of remote images have at most a quarter of the memory.
func TestRemoteOptions(t *testing.T) {
	for _, tt := range []struct {
		limit           int64
		images, parents int
		want            int64
	}{
		{0, 2, 0, 0}, {memory.Least, 1, 0, 32 << 20}, {memory.Least, 2, 0, 16 << 20}, {memory.Least, 2, 2, 8 << 20},
		{memory.Default, 2, 0, source.DefaultCacheBytes}, {memory.Default, 4, 0, 32 << 20},
	} {
		in := Input{MaxMemory: tt.limit, Parents: make([]Source, tt.parents)}
		vs := &volumes{budget: in.budget(), given: make([]Source, tt.images)}
		o := vs.remoteOptions(in)
		if o.CacheBytes != tt.want || (o.Reserve != nil) != (tt.limit > 0) {
			t.Errorf("%+v: %d bytes", tt, o.CacheBytes)
		}
		vs.budget.Close()
	}
}
