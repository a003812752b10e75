// Package prose writes numbers, sizes and lists as a person reads them.
package prose

import (
	"fmt"
	"strings"
)

// Count says how many there are of something: "1 service", "2 services".
func Count[N int | int64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// List joins the first items of a list, and says how many more there are: "a, b
// and 3 more".
func List(items []string, most int) string {
	if len(items) <= most {
		return strings.Join(items, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(items[:most], ", "), len(items)-most)
}

// Some is List for a message: five items, of which none is long.
func Some(items []string) string {
	const most, longest = 5, 400
	some := append([]string(nil), items...)
	for i := range some[:min(len(some), most)] {
		some[i], _ = Shorten(some[i], longest)
	}
	return List(some, most)
}
