package ntfs

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"sync"
	"testing"
)

// smallImage returns a copy of the volume that testdata/make.sh made.
func smallImage(t testing.TB) []byte {
	t.Helper()
	image, err := unpackSmall()
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(image)
}

var unpackSmall = sync.OnceValues(func() ([]byte, error) {
	file, err := os.Open("testdata/small.img.gz")
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unzip, err := gzip.NewReader(bufio.NewReader(file))
	if err != nil {
		return nil, err
	}
	image, err := io.ReadAll(unzip)
	if err != nil {
		return nil, err
	}
	for i := 2; i < len(image); i += 2 {
		binary.LittleEndian.PutUint16(image[i:], binary.LittleEndian.Uint16(image[i:])+binary.LittleEndian.Uint16(image[i-2:]))
	}
	return image, nil
})

// editable is an image in memory that tests edit.
type editable struct {
	t     testing.TB
	image []byte
	f     *FS // as it was before
}

func small(t testing.TB) *editable {
	t.Helper()
	e := &editable{t: t, image: smallImage(t)}
	e.f = e.open()
	return e
}

func openBytes(image []byte) (*FS, error) { return Open(bytes.NewReader(image), int64(len(image))) }

func (e *editable) open() *FS {
	e.t.Helper()
	f, err := openBytes(e.image)
	if err != nil {
		e.t.Fatal(err)
	}
	return f
}
