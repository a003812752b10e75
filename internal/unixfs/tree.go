package unixfs

// Totals of a subtree; sizes in bytes.
type Totals struct {
	Files     int64 // other than directories
	Dirs      int64 // below the start
	Size      int64 // of regular files
	Allocated int64 // of all, directories and the start too, as du has it
	Links     int64 // hard links met again: a file counts once
	Symlinks  int64 // among Files; they are not followed
	Encrypted int64 // files and directories that are encrypted; they are counted nonetheless
	Damaged   int64 // entries whose inode cannot be used, and directories that are incomplete
}

// Tree adds up what is below an inode. It enters each directory once, even if a
// crafted volume makes one its own ancestor, and does not recurse.
func (x *Index[N]) Tree(start N) Totals {
	var t Totals
	seen := make(marks[N])
	seen.add(start)
	stack := []N{start}
	if n := x.node(start); n.state == nodeDir {
		t.Dirs--
	}
	x.count(&t, start)
	for len(stack) > 0 {
		dir := x.node(stack[len(stack)-1])
		stack = stack[:len(stack)-1]
		if dir.state != nodeDir {
			continue
		}
		if x.dirs[dir.size].why != 0 {
			t.Damaged++
		}
		for _, number := range x.children(dir.size) {
			n := x.node(number)
			if n.state == nodeDir && !seen.add(number) {
				t.Damaged++
				continue
			}
			if n.state == nodeFile && n.links > 1 && !seen.add(number) {
				t.Links++
				continue
			}
			x.count(&t, number)
			if n.state == nodeDir {
				stack = append(stack, number)
			}
		}
	}
	return t
}

// count adds one file or directory.
func (x *Index[N]) count(t *Totals, number N) {
	n := x.node(number)
	switch n.state {
	case nodeDir:
		t.Dirs++
	case nodeFile:
		t.Files++
		if n.flags&nodeRegular != 0 {
			t.Size = saturate(t.Size, int64(n.size))
		}
		if n.flags&nodeSymlink != 0 {
			t.Symlinks++
		}
	default:
		t.Damaged++
		return
	}
	if n.flags&nodeEncrypted != 0 {
		t.Encrypted++
	}
	t.Allocated = saturate(t.Allocated, n.allocated)
}

func saturate(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return 1<<63 - 1
}

// marks is a set of inodes that takes memory only around those in it.
type marks[N Number] map[N]*[64]uint64

// add reports whether the inode was not in the set before.
func (m marks[N]) add(inode N) bool {
	words := m[inode>>12]
	if words == nil {
		words = new([64]uint64)
		m[inode>>12] = words
	}
	word, bit := &words[inode>>6&63], uint64(1)<<(inode&63)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}
