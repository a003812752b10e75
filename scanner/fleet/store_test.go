package fleet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/remotetest"
	"github.com/coldcheck/coldcheck/scanner/source"
)

func openStore(t *testing.T, name string, o source.Options) Store {
	t.Helper()
	s, err := OpenStore(t.Context(), name, StoreOptions{o})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// onStores runs a test on a store in a folder and on one in S3. open opens the same store
// again.
func onStores(t *testing.T, test func(t *testing.T, open func() Store)) {
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(t.TempDir(), "a", "b")
		test(t, func() Store { return openStore(t, dir, source.Options{}) })
	})
	t.Run("S3", func(t *testing.T) {
		t.Parallel()
		server := remotetest.S3(t)
		test(t, func() Store {
			return openStore(t, "s3://"+remotetest.Bucket+"/a/b", source.Options{AWS: server.AWS})
		})
	})
}

func ids(t *testing.T, s Store) (list []string) {
	t.Helper()
	for id, err := range s.IDs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, id)
	}
	slices.Sort(list)
	return list
}

// TestStore: records are kept, replaced and listed.
func TestStore(t *testing.T) {
	t.Parallel()
	onStores(t, func(t *testing.T, open func() Store) {
		s, ctx := open(), t.Context()
		if err := s.Probe(ctx); err != nil {
			t.Fatal(err)
		}
		if list := ids(t, s); len(list) > 0 {
			t.Errorf("the probe leaves %q", list)
		}
		if has, err := s.Has(ctx, "x"); has || err != nil {
			t.Errorf("%t, %v", has, err)
		}
		if _, err := s.Get(ctx, "x"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
		put := func(id, text string, over Over, want bool, left string) {
			t.Helper()
			if written, err := s.Put(ctx, id, []byte(text), over); written != want || err != nil {
				t.Errorf("%s: %t, %v", id, written, err)
			}
			if data, err := open().Get(ctx, id); string(data) != left || err != nil {
				t.Errorf("%s: %q, %v", id, data, err)
			}
			if has, err := s.Has(ctx, id); !has || err != nil {
				t.Errorf("%s: %t, %v", id, has, err)
			}
		}
		put("x", "first", Keep, true, "first")
		put("x", "second", Keep, false, "first")
		put("x", "third", Replace, true, "third")
		put("y", "new", Replace, true, "new")
		put("..", "", Keep, true, "")
		long := strings.Repeat("z", 128)
		put(long, strings.Repeat("large ", 1<<17), Keep, true, strings.Repeat("large ", 1<<17))
		if list := ids(t, s); !slices.Equal(list, []string{"..", "x", "y", long}) {
			t.Errorf("%q", list)
		}
		if err := s.Probe(ctx); err != nil {
			t.Error(err)
		}
		n := 0
		for range s.IDs(ctx) {
			n++
			break
		}
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		if written, err := s.Put(canceled, "c", []byte("late"), Keep); written || !errors.Is(err, context.Canceled) {
			t.Errorf("%t, %v", written, err)
		}
		for _, err := range s.IDs(canceled) {
			if n++; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		}
		if n != 2 {
			t.Errorf("%d ids", n)
		}
	})
}

// TestStoreTwoAtOnce: of many that write the same record at the same time, one does, and
// the record is that one's.
func TestStoreTwoAtOnce(t *testing.T) {
	t.Parallel()
	onStores(t, func(t *testing.T, open func() Store) {
		stores := []Store{open(), open()}
		for round := range 10 {
			id := fmt.Sprint(round)
			var all sync.WaitGroup
			var winner atomic.Pointer[string]
			var won atomic.Int64
			for n := range 8 {
				all.Go(func() {
					text := strings.Repeat(fmt.Sprint(n), 10_000)
					written, err := stores[n%2].Put(t.Context(), id, []byte(text), Keep)
					if err != nil {
						t.Error(err)
					}
					if written {
						won.Add(1)
						winner.Store(&text)
					}
				})
			}
			all.Wait()
			data, err := stores[0].Get(t.Context(), id)
			if err != nil || won.Load() != 1 || string(data) != *winner.Load() {
				t.Fatalf("%d wrote it, and it is %.10q, %v", won.Load(), data, err)
			}
		}
		if list := ids(t, stores[1]); len(list) != 10 {
			t.Errorf("%q", list)
		}
	})
}

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { clear(p); return len(p), nil }

// TestStoreLargeRecord: a record is read at the bound, and refused above it.
func TestStoreLargeRecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, source.Options{})
	if err := os.Mkdir(filepath.Join(dir, records), 0o777); err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int64]error{MaxRecord: nil, MaxRecord + 1: ErrRecord} {
		name := filepath.Join(dir, records, "x.json")
		if err := os.WriteFile(name, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(name, size); err != nil {
			t.Fatal(err)
		}
		if data, err := s.Get(t.Context(), "x"); !errors.Is(err, want) || err == nil && int64(len(data)) != size {
			t.Errorf("%d bytes: %d, %v", size, len(data), err)
		}
	}
	server := remotetest.S3(t)
	server.PutLarge("records/x.json", zeros{}, MaxRecord+1)
	remote := openStore(t, "s3://"+remotetest.Bucket, source.Options{AWS: server.AWS})
	if _, err := remote.Get(t.Context(), "x"); !errors.Is(err, ErrRecord) {
		t.Error(err)
	}
}

// TestFolderOthers: files that are no records are not listed, among them what a process
// leaves that was killed.
func TestFolderOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openStore(t, dir, source.Options{})
	if list := ids(t, s); len(list) > 0 {
		t.Errorf("%q before anything was written", list)
	}
	if _, err := s.Put(t.Context(), "x", []byte("x"), Keep); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		".coldcheck-ABC.tmp", ".coldcheck-ABC.tmp.probe", "y.json.tmp", "z.txt", "a b.json", ".json",
		strings.Repeat("l", 129) + ".json"} {
		if err := os.WriteFile(filepath.Join(dir, records, name), []byte("{"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if list := ids(t, s); !slices.Equal(list, []string{"x"}) {
		t.Errorf("%q", list)
	}
	missing := openStore(t, filepath.Join(dir, "missing"), source.Options{})
	for _, err := range missing.IDs(t.Context()) {
		if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, kind.IO) {
			t.Error(err)
		}
	}
}

// TestFolderErrors: what no record can be written to is an error at once, and does not
// pass.
func TestFolderErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	inWay := filepath.Join(dir, "in-way")
	if err := os.MkdirAll(inWay, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(inWay, records), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{file, filepath.Join(file, "below"), inWay} {
		failsToWrite(t, openStore(t, name, source.Options{}))
	}
	for _, name := range []string{"", "ebs:snap-1", "https://example.com/x", "s3://", "s3:///x", "s3://b/x?versionId=1"} {
		if s, err := OpenStore(t.Context(), name, StoreOptions{}); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v, %v", name, s, err)
		}
	}
}

// failsToWrite expects errors for good.
func failsToWrite(t *testing.T, s Store) {
	t.Helper()
	_, err := s.Put(t.Context(), "x", bytes.Repeat([]byte("x"), 100_000), Keep)
	for _, err := range []error{err, s.Probe(t.Context())} {
		if !errors.Is(err, kind.IO) || errors.Is(err, kind.Passing) {
			t.Errorf("%s: %v", s, err)
		}
	}
}
