package windows

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	typed "github.com/coldcheck/coldcheck/scanner/rules/facts"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

// NextStart is the machine as it is after the next start; nil if that uses the same
// control set.
func (m *Machine) NextStart() *Machine { return m.restarted }

// Part returns a part of the facts for rules of users, as a Source of package facts does.
func (m *Machine) Part(ctx context.Context, name string) (typed.Reading, error) {
	read, ok := partReaders[name]
	if !ok {
		return typed.Reading{}, fmt.Errorf("no fact of Windows is called %q", name)
	}
	return read(m.Within(ctx).next())
}

var partReaders = map[string]func(*Machine) (typed.Reading, error){
	"system":         reader((*Machine).systemFacts),
	"services":       (*Machine).serviceFacts,
	"programs":       (*Machine).programFacts,
	"packages":       (*Machine).packageFacts,
	"profiles":       (*Machine).profileFacts,
	"accounts":       (*Machine).accountFacts,
	"administrators": (*Machine).administratorFacts,
	"volumes":        reader((*Machine).driveFacts),
	"adapters":       (*Machine).adapterFacts,
	"certificates":   (*Machine).certificateFacts,
	"agents":         reader((*Machine).agentFacts),
	"policies":       reader((*Machine).policyFacts),
	"env":            (*Machine).variableFacts,
}

// reader is the reader of a part whose objects have the evidence.
func reader[T any](read func(*Machine) (T, error)) func(*Machine) (typed.Reading, error) {
	return func(m *Machine) (typed.Reading, error) {
		value, err := read(m)
		return typed.Reading{Value: value}, err
	}
}

// Call returns the result of a function for rules of users, as a Source of package facts does.
func (m *Machine) Call(ctx context.Context, function string, arguments []string) (typed.Reading, error) {
	m = m.Within(ctx)
	switch function {
	case "file":
		return m.fileFact(arguments[0])
	case "text":
		return m.textFact(arguments[0])
	case "registry":
		return m.valueFact(arguments[0], arguments[1])
	}
	return typed.Reading{}, fmt.Errorf("no function of Windows is called %q", function)
}

func (m *Machine) fileFact(path string) (typed.Reading, error) {
	f, err := m.File(path)
	if err != nil {
		return typed.Reading{}, err
	}
	return typed.FileOf(f.Evidence, f.Exists, f.Dir, f.Size, f.Modified), nil
}

// maxFactText bounds a text file that a rule reads, in bytes.
const maxFactText = 1 << 20

func (m *Machine) textFact(path string) (typed.Reading, error) {
	data, f, err := m.ReadFile(path, maxFactText)
	if err != nil {
		return typed.Reading{}, err
	}
	r := typed.Reading{Evidence: []requirement.Evidence{f.Evidence}}
	if f.Exists {
		if f.Dir {
			return r, fmt.Errorf("%s: a folder instead of a file", path)
		}
		r.Value = machine.DecodeText(data)
	}
	return r, nil
}

// valueFact reads a value of any type. Binary data is text in hex.
func (m *Machine) valueFact(key, value string) (typed.Reading, error) {
	k, err := m.Key(key)
	if err != nil {
		return typed.Reading{}, err
	}
	s, err := machine.ReadSetting(m.Machine, k, value, nil, registryFact, func(v any) string { return fmt.Sprint(v) })
	if err != nil {
		return typed.Reading{}, err
	}
	return typed.Reading{Value: s.Value, Evidence: []requirement.Evidence{s.Evidence}}, nil
}

func registryFact(v *registry.Value) (any, error) {
	switch v.Type() {
	case registry.SZ, registry.ExpandSZ:
		return v.String()
	case registry.DWord:
		n, err := v.Uint32()
		return int64(n), err
	case registry.QWord:
		n, err := v.Uint64()
		return int64(n), err
	case registry.MultiSZ:
		list, err := machine.ReadList(v)
		texts := []any{}
		for _, s := range list {
			texts = append(texts, s)
		}
		return texts, err
	}
	data, err := v.Data()
	return hex.EncodeToString(data), err
}

