package linux

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	typed "github.com/coldcheck/coldcheck/scanner/rules/facts"
)

const (
	sshdConfig  = "/etc/ssh/sshd_config"
	sshdProgram = "/usr/sbin/sshd"

	maxConfigDepth   = 16  // how deeply files include others (SERVCONF_MAX_DEPTH of OpenSSH)
	maxIncludedFiles = 256 // in all
)

// sshdSetting is a line of the configuration.
type sshdSetting struct {
	Name  string // in lower case
	Value string
	Match []string // the criteria of the Match block that it is in; nil outside
}

// sshdReader reads the configuration with the files that it includes.
type sshdReader struct {
	m        *Machine
	settings []sshdSetting
	evidence []requirement.Evidence
	files    int
}

// read reads a file. A Match block ends with the file that it begins in, and what a file
// includes inside a block belongs to the block (sshd_config(5), servconf.c).
func (r *sshdReader) read(p string, match []string, depth int) error {
	if r.files++; depth > maxConfigDepth || r.files > maxIncludedFiles {
		return inFile(p, fmt.Errorf("more included files than are read: %w", errTooLarge))
	}
	data, f, err := r.m.tree.read(p, maxConfig)
	if err != nil {
		return err
	}
	r.evidence = append(r.evidence, f.Evidence)
	for line := range strings.Lines(string(data)) {
		words, err := sshdWords(line)
		if err != nil {
			return inFile(p, err)
		}
		if len(words) == 0 {
			continue
		}
		switch name := strings.ToLower(words[0]); name {
		case "include":
			for _, pattern := range words[1:] {
				if err := r.include(pattern, match, depth); err != nil {
					return err
				}
			}
		case "match":
			match = append([]string{}, words[1:]...)
		default:
			if len(words) > 1 {
				r.settings = append(r.settings, sshdSetting{name, words[1], match})
			}
		}
	}
	return nil
}

