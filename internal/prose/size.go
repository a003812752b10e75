package prose

import "fmt"

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// Size writes a number of bytes in the unit that fits: GiB with one digit after
// the point, MiB, or bytes. It rounds towards zero, so that a size below a bound
// never reads as the bound.
func Size(bytes int64) string {
	switch {
	case bytes >= gib:
		return tenths(bytes)
	case bytes >= mib:
		return fmt.Sprintf("%d MiB", bytes/mib)
	}
	return fmt.Sprintf("%d bytes", bytes)
}

// GiB is Size for values that are usually large: it writes GiB from 0.1 GiB on
// and for zero, and MiB otherwise.
func GiB(bytes int64) string {
	switch {
	case bytes > 0 && bytes < mib:
		return "under 1 MiB"
	case bytes > 0 && bytes < gib && bytes*10 < gib:
		return fmt.Sprintf("%d MiB", bytes/mib)
	}
	return tenths(bytes)
}

func tenths(bytes int64) string {
	return fmt.Sprintf("%d.%d GiB", bytes/gib, bytes%gib*10/gib)
}

// Exact writes a number of bytes, and from 1 KiB on what it is Rounded. It is for
// sizes of which a byte more or less matters.
func Exact(bytes int64) string {
	if bytes < kib {
		return Count(int(bytes), "byte", "bytes")
	}
	return fmt.Sprintf("%d bytes (%s)", bytes, Rounded(bytes))
}

// Rounded writes a number of bytes with one digit after the point in KiB, MiB or
// GiB, to the nearest.
func Rounded(bytes int64) string {
	switch {
	case bytes >= gib:
		return fmt.Sprintf("%.1f GiB", float64(bytes)/gib)
	case bytes >= mib:
		return fmt.Sprintf("%.1f MiB", float64(bytes)/mib)
	}
	return fmt.Sprintf("%.1f KiB", float64(bytes)/kib)
}
