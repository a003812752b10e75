// Package evtx reads Windows event logs (.evtx files, Windows Vista and later) without Windows:
//
//	log, err := evtx.Open(ctx, file, size, evtx.Options{})
//	for r, err := range log.Records() {
//		if err != nil {
//			fmt.Println(err) // damage; the iteration goes on
//			continue
//		}
//		fmt.Println(r.Time, r.Provider.Name, r.EventID, r.Data)
//	}
//
// Records come in the order of their numbers, wherever they are in the file, or backward from the newest. Each has its
// times, its provider, event number, channel and computer, its data as names and values, and all of its XML. The
// package never writes.
//
// # Format
//
// A log is a file header of 4 KiB and chunks of 64 KiB. A chunk has a header of 512 bytes, with the numbers of its
// records and checksums of them and of itself, and then the records. A full log overwrites its oldest chunk. A record
// is a number, a time, and an event as binary XML between two copies of its size.
//
// Binary XML is XML as tokens. Most events are an instance of a template: a definition, which is an element with places
// for values, and the values. A value may be binary XML too, so that the template of an event's own data stands in the
// template of all events. Names and definitions are written where a chunk first needs them, and referred to from
// elsewhere in the chunk by their offset.
//
// Sources: libyal/libevtx, "Windows XML Event Log (EVTX) format"; [MS-EVEN6] 2.2.12 for binary XML. Where these leave
// something open, the format was compared with logs that Windows wrote, and with what evtxexport makes of them.
//
// # What can be trusted
//
// The iteration over the records yields what is complete, and a [Damage] for everything that is not: a checksum that
// does not match, a damaged or truncated chunk, a record that cannot be decoded, and numbers that are missing between
// two records, or between the newest record and what the headers count. So without any damage, all records are there
// that the log says it has. Record.Verified says whether checksums confirm a record.
//
// The file header is written when a log is closed. That of a dirty log may be out of date, so chunks are read by what
// they hold: every chunk that has records counts. In a chunk whose header is intact the records end where it says. What
// follows may be of an earlier use of the chunk, and is not read. After a damaged record the next complete one is
// looked for, if its number is one that the header counts. In a chunk whose header is damaged, the records end at the
// first that is not complete or does not have a higher number than the one before it.
//
// Lengths, counts, offsets and depths are checked before they are used. A name must match its hash, a template its
// identifier. What a record and a chunk may make of their bytes is bounded: templates can repeat values that have
// templates in them.
//
// # Cost
//
// [Open] reads the file header and 536 bytes of each chunk, and holds 16 bytes for each. The iteration reads one chunk
// at a time, once, and decodes its records together. A record refers to its chunk and keeps it in memory.
// [Log.Backward] reads the newest chunk first, and no more of them than the records need that are taken.
//
// # Not supported
//
// Logs of Windows Server 2003 and earlier (.evt), records that are deleted or of an earlier use of a chunk, the texts
// of messages, which are in the libraries of the providers, and processing instructions, which are left out.
package evtx
