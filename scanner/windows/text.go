package windows

import (
	"fmt"
	"strings"
)

// count says how many there are of something: "1 service", "2 services".
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// gib says a size as a person reads it, with one digit after the point. It
// rounds towards zero, so that a size below a bound never reads as the bound.
func gib(bytes int64) string {
	tenths := bytes * 10 >> 30
	if bytes > 0 && tenths == 0 {
		return fmt.Sprintf("%d MiB", bytes>>20)
	}
	return fmt.Sprintf("%d.%d GiB", tenths/10, tenths%10)
}

// some joins the first few of a list, and says how many more there are.
func some(list []string) string {
	const most = 5
	if len(list) <= most {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
}
