package container

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// A packer needs a megabyte, and the chunks of an image are thousands.
var (
	zlibWriters  = sync.Pool{New: func() any { return must1(zlib.NewWriterLevel(nil, 1)) }}
	flateWriters = sync.Pool{New: func() any { return must1(flate.NewWriter(nil, 6)) }}
	zstdWriter   = sync.OnceValue(func() *zstd.Encoder {
		return must1(zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false)))
	})
)

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// zipped packs data with zlib.
func zipped(data []byte) []byte { return packedBy(&zlibWriters, data) }

// deflated packs data with DEFLATE alone.
func deflated(data []byte) []byte { return packedBy(&flateWriters, data) }

func packedBy(pool *sync.Pool, data []byte) []byte {
	w := pool.Get().(interface {
		io.WriteCloser
		Reset(io.Writer)
	})
	defer pool.Put(w)
	var b bytes.Buffer
	w.Reset(&b)
	_, err := w.Write(data)
	if err := errors.Join(err, w.Close()); err != nil {
		panic(err)
	}
	return b.Bytes()
}
