package machine

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
)

// shortcut builds a shell link ([MS-SHLLINK] 2.1 to 2.3) to a local path, as
// Unicode too if wide, or to a share.
func shortcut(local, share string, wide bool) []byte {
	header := make([]byte, 0x4C)
	le.PutUint32(header, 0x4C)
	le.PutUint32(header[0x14:], linkHasTargetIDList|linkHasLinkInfo)
	list := []byte{4, 0, 0xAA, 0xBB, 0, 0}
	headerSize := 0x1C
	if wide {
		headerSize = 0x24
	}
	info := make([]byte, headerSize)
	le.PutUint32(info[4:], uint32(headerSize))
	if local != "" {
		le.PutUint32(info[8:], 1)
		le.PutUint32(info[0x10:], uint32(len(info)))
		info = append(append(info, local...), 0)
		if wide {
			le.PutUint32(info[0x1C:], uint32(len(info)))
			for _, u := range append(utf16.Encode([]rune(local)), 0) {
				info = binary.LittleEndian.AppendUint16(info, u)
			}
		}
	}
	if share != "" {
		le.PutUint32(info[8:], 2)
		le.PutUint32(info[0x14:], uint32(len(info)))
		network := make([]byte, 0x14)
		le.PutUint32(network[8:], 0x14)
		info = append(append(append(info, network...), share...), 0)
	}
	le.PutUint32(info, uint32(len(info)))
	return append(append(header, list...), info...)
}

func TestParseShortcut(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"local":   {shortcut(`D:\Tool\tool.exe`, "", false), `D:\Tool\tool.exe`},
		"unicode": {shortcut(`D:\Werkzeug\Tool.exe`, "", true), `D:\Werkzeug\Tool.exe`},
		"share":   {shortcut("", `\\server\tools`, false), `\\server\tools`},
		"nothing": {shortcut("", "", false), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseShortcut(c.data)
			if err != nil || got != c.want {
				t.Errorf("%q, %v", got, err)
			}
			if c.want == "" {
				return
			}
			for i := range c.data {
				if got, err := parseShortcut(c.data[:i]); err == nil {
					t.Errorf("%d of %d bytes are read as %q", i, len(c.data), got)
				}
			}
		})
	}
}

// TestShortcutWithoutPath shows what is known of a link that has no link info:
// the place that its item identifiers begin with.
func TestShortcutWithoutPath(t *testing.T) {
	item := func(kind byte, pad int, text string) []byte {
		b := append(append([]byte{0, 0, kind}, make([]byte, pad)...), text...)
		le.PutUint16(b, uint16(len(b)))
		return b
	}
	computer := item(0x1F, 1, strings.Repeat("x", 16))
	for name, c := range map[string]struct {
		items [][]byte
		want  string
	}{
		"a drive":             {[][]byte{computer, item(0x2F, 0, "D:\\\x00\x00"), item(0x31, 0, "folder\x00")}, `D:\`},
		"a share":             {[][]byte{computer, item(0x42, 2, "\\\\server\\tools\x00")}, `\\server\tools`},
		"neither":             {[][]byte{computer}, ""},
		"a drive without end": {[][]byte{item(0x2F, 0, `D:\`)}, ""},
		"no item":             {nil, ""},
		"an item of no size":  {[][]byte{{1, 0}, item(0x2F, 0, "D:\\\x00")}, ""},
		"an item beyond it":   {[][]byte{{9, 0, 0x2F}}, ""},
	} {
		link := shortcut("", "", false)[:0x4C]
		le.PutUint32(link[0x14:], linkHasTargetIDList)
		list := append(bytes.Join(c.items, nil), 0, 0)
		link = append(le.AppendUint16(link, uint16(len(list))), list...)
		if got, err := parseShortcut(link); got != c.want || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestParseTask(t *testing.T) {
	task := `<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <Principals><Principal id="Other"><UserId>CORP\jdoe</UserId></Principal><Principal id="Author"><UserId>S-1-5-18</UserId></Principal></Principals>
  <Actions Context="Author"><Exec><Command>D:\Tool\tool.exe</Command><Arguments>-x</Arguments></Exec><Exec><Command>cmd</Command></Exec></Actions>
</Task>`
	wide := []byte{0xFF, 0xFE}
	for _, u := range utf16.Encode([]rune(task)) {
		wide = binary.LittleEndian.AppendUint16(wide, u)
	}
	for name, data := range map[string][]byte{"UTF-16": wide, "UTF-16 without a mark": wide[2:], "UTF-8": []byte(task),
		"UTF-8 with a mark": append([]byte{0xEF, 0xBB, 0xBF}, task...)} {
		got, err := parseTask(data)
		if diff := cmp.Diff([]Task{{Command: `D:\Tool\tool.exe`, Arguments: "-x", Account: "S-1-5-18"},
			{Command: "cmd", Account: "S-1-5-18"}}, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
	if _, err := parseTask([]byte(strings.TrimSuffix(task, "</Task>"))); err == nil {
		t.Error("a task that is cut short is read")
	}
}

func FuzzParseShortcut(f *testing.F) {
	f.Add(shortcut(`D:\Tool\tool.exe`, "", true))
	f.Add(shortcut("", `\\server\tools`, false))
	f.Fuzz(func(t *testing.T, data []byte) {
		path, err := parseShortcut(data)
		if err != nil && path != "" {
			t.Errorf("%q with the error %v", path, err)
		}
		if len(path) > 4*len(data) {
			t.Errorf("a path of %d bytes out of %d", len(path), len(data))
		}
	})
}

func FuzzDecodeText(f *testing.F) {
	f.Add([]byte{0xFF, 0xFE, 'a', 0})
	f.Add([]byte{0xFE, 0xFF, 0, 'a', 0})
	f.Add([]byte("a\x00b\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got := DecodeText(data); len(got) > 3*len(data) {
			t.Errorf("%d bytes of text out of %d", len(got), len(data))
		}
		if commands, err := parseTask(data); err == nil && len(commands) > len(data) {
			t.Errorf("%d commands out of %d bytes", len(commands), len(data))
		}
	})
}

// FuzzExpand holds the expansion of variables to a bound: values are not
// expanded again, so that no value can grow without end.
func FuzzExpand(f *testing.F) {
	f.Add(`%SystemRoot%\system32`, "SYSTEMROOT", `C:\Windows`)
	f.Add("%A%", "A", "%A%%A%")
	f.Fuzz(func(t *testing.T, s, name, value string) {
		env := Environment{strings.ToUpper(name): value, "SYSTEMROOT": `C:\Windows`, "SYSTEMDRIVE": "C:"}
		if got := env.Expand(s); len(got) > (len(s)+1)*(max(len(value), len(`C:\Windows`))+1) {
			t.Errorf("%d bytes out of %d", len(got), len(s))
		}
		env.Program(s)
	})
}

func FuzzParseSID(f *testing.F) {
	f.Add([]byte{1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if sid, err := ParseSID(data); err == nil && !strings.HasPrefix(sid, "S-1-") {
			t.Error(sid)
		}
		LSAString(data)
	})
}
