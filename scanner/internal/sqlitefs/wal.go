package sqlitefs

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/coldcheck/coldcheck/internal/prose"
)

// WAL describes the part of the write-ahead log that SQLite applies. For
// SQLite, a log ends at the first incomplete frame, and at its last commit.
type WAL struct {
	Present bool  // there is a log with something in it
	Size    int64 // of the file, in bytes

	Frames  int // applied, each of them a page
	Commits int // applied transactions
	Pending int // complete frames after the last commit: an unfinished transaction
	Damaged int // frames of the same log from the first incomplete one on, which are not applied
	Lost    int // commits after that frame, most likely of finished transactions

	// Ignored says why SQLite takes no notice of the log at all, "" if it does.
	Ignored string
	Zeros   bool // its header is of zeros: nothing of it has reached the disk
}

// Applied says what of the log is in force, "" if nothing is.
func (w WAL) Applied() string {
	if w.Commits == 0 {
		return ""
	}
	return fmt.Sprintf("applied %s of %s from the write-ahead log", prose.Count(w.Frames, "page", "pages"),
		prose.Count(w.Commits, "transaction", "transactions"))
}

// Loss says what of the log is lost to damage, "" if nothing is.
func (w WAL) Loss() string {
	switch {
	case w.Ignored != "":
		return fmt.Sprintf("the write-ahead log of %d bytes is ignored, as SQLite does: %s", w.Size, w.Ignored)
	case w.Damaged > 0:
		return fmt.Sprintf("the write-ahead log is damaged after page %d; %d more pages are skipped, as SQLite does",
			w.Frames+w.Pending, w.Damaged)
	}
	return ""
}

// Err wraps ErrCorrupt if what is lost is more than the last write, which had
// not ended when the log was copied: without it the database is not in a state
// that it ever was in.
func (w WAL) Err() error {
	switch {
	case w.Lost > 0:
		return fmt.Errorf("%s after a damaged page of the write-ahead log: %w",
			prose.Count(w.Lost, "finished transaction is lost", "finished transactions are lost"), ErrCorrupt)
	case w.Ignored != "" && !w.Zeros:
		return fmt.Errorf("%d bytes of the write-ahead log are unusable: %s: %w", w.Size, w.Ignored, ErrCorrupt)
	}
	return nil
}

// Layout of the log (SQLite file format, 4.1 and 4.2). Numbers are big endian;
// the words that are added up are in the byte order that the magic names.
//
//	 0 magic, 4 version, 8 page size, 12 sequence number, 16 two salts,
//	24 two sums over the bytes before
//
// and of a frame, which the page follows:
//
//	0 page number, 4 size of the database in pages after a commit or 0,
//	8 the two salts of the log, 16 two sums over the 8 bytes, the page and
//	  all frames before
const (
	walHeaderSize   = 32
	frameHeaderSize = 24
	walMagic        = 0x377F0682 // with bit 0 set: sums are of big endian words
	walVersion      = 3007000
)

// readWAL follows the log as SQLite does when it recovers it.
func readWAL(ctx context.Context, r io.ReaderAt, size int64, dbPage int) (WAL, error) {
	w := WAL{Size: size}
	if size <= walHeaderSize {
		return w, nil
	}
	w.Present = true
	in := io.NewSectionReader(r, 0, size)
	header := make([]byte, walHeaderSize)
	if _, err := io.ReadFull(in, header); err != nil {
		return w, err
	}
	be := binary.BigEndian
	page := int(be.Uint32(header[8:]))
	order := binary.ByteOrder(binary.LittleEndian)
	if be.Uint32(header)&1 != 0 {
		order = be
	}
	sum := checksum{}.add(order, header[:24])
	switch {
	case be.Uint32(header)&^1 != walMagic:
		w.Ignored = "it does not begin as one"
		w.Zeros = len(bytes.Trim(header, "\x00")) == 0
	case page < 512 || page > 65536 || page&(page-1) != 0:
		w.Ignored = fmt.Sprintf("its page size is %d", page)
	case sum != checksum{be.Uint32(header[24:]), be.Uint32(header[28:])}:
		w.Ignored = "the checksum of its header is wrong"
	case be.Uint32(header[4:]) != walVersion:
		return w, fmt.Errorf("version %d: %w", be.Uint32(header[4:]), ErrUnsupported)
	case page != dbPage:
		return w, fmt.Errorf("pages of %d bytes, and of %d in the database: %w", page, dbPage, ErrCorrupt)
	}
	if w.Ignored != "" {
		return w, nil
	}
	salts := [8]byte(header[16:24])
	frame := make([]byte, frameHeaderSize+page)
	whole := true
	for {
		if err := ctx.Err(); err != nil {
			return w, err
		}
		n, err := io.ReadFull(in, frame)
		if err == io.EOF {
			return w, nil
		}
		if err != nil && err != io.ErrUnexpectedEOF {
			return w, err
		}
		// Frames of an earlier use of the file have other salts.
		if n < frameHeaderSize || [8]byte(frame[8:16]) != salts {
			whole = false
			continue
		}
		if whole {
			sum = sum.add(order, frame[:8])
			if err == nil {
				sum = sum.add(order, frame[frameHeaderSize:])
			}
			whole = err == nil && be.Uint32(frame) != 0 && sum == checksum{be.Uint32(frame[16:]), be.Uint32(frame[20:])}
		}
		switch {
		case !whole:
			if w.Damaged++; w.Damaged > 1 && err == nil && be.Uint32(frame[4:]) != 0 {
				w.Lost++
			}
		case be.Uint32(frame[4:]) != 0:
			w.Frames += w.Pending + 1
			w.Pending = 0
			w.Commits++
		default:
			w.Pending++
		}
	}
}

// checksum is the pair of sums over 32-bit words.
type checksum [2]uint32

func (c checksum) add(order binary.ByteOrder, b []byte) checksum {
	for ; len(b) >= 8; b = b[8:] {
		c[0] += order.Uint32(b) + c[1]
		c[1] += order.Uint32(b[4:]) + c[0]
	}
	return c
}