func (m *Machine) systemFacts() (typed.System, error) {
	s, err := m.System()
	if err != nil {
		return typed.System{}, err
	}
	of := typed.System{From: s.Evidence, Name: s.Name(), Version: s.Version(), Build: int64(s.Build),
		UBR: int64(s.Revision), Edition: s.EditionID, Client: s.Client,
		Installed:    typed.OrNull(s.Installed, !s.Installed.IsZero()),
		Architecture: typed.Known(m.Architecture()), ComputerName: typed.Known(m.ComputerName())}
	language, err := m.TextAt(machine.KeyControl+`\Nls\Language`, "InstallLanguage")
	of.Language = textFact(language, err)
	if accounts := m.Accounts(); accounts.SIDErr != nil {
		of.Domain = typed.Unknown[string](accounts.SIDErr)
	} else {
		of.Domain = typed.OrNull(accounts.Domain, accounts.Domain != "")
	}
	return of, nil
}

// textFact is a value as a fact: null if it is not set.
func textFact(s machine.Setting[string], err error) typed.Field[string] {
	if err != nil {
		return typed.Unknown[string](err)
	}
	return typed.OrNull(s.Value, s.Present)
}

func (m *Machine) serviceFacts() (typed.Reading, error) {
	services, err := m.Services()
	if err != nil {
		return typed.Reading{}, err
	}
	env, err := m.Environment()
	if err != nil {
		return typed.Reading{}, err
	}
	list := make([]typed.Service, len(services))
	for i, s := range services {
		list[i] = m.serviceFact(s, env)
	}
	return typed.Reading{Value: list, Evidence: []requirement.Evidence{services[0].ServicesKey()}}, nil
}

