package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/source"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

func (p *program) inspectCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "inspect",
		Short: "Look into an image, a registry hive or an event log",
		Long: `Look into an image or a registry hive with the readers that scan uses. Damage is
reported on standard error and does not change the exit code.`,
		Example: `coldcheck inspect volumes root.img
coldcheck inspect ls root.img 'C:\Windows\Panther'
coldcheck inspect reg root.img 'HKLM\SYSTEM\CurrentControlSet\Services\WinRM'`,
	}
	c.PersistentPreRun = func(*cobra.Command, []string) { p.memory = memory.New(int64(p.maxMemory)) }
	group(c, p.inspectVolumesCommand(), p.inspectLsCommand(), p.inspectCatCommand(), p.inspectRegCommand(),
		p.inspectHiveCommand(), p.inspectEvtxCommand())
	memoryFlag(c, &p.maxMemory)
	p.noProgressFlag(c)
	return c
}

// inspectFormats are the formats of the inspect commands: for people, and a JSON object a line.
var inspectFormats = []string{"text", "jsonl"}

// inspected is an image that inspect looks into: the disks in it.
type inspected struct {
	Name  string // as it was named
	disks []*scanner.Image
}

// Volumes returns the volumes on all disks, numbered from 1.
func (i *inspected) Volumes() []*disk.Volume {
	var list []*disk.Volume
	for _, d := range i.disks {
		list = append(list, d.Volumes()...)
	}
	return list
}

// Close closes the disks.
func (i *inspected) Close() error {
	var err error
	for _, d := range i.disks {
		err = errors.Join(err, d.Close())
	}
	return err
}

// openImage opens the disks in an image and finds their logical volumes.
func (p *program) openImage(ctx context.Context, path string, parents []string) (*inspected, error) {
	if err := p.checkImages(append([]string{path}, parents...)...); err != nil {
		return nil, err
	}
	below := files(parents)
	disks, err := scanner.OpenImages(ctx, scanner.File(path), scanner.OpenOptions{Parents: below})
	if err != nil {
		return nil, err
	}
	image := &inspected{source.ShownName(path), disks}
	p.inspected = append(p.inspected, disks...)
	if err := scanner.UnusedParent(below, disks...); err != nil {
		image.Close()
		return nil, err
	}
	for _, err := range disks[0].UnreadDisks() {
		p.explain(fmt.Errorf("a disk cannot be read: %w", err))
	}
	scanner.AssembleLVM(disks...)
	for n, v := range image.Volumes() {
		v.Number = n + 1 // unique among the disks
	}
	var mounts []source.WritableMount
	for _, d := range disks {
		mounts = append(mounts, d.WritableMounts()...)
	}
	for _, m := range mounts {
		p.notice("%s is in use: %s is mounted read-write at %s; what is read may be inconsistent", image.Name, m.Source,
			m.Point)
	}
	p.hint(unmountHint(mounts))
	return image, nil
}

// volumeFlag declares --volume.
func volumeFlag(c *cobra.Command, value *int) {
	c.Flags().IntVar(value, "volume", 0,
		"use volume `N` of 'inspect volumes' (default: the volume with the system, else the first that can be read)")
}

// openVolume opens a volume of an image: the one with that number, or for 0 the
// one that holds the system, else the first with a filesystem that can be read.
// Notices report what is damaged, and what could not be opened.
func (p *program) openVolume(ctx context.Context, image *inspected, number int) (*disk.Volume, volume.FS, error) {
	for _, d := range image.disks {
		if d.Incomplete != nil {
			p.notice("%s: %v", d.Name, d.Incomplete)
		}
	}
	v, fsys, err := p.chooseVolume(ctx, image, number)
	if err != nil {
		return nil, nil, err
	}
	damage := damageLog{p: p}
	for _, d := range fsys.Problems() {
		damage.add("%s, volume %d: %s", image.Name, v.Number, d)
	}
	damage.end()
	return v, fsys, nil
}

func (p *program) chooseVolume(ctx context.Context, image *inspected, number int) (*disk.Volume, volume.FS, error) {
	volumes := image.Volumes()
	if number != 0 {
		i := slices.IndexFunc(volumes, func(v *disk.Volume) bool { return v.Number == number })
		if i < 0 {
			return nil, nil, usage(seeVolumes(image), "%s has no volume %d", image.Name, number)
		}
		fsys, err := p.openFilesystem(ctx, volumes[i])
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", image.Name, err)
		}
		return volumes[i], fsys, nil
	}
	var first *disk.Volume
	var firstFS volume.FS
	var problems []error
	for _, v := range volumes {
		fsys, err := p.openFilesystem(ctx, v)
		if err != nil {
			if volume.Supported.Holds(v.Filesystem) {
				p.notice("%s: %v", image.Name, err)
			}
			problems = append(problems, err)
			continue
		}
		row, _ := volume.Supported.Row(v.Filesystem)
		holds, err := scanner.HoldsSystem(row.System, fsys)
		if err != nil {
			p.notice("%s: volume %d: %v", image.Name, v.Number, err)
		}
		if holds {
			return v, fsys, nil
		}
		if first == nil {
			first, firstFS = v, fsys
		}
	}
	switch {
	case first != nil:
		return first, firstFS, nil
	case len(volumes) == 0:
		return nil, nil, notThatKind("", "%s holds no volume", image.Name)
	case len(problems) == 1:
		return nil, nil, fmt.Errorf("%s: %w", image.Name, problems[0])
	}
	// One that cannot be read although its filesystem is known explains more.
	for _, err := range problems {
		if !errors.Is(err, errNotThatKind) {
			return nil, nil, fmt.Errorf("%s: %w", image.Name, err)
		}
	}
	return nil, nil, notThatKind(seeVolumes(image), "no volume of %s can be read", image.Name)
}

