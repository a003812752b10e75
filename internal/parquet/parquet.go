// Package parquet writes tables of plain rows in the format Apache Parquet:
//
//	w, err := parquet.NewWriter[row](file, "program version 1.2.3 (build )")
//	w.Write(rows)
//	err = w.Close()
//
// A row is a struct. Its fields have the tags of the package parquet-go, which reads the
// files in tests: `parquet:"name,option…"`. These types of fields are supported, each in
// one encoding:
//
//   - string, in a dictionary. With the option "optional", "" is null.
//   - bool, int32, and time.Time in microseconds of UTC.
//   - map[string]string, ordered by key.
//   - []string, and slices of structs whose fields are strings.
//
// Files have row groups that are compressed with Snappy, and data pages of version 1,
// which every reader has. The package exists because general libraries for the format add
// 7 MB to a program.
//
// The format is that of github.com/apache/parquet-format: README.md, Encodings.md,
// LogicalTypes.md and parquet.thrift.
package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/snappy"
)

const magic = "PAR1"

// ErrTooLarge is the error for a column whose values do not fit in one page of 2 GiB.
var ErrTooLarge = errors.New("a column of a row group is larger than 2 GiB")

// Writer writes rows of the struct T. Rows are in memory until Flush or Close.
type Writer[T any] struct {
	t *table
}

// NewWriter returns a writer with the text that names the writing program in the file,
// "PROGRAM version VERSION (build HASH)". The error is about the fields of T.
func NewWriter[T any](w io.Writer, createdBy string) (*Writer[T], error) {
	t := &table{w: w, createdBy: createdBy}
	if err := t.declare(reflect.TypeFor[T]()); err != nil {
		return nil, err
	}
	return &Writer[T]{t}, nil
}

// Write adds rows to the row group.
func (w *Writer[T]) Write(rows []T) {
	for i := range rows {
		row := reflect.ValueOf(&rows[i]).Elem()
		for f, add := range w.t.fields {
			add(row.Field(f))
		}
	}
	w.t.rows += len(rows)
}

// Flush writes the rows since the last call as a row group, if there are any.
func (w *Writer[T]) Flush() error { return w.t.flush() }

// Close writes what is left, and the footer. It does not close the file.
func (w *Writer[T]) Close() error { return w.t.close() }

type table struct {
	w         io.Writer
	offset    int64 // of the file, where the next byte goes
	createdBy string

	schema  []element
	columns []*column
	fields  []func(reflect.Value) // add a field's value to its columns
	rows    int                   // in the row group
	groups  []group
}

// element is a SchemaElement of parquet.thrift.
type element struct {
	name       string
	repetition int32
	kind       int32 // a physical type, for a column
	children   int32 // for a group
	logical    logicalType
}

// Values of enumerations of parquet.thrift.
const (
	required, optional, repeated = 0, 1, 2

	typeBoolean, typeInt32, typeInt64, typeByteArray = 0, 1, 2, 6

	encodingPlain, encodingRLE, encodingRLEDictionary = 0, 3, 8

	codecSnappy = 1

	pageData, pageDictionary = 0, 2
)

// logicalType is the number of a field of the union LogicalType, 0 for none.
type logicalType int

const (
	logicalString    logicalType = 1
	logicalMap       logicalType = 2
	logicalList      logicalType = 3
	logicalTimestamp logicalType = 8
)

// converted are the values of ConvertedType for older readers.
var converted = map[logicalType]int32{logicalString: 0, logicalMap: 1, logicalList: 3, logicalTimestamp: 10}

// column collects the values of a column of a row group.
type column struct {
	path   []string
	kind   int32
	maxDef int
	maxRep int

	def, rep []uint32 // levels
	values   []byte   // plain encoding, for a type that has no dictionary
	bools    []uint32
	number   int // of values with nulls
	nulls    int

	indexes    []uint32
	dictionary map[string]uint32
	words      []byte // plain encoding of the dictionary
	last       string // the value of lastIndex, which repeats from row to row
	lastIndex  uint32
	known      bool // last is set

	least, greatest int64 // of integers, for the statistics
}

// group is a row group that was written.
type group struct {
	rows   int
	offset int64
	chunks []chunk
}

// chunk is a column of a row group that was written.
type chunk struct {
	offset, data  int64 // of the first page and of the data page
	plain, packed int64 // sizes with headers, before and after compression
	values, nulls int
	low, high     []byte
	hasDictionary bool
}

