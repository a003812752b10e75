package machine

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// RunValues reads the command lines of a Run key, which may not be there.
// Windows starts only those that are texts.
func (m *Machine) RunValues(key string) ([]Setting[string], error) {
	k, err := m.Key(key)
	if err != nil || !k.Exists() {
		return nil, err
	}
	values, err := k.Values()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.Evidence.Path, err)
	}
	var commands []Setting[string]
	for _, v := range values {
		if t := v.Type(); t != registry.SZ && t != registry.ExpandSZ {
			continue
		}
		s, err := m.Text(k, v.Name())
		if err != nil {
			return nil, err
		}
		commands = append(commands, s)
	}
	return commands, nil
}

// Bounds of the search for drive maps: real machines have a few folders a
// policy, and files of a few KiB.
const (
	MaxPolicyFiles = 4096
)

// A startKind says from where a command runs at a start or sign-in.
type startKind int

const (
	startOfRun     startKind = iota // Run, RunOnce, Policies\Explorer\Run, RunOnceEx
	startOfLogon                    // Userinit, Shell, UserInitMprLogonScript
	startOfSetup                    // Active Setup, once for each user
	startOfPolicy                   // a script of Group Policy
	startOfFolder                   // a Startup folder
	startOfTask                     // a scheduled task
	startOfService                  // a service
)

// A Start is a command that runs at a start of the machine or when a user signs
// in, with all that it runs in turn.
type Start struct {
	Kind     startKind
	Name     string // how a person distinguishes it: "task Backup"
	Own      bool   // one user's own, not the machine's or everybody's
	Disabled bool   // it does not run as it is now
	Does     commands
	Remote   []string // scripts on shares and other drives, which are not among the images
	Evidence []requirement.Evidence
	Err      error // why it may do more than Does; nil if all was read
}

// Added says whether the start is of a kind that programs and people add: an
// entry of a Run key or a Startup folder, or a scheduled task that is not
// Windows' own. Services are none.
func (s Start) Added() bool {
	switch s.Kind {
	case startOfRun, startOfFolder:
		return true
	case startOfTask:
		_, below, _ := strings.Cut(s.Evidence[0].Path, "/Tasks/")
		return !fold.HasPrefix(below, "Microsoft/")
	}
	return false
}

// Starts are the commands that run at a start or a sign-in.
type Starts struct {
	List []Start
	Err  error // why there may be more of them; nil if every place was read
}

// Makes returns the starts that make drives, and the scripts elsewhere that may.
func (s Starts) Makes() (list []DriveMaking, remote []string, err error) {
	err = s.Err
	for _, start := range s.List {
		if start.Disabled {
			continue
		}
		for _, what := range start.Does.Makes {
			list = append(list, DriveMaking{start.Name, what, start.Evidence[0]})
		}
		for _, path := range start.Remote {
			remote = append(remote, fmt.Sprintf("%s (%s)", prose.Short(path), start.Name))
		}
		if start.Err != nil && len(start.Does.Makes) == 0 {
			err = fact.Join(err, start.Err)
		}
	}
	return list, remote, err
}

// MachineStarts are those of the machine: they run for everybody, or as the user
// that a task names.
func (m *Machine) MachineStarts() Starts {
	s, err := m.machineStarts.Get(m.Next().readMachineStarts)
	s.Err = fact.Join(s.Err, err)
	return s
}

// UserStarts are those that a user's profile holds.
func (m *Machine) UserStarts(p Profile) Starts {
	s, err := m.userStarts.Get(func() (Starts, error) { return m.Next().readUserStarts(p) })
	s.Err = fact.Join(s.Err, err)
	return s
}

// A startReader collects starts.
type startReader struct {
	m         *Machine
	env       Environment
	commands  *commandReader // what may still be taken apart
	scripts   scriptReader
	shortcuts ShortcutReader
	found     Starts
}

// maxStarts bounds the memory of what starts.
const maxStarts = 60_000

func (m *Machine) newStartReader(env Environment) *startReader {
	r := &startReader{m: m, env: env, commands: newCommandReader(), scripts: scriptReader{m: m}}
	known := map[string]bool{}
	r.commands.exists = func(path string) bool {
		is, ok := known[path]
		if !ok && len(known) < MaxPrograms && len(path) < 1024 {
			f, err := m.File(path)
			is = err == nil && f.Exists && !f.Dir
			known[path] = is
		}
		return is
	}
	return r
}

func (r *startReader) note(err error) {
	if err != nil {
		r.found.Err = fact.Join(r.found.Err, err)
	}
}

