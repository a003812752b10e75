package fsconform

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/bytename"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// checkMount compares all names, their metadata and content with another
// implementation.
func checkMount(t *testing.T, s System) {
	image := s.Image(t)
	v := s.open(t, image)
	file := filepath.Join(testenv.ImageDir(t), "image")
	if err := os.WriteFile(file, image, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := s.Mount(t, file)
	met := map[string]bool{}
	if err := filepath.WalkDir(dir, func(place string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		raw, err := filepath.Rel(dir, place)
		if err != nil {
			return err
		}
		name := bytename.EncodePath([]byte(raw))
		met[name] = true
		want, err := e.Info()
		if err != nil {
			return err
		}
		got, err := v.Lstat(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return nil
		}
		if s.MapsModes && got.Mode() != want.Mode() || !s.MapsModes && got.IsDir() != want.IsDir() {
			t.Errorf("%s: %v, mounted it is %v", name, got.Mode(), want.Mode())
		}
		switch {
		case want.Mode()&fs.ModeSymlink != 0 && s.MapsModes:
			target, err := os.Readlink(place)
			if err != nil {
				return err
			}
			if says, err := v.ReadLink(name); err != nil || says != bytename.EncodePath([]byte(target)) {
				t.Errorf("%s says %q (%v), mounted it says %q", name, says, err, target)
			}
		case want.Mode().IsRegular():
			data, err := os.ReadFile(place)
			if err != nil {
				return fmt.Errorf("mounted: %w", err)
			}
			if read, err := v.ReadFile(name); err != nil && !refused(err) || err == nil && !bytes.Equal(read, data) {
				t.Errorf("%s: %d bytes (%v), mounted it has %d", name, len(read), err, len(data))
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range paths(t, v) {
		// The files of NTFS for itself are not shown by others.
		if !met[name] && (s.MapsModes || !strings.HasPrefix(name, "$")) {
			t.Errorf("%s is not there when the volume is mounted", name)
		}
	}
}
