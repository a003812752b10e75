package windows

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/evtx"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Providers of the events that are looked for.
const (
	providerKernel    = "Microsoft-Windows-Kernel-General"
	providerBoot      = "Microsoft-Windows-Kernel-Boot"
	providerPower     = "Microsoft-Windows-Kernel-Power"
	providerEventLog  = "EventLog"
	providerServicing = "Microsoft-Windows-Servicing"
	providerUpdate    = "Microsoft-Windows-WindowsUpdateClient"
	providerServices  = "Service Control Manager"
)

// Events are what the event logs show of the time since Windows last started. Logs roll over and can be cleared, so
// that something is not in them proves nothing.
type Events struct {
	System, Setup LogState

	Start *machine.Event // the newest start of the kernel; nil if the log does not show it
	// Stop is the end of that start: Windows was shut down. It is nil if the log does not show that.
	Stop *machine.Event
	// Unclean says that the run before that start did not end in a shutdown.
	Unclean *machine.Event
	// Waiting are, newest first, what requires a restart since Start and is not complete: 21 and 22 of Windows Update,
	// 4, 13 and 14 of servicing.
	Waiting []machine.Event
}

// LogState is what became of reading a log.
type LogState struct {
	File machine.File
	Err  error // why it, or part of what is newer than the last start, could not be read
}

// Started is when Windows last started, by its own clock; zero if the log does not show that.
func (e Events) Started() time.Time {
	if e.Start == nil {
		return time.Time{}
	}
	return startTime(*e.Start)
}

// startTime is the kernel's time of a start, which is a little before the time of its record.
func startTime(start machine.Event) time.Time {
	if t, err := time.Parse(time.RFC3339Nano, start.Text("StartTime")); err == nil {
		return t.UTC()
	}
	return start.Time.UTC()
}

// Events reads what the event logs show.
func (m *Machine) Events() (Events, error) {
	return m.events.Get(func() (Events, error) { return m.next().readEvents(), nil })
}

func (m *Machine) readEvents() Events {
	var e Events
	log, err := m.EventLog(machine.LogSystem)
	e.System = LogState{File: log.File, Err: err}
	if err == nil {
		e.readSystem(m, log)
	}
	log, err = m.EventLog(machine.LogSetup)
	e.Setup = LogState{File: log.File, Err: err}
	if err == nil && e.Start != nil {
		e.readSetup(m, log)
	}
	return e
}

// resumeGap is how far the record of a start may be from the record of its kind.
const resumeGap = time.Minute

// readSystem reads the log back to the last start. A start that resumes a kernel session that was saved (fast startup,
// hibernation) completes no servicing and is none.
func (e *Events) readSystem(m *Machine, log *machine.EventLog) {
	var resumed time.Time
	var installed []string // titles of updates
	opened := false        // the event log was opened after what is read now
	for r, err := range m.Records(log, true) {
		if err != nil {
			if e.System.Err == nil {
				e.System.Err = err
			}
			if isDamage(err) {
				continue
			}
			return
		}
		switch {
		case r.Is(providerBoot, 27):
			if kind, ok := eventNumber(r.Text("BootType")); ok && kind != 0 {
				resumed = r.Time
			}
		case r.Is(providerKernel, 12):
			if !resumed.IsZero() && resumed.Sub(r.Time).Abs() < resumeGap {
				resumed = time.Time{}
				continue
			}
			e.Start = &r
			return
		case r.Is(providerEventLog, 6005):
			opened = true
		case r.Is(providerKernel, 13), r.Is(providerEventLog, 6006) && !opened:
			if e.Stop == nil {
				e.Stop = &r
			}
		case r.Is(providerPower, 41), r.Is(providerEventLog, 6008):
			e.Unclean = &r
		case r.Is(providerUpdate, 19):
			installed = append(installed, r.Text("updateTitle"))
		case r.Is(providerUpdate, 21, 22):
			if waitingUpdates(r, installed) {
				e.Waiting = append(e.Waiting, r)
			}
		}
	}
}

// waitingUpdates reports whether an update of an event "restart required" was not installed later. An event that names
// none is settled by any.
func waitingUpdates(r machine.Event, installed []string) bool {
	titles := updateTitles(r)
	if len(titles) == 0 {
		return len(installed) == 0
	}
	return slices.ContainsFunc(titles, func(title string) bool {
		return !slices.ContainsFunc(installed, func(i string) bool { return i != "" && strings.Contains(title, i) })
	})
}