// add takes the command line of a start apart and reads the scripts that it
// names.
func (r *startReader) add(s Start, line, dir string, env Environment) {
	r.addCommand(s, env, func(c *commandReader) {
		sh := shell{dir: dir}
		c.line(c.replace(line, &sh), &sh, 0)
	})
}

func (r *startReader) addCommand(s Start, env Environment, does func(*commandReader)) {
	if len(r.found.List) >= maxStarts {
		if len(r.found.List) == maxStarts {
			r.found.List = append(r.found.List, Start{Disabled: true, Evidence: []requirement.Evidence{{}}})
			r.note(fmt.Errorf("%w: more than %d startup commands", ErrTooLarge, maxStarts))
		}
		return
	}
	c := r.commands
	c.out, c.err = commands{}, nil
	c.expand = func(text string) (string, error) { return r.m.Expand(env, text) }
	does(c)
	remote, evidence, err := r.scripts.follow(c, env)
	s.Does, s.Remote = c.out, remote
	s.Evidence = append(s.Evidence, evidence[:min(len(evidence), MaxNamedData)]...)
	s.Err = fact.Join(err, c.err)
	for _, doubt := range c.out.Doubts {
		s.Err = fact.Join(s.Err, errors.New(doubt))
	}
	if s.Err != nil {
		s.Err = fmt.Errorf("%s: %w", s.Name, s.Err)
	}
	r.found.List = append(r.found.List, s)
}

// machineUser stands for no user in particular.
const machineUser = ""

func (m *Machine) readMachineStarts() (Starts, error) {
	env, err := m.Environment()
	if err != nil {
		return Starts{}, err
	}
	r := m.newStartReader(env)
	for _, view := range SoftwareViews {
		r.readRegistry(view+`\Microsoft`, machineUser, env)
		r.note(r.readActiveSetup(view + `\Microsoft\Active Setup\Installed Components`))
	}
	r.note(r.readPolicyScripts(KeyGroupPolicy+`\Scripts`, machineUser, env))
	r.note(r.readScriptFiles())
	common, err := r.m.startupFolder(`HKLM\SOFTWARE`, "Common Startup",
		env["PROGRAMDATA"]+`\Microsoft\Windows\Start Menu\Programs\StartUp`, env)
	r.note(err)
	for _, folder := range common {
		r.note(r.readFolder(folder, machineUser, env))
	}
	r.note(r.readTasks())
	r.note(r.readServices())
	return r.found, nil
}

