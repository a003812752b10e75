package container

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// maxParts bounds how many parts a split image has.
const maxParts = 10_000

// OpenSplit opens the disk of a split raw image whose first part is first. The parts
// are in one folder. The ends of their names count them, as dd, split and FTK Imager
// name them: .000 or .001 and so on, .00, .aa, .aaa. The disk is nil if first has no
// such name, or if no part before or after it exists. Any complete image may have
// such a name too, so ask only about one that looks truncated.
//
// The error is ErrNotImage if first is a part but not the first one; its Hint() says
// which one is. It is ErrIncomplete if a part is missing, or a part but the last does
// not have the size of the first, and ErrLimit above 10,000 parts. Closing the disk
// closes first; if OpenSplit fails, the caller must close it.
func OpenSplit(ctx context.Context, first *source.Source) (Disk, error) {
	o := splitOpener{ctx: ctx, first: first, extension: filepath.Ext(first.Name())}
	d, err := o.open()
	if err != nil {
		o.close()
		return nil, fmt.Errorf("%s: %w", first.Name(), err)
	}
	if d == nil {
		return nil, nil
	}
	return d, nil
}

// split is the mapping of a disk in parts of one size.
type split struct {
	nothingPacked
	parts []*source.Source
	part  int64 // size of each in bytes; the last may be smaller
}

func (s split) extent(off int64) (extent, error) {
	n, within := off/s.part, off%s.part
	return extent{where: stored, size: s.parts[n].Size() - within, file: s.parts[n], at: within}, nil
}

// splitOpener opens the parts of one image.
type splitOpener struct {
	ctx       context.Context
	first     *source.Source
	extension string           // of the part that is named, with the dot
	parts     []*source.Source // without the first
}

// close closes the parts after the first.
func (o *splitOpener) close() {
	for _, p := range o.parts {
		p.Close()
	}
}

func (o *splitOpener) open() (*mapped, error) {
	ends, err := o.openParts()
	if err != nil || len(ends) < 2 {
		return nil, err
	}
	return o.join(ends)
}

// openParts opens the parts after the first, and returns the ends of the names of all;
// none if there are no others.
func (o *splitOpener) openParts() ([]string, error) {
	ways := countings(strings.TrimPrefix(o.extension, "."))
	var starts []counting
	for _, c := range ways {
		before, err := o.exists(c.at(c.number - 1))
		if err != nil {
			return nil, err
		}
		if before {
			return nil, o.notFirst(c)
		}
		if c.number == 0 || c.number == 1 && c.fromOne {
			starts = append(starts, c)
		}
	}
	if len(starts) > 0 {
		return o.collect(starts)
	}
	for _, c := range ways {
		if after, err := o.exists(c.at(c.number + 1)); err != nil || after {
			return nil, cmp.Or(err, o.notFirst(c))
		}
	}
	return nil, nil
}

// collect opens the parts after the first, and returns the ends of the names of all.
// The ways to count go on together until they differ; the first that has a next part
// is the right one then.
func (o *splitOpener) collect(ways []counting) ([]string, error) {
	ends := []string{strings.TrimPrefix(o.extension, ".")}
	left := make([]int, len(ways)) // in which number a way was left; 0 before that
	for n := 1; ; n++ {
		end := ""
		for i, c := range ways {
			switch at := c.at(c.number + n); {
			case left[i] != 0, end != "" && at == end:
			case end != "":
				left[i] = c.number + n
			default:
				part, err := o.beside(at)
				if errors.Is(err, fs.ErrNotExist) {
					left[i] = c.number + n
				} else if err != nil {
					return nil, err
				} else {
					end, o.parts = at, append(o.parts, part)
				}
			}
		}
		if end == "" {
			break
		}
		if ends = append(ends, end); len(ends) > maxParts {
			return nil, fmt.Errorf("it is the first of more than %d parts: %w", maxParts, ErrLimit)
		}
	}
	if len(ends) < 2 {
		return ends, nil
	}
	return ends, o.lookAhead(ways, left, ends)
}

// lookAhead looks for parts after one that is missing: for the next 32 in each way to
// count.
func (o *splitOpener) lookAhead(ways []counting, left []int, ends []string) error {
	for i, c := range ways {
		gap := ""
		for n := left[i]; n <= left[i]+32; n++ {
			end := c.at(n)
			if end == "" || slices.Contains(ends, end) {
				continue
			}
			there, err := o.exists(end)
			switch {
			case err != nil:
				return err
			case !there:
				gap = cmp.Or(gap, end)
			default:
				return hinted{fmt.Errorf("it is the first part of a split image that has %s but not %s: %w",
					o.base(end), o.base(cmp.Or(gap, ends[len(ends)-1]+" and the next")), ErrIncomplete),
					"copy all parts to one folder"}
			}
		}
	}
	return nil
}

