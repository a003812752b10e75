package linux

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var componentCloudInit = entry{
	Requirement: require(requirement.Required, "linux.component.cloud-init", "cloud-init must be installed and enabled.",
		sectionRequirements, explanation{
			Reads: "The package database; /usr/bin/cloud-init; the units of cloud-init and what starts them; its " +
				"generator and ds-identify; /etc/cloud/cloud-init.disabled and ds-identify.cfg; datasource_list in " +
				"/etc/cloud; the kernel command lines of the boot loader (GRUB scripts and environment, boot loader " +
				"entries, the EFI system partition), and /etc/default/grub.",
			Live: "cloud-init status --long; systemctl is-enabled cloud-init-local cloud-init cloud-config " +
				"cloud-final; cat /proc/cmdline /etc/cloud/ds-identify.cfg; cloud-id",
			Fix: "Reinstall cloud-init with the package manager, then run 'sudo systemctl enable cloud-init-local " +
				"cloud-init cloud-config cloud-final'.",
		}),
	Judge: (*Machine).decideCloudInit,
}

// A cloudInitSwitch is what turns cloud-init off, or lets it find nothing.
type cloudInitSwitch struct {
	What     string // a sentence
	Remedy   string
	Doubt    bool // it does not turn it off today
	Subject  requirement.Subject
	Evidence requirement.Evidence
}

func (m *Machine) decideCloudInit() requirement.Outcome {
	c, err := m.component(cloudInitRule)
	if err != nil {
		return unreadable(err)
	}
	off, unread := m.cloudInitSwitches()
	return m.judgeCloudInit(c, off, unread)
}

// judgeCloudInit decides the requirement. What is certain comes first: what is
// missing or turns cloud-init off, then what could not be read, then what only
// may turn it off.
func (m *Machine) judgeCloudInit(c component, off []cloudInitSwitch, unread error) requirement.Outcome {
	o := judgeComponent(c, nil)
	switch {
	case c.Package == nil && c.Err == nil:
		o.Remediation = m.install("cloud-init")
	case o.Status == requirement.Failed && o.Remediation == "": // a file of it is missing or empty
		o.Remediation = m.reinstall("cloud-init")
	}
	// What turns cloud-init off also fails conditions of its units, and says more.
	if t, _, err := c.trouble(); o.Status == requirement.Failed && (err != nil || !t.Fault) {
		return o
	}
	type maker = func(string, ...requirement.Evidence) requirement.Outcome
	say := func(make maker, doubt bool) (requirement.Outcome, bool) {
		i := slices.IndexFunc(off, func(s cloudInitSwitch) bool { return s.Doubt == doubt })
		if i < 0 {
			return requirement.Outcome{}, false
		}
		evidence := o.Evidence
		for _, s := range off {
			evidence = append(slices.Clip(evidence), s.Evidence)
		}
		made := make(off[i].What, evidence...).About(off[i].Subject)
		made.Remediation = off[i].Remedy
		return made, true
	}
	if failed, ok := say(requirement.Fail, false); ok {
		return failed
	}
	if o.Status != requirement.Passed && o.Status != requirement.Warning {
		return o
	}
	if unread != nil {
		return unreadable(unread, o.Evidence...)
	}
	if warned, ok := say(requirement.Warn, true); ok {
		return warned
	}
	return o
}

// settingSubject is a setting that turns something off.
func settingSubject(name, value string, reason requirement.Reason) requirement.Subject {
	return requirement.Subject{Kind: requirement.SubjectSetting, ID: name, Value: value, Reason: reason}
}

// wordSubject is a word NAME=value of a kernel command line.
func wordSubject(word string) requirement.Subject {
	name, value, _ := strings.Cut(word, "=")
	return settingSubject(name, value, requirement.ReasonBoot)
}

