// Package requirementtest tests outcomes.
package requirementtest

import (
	"reflect"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Until tests that a judgement comes to the same outcome at every time from now to the
// Until of its outcome.
func Until(t *testing.T, now time.Time, judge func(now time.Time) requirement.Outcome) {
	t.Helper()
	o := judge(now)
	last := o.Until
	if last.IsZero() {
		last = now.AddDate(100, 0, 0)
	}
	if last.Before(now) {
		t.Fatalf("it holds until %v, before %v", last, now)
	}
	for _, at := range []time.Time{now.Add(last.Sub(now) / 2), last.Add(-1), last} {
		if at.Before(now) {
			continue
		}
		if later := judge(at); !reflect.DeepEqual(o, later) {
			t.Errorf("at %v it is %s (%s), and holds until %v: at %v it is %s (%s), and holds until %v", now, o.Status,
				o.Message, o.Until, at, later.Status, later.Message, later.Until)
		}
	}
}
