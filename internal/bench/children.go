//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/diskfs/go-diskfs/backend"
	diskfs "github.com/diskfs/go-diskfs/filesystem/ext4"
	"www.velocidex.com/golang/go-ntfs/parser"
	"www.velocidex.com/golang/regparser"

	"github.com/coldcheck/coldcheck/ext4"
	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
	"github.com/coldcheck/coldcheck/xfs"
)

// children are the parts of this program that run in separate processes, so
// that they can be measured or killed.
var children map[string]func(args []string) error

func init() {
	children = map[string]func([]string) error{
		"build":     build,
		"record":    record,
		"latency":   latency,
		"ntfs":      readNTFS,
		"go-ntfs":   readGoNTFS,
		"ext4":      readExt4,
		"xfs":       readXFS,
		"go-diskfs": readGoDiskFS,
		"registry":  readRegistry,
		"regparser": readRegparser,
		"front":     readFront,
		"random":    readRandom,
	}
}

// enough is an error if a reader found fewer files than the volume has.
func enough(files, least int64) error {
	if files < least {
		return fmt.Errorf("only %d files", files)
	}
	return nil
}

// readNTFS opens a volume and adds up all that is on it.
func readNTFS(args []string) error {
	return withNTFS(args[0], func(f *ntfs.FS) error {
		totals, err := f.Tree(".")
		return cmp.Or(err, enough(totals.Files, 100_000))
	})
}

// readGoNTFS goes once through $MFT, which is the fastest that go-ntfs can do.
func readGoNTFS(args []string) error {
	return withSection(args[0], func(r *io.SectionReader) error {
		const page, pages = 1 << 16, 1 << 10 // a cache: go-ntfs reads a few bytes at a time
		cached, err := parser.NewPagedReader(r, page, pages)
		if err != nil {
			return err
		}
		volume, err := parser.GetNTFSContext(cached, 0)
		if err != nil {
			return err
		}
		mft, err := volume.GetMFT(0)
		if err != nil {
			return err
		}
		data, err := parser.OpenStream(volume, mft, 128, parser.WILDCARD_STREAM_ID, parser.WILDCARD_STREAM_NAME)
		if err != nil {
			return err
		}
		count := int64(0)
		for range parser.ParseMFTFile(context.Background(), data, parser.RangeSize(data), volume.ClusterSize,
			volume.RecordSize) {
			count++
		}
		return enough(count, 100_000)
	})
}

// readExt4 opens a volume and adds up all that is on it.
func readExt4(args []string) error {
	return withSection(args[0], func(r *io.SectionReader) error {
		f, err := ext4.Open(context.Background(), r, r.Size(), ext4.Options{})
		if err != nil {
			return err
		}
		totals, err := f.Tree(".")
		return cmp.Or(err, enough(totals.Files, linuxFiles))
	})
}

// readXFS does the same with XFS.
func readXFS(args []string) error {
	return withSection(args[0], func(r *io.SectionReader) error {
		f, err := xfs.Open(context.Background(), r, r.Size(), xfs.Options{})
		if err != nil {
			return err
		}
		totals, err := f.Tree(".")
		return cmp.Or(err, enough(totals.Files, linuxFiles))
	})
}

// readGoDiskFS lists every directory.
func readGoDiskFS(args []string) error {
	return withSection(args[0], func(r *io.SectionReader) error {
		f, err := diskfs.Read(storage{r}, r.Size(), 0, 512)
		if err != nil {
			return err
		}
		count := int64(0)
		for stack := []string{"."}; len(stack) > 0; {
			dir := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			entries, err := f.ReadDir(dir)
			if err != nil {
				return fmt.Errorf("%s: %w", dir, err)
			}
			for _, e := range entries {
				if e.Name() == "." || e.Name() == ".." {
					continue
				}
				count++
				if e.IsDir() {
					stack = append(stack, path.Join(dir, e.Name()))
				}
			}
		}
		return enough(count, linuxFiles)
	})
}

// storage lets go-diskfs read, and nothing else.
type storage struct{ *io.SectionReader }

func (storage) Stat() (fs.FileInfo, error)              { return nil, errors.ErrUnsupported }
func (storage) Close() error                            { return nil }
func (storage) Sys() (*os.File, error)                  { return nil, backend.ErrNotSuitable }
func (storage) Writable() (backend.WritableFile, error) { return nil, backend.ErrIncorrectOpenMode }
func (storage) Path() string                            { return "" }

// withSection opens the largest volume of an image.
func withSection(image string, use func(*io.SectionReader) error) error {
	part, err := largest(image)
	if err != nil {
		return err
	}
	file, err := os.Open(image)
	if err != nil {
		return err
	}
	defer file.Close()
	return use(io.NewSectionReader(file, part.start, part.size))
}

