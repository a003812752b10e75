// Package ntfs reads NTFS volumes as an [io/fs] filesystem:
//
//	volume, err := ntfs.Open(ctx, file, size, ntfs.Options{})
//	data, err := volume.ReadFile("Windows/System32/config/SOFTWARE")
//
// Beyond io/fs it reads free space, named streams, reparse points, security
// descriptors, totals of trees, and the locations of a file's bytes. It reports
// damage. It never writes and follows no links.
//
// # Goals
//
// In this order: Bad data gives an error, never a panic, an endless loop,
// unbounded memory or a wrong answer; unreadable names are never reported as
// missing. The package follows the interfaces of the standard library. It is
// fast.
//
// # How it reads, and the cost
//
// [Open] reads the boot sector and then all of $MFT from front to back, 1 MiB at
// a time (4 MiB where records are of 4 KiB), by one reader for each processor,
// so that one reads while another parses. It keeps what listings, look-ups and
// totals need: 68 bytes a record, 24 bytes a name, and the name in UTF-8, about
// 120 bytes a file. A million files are 1 GiB of $MFT, read in a thousand reads.
// In addition Open makes about ten small reads ($UpCase, $Volume, $LogFile's
// head), one for each attribute list that is not resident and two or more for
// each reparse point that is not.
//
// After that [FS.Tree] reads nothing. [FS.Stat] and other look-ups read only
// those directory indexes on their path that are outside the records: an index of
// up to 2 MiB once, and of a larger or fragmented one the blocks on the path to
// the name. A look-up takes time proportional to the number of names in the
// directories on its path; directories of 512 names and more are sorted by hash
// on first use. Opening a file reads its record and each extension record.
// Reading takes one read for each run; compressed files are read and decoded in
// units of at most 64 KiB, and files that WOF compressed in chunks of 4 to 32 KiB
// with two reads each. An open file keeps only the last unit. [FS.Free] reads
// $Bitmap (one bit for each cluster) in pieces of 1 MiB.
//
// [FS.ReadDir], [FS.Walk] and [FS.CheckedTree] read the index of each directory
// that they visit, unless it is in the directory's record and agrees with the
// records. That takes the directory's record, and one read for each run of an
// index of up to 32 MiB.
//
// The log of a volume that was in use is read from the oldest record on that NTFS
// needs, 256 KiB at a time, and each record of $MFT and index block that it
// changes.
//
// # Presence
//
// A name is there if the directory's index, which is where Windows looks, and the
// record that the index names agree; see [FS] and [ErrInDoubt].
//
// # What is read
//
// NTFS 3.0 and 3.1 with sectors of 512 to 4096 bytes, clusters of 512 bytes to 2
// MiB, and file records of 1 and 4 KiB. $MFT in pieces, with an attribute list
// and extension records of its own. Attribute lists, resident or not, merged by
// reference and sequence number; one that is not resident is read when its file is
// needed, unless $MFT is damaged. Resident, sparse and LZNT1-compressed data,
// initialized sizes, named streams, hard links, names for DOS, symbolic links,
// junctions and all other reparse data. Files that the Windows Overlay Filter
// compressed (CompactOS) by XPRESS4K, XPRESS8K, XPRESS16K or LZX; a chunk that
// cannot be decoded gives [ErrCorrupt] with its number; there is no checksum to
// detect other damage. The volume's own $UpCase. The backup boot sector and
// $MFTMirr where the first copy is damaged; [FS.Damage] reports it.
//
// # What is not read
//
//   - Deduplicated files, files in a WIM file (WIMBoot), and cloud files that are
//     not on the volume are listed with their true size; reading them is
//     [ErrUnsupported] and names the place that holds them.
//   - EFS: listed; reading is [ErrEncrypted].
//   - $LogFile is applied in memory if the volume was in use, never to the
//     disk: [Volume].Journal says how far. NTFS does not log file content.
//     [Volume].Dirty is the volume's own flag.
//   - Security descriptors are found and not decoded; quotas, object ids and
//     the change journal are not looked for: $UsnJrnl and so on can be read as
//     the streams they are.
//   - Deleted files are not recovered.
//   - Records of other sizes than 1 and 4 KiB are refused by name.
//
// # Names
//
// Paths are those of io/fs, relative to the root directory. The metadata files
// ($MFT, $Extend and so on) are listed like other files. Names may hold any
// character but "/"; the three names that a path cannot hold (one with a "/", "."
// and "..") are not listed; [FS.Tree] counts them and Damage reports them. Half a
// surrogate pair is shown as U+FFFD and found by that. If two records have the
// same name in a directory, the one that its index names counts.
//
// # Modes
//
// Permissions are 0444 and 0555: security descriptors are not mapped. A symbolic
// link is [io/fs.ModeSymlink], also if it is one to a directory; a junction, a
// mount point and any other reparse point that stands for something else is
// [io/fs.ModeIrregular] and not a directory; WSL's sockets, FIFOs and devices
// have those types. A file with a reparse tag that this package does not know is
// ModeIrregular; its data is read as it is, unless parts of it are holes.
package ntfs
