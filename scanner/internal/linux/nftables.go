package linux

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// nftables reads the rule set that its service loads at start, with the files
// that it includes. What is not understood of it is in doubt.
func (m *Machine) nftables() ([]firewall, error) {
	on, err := m.enabled("nftables.service")
	if err != nil || !on {
		return nil, err
	}
	units, err := m.Units()
	if err != nil {
		return nil, err
	}
	files, err := nftFiles(units.get("nftables.service").Facts.Exec)
	if err != nil {
		return nil, err
	}
	p := m.newNFTParser()
	var ev requirement.Evidence
	for _, name := range files {
		f, err := m.tree.file(name)
		if err != nil {
			return nil, err
		}
		if !f.Exists {
			continue
		}
		if ev.Path == "" {
			ev = f.Evidence
			ev.Content = true
		}
		if p.file(name, nil, ""); p.err != nil {
			return nil, p.err
		}
	}
	if ev.Path == "" {
		return nil, nil // there is nothing to load
	}
	if len(p.rules.tables) == 0 && p.rules.doubt == "" {
		return nil, nil
	}
	fw := newFirewall("nftables", ev, m.managementNames(p.hints), p.rules.outcome)
	fw.Why = p.rules.doubt
	return []firewall{fw}, nil
}

// newNFTParser returns a parser of rule sets that reads what they include.
func (m *Machine) newNFTParser() nftParser {
	return nftParser{
		rules: newNFT(), left: maxNFT, vars: map[string][]string{}, include: m.nftInclude,
		read: func(name string) (string, error) {
			data, _, err := m.tree.read(name, maxConfig)
			return string(data), err
		},
	}
}

// nftFiles are the files that the unit's commands load at start: those of nft
// -f, else the distribution's.
func nftFiles(commands []execCommand) ([]string, error) {
	var files []string
	for _, c := range commands {
		if !slices.Contains([]string{"ExecStart", "ExecStartPre", "ExecStartPost"}, c.Setting) {
			continue
		}
		if path.Base(c.Path) != "nft" {
			if !slices.Contains([]string{"true", "echo", "sleep", "modprobe"}, path.Base(c.Path)) {
				return nil, fmt.Errorf("nftables.service runs %q, and coldcheck cannot determine which rules that loads", c.Raw)
			}
			continue
		}
		for i, w := range c.Args {
			switch {
			case (w == "-f" || w == "--file") && i+1 < len(c.Args):
				files = append(files, c.Args[i+1])
			case strings.HasPrefix(w, "-f/"):
				files = append(files, w[2:])
			case strings.HasPrefix(w, "--file="):
				files = append(files, w[len("--file="):])
			}
		}
	}
	if len(files) == 0 {
		files = []string{"/etc/nftables.conf", "/etc/sysconfig/nftables.conf"}
	}
	return files, nil
}

// nftInclude lists the files that an include names. Without wildcards the file
// must exist, or nft loads nothing.
func (m *Machine) nftInclude(name string) (paths []string, missing bool, err error) {
	if !path.IsAbs(name) {
		name = path.Join("/etc", name)
	}
	if strings.ContainsAny(name, "*?[") {
		paths, err = m.glob(name)
	} else {
		paths = []string{name}
	}
	if err != nil {
		return nil, false, err
	}
	var files []string
	for _, p := range paths {
		f, err := m.tree.file(p)
		if err != nil {
			return nil, false, err
		}
		switch {
		case !f.Exists:
			return nil, true, nil
		case !f.Dir:
			files = append(files, p)
			continue
		}
		entries, _, err := m.tree.list(p) // a folder: all files of it
		if err != nil {
			return nil, false, err
		}
		for _, e := range entries {
			if !e.IsDir() && e.Name()[0] != '.' {
				files = append(files, path.Join(p, e.Name()))
			}
		}
	}
	return files, false, nil
}

// An nft is a rule set.
type nft struct {
	tables map[string]*nftTable // by family and name
	doubt  string
}

type nftTable struct {
	chains  map[string]*filterChain
	hooks   map[string]string // of base chains: the hook
	sets    map[string]nftSet
	dormant bool
}

// An nftSet is a named set or map; elements of a set are keys, of a map keys and
// verdicts.
type nftSet struct {
	elements []string
	verdicts [][]string
	dynamic  bool // the running system adds to it
}

func newNFT() *nft { return &nft{tables: map[string]*nftTable{}} }

func (n *nft) table(family, name string) *nftTable {
	key := family + " " + name
	if n.tables[key] == nil {
		n.tables[key] = &nftTable{chains: map[string]*filterChain{}, hooks: map[string]string{},
			sets: map[string]nftSet{}}
	}
	return n.tables[key]
}

// outcome follows a packet through the base chains of all tables: each of them
// has to let it in.
func (n *nft) outcome(p packet) outcome {
	if n.doubt != "" {
		return outDoubt
	}
	result := outNext
	for _, key := range sortedKeys(n.tables) {
		t := n.tables[key]
		family, _, _ := strings.Cut(key, " ")
		if t.dormant || family != "ip" && family != "inet" && family != "netdev" {
			continue
		}
		for _, name := range sortedKeys(t.hooks) {
			if !slices.Contains([]string{"prerouting", "input", "ingress"}, t.hooks[name]) {
				continue
			}
			o := through(t.chains, name, p)
			if o&outAccept != 0 {
				o = o&^outAccept | outNext
			}
			result = result.then(func() outcome { return o })
		}
	}
	return result.then(func() outcome { return outAccept })
}

// maxNFT bounds the tokens of a rule set, those that a variable or a set stands
// for each time that it is named.
const maxNFT = 4 << 20

// maxIncludes bounds the files of a rule set.
const maxIncludes = 1000

// An nftParser reads the language of nft(8).
type nftParser struct {
	rules   *nft
	include func(name string) (paths []string, missing bool, err error)
	read    func(name string) (string, error)
	left    int
	files   int
	depth   int
	vars    map[string][]string
	hints   []string // interfaces that it names
	err     error    // of reading files
}

// doubt notes the first thing that is not followed.
func (p *nftParser) doubt(format string, args ...any) {
	if p.rules.doubt == "" {
		p.rules.doubt = fmt.Sprintf(format, args...)
	}
}

var errNFT = errors.New("the rule set is too large to follow")

// spend counts tokens, and says whether there may be more.
func (p *nftParser) spend(n int) bool {
	if p.left -= n; p.left < 0 {
		p.doubt("%v", errNFT)
		return false
	}
	return true
}