// What is looked up in SOFTWARE, by us and by others.
const (
	hiveKey   = `Microsoft\Windows NT\CurrentVersion`
	hiveValue = "ProductName"
)

// readRegistry opens a hive with its log and looks a value up.
func readRegistry(args []string) error {
	hive, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer hive.Close()
	var o registry.Options
	for _, name := range args[1:] {
		log, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		o.Logs = append(o.Logs, registry.Log{Name: name, R: bytes.NewReader(log), Size: int64(len(log))})
	}
	info, err := hive.Stat()
	if err != nil {
		return err
	}
	h, err := registry.Open(context.Background(), hive, info.Size(), o)
	if err != nil {
		return err
	}
	if r := h.Recovery(); r.Err != nil {
		return r.Err
	}
	k, err := h.Key(hiveKey)
	if err != nil {
		return err
	}
	v, err := k.Value(hiveValue)
	if err != nil {
		return err
	}
	_, err = v.String()
	return err
}

// readRegparser does the same with a hive that is clean.
func readRegparser(args []string) error {
	hive, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer hive.Close()
	r, err := regparser.NewRegistry(hive)
	if err != nil {
		return err
	}
	if k := r.OpenKey(hiveKey); k != nil {
		for _, v := range k.Values() {
			if v.ValueName() == hiveValue && v.ValueData().String != "" {
				return nil
			}
		}
	}
	return errors.New("the value was not found")
}

// wrapped is an image that is read through a wrapper.
func wrapped(name string, wrap func(io.ReaderAt) io.ReaderAt) scanner.Source {
	return scanner.Source{Name: name, Open: func(ctx context.Context) (*source.Source, error) {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		return source.NewReader(ctx, name, wrap(f), info.Size()), nil
	}}
}

// latency scans images each of whose reads takes longer: as on a volume that
// is restored from a snapshot while it is read, or on object storage.
func latency(args []string) error {
	delay, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	in := scanner.Input{}
	if in.ParallelReads, err = strconv.Atoi(args[1]); err != nil {
		return err
	}
	for _, name := range args[2:] {
		in.Images = append(in.Images, wrapped(name, func(r io.ReaderAt) io.ReaderAt { return slow{r, delay} }))
	}
	_, err = scanner.Scan(context.Background(), in)
	return err
}

// slow delays each read.
type slow struct {
	io.ReaderAt
	delay time.Duration
}

func (s slow) ReadAt(p []byte, off int64) (int, error) {
	time.Sleep(s.delay)
	return s.ReaderAt.ReadAt(p, off)
}

// record scans images with --sizes and writes every byte that the scan reads of
// them, once and in their order, to a file: for programs that only read it.
func record(args []string) error {
	var recorders []*recorder
	in := scanner.Input{Sizes: true}
	for _, name := range args[1:] {
		in.Images = append(in.Images, wrapped(name, func(r io.ReaderAt) io.ReaderAt {
			recorders = append(recorders, &recorder{ReaderAt: r})
			return recorders[len(recorders)-1]
		}))
	}
	in.ParallelReads = 1
	if _, err := scanner.Scan(context.Background(), in); err != nil {
		return err
	}
	out, err := os.Create(args[0])
	if err != nil {
		return err
	}
	for _, r := range recorders {
		err = errors.Join(err, r.writeTo(out))
	}
	return errors.Join(err, out.Close())
}

// recorder records the bytes that are read.
type recorder struct {
	io.ReaderAt
	mu     sync.Mutex
	pieces []piece
}

type piece struct{ begin, end int64 }

func (r *recorder) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	r.pieces = append(r.pieces, piece{off, off + int64(len(p))})
	r.mu.Unlock()
	return r.ReaderAt.ReadAt(p, off)
}

func (r *recorder) writeTo(w io.Writer) error {
	slices.SortFunc(r.pieces, func(a, b piece) int { return cmp.Compare(a.begin, b.begin) })
	done := int64(0)
	for _, p := range r.pieces {
		begin := max(p.begin, done)
		if p.end <= begin {
			continue
		}
		if _, err := io.Copy(w, io.NewSectionReader(r.ReaderAt, begin, p.end-begin)); err != nil {
			return err
		}
		done = p.end
	}
	return nil
}

// partitionArgs are the options of the Sleuth Kit for the volume on an image.
func partitionArgs(image string) ([]string, error) {
	part, err := largest(image)
	if err != nil {
		return nil, err
	}
	const sector = 512
	return []string{"-o", fmt.Sprint(part.start / sector), image}, nil
}
