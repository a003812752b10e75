package linux

import (
	"fmt"
	"io/fs"
	"strings"
)

// ufw reads the rules of Ubuntu's firewall as ufw-init loads them: its own
// chains, before.rules, after.rules and user.rules, and the default policy.
// Those of IPv6 are of no account for the ports that WorkSpaces needs.
func (m *Machine) ufw() ([]firewall, error) {
	on, err := m.enabled("ufw.service")
	if err != nil || !on {
		return nil, err
	}
	conf, _, err := m.tree.read("/etc/ufw/ufw.conf", maxConfig)
	if err != nil {
		return nil, err
	}
	defaults, _, err := m.tree.read("/etc/default/ufw", maxConfig)
	if err != nil {
		return nil, err
	}
	// ufw-init accepts only "yes" and "YES", and reads ufw.conf last.
	enabled := parseAssignments(string(conf))["ENABLED"]
	if enabled == "" {
		enabled = parseAssignments(string(defaults))["ENABLED"]
	}
	if enabled != "yes" && enabled != "YES" {
		return nil, nil
	}
	files := map[string]string{}
	var evidence File
	for _, name := range []string{"before.rules", "after.rules", "user.rules"} {
		data, f, err := m.tree.read("/etc/ufw/"+name, maxConfig)
		if err != nil {
			return nil, err
		}
		if name == "user.rules" {
			if !f.Exists { // where older releases have it
				if data, f, err = m.tree.read("/lib/ufw/user.rules", maxConfig); err != nil {
					return nil, err
				}
			}
			evidence = f
		}
		files[name] = string(data)
	}
	policy := strings.ToUpper(parseAssignments(string(defaults))["DEFAULT_INPUT_POLICY"])
	rules := ufwRules(policy, files)
	for _, name := range []string{"before.init", "after.init"} {
		run, err := m.mayRun("/etc/ufw/" + name)
		if err != nil {
			return nil, err
		}
		if run && rules.doubt == "" {
			rules.doubt = "ufw also runs /etc/ufw/" + name + ", which coldcheck does not follow"
		}
	}
	f := rules.firewall("ufw", evidence.Evidence, m.managementNames(nil))
	f.Allow = allowInUFW
	f.Evidence.Note = fmt.Sprintf("DEFAULT_INPUT_POLICY=%q, with before.rules and after.rules", policy)
	return []firewall{f}, nil
}

// allowInUFW says how to allow ports.
func allowInUFW(ports []port) string {
	var commands []string
	for _, p := range ports {
		commands = append(commands, fmt.Sprintf("sudo ufw allow %d/%s", p.Number, p.Protocol))
	}
	return fmt.Sprintf("Run '%s', and remove rules that reject these ports.", strings.Join(commands, " && "))
}

// ufwRules puts the files together as ufw-init does.
func ufwRules(policy string, files map[string]string) ipTables {
	builtin := policy
	if policy != "ACCEPT" {
		builtin = "DROP"
	}
	s := parseIPTables("*filter\n" +
		":INPUT " + builtin + "\n" +
		"-A INPUT -j ufw-before-logging-input\n-A INPUT -j ufw-before-input\n-A INPUT -j ufw-after-input\n" +
		"-A INPUT -j ufw-after-logging-input\n-A INPUT -j ufw-reject-input\n-A INPUT -j ufw-track-input\n" +
		":ufw-before-logging-input -\n:ufw-before-input -\n:ufw-after-input -\n:ufw-after-logging-input " +
		"-\n:ufw-reject-input -\n:ufw-track-input -\n" +
		":ufw-logging-deny -\n:ufw-logging-allow -\n:ufw-skip-to-policy-input -\n" +
		"-A ufw-skip-to-policy-input -j " + builtin + "\n" +
		":ufw-user-input -\n:ufw-user-logging-input -\n:ufw-user-limit -\n:ufw-user-limit-accept -\n" +
		"COMMIT\n")
	if policy == "REJECT" {
		s.add("*filter\n-A ufw-reject-input -j REJECT\nCOMMIT\n")
	}
	for _, name := range []string{"before.rules", "after.rules", "user.rules"} {
		s.add(files[name])
	}
	if files["user.rules"] != "" {
		s.add("*filter\n-A ufw-before-input -j ufw-user-input\nCOMMIT\n")
	}
	return s
}

// mayRun says whether a path is a file with an execute bit.
func (m *Machine) mayRun(p string) (bool, error) {
	f, err := m.tree.file(p)
	if err != nil || !f.Exists || f.Dir {
		return false, err
	}
	real, err := m.tree.resolve(p, true)
	if err != nil {
		return false, err
	}
	info, _, _, err := m.tree.lstat(real)
	if err != nil {
		return false, err
	}
	return info.Mode()&(fs.ModePerm&0o111) != 0, nil
}
