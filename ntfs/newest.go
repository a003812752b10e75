package ntfs

import "time"

// Newest returns the latest time of change of any record in use that is not
// after the given one, zero if there is none. Windows writes the time of
// change by itself; programs set the others. It takes the index in memory and
// reads nothing.
func (f *FS) Newest(until time.Time) time.Time {
	var newest time.Time
	for _, c := range f.index.chunks {
		if c == nil {
			continue
		}
		for i := range c.nodes {
			if n := &c.nodes[i]; n.changed != 0 {
				if t := filetime(n.changed); t.After(newest) && !t.After(until) {
					newest = t
				}
			}
		}
	}
	return newest
}
