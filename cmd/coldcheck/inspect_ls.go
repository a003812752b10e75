package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

func (p *program) inspectLsCommand() *cobra.Command {
	var l lister
	var format string
	var number int
	var parents []string
	c := &cobra.Command{
		Use:   "ls [-R] IMAGE [PATH]",
		Short: "List a directory",
		Long: `List a directory of an image, or the root directory without PATH. A PATH on a Windows
volume may be written as Windows does, with or without its drive.`,
		Example: `coldcheck inspect ls root.img
coldcheck inspect ls root.img 'C:\Windows\Panther'
coldcheck inspect ls -R user.img D:/Users/jdoe/Desktop
coldcheck inspect ls -o jsonl root.img /etc`,
		Args: arguments(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format, inspectFormats...); err != nil {
				return err
			}
			image, err := p.openImage(c.Context(), args[0], parents)
			if err != nil {
				return err
			}
			defer image.Close()
			fsys, name, err := p.openPath(c.Context(), image, number, append(args, "/")[1])
			if err != nil {
				return err
			}
			l.fsys, l.json, l.out, l.damage.p = fsys, format == "jsonl", p.newLines(), p
			err = l.out.flush(l.list(name))
			l.damage.end()
			return err
		},
	}
	c.Flags().BoolVarP(&l.recursive, "recursive", "R", false, "list the subtree too")
	formatFlag(c, &format, false, inspectFormats...)
	volumeFlag(c, &number)
	parentFlag(c, &parents)
	return c
}

// lister lists directories.
type lister struct {
	fsys      volume.FS
	listed    int
	recursive bool
	json      bool
	out       lines
	damage    damageLog
}

// maxDirDepth bounds the nesting of directories; a path of Windows has at most
// 32,767 characters and so half as many parts, and none comes near.
const maxDirDepth = 4096

// list lists what is in a directory, or the file itself if it is none.
func (l *lister) list(name string) error {
	info, err := l.fsys.Lstat(name)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return l.entry(name, info)
	}
	entries, err := l.fsys.ReadDir(name)
	if err != nil && len(entries) == 0 {
		return err
	}
	// Directories have one name: one that is met again is damage.
	seen := map[uint64]bool{l.fsys.Node(info).ID: true}
	return l.entries(name, entries, err, seen, 0)
}

func (l *lister) entries(dir string, entries []fs.DirEntry, problem error, seen map[uint64]bool, depth int) error {
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		info, err := e.Info()
		if err != nil {
			if errors.Is(err, volume.ErrInDoubt) {
				if err := l.doubtful(name, e, err); err != nil {
					return err
				}
			}
			l.damage.add("%v", err)
			continue
		}
		if err := l.entry(name, info); err != nil {
			return err
		}
		if !l.recursive || !info.IsDir() {
			continue
		}
		id := l.fsys.Node(info).ID
		switch {
		case seen[id]:
			l.damage.add("%s: this directory was already listed under another name", name)
			continue
		case depth == maxDirDepth:
			l.damage.add("%s: more than %d nested directories", name, maxDirDepth)
			continue
		}
		seen[id] = true
		below, err := l.fsys.ReadDir(name)
		if err := l.entries(name, below, err, seen, depth+1); err != nil {
			return err
		}
	}
	if problem != nil {
		l.damage.add("%v", problem)
	}
	return nil
}

type entryJSON struct {
	Path      string  `json:"path"`
	Type      string  `json:"type"`
	Size      int64   `json:"size"`
	Allocated int64   `json:"allocated"`
	Mtime     *string `json:"mtime"`
	ID        uint64  `json:"id"`
	Doubt     string  `json:"doubt,omitempty"` // why the name is in doubt: size, times and id are not known then
}

// doubtful writes a line for a name of which it is not certain that the system
// has it.
func (l *lister) doubtful(name string, e fs.DirEntry, why error) error {
	kind := nodeType(e.Type(), volume.Node{})
	if l.json {
		return l.out.object(entryJSON{Path: name, Type: kind, Doubt: why.Error()})
	}
	_, err := fmt.Fprintf(l.out, "%-7s  %14s  %20s  %s\n", kind+"?", "?", "in doubt", l.shown(name))
	return err
}

// entry writes a line for a file or directory.
func (l *lister) entry(name string, info fs.FileInfo) error {
	l.listed++
	l.damage.p.listing(l.listed)
	n := l.fsys.Node(info)
	kind := nodeType(info.Mode(), n)
	if l.json {
		return l.out.object(entryJSON{
			Path: name, Type: kind, Size: info.Size(), Allocated: n.Allocated,
			Mtime: jsonTime(info.ModTime()), ID: n.ID,
		})
	}
	shown := l.shown(name)
	if kind == "symlink" {
		link, err := l.fsys.ReadLink(name)
		if err != nil {
			l.damage.add("%v", err)
		}
		shown += " -> " + report.Neutral(link)
	}
	_, err := fmt.Fprintf(l.out, "%-7s  %14d  %20s  %s\n", kind, info.Size(), textTime(info.ModTime()), shown)
	return err
}

// shown is a name in text: the path if the subtree is listed.
func (l *lister) shown(name string) string {
	if !l.recursive {
		name = path.Base(name)
	}
	return report.Neutral(name)
}

func nodeType(m fs.FileMode, n volume.Node) string {
	switch {
	case m.IsDir():
		return "dir"
	case m.IsRegular():
		return "file"
	case m&fs.ModeSymlink != 0, n.Junction:
		return "symlink"
	}
	return "other"
}
