package windows

import (
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
)

// A release is a version of a driver or agent, and the day on which AWS
// released it.
type release struct {
	version machine.FileVersion
	day     time.Time
}

// A product is a driver or agent of AWS with the releases that are known.
type product struct {
	name      string
	releases  []release             // the newest first
	withdrawn []machine.FileVersion // releases that AWS took back
}

// releasesKnown is the day up to which the tables below are complete. A scan
// compares with the releases that were at least six months old at its own time,
// so that a later scan with these tables is only less strict.
const releasesKnown = "August 31, 2026"

// The releases are those of the pages on version history in the EC2 User Guide.
// Those that are older than any scan can miss are left out.
var (
	productPV = product{name: "AWS PV driver", releases: releases(
		"8.6.1 2026-07-21", "8.6.0 2025-05-27", "8.5.0 2024-10-31", "8.4.3 2023-01-24")}
	productENA = product{name: "ENA driver", releases: releases(
		"2.11.0 2025-08-01", "2.10.0 2025-06-24", "2.9.0 2024-12-12", "2.8.0 2024-09-30", "2.7.0 2024-05-01"),
		withdrawn: []machine.FileVersion{{2, 5}, {2, 2, 4}}}
	// The driver of package 1.5.1 has the version 1.5.0.
	productNVMe = product{name: "AWS NVMe driver", releases: releases(
		"1.8.2 2026-06-15", "1.8.1 2026-02-24", "1.8.0 2026-01-16", "1.7.0 2025-09-17", "1.6.0 2024-10-25",
		"1.5.0 2023-11-17")}
	productLaunchV2 = product{name: agentLaunchV2, releases: releases(
		"2.5.1 2026-06-03", "2.5.0 2026-05-04", "2.4.0 2026-03-05", "2.3.237 2026-02-25", "2.3.108 2025-12-29",
		"2.3.56 2025-11-04", "2.3.5 2025-09-15", "2.2.63 2025-07-29", "2.1.1 2025-05-14", "2.0.2107 2025-03-27",
		"2.0.2081 2025-02-04", "2.0.2046 2024-10-03")}
	productLaunch = product{name: agentLaunch, releases: releases(
		"1.4.299 2026-03-03", "1.4.183 2026-02-04", "1.4.6 2025-10-13", "1.3.2005119 2025-02-11",
		"1.3.2005065 2024-10-22", "1.3.2005008 2024-08-06")}
)

// releases reads a table of versions and days. A row that cannot be read is a
// mistake in the program.
func releases(rows ...string) []release {
	list := make([]release, len(rows))
	for i, row := range rows {
		version, day, _ := strings.Cut(row, " ")
		v, err := machine.ParseFileVersion(version)
		if err != nil {
			panic(err)
		}
		if list[i].day, err = time.Parse(time.DateOnly, day); err != nil {
			panic(err)
		}
		list[i].version = v
	}
	return list
}

// updateMonths is how old the version of a driver or agent may be: the guide
// asks for an update at least every six months.
const updateMonths = 6

// needed returns the version that a product must have at a time: the newest of
// those that were released at least six months before. known is false if no
// release is that old.
func (p product) needed(now time.Time) (v machine.FileVersion, known bool) {
	for _, r := range p.releases {
		if !now.Before(r.due()) {
			return r.version, true
		}
	}
	return machine.FileVersion{}, false
}

// due is when an installation without the release becomes outdated.
func (r release) due() time.Time { return r.day.AddDate(0, updateMonths, 0) }

// outdated returns when a version, which is recent enough at a time, no longer
// is; zero if no release is known that makes it so.
func (p product) outdated(v machine.FileVersion, now time.Time) (when time.Time) {
	for _, r := range p.releases {
		if now.Before(r.due()) && v.Compare(r.version) < 0 {
			when = r.due() // the last one is the oldest
		}
	}
	return when
}

// released returns the day on which AWS released a version, and whether it is known.
func (p product) released(v machine.FileVersion) (time.Time, bool) {
	for _, r := range p.releases {
		if r.version == v {
			return r.day, true
		}
	}
	return time.Time{}, false
}
