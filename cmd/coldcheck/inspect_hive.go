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
		Short: "Read a key from a registry hive file",
		Long: `Read a key from a registry hive file, or its root key without KEY. If the hive is
dirty, its transaction logs are applied in memory: HIVE.LOG, HIVE.LOG1 and HIVE.LOG2 in
the same folder, or those that --log names.`,
		Example: `coldcheck inspect hive SYSTEM 'ControlSet001\Services\WinRM'
coldcheck inspect hive -R NTUSER.DAT Network
coldcheck inspect hive SYSTEM --log SYSTEM.LOG1 --log SYSTEM.LOG2`,
		Args: arguments(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format, inspectFormats...); err != nil {
				return err
			}
			if noLogs && len(logs) > 0 {
				return usage("leave one of them out", "--log and --no-logs exclude each other")
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
			l.json, l.out, l.damage.p = format == "jsonl", p.newLines(), p
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
	c.Flags().BoolVarP(&l.recursive, "recursive", "R", false, "list the subtree too")
	c.Flags().StringArrayVar(&logs, "log", nil,
		"apply transaction log `FILE`; repeatable (default: the logs in the hive's folder)")
	c.Flags().BoolVar(&noLogs, "no-logs", false, "ignore transaction logs")
	formatFlag(c, &format, false, inspectFormats...)
	return c
}

// openOSFile opens a file of this machine. The case of a log's name may differ
// from the hive's: both were copied from Windows, which ignores case.
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
