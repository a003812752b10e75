package source

import (
	"fmt"
	"io"
)

// hashBuffer is how much is read at once for a sum, in bytes: as much as lets
// reading and summing go on side by side.
const hashBuffer = 4 << 20

// Sum reads the source from front to back and writes it to h, which may be
// several hashes at once (io.MultiWriter). It does not read holes, and Counters
// does not count it. progress is called after each piece with the number of
// bytes done so far; its error stops Sum. It may be nil.
func (s *Source) Sum(h io.Writer, progress func(done int64) error) error {
	type piece struct {
		data []byte
		err  error
	}
	pieces, free, stop := make(chan piece), make(chan []byte, 2), make(chan struct{})
	free <- make([]byte, hashBuffer)
	free <- make([]byte, hashBuffer)
	defer close(stop)
	go func() {
		defer close(pieces)
		for at := int64(0); at < s.size; {
			var p piece
			select {
			case buffer := <-free:
				p.data = buffer[:min(int64(len(buffer)), s.size-at)]
			case <-stop:
				return
			}
			if n, err := s.uncounted.ReadAt(p.data, at); n < len(p.data) {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				p.err = fmt.Errorf("%s: reading at byte %d: %w", s.name, at+int64(n), err)
			}
			at += int64(len(p.data))
			select {
			case pieces <- p:
			case <-stop:
				return
			}
			if p.err != nil {
				return
			}
		}
	}()
	done := int64(0)
	for p := range pieces {
		if p.err != nil {
			return p.err
		}
		if _, err := h.Write(p.data); err != nil {
			return err
		}
		done += int64(len(p.data))
		free <- p.data[:cap(p.data)]
		if progress != nil {
			if err := progress(done); err != nil {
				return err
			}
		}
	}
	return nil
}