// updateTitles are the updates that an event lists on a line each, after "- ".
func updateTitles(r machine.Event) []string {
	var titles []string
	for line := range strings.Lines(r.Text("updatelist")) {
		if title := strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "-")); title != "" {
			titles = append(titles, title)
		}
	}
	return titles
}

// readSetup reads the log of servicing back to the last start.
func (e *Events) readSetup(m *Machine, log *machine.EventLog) {
	started := e.Started()
	complete := map[string]bool{}
	var waiting []machine.Event
	for r, err := range m.Records(log, true) {
		if err != nil {
			if e.Setup.Err == nil {
				e.Setup.Err = err
			}
			if isDamage(err) {
				continue
			}
			break
		}
		if !r.Time.After(started) {
			break
		}
		switch {
		case r.Is(providerServicing, 2, 9, 10):
			complete[servicingName(r)] = true
		case r.Is(providerServicing, 4, 13, 14):
			if name := servicingName(r); !complete[name] {
				complete[name] = true // once
				waiting = append(waiting, r)
			}
		}
	}
	e.Waiting = append(e.Waiting, waiting...)
}

// isDamage reports whether the rest of a log can be read.
func isDamage(err error) bool {
	var damage *evtx.Damage
	return errors.As(err, &damage)
}

// servicingName is what an event of servicing is about: a feature, else a package.
func servicingName(r machine.Event) string {
	if name := r.Text("UpdateName"); name != "" {
		return name
	}
	return r.Text("PackageIdentifier")
}

func eventNumber(text string) (uint64, bool) {
	n, err := strconv.ParseUint(text, 0, 32)
	return n, err == nil
}

// waitingText says in a few words what requires a restart.
func waitingText(r machine.Event) string {
	what := servicingName(r)
	if r.Is(providerUpdate, 21, 22) {
		if titles := updateTitles(r); len(titles) > 0 {
			what = prose.Short(titles[0])
			if len(titles) > 1 {
				what += fmt.Sprintf(" and %d more", len(titles)-1)
			}
		} else {
			what = "Windows Update"
		}
	}
	return fmt.Sprintf("%s requires a restart since %s", prose.Short(what), r.Time.UTC().Format(layoutSeconds))
}

// layoutSeconds is how messages show the time of an event.
const layoutSeconds = "2006-01-02 15:04:05Z"

// pending are the traces of a pending reboot in the logs. If records since the last start are missing, one of them may
// be a later start, so that nothing is certain.
func (e Events) pending() []pendingTrace {
	if e.Start == nil || e.System.Err != nil {
		return nil
	}
	var list []pendingTrace
	for _, r := range e.Waiting {
		log := "System"
		if strings.EqualFold(r.Provider, providerServicing) {
			log = "Setup"
		}
		list = append(list, pendingTrace{"the event log " + log + " shows that " + waitingText(r),
			r.Shown(waitingText(r))})
	}
	return list
}

// read says what the logs show of a pending reboot, for a message.
func (e Events) read() string {
	var missing []string
	for _, log := range []struct {
		name string
		LogState
	}{{machine.LogSystem, e.System}, {machine.LogSetup, e.Setup}} {
		switch {
		case log.Err != nil:
			return "The event log " + log.name + " could not be read completely: " + prose.Sentence(log.Err.Error())
		case !log.File.Exists:
			missing = append(missing, log.name)
		}
	}
	switch {
	case len(missing) == 2:
		return "The event logs " + strings.Join(missing, " and ") + " do not exist."
	case !e.System.File.Exists:
		return "The event log System does not exist, so the event logs do not show when Windows last started."
	case e.Start == nil:
		return "The event log System does not show when Windows last started."
	case len(missing) > 0:
		return "No event since the last start (" + e.Started().Format(layoutSeconds) +
			") requires a restart. The event log Setup does not exist."
	}
	return "No event since the last start (" + e.Started().Format(layoutSeconds) + ") requires a restart."
}

// evidence are the logs and the last start.
func (e Events) evidence() []requirement.Evidence {
	var list []requirement.Evidence
	if e.Start != nil {
		list = append(list, e.Start.Shown("Windows started"))
	} else {
		list = append(list, e.System.File.Evidence)
	}
	return append(list, e.Setup.File.Evidence)
}

// buildJump is the first change of the version of Windows between two starts of the same computer; nil if the log shows
// none.
type buildJump struct{ Before, After *machine.Event }

