package ntfs

import "fmt"

// wofStream is the $DATA stream with the content that WOF compressed.
const wofStream = "WofCompressedData"

// wofAlgorithm is a way in which WOF compresses files.
type wofAlgorithm struct {
	name   string
	chunk  int64 // bytes that are compressed together, at most maxUnit
	unpack func(d *decoder, dst, src []byte) error
}

// wofAlgorithms are numbered as in WOF_FILE_COMPRESSION_INFO_V1.
var wofAlgorithms = []wofAlgorithm{
	{"XPRESS4K", 4 << 10, (*decoder).xpress},
	{"LZX", lzxChunk, (*decoder).lzx},
	{"XPRESS8K", 8 << 10, (*decoder).xpress},
	{"XPRESS16K", 16 << 10, (*decoder).xpress},
}

// wof returns how WOF compressed the file.
//
//	0  4  version: 1
//	4  4  provider: 1 a WIM, 2 the stream WofCompressedData
//	8  4  version of what follows, if the provider is 2: 1
//	12 4  algorithm
//
// WOF_EXTERNAL_INFO and FILE_PROVIDER_EXTERNAL_INFO_V1 of the Windows SDK.
func (r Reparse) wof() (*wofAlgorithm, error) {
	if len(r.Data) < 8 {
		return nil, corrupt("reparse data of %d bytes", len(r.Data))
	}
	switch version, provider := le.Uint32(r.Data), le.Uint32(r.Data[4:]); {
	case version != 1:
		return nil, unsupported("version %d", version)
	case provider == 1:
		return nil, unsupported("the content is in a WIM file (WIMBoot)")
	case provider != 2:
		return nil, unsupported("provider %d", provider)
	}
	if len(r.Data) < 16 {
		return nil, corrupt("reparse data of %d bytes", len(r.Data))
	}
	if version := le.Uint32(r.Data[8:]); version != 1 {
		return nil, unsupported("version %d of compression", version)
	}
	algorithm := le.Uint32(r.Data[12:])
	if algorithm >= uint32(len(wofAlgorithms)) {
		return nil, unsupported("compression algorithm %d", algorithm)
	}
	return &wofAlgorithms[algorithm], nil
}

// overlay is the content of a file that WOF compressed (CompactOS). It is cut
// into chunks, each compressed on its own or, where that would not make it
// smaller, stored as it is. In the stream a table comes first: for each chunk
// but the first, where it begins, counted from the end of the table, in 4
// bytes, or in 8 if the file has 4 GiB or more.
//
// wimlib, notes on WOF; WIM resources are the same.
type overlay struct {
	*wofAlgorithm
	stored *stream
	size   int64
	entry  int64 // bytes of an entry of the table
	table  int64 // bytes of the table
	last   lastUnit
}

// overlay opens the content of a file of the given size, which is that of its
// unnamed $DATA.
func (ino *inode) overlay(d *disk, r Reparse, size int64) (*overlay, error) {
	algorithm, err := r.wof()
	if err != nil {
		return nil, err
	}
	stored, err := ino.need(d, typeData, wofStream)
	if err != nil {
		return nil, err
	}
	if stored.flags&attrEncrypted != 0 {
		return nil, errEFS
	}
	return newOverlay(algorithm, stored, size)
}

func newOverlay(algorithm *wofAlgorithm, stored *stream, size int64) (*overlay, error) {
	o := &overlay{wofAlgorithm: algorithm, stored: stored, size: size, entry: 4}
	if size >= 1<<32 {
		o.entry = 8
	}
	o.table = o.entry * (max(size-1, 0) / o.chunk)
	if o.table > stored.size || size == 0 && stored.size > 0 {
		return nil, corrupt("%d bytes of %s for %d", stored.size, o.name, size)
	}
	return o, nil
}

// readAt fills p from off; all of it must be inside the content.
func (o *overlay) readAt(p []byte, off int64) error {
	for len(p) > 0 {
		number, skip := off/o.chunk, off%o.chunk
		n := int(min(o.chunk, o.size-number*o.chunk))
		data := o.last.get(number)
		if data == nil && skip == 0 && len(p) >= n {
			if err := o.readChunk(p[:n], number); err != nil {
				return err
			}
		} else {
			if data == nil {
				data = make([]byte, n)
				if err := o.readChunk(data, number); err != nil {
					return err
				}
				o.last.set(number, data)
			}
			n = copy(p, data[skip:])
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// readChunk fills dst, which is as long as the chunk.
func (o *overlay) readChunk(dst []byte, number int64) error {
	d := decoders.Get().(*decoder)
	defer decoders.Put(d)
	begin, end, err := o.find(number, d.entries[:])
	switch n := end - begin; {
	case err != nil:
	case begin < 0 || end > o.stored.size-o.table || n <= 0 || n > int64(len(dst)):
		err = corrupt("bytes %d to %d of %d for %d", begin, end, o.stored.size-o.table, len(dst))
	case n == int64(len(dst)):
		err = o.stored.readAt(dst, o.table+begin)
	default:
		src := d.src[:n]
		if err = o.stored.readAt(src, o.table+begin); err == nil {
			err = o.unpack(d, dst, src)
		}
	}
	if err != nil {
		return fmt.Errorf("WOF: %s chunk %d: %w", o.name, number, err)
	}
	return nil
}

// find returns the chunk's location in the table, unchecked.
func (o *overlay) find(number int64, entries []byte) (begin, end int64, err error) {
	last := o.table / o.entry
	from, to := max(number-1, 0), min(number+1, last)
	entries = entries[:(to-from)*o.entry]
	if err := o.stored.readAt(entries, from*o.entry); err != nil {
		return 0, 0, err
	}
	value := func(entry []byte) int64 {
		if o.entry == 4 {
			return int64(le.Uint32(entry))
		}
		return int64(le.Uint64(entry))
	}
	if number > 0 {
		begin = value(entries)
	}
	if number == last {
		return begin, o.stored.size - o.table, nil
	}
	return begin, value(entries[len(entries)-int(o.entry):]), nil
}