// cloudInitSwitches looks at all that turns cloud-init off, besides its units.
// The error says why there may be more.
func (m *Machine) cloudInitSwitches() (off []cloudInitSwitch, unread error) {
	lines, err := m.kernelCommandLine()
	if err != nil {
		unread = joinErrors(unread, fmt.Errorf("cannot determine the kernel command line: %w", err))
	}
	for _, s := range []func([]bootLine) ([]cloudInitSwitch, error){m.offByCommandLine, m.offByFile, m.offByIdentify,
		m.offByNextCommandLine} {
		more, err := s(lines)
		off = append(off, more...)
		unread = joinErrors(unread, err)
	}
	return off, unread
}

// kernelWord returns what the last word NAME=… of a command line says, as
// cloud-init's scripts read it.
func kernelWord(line, name string) string {
	value := ""
	for _, w := range strings.Fields(line) {
		if v, ok := strings.CutPrefix(w, name+"="); ok {
			value = v
		}
	}
	return value
}

// disabling returns what a kernel command line holds that turns cloud-init off.
func disabling(line string) string {
	if kernelWord(line, "cloud-init") == "disabled" {
		return "cloud-init=disabled"
	}
	if policy := kernelWord(line, "ci.di.policy"); policyMode(policy) == "disabled" {
		return "ci.di.policy=" + policy
	}
	return ""
}

func (m *Machine) offByCommandLine(lines []bootLine) ([]cloudInitSwitch, error) {
	for _, line := range lines {
		if word := disabling(line.Text); word != "" {
			return []cloudInitSwitch{{
				What: fmt.Sprintf("The kernel command line in /%s disables cloud-init: it has %s.", line.Evidence.Path,
					word),
				Remedy:   m.removeArgument(word),
				Subject:  wordSubject(word),
				Evidence: line.Evidence,
			}}, nil
		}
	}
	return nil, nil
}

// removeArgument says how to take a word off the kernel command lines.
func (m *Machine) removeArgument(word string) string {
	switch {
	case !plain(word):
		return fmt.Sprintf("Remove %s from the kernel command line in the boot loader configuration, then restart the "+
			"WorkSpace.", word)
	case m.manager() == "apt":
		return fmt.Sprintf("Remove %s from /etc/default/grub and /etc/default/grub.d, run 'sudo update-grub', then "+
			"restart the WorkSpace.", word)
	}
	return fmt.Sprintf("Run 'sudo grubby --update-kernel=ALL --remove-args=%s', then restart the WorkSpace.", word)
}

// offByFile looks for the file that turns cloud-init off. Its generator asks the
// kernel's command line first, and then for the file that turns it on.
func (m *Machine) offByFile(lines []bootLine) ([]cloudInitSwitch, error) {
	enabled := len(lines) > 0 && !slices.ContainsFunc(lines,
		func(l bootLine) bool { return kernelWord(l.Text, "cloud-init") != "enabled" })
	on, err := m.tree.file("/etc/cloud/cloud-init.enabled")
	if err != nil {
		return nil, err
	}
	f, err := m.tree.file("/etc/cloud/cloud-init.disabled")
	if err != nil || !f.Exists || f.Dir || enabled || on.Exists && !on.Dir {
		return nil, err
	}
	return []cloudInitSwitch{{
		What:     "The file /etc/cloud/cloud-init.disabled disables cloud-init.",
		Remedy:   "Run 'sudo rm /etc/cloud/cloud-init.disabled'.",
		Subject:  fileSubject(f.Evidence, requirement.ReasonPresent),
		Evidence: noted(f.Evidence, "the file exists"),
	}}, nil
}

// identifyPaths are where distributions put ds-identify, which cloud-init's
// generator asks.
var identifyPaths = []string{"/usr/lib/cloud-init/ds-identify", "/usr/libexec/cloud-init/ds-identify"}

const identifyConfig = "/etc/cloud/ds-identify.cfg"

// An identifyPolicy is what ds-identify does (cloud-init, tools/ds-identify).
type identifyPolicy struct {
	mode       string // "search", "report", "enabled", "disabled"
	onNotFound string // "enabled", "disabled"
	datasource string // that is taken without a search; "" for none
	evidence   requirement.Evidence
}