// codeBases are the builds that share one code base: an enablement package changes one into another without an upgrade
// (from observation).
var codeBases = [][]uint64{
	{18362, 18363},
	{19041, 19042, 19043, 19044, 19045},
	{22621, 22631},
	{26100, 26200},
}

// sameCodeBase reports whether no upgrade is needed to get from one build to another.
func sameCodeBase(a, b uint64) bool {
	return a == b || slices.ContainsFunc(codeBases, func(list []uint64) bool {
		return slices.Contains(list, a) && slices.Contains(list, b)
	})
}

// buildJump looks for an upgrade in the log System.
func (m *Machine) buildJump() (buildJump, error) {
	log, err := m.EventLog(machine.LogSystem)
	if err != nil {
		return buildJump{}, err
	}
	// The newest start is known already, which matters where many records came since.
	if e, err := m.Events(); err == nil && e.Start != nil && e.System.Err == nil && isStart(*e.Start, "") {
		return m.jumpIn(log, e.Start)
	}
	newest, err := m.firstStart(log, true, "")
	if newest == nil {
		return buildJump{}, err
	}
	return m.jumpIn(log, newest)
}

// jumpIn looks for an upgrade in a log before its newest start. Versions rise, so that the log is read completely only
// where the oldest and the newest start differ.
func (m *Machine) jumpIn(log *machine.EventLog, newest *machine.Event) (j buildJump, err error) {
	oldest, err := m.firstStart(log, false, newest.Computer)
	if oldest == nil {
		return j, err
	}
	if !jumps(*oldest, *newest) {
		return j, nil
	}
	before := *oldest
	for r, err := range m.Records(log, false) {
		switch {
		case err != nil:
			if !isDamage(err) {
				return j, err
			}
			continue
		case !isStart(r, newest.Computer):
			continue
		case jumps(before, r):
			return buildJump{Before: &before, After: &r}, nil
		}
		before = r
	}
	return j, nil
}

// firstStart returns the newest or the oldest start of a computer; "" stands for any.
func (m *Machine) firstStart(log *machine.EventLog, newest bool, computer string) (*machine.Event, error) {
	var damage error
	for r, err := range m.Records(log, newest) {
		switch {
		case err != nil && !isDamage(err):
			return nil, err
		case err != nil:
			damage = err
		case isStart(r, computer):
			return &r, nil
		}
	}
	return nil, damage
}

func isStart(r machine.Event, computer string) bool {
	if !r.Is(providerKernel, 12) || computer != "" && !strings.EqualFold(r.Computer, computer) {
		return false
	}
	_, ok := eventNumber(r.Text("BuildVersion"))
	return ok
}

// jumps reports whether Windows was upgraded between two starts.
func jumps(before, after machine.Event) bool {
	from, _ := eventNumber(before.Text("BuildVersion"))
	to, _ := eventNumber(after.Text("BuildVersion"))
	return from < to && !sameCodeBase(from, to)
}

// installed are the newest installations of services, by their names in lower case.
type installed map[string]machine.Event

// installedServices reads which services were installed, when and by whom. What it does not have was installed before
// the log begins, or in a part of it that cannot be read.
func (m *Machine) installedServices() (installed, error) {
	return m.installs.Get(func() (installed, error) { return m.next().readInstalls() })
}

func (m *Machine) readInstalls() (installed, error) {
	log, err := m.EventLog(machine.LogSystem)
	if err != nil {
		return nil, err
	}
	list := installed{}
	for r, err := range m.Records(log, true) {
		if err != nil {
			if isDamage(err) {
				continue
			}
			return list, err
		}
		name := strings.ToLower(r.Text("ServiceName"))
		if _, known := list[name]; r.Is(providerServices, 7045) && !known {
			list[name] = r
		}
	}
	return list, nil
}

// of returns the installations of services as evidence.
func (list installed) of(rows []domainService) []requirement.Evidence {
	var evidence []requirement.Evidence
	for _, row := range rows {
		r, ok := list[strings.ToLower(row.Service)]
		if !ok {
			continue
		}
		says := "service " + prose.Short(row.Service) + " installed"
		if account := r.Text("AccountName"); account != "" {
			says += " with account " + prose.Short(account)
		}
		if r.UserID != "" {
			says += " by " + r.UserID
		}
		evidence = append(evidence, r.Shown(says))
	}
	return evidence
}
