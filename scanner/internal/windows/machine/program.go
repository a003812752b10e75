package machine

import (
	"errors"
	"fmt"
	"io"
)

// Kinds of processors in the header of a program (Microsoft, PE Format, Machine Types).
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
	r, size, err := v.Open(name)
	if err != nil {
		return Program{File: f}, err
	}
	if err := m.Meter.File(min(size, maxHeader)); err != nil {
		return Program{File: f}, v.Problem(name, err)
	}
	processor, err := processorOf(r, size)
	if err != nil {
		return Program{File: f}, v.Problem(name, err)
	}
	p := Program{File: f, Processor: processor}
	if processor == 0 {
		return p, nil
	}
	version, _, err := m.FileVersion(win)
	if err != nil && !errors.Is(err, ErrNoVersion) {
		return p, err
	}
	p.Build = int(version[2])
	p.Evidence.Content = true
	p.Evidence.Data = fmt.Sprintf("machine 0x%04x, version %s", processor, version)
	return p, nil
}

// maxHeader is how much of a program has its header, in bytes.
const maxHeader = 4 << 10

// processorOf returns the machine that the header of a program states, behind the signature (Microsoft, PE Format, COFF
// File Header); 0 if the file is not a program.
func processorOf(r io.ReaderAt, size int64) (uint16, error) {
	head := make([]byte, min(size, maxHeader))
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return 0, err
	}
	if len(head) < offsetOfHeader+4 || string(head[:2]) != "MZ" {
		return 0, nil
	}
	at := int64(le.Uint32(head[offsetOfHeader:]))
	if at+coffSize > int64(len(head)) || string(head[at:at+4]) != "PE\x00\x00" {
		return 0, nil
	}
	return le.Uint16(head[at+4:]), nil
}
