package main

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/hivetest"
)

func utf16Bytes(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// runWith runs the command in a directory that holds these files.
func runWith(t *testing.T, files map[string][]byte, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	cmd := coldcheck(t, args...)
	for name, data := range files {
		write(t, filepath.Join(cmd.Dir, name), string(data))
	}
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	exit = code(t, cmd.Run())
	return out.String(), err.String(), exit
}

// A class name is shown where there is one, and hides no escape sequence.
func TestHiveClass(t *testing.T) {
	hive := hivetest.Build(hivetest.Key{Name: "ROOT",
		Subkeys: []hivetest.Key{{Name: "JD", Class: "1a2b3c4d\x1b"}, {Name: "plain"}}}, hivetest.Options{})
	for _, tt := range []struct{ args, want string }{
		{"JD --format jsonl", `{"key":"","class":"1a2b3c4d\u001b","last_write":"2020-01-01T00:00:00Z","values":[]}`},
		{"plain --format jsonl", `{"key":"","last_write":"2020-01-01T00:00:00Z","values":[]}`},
		{"JD", `JD  2020-01-01 00:00:00Z  class 1a2b3c4d<U+001B>`},
		{"plain", `plain  2020-01-01 00:00:00Z`},
	} {
		stdout, stderr, exit := runWith(t, map[string][]byte{"HIVE": hive},
			append([]string{"inspect", "hive", "HIVE"}, strings.Fields(tt.args)...)...)
		if stdout != tt.want+"\n" || stderr != "" || exit != 0 {
			t.Errorf("%s: %q, want %q; %s", tt.args, stdout, tt.want, stderr)
		}
	}
}

// Values of every type, of the right length and of a wrong one: data is there
// where it fits its type, raw always.
func TestHiveValues(t *testing.T) {
	hive := hivetest.Build(hivetest.Key{Name: "ROOT", Values: []hivetest.Value{
		{Name: "", Type: 1, Data: utf16Bytes("the default value\x00")},
		{Name: "expand", Type: 2, Data: utf16Bytes("%SystemRoot%\x00")},
		{Name: "no end", Type: 1, Data: utf16Bytes("abc")},
		{Name: "number", Type: 4, Data: []byte{1, 2, 3, 4}},
		{Name: "short number", Type: 4, Data: []byte{1, 2}},
		{Name: "big endian", Type: 5, Data: []byte{1, 2, 3, 4}},
		{Name: "large", Type: 11, Data: bytes.Repeat([]byte{0xff}, 8)},
		{Name: "list", Type: 7, Data: utf16Bytes("one\x00two\x00\x00")},
		{Name: "empty list", Type: 7, Data: utf16Bytes("\x00")},
		{Name: "bytes", Type: 3, Data: []byte{0xde, 0xad}},
		{Name: "nothing", Type: 0},
		{Name: "unknown", Type: 0x12345, Data: []byte{7}},
	}}, hivetest.Options{})
	stdout, stderr, exit := runWith(t, map[string][]byte{"HIVE": hive}, "inspect", "hive", "HIVE", "--format", "jsonl")
	want := `{"key":"","last_write":"2020-01-01T00:00:00Z","values":[` + strings.Join([]string{
		`{"name":"","type":"REG_SZ","data":"the default value","raw":"7400680065002000640065006600610075006c0074002000760061006c00750065000000"}`,
		`{"name":"expand","type":"REG_EXPAND_SZ","data":"%SystemRoot%","raw":"2500530079007300740065006d0052006f006f00740025000000"}`,
		`{"name":"no end","type":"REG_SZ","data":"abc","raw":"610062006300"}`,
		`{"name":"number","type":"REG_DWORD","data":67305985,"raw":"01020304"}`,
		`{"name":"short number","type":"REG_DWORD","raw":"0102"}`,
		`{"name":"big endian","type":"REG_DWORD_BIG_ENDIAN","raw":"01020304"}`,
		`{"name":"large","type":"REG_QWORD","data":18446744073709551615,"raw":"ffffffffffffffff"}`,
		`{"name":"list","type":"REG_MULTI_SZ","data":["one","two"],"raw":"6f006e0065000000740077006f0000000000"}`,
		`{"name":"empty list","type":"REG_MULTI_SZ","data":[],"raw":"0000"}`,
		`{"name":"bytes","type":"REG_BINARY","raw":"dead"}`,
		`{"name":"nothing","type":"REG_NONE","raw":""}`,
		`{"name":"unknown","type":"0x12345","raw":"07"}`,
	}, ",") + "]}\n"
	if d := cmp.Diff(want, stdout); d != "" || exit != 0 || stderr != "" {
		t.Errorf("exit code %d, standard error %q:\n%s", exit, stderr, d)
	}

	text, _, _ := runWith(t, map[string][]byte{"HIVE": hive}, "inspect", "hive", "HIVE")
	want = `HIVE  2020-01-01 00:00:00Z
  (Default)     REG_SZ         the default value
  expand        REG_EXPAND_SZ  %SystemRoot%
  no end        REG_SZ         abc
  number        REG_DWORD      67305985 (0x4030201)
  short number  REG_DWORD      0102
  big endian    REG_DWORD_BIG_ENDIAN  01020304
  large         REG_QWORD      18446744073709551615 (0xffffffffffffffff)
  list          REG_MULTI_SZ   one | two
  empty list    REG_MULTI_SZ   
  bytes         REG_BINARY     dead
  nothing       REG_NONE       
  unknown       0x12345        07
`
	if d := cmp.Diff(want, text); d != "" {
		t.Error(d)
	}
}

// A terminal that lists a hive of somebody else's is not its terminal: names and
// data that would move the cursor or turn the text are made visible. A program
// gets them as they are.
func TestHiveNeutral(t *testing.T) {
	evil := "\x1b]0;owned\x07\x1b[2J\r\n\u202egpj.exe\u2028"
	hive := hivetest.Build(hivetest.Key{Name: "ROOT", Subkeys: []hivetest.Key{{
		Name: "key" + evil,
		Values: []hivetest.Value{{Name: "name" + evil, Type: 1, Data: utf16Bytes(evil + "\x00")},
			{Name: "list", Type: 7, Data: utf16Bytes(evil + "\x00\x00")}},
	}}}, hivetest.Options{})
	files := map[string][]byte{"HIVE": hive}
	for _, args := range [][]string{
		{"inspect", "hive", "HIVE"}, {"inspect", "hive", "HIVE", "-R"},
		{"inspect", "hive", "HIVE", "missing" + evil}, {"inspect", "hive", "missing" + evil},
		{"inspect", "hive", "HIVE", "--format", evil}, {"inspect", "ls", evil}, {"requirements", evil}, {evil},
		{"demo", "--case", evil}, {"demo", "-o", evil}, {"scan", "--with", evil, "HIVE"}, {"scan", "--" + evil},
	} {
		stdout, stderr, _ := runWith(t, files, args...)
		if stdout+stderr == "" {
			t.Errorf("%q is silent", args)
		}
		for line := range strings.Lines(stdout + stderr) {
			for _, r := range strings.TrimSuffix(line, "\n") {
				if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
					t.Errorf("%q: %U in %q", args, r, line)
				}
			}
		}
	}
	stdout, _, _ := runWith(t, files, "inspect", "hive", "HIVE", "-R", "--format", "jsonl")
	if !strings.Contains(stdout, `"data":"\u001b]0;owned\u0007\u001b[2J\r\n`) {
		t.Errorf("data was changed: %s", stdout)
	}
}

