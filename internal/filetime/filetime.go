// Package filetime converts FILETIMEs, in which Windows counts units of 100 ns
// since 1601-01-01 UTC ([MS-DTYP] 2.3.3).
package filetime

import "time"

const (
	second = 10_000_000
	epoch  = 11_644_473_600 // seconds from 1601 to 1970
	end    = 2_650_467_744_000_000_000
)

// Time returns the time of a FILETIME in UTC. Zero, which means no time, and
// times after the year 9999, which time.Time cannot marshal, give the zero Time.
func Time(ft uint64) time.Time {
	if ft == 0 || ft >= end {
		return time.Time{}
	}
	return Exact(ft)
}

// Exact returns the time of any FILETIME in UTC: that of zero is the beginning of
// 1601.
func Exact(ft uint64) time.Time {
	return time.Unix(int64(ft/second)-epoch, int64(ft%second)*100).UTC()
}

// Of returns the FILETIME of a time from 1601 on, rounded down.
func Of(t time.Time) uint64 {
	return uint64(t.Unix()+epoch)*second + uint64(t.Nanosecond()/100)
}
