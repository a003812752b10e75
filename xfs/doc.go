// Package xfs reads XFS volumes as an [io/fs] filesystem:
//
//	volume, err := xfs.Open(ctx, r, size, xfs.Options{})
//	if err != nil {
//		return err
//	}
//	defer volume.Close()
//	data, err := volume.ReadFile("etc/os-release")
//	totals, err := volume.Tree("home")
//
// It shows what Linux would show after mounting the volume: the log is replayed
// in memory, over the image, never into it. The package never writes.
//
// # Errors
//
// Bad data gives an error. It never causes a panic, an endless loop, unbounded
// memory, or a wrong answer. fs.ErrNotExist means that the directory was read
// completely and does not have the name; anything unreadable gives another error.
// Other errors are [ErrCorrupt], [ErrUnsupported], [ErrLinks], or those of the
// reader. [FS.Damage] lists damage that did not prevent reading.
//
// Every checksum of version 5 of the filesystem is verified. Version 4 has none:
// there a name is absent only if the index of its directory agrees.
//
// # Cost
//
// [Open] reads the superblock and the log. A look-up reads the directories on the
// way; [FS.ReadDir] reads one directory and, in large reads, the inodes that it
// names. Both are kept for the next time.
//
// The first call of [FS.Tree] reads the inodes that are in use by the trees of
// their groups, and all blocks of directories, once, in parallel, up to 1 MiB at a
// time. It keeps 24 bytes of an inode and 8 of a directory entry; later calls read
// nothing. Options bound the memory.
//
// # What is read
//
// Versions 4 and 5, blocks of 512 bytes to 64 KiB, sectors of up to 32 KiB; inodes
// with extents, with trees of extents, and with data of their own; large counts of
// extents, times of 64 bits, sparse inodes, shared blocks; directories and
// extended attributes in all forms. [FS.Usage] is what df shows.
//
// An unknown feature that changes the format gives ErrUnsupported with the
// feature's name. So do files on a realtime device, when they are read, and a
// log on another device.
package xfs