// declare makes the schema of a struct.
func (t *table) declare(row reflect.Type) error {
	t.schema = append(t.schema, element{name: row.Name(), children: int32(row.NumField())})
	for i := range row.NumField() {
		f := row.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("parquet"), ",")
		isOptional := strings.HasPrefix(options, "optional")
		var add func(reflect.Value)
		switch {
		case f.Type.Kind() == reflect.String:
			c := t.text(nil, name, 0, 0, isOptional)
			add = func(v reflect.Value) { c.optionalText(0, v.String()) }
		case f.Type.Kind() == reflect.Bool:
			c := t.column(name, typeBoolean, 0)
			add = func(v reflect.Value) { c.boolean(v.Bool()) }
		case f.Type.Kind() == reflect.Int32:
			c := t.column(name, typeInt32, 0)
			add = func(v reflect.Value) { c.integer(v.Int()) }
		case f.Type == reflect.TypeFor[time.Time]():
			c := t.column(name, typeInt64, logicalTimestamp)
			add = func(v reflect.Value) { c.integer(v.Interface().(time.Time).UnixMicro()) }
		case f.Type == reflect.TypeFor[map[string]string]():
			add = t.texts(name)
		case f.Type == reflect.TypeFor[[]string]():
			add = t.list(name)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			var err error
			if add, err = t.structs(name, f.Type.Elem()); err != nil {
				return err
			}
		default:
			return fmt.Errorf("field %s: %v is not supported", f.Name, f.Type)
		}
		t.fields = append(t.fields, add)
	}
	return nil
}

// column declares a required column at the top.
func (t *table) column(name string, kind int32, logical logicalType) *column {
	t.schema = append(t.schema, element{name: name, kind: kind, logical: logical})
	c := &column{path: []string{name}, kind: kind}
	t.columns = append(t.columns, c)
	return c
}

// text declares a column of strings below a group with the path and the levels.
func (t *table) text(path []string, name string, maxDef, maxRep int, isOptional bool) *column {
	repetition := int32(required)
	if isOptional {
		repetition = optional
		maxDef++
	}
	t.schema = append(t.schema, element{name: name, repetition: repetition, kind: typeByteArray, logical: logicalString})
	c := &column{path: append(slices.Clone(path), name), kind: typeByteArray, maxDef: maxDef, maxRep: maxRep,
		dictionary: map[string]uint32{}}
	t.columns = append(t.columns, c)
	return c
}

// texts declares a map. Its columns are those of LogicalTypes.md, section Maps.
func (t *table) texts(name string) func(reflect.Value) {
	t.schema = append(t.schema, element{name: name, children: 1, logical: logicalMap},
		element{name: "key_value", repetition: repeated, children: 2})
	path := []string{name, "key_value"}
	keys, values := t.text(path, "key", 1, 1, false), t.text(path, "value", 1, 1, false)
	return func(v reflect.Value) {
		m := v.Interface().(map[string]string)
		if len(m) == 0 {
			keys.null(0, 0)
			values.null(0, 0)
		}
		for i, key := range slices.Sorted(maps.Keys(m)) {
			keys.optionalText(min(i, 1), key)
			values.optionalText(min(i, 1), m[key])
		}
	}
}

// list declares a list of strings. Its columns are those of LogicalTypes.md, section Lists.
func (t *table) list(name string) func(reflect.Value) {
	t.schema = append(t.schema, element{name: name, children: 1, logical: logicalList},
		element{name: "list", repetition: repeated, children: 1})
	c := t.text([]string{name, "list"}, "element", 1, 1, false)
	return func(v reflect.Value) {
		if v.Len() == 0 {
			c.null(0, 0)
		}
		for i := range v.Len() {
			c.optionalText(min(i, 1), v.Index(i).String())
		}
	}
}

// structs declares a list of structs of strings.
func (t *table) structs(name string, inner reflect.Type) (func(reflect.Value), error) {
	t.schema = append(t.schema, element{name: name, children: 1, logical: logicalList},
		element{name: "list", repetition: repeated, children: 1},
		element{name: "element", children: int32(inner.NumField())})
	var columns []*column
	for i := range inner.NumField() {
		f := inner.Field(i)
		if f.Type.Kind() != reflect.String {
			return nil, fmt.Errorf("field %s of a struct in a list: %v is not supported", f.Name, f.Type)
		}
		field, options, _ := strings.Cut(f.Tag.Get("parquet"), ",")
		columns = append(columns,
			t.text([]string{name, "list", "element"}, field, 1, 1, strings.HasPrefix(options, "optional")))
	}
	return func(v reflect.Value) {
		for f, c := range columns {
			if v.Len() == 0 {
				c.null(0, 0)
			}
			for i := range v.Len() {
				c.optionalText(min(i, 1), v.Index(i).Field(f).String())
			}
		}
	}, nil
}

