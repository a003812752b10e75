package ntfs

import "io/fs"

// Locate returns the offset on the volume, in bytes, of the byte at off of the
// file. It is not known for data that is resident (FS.Locate returns where the
// record is), compressed, in a hole, or never written.
func (f *File) Locate(off int64) (at int64, known bool, err error) {
	s, ok := f.content.(*stream)
	if !ok || f.refused != nil || off < 0 || off >= s.size {
		return 0, false, nil
	}
	at, known = s.locate(off)
	return at, known, nil
}

// Run returns the contiguous range of the file around the byte at off, and the offset
// on the volume of its first byte; all in bytes. It is known where Locate is.
func (f *File) Run(off int64) (from, to, at int64, known bool) {
	s, ok := f.content.(*stream)
	if !ok || f.refused != nil || off < 0 || off >= s.size {
		return 0, 0, 0, false
	}
	if _, known = s.locate(off); !known {
		return 0, 0, 0, false
	}
	size := s.disk.clusterSize
	r := s.runs[s.runAt(off/size)]
	return r.vcn * size, min((r.vcn+r.n)*size, s.size), r.lcn * size, true
}

// Locate returns the offset on the volume, in bytes, of the MFT record of a
// file or directory. The last two bytes of each of its sectors are fixup
// values, not content.
func (f *FS) Locate(name string) (at int64, known bool, err error) {
	record, err := f.resolve(name)
	if err != nil {
		return 0, false, &fs.PathError{Op: "locate", Path: name, Err: err}
	}
	at, known = f.mft.locate(int64(record) * int64(f.boot.recordSize))
	return at, known, nil
}

// locate returns the offset on the disk of a byte of the stream, which must be
// inside of it.
func (s *stream) locate(off int64) (at int64, known bool) {
	if s.resident != nil || s.unit > 0 || s.flags&attrEncrypted != 0 || off >= s.initialized {
		return 0, false
	}
	size := s.disk.clusterSize
	i := s.runAt(off / size)
	if i == len(s.runs) || s.runs[i].lcn == hole {
		return 0, false
	}
	return (s.runs[i].lcn-s.runs[i].vcn)*size + off, true
}
