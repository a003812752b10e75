package linux

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// A pathEntry is a folder that a script assigns to PATH.
type pathEntry struct {
	Folder string
	Line   int
}

// scriptPaths lists the folders that a script of the shell assigns to PATH, the
// files that it sources, in their order, and what functions add to PATH what
// they are given. Which branch is taken is not asked.
func scriptPaths(commands []shellCommand, adders map[string]bool) (entries []pathEntry, sourced []string) {
	add := func(list string, line int) {
		for _, folder := range strings.Split(list, ":") {
			if path.IsAbs(folder) && !strings.Contains(folder, unknownValue) && len(entries) < maxMenu {
				entries = append(entries, pathEntry{folder, line})
			}
		}
	}
	for _, c := range commands {
		for _, a := range c.Assign {
			name, value, _ := strings.Cut(a, "=")
			if strings.TrimSuffix(name, "+") != "PATH" {
				continue
			}
			add(value, c.Line)
			if c.Func != "" && strings.Contains(value, unknownValue) && len(adders) < maxNamed {
				adders[c.Func] = true // a function that adds its argument
			}
		}
		if len(c.Words) == 0 {
			continue
		}
		switch first := c.Words[0]; {
		case (first == "." || first == "source") && len(c.Words) > 1:
			sourced = append(sourced, c.Words[1])
		case first == "setenv" && len(c.Words) > 2 && c.Words[1] == "PATH": // csh
			add(c.Words[2], c.Line)
		case first == "set" && len(c.Words) > 1 && (c.Words[1] == "path" || strings.HasPrefix(c.Words[1], "path=")):
			for _, w := range c.Words[1:] {
				add(strings.TrimPrefix(w, "path="), c.Line)
			}
		case first == "pathmunge" || adders[first]:
			for _, w := range c.Words[1:] {
				add(w, c.Line)
			}
		}
	}
	return entries, sourced
}

// maxSourced bounds how many files are sourced from each other.
const maxSourced = 1000

// searchPaths looks for folders of /home in the PATH that all users get, as a
// shell would set it.
func (s *homeSearch) searchPaths() error {
	files := []string{"/etc/profile", "/etc/bashrc", "/etc/bash.bashrc", "/etc/zshenv", "/etc/zsh/zshenv",
		"/etc/zprofile", "/etc/zsh/zprofile", "/etc/csh.login", "/etc/csh.cshrc", "/etc/skel/.bashrc",
		"/etc/skel/.profile", "/etc/skel/.bash_profile"}
	entries, _, err := s.tree.list("/etc/profile.d")
	if err != nil {
		return err
	}
	for i, e := range entries {
		if i >= maxMenu {
			return fmt.Errorf("/etc/profile.d: more than %d entries: %w", maxMenu, errTooLarge)
		}
		// /etc/profile reads files of these names only, and sh.local.
		if ext := path.Ext(e.Name()); ext == ".sh" || ext == ".csh" || e.Name() == "sh.local" ||
			e.Name() == "csh.local" {
			files = append(files, "/etc/profile.d/"+e.Name())
		}
	}
	adders := map[string]bool{}
	seen := map[string]bool{}
	var unread error
	for i := 0; i < len(files); i++ {
		p := files[i]
		if seen[p] || len(seen) > maxSourced {
			continue
		}
		seen[p] = true
		h, err := s.lead(p)
		if err != nil {
			unread = joinErrors(unread, err)
			continue
		}
		if h.Home != "" {
			s.add(&s.Installed, usedBy(h.Home, "profile script "+p), homeProgram(h.Home),
				fileEvidence("root", p[1:]))
			continue
		}
		commands, f, err := readParsed(&s.tree, p, maxScript, "shell", func(data []byte) ([]shellCommand, error) {
			return parseShell(string(data), map[string]string{})
		})
		if err != nil {
			unread = joinErrors(unread, err)
			continue
		}
		found, sourced := scriptPaths(commands, adders)
		for _, e := range found {
			unread = joinErrors(unread, s.searchPath(e.Folder, p, noted(f.Evidence, fmt.Sprintf("line %d", e.Line))))
		}
		for _, next := range sourced {
			if path.IsAbs(next) && !strings.Contains(next, unknownValue) && !strings.ContainsAny(next, "*?[") &&
				!slices.Contains(files, next) && len(files) < maxSourced {
				files = append(files, next)
			}
		}
	}
	return joinErrors(unread, s.plainPaths())
}

// searchPath judges one folder of PATH.
func (s *homeSearch) searchPath(folder, p string, ev requirement.Evidence) error {
	h, err := s.lead(folder)
	if err != nil {
		return err
	}
	if h.Home != "" {
		s.add(&s.Installed, usedBy(h.Home, "PATH in "+p), homeProgram(h.Home), ev)
	}
	return nil
}

// plainPaths looks at files that set PATH without a shell: /etc/environment and
// environment.d (environment.d(5), pam_env(8)), login.defs and sudo's
// secure_path.
func (s *homeSearch) plainPaths() error {
	files := []string{"/etc/environment", "/etc/login.defs", "/etc/sudoers"}
	var unread error
	for _, folder := range []string{"/etc/environment.d", "/usr/lib/environment.d", "/etc/sudoers.d"} {
		entries, _, err := s.tree.list(folder)
		if err != nil {
			unread = joinErrors(unread, err)
			continue
		}
		for i, e := range entries {
			if i < maxMenu && !e.IsDir() && (path.Ext(e.Name()) == ".conf" || folder == "/etc/sudoers.d") {
				files = append(files, path.Join(folder, e.Name()))
			}
		}
	}
	for _, p := range files {
		lines, f, err := readParsed(&s.tree, p, maxConfig, "lines",
			func(data []byte) ([]string, error) { return configLines(string(data)), nil })
		if err != nil {
			unread = joinErrors(unread, err)
			continue
		}
		for _, line := range lines {
			for _, folder := range strings.Split(plainPath(line), ":") {
				if path.IsAbs(folder) {
					unread = joinErrors(unread, s.searchPath(folder, p, noted(f.Evidence, line)))
				}
			}
		}
	}
	return unread
}

// plainPath returns what a line assigns to PATH, "" if nothing.
func plainPath(line string) string {
	line = strings.TrimSpace(strings.TrimPrefix(line, "export "))
	if rest, ok := strings.CutPrefix(line, "Defaults"); ok {
		_, rest, ok = strings.Cut(rest, "secure_path")
		if !ok {
			return ""
		}
		return unquote(strings.Trim(strings.TrimLeft(rest, " \t+"), "= \t"))
	}
	name, value, ok := strings.Cut(line, "=")
	if fields := strings.Fields(name); ok && len(fields) > 1 && (fields[0] == "ENV_PATH" || fields[0] == "ENV_SUPATH") {
		return value
	}
	if strings.TrimSpace(name) != "PATH" {
		return ""
	}
	return unquote(strings.TrimSpace(value))
}
