package linux

import (
	"errors"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/internal/fact"
)

// TestRemovedUnread makes sure that a finding names its paths, except where a volume is missing: that is one cause of
// many findings.
func TestRemovedUnread(t *testing.T) {
	torn := errors.New("user volume: torn")
	missing := fact.Missing(torn, &volumeError{"user", errors.New("torn")})
	row := func(path string, err error) removed {
		return removed{Path: path, State: "unreadable", Error: err.Error(), cause: err}
	}
	for want, rows := range map[string][]removed{
		"Cannot read /home. User volume: torn.": {row("/home", torn)},
		"User volume: torn.":                    {row("/home", missing), row("/home/a", missing)},
		"Cannot read /home, /x. The first error is: no such file.": {
			row("/home", errors.New("no such file")), row("/x", missing),
		},
	} {
		if got := judgeRemoved(rows).Message; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