// join makes the disk.
func (o *splitOpener) join(ends []string) (*mapped, error) {
	parts, part, size := append([]*source.Source{o.first}, o.parts...), o.first.Size(), int64(0)
	for n, p := range parts {
		if p.Size() > part || p.Size() < part && n < len(parts)-1 {
			return nil, hinted{
				fmt.Errorf("%s, part %d of %d of this split image, has %d bytes, but the first has %d: %w",
					o.base(ends[n]), n+1, len(parts), p.Size(), part, ErrIncomplete),
				"copy all parts again; if they are complete, join them: " + o.joinCommand(ends)}
		}
		size += p.Size()
	}
	d := newMapped("split raw", size, split{parts: parts, part: part}, parts...)
	d.detail = fmt.Sprintf("%d parts", len(parts))
	return d, nil
}

// notFirst is the error for a part that is not the first.
func (o *splitOpener) notFirst(c counting) error {
	reach := func(step int) (n int, err error) {
		for n = c.number; n-c.number < maxParts && c.number-n < maxParts; n += step {
			if there, err := o.exists(c.at(n + step)); err != nil || !there {
				return n, err
			}
		}
		return n, nil
	}
	first, err := reach(-1)
	if err != nil {
		return err
	}
	last, err := reach(1)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("part %d of %d of a split image", c.number-first+1, last-first+1)
	name := prose.Quote(o.path(c.at(first)))
	if first == 0 || first == 1 && c.fromOne {
		return kind.NotImage(what, "name the first part: "+name)
	}
	return kind.NotImage(what, "the parts before "+name+" are missing: copy all parts to one folder")
}

// beside opens the part whose name ends so. None has an empty end.
func (o *splitOpener) beside(end string) (*source.Source, error) {
	if end == "" {
		return nil, fs.ErrNotExist
	}
	return o.first.Beside(o.ctx, filepath.Base(o.path(end)))
}

// exists reports whether there is a part whose name ends so. One that cannot be opened
// is there; a folder is none.
func (o *splitOpener) exists(end string) (bool, error) {
	part, err := o.beside(end)
	switch {
	case o.ctx.Err() != nil:
		return false, context.Cause(o.ctx)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrInvalid):
		return false, nil
	case err == nil:
		part.Close()
	}
	return true, nil
}

// path is the name of the part that ends so.
func (o *splitOpener) path(end string) string {
	return strings.TrimSuffix(o.first.Name(), o.extension) + "." + end
}

func (o *splitOpener) base(end string) string { return filepath.Base(o.path(end)) }

// joinCommand is the command that writes one file from the parts.
func (o *splitOpener) joinCommand(ends []string) string {
	image := prose.Quote(RawName(o.first.Name()))
	if runtime.GOOS == "windows" {
		return o.copyCommand(ends, image)
	}
	return o.catCommand(ends) + " >" + image
}

// copyCommand is the command of Windows that writes a file from the parts.
func (o *splitOpener) copyCommand(ends []string, file string) string {
	var parts []string
	for _, end := range ends {
		parts = append(parts, prose.Quote(o.path(end)))
	}
	return "cmd /c copy /b " + strings.Join(parts, "+") + " " + file
}

// catCommand is the command of other systems that writes the parts to standard output.
// Many of them are named by patterns.
func (o *splitOpener) catCommand(ends []string) string {
	var parts []string
	for _, end := range ends {
		parts = append(parts, argument(o.path(end)))
	}
	if len(parts) > 8 {
		parts = patterns(argument(o.path("")), ends)
	}
	return "cat " + strings.Join(parts, " ")
}

// patterns match the names of parts that are counted with the same number of digits,
// which a shell sorts in the order of the parts.
func patterns(prefix string, ends []string) (list []string) {
	for len(ends) > 0 {
		same := slices.IndexFunc(ends, func(end string) bool { return len(end) != len(ends[0]) })
		if same < 0 {
			same = len(ends)
		}
		list = append(list, prefix+pattern(ends[:same]))
		ends = ends[same:]
	}
	return list
}

// pattern matches names of one length: at each place any of the characters that one
// of them has there, and those between.
func pattern(names []string) string {
	var b strings.Builder
	for i := range names[0] {
		low, high := names[0][i], names[0][i]
		for _, n := range names {
			low, high = min(low, n[i]), max(high, n[i])
		}
		switch {
		case low == high:
			b.WriteByte(low)
		case low <= '9' && high >= 'a': // hexadecimal digits
			fmt.Fprintf(&b, "[%c-9a-%c]", low, high)
		default:
			fmt.Fprintf(&b, "[%c-%c]", low, high)
		}
	}
	return b.String()
}
