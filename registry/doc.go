// Package registry reads Windows registry hives (regf files) without Windows:
//
//	hive, err := registry.Open(ctx, file, size, registry.Options{Logs: logs})
//	key, err := hive.Key(`Microsoft\Windows NT\CurrentVersion`)
//	value, err := key.Value("ProductName")
//	name, err := value.String()
//
// It reads keys, values, class names, security descriptors and symbolic links. A
// dirty hive is recovered in memory from its transaction logs, as Windows would
// recover it at its next start. A [Machine] maps the names that Windows uses
// (HKLM\SYSTEM\CurrentControlSet\…) to hive and key. The package never writes.
//
// # Format
//
// A hive file is a base block of 4 KiB and the bins data. The base block has two
// sequence numbers, which differ while a write is under way, the offset of the
// root key, the size of the bins data, and a checksum. The bins data are a row of
// bins, multiples of 4 KiB with a header each. A bin is a row of cells, whose size
// is negative while they are allocated. Everything else is a cell, found by its
// offset in the bins data: key nodes (nk), lists of subkeys (lf, lh, li, and ri
// above them), lists of values, values (vk), their data, and security descriptors
// (sk). Data longer than 16,344 bytes are cut into segments (db).
//
// A transaction log holds pages of the bins data that were to be written. Up to
// Windows 8 (the old format) a log is the last write: a vector that says which
// sectors follow. Since Windows 8.1 (the new format) it is a row of numbered
// entries, each with its pages and two Marvin32 hashes, and two logs take turns.
//
// Sources: github.com/msuhanov/regf, "Windows registry file format specification";
// libyal/libregf, "Windows NT Registry File (REGF) format"; [MS-GPREG] for policy
// files. Where these are silent, the format was derived from hives that Windows
// itself recovered.
//
// # What can be trusted
//
// [io/fs.ErrNotExist] means that a key or value is not in the hive: every list on
// the way was read to its end, whatever the order or the hashes of its elements
// say, none of its elements was damaged, and none was there twice in place of
// another. Everything else that keeps something from being found is [ErrCorrupt]
// or [ErrUnsupported]. Damage is found where it is met: it concerns the keys and
// values that need the damaged place, and no others. Where the cells of a bin do
// not fill it, the place is the bin.
//
// References are followed only to allocated cells, and only to where a cell starts,
// so that nothing deleted comes back. A key node must name as its parent the key
// whose list it is in. All lengths, counts and depths are checked before they are
// used; the limits are constants. [Options].Reserve bounds the memory: it is called
// before anything large is allocated, and its error ends the call.
//
// # Cost
//
// [Open] reads the bins data once, in large reads, and holds them in memory: at
// most [DefaultInMemory] bytes, plus 1/40 for the index of bins and cells. It
// reads one header for each bin. Of a larger hive (at most [MaxSize]) it reads
// only these headers, and later reads go through a cache of 16 MiB: a walk takes
// three times as long, and results are copies. A bin's cells are checked when
// something in it is first needed.
//
// With [Options].Part, for readers over a network, a hive that fits into memory is read where it is needed, each part
// once. The elements of a list are read in parallel. What nobody reads is not checked: damaged bins are found when
// something in them is needed.
//
// Finding a subkey compares the hashes of its list and reads the node that fits;
// finding that there is none reads the node of every element. Names, paths and
// messages are made when they are asked for. Data of a hive in memory are not
// copied, except for big data.
//
// # Not supported
//
// Hives of other versions than 1.3 to 1.6, and of more than [MaxSize] bytes;
// transactional registry logs (.TxR, .TM.blf, .regtrans-ms); keys and values that
// only mark a deletion in a differencing hive (1.6) of a container; values of
// predefined handles (Perflib), which Windows computes. Volatile keys and values
// live in the memory of a running Windows and are in no file. Deleted keys and
// values are not recovered.
package registry
