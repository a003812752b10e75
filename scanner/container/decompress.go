package container

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// inflater decodes DEFLATE data from memory.
type inflater struct {
	in  bytes.Reader
	out io.ReadCloser
}

var inflaters = sync.Pool{New: func() any {
	f := &inflater{}
	f.out = flate.NewReader(&f.in)
	return f
}}

// inflate fills dst with what DEFLATE data without a header decodes to. What follows in
// the data is not used.
func inflate(dst, data []byte) error {
	f := inflaters.Get().(*inflater)
	defer inflaters.Put(f)
	f.in.Reset(data)
	defer f.in.Reset(nil)
	if err := f.out.(flate.Resetter).Reset(&f.in, nil); err != nil {
		return err
	}
	return short(io.ReadFull(f.out, dst))
}

// unzlib fills dst with what zlib data decodes to, all of it, and compares the checksum
// at its end. What follows is not used.
func unzlib(dst, data []byte) error { return unzlibFirst(dst, data, int64(len(dst))) }

// unzlibFirst fills dst with the first bytes that zlib data decodes to. There may be more,
// up to most, before the checksum.
func unzlibFirst(dst, data []byte, most int64) error {
	z, _ := unzlibbers.Get().(*unzlibber)
	if z == nil {
		z = &unzlibber{}
	}
	defer unzlibbers.Put(z)
	z.in.Reset(data)
	defer z.in.Reset(nil)
	var err error
	if z.out == nil {
		z.out, err = zlib.NewReader(&z.in)
	} else {
		err = z.out.(zlib.Resetter).Reset(&z.in, nil)
	}
	if err == nil {
		_, err = io.ReadFull(z.out, dst)
	}
	if err != nil {
		return short(0, err)
	}
	most -= int64(len(dst))
	more, err := io.CopyN(io.Discard, z.out, most+1) // at the end it compares the checksum
	switch {
	case more > most:
		return errors.New("the data has too many bytes")
	case err != io.EOF:
		return short(0, err)
	}
	return nil
}

// unzlibber decodes zlib data from memory.
type unzlibber struct {
	in  bytes.Reader
	out io.ReadCloser // nil until the first data with a header that is right
}

var unzlibbers sync.Pool

// short is the error of data that decodes to less than it must.
func short(_ int, err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return errShort
	}
	return err
}

var errShort = errors.New("the data ends early")

// zstdDecoder decodes frames in memory, never more than there is room for.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
})

// unzstd fills dst with what frames of Zstandard decode to. What follows in the data is
// not used.
func unzstd(dst, data []byte) error {
	d, err := zstdDecoder()
	if err != nil {
		return err
	}
	out := dst[:0:len(dst)]
	for len(out) < len(dst) {
		n, err := zstdFrame(data)
		if err != nil {
			return err
		}
		if out, err = d.DecodeAll(data[:n], out); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

// zstdFrame returns the size of the frame at the beginning of data, in bytes. The decoder
// would go on with what follows it (RFC 8878, sections 3.1.1 and 3.1.2).
func zstdFrame(data []byte) (int, error) {
	var h zstd.Header
	if err := h.Decode(data); err != nil {
		return 0, short(0, err)
	}
	n := int64(h.HeaderSize)
	if h.Skippable {
		n += int64(h.SkippableSize)
	}
	for last := h.Skippable; !last; {
		if n+3 > int64(len(data)) {
			return 0, errShort
		}
		header := uint32(data[n]) | uint32(data[n+1])<<8 | uint32(data[n+2])<<16
		last = header&1 != 0
		if n += 3; header>>1&3 == 1 { // a byte that is repeated
			n++
		} else {
			n += int64(header >> 3)
		}
	}
	if h.HasCheckSum {
		n += 4
	}
	if n > int64(len(data)) {
		return 0, errShort
	}
	return int(n), nil
}
