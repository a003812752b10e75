// Package prose says numbers and lists as a person reads them.
package prose

import (
	"fmt"
	"strings"
)

// Count says how many there are of something: "1 service", "2 services".
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// GiB says a size in bytes with one digit after the point, in MiB where it is
// less than a tenth of a GiB. It rounds towards zero, so that a size below a
// bound never reads as the bound.
func GiB(bytes int64) string {
	whole, tenths := bytes>>30, (bytes&(1<<30-1))*10>>30
	if bytes > 0 && whole == 0 && tenths == 0 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d.%d GiB", whole, tenths)
}

// Some joins the first few of a list, and says how many more there are.
func Some(list []string) string {
	const most = 5
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}
