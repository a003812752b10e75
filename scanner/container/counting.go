package container

import (
	"strconv"
	"strings"
)

// counting is a way to count parts at the ends of their names.
type counting struct {
	number int // of the part that is named
	// to is the end of the name of part n, n >= 0; "" if it has none.
	to func(n int) string
	// fromOne says that the first part may also have the number 1.
	fromOne bool
}

// at is the end of the name of part n; "" if it has none.
func (c counting) at(n int) string {
	if n < 0 {
		return ""
	}
	return c.to(n)
}

// The digits with which parts are counted.
const (
	decimal     = "0123456789"
	hexadecimal = "0123456789abcdef"
	letters     = "abcdefghijklmnopqrstuvwxyz"
)

// countings returns the ways to count in which a name may end so, the ones to prefer
// first: where there is a part .0a, the parts are not counted in decimal digits, and
// where there is a part .90, its name does not end as in widening.
func countings(end string) []counting {
	var list []counting
	add := func(number int, to func(n int) string, fromOne bool) {
		if number >= 0 && to(number) == end {
			list = append(list, counting{number, to, fromOne})
		}
	}
	if len(end) < 2 || len(end) > 6 {
		return nil
	}
	add(value(end, hexadecimal), func(n int) string { return fixed(n, len(end), hexadecimal) }, true)
	for width := len(end); width >= 2; width-- { // .1000 comes after .999
		add(value(end, decimal), func(n int) string { return fixed(n, max(width, len(strconv.Itoa(n))), decimal) }, true)
	}
	if len(end) <= 3 {
		add(value(end, letters), func(n int) string { return fixed(n, len(end), letters) }, false)
	}
	for _, digits := range []string{hexadecimal, decimal, letters} {
		add(unwidened(end, digits), func(n int) string { return widening(n, digits) }, false)
	}
	return list
}

// fixed writes a number with so many digits; "" if it needs more.
func fixed(n, width int, digits string) string {
	b := make([]byte, width)
	for i := width - 1; i >= 0; i-- {
		b[i] = digits[n%len(digits)]
		n /= len(digits)
	}
	if n != 0 {
		return ""
	}
	return string(b)
}

// value reads a number; -1 if it has another digit.
func value(s, digits string) int {
	n := 0
	for _, c := range []byte(s) {
		d := strings.IndexByte(digits, c)
		if d < 0 {
			return -1
		}
		n = n*len(digits) + d
	}
	return n
}

// widening writes a number as split does if nobody sets the length: from 00 to 89, on
// to 9000 and 9899, and on to 990000; so that the names sort in the order of the parts
// (GNU coreutils, split, option --suffix-length).
func widening(n int, digits string) string {
	last := digits[len(digits)-1:]
	for nines := 0; nines <= 2; nines++ {
		count := widenings(nines, digits)
		if n < count {
			return strings.Repeat(last, nines) + fixed(n, 2+nines, digits)
		}
		n -= count
	}
	return ""
}

// widenings is how many numbers begin with exactly so many of the last digit.
func widenings(nines int, digits string) int {
	count := len(digits) - 1
	for range nines + 1 {
		count *= len(digits)
	}
	return count
}

// unwidened reads what widening writes; -1 if it does not write that.
func unwidened(s, digits string) int {
	rest := strings.TrimLeft(s, digits[len(digits)-1:])
	nines := (len(s) - 2) / 2
	if len(s)-len(rest) < nines {
		return -1
	}
	n := value(s[nines:], digits)
	for before := range nines {
		n += widenings(before, digits)
	}
	return n
}
