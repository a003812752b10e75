package main

import "testing"

func TestCutDrive(t *testing.T) {
	for path, want := range map[string][2]string{
		`C:\Windows`: {"C", `\Windows`}, "c:/Windows": {"C", "/Windows"}, "D:": {"D", ""}, `D:\`: {"D", `\`},
		"C:Windows": {"", "C:Windows"}, "1:/x": {"", "1:/x"}, "": {"", ""}, "C": {"", "C"}, "/C:/x": {"", "/C:/x"},
		"é:/x": {"", "é:/x"},
	} {
		if drive, rest := cutDrive(path); [2]string{drive, rest} != want {
			t.Errorf("%q: %q and %q, want %q", path, drive, rest, want)
		}
	}
}