func (m *Machine) readUserStarts(p Profile) (Starts, error) {
	env, err := m.Environment()
	if err != nil {
		return Starts{}, err
	}
	env = env.Of(p)
	r := m.newStartReader(env)
	user := `HKU\` + p.SID
	if _, err := m.Key(user); err != nil {
		return Starts{}, err
	}
	for _, view := range []string{`\Software`, `\Software\Wow6432Node`} {
		r.readRegistry(user+view+`\Microsoft`, p.SID, env)
	}
	r.note(r.readLogonScript(user+`\Environment`, p.SID, env))
	r.note(r.readPolicyScripts(user+`\Software`+KeyWindows+`\Group Policy\Scripts`, p.SID, env))
	folders, err := m.startupFolder(user+`\Software`, "Startup",
		p.Path+`\AppData\Roaming\Microsoft\Windows\Start Menu\Programs\Startup`, env)
	r.note(err)
	for _, folder := range folders {
		r.note(r.readFolder(folder, p.SID, env))
	}
	return r.found, nil
}

// readRegistry reads the keys of one view whose values are commands. parent is
// its key Microsoft.
func (r *startReader) readRegistry(parent, user string, env Environment) {
	own := user != machineUser
	current := parent + `\Windows\CurrentVersion`
	for _, key := range []string{`\Run`, `\RunOnce`, `\Policies\Explorer\Run`, `\RunOnce\Setup`} {
		commands, err := r.m.RunValues(current + key)
		r.note(err)
		for _, s := range commands {
			r.add(Start{Kind: startOfRun, Name: "startup program " + prose.Short(s.Evidence.Value), Own: own,
				Evidence: []requirement.Evidence{s.Evidence}}, s.Value, "", env)
		}
	}
	r.note(r.readRunOnceEx(current+`\RunOnceEx`, own, env))
	winlogon, err := r.m.Key(parent + `\Windows NT\CurrentVersion\Winlogon`)
	r.note(err)
	for _, name := range []string{"Userinit", "Shell"} {
		s, err := r.m.Text(winlogon, name)
		r.note(err)
		for _, line := range SplitQuoted(s.Value, ',') {
			r.add(Start{Kind: startOfLogon, Name: `Winlogon\` + name, Own: own,
				Evidence: []requirement.Evidence{s.Evidence}}, line, "", env)
		}
	}
}

// SplitQuoted separates a list; what is in quotes is not separated.
func SplitQuoted(s string, by byte) []string {
	var list []string
	begin, quoted := 0, false
	for i := 0; i <= len(s); i++ {
		switch {
		case i < len(s) && s[i] == '"':
			quoted = !quoted
		case i == len(s) || s[i] == by && !quoted:
			if part := strings.TrimSpace(s[begin:i]); part != "" {
				list = append(list, part)
			}
			begin = i + 1
		}
	}
	return list
}

// readRunOnceEx reads the commands in the subkeys of RunOnceEx: a program with
// its arguments behind "||", or library|function|arguments.
func (r *startReader) readRunOnceEx(name string, own bool, env Environment) error {
	keys, err := r.m.SubkeysAt(name)
	if err != nil {
		return err
	}
	for _, k := range keys {
		values, err := k.Values()
		if err != nil {
			return fmt.Errorf("%s: %w", k.Evidence.Path, err)
		}
		for _, v := range values {
			s, err := r.m.Text(k, v.Name())
			if err != nil {
				return err
			}
			if v.Name() == "" || !s.Present {
				continue
			}
			line := s.Value
			if library, after, ok := strings.Cut(line, "|"); ok && library != "" {
				line = "rundll32.exe " + Quoted(library) + "," + strings.Replace(after, "|", " ", 1)
			} else {
				line = strings.TrimLeft(line, "|")
			}
			r.add(Start{Kind: startOfRun, Name: "startup program " + prose.Short(v.Name()), Own: own,
				Evidence: []requirement.Evidence{s.Evidence}}, line, "", env)
		}
	}
	return nil
}

// readLogonScript reads the logon script of a user, which userinit.exe runs.
func (r *startReader) readLogonScript(key, user string, env Environment) error {
	s, err := r.m.TextAt(key, "UserInitMprLogonScript")
	if err != nil || !s.Present {
		return err
	}
	r.add(Start{Kind: startOfLogon, Name: "UserInitMprLogonScript", Own: user != machineUser,
		Evidence: []requirement.Evidence{s.Evidence}}, s.Value, "", env)
	return nil
}

// readActiveSetup reads the commands that run once for each user. A component
// whose IsInstalled is 0 runs none.
func (r *startReader) readActiveSetup(name string) error {
	keys, err := r.m.SubkeysAt(name)
	if err != nil {
		return err
	}
	for _, k := range keys {
		stub, err := r.m.Text(k, "StubPath")
		if err != nil {
			return err
		}
		if strings.TrimSpace(stub.Value) == "" {
			continue
		}
		installed, err := r.m.DWord(k, "IsInstalled")
		if err != nil {
			return err
		}
		r.add(Start{Kind: startOfSetup, Name: "Active Setup " + prose.Short(k.Name()), Disabled: installed.Present &&
			installed.Value == 0, Evidence: []requirement.Evidence{stub.Evidence}}, stub.Value, "", r.env)
	}
	return nil
}

// readPolicyScripts reads the scripts that Group Policy last applied:
// Startup\n\m and Logon\n\m, each with the folder of its policy.
func (r *startReader) readPolicyScripts(name, user string, env Environment) error {
	for _, event := range []string{"Startup", "Logon"} {
		policies, err := r.m.SubkeysAt(name + `\` + event)
		if err != nil {
			return err
		}
		for _, policy := range policies {
			folder, err := r.m.Text(policy, "FileSysPath")
			if err != nil {
				return err
			}
			scripts, err := r.m.Subkeys(policy)
			if err != nil {
				return err
			}
			for _, k := range scripts {
				script, err := r.m.Text(k, "Script")
				if err != nil {
					return err
				}
				parameters, err := r.m.Text(k, "Parameters")
				if err != nil {
					return err
				}
				if strings.TrimSpace(script.Value) == "" {
					continue
				}
				dir := ""
				if folder.Value != "" {
					dir = strings.TrimSuffix(folder.Value, `\`) + `\Scripts\` + event
				}
				r.addScript(Start{Kind: startOfPolicy, Name: "policy script " + prose.Short(script.Value),
					Own: user != machineUser, Evidence: []requirement.Evidence{script.Evidence}},
					script.Value, parameters.Value, dir, env)
			}
		}
	}
	return nil
}

// addScript adds a script that is named without quotes and runs in a folder.
func (r *startReader) addScript(s Start, script, parameters, dir string, env Environment) {
	r.addCommand(s, env, func(c *commandReader) {
		sh := shell{dir: c.replace(dir, &shell{})}
		if c.take(len(script)+len(parameters), 0) {
			c.run(at(sh.dir, strings.Trim(c.replace(script, &sh), `"`)), " "+c.replace(parameters, &sh), &sh, 0)
		}
	})
}