// offByIdentify looks at ds-identify, its policy, and the datasources that it
// or cloud-init itself looks for.
func (m *Machine) offByIdentify(lines []bootLine) ([]cloudInitSwitch, error) {
	present, broken, err := m.identify()
	if err != nil || broken != nil {
		return broken, err
	}
	policy, err := m.identifyPolicy(lines)
	if err != nil {
		return nil, err
	}
	if policy.mode == "disabled" {
		// Whoever writes it wants cloud-init off, and it is once ds-identify is there.
		return []cloudInitSwitch{{
			What:     identifyConfig + " disables cloud-init: its policy is disabled.",
			Remedy:   "Remove the policy from " + identifyConfig + ".",
			Subject:  settingSubject("policy", "disabled", requirement.ReasonPresent),
			Evidence: policy.evidence,
		}}, nil
	}
	lists, err := m.datasources()
	if err != nil {
		return nil, err
	}
	return m.judgeDatasources(present, policy, lists)
}

// identify says whether ds-identify is there. One that cannot be run, or that
// the package owns and is gone, is a damaged installation.
func (m *Machine) identify() (present bool, broken []cloudInitSwitch, err error) {
	for _, p := range identifyPaths {
		f, err := m.tree.file(p)
		if err != nil {
			return false, nil, err
		}
		if !f.Exists || f.Dir {
			continue
		}
		executable, _, err := m.executableFile(p)
		if err != nil {
			return false, nil, err
		}
		if !executable || f.Size == 0 {
			return false, []cloudInitSwitch{{
				What:     "cloud-init is damaged: " + p + " cannot be executed.",
				Remedy:   m.reinstall("cloud-init"),
				Subject:  fileSubject(f.Evidence, requirement.ReasonDamaged),
				Evidence: noted(f.Evidence, "not executable"),
			}}, nil
		}
		return true, nil, nil
	}
	db, err := m.Packages()
	if err != nil {
		return false, nil, nil // whether the package is there is not known either
	}
	for _, p := range identifyPaths {
		owners, err := db.Owners(p)
		if err != nil {
			return false, nil, packagesError(err)
		}
		for _, owner := range owners {
			if owner.IsInstalled() {
				ev := m.ofPackages(db)
				ev.Value, ev.Data = owner.Name, p
				return false, []cloudInitSwitch{{
					What:   "cloud-init is damaged: " + p + " does not exist.",
					Remedy: m.reinstall("cloud-init"),
					Subject: requirement.Subject{Kind: requirement.SubjectFile, ID: strings.TrimPrefix(p, "/"),
						Reason: requirement.ReasonMissing},
					Evidence: ev,
				}}, nil
			}
		}
	}
	return false, nil, nil
}

// policyMode is the mode that a policy names, "" if it names none. The last word
// counts.
func policyMode(policy string) string {
	mode := ""
	for word := range strings.SplitSeq(policy, ",") {
		if slices.Contains([]string{"enabled", "disabled", "search", "report"}, word) {
			mode = word
		}
	}
	return mode
}

// identifyPolicy reads the policy as ds-identify does: the settings of its file,
// which is no YAML, and after them those of the kernel's command line. Of
// several command lines the first that says something else than the file counts.
func (m *Machine) identifyPolicy(lines []bootLine) (identifyPolicy, error) {
	policy := identifyPolicy{mode: "search", onNotFound: "disabled"}
	data, f, err := m.tree.read(identifyConfig, maxConfig)
	if err != nil {
		return policy, err
	}
	policy.evidence = f.Evidence
	set := func(text string, ev requirement.Evidence) {
		if mode := policyMode(text); mode != "" {
			policy.mode, policy.evidence = mode, noted(ev, text)
		}
		for word := range strings.SplitSeq(text, ",") {
			if value, ok := strings.CutPrefix(word, "notfound="); ok && (value == "enabled" || value == "disabled") {
				policy.onNotFound = value
			}
		}
	}
	text := ""
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value = trimQuotes(strings.TrimSpace(value))
		switch strings.TrimSpace(key) {
		case "policy":
			text = value
		case "datasource":
			policy.datasource = value
		}
	}
	set(text, f.Evidence)
	for _, line := range lines {
		if text := kernelWord(line.Text, "ci.di.policy"); text != "" {
			set(text, line.Evidence)
		}
		for _, name := range []string{"ci.ds", "ci.datasource"} {
			if value := kernelWord(line.Text, name); value != "" {
				policy.datasource = value
			}
		}
	}
	return policy, nil
}

