package linux

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// readFirewalls are the units whose rules are read by their own readers.
var readFirewalls = []string{"firewalld.service", "iptables.service", "netfilter-persistent.service",
	"nftables.service", "ufw.service", "ip6tables.service"}

// unreadFirewalls are units of firewalls whose configuration is not read.
var unreadFirewalls = []string{"shorewall.service", "ferm.service", "firehol.service", "csf.service", "lfd.service",
	"apf.service", "apf-firewall.service", "arno-iptables-firewall.service", "fwbuilder.service", "uruk.service",
	"vuurmuur.service", "sshguard.service"}

// maxFirewallUnits bounds how many units with rules of their own are followed.
const maxFirewallUnits = 100

// otherFirewalls reads the rules that other units load at start: by
// iptables-restore, iptables or nft. Scripts that load rules are not followed.
func (m *Machine) otherFirewalls() ([]firewall, error) {
	units, err := m.Units()
	if err != nil {
		return nil, err
	}
	var all []firewall
	for _, u := range units.all() {
		if u.State != unitEnabled && u.State != unitSometimes || path.Ext(u.Name) != ".service" ||
			slices.Contains(readFirewalls, u.Name) || u.Facts == nil {
			continue
		}
		if slices.Contains(unreadFirewalls, u.Name) {
			all = append(all, m.doubtful(u, "coldcheck does not read its configuration"))
			continue
		}
		f, ok, err := m.unitFirewall(u)
		if err == nil && !ok {
			f, ok, err = m.scriptFirewall(u)
		}
		if err != nil {
			return all, err
		}
		if ok {
			all = append(all, f)
		}
		if len(all) > maxFirewallUnits {
			return all, fmt.Errorf("more than %d units load firewall rules: %w", maxFirewallUnits, errTooLarge)
		}
	}
	for _, p := range []string{"/etc/rc.local", "/etc/rc.d/rc.local"} {
		run, err := m.mayRun(p)
		if err != nil {
			return all, err
		}
		if !run {
			continue
		}
		is, err := m.loadsRules(p)
		if err != nil {
			return all, err
		}
		if is {
			f := m.doubtful(Unit{Name: p, File: contentEvidence("root", p[1:])},
				"it loads rules by a script, which coldcheck does not follow")
			return append(all, f), nil // the other is the same file, or is not run
		}
	}
	return all, nil
}

// maxRuleScript bounds a script that is looked at, in bytes; larger ones are
// programs.
const maxRuleScript = 256 << 10

// scriptFirewall says whether a unit runs a script that loads rules, which is
// not followed.
func (m *Machine) scriptFirewall(u Unit) (f firewall, ok bool, err error) {
	for _, c := range u.Facts.Exec {
		if !slices.Contains([]string{"ExecStart", "ExecStartPre", "ExecStartPost"}, c.Setting) {
			continue
		}
		for _, p := range append([]string{c.Path}, c.Args[:min(len(c.Args), 3)]...) {
			if !path.IsAbs(p) {
				continue
			}
			is, err := m.loadsRules(p)
			if errors.Is(err, fact.ErrBound) || errors.Is(err, fact.ErrTime) {
				return f, false, err
			}
			if is { // a program that cannot be read is no sign of a firewall
				return m.doubtful(u, "it loads rules by the script "+p+", which coldcheck does not follow"), true, nil
			}
		}
	}
	return f, false, nil
}

// loadsRules says whether a path is a script that loads rules which keep
// something out. What is no script, or in memory, is not.
func (m *Machine) loadsRules(p string) (bool, error) {
	f, err := m.tree.file(p)
	if err != nil || !f.Exists || f.Dir || f.Size < 10 || f.Size > maxRuleScript {
		return false, err
	}
	is, _, err := readParsed(&m.tree, p, maxRuleScript, "firewall script", func(data []byte) (bool, error) {
		if !strings.HasPrefix(string(data), "#!") {
			return false, nil
		}
		loads, keeps := false, false
		for line := range strings.Lines(string(data)) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "#") {
				continue
			}
			isBreak := func(r rune) bool { return strings.ContainsRune(" \t;&|(){}\"'`$", r) }
			for _, w := range strings.FieldsFunc(line, isBreak) {
				base := path.Base(w)
				loads = loads || isFirewallProgram(base) && !strings.HasPrefix(base, "ip6")
				drops := slices.Contains([]string{"DROP", "REJECT", "drop", "reject"}, w)
				keeps = keeps || drops || strings.HasSuffix(base, "-restore") || base == "nft"
			}
		}
		return loads && keeps, nil
	})
	return is, err
}