// level adds the levels of a value.
func (c *column) level(rep, def int) {
	c.number++
	if c.maxDef > 0 {
		c.def = append(c.def, uint32(def))
	}
	if c.maxRep > 0 {
		c.rep = append(c.rep, uint32(rep))
	}
}

// null adds a value that is absent from the level def on.
func (c *column) null(rep, def int) {
	c.level(rep, def)
	c.nulls++
}

// optionalText adds a string, or null for "" in an optional column.
func (c *column) optionalText(rep int, s string) {
	if isOptional := c.maxDef > c.maxRep; isOptional && s == "" {
		c.null(rep, c.maxDef-1)
		return
	}
	c.level(rep, c.maxDef)
	if !c.known || s != c.last {
		index, ok := c.dictionary[s]
		if !ok {
			index = uint32(len(c.dictionary))
			c.dictionary[s] = index
			c.words = binary.LittleEndian.AppendUint32(c.words, uint32(len(s)))
			c.words = append(c.words, s...)
		}
		c.last, c.lastIndex, c.known = s, index, true
	}
	c.indexes = append(c.indexes, c.lastIndex)
}

// integer adds a number to a required column.
func (c *column) integer(n int64) {
	if c.number == 0 || n < c.least {
		c.least = n
	}
	if c.number == 0 || n > c.greatest {
		c.greatest = n
	}
	c.number++
	c.values = c.appendInteger(c.values, n)
}

func (c *column) appendInteger(out []byte, n int64) []byte {
	if c.kind == typeInt32 {
		return binary.LittleEndian.AppendUint32(out, uint32(n))
	}
	return binary.LittleEndian.AppendUint64(out, uint64(n))
}

// boolean adds a value to a required column.
func (c *column) boolean(v bool) {
	c.number++
	bit := uint32(0)
	if v {
		bit = 1
	}
	c.bools = append(c.bools, bit)
}

// textBound is the length of the longest string in the statistics, in bytes. A longer one
// leaves the column without bounds.
const textBound = 64

// bounds are the least and the greatest value in plain encoding, nil if there is none, one
// is too long, or the column is of booleans. Strings are in the order of their bytes.
func (c *column) bounds() (low, high []byte) {
	switch {
	case len(c.dictionary) > 0:
		words := slices.Collect(maps.Keys(c.dictionary))
		least, greatest := slices.Min(words), slices.Max(words)
		if len(least) <= textBound && len(greatest) <= textBound {
			return []byte(least), []byte(greatest)
		}
	case len(c.values) > 0:
		return c.appendInteger(nil, c.least), c.appendInteger(nil, c.greatest)
	}
	return nil, nil
}

func (t *table) write(p []byte) error {
	n, err := t.w.Write(p)
	t.offset += int64(n)
	return err
}

// begin writes what is before the first row group.
func (t *table) begin() error {
	if t.offset > 0 {
		return nil
	}
	return t.write([]byte(magic))
}

func (t *table) flush() error {
	if t.rows == 0 {
		return nil
	}
	if err := t.begin(); err != nil {
		return err
	}
	g := group{rows: t.rows, offset: t.offset}
	for _, c := range t.columns {
		written, err := t.writeColumn(c)
		if err != nil {
			return fmt.Errorf("column %s: %w", strings.Join(c.path, "."), err)
		}
		g.chunks = append(g.chunks, written)
		c.reset()
	}
	t.groups = append(t.groups, g)
	t.rows = 0
	return nil
}

// reset forgets the values. Levels and indexes keep their memory.
func (c *column) reset() {
	kept := column{path: c.path, kind: c.kind, maxDef: c.maxDef, maxRep: c.maxRep,
		def: c.def[:0], rep: c.rep[:0], indexes: c.indexes[:0], bools: c.bools[:0], values: c.values[:0]}
	if c.dictionary != nil {
		kept.dictionary = map[string]uint32{}
	}
	*c = kept
}

// writeColumn writes the dictionary, if the column has one, and one data page.
func (t *table) writeColumn(c *column) (chunk, error) {
	k := chunk{offset: t.offset, values: c.number, nulls: c.nulls, hasDictionary: c.dictionary != nil}
	k.low, k.high = c.bounds()
	if c.dictionary != nil {
		err := t.writePage(&k, c.words, pageDictionary, dictionaryHeader, func(h *thrift) {
			h.i32(1, int32(len(c.dictionary)))
			h.i32(2, encodingPlain)
		})
		if err != nil {
			return k, err
		}
	}
	k.data = t.offset
	var page []byte
	if c.maxRep > 0 {
		page = appendLevels(page, c.rep, c.maxRep)
	}
	if c.maxDef > 0 {
		page = appendLevels(page, c.def, c.maxDef)
	}
	encoding := int32(encodingPlain)
	switch {
	case c.dictionary != nil:
		encoding = encodingRLEDictionary
		width := bitWidth(len(c.dictionary) - 1)
		page = appendHybrid(append(page, byte(width)), c.indexes, width)
	case c.kind == typeBoolean:
		page = appendPacked(page, c.bools, 1)
	default:
		page = append(page, c.values...)
	}
	err := t.writePage(&k, page, pageData, dataHeader, func(h *thrift) {
		h.i32(1, int32(c.number))
		h.i32(2, encoding)
		h.i32(3, encodingRLE)
		h.i32(4, encodingRLE)
	})
	return k, err
}