// trimQuotes takes off a pair of quotes.
func trimQuotes(s string) string {
	if len(s) >= 2 && (s[0] == '"' || s[0] == '\'') && s[len(s)-1] == s[0] {
		return s[1 : len(s)-1]
	}
	return s
}

// A datasourceList is what one reader makes of datasource_list.
type datasourceList struct {
	names    []string // nil if it is not set, or for all
	evidence requirement.Evidence
}

// datasourceLists are what ds-identify and cloud-init itself read: the first
// takes lines, the other YAML.
type datasourceLists struct{ identify, cloudInit datasourceList }

// datasources reads the lists of cloud.cfg and of cloud.cfg.d, of which the last
// counts.
func (m *Machine) datasources() (datasourceLists, error) {
	var lists datasourceLists
	files := []string{"/etc/cloud/cloud.cfg"}
	entries, _, err := m.tree.list("/etc/cloud/cloud.cfg.d")
	if err != nil {
		return lists, err
	}
	for _, e := range entries {
		if path.Ext(e.Name()) == ".cfg" {
			files = append(files, "/etc/cloud/cloud.cfg.d/"+e.Name())
		}
	}
	slices.Sort(files[1:])
	for _, p := range files {
		read, f, err := readParsed(&m.tree, p, maxConfig, "datasource_list", parseDatasources)
		if err != nil {
			if link, lookErr := m.tree.file(p); lookErr == nil && link.Dir {
				continue // neither reads a folder
			}
			return lists, inFile(p, err)
		}
		if read.identify != nil {
			lists.identify = datasourceList{read.identify,
				noted(f.Evidence, "datasource_list: ["+strings.Join(read.identify, ", ")+"]")}
		}
		if read.cloudInit != nil {
			lists.cloudInit = datasourceList{read.cloudInit,
				noted(f.Evidence, "datasource_list: ["+strings.Join(read.cloudInit, ", ")+"]")}
		}
	}
	return lists, nil
}

type parsedDatasources struct{ identify, cloudInit []string } // nil where the file does not set it

// maxDatasources bounds the list: cloud-init knows about thirty.
const maxDatasources = 1_000

// parseDatasources reads datasource_list as ds-identify does, by lines, and as
// cloud-init does, of YAML.
func parseDatasources(data []byte) (parsedDatasources, error) {
	var p parsedDatasources
	const key = "datasource_list"
	if !bytes.Contains(data, []byte(key)) {
		return p, nil
	}
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "#")
		value, ok := strings.CutPrefix(line, key+":")
		if !ok || value != "" && value[0] != ' ' {
			continue
		}
		value = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(value), "["), "]")
		p.identify = []string{}
		for name := range strings.SplitSeq(value, ",") {
			if name = trimQuotes(strings.TrimSpace(name)); name != "" && len(p.identify) < maxDatasources {
				p.identify = append(p.identify, name)
			}
		}
	}
	var document yaml.Node
	if err := yaml.Unmarshal(data, &document); err != nil {
		return p, err
	}
	if len(document.Content) == 0 || document.Content[0].Kind != yaml.MappingNode {
		return p, nil
	}
	top := document.Content[0].Content
	for i := 0; i+1 < len(top); i += 2 {
		if top[i].Value != key {
			continue
		}
		value := top[i+1]
		if value.Kind == yaml.AliasNode {
			value = value.Alias
		}
		p.cloudInit = []string{}
		if value.Kind == yaml.ScalarNode && value.Value != "" && value.Tag != "!!null" {
			p.cloudInit = append(p.cloudInit, value.Value)
		}
		for _, item := range value.Content {
			if len(p.cloudInit) < maxDatasources {
				p.cloudInit = append(p.cloudInit, item.Value)
			}
		}
	}
	return p, nil
}

