package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
)

// target is where a report file goes.
type target struct {
	path   string      // as it was named
	place  string      // absolute, without symbolic links
	info   fs.FileInfo // of what is there now, nil for nothing
	stream bool        // a pipe, a terminal or a device: no file can take its place
}

func findTarget(path string) (target, error) {
	t := target{path: path, place: path}
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return t, fmt.Errorf("write %s: it is a directory", path)
	case err == nil && !info.Mode().IsRegular():
		t.info, t.stream = info, true
		return t, nil
	case err == nil:
		t.info = info
		t.place, err = filepath.EvalSymlinks(path)
	case errors.Is(err, fs.ErrNotExist):
		t.place, err = filepath.EvalSymlinks(filepath.Dir(path))
		t.place = filepath.Join(t.place, filepath.Base(path))
	}
	if err == nil {
		t.place, err = filepath.Abs(t.place)
	}
	return t, t.wrap(err)
}

// oneOf returns the first of some files that the report would replace, under whatever name; "" for none.
func (t target) oneOf(files []string) string {
	for _, f := range files {
		if info, err := os.Stat(f); err == nil && t.info != nil && os.SameFile(info, t.info) {
			return f
		}
	}
	return ""
}

// wrap makes an error name the report, not the temporary file.
func (t target) wrap(err error) error {
	if err == nil {
		return nil
	}
	var path *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &path):
		err = path.Err
	case errors.As(err, &link):
		err = link.Err
	}
	return fmt.Errorf("write %s: %w", t.path, err)
}

// pendingFiles are files that are complete, or nearly, under another name in
// the folder of their place. They take their places together, or go away without a trace.
type pendingFiles struct {
	mu        sync.Mutex
	files     []pendingFile
	abandoned bool
}

type pendingFile struct {
	name   string
	target target
}

// errAbandoned is what a writer gets after abandon.
var errAbandoned = errors.New("the program is ending")

// write prepares a file.
func (p *pendingFiles) write(t target, text []byte) error {
	f, err := p.open(t)
	if err != nil {
		return t.wrap(err)
	}
	_, err = f.Write(text)
	return t.wrap(errors.Join(err, f.Close()))
}

// open creates a file for a writer, which closes it before commit.
func (p *pendingFiles) open(t target) (*os.File, error) {
	f, err := p.create(t)
	if err != nil || t.info == nil {
		return f, err
	}
	if err := f.Chmod(t.info.Mode().Perm()); err != nil { // as the file it replaces
		f.Close()
		return nil, err
	}
	return f, nil
}

// probe finds out whether a file can be written there.
func (p *pendingFiles) probe(t target) error {
	f, err := p.create(t)
	if err == nil {
		err = f.Close()
		p.discard()
	}
	return t.wrap(err)
}

// create makes a new file in the folder of the target.
func (p *pendingFiles) create(t target) (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.abandoned {
		return nil, errAbandoned
	}
	for {
		name := filepath.Join(filepath.Dir(t.place), fmt.Sprintf(".coldcheck-%08x.tmp", rand.Uint32()))
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			p.files = append(p.files, pendingFile{name, t})
		}
		return f, err
	}
}

// commit moves every file to its place.
func (p *pendingFiles) commit() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.abandoned {
		return errAbandoned
	}
	for len(p.files) > 0 {
		f := p.files[0]
		if err := os.Rename(f.name, f.target.place); err != nil {
			return f.target.wrap(err)
		}
		p.files = p.files[1:]
	}
	return nil
}

// discard removes what is pending.
func (p *pendingFiles) discard() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removeAll()
}

// abandon removes what is pending and lets nothing more be written: the
// program is about to end, whatever its other goroutines are doing.
func (p *pendingFiles) abandon() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.abandoned = true
	p.removeAll()
}

func (p *pendingFiles) removeAll() {
	for _, f := range p.files {
		os.Remove(f.name)
	}
	p.files = nil
}