// include reads the files that a pattern names, in their order. One that does not exist
// is no error.
func (r *sshdReader) include(pattern string, match []string, depth int) error {
	if !path.IsAbs(pattern) {
		pattern = path.Join("/etc/ssh", pattern)
	}
	folder, name := path.Split(pattern)
	if strings.ContainsAny(folder, `*?[\`) {
		return inFile(sshdConfig, fmt.Errorf("include %s: patterns in the names of folders are not supported", pattern))
	}
	entries, _, err := r.m.tree.list(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		ok, err := path.Match(name, e.Name())
		if err != nil {
			return inFile(sshdConfig, fmt.Errorf("include %s: %w", pattern, err))
		}
		if ok && !(strings.HasPrefix(e.Name(), ".") && !strings.HasPrefix(name, ".")) {
			if err := r.read(path.Join(folder, e.Name()), match, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// sshdWords splits a line into words, which may be quoted. An equals sign may follow the
// keyword, and a number sign begins a comment.
func sshdWords(line string) ([]string, error) {
	var words []string
	rest := strings.TrimSpace(line)
	for rest != "" && rest[0] != '#' {
		word := ""
		if rest[0] == '"' {
			end := strings.IndexByte(rest[1:], '"')
			if end < 0 {
				return nil, fmt.Errorf("a quote is not closed in %.80q", line)
			}
			word, rest = rest[1:1+end], rest[end+2:]
		} else {
			end := strings.IndexAny(rest, " \t=")
			if end < 0 || len(words) > 0 && rest[end] == '=' {
				end = strings.IndexAny(rest, " \t")
			}
			if end < 0 {
				end = len(rest)
			}
			word, rest = rest[:end], rest[end:]
		}
		rest = strings.TrimLeft(rest, " \t")
		if len(words) == 0 {
			rest = strings.TrimLeft(strings.TrimPrefix(rest, "="), " \t")
		}
		words = append(words, word)
	}
	return words, nil
}

// matchesRoot says whether a Match block is for sign-ins of root: for some it depends on
// the connection.
func matchesRoot(criteria []string) answer {
	result := answerYes
	for i := 0; i < len(criteria); i++ {
		name, value, assigned := strings.Cut(strings.ToLower(criteria[i]), "=")
		if name == "all" {
			continue
		}
		if name == "invalid-user" {
			return answerNo
		}
		if !assigned {
			if i++; i < len(criteria) {
				value = criteria[i]
			}
		}
		if name != "user" {
			result = answerDepends
			continue
		}
		if !matchesList("root", value) {
			return answerNo
		}
	}
	return result
}

// matchesList matches a name with patterns of OpenSSH, separated by commas; one that
// begins with an exclamation mark excludes (ssh_config(5), PATTERNS).
func matchesList(name, list string) bool {
	found := false
	for pattern := range strings.SplitSeq(list, ",") {
		pattern, negated := strings.CutPrefix(strings.TrimSpace(pattern), "!")
		if wildcard(name, pattern) {
			if negated {
				return false
			}
			found = true
		}
	}
	return found
}

// wildcard matches a name with a pattern in which "*" and "?" are special.
func wildcard(name, pattern string) bool {
	pattern = strings.NewReplacer(`\`, `\\`, `[`, `\[`).Replace(pattern)
	ok, err := path.Match(pattern, strings.ReplaceAll(name, "/", "_"))
	return err == nil && ok
}

// rootLogins returns the values that PermitRootLogin may have for root, the first one
// being that of the first Match block: of the blocks that match, the first one with the
// setting counts, before the setting outside.
func rootLogins(settings []sshdSetting) (values []string, err error) {
	global := "prohibit-password" // the default since OpenSSH 7.0
	seen := false
	for _, s := range settings {
		if s.Name != "permitrootlogin" {
			continue
		}
		value := strings.ToLower(s.Value)
		if value == "without-password" {
			value = "prohibit-password"
		}
		if !slices.Contains([]string{"yes", "no", "prohibit-password", "forced-commands-only"}, value) {
			return nil, fmt.Errorf("PermitRootLogin %.80q is not a value that sshd accepts", s.Value)
		}
		if s.Match == nil {
			if !seen {
				global, seen = value, true
			}
			continue
		}
		switch matchesRoot(s.Match) {
		case answerYes:
			return append(values, value), nil
		case answerDepends:
			values = append(values, value)
		}
	}
	return append(values, global), nil
}

func (m *Machine) sshdFacts() (typed.Reading, error) {
	program, err := m.tree.file(sshdProgram)
	if err != nil {
		return typed.Reading{}, err
	}
	if !program.Exists {
		return typed.Reading{Value: typed.SSHD{From: typed.From{program.Evidence}, Ports: []int64{},
			PermitRootLogin: typed.Null[string](), PasswordAuthentication: typed.Null[string]()}}, nil
	}
	config, err := m.tree.file(sshdConfig)
	if err == nil && !config.Exists {
		err = inFile(sshdConfig, fmt.Errorf("not found, and %s exists", sshdProgram))
	}
	if err != nil {
		return typed.Reading{}, err
	}
	r := &sshdReader{m: m}
	if err := r.read(sshdConfig, nil, 0); err != nil {
		return typed.Reading{}, err
	}
	if err := m.sshdArguments(); err != nil {
		return typed.Reading{}, err
	}
	values, err := rootLogins(r.settings)
	if err != nil {
		return typed.Reading{}, inFile(sshdConfig, err)
	}
	of := typed.SSHD{From: typed.From(r.evidence), Installed: true, PasswordAuthentication: typed.Of("yes"),
		PermitRootLogin: typed.Of(values[0]), Ports: []int64{}}
	if slices.ContainsFunc(values, func(v string) bool { return v != values[0] }) {
		of.PermitRootLogin = typed.Unknown[string](fmt.Errorf("%s: PermitRootLogin is %s: it depends on Match blocks",
			sshdConfig, strings.Join(values, " or ")))
	}
	of.RootLogin = slices.ContainsFunc(values, func(v string) bool { return v != "no" })
	for _, s := range slices.Backward(r.settings) { // the first one counts
		if s.Match == nil && s.Name == "passwordauthentication" {
			of.PasswordAuthentication = typed.Of(strings.ToLower(s.Value))
		}
	}
	for _, s := range r.settings {
		if port, err := strconv.ParseInt(s.Value, 10, 64); s.Match == nil && s.Name == "port" && err == nil {
			of.Ports = append(of.Ports, port)
		}
	}
	if len(of.Ports) == 0 {
		of.Ports = []int64{22}
	}
	return typed.Reading{Value: of}, nil
}

// sshdArguments is an error if the files with arguments of sshd set options, which go
// before the configuration.
func (m *Machine) sshdArguments() error {
	for _, p := range []string{"/etc/sysconfig/sshd", "/etc/default/ssh"} {
		data, f, err := m.tree.read(p, maxConfig)
		if err != nil {
			return err
		}
		if !f.Exists {
			continue
		}
		values := parseAssignments(string(data))
		for _, name := range []string{"OPTIONS", "SSHD_OPTS"} {
			for _, word := range strings.Fields(values[name]) {
				if strings.HasPrefix(word, "-o") || strings.HasPrefix(word, "-f") {
					return inFile(p, fmt.Errorf("%s sets options of sshd: %.80q", name, values[name]))
				}
			}
		}
	}
	return nil
}
