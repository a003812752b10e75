package main

import (
	"archive/tar"
	"archive/zip"
	"compress/flate"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// entry is a file of an archive.
type entry struct {
	name string // with slashes
	mode os.FileMode
	data []byte
}

// contents are the files of an archive for a platform, in their order there.
func contents(b *build, m *manual) ([]entry, error) {
	program, err := os.ReadFile(b.path)
	if err != nil {
		return nil, err
	}
	return []entry{
		{b.program(), 0o755, program},
		{"LICENSE", 0o644, m.license},
		{"THIRD_PARTY_NOTICES", 0o644, b.notices},
		{"README.md", 0o644, m.readme},
		{"CHANGELOG.md", 0o644, m.changelog},
		{"man/coldcheck.1", 0o644, m.man},
		{"completions/coldcheck.bash", 0o644, m.bash},
		{"completions/_coldcheck", 0o644, m.zsh},
		{"completions/coldcheck.fish", 0o644, m.fish},
		{"completions/coldcheck.ps1", 0o644, m.powershell},
	}, nil
}

// archiveName is the name of the archive for a platform.
func (r *release) archiveName(p platform) string {
	extension := ".tar.gz"
	if p.os == "windows" {
		extension = ".zip"
	}
	return fmt.Sprintf("coldcheck_%s_%s%s", r.number, p, extension)
}

func (r *release) writeArchive(out string, b *build, m *manual) error {
	files, err := contents(b, m)
	if err != nil {
		return err
	}
	name := r.archiveName(b.platform)
	write := writeTarGz
	if strings.HasSuffix(name, ".zip") {
		write = writeZip
	}
	return create(filepath.Join(out, name), func(w io.Writer) error { return write(w, files, r.date) })
}

// create writes a file.
func create(path string, write func(w io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return fmt.Errorf("%s: %w", path, err)
	}
	return f.Close()
}

// writeTarGz writes an archive that depends on nothing but the files and the time.
func writeTarGz(w io.Writer, files []entry, date time.Time) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := writeTar(z, files, date); err != nil {
		return err
	}
	return z.Close()
}

// writeTar writes files, and a folder before the first file in it. Their owner is root.
func writeTar(w io.Writer, files []entry, date time.Time) error {
	t := tar.NewWriter(w)
	folders := map[string]bool{}
	for _, f := range files {
		parts := strings.Split(f.name, "/")
		for i := range parts[:len(parts)-1] {
			folder := strings.Join(parts[:i+1], "/") + "/"
			if folders[folder] {
				continue
			}
			folders[folder] = true
			h := &tar.Header{Typeflag: tar.TypeDir, Name: folder, Mode: 0o755, ModTime: date, Format: tar.FormatUSTAR}
			if err := t.WriteHeader(h); err != nil {
				return err
			}
		}
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: int64(f.mode.Perm()), Size: int64(len(f.data)),
			ModTime: date, Format: tar.FormatUSTAR}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.data); err != nil {
			return err
		}
	}
	return t.Close()
}

func writeZip(w io.Writer, files []entry, date time.Time) error {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	for _, f := range files {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: date}
		h.SetMode(f.mode)
		entry, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if _, err := entry.Write(f.data); err != nil {
			return err
		}
	}
	return z.Close()
}
