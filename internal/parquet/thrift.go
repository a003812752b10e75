package parquet

import "encoding/binary"

// thrift writes a struct in the compact protocol of Apache Thrift
// (doc/specs/thrift-compact-protocol.md). The numbers of fields must rise.
type thrift struct {
	text []byte
	last int16 // the number of the field before
}

// Types of fields and elements.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftI32    = 5
	thriftI64    = 6
	thriftBinary = 8
	thriftList   = 9
	thriftStruct = 12
)

// header writes the header of a field. The numbers of parquet.thrift never rise by more
// than 15, so that the short form is enough.
func (h *thrift) header(field int16, kind byte) {
	h.text = append(h.text, byte(field-h.last)<<4|kind)
	h.last = field
}

func (h *thrift) zigzag(n int64) {
	h.text = binary.AppendVarint(h.text, n)
}

func (h *thrift) bytes(p []byte) {
	h.text = binary.AppendUvarint(h.text, uint64(len(p)))
	h.text = append(h.text, p...)
}

func (h *thrift) boolean(field int16, v bool) {
	kind := byte(thriftFalse)
	if v {
		kind = thriftTrue
	}
	h.header(field, kind)
}

func (h *thrift) i32(field int16, n int32) {
	h.header(field, thriftI32)
	h.zigzag(int64(n))
}

func (h *thrift) i64(field int16, n int64) {
	h.header(field, thriftI64)
	h.zigzag(n)
}

func (h *thrift) binary(field int16, p []byte) {
	h.header(field, thriftBinary)
	h.bytes(p)
}

// structure writes a field that is a struct. The function writes the fields of it.
func (h *thrift) structure(field int16, fields func()) {
	h.header(field, thriftStruct)
	h.nested(fields)
}

func (h *thrift) nested(fields func()) {
	outer := h.last
	h.last = 0
	fields()
	h.stop()
	h.last = outer
}

// list writes a field that is a list. The function writes the element i.
func (h *thrift) list(field int16, kind byte, n int, element func(i int)) {
	h.header(field, thriftList)
	if n < 15 {
		h.text = append(h.text, byte(n)<<4|kind)
	} else {
		h.text = binary.AppendUvarint(append(h.text, 15<<4|kind), uint64(n))
	}
	for i := range n {
		element(i)
	}
}

// structures writes a list of structs. The function writes the fields of the struct i.
func (h *thrift) structures(field int16, n int, fields func(i int)) {
	h.list(field, thriftStruct, n, func(i int) { h.nested(func() { fields(i) }) })
}

func (h *thrift) stop() {
	h.text = append(h.text, 0)
}