func seeVolumes(image *inspected) string {
	return "see 'coldcheck inspect volumes " + prose.Quote(image.Name) + "'"
}

// openFilesystem opens the filesystem of a volume, also where its journal cannot
// be replayed: it is then shown without it.
func (p *program) openFilesystem(ctx context.Context, v *disk.Volume) (volume.FS, error) {
	switch {
	case v.Err != nil:
		return nil, notThatKind("", "volume %d: %w", v.Number, v.Err)
	case volume.Supported.Holds(v.Filesystem):
		fsys, err := volume.Supported.Open(ctx, v.Filesystem, p.memory.Reader(v), v.Size,
			volume.Options{Stale: true, Reserve: p.memory.Reserve, Progress: p.indexing(v)})
		if err == nil {
			return fsys, nil
		}
		err = fmt.Errorf("volume %d: %w", v.Number, err)
		if errors.Is(err, kind.Unsupported) || errors.Is(err, kind.Encrypted) {
			return nil, notThatKind("", "%w", err)
		}
		return nil, err
	case v.Filesystem == disk.Unknown:
		return nil, notThatKind("", "volume %d has no known filesystem", v.Number)
	case v.Filesystem.Encrypted():
		return nil, notThatKind("decrypt it on the running machine, then create the image again",
			"volume %d is encrypted (%s)", v.Number, filesystemName(v))
	}
	return nil, notThatKind("", "volume %d has an unsupported filesystem: %s", v.Number, filesystemName(v))
}

// indexing returns what shows how much of a volume is indexed.
func (p *program) indexing(v *disk.Volume) func(done, total int64) {
	return func(done, total int64) {
		p.progress.show(scanner.Progress{Step: fmt.Sprintf("indexing volume %d", v.Number), Unit: scanner.UnitRecords,
			Done: done, Total: total})
	}
}

// listing shows how many entries were written to what is no terminal.
func (p *program) listing(done int) {
	if done%1000 == 0 && !term.IsTerminal(int(p.stdout.Fd())) {
		p.progress.show(scanner.Progress{Step: "listing", Unit: "entries", Done: int64(done)})
	}
}

// sized is an open file with its size.
type sized struct {
	io.ReaderAt
	io.Closer
	size int64
}

// openFile opens a regular file of a filesystem.
func openFile(fsys fs.FS, name string) (sized, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return sized{}, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return sized{}, err
	}
	r, ok := f.(io.ReaderAt)
	if !ok {
		f.Close()
		return sized{}, &fs.PathError{Op: "read", Path: name, Err: errNotRegular}
	}
	return sized{r, f, info.Size()}, nil
}

var errNotRegular = errors.New("not a regular file")

// damageLog reports damage; only the first notices are printed.
type damageLog struct {
	p     *program
	count int
}

const maxDamageNotices = 20

func (d *damageLog) add(format string, args ...any) {
	if d.count++; d.count <= maxDamageNotices {
		d.p.notice(format, args...)
	}
}

func (d *damageLog) end() {
	if d.count > maxDamageNotices {
		d.p.notice("and %d more", d.count-maxDamageNotices)
	}
}

// lines writes lines to standard output. The first error ends it.
type lines struct {
	*bufio.Writer
	json *json.Encoder
}

func (p *program) newLines() lines {
	p.progress.clear()
	b := bufio.NewWriterSize(p.stdout, 1<<16)
	return lines{b, report.NewJSONEncoder(b)}
}

// object writes a JSON object on a line of its own.
func (l lines) object(v any) error { return l.json.Encode(v) }

// flush ends the output, however the command ended.
func (l lines) flush(err error) error {
	if e := l.Flush(); e != nil {
		return outputError{e}
	}
	return err
}

// jsonTime writes a time as the reports do; nil, which becomes null, for none
// and for a time that RFC 3339 cannot write, which a damaged record may hold.
func jsonTime(t time.Time) *string {
	if t = t.UTC(); t.IsZero() || t.Year() < 0 || t.Year() > 9999 {
		return nil
	}
	s := t.Format(time.RFC3339Nano)
	return &s
}

// textTime writes a time for people.
func textTime(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}