// The numbers of the fields of PageHeader that describe a page of each type.
const dataHeader, dictionaryHeader = 5, 7

// writePage compresses and writes a page behind its PageHeader. The function writes the
// fields that describe a page of its type.
func (t *table) writePage(k *chunk, page []byte, pageType int32, field int16, fields func(h *thrift)) error {
	if len(page) > math.MaxInt32 {
		return ErrTooLarge
	}
	packed := snappy.Encode(nil, page)
	if len(packed) > math.MaxInt32 {
		return ErrTooLarge
	}
	var h thrift
	h.i32(1, pageType)
	h.i32(2, int32(len(page)))
	h.i32(3, int32(len(packed)))
	h.structure(field, func() { fields(&h) })
	h.stop()
	k.plain += int64(len(h.text) + len(page))
	k.packed += int64(len(h.text) + len(packed))
	if err := t.write(h.text); err != nil {
		return err
	}
	return t.write(packed)
}

// close writes the FileMetaData.
func (t *table) close() error {
	if err := t.flush(); err != nil {
		return err
	}
	if err := t.begin(); err != nil {
		return err
	}
	rows := 0
	for _, g := range t.groups {
		rows += g.rows
	}
	var h thrift
	h.i32(1, 1)
	h.structures(2, len(t.schema), func(i int) { t.schema[i].write(&h, i == 0) })
	h.i64(3, int64(rows))
	h.structures(4, len(t.groups), func(i int) { t.writeGroup(&h, i) })
	h.binary(6, []byte(t.createdBy))
	// The order of every column is that of its type.
	h.structures(7, len(t.columns), func(int) { h.structure(1, func() {}) })
	h.stop()
	footer := binary.LittleEndian.AppendUint32(h.text, uint32(len(h.text)))
	return t.write(append(footer, magic...))
}

func (e *element) write(h *thrift, isRoot bool) {
	if e.children == 0 {
		h.i32(1, e.kind)
	}
	if !isRoot {
		h.i32(3, e.repetition)
	}
	h.binary(4, []byte(e.name))
	if e.children > 0 {
		h.i32(5, e.children)
	}
	if e.logical == 0 {
		return
	}
	h.i32(6, converted[e.logical])
	h.structure(10, func() {
		h.structure(int16(e.logical), func() {
			if e.logical == logicalTimestamp {
				h.boolean(1, true)                                   // in UTC
				h.structure(2, func() { h.structure(2, func() {}) }) // microseconds
			}
		})
	})
}

func (t *table) writeGroup(h *thrift, number int) {
	g := &t.groups[number]
	plain, packed := int64(0), int64(0)
	h.structures(1, len(g.chunks), func(i int) {
		k, c := &g.chunks[i], t.columns[i]
		plain += k.plain
		packed += k.packed
		h.i64(2, k.offset)
		h.structure(3, func() { k.write(h, c) })
	})
	h.i64(2, plain)
	h.i64(3, int64(g.rows))
	h.i64(5, g.offset)
	h.i64(6, packed)
}

// write writes the ColumnMetaData.
func (k *chunk) write(h *thrift, c *column) {
	h.i32(1, c.kind)
	encodings := []int32{encodingPlain, encodingRLE}
	if k.hasDictionary {
		encodings = append(encodings, encodingRLEDictionary)
	}
	h.list(2, thriftI32, len(encodings), func(i int) { h.zigzag(int64(encodings[i])) })
	h.list(3, thriftBinary, len(c.path), func(i int) { h.bytes([]byte(c.path[i])) })
	h.i32(4, codecSnappy)
	h.i64(5, int64(k.values))
	h.i64(6, k.plain)
	h.i64(7, k.packed)
	h.i64(9, k.data)
	if k.hasDictionary {
		h.i64(11, k.offset)
	}
	h.structure(12, func() {
		h.i64(3, int64(k.nulls))
		if k.low != nil && k.high != nil {
			h.binary(5, k.high)
			h.binary(6, k.low)
		}
	})
}