// Bounds of the search for scripts of Group Policy, and of one list of them.
const (
	maxScriptList = 1 << 20
	maxListed     = 1_000 // scripts in one list
)

// readScriptFiles reads the lists of scripts in the local policy, in that of
// single users, and in the copies of the domain's.
func (r *startReader) readScriptFiles() error {
	system32 := `C:\` + r.m.SystemRoot + `\System32\`
	var all error
	for _, folder := range []string{"GroupPolicy", "GroupPolicyUsers"} {
		err := r.m.Walk(system32+folder, MaxPolicyFiles, func(v *Drive, name string) error {
			base := strings.ToLower(path.Base(name))
			if base != "scripts.ini" && base != "psscripts.ini" {
				return nil
			}
			listed, f, err := ReadParsed(v, name, maxScriptList, "scripts.ini", parseScriptList)
			if err != nil {
				return err
			}
			own := ""
			if parts := strings.Split(name, "/"); folder == "GroupPolicyUsers" && len(parts) > 3 {
				own = parts[3] // Windows/System32/GroupPolicyUsers/SID
			}
			for _, s := range listed {
				dir := `C:\` + strings.ReplaceAll(path.Dir(name), "/", `\`) + `\` + s.event
				evidence := f.Evidence
				evidence.Data = prose.Short(strings.TrimSpace(s.script + " " + s.parameters))
				script := at(dir, s.script)
				if strings.Contains(strings.ToLower(name), "/datastore/") && !r.commands.exists(script) &&
					script != s.script && !strings.Contains(s.script, ":") {
					// The copy holds the list; the script is where the policy is.
					script = `\\` + strings.ReplaceAll(behind(name, "/sysvol/"), "/", `\`) + `\` + s.script
				}
				r.addScript(Start{Kind: startOfPolicy, Name: "policy script " + prose.Short(s.script),
					Own: strings.HasPrefix(own, "S-1-5-21-"), Evidence: []requirement.Evidence{evidence}},
					script, s.parameters, dir, r.env)
			}
			return nil
		})
		all = fact.Join(all, err)
	}
	return all
}

// behind is what follows a part of a path.
func behind(name, part string) string {
	if i := fold.Index(name, part); i >= 0 {
		return path.Dir(name[i+len(part):])
	}
	return path.Dir(name)
}

// listedScript is an entry of scripts.ini or psscripts.ini.
type listedScript struct{ event, script, parameters string }

// parseScriptList reads scripts.ini ([MS-GPSCR] 2.2.2) and psscripts.ini
// (2.2.3): sections for events with the lines nCmdLine and nParameters. Scripts
// at the end of a session or of Windows are left out.
func parseScriptList(data []byte) ([]listedScript, error) {
	var list []listedScript
	places := map[string]int{}
	event := ""
	for line := range strings.Lines(DecodeText(data)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			event = strings.Trim(line, "[]")
			clear(places)
			continue
		}
		if !strings.EqualFold(event, "Startup") && !strings.EqualFold(event, "Logon") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		number := strings.TrimRight(strings.ToLower(strings.TrimSpace(name)), "abcdefghijklmnopqrstuvwxyz")
		what, _ := fold.CutPrefix(strings.TrimSpace(name), number)
		if !ok || number == "" {
			continue
		}
		i, known := places[number]
		if !known {
			if len(list) >= maxListed {
				return nil, fmt.Errorf("%w: more than %d scripts", ErrTooLarge, maxListed)
			}
			i = len(list)
			places[number] = i
			list = append(list, listedScript{event: event})
		}
		switch {
		case strings.EqualFold(what, "CmdLine"):
			list[i].script = strings.TrimSpace(value)
		case strings.EqualFold(what, "Parameters"):
			list[i].parameters = strings.TrimSpace(value)
		}
	}
	return list, nil
}

// startupFolder returns where the shell looks for startup programs: the usual
// folder, or the one that the registry names.
func (m *Machine) startupFolder(software, value, usual string, env Environment) ([]string, error) {
	for _, key := range []string{"User Shell Folders", "Shell Folders"} {
		s, err := m.TextAt(software+KeyWindows+`\Explorer\`+key, value)
		if err != nil {
			return []string{usual}, err
		}
		folder, err := m.Expand(env, s.Value)
		if err != nil {
			return []string{usual}, err
		}
		folder = Normal(folder)
		if s.Value != "" && !strings.EqualFold(folder, Normal(usual)) {
			return []string{folder, usual}, nil
		}
	}
	return []string{usual}, nil
}

// readFolder reads a Startup folder: shortcuts, scripts and programs. What is
// below another folder in it does not start.
func (r *startReader) readFolder(folder, user string, env Environment) error {
	if drive, _, err := splitDrive(folder); err != nil || r.m.volumes[drive] == nil {
		// On a share or another drive: nothing of it is among the images.
		r.found.List = append(r.found.List, Start{Kind: startOfFolder, Name: "a Startup folder",
			Own: user != machineUser, Remote: []string{folder},
			Evidence: []requirement.Evidence{FileEvidence(RoleRoot, folder)}})
		return nil
	}
	entries, _, err := r.m.List(folder)
	if err != nil {
		return err
	}
	if len(entries) > MaxPrograms {
		return fmt.Errorf("%s: %w: it has more than %d entries", folder, ErrTooLarge, MaxPrograms)
	}
	for _, e := range entries {
		if e.IsDir() || strings.EqualFold(e.Name(), "desktop.ini") {
			continue
		}
		full := folder + `\` + e.Name()
		start := Start{Kind: startOfFolder, Name: e.Name() + " in the Startup folder", Own: user != machineUser}
		v, name, err := r.m.Locate(full)
		if err != nil {
			return err
		}
		if fold.HasSuffix(e.Name(), ".lnk") {
			s, err := r.shortcuts.read(v, name)
			if err != nil {
				return err
			}
			if s == nil {
				continue
			}
			start.Evidence = []requirement.Evidence{s.Evidence}
			r.add(start, s.Line(), strings.Trim(s.Folder, `"`), env)
			continue
		}
		f, err := v.File(name)
		if err != nil {
			return err
		}
		start.Evidence = []requirement.Evidence{f.Evidence}
		r.add(start, Quoted(full), folder, env)
	}
	return nil
}

