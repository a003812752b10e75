package machine

import (
	"bytes"
	"fmt"
	"io"
)

// Kinds of processors in the header of a program ("PE Format", section Machine Types).
const (
	ProcessorX86   = 0x014c
	ProcessorAMD64 = 0x8664
	ProcessorARM64 = 0xaa64
)

// Program is what the headers of a program say of it.
type Program struct {
	File
	Processor uint16 // ProcessorAMD64 and so on; 0 if the file is not a program
	Build     int    // the third part of the file version; 0 if it has none
}

// maxResources bounds the resources in which a version is searched, in bytes. Those of the kernel take 200 KiB.
const maxResources = 4 << 20

// Program reads the headers of a program. A file that does not exist, or is not a program, is no error.
func (m *Machine) Program(win string) (Program, error) {
	v, name, err := m.Locate(win)
	if err != nil {
		return Program{}, err
	}
	f, err := v.File(name)
	if err != nil || !f.Exists || f.Dir {
		return Program{File: f}, err
	}
	if err := m.Meter.File(min(f.Size, maxResources)); err != nil {
		return Program{File: f}, v.Problem(name, err)
	}
	r, size, err := v.Open(name)
	if err != nil {
		return Program{File: f}, err
	}
	p, err := parseProgram(r, size)
	if err != nil {
		return Program{File: f}, v.Problem(name, err)
	}
	p.File = f
	p.Evidence.Content = true
	if p.Processor != 0 {
		p.Evidence.Data = fmt.Sprintf("machine 0x%04x, build %d", p.Processor, p.Build)
	}
	return p, nil
}

// parseProgram reads the headers ("PE Format"): at 0x3C of the file the offset of the signature; behind that the COFF
// header of 20 bytes, with the machine at 0, the number of sections at 2 and the size of the optional header at 16;
// then the sections of 40 bytes, with the name at 0, the size in the file at 16 and the offset at 20. The version is
// the VS_FIXEDFILEINFO in the resources, found by its signature; its build is the upper half of dwFileVersionLS at 12.
func parseProgram(r io.ReaderAt, size int64) (Program, error) {
	var p Program
	head := make([]byte, min(size, 4<<10))
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return p, err
	}
	if len(head) < 0x40 || string(head[:2]) != "MZ" {
		return p, nil
	}
	at := int64(le.Uint32(head[0x3C:]))
	if at+24 > int64(len(head)) || string(head[at:at+4]) != "PE\x00\x00" {
		return p, nil
	}
	coff := head[at+4:]
	p.Processor = le.Uint16(coff)
	sections := coff[min(len(coff), 20+int(le.Uint16(coff[16:]))):]
	for range le.Uint16(coff[2:]) {
		if len(sections) < 40 {
			return p, nil
		}
		if string(bytes.TrimRight(sections[:8], "\x00")) == ".rsrc" {
			var err error
			p.Build, err = fileBuild(r, size, int64(le.Uint32(sections[20:])), int64(le.Uint32(sections[16:])))
			return p, err
		}
		sections = sections[40:]
	}
	return p, nil
}

// fileBuild finds the build of the file version in resources at an offset; 0 if there is none.
func fileBuild(r io.ReaderAt, size, at, length int64) (int, error) {
	length = min(length, maxResources, size-at)
	if length <= 0 {
		return 0, nil
	}
	data := make([]byte, length)
	if _, err := r.ReadAt(data, at); err != nil && err != io.EOF {
		return 0, err
	}
	info := bytes.Index(data, []byte{0xBD, 0x04, 0xEF, 0xFE})
	if info < 0 || len(data)-info < 16 {
		return 0, nil
	}
	return int(le.Uint16(data[info+14:])), nil
}
