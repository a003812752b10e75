package xfs

import (
	"math/rand/v2"
	"testing"
)

// TestChecksums makes sure that both ways to compare a checksum agree, whichever bit of
// a piece or of its checksum is another one.
func TestChecksums(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{256, 512, 1024, 2048} {
		c := newChecksums(size, inodeCRC)
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		le.PutUint32(b[inodeCRC:], checksum(b, inodeCRC))
		if !c.sum(b) || !sum(b, inodeCRC) {
			t.Fatalf("%d bytes: a good checksum is refused", size)
		}
		for bit := range 8 * size {
			b[bit/8] ^= 1 << (bit % 8)
			if c.sum(b) || sum(b, inodeCRC) {
				t.Fatalf("%d bytes: a wrong bit %d is not found", size, bit)
			}
			b[bit/8] ^= 1 << (bit % 8)
		}
	}
}
