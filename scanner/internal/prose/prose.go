// Package prose says numbers and lists as a person reads them.
package prose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
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

// Some joins the first few of a list, shortened where they are long, and says how
// many more there are.
func Some(list []string) string {
	const most, longest = 5, 400
	some := slices.Clone(list[:min(len(list), most)])
	for i := range some {
		some[i] = requirement.Shorten(some[i], longest)
	}
	if len(list) <= most {
		return strings.Join(some, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(some, ", "), len(list)-most)
}
