// Package inorder passes on all bytes of an io.ReaderAt in their order.
package inorder

import (
	"fmt"
	"io"

	"github.com/coldcheck/coldcheck/internal/parallel"
)

// pieceSize is how much is read at once, in bytes: as much as lets reading and
// writing go on at the same time.
const pieceSize = 4 << 20

// Copy writes the size bytes of r to w, from front to back, and reads the next
// piece while w takes the last. progress is called after each piece with the number
// of bytes done so far; its error stops Copy. It may be nil. An error of r gets the
// name and the place. A panic of r comes out of Copy.
func Copy(w io.Writer, name string, r io.ReaderAt, size int64, progress func(done int64) error) error {
	type piece struct {
		data []byte
		err  error
	}
	pieces, free, stop := make(chan piece), make(chan []byte, 2), make(chan struct{})
	free <- make([]byte, min(pieceSize, size))
	free <- make([]byte, min(pieceSize, size))
	defer close(stop)
	var reader parallel.Group
	reader.Go(func() {
		defer close(pieces)
		for at := int64(0); at < size; {
			var p piece
			select {
			case buffer := <-free:
				p.data = buffer[:min(int64(len(buffer)), size-at)]
			case <-stop:
				return
			}
			if n, err := r.ReadAt(p.data, at); n < len(p.data) {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				p.err = fmt.Errorf("%s: reading at byte %d: %w", name, at+int64(n), err)
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
	})
	done := int64(0)
	for p := range pieces {
		if p.err != nil {
			return p.err
		}
		if _, err := w.Write(p.data); err != nil {
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
	reader.Wait()
	return nil
}
