package disk

import (
	"crypto/sha256"
	"fmt"
	"io"
)

// hashBuffer is how much is read at once for a sum, in bytes: as much as lets
// reading and summing go on side by side.
const hashBuffer = 4 << 20

// SHA256 is the sum of the whole image, which is read from front to back; holes
// of a file, which are zeros, are not read. Counters does not count it. progress
// is told after each piece how many bytes are done, and its error ends the
// reading; it may be nil.
func (i *Image) SHA256(progress func(done int64) error) (sum [sha256.Size]byte, err error) {
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
		for at := int64(0); at < i.Size; {
			var p piece
			select {
			case buffer := <-free:
				p.data = buffer[:min(int64(len(buffer)), i.Size-at)]
			case <-stop:
				return
			}
			if n, err := i.whole.ReadAt(p.data, at); n < len(p.data) {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				p.err = fmt.Errorf("%s: reading at byte %d: %w", i.Name, at+int64(n), err)
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
	h, done := sha256.New(), int64(0)
	for p := range pieces {
		if p.err != nil {
			return sum, p.err
		}
		h.Write(p.data)
		done += int64(len(p.data))
		free <- p.data[:cap(p.data)]
		if progress != nil {
			if err := progress(done); err != nil {
				return sum, err
			}
		}
	}
	h.Sum(sum[:0])
	return sum, nil
}

// Changed says why the image is not what it was when it was opened: another has
// its size or its time of change. Nil means that nothing is known to have changed;
// of a device, nothing is ever known.
func (i *Image) Changed() error {
	if i.Modified.IsZero() {
		return nil
	}
	info, err := i.file.Stat()
	switch {
	case err != nil:
		return err
	case info.Size() != i.Size:
		return fmt.Errorf("%s has changed while it was read: it was of %d bytes and is of %d", i.Name, i.Size, info.Size())
	case !info.ModTime().Equal(i.Modified):
		return fmt.Errorf("%s has changed while it was read: it was written at %s", i.Name, info.ModTime().UTC().Format("2006-01-02 15:04:05Z"))
	}
	return nil
}
