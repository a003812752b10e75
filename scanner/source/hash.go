package source

import (
	"io"

	"github.com/coldcheck/coldcheck/internal/inorder"
)

// Sum reads the source from front to back and writes it to h, which may be
// several hashes at once (io.MultiWriter). It does not read holes, and Counters
// does not count it. progress is called after each piece with the number of
// bytes done so far; its error stops Sum. It may be nil.
func (s *Source) Sum(h io.Writer, progress func(done int64) error) error {
	return inorder.Copy(h, s.name, s.uncounted, s.size, progress)
}
