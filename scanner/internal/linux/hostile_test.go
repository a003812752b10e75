package linux

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// hostile adds files to the ready machine. Those that share a *fstest.MapFile
// are one inode.
func hostile(t *testing.T, root, home fstest.MapFS) *Machine {
	t.Helper()
	m := newMachine(t, "")
	for p, f := range m.in.Root.FS.(fstest.MapFS) {
		root[p] = f
	}
	for p, f := range m.in.Home.FS.(fstest.MapFS) {
		home[p] = f
	}
	in := m.in
	in.Root.FS, in.Home.FS, in.Layout = root, home, nil
	in.Trail = &requirement.Trail{}
	inode := func(info fs.FileInfo) uint64 {
		if n, ok := info.Sys().(uint64); ok {
			return n
		}
		return 0
	}
	in.Root.Inode, in.Home.Inode = inode, inode
	m, err := Open(in)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Units with tens of thousands of commands each: the findings about others stay
// what they are, and what is reported of them is bounded.
func TestManyCommands(t *testing.T) {
	root := fstest.MapFS{}
	text := "[Service]\n" + strings.Repeat("ExecStartPre=/home/a\n", 30_000) + "ExecStart=/bin/true\n"
	for i := range 150 {
		root[fmt.Sprintf("usr/lib/systemd/system/h%d.service", i)] = &fstest.MapFile{Data: []byte(text), Mode: 0o644,
			ModTime: now}
	}
	m := hostile(t, root, fstest.MapFS{"a": &fstest.MapFile{Data: []byte("#!/bin/sh\n"), Mode: 0o755, ModTime: now}})
	f := find(t, m, "linux.apps.outside-home")
	if f.Status != requirement.Failed || len(f.Message) > 2000 || len(f.Evidence) > maxNamed {
		t.Errorf("%s, a message of %d bytes, %d pieces of evidence", f.Status, len(f.Message), len(f.Evidence))
	}
	for _, id := range []string{"linux.component.skylight", "linux.component.pcoip", "linux.component.cloud-init"} {
		if f := find(t, m, id); f.Status != requirement.Passed {
			t.Errorf("%s: %s: %s", id, f.Status, f.Message)
		}
	}
}

// Thousands of names of one large file: it is read once, and what is ordinary is
// read although the bound on bytes is far below what the names add up to.
func TestManyNamesOfOneUnit(t *testing.T) {
	root := fstest.MapFS{}
	text := []byte("[Service]\nExecStart=/bin/true\n#" + strings.Repeat("x", 1<<20-100) + "\n")
	for i := range 4000 {
		root[fmt.Sprintf("usr/lib/systemd/system/h%d.service", i)] = &fstest.MapFile{Data: text, Mode: 0o644, ModTime: now,
			Sys: uint64(77)}
	}
	m := hostile(t, root, fstest.MapFS{})
	for _, id := range []string{"linux.component.skylight", "linux.component.pcoip", "linux.component.cloud-init",
		"linux.apps.outside-home", "linux.bp.antivirus"} {
		if f := find(t, m, id); f.Status != requirement.Passed {
			t.Errorf("%s: %s: %s", id, f.Status, f.Message)
		}
	}
}

// Distinct large units meet the bound: what is wanted of small ones is still
// known.
func TestManyLargeUnits(t *testing.T) {
	root := fstest.MapFS{}
	text := []byte("[Service]\nExecStart=/bin/true\n#" + strings.Repeat("x", 1<<20-100) + "\n")
	for i := range maxUnitBytes>>20 + 10 {
		root[fmt.Sprintf("usr/lib/systemd/system/h%d.service", i)] = &fstest.MapFile{Data: text, Mode: 0o644, ModTime: now}
	}
	m := hostile(t, root, fstest.MapFS{})
	if f := find(t, m, "linux.component.skylight"); f.Status != requirement.Passed {
		t.Errorf("%s: %s", f.Status, f.Message)
	}
	if f := find(t, m, "linux.apps.outside-home"); f.Status != requirement.Undetermined {
		t.Errorf("%s: %s", f.Status, f.Message)
	}
}

// What bounds the parts of one unit, one script and one table.
func TestTextLimits(t *testing.T) {
	for n, more := range map[int]bool{maxSettings - 1: false, maxSettings: false, maxSettings + 1: true} {
		if u := parseUnitFile("[Unit]\n"+strings.Repeat("A=b\n", n), 252); u.More != more ||
			len(u.Settings) != min(n, maxSettings) {
			t.Errorf("%d settings: %d, more %v", n, len(u.Settings), u.More)
		}
	}
	for n, whole := range map[int]bool{maxShellCommands: true, maxShellCommands + 1: false} {
		if got, err := parseShell(strings.Repeat("a\n", n), nil); len(got) != maxShellCommands || (err == nil) != whole {
			t.Errorf("%d commands: %d, %v", n, len(got), err)
		}
	}
	if jobs, err := parseCrontab(strings.Repeat("* * * * * x\n", maxCronJobs+1), false); err == nil ||
		len(jobs) != maxCronJobs {
		t.Errorf("%d jobs, %v", len(jobs), err)
	}
	for _, text := range []string{strings.Repeat("$(", 1<<19), strings.Repeat("${", 1<<19), strings.Repeat("a)", 1<<19),
		strings.Repeat("`", 1<<20), strings.Repeat("A=$A$A\n", 1<<16), strings.Repeat("<<E ", 1<<18),
		strings.Repeat(`"$(`, 1<<18)} {
		commands, _ := parseShell(text, map[string]string{"A": "xx"})
		kept := 0
		for _, c := range commands {
			for _, w := range append(c.Words, c.Assign...) {
				kept += len(w)
			}
		}
		if kept > maxShellBytes {
			t.Errorf("%.20q: %d bytes are kept", text, kept)
		}
	}
}
