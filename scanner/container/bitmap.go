package container

// bitmap is a set of numbers. The nil one has none.
type bitmap []uint64

// newBitmap returns a set for numbers below size.
func newBitmap(size int64) bitmap { return make(bitmap, (size+63)/64) }

// size is a bound of the numbers, at least that which the set was made for.
func (b bitmap) size() int64 { return 64 * int64(len(b)) }

// set adds a number, and reports whether it was not there.
func (b bitmap) set(n int64) bool {
	was := b.has(n)
	b[n/64] |= 1 << (n % 64)
	return !was
}

func (b bitmap) has(n int64) bool { return b != nil && b[n/64]&(1<<(n%64)) != 0 }