// readTasks adds the scheduled tasks. One that runs as a single user, and not as
// an account of Windows itself, is that user's own.
func (r *startReader) readTasks() error {
	tasks, err := r.m.Tasks()
	var profiles Profiles
	var known bool
	n, _ := r.m.Names() // a name that is not known is a user's
	for _, t := range tasks {
		env := r.env
		own := t.Group == "" && t.Account != "" && n.Classify(t.Account) != accountBuiltIn &&
			!isBuiltInName(t.Account)
		if own {
			if !known {
				profiles, _ = r.m.Profiles() // without them variables of the user stay as they are
				known = true
			}
			if p := profiles.account(t.Account); p != nil {
				env = r.env.Of(*p)
			}
		}
		line := t.Command
		if !strings.HasPrefix(line, `"`) {
			line = Quoted(line) // the element is the program
		}
		r.add(Start{Kind: startOfTask, Name: "task " + prose.Short(t.Name), Own: own, Disabled: t.Disabled,
			Evidence: []requirement.Evidence{t.Evidence}}, line+" "+t.Arguments, t.Folder, env)
	}
	return err
}

// isBuiltInName recognizes the accounts of Windows by the names that tasks use
// without a domain.
func isBuiltInName(account string) bool {
	return fold.Contains([]string{"SYSTEM", "LocalSystem", "LOCAL SERVICE", "LocalService", "NETWORK SERVICE",
		"NetworkService", "INTERACTIVE", "Users", "Everyone"}, account)
}

// account finds the profile of an account that is written as a SID or a name.
func (ps Profiles) account(account string) *Profile {
	for i := range ps.List {
		if strings.EqualFold(ps.List[i].SID, account) {
			return &ps.List[i]
		}
	}
	if strings.HasPrefix(strings.ToUpper(account), "S-1-") {
		return nil
	}
	p, _ := ps.of(account)
	return p
}

