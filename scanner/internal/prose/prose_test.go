package prose

import "testing"

func TestGiB(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0.0 GiB", 1: "0 MiB", 1 << 20: "1 MiB", 107374182: "102 MiB", 107374183: "0.1 GiB",
		12_884_901_888: "12.0 GiB", 12_884_901_887: "11.9 GiB", 10<<30 - 1: "9.9 GiB", 1<<62 + 1<<29: "4294967296.5 GiB",
	} {
		if got := GiB(n); got != want {
			t.Errorf("GiB(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestCountAndSome(t *testing.T) {
	for _, c := range [][2]string{
		{Count(0, "file", "files"), "0 files"}, {Count(1, "file", "files"), "1 file"}, {Count(2, "file", "files"), "2 files"},
		{Some(nil), ""}, {Some([]string{"a", "b"}), "a, b"}, {Some([]string{"1", "2", "3", "4", "5"}), "1, 2, 3, 4, 5"}, {Some([]string{"1", "2", "3", "4", "5", "6", "7"}), "1, 2, 3, 4, 5 and 2 more"},
	} {
		if c[0] != c[1] {
			t.Errorf("%q, want %q", c[0], c[1])
		}
	}
}
