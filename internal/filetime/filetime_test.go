package filetime

import (
	"testing"
	"time"
)

func TestTime(t *testing.T) {
	for _, c := range []struct {
		ft          uint64
		time, exact string
	}{
		{0, "0001-01-01T00:00:00Z", "1601-01-01T00:00:00Z"},
		{1, "1601-01-01T00:00:00.0000001Z", "1601-01-01T00:00:00.0000001Z"},
		{116_444_736_000_000_000, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
		{132_223_104_001_234_567, "2020-01-01T00:00:00.1234567Z", "2020-01-01T00:00:00.1234567Z"},
		{2_650_467_743_999_999_999, "9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.9999999Z"},
		{2_650_467_744_000_000_000, "0001-01-01T00:00:00Z", "10000-01-01T00:00:00Z"},
		{1<<64 - 1, "0001-01-01T00:00:00Z", "60056-05-28T05:36:10.9551615Z"},
	} {
		if got := Time(c.ft).Format(time.RFC3339Nano); got != c.time {
			t.Errorf("Time(%d) = %s, want %s", c.ft, got, c.time)
		}
		if got := Exact(c.ft).Format(time.RFC3339Nano); got != c.exact {
			t.Errorf("Exact(%d) = %s, want %s", c.ft, got, c.exact)
		}
		if _, err := Time(c.ft).MarshalJSON(); err != nil {
			t.Error(err)
		}
		if got := Of(Exact(c.ft)); got != c.ft {
			t.Errorf("Of(%s) = %d, want %d", c.exact, got, c.ft)
		}
	}
}
