package main

import (
	"testing"

	"github.com/coldcheck/coldcheck/internal/memory"
)

func TestMemorySize(t *testing.T) {
	for text, want := range map[string]int64{
		"134217728": memory.Least, "134217728B": memory.Least, "131072k": memory.Least, "131072KiB": memory.Least,
		"128M": memory.Least, "128m": memory.Least, "128 MiB": memory.Least, "128MiB": memory.Least, "0128M": memory.Least,
		"1G": 1 << 30, "1GiB": 1 << 30, "1GB": 1e9, "200mb": 200e6, "200000kB": 200e6,
		"8589934591G": 8589934591 << 30, "9223372036854775807": 1<<63 - 1,
		"134217727": 0, "127M": 0, "134MB": 0, "0": 0, "-1G": 0, "": 0, "M": 0, "MiB": 0, "1T": 0, "128Mi": 0, "1.5G": 0,
		"0x10000000":  0,
		"8589934592G": 0, "9223372036854775808": 0, "512M512M": 0, "512é": 0,
	} {
		var s memorySize
		err := s.Set(text)
		if (err == nil) != (want != 0) || int64(s) != want {
			t.Errorf("%q: %d, %v, want %d", text, s, err, want)
		}
	}
	for n, want := range map[memorySize]string{memory.Least: "128MiB", memory.Default: "512MiB", 3 << 30: "3GiB",
		1 << 40: "1024GiB", 200e6: "200000000", 131073 << 10: "131073KiB"} {
		if n.String() != want {
			t.Errorf("%d: %q, want %q", n, n, want)
		}
		var s memorySize
		if err := s.Set(n.String()); err != nil || s != n {
			t.Errorf("%q: %d, %v", n, s, err)
		}
	}
}