// seeds are datasources that are found on any machine where these files are.
var seeds = map[string][]string{
	"NoCloud": {"/var/lib/cloud/seed/nocloud", "/var/lib/cloud/seed/nocloud-net"},
	"Ec2":     {"/var/lib/cloud/seed/ec2"},
}

// finds says whether a datasource finds something on EC2: Ec2 does, and one
// whose files are on the volume.
func (m *Machine) finds(name string) (bool, error) {
	if name == "Ec2" {
		return true, nil
	}
	for _, folder := range seeds[name] {
		found := 0
		for _, file := range []string{"meta-data", "user-data"} {
			f, err := m.tree.file(folder + "/" + file)
			if err != nil {
				return false, err
			}
			if f.Exists && !f.Dir {
				found++
			}
		}
		if found == 2 {
			return true, nil
		}
	}
	return false, nil
}

// subject is the setting that names the datasources.
func (l datasourceList) subject() requirement.Subject {
	return settingSubject("datasource_list", strings.Join(l.names, ", "), requirement.ReasonPresent)
}

// text is the list in a message, and where it is set.
func (l datasourceList) text() string { return prose.Some(l.names) + " (/" + l.evidence.Path + ")" }

// remedy says how to let cloud-init find EC2.
func (l datasourceList) remedy() string {
	return "Add Ec2 to the datasource list in /" + l.evidence.Path + ", or remove the list."
}

// judgeDatasources decides by the list in force. ds-identify narrows the list
// that it reads to what it finds, and turns cloud-init off where that is
// nothing; a single name it takes unseen. Without it, or where it only reports,
// cloud-init itself looks for each of its own list.
func (m *Machine) judgeDatasources(
	identify bool, policy identifyPolicy, lists datasourceLists,
) ([]cloudInitSwitch, error) {
	inForce := lists.cloudInit
	if (identify || policy.datasource != "") && policy.mode == "search" {
		list := lists.identify
		if policy.datasource != "" {
			list = datasourceList{[]string{policy.datasource}, policy.evidence}
		}
		if len(list.names) == 0 {
			return nil, nil // the default has all
		}
		single := len(list.names) == 1 || len(list.names) == 2 && list.names[1] == "None"
		if single || policy.onNotFound == "disabled" {
			inForce = list
		}
		if !single && policy.onNotFound == "disabled" {
			for _, name := range list.names {
				if ok, err := m.finds(name); ok || err != nil {
					return nil, err
				}
			}
			return []cloudInitSwitch{{
				What: "cloud-init is disabled because EC2 has none of the datasources that ds-identify looks for: " +
					list.text() + ".",
				Remedy:   list.remedy(),
				Subject:  list.subject(),
				Evidence: list.evidence,
			}}, nil
		}
	}
	if len(inForce.names) == 0 {
		return nil, nil
	}
	for _, name := range inForce.names {
		if ok, err := m.finds(name); ok || err != nil {
			return nil, err
		}
	}
	s := cloudInitSwitch{
		What:     "cloud-init finds no data because EC2 has none of its datasources: " + inForce.text() + ".",
		Remedy:   inForce.remedy(),
		Subject:  inForce.subject(),
		Evidence: inForce.evidence,
	}
	if slices.Contains(inForce.names, "None") {
		s.What = "cloud-init runs without EC2 data because Ec2 is not one of its datasources: " + inForce.text() + "."
		s.Doubt = true
	}
	return []cloudInitSwitch{s}, nil
}

