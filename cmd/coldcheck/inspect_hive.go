package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/registry"
)

func (p *program) inspectHiveCommand() *cobra.Command {
	l := keyLister{}
	var format string
	var logs []string
	var noLogs bool
	c := &cobra.Command{
		Use:   "hive HIVE [KEY]",
		Short: "Read a key of a hive file",
		Long: `Read a key of a hive file; without KEY its root key. The transaction logs that
lie beside the hive (HIVE.LOG, HIVE.LOG1, HIVE.LOG2) are applied in memory if the
hive is dirty; --log names others.`,
		Args: arguments(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format, "text", "jsonl"); err != nil {
				return err
			}
			if noLogs && len(logs) > 0 {
				return usage("", "--log and --no-logs contradict each other")
			}
			var hive *registry.Hive
			var err error
			if len(logs) > 0 {
				hive, err = p.openHiveWith(c.Context(), openOSFile, args[0], logs, func(string, error) bool { return false }, false)
			} else {
				hive, err = p.openHive(c.Context(), openOSFile, args[0], noLogs)
			}
			if err != nil {
				return err
			}
			name := ""
			if len(args) > 1 {
				name = strings.Trim(args[1], `\`)
			}
			k, err := hive.Key(name)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			l.json, l.out, l.damage.p = format == "jsonl", newLines(p.stdout), p
			if !l.json && name == "" {
				name = filepath.Base(args[0])
			} else if l.json {
				name = ""
			}
			err = l.out.flush(l.list(k, name))
			l.damage.end()
			return err
		},
	}
	c.Flags().BoolVarP(&l.recursive, "recursive", "R", false, "list the whole subtree")
	c.Flags().StringArrayVar(&logs, "log", nil,
		"apply transaction log `FILE`, repeatable (default: those beside the hive)")
	c.Flags().BoolVar(&noLogs, "no-logs", false, "show the hive as it lies")
	formatFlag(c, &format)
	return c
}

// openOSFile opens a file of this machine. Of a log beside a hive the letters'
// case may differ: it was copied from Windows, which does not tell it apart.
func openOSFile(name string) (sized, error) {
	info, err := os.Stat(name)
	path := name
	if os.IsNotExist(err) {
		if other := sameButCase(name); other != "" {
			path = other
			info, err = os.Stat(other)
		}
	}
	if err == nil && !info.Mode().IsRegular() { // opening a named pipe would wait for its writer
		err = &fs.PathError{Op: "read", Path: name, Err: errNotRegular}
	}
	if err != nil {
		return sized{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return sized{}, err
	}
	if info, err = f.Stat(); err != nil {
		f.Close()
		return sized{}, err
	}
	return sized{f, f, info.Size()}, nil
}

func sameButCase(name string) string {
	entries, err := os.ReadDir(filepath.Dir(name))
	if err != nil {
		return ""
	}
	for _, e := range entries {
		if strings.EqualFold(e.Name(), filepath.Base(name)) {
			return filepath.Join(filepath.Dir(name), e.Name())
		}
	}
	return ""
}
