package ntfs

import (
	"bytes"
	"os"
	"testing"
)

// writeWOF makes a file as WOF leaves it: the unnamed $DATA is a hole, the
// stream WofCompressedData holds the content.
func (v *volume3g) writeWOF(name string, algorithm int, stored []byte, size int64) {
	v.t.Helper()
	v.check(os.WriteFile(v.path(name), nil, 0o666))
	v.check(os.Truncate(v.path(name), size))
	v.check(os.WriteFile(v.path(name+":"+wofStream), stored, 0o666))
	v.setReparse(name, wofReparse(algorithm))
}

// Files that are compressed, as they lie on a volume, are read and described
// as if they were not.
func TestWOF3g(t *testing.T) {
	v := makeVolume(t, 256<<20, "-c", "4096")
	want := map[string][]byte{}
	v.mounted(func() {
		for i := range wofAlgorithms {
			algorithm := &wofAlgorithms[i]
			contents := wofContents(t, int(algorithm.chunk))
			v.check(os.Mkdir(v.path(algorithm.name), 0o777))
			for name, stored := range wofStreams(t, algorithm, 20, contents) {
				path := algorithm.name + "/" + name
				want[path] = contents[name]
				v.writeWOF(path, i, stored, int64(len(contents[name])))
			}
		}
	})
	f := v.open()
	if d := f.Damage(); d.Count != 0 || len(d.Notes) != 0 {
		t.Errorf("damage: %+v", d)
	}
	for name, data := range want {
		got, err := f.ReadFile(name)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes of %d: %v", name, len(got), len(data), err)
		}
		info, err := f.Stat(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if e := info.Sys().(*Entry); info.Size() != int64(len(data)) || !e.WOF || !info.Mode().IsRegular() {
			t.Errorf("%s: %v, %+v", name, info.Mode(), e)
		}
	}
}