func (m *Machine) serviceFact(s machine.Service, env machine.Environment) typed.Service {
	of := typed.Service{From: typed.From{s.Key}, Name: s.Name, DisplayName: s.DisplayName}
	if s.Start.Present {
		of.From = typed.From{s.Start.Evidence}
	}
	if s.Err != nil { // which of the values are missing is not known
		return typed.Service{From: of.From, Name: s.Name, DisplayName: s.DisplayName,
			Driver: typed.Unknown[bool](s.Err), Start: typed.Unknown[string](s.Err), Delayed: typed.Unknown[bool](s.Err),
			Account: typed.Unknown[string](s.Err), Image: typed.Unknown[string](s.Err),
			Command: typed.Unknown[string](s.Err), Exists: typed.Unknown[bool](s.Err)}
	}
	start, _, _ := strings.Cut(s.StartName(), ",")
	of.Start, of.Delayed = typed.OrNull(start, s.Start.Present), typed.Of(s.Delayed)
	of.Driver = typed.OrNull(s.Driver(), s.Type.Present)
	of.Account = typed.OrNull(strings.TrimSpace(env.Text(s.Account)), s.Account.Present)
	of.Command = typed.OrNull(s.ImagePath.Value, s.ImagePath.Present)
	command := env.Text(s.ImagePath)
	switch {
	case s.ImagePath.Present && command != "":
	case s.Kernel(): // the kernel loads a driver without ImagePath from here
		command = `system32\drivers\` + s.Name + ".sys"
	default:
		of.Image, of.Exists = typed.Null[string](), typed.Null[bool]()
		return of
	}
	command, err := m.Expand(env, command)
	if err != nil {
		of.Image, of.Exists = typed.Unknown[string](err), typed.Unknown[bool](err)
		return of
	}
	image := env.Program(command)
	of.Image = typed.Of(image)
	of.Exists = typed.Later(func() (bool, error) {
		f, err := m.next().File(image)
		return f.Exists && !f.Dir, err
	})
	return of
}

// uninstallKey has the installed programs, below a key of software.
const uninstallKey = machine.KeyWindows + `\Uninstall`

// programFacts lists the programs of the machine and of all users. The list of a user
// whose settings cannot be read may have any program, so that all is unknown then.
func (m *Machine) programFacts() (typed.Reading, error) {
	var r typed.Reading
	list := []typed.Program{}
	read := func(key, scope string, user typed.Field[string]) error {
		parent, err := m.Key(key)
		if err != nil {
			return err
		}
		r.Evidence = append(r.Evidence, parent.Evidence)
		keys, err := m.Subkeys(parent)
		if err != nil {
			return err
		}
		for _, k := range keys {
			p, err := m.programFact(k)
			if err != nil {
				return err
			}
			p.Scope, p.User = scope, user
			list = append(list, p)
		}
		return nil
	}
	for _, view := range machine.SoftwareViews {
		if err := read(view+uninstallKey, "machine", typed.Null[string]()); err != nil {
			return typed.Reading{}, err
		}
	}
	profiles, err := m.Profiles()
	if err != nil {
		return typed.Reading{}, err
	}
	for _, p := range profiles.List {
		if !p.Person() && p.Kind != machine.ProfileAdministrator || p.Gone || p.Path == "" {
			continue
		}
		for _, view := range []string{`\Software`, `\Software\Wow6432Node`} {
			if err := read(`HKU\`+p.SID+view+uninstallKey, "user", typed.Of(p.SID)); err != nil {
				return typed.Reading{}, fmt.Errorf("the programs of %s: %w", p.Title(), err)
			}
		}
	}
	r.Value = list
	return r, nil
}

func (m *Machine) programFact(k machine.Key) (typed.Program, error) {
	p := typed.Program{From: typed.From{k.Evidence}, Name: k.Name()}
	name, err := m.Text(k, "DisplayName")
	if err != nil {
		return p, err
	}
	if name.Value != "" {
		p.Name, p.From = name.Value, typed.From{name.Evidence}
	}
	hidden, err := m.DWord(k, "SystemComponent")
	if err != nil {
		return p, err
	}
	p.Hidden = hidden.Value == 1 || name.Value == ""
	p.Version = textFact(m.Text(k, "DisplayVersion"))
	p.Publisher = textFact(m.Text(k, "Publisher"))
	p.Location = textFact(m.Text(k, "InstallLocation"))
	return p, nil
}

func (m *Machine) packageFacts() (typed.Reading, error) {
	system, err := m.System()
	if err != nil {
		return typed.Reading{}, err
	}
	if system.Build < machine.Build8 {
		return typed.Reading{Value: []typed.Appx{}, Evidence: system.Evidence}, nil // it has no such packages
	}
	appx, err := m.Appx()
	switch {
	case err != nil:
		return typed.Reading{}, err
	case appx.Fallback != "":
		return typed.Reading{}, fmt.Errorf("the list of packages may be incomplete: %s", appx.Fallback)
	case appx.StoreErr != nil:
		return typed.Reading{}, appx.StoreErr
	}
	list := []typed.Appx{}
	for _, p := range appx.Packages {
		family := appxFamily(p.FullName)
		_, provisioned := appx.Provisioned[family]
		of := typed.Appx{Name: p.FullName, Family: family, Provisioned: provisioned, System: p.ofWindows(),
			Users: []string{}}
		if parts := strings.Split(p.FullName, "_"); len(parts) > 1 {
			of.Version = parts[1]
		}
		for _, u := range p.Users {
			if u.State == appxInstalled && u.SID != sidSystem {
				of.Users = append(of.Users, u.SID)
			}
		}
		list = append(list, of)
	}
	return typed.Reading{Value: list, Evidence: append(slices.Clone(appx.Evidence), appx.Store)}, nil
}

var profileKinds = map[machine.ProfileKind]string{machine.ProfileSystem: "system", machine.ProfileService: "service",
	machine.ProfileAdministrator: "administrator", machine.ProfileDomain: "domain", machine.ProfileLocal: "local"}

func (m *Machine) profileFacts() (typed.Reading, error) {
	profiles, err := m.Profiles()
	if err != nil {
		return typed.Reading{}, err
	}
	list := []typed.Profile{}
	for _, p := range profiles.List {
		of := typed.Profile{From: typed.From{p.Evidence}, SID: p.SID, User: profiles.UserName(p),
			Path: typed.OrNull(p.Path, p.Path != ""), Temporary: p.Temporary(), Exists: typed.Null[bool]()}
		if name, ok := profileKinds[p.Kind]; ok {
			of.Kind = typed.Of(name)
		} else {
			of.Kind = typed.Unknown[string](profiles.SIDErr)
		}
		if p.Path != "" {
			of.Exists = typed.Later(func() (bool, error) {
				f, err := m.next().File(p.Path)
				return f.Exists && f.Dir, err
			})
		}
		list = append(list, of)
	}
	return typed.Reading{Value: list, Evidence: []requirement.Evidence{profiles.Evidence}}, nil
}

// driveFacts are drives C and D. What encrypts them is known to who opens the volumes.
func (m *Machine) driveFacts() ([]typed.Drive, error) {
	list := []typed.Drive{}
	for _, letter := range []string{"C", "D"} {
		d := m.Drive(letter)
		of := typed.Drive{Letter: letter, Role: d.Role, Filesystem: "NTFS", Encrypted: typed.Unknown[bool](d.Err),
			Encryption: typed.Unknown[string](d.Err)}
		if d.FS == nil {
			of.Size, of.Free = typed.Unknown[int64](d.Err), typed.Unknown[int64](d.Err)
			list = append(list, of)
			continue
		}
		usage, err := m.usageOf(d)
		of.Size, of.Free = typed.Known(usage.Size, err), typed.Known(usage.Free, err)
		of.From = typed.From{d.BitmapEvidence(fmt.Sprintf("%d bytes free of %d", usage.Free, usage.Size))}
		list = append(list, of)
	}
	return list, nil
}

func (m *Machine) usageOf(d *machine.Drive) (volume.Usage, error) {
	if d.Role == machine.RoleRoot {
		return m.Usage()
	}
	usage, err := d.FS.Usage()
	if err != nil {
		err = d.Problem("$Bitmap", err)
	}
	return usage, err
}

func (m *Machine) adapterFacts() (typed.Reading, error) {
	adapters, err := m.readAdapters()
	if err != nil {
		return typed.Reading{}, err
	}
	interfaces, err := m.Key(keyInterfaces)
	if err != nil {
		return typed.Reading{}, err
	}
	list := []typed.Adapter{}
	for _, a := range adapters {
		if a.Software {
			continue
		}
		servers := strings.FieldsFunc(a.NameServer.Value, func(r rune) bool { return r == ',' || r == ' ' })
		list = append(list, typed.Adapter{From: typed.From{a.DHCP.Evidence}, Name: a.Name, Description: a.Description,
			GUID: a.GUID, Enabled: a.Enabled, Removed: a.Removed, DHCP: typed.OrNull(a.DHCP.Value != 0, a.DHCP.Present),
			Addresses: append([]string{}, a.fixed()...), DNS: append([]string{}, servers...)})
	}
	return typed.Reading{Value: list, Evidence: []requirement.Evidence{interfaces.Evidence}}, nil
}

func (m *Machine) certificateFacts() (typed.Reading, error) {
	certificates, err := m.readCertificates()
	if err != nil {
		return typed.Reading{}, err
	}
	list := make([]typed.Certificate, len(certificates.List))
	for i, c := range certificates.List {
		list[i] = typed.Certificate{From: typed.From{c.Evidence}, Store: c.Store, Thumbprint: c.Thumbprint,
			Subject: typed.Known(c.Subject.String(), c.Err), Issuer: typed.Known(c.Issuer.String(), c.Err),
			NotBefore: typed.Known(c.NotBefore.UTC(), c.Err), NotAfter: typed.Known(c.NotAfter.UTC(), c.Err)}
	}
	return typed.Reading{Value: list, Evidence: certificates.Stores}, nil
}

func (m *Machine) variableFacts() (typed.Reading, error) {
	env, err := m.Variables()
	if err != nil {
		return typed.Reading{}, err
	}
	k, err := m.Key(machine.KeyEnvironment)
	if err != nil {
		return typed.Reading{}, err
	}
	variables := map[string]string{}
	for name, value := range env {
		variables[name] = value
	}
	return typed.Reading{Value: variables, Evidence: []requirement.Evidence{k.Evidence}}, nil
}

// keyAmazonPV is where the AWS PV drivers state their version.
const keyAmazonPV = `HKLM\SOFTWARE\Amazon\PVDriver`

func (m *Machine) agentFacts() (typed.Agents, error) {
	var programs []typed.Program
	var unread error
	for _, view := range machine.SoftwareViews {
		keys, err := m.SubkeysAt(view + uninstallKey)
		for _, k := range keys {
			p, e := m.programFact(k)
			err = cmp.Or(err, e)
			programs = append(programs, p)
		}
		unread = cmp.Or(unread, err) // both are in one hive, so that one reason is enough
	}
	// program is an agent that is a service of one of some names, with the version of a
	// program whose name begins with one of some texts.
	program := func(services []string, names ...string) typed.Field[typed.Agent] {
		return m.agent(services, func() typed.Field[string] {
			for _, p := range programs {
				if slices.ContainsFunc(names, func(name string) bool { return fold.HasPrefix(p.Name, name) }) {
					return p.Version
				}
			}
			if unread != nil {
				return typed.Unknown[string](unread)
			}
			return typed.Null[string]()
		})
	}
	driver := func(service string) typed.Field[typed.Agent] {
		return m.agent([]string{service}, func() typed.Field[string] { return m.loadedVersion(service) })
	}
	return typed.Agents{
		SSM:      program([]string{"AmazonSSMAgent"}, "Amazon SSM Agent"),
		Skylight: program(skylightNames, "Amazon WorkSpaces", "SkyLight"),
		DCV:      program([]string{"dcvserver"}, "NICE DCV", "Amazon DCV"),
		PCoIP:    program([]string{"PCoIPAgent"}, "PCoIP", "Teradici PCoIP", "HP Anyware"),
		ENA:      driver("ena"),
		NVMe:     driver("AWSNVMe"),
		PVDriver: m.agent(pvDrivers, func() typed.Field[string] { return textFact(m.TextAt(keyAmazonPV, "Version")) }),
	}, nil
}

// agent is an agent or driver that one of some services belongs to. version is called
// if there is one.
func (m *Machine) agent(services []string, version func() typed.Field[string]) typed.Field[typed.Agent] {
	of := typed.Agent{Version: typed.Null[string]()}
	for _, name := range services {
		s, err := m.Service(name)
		if err != nil {
			return typed.Unknown[typed.Agent](err)
		}
		of.From = append(of.From, s.Key)
		if s.Exists() {
			of.Installed, of.From, of.Version = true, typed.From{s.Key}, version()
			break
		}
	}
	return typed.Of(of)
}

// loadedVersion is the version of the file that a driver loads: null if that does not
// exist, or states none.
func (m *Machine) loadedVersion(service string) typed.Field[string] {
	drivers, err := m.readDrivers([]string{service})
	if err != nil {
		return typed.Unknown[string](err)
	}
	f := drivers[0].File
	if !f.Exists || f.Dir {
		return typed.Null[string]().ReadFrom(f.Evidence)
	}
	v, f, err := m.FileVersion(machine.WindowsPath(f.Evidence))
	if errors.Is(err, machine.ErrNoVersion) {
		return typed.Null[string]().ReadFrom(f.Evidence)
	}
	return typed.Known(v.String(), err).ReadFrom(f.Evidence)
}

func (m *Machine) policyFacts() (typed.Policies, error) {
	return typed.Policies{Firewall: typed.Known(m.firewallFacts()), PowerShell: typed.Known(m.powershellFacts())}, nil
}

func (m *Machine) firewallFacts() ([]typed.FirewallProfile, error) {
	state, err := m.readFirewall()
	if err != nil {
		return nil, err
	}
	list := []typed.FirewallProfile{}
	for _, p := range state.Profiles {
		list = append(list, typed.FirewallProfile{From: typed.From{p.Evidence}, Profile: p.Name, Enabled: p.Enabled,
			BlockAll: p.BlockAll, AllowInbound: p.Open})
	}
	if state.Off != nil {
		for _, name := range []string{"Domain", "Private", "Public"} {
			list = append(list, typed.FirewallProfile{From: typed.From{*state.Off}, Profile: name, AllowInbound: true})
		}
	}
	return list, nil
}

func (m *Machine) powershellFacts() (typed.PowerShell, error) {
	version, err := m.TextAt(`HKLM\SOFTWARE\Microsoft\PowerShell\3\PowerShellEngine`, "PowerShellVersion")
	if err == nil && !version.Present {
		version, err = m.TextAt(`HKLM\SOFTWARE\Microsoft\PowerShell\1\PowerShellEngine`, "PowerShellVersion")
	}
	p := typed.PowerShell{Version: textFact(version, err)}
	if err == nil {
		p.From = typed.From{version.Evidence}
	}
	policy, err := m.policyOf(`HKLM\SOFTWARE`, "Machine")
	if err == nil && !defined(policy) {
		policy, err = m.TextAt(`HKLM\SOFTWARE`+keyPowerShellShell, "ExecutionPolicy")
	}
	p.ExecutionPolicy = textFact(policy, err)
	p.ScriptBlockLogging = m.policySwitch(`\ScriptBlockLogging`, "EnableScriptBlockLogging")
	p.Transcription = m.policySwitch(`\Transcription`, "EnableTranscripting")
	return p, nil
}

func (m *Machine) policySwitch(key, value string) typed.Field[bool] {
	s, err := m.DWordAt(`HKLM\SOFTWARE`+keyPowerShellPolicy+key, value)
	return typed.Known(s.Value == 1, err)
}

func (m *Machine) accountFacts() (typed.Reading, error) {
	names, err := m.Key(keyAccounts + `\Names`)
	if err == nil && !names.Exists() {
		err = fmt.Errorf("%s: key %s not found", names.Evidence.Path, names.Evidence.Key)
	}
	if err != nil {
		return typed.Reading{}, err
	}
	keys, err := m.Subkeys(names)
	if err != nil {
		return typed.Reading{}, err
	}
	list := []typed.Account{}
	for _, k := range keys {
		rid, err := ridOf(k)
		if err != nil {
			return typed.Reading{}, err
		}
		a := typed.Account{From: typed.From{k.Evidence}, Name: k.Name(), RID: int64(rid)}
		flags, err := m.accountFlags(rid)
		if err == nil && !flags.Present {
			err = fmt.Errorf("%s: %s: value F is missing", flags.Evidence.Path, flags.Evidence.Key)
		}
		a.Disabled = typed.Known(flags.Value.Bits&accountDisabled != 0, err).ReadFrom(flags.Evidence)
		list = append(list, a)
	}
	return typed.Reading{Value: list, Evidence: []requirement.Evidence{names.Evidence}}, nil
}

func (m *Machine) administratorFacts() (typed.Reading, error) {
	sids, ev, err := m.administrators()
	if err != nil {
		return typed.Reading{}, err
	}
	own := m.Accounts()
	if own.SIDErr != nil {
		return typed.Reading{}, own.SIDErr
	}
	list := []typed.Member{}
	for _, sid := range sids {
		of := typed.Member{From: typed.From{ev}, SID: sid, Name: typed.Null[string]()}
		domain, rid := machine.SplitSID(sid)
		if of.Local = domain != "" && domain == own.MachineSID; of.Local {
			of.Name = typed.Later(func() (string, error) { return m.next().accountName(rid) })
		}
		list = append(list, of)
	}
	return typed.Reading{Value: list, Evidence: []requirement.Evidence{ev}}, nil
}

// accountName is the name of a local account.
func (m *Machine) accountName(rid uint32) (string, error) {
	keys, err := m.SubkeysAt(keyAccounts + `\Names`)
	if err != nil {
		return "", err
	}
	for _, k := range keys {
		if number, err := ridOf(k); err != nil || number == rid {
			return k.Name(), err
		}
	}
	return "", fmt.Errorf("the computer has no account with the number %d", rid)
}
