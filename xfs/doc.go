// Package xfs reads XFS volumes, read-only, as io/fs.FS. What it shows is what
// Linux would show after mounting the volume: the log is replayed in memory,
// over the image, never into it.
//
// Open reads the superblock and what is in the log. Looking up a name reads the
// directories on the way, ReadDir one directory and the inodes it names, all of
// them kept for the next time. Totals of a tree are different: the first call
// of Tree reads all inodes that are in use, by the trees of inodes of the
// groups, and all blocks of directories, once and in large reads, and keeps
// about 50 bytes for each file; from then on it is answered from memory.
//
// All sizes, offsets, counts and depths are checked before use, and what a
// volume may cost is bounded, by constants and Options. From version 5 of the
// filesystem on every checksum is verified; before, a name is taken to be absent
// only where the directory's index agrees. Errors say with errors.Is of which
// kind they are.
//
// Read: versions 4 and 5, blocks of 512 bytes to 64 KiB, sectors up to 32 KiB;
// inodes with extents, trees of extents and data of their own; large counts of
// extents, times in 64 bits, sparse inodes, shared blocks; directories in all
// forms, with types of files or without; extended attributes in all forms. What
// is on a realtime device is refused where it is read.
package xfs
