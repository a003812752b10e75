package ntfs

import (
	"bytes"
	"fmt"

	"github.com/coldcheck/coldcheck/internal/fslog"
)

// JournalState is the result of replaying $LogFile, the journal of the
// metadata. It is the same type in every filesystem of this module.
type JournalState = fslog.State

// States of $LogFile.
const (
	JournalClean    JournalState = fslog.Clean    // the volume was dismounted
	JournalEmpty    JournalState = fslog.Empty    // all 0xFF, as it is after formatting and after a repair
	JournalReplayed JournalState = fslog.Replayed // its changes are applied
	JournalFailed   JournalState = fslog.Failed   // it holds changes that cannot be applied: the last may be missing
	JournalCorrupt  JournalState = fslog.Corrupt  // it has no valid restart page
)

// Journal describes what was in $LogFile.
type Journal struct {
	State        JournalState
	Err          error // why it cannot be applied; nil if it was, or there was nothing to apply
	Records      int64 // of the log, that were read
	Transactions int   // that were finished
	Undone       int   // transactions that were not finished
	Blocks       int   // records of $MFT, index blocks and pieces of bitmaps that differ from the disk
	Unsure       int   // of these, such as cannot be read since a change could not be applied
}

const (
	// Restart pages are as large as a page of the system that wrote them.
	minLogPage = 512
	maxLogPage = 64 << 10

	logHead = 2 * maxLogPage // holds both restart pages

	clientSize  = 160 // bytes of a client, with its name
	logNoClient = 0xFFFF
	logIsClean  = 0x0002
)

// openLog reads the restart pages, and where the volume was in use applies the
// log.
func (f *FS) openLog() error {
	var s *stream
	head, err := func() ([]byte, error) {
		ino, err := f.load(recordLogFile)
		if err != nil {
			return nil, err
		}
		if s, err = ino.need(f.disk, typeData, ""); err != nil {
			return nil, err
		}
		head := make([]byte, min(s.size, logHead))
		return head, s.readAt(head, 0)
	}()
	if err != nil {
		if !recoverable(err) {
			return fmt.Errorf("$LogFile: %w", err)
		}
		f.note("$LogFile: %v", err)
		f.journal = Journal{State: JournalCorrupt, Err: err}
		return nil
	}
	state, area := parseLog(head)
	f.journal.State = state
	switch state {
	case JournalCorrupt:
		f.journal.Err = corrupt("no valid restart page")
	case JournalFailed:
		if f.journal, err = f.replayLog(area, s); err != nil {
			return fmt.Errorf("$LogFile: %w", err)
		}
		if f.journal.Blocks > 0 {
			return f.openMFT() // $MFT itself may have grown
		}
	}
	return nil
}

// parseLog decodes the restart pages. A log that is to be applied is
// JournalFailed until it was.
func parseLog(head []byte) (JournalState, restartArea) {
	if len(head) > 0 && bytes.Count(head, []byte{0xFF}) == len(head) {
		return JournalEmpty, restartArea{}
	}
	// The second page is at an offset equal to one of the possible page sizes; the
	// newer of the two counts.
	state, newest := JournalCorrupt, restartArea{}
	for _, at := range restartPages {
		if at >= len(head) {
			break
		}
		area, err := parseRestart(head[at:], at)
		if err == nil && (state == JournalCorrupt || area.lsn > newest.lsn) {
			newest = area
			if state = JournalFailed; area.clean {
				state = JournalClean
			}
		}
	}
	return state, newest
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
// and at byte 26 and 28 the version of the log; after it come a restart area and
// its clients, see restartArea.
//
// libfsntfs, Log File service restart page header; flatcap's NTFS documentation,
// File - $LogFile.
func parseRestart(page []byte, at int) (area restartArea, err error) {
	if len(page) < minLogPage || string(page[:4]) != "RSTR" && string(page[:4]) != "CHKD" {
		return restartArea{}, corrupt("no restart page")
	}
	size := int(le.Uint32(page[16:]))
	if !powerOfTwo(size, minLogPage, maxLogPage) || size > len(page) || (at != 0 && at != size) {
		return restartArea{}, corrupt("restart page of %d bytes", size)
	}
	page = bytes.Clone(page[:size])
	if why := fixup(page); why != readable {
		return restartArea{}, fmt.Errorf("restart page %w", why)
	}
	begin := int(le.Uint16(page[24:]))
	if begin < 30 || begin+48 > size {
		return restartArea{}, corrupt("restart area at byte %d", begin)
	}
	a := page[begin:]
	if le.Uint64(a) >= 1<<63 {
		return restartArea{}, corrupt("LSN %d", le.Uint64(a))
	}
	client := int(le.Uint16(a[12:]))
	area = restartArea{
		clean:        client == logNoClient || le.Uint16(a[14:])&logIsClean != 0,
		lsn:          le.Uint64(a),
		major:        int16(le.Uint16(page[28:])),
		pageSize:     int64(le.Uint32(page[20:])),
		sequenceBits: uint(le.Uint32(a[16:])),
		size:         int64(le.Uint64(a[24:])),
		dataOffset:   int64(le.Uint16(a[38:])),
	}
	if client == logNoClient {
		client = 0
	}
	// A log whose clients cannot be read is one that cannot be applied.
	at = int(le.Uint16(a[22:])) + clientSize*client
	if !powerOfTwo(int(min(area.pageSize, maxLogPage+1)), minLogPage, maxLogPage) || at < 40 || at+clientSize > len(a) {
		area.major = 0
		return area, nil
	}
	area.oldest, area.restart = le.Uint64(a[at:]), le.Uint64(a[at+8:])
	return area, nil
}
