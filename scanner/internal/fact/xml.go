package fact

import (
	"encoding/xml"
	"errors"
	"fmt"
)

// Syntax returns the cause of an error of encoding/xml in plain words if the text ends early, and otherwise the error.
func Syntax(err error) error {
	// The decoder has this text and no other mark for it.
	if e := (*xml.SyntaxError)(nil); errors.As(err, &e) && e.Msg == "unexpected EOF" {
		return fmt.Errorf("the file ends early, in line %d", e.Line)
	}
	return err
}