// readServices adds services, and what wrappers run for them: the library that
// svchost loads, the program of NSSM or srvany with its arguments and its
// folder. Drivers have no command line; where they are is judged elsewhere.
func (r *startReader) readServices() error {
	services, err := r.m.Services()
	if err != nil {
		return err
	}
	for _, s := range services {
		if s.Deleted || s.Kernel() {
			continue
		}
		r.note(r.m.UnreadCommand(s))
		if err := r.readService(s); err != nil {
			r.note(err)
			if errors.Is(err, registry.ErrCorrupt) {
				continue
			}
		}
	}
	return nil
}

// UnreadCommand says why it is not known what a service runs; nil if it is,
// whatever else of it is damaged. One whose start type is damaged may start.
func (m *Machine) UnreadCommand(s Service) error {
	if s.Err == nil {
		return nil
	}
	k, err := m.Key(KeyServices + `\` + s.Name)
	if err != nil {
		return err
	}
	_, err = m.looseText(k, "ImagePath")
	return err
}

func (r *startReader) readService(s Service) error {
	start := Start{Kind: startOfService, Name: "service " + prose.Short(s.Name),
		Disabled: s.Start.Value == StartDisabled}
	if strings.TrimSpace(s.ImagePath.Value) != "" {
		start.Evidence = []requirement.Evidence{s.ImagePath.Evidence}
		r.addCommand(start, r.env, func(c *commandReader) {
			sh := shell{}
			line := strings.TrimSpace(c.replace(s.ImagePath.Value, &sh))
			if c.take(len(line), 0) {
				program, rest := c.split(line)
				c.run(program, rest, &sh, 0)
			}
		})
	}
	service, err := r.m.Key(KeyServices + `\` + s.Name)
	if err != nil {
		return err
	}
	parameters, err := r.m.Subkey(service, "Parameters")
	if err != nil {
		return err
	}
	for _, k := range []Key{service, parameters} {
		dll, err := r.m.Text(k, "ServiceDll")
		if err != nil {
			return err
		}
		if strings.TrimSpace(dll.Value) == "" {
			continue
		}
		start.Evidence = []requirement.Evidence{dll.Evidence}
		r.addCommand(start, r.env, func(c *commandReader) {
			c.use(c.program(strings.Trim(c.replace(dll.Value, &shell{}), `" `), &shell{}), "library")
		})
	}
	application, err := r.m.Text(parameters, "Application")
	if err != nil || strings.TrimSpace(application.Value) == "" {
		return err
	}
	arguments, err := r.m.Text(parameters, "AppParameters")
	if err != nil {
		return err
	}
	folder, err := r.m.Text(parameters, "AppDirectory")
	if err != nil {
		return err
	}
	start.Evidence = []requirement.Evidence{application.Evidence}
	for _, s := range []Setting[string]{arguments, folder} {
		if s.Present {
			start.Evidence = append(start.Evidence, s.Evidence)
		}
	}
	r.addCommand(start, r.env, func(c *commandReader) {
		sh := shell{}
		sh.dir = strings.Trim(c.replace(folder.Value, &sh), `" `)
		line := c.replace(strings.TrimSpace(application.Value), &sh)
		if !c.take(len(line)+len(arguments.Value), 0) {
			return
		}
		// srvany takes a command line, NSSM a path; both may hold blanks.
		program, rest := c.split(line)
		if !strings.HasPrefix(line, `"`) && (c.exists(line) || programEnd(line) == len(line)) {
			program, rest = line, ""
		}
		c.run(program, rest+" "+c.replace(arguments.Value, &sh), &sh, 0)
	})
	return nil
}

// UsesOf returns what a command line executes and loads, where it is no start by itself. With an error there may be
// more.
func (m *Machine) UsesOf(env Environment, line string) ([]use, error) {
	c := m.newStartReader(env).commands
	c.left = maxCommandLine * maxCommandDepth
	c.expand = func(text string) (string, error) { return m.Expand(env, text) }
	sh := shell{}
	c.line(c.replace(line, &sh), &sh, 0)
	return c.out.Uses, c.err
}

// DescribeData names paths off drive C that commands only mention.
func (s Starts) DescribeData() []string {
	var list []string
	for _, start := range s.List {
		for _, d := range start.Does.Data {
			if list = append(list, fmt.Sprintf("%s (%s)", prose.Short(d), start.Name)); len(list) >= MaxNamedData {
				return list
			}
		}
	}
	return list
}

// SomeRemote names scripts that are not on the volumes.
func SomeRemote(remote []string) string {
	return "scripts outside the given volumes may create drives: " + prose.Some(remote)
}
