package ntfs

import (
	"bytes"
	"fmt"
)

// LogState is the state of $LogFile, the journal of the metadata.
type LogState string

// States of $LogFile.
const (
	LogClean    LogState = "clean"     // the volume was dismounted
	LogNotClean LogState = "not clean" // it was not: some changes may only be in the journal, which this package does not replay
	LogEmpty    LogState = "empty"     // all 0xFF, as it is after formatting and after a repair
	LogCorrupt  LogState = "corrupt"   // it has no valid restart page
)

const (
	// Restart pages are as large as a page of the system that wrote them.
	minLogPage = 512
	maxLogPage = 64 << 10

	logHead = 2 * maxLogPage // holds both restart pages

	logNoClient = 0xFFFF
	logIsClean  = 0x0002
)

// logState reads the restart pages.
func (f *FS) logState() (LogState, error) {
	head, err := func() ([]byte, error) {
		ino, err := f.load(recordLogFile)
		if err != nil {
			return nil, err
		}
		s, err := ino.need(f.disk, typeData, "")
		if err != nil {
			return nil, err
		}
		head := make([]byte, min(s.size, logHead))
		return head, s.readAt(head, 0)
	}()
	if err != nil {
		if !recoverable(err) {
			return "", err
		}
		f.note("$LogFile: %v", err)
		return LogCorrupt, nil
	}
	return parseLog(head), nil
}

func parseLog(head []byte) LogState {
	if len(head) > 0 && bytes.Count(head, []byte{0xFF}) == len(head) {
		return LogEmpty
	}
	// The second page lies at one of the sizes that a page may have; the
	// newer of the two counts.
	state, newest := LogCorrupt, int64(-1)
	for _, at := range restartPages {
		if at >= len(head) {
			break
		}
		clean, lsn, err := parseRestart(head[at:], at)
		if err == nil && lsn > newest {
			newest = lsn
			if state = LogNotClean; clean {
				state = LogClean
			}
		}
	}
	return state
}

var restartPages = []int{0, 512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10}

// parseRestart decodes a restart page,
//
//	 0  4  "RSTR"; "CHKD" after a check of the volume
//	 4  2  offset of the update sequence array, 6  2  its length in words
//	16  4  size of this page
//	20  4  size of the log's other pages
//	24  2  offset of the restart area
//
// and its restart area:
//
//	 0  8  newest LSN
//	12  2  first client in use, 0xFFFF if there is none
//	14  2  flags
//
// libfsntfs, Log File service restart page header; Linux, fs/ntfs/logfile.h.
func parseRestart(page []byte, at int) (clean bool, lsn int64, err error) {
	if len(page) < minLogPage || string(page[:4]) != "RSTR" && string(page[:4]) != "CHKD" {
		return false, 0, corrupt("no restart page")
	}
	size := int(le.Uint32(page[16:]))
	if !powerOfTwo(size, minLogPage, maxLogPage) || size > len(page) || (at != 0 && at != size) {
		return false, 0, corrupt("restart page of %d bytes", size)
	}
	page = bytes.Clone(page[:size])
	if why := fixup(page); why != readable {
		return false, 0, fmt.Errorf("restart page %w", why)
	}
	area := int(le.Uint16(page[24:]))
	if area < 30 || area+48 > size {
		return false, 0, corrupt("restart area at byte %d", area)
	}
	a := page[area:]
	lsn = int64(le.Uint64(a))
	if lsn < 0 {
		return false, 0, corrupt("LSN %d", lsn)
	}
	return le.Uint16(a[12:]) == logNoClient || le.Uint16(a[14:])&logIsClean != 0, lsn, nil
}