// offByNextCommandLine looks at what the boot loader's configuration is made of
// when it is made again. What differs from the present one takes effect then.
func (m *Machine) offByNextCommandLine(lines []bootLine) ([]cloudInitSwitch, error) {
	if slices.ContainsFunc(lines, func(l bootLine) bool { return disabling(l.Text) != "" }) {
		return nil, nil
	}
	next, err := m.nextCommandLines()
	if err != nil {
		return nil, err
	}
	for _, line := range next {
		if word := disabling(line.Text); word != "" {
			return []cloudInitSwitch{{
				What: fmt.Sprintf(
					"/%s has %s, which disables cloud-init when the boot loader configuration is next generated.",
					line.Evidence.Path, word),
				Remedy:   fmt.Sprintf("Remove %s from /%s.", word, line.Evidence.Path),
				Doubt:    true,
				Subject:  wordSubject(word),
				Evidence: line.Evidence,
			}}, nil
		}
	}
	return nil, nil
}

// nextCommandLines are those that the system would give the boot loader now: of
// GRUB's defaults, and of kernel-install's.
func (m *Machine) nextCommandLines() ([]bootLine, error) {
	files := []string{"/etc/default/grub"}
	entries, _, err := m.tree.list("/etc/default/grub.d")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		// grub-mkconfig(8) reads the others of the folder no more than a shell
		// finds by *.cfg.
		if path.Ext(e.Name()) == ".cfg" && !strings.HasPrefix(e.Name(), ".") {
			files = append(files, "/etc/default/grub.d/"+e.Name())
		}
	}
	slices.Sort(files[1:])
	values := map[string]string{}
	from := map[string]requirement.Evidence{}
	for _, p := range files {
		data, f, err := m.tree.read(p, maxConfig)
		if err != nil {
			return nil, err
		}
		assignShell(string(data), values, func(name string) {
			if strings.Contains(values[name], "cloud-init=") || strings.Contains(values[name], "ci.di.policy=") {
				if from[name].Path == "" {
					from[name] = noted(f.Evidence, name+"="+values[name])
				}
				return
			}
			delete(from, name)
		})
	}
	var lines []bootLine
	for _, name := range []string{"GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT"} {
		if values[name] != "" {
			lines = append(lines, bootLine{values[name], from[name]})
		}
	}
	data, f, err := m.tree.read("/etc/kernel/cmdline", maxConfig)
	if err != nil {
		return nil, err
	}
	if f.Exists {
		text := strings.Join(strings.Fields(string(data)), " ")
		lines = append(lines, bootLine{text, noted(f.Evidence, text)})
	}
	return lines, nil
}

// maxAssigned bounds what a variable grows to by its own repetition.
const maxAssigned = 64 << 10

// assignShell carries out the assignments of a shell script that only assigns,
// and says of each which variable it set.
func assignShell(text string, values map[string]string, set func(name string)) {
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", "")) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "export ")
		name, value, ok := strings.Cut(line, "=")
		more := strings.HasSuffix(name, "+")
		name = strings.TrimSuffix(name, "+")
		if !ok || name == "" ||
			strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			continue
		}
		value = expandShell(value, values)
		if more {
			value = values[name] + value
		}
		values[name] = value[:min(len(value), maxAssigned)]
		set(name)
	}
}

// expandShell is the value of an assignment, up to the first blank outside of
// quotes.
func expandShell(s string, values map[string]string) string {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(s) && b.Len() < maxAssigned; i++ {
		switch c := s[i]; {
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c == '$' && quote != '\'':
			name, n := grubVariable(s[i:])
			if n == 0 {
				b.WriteByte(c)
				continue
			}
			name, otherwise, _ := strings.Cut(name, ":-")
			if v := values[name]; v != "" {
				b.WriteString(v)
			} else {
				b.WriteString(otherwise)
			}
			i += n - 1
		case quote == 0 && (c == ' ' || c == '\t' || c == ';' || c == '#' && b.Len() == 0):
			return b.String()
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
