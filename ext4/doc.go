// Package ext4 reads ext2, ext3 and ext4 volumes as an [io/fs] filesystem:
//
//	volume, err := ext4.Open(ctx, r, size, ext4.Options{})
//	if err != nil {
//		return err
//	}
//	defer volume.Close()
//	data, err := volume.ReadFile("etc/os-release")
//	totals, err := volume.Tree("home")
//
// It shows what Linux would show after mounting the volume: the journal is
// replayed in memory, over the image, never into it. The package never writes.
//
// # Errors
//
// Bad data gives an error. It never causes a panic, an endless loop, unbounded
// memory, or a wrong answer. fs.ErrNotExist means that the directory was read
// completely and does not have the name; anything unreadable gives another error.
// Other errors are [ErrCorrupt], [ErrUnsupported], [ErrEncrypted], [ErrLinks], or
// those of the reader. [FS.Damage] lists damage that did not prevent reading.
//
// Every checksum of a volume that has them is verified. A file whose inode is
// free by the bitmap of its group, although a directory names it, is ErrCorrupt.
//
// # Cost
//
// [Open] reads the superblock, the group descriptors and the journal. A look-up
// reads the directories on the way; [FS.ReadDir] reads one directory and, in large
// reads, the inodes that it names. Both are kept for the next time.
//
// The first call of [FS.Tree] reads the used parts of the inode tables and
// all blocks of directories, once, in parallel, up to 1 MiB at a time. It keeps 24
// bytes of an inode and 4 of a directory entry; later calls read nothing. Options
// bound the memory.
//
// # What is read
//
// Extents and indirect blocks, inline data, hashed directories, directories that
// ignore case, extended attributes in inodes and blocks and in inodes of their
// own; bigalloc, meta_bg, flex_bg, 64-bit, large_dir, metadata_csum and
// uninit_bg; inodes of 128 bytes and more. Journals of all versions of JBD2 with
// their checksums, and orphans, as the kernel treats them when it mounts the
// volume. [FS.Usage] is what df shows.
//
// An unknown feature that changes the format gives ErrUnsupported with the
// feature's name. So does a journal that must be replayed but is on another
// device or holds fast commits. Files that fscrypt encrypted can be described
// but not read.
package ext4
