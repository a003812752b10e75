package registry

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// Hives that hivexregedit has written are read as they were meant, and as hivexml and reglookup read them.
func TestHivesByHivexregedit(t *testing.T) {
	testenv.Tool(t, "hivexregedit", "hivexml", "reglookup")
	types := []Type{None, SZ, ExpandSZ, Binary, DWord, DWordBigEndian, Link, MultiSZ, ResourceList, QWord, 0x12345}
	want := map[string][]byte{} // path, type and name of each value to its data
	var reg strings.Builder
	reg.WriteString("Windows Registry Editor Version 5.00\n\n[\\]\n")
	keys := 1
	for i := range 300 {
		path := fmt.Sprintf(`\Key %d`, i)
		if i%7 == 0 {
			path = fmt.Sprintf(`\Größe %d`, i)
		}
		for d := range i%3 + 1 {
			keys++
			fmt.Fprintf(&reg, "\n[%s]\n", path)
			for j := range i % 5 {
				typ, data := types[(i+j)%len(types)], noise((i*j*31+d)%5000)
				name := fmt.Sprintf("value %d", j)
				if j == 0 {
					name = ""
					reg.WriteString("@=")
				} else {
					fmt.Fprintf(&reg, "%q=", name)
				}
				fmt.Fprintf(&reg, "hex(%x):%s\n", uint32(typ), strings.ReplaceAll(fmt.Sprintf("% x", data), " ", ","))
				want[fmt.Sprint(strings.TrimPrefix(path, `\`), "|", name, "|", uint32(typ))] = data
			}
			path += `\below`
		}
	}
	dir := t.TempDir()
	hive, text := filepath.Join(dir, "hive"), filepath.Join(dir, "text.reg")
	for file, data := range map[string][]byte{hive: hivetest.Empty("ROOT"), text: []byte(reg.String())} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tool := func(name string, args ...string) []byte {
		t.Helper()
		var stderr bytes.Buffer
		cmd := exec.Command(name, args...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, stderr.Bytes())
		}
		return out
	}
	tool("hivexregedit", "--merge", hive, text)

	data, err := os.ReadFile(hive)
	if err != nil {
		t.Fatal(err)
	}
	h, err := openBytes(data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := count(h)
	if c.keys != keys || c.values != len(want) || c.errs != nil {
		t.Errorf("%d keys and %d values, written were %d and %d; %v", c.keys, c.values, keys, len(want), c.errs)
	}
	for what, data := range want {
		place := strings.Split(what, "|")
		k, err := h.Key(strings.ToUpper(place[0]))
		if err != nil {
			t.Fatal(err)
		}
		v, err := k.Value(strings.ToUpper(place[1]))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := v.Data(); err != nil || !bytes.Equal(got, data) || fmt.Sprint(uint32(v.Type())) != place[2] {
			t.Errorf("%s: type %d, %d bytes, %v, written were %d bytes", what, v.Type(), len(got), err, len(data))
		}
	}

	var nodes, values int
	for d := xml.NewDecoder(bytes.NewReader(tool("hivexml", hive))); ; {
		token, _ := d.Token()
		if token == nil {
			break
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "node" {
			nodes++
		} else if ok && e.Name.Local == "value" {
			values++
		}
	}
	if nodes != c.keys || values != c.values {
		t.Errorf("hivexml has %d keys and %d values", nodes, values)
	}
	if got := bytes.Count(tool("reglookup", hive), []byte(",KEY,")); got != c.keys {
		t.Errorf("reglookup has %d keys", got)
	}
}