// doubtful is a firewall that is not followed.
func (m *Machine) doubtful(u Unit, why string) firewall {
	f := newFirewall(u.Name, u.File, []string{""}, func(packet) outcome { return outDoubt })
	f.Why = why
	return f
}

// unitFirewall follows the rules that the commands of a unit load. ok is false
// where it loads none.
func (m *Machine) unitFirewall(u Unit) (f firewall, ok bool, err error) {
	rules := ipTables{tables: map[string]map[string]*filterChain{}}
	set := m.newNFTParser()
	var ev requirement.Evidence
	for _, c := range u.Facts.Exec {
		if !slices.Contains([]string{"ExecStart", "ExecStartPre", "ExecStartPost"}, c.Setting) {
			continue
		}
		list := append([]string{c.Path}, c.Args...)
		isShell := slices.Contains([]string{"sh", "bash", "dash"}, path.Base(c.Path))
		if isShell && len(c.Args) == 2 && strings.HasPrefix(c.Args[0], "-") && strings.HasSuffix(c.Args[0], "c") {
			// A command in one word; what a script does beyond one is not followed.
			list = words(strings.NewReplacer("<", " < ", ";", " ; ", "&&", " ; ").Replace(c.Args[1]))
		}
		if len(list) == 0 {
			continue
		}
		file := ""
		switch base := path.Base(list[0]); {
		case slices.Contains(list, ";") &&
			slices.ContainsFunc(list, func(w string) bool { return isFirewallProgram(path.Base(w)) }):
			return m.doubtful(u, "it runs several commands in a shell, which coldcheck does not follow"), true, nil
		case strings.HasPrefix(base, "ip6tables"), !isFirewallProgram(base):
			continue
		case base == "nft":
			files, err := nftFiles([]execCommand{{Setting: "ExecStart", Path: list[0], Args: list[1:]}})
			if err != nil {
				return f, false, err
			}
			if !slices.Contains(list, "-f") && !slices.Contains(list, "--file") {
				if slices.Contains(list, "flush") || slices.Contains(list, "list") {
					continue
				}
				ok = true
				set.command(nftTokens(strings.Join(list[1:], " ")))
				continue
			}
			ok = true
			for _, name := range files {
				ev = contentEvidence("root", strings.TrimPrefix(name, "/"))
				if set.file(name, nil, ""); set.err != nil {
					return f, false, set.err
				}
			}
			continue
		case strings.HasSuffix(base, "-restore"):
			for _, w := range list[1:] {
				if !strings.HasPrefix(w, "-") && w != "<" {
					file = w
				}
			}
			if file == "" {
				return m.doubtful(u, "coldcheck cannot determine which rules it loads"), true, nil
			}
		default: // iptables -A INPUT …
			ok = true
			args := slices.DeleteFunc(slices.Clone(list[1:]), func(w string) bool { return w == "-w" || w == "--wait" })
			rules.command("filter", args)
			continue
		}
		data, at, err := m.tree.read(file, maxConfig)
		if err != nil {
			return f, false, err
		}
		if !at.Exists {
			continue // nothing is loaded
		}
		ok, ev = true, at.Evidence
		rules.add(string(data))
	}
	if !ok {
		return f, false, nil
	}
	if ev.Path == "" {
		ev = u.File
	}
	f = newFirewall(u.Name, ev, m.managementNames(set.hints), func(p packet) outcome {
		o := rules.outcome(p)
		if o&outAccept != 0 {
			o = o&^outAccept | outNext
		}
		return o.then(func() outcome { return set.rules.outcome(p) })
	})
	f.Why = rules.doubt
	if f.Why == "" {
		f.Why = set.rules.doubt
	}
	return f, true, nil
}

// isFirewallProgram says whether a program loads rules.
func isFirewallProgram(base string) bool {
	return base == "nft" || slices.Contains([]string{
		"iptables", "iptables-nft", "iptables-legacy", "iptables-restore", "iptables-nft-restore",
		"iptables-legacy-restore", "ip6tables", "ip6tables-restore",
	}, base)
}