// A dirty hive is shown as Windows would see it after recovery, or as it is on
// the disk, and the output says which.
func TestHiveLogs(t *testing.T) {
	build := func(n byte) []byte {
		return hivetest.Build(hivetest.Key{Name: "ROOT",
			Values: []hivetest.Value{{Name: "n", Type: 4, Data: []byte{n, 0, 0, 0}}}}, hivetest.Options{})
	}
	before, after := build(1), build(2)
	dirty := hivetest.Dirty(before, 6, 5)
	log := hivetest.NewFormatLog(before, after, hivetest.LogOptions{First: 6})
	for _, c := range []struct {
		name   string
		files  map[string][]byte
		args   []string
		n      string
		stderr string
	}{
		{"the log beside it", map[string][]byte{"HIVE": dirty, "HIVE.LOG1": log}, nil, "2 (0x2)",
			"HIVE was dirty: recovered from HIVE.LOG1"},
		{"the log beside it in other letters", map[string][]byte{"HIVE": dirty, "hive.log1": log}, nil, "2 (0x2)",
			"HIVE was dirty: recovered from"},
		{"another log", map[string][]byte{"HIVE": dirty, "other": log}, []string{"--log", "other"}, "2 (0x2)",
			"HIVE was dirty: recovered from other"},
		{"without its log", map[string][]byte{"HIVE": dirty, "HIVE.LOG1": log}, []string{"--no-logs"}, "1 (0x1)",
			"HIVE is dirty (sequence numbers 6 and 5); shown without its logs"},
		{"no log", map[string][]byte{"HIVE": dirty}, nil, "1 (0x1)", "HIVE: dirty hive"},
		{"clean", map[string][]byte{"HIVE": before, "HIVE.LOG1": log}, nil, "1 (0x1)", ""},
	} {
		stdout, stderr, exit := runWith(t, c.files, append([]string{"inspect", "hive", "HIVE"}, c.args...)...)
		if exit != 0 || !strings.Contains(stdout, "REG_DWORD      "+c.n) || !strings.Contains(stderr, c.stderr) ||
			(c.stderr == "") != (stderr == "") {
			t.Errorf("%s: exit code %d\n%s%s", c.name, exit, stdout, stderr)
		}
	}
}
