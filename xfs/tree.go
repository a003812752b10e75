package xfs

import "io/fs"

// Totals of a subtree; sizes in bytes.
type Totals struct {
	Files     int64 // other than directories
	Dirs      int64 // below the start
	Size      int64 // of regular files
	Allocated int64 // of all, directories and the start too, as du has it
	Links     int64 // hard links met again: a file counts once
	Symlinks  int64 // among Files; they are not followed
	// Damaged counts entries whose inode cannot be used, and directories that
	// cannot be read whole. If it is not 0, the other figures are lower
	// bounds.
	Damaged int64
}

// Tree adds up what lies below a directory, or a single file; a symbolic link
// that is the name itself is followed. The first call goes once through all
// inodes and all blocks of directories, in large reads; from then on it
// is answered from memory.
func (f *FS) Tree(name string) (Totals, error) {
	i, err := f.resolve(name, true)
	var x *index
	if err == nil {
		x, err = f.index()
	}
	if err != nil {
		return Totals{}, &fs.PathError{Op: "tree", Path: name, Err: err}
	}
	return x.tree(i.number), nil
}

// tree goes down with a stack of its own, and into each directory once,
// whatever a crafted volume makes its own ancestor.
func (x *index) tree(start uint64) Totals {
	var t Totals
	seen := make(marks)
	seen.add(start)
	stack := []uint64{start}
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
		if x.dirs[dir.size].why != sound {
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
func (x *index) count(t *Totals, number uint64) {
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
	t.Allocated = saturate(t.Allocated, n.allocated)
}

func saturate(a, b int64) int64 {
	if sum := a + b; sum >= a {
		return sum
	}
	return 1<<63 - 1
}

// marks is a set of inodes that takes memory only around those in it.
type marks map[uint64]*[64]uint64

// add reports whether the inode was not in the set before.
func (m marks) add(inode uint64) bool {
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
