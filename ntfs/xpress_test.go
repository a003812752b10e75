package ntfs

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
)

// xpressTable makes the lengths of codewords, by symbol.
func xpressTable(lengths map[int]uint8) []byte {
	table := make([]byte, 256)
	for symbol, n := range lengths {
		table[symbol/2] |= n << (symbol % 2 * 4)
	}
	return table
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// alphabetXPRESS and abcXPRESS are the examples of [MS-XCA] 3.2.
func alphabetXPRESS(t testing.TB) []byte {
	lengths := map[int]uint8{256: 4}
	for symbol := 'a'; symbol <= 'z'; symbol++ {
		lengths[int(symbol)] = 5
		if symbol > 'v' {
			lengths[int(symbol)] = 4
		}
	}
	return append(xpressTable(lengths), unhex(t, "d8 52 3e d7 94 11 5b e9 19 5f f9 d6 7c df 8d 04 00 00 00 00")...)
}

func abcXPRESS(t testing.TB) []byte {
	return append(xpressTable(map[int]uint8{'a': 3, 'b': 3, 'c': 2, 256: 2, 287: 2}), unhex(t, "a8 dc 00 00 ff 26 01")...)
}

func TestXPRESS(t *testing.T) {
	alphabet, abc := alphabetXPRESS(t), abcXPRESS(t)
	abc300 := bytes.Repeat([]byte("abc"), 100)
	cut := func(src []byte, n int) []byte { return src[:len(src)-n] }
	put := func(src []byte, at int, b ...byte) []byte {
		src = bytes.Clone(src)
		copy(src[at:], b)
		return src
	}
	// All symbols have 9 bits.
	flat := func(symbols ...int) []byte {
		w := bitWriter{out: bytes.Repeat([]byte{0x99}, 256)}
		newCode(slices.Repeat([]uint8{9}, 512)...).put(&w, symbols...)
		return append(w.bytes(), 0, 0)
	}
	for _, test := range []struct {
		name string
		src  []byte
		n    int // of dst
		want []byte
		err  string
	}{
		{"alphabet", alphabet, 26, []byte("abcdefghijklmnopqrstuvwxyz"), ""},
		{"abc", abc, 300, abc300, ""},
		{"less is wanted", alphabet, 3, []byte("abc"), ""},
		{"nothing is wanted", abc, 0, nil, ""},
		{"no code", abc[:255], 300, nil, "255 bytes"},
		{"nothing but a code", abc[:256], 300, nil, "ends"},
		{"code is empty", make([]byte, 300), 1, nil, "not complete"},
		{"code with one codeword", append(xpressTable(map[int]uint8{'a': 1}), 0, 0, 0, 0), 1, nil, "not complete"},
		{"code with too few", put(abc, 'a'/2, 0), 300, nil, "not complete"},
		{"code with too many", put(abc, 0, 1), 300, nil, "not complete"},
		{"length cut", cut(abc, 3), 300, nil, "inside a match"},
		{"long length cut", cut(abc, 1), 300, nil, "inside a match"},
		{"length of a byte", put(cut(abc, 2), 260, 254), 3 + 3 + 15 + 254, abc300[:275], ""},
		{"long length of 15", put(abc, 261, 15, 0), 3 + 18, abc300[:21], ""},
		{"long length of 14", put(abc, 261, 14, 0), 3 + 17, nil, "long match of 17 bytes"},
		{"long length of 0", put(abc, 261, 0, 0), 3 + 3, nil, "long match of 3 bytes"},
		{"match too long", abc, 299, nil, "297 bytes, 3 back, at byte 3 of 299"},
		{"longest match", put(abc, 261, 0xFF, 0xFF), 300, nil, "65538 bytes, 3 back"},
		{"match before the start", flat('a', 256+0x10), 10, nil, "3 bytes, 2 back, at byte 1"},
		{"match at the start", flat(256), 10, nil, "3 bytes, 1 back, at byte 0"},
		{"match with the symbol of the end", flat('a', 256, 'b', 256), 8, []byte("aaaabbbb"), ""},
		{"farthest match", flat('a', 256+0xF0), 10, nil, "32768 back"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dst := bytes.Repeat([]byte{'x'}, test.n)
			err := new(decoder).xpress(dst, test.src)
			if test.err != "" {
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%v, want …%s…", err, test.err)
				}
			} else if err != nil || !bytes.Equal(dst, test.want) {
				t.Errorf("%q, %v", dst, err)
			}
		})
	}
	cutAnywhere(t, (*decoder).xpress, alphabet, []byte("abcdefghijklmnopqrstuvwxyz"))
	cutAnywhere(t, (*decoder).xpress, abc, abc300)
}

// cutAnywhere makes sure that no part of the data is taken for the whole,
// unless what is cut off is not needed.
func cutAnywhere(t *testing.T, unpack func(*decoder, []byte, []byte) error, src, want []byte) {
	t.Helper()
	d := new(decoder)
	dst := make([]byte, len(want))
	if err := unpack(d, dst, src); err != nil || !bytes.Equal(dst, want) {
		t.Errorf("whole: %v", err)
	}
	for n := range src {
		err := unpack(d, dst, src[:n])
		if err == nil && !bytes.Equal(dst, want) {
			t.Errorf("%d of %d bytes: other data and no error", n, len(src))
		}
		if err == nil && n < len(src)-6 {
			t.Errorf("%d of %d bytes are enough", n, len(src))
		}
	}
}
