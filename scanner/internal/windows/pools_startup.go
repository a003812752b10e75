package windows

import (
	"fmt"
	"path"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var poolsStartup = entry{
	Requirement: recommended("pools.startup.minimal", "",
		"Startup programs and scheduled tasks that are not needed should be removed.", sectionPools, explanation{
			Reads: `SOFTWARE and NTUSER.DAT: Run, RunOnce and their kin; the Startup folders; System32\Tasks without ` +
				`the folder Microsoft. What is turned off in Task Manager (Explorer\StartupApproved) does not count, ` +
				`nor do programs of AWS, Windows Security and OneDrive.`,
			Live: "Get-CimInstance Win32_StartupCommand; Get-ScheduledTask | Where-Object TaskPath -notlike '\\Microsoft\\*'",
			Doubts: "Which of them are needed is for you to decide. What the values of StartupApproved mean is known " +
				"from observation.",
			Fix: "Turn the programs off in Task Manager, Startup, and disable the tasks in Task Scheduler.",
		}),
	Judge: (*Machine).decideStartup,
}

// A startProgram is a program that starts with Windows or when a user signs in.
type startProgram struct {
	Name     string
	OneDrive bool // which Windows itself brings
	Evidence requirement.Evidence
}

// startupPrograms are those that people and programs added.
type startupPrograms struct {
	List []startProgram
	Err  error // why there may be more; nil if all were read
}

func (m *Machine) decideStartup() requirement.Outcome {
	off, err := m.readStartupOff(`HKLM\SOFTWARE`)
	all := m.MachineStarts()
	s := startupPrograms{Err: fact.Join(err, all.Err)}
	s.add(all, off)
	w, err := m.Wanted()
	switch {
	case err != nil:
		s.Err = fact.Join(s.Err, err)
	case w.Profile == nil:
		s.Err = fact.Join(s.Err, errNoUser)
	default:
		off, err := m.readStartupOff(`HKU\` + w.Profile.SID + `\Software`)
		own := m.UserStarts(*w.Profile)
		s.Err = fact.Join(s.Err, err, own.Err)
		s.add(own, off)
	}
	return judgeStartup(s)
}

// readStartupOff reads the names of startup programs that are turned off in Task
// Manager: in the key StartupApproved, bit 0 of the first byte says so.
func (m *Machine) readStartupOff(software string) (map[string]bool, error) {
	off := map[string]bool{}
	for _, kind := range []string{"Run", "Run32", "StartupFolder"} {
		k, err := m.Key(software + machine.KeyWindows + `\Explorer\StartupApproved\` + kind)
		if err != nil {
			return off, err
		}
		if !k.Exists() {
			continue
		}
		values, err := k.Values()
		if err != nil {
			return off, fmt.Errorf("%s: %w", k.Evidence.Path, err)
		}
		if err := m.Meter.Steps(len(values)); err != nil {
			return off, err
		}
		for _, v := range values {
			data, err := v.Data()
			if err != nil {
				return off, fmt.Errorf("%s: %w", k.Evidence.Path, err)
			}
			if len(data) > 0 && data[0]&1 != 0 {
				off[strings.ToLower(v.Name())] = true
			}
		}
	}
	return off, nil
}

// add keeps the starts that count.
func (s *startupPrograms) add(starts machine.Starts, off map[string]bool) {
	for _, start := range starts.List {
		if start.Disabled || !start.Added() {
			continue
		}
		ev := start.Evidence[0]
		name := ev.Value // of a Run key
		if name == "" {
			name = path.Base(ev.Path)
		}
		if off[strings.ToLower(name)] || expectedStart(name, ev.Data) {
			continue
		}
		s.List = append(s.List, startProgram{start.Name, fold.Index(name, "OneDrive") >= 0, ev})
	}
}

// expectedStart says whether a startup program is one of AWS or Windows
// Security, by its name or its command.
func expectedStart(name, command string) bool {
	if strings.EqualFold(name, "SecurityHealth") || fold.HasPrefix(name, "Amazon") || fold.HasPrefix(name, "EC2") {
		return true
	}
	for _, folder := range []string{`\Amazon\`, `\NICE\`, `\Teradici\`, `\AWS Tools\`, `\AWSEUC\`} {
		if fold.Index(command, folder) >= 0 {
			return true
		}
	}
	return false
}

// judgeStartup decides pools.startup.minimal.
func judgeStartup(s startupPrograms) requirement.Outcome {
	var names, expected []string
	var evidence []requirement.Evidence
	var about []requirement.Subject
	for _, p := range s.List {
		if p.OneDrive {
			expected = append(expected, p.Name)
			continue
		}
		names = append(names, p.Name)
		evidence = append(evidence, p.Evidence)
		about = append(about, requirement.Subject{Kind: requirement.SubjectProgram, ID: p.Name,
			Reason: requirement.ReasonEnabled})
	}
	switch {
	case len(names) > 0:
		o := requirement.Warn(prose.Count(len(names), "program starts", "programs start")+" by itself: "+
			prose.Some(names)+".", evidence...).About(about...)
		if len(names) > 1 {
			o.Message = strings.Replace(o.Message, "by itself", "by themselves", 1)
		}
		o.Details = names[:min(len(names), maxNamed)]
		return o
	case s.Err != nil:
		return requirement.Unreadable(s.Err)
	}
	o := requirement.Pass("No program starts by itself that Windows or AWS did not add.")
	if len(expected) > 0 {
		o = o.Also("OneDrive starts: " + prose.Some(expected) + ".")
	}
	return o
}
