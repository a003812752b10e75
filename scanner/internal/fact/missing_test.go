package fact

import (
	"errors"
	"fmt"
	"testing"
)

func TestMissing(t *testing.T) {
	broken := errors.New("broken")
	missing := Missing(broken, fmt.Errorf("user volume: %w", broken))
	other := NoUserVolume("either of %d may be the user volume", 2)
	for _, c := range []struct {
		err  error
		want string
	}{
		{Because("cannot read it", broken), "cannot read it: broken"},
		{Because("cannot read it", nil), "<nil>"},
		{Because("cannot read it", ErrNoUserVolume), "the user volume was not given. Add its image"},
		{Because("cannot read it", missing), "user volume: broken"},
		{Because("cannot read it", fmt.Errorf("x: %w", other)), "x: either of 2 may be the user volume"},
		{Missing(other, broken), "either of 2 may be the user volume"},
		{Missing(missing, broken), "user volume: broken"},
	} {
		if got := fmt.Sprint(c.err); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if !errors.Is(missing, broken) || errors.Is(other, ErrNoUserVolume) {
		t.Error("the reason of a missing volume is lost, or another's")
	}
}
