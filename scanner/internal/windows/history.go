package windows

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/filetime"
	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/history"
	"github.com/coldcheck/coldcheck/scanner/internal/sqlitefs"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

// History adds what changed on the machine. A source that cannot be read is recorded with its problem.
func (m *Machine) History(ctx context.Context, l *history.Log) {
	for _, source := range []struct {
		name string
		read func(*Machine, *history.Log) (requirement.Evidence, error)
	}{
		{"services", (*Machine).servicesHistory},
		{"event log System", (*Machine).systemHistory},
		{"event log Setup", (*Machine).setupHistory},
		{"event log Amazon EC2Launch", (*Machine).launchHistory},
		{"packages of Windows", (*Machine).updatesHistory},
		{"AppX packages in the registry", (*Machine).appxHistory},
		{"AppX packages in the state repository", (*Machine).repositoryHistory},
		{"profiles", (*Machine).profilesHistory},
		{"installed applications", (*Machine).applicationsHistory},
		{"driver packages", (*Machine).driversHistory},
		{"upgrades of Windows", (*Machine).upgradesHistory},
		{"reserved storage", (*Machine).reserveHistory},
	} {
		own := m.Within(ctx)
		ev, err := source.read(own, l)
		l.Source(source.name, ev, err)
	}
}

// long keeps a name printable in one line; full names of packages are up to 127 characters.
func long(s string) string {
	s, _ = prose.Shorten(strings.Join(strings.Fields(s), " "), 1024)
	return s
}

// one is evidence alone.
func one(ev requirement.Evidence) []requirement.Evidence { return []requirement.Evidence{ev} }

func (m *Machine) servicesHistory(l *history.Log) (requirement.Evidence, error) {
	list, err := m.Services()
	if err != nil || len(list) == 0 {
		return requirement.Evidence{}, err
	}
	for _, s := range list {
		kind, what := history.Service, "The key of service "+prose.Short(s.Name)+" was last changed"
		if s.Driver() {
			kind, what = history.Driver, "The key of driver "+prose.Short(s.Name)+" was last changed"
		}
		if s.Account.Value != "" && !s.Driver() {
			what += "; it runs as " + prose.Short(s.Account.Value)
		}
		l.Add(history.Change{Time: s.Key.Time, Kind: kind, Subject: s.Name, What: what, Evidence: one(s.Key)})
	}
	return list[0].ServicesKey(), nil
}

// eventHistory adds what each event says. It returns what may be missing.
func (m *Machine) eventHistory(l *history.Log, name string,
	say func(machine.Event) (history.Change, bool)) (requirement.Evidence, error) {
	log, err := m.EventLog(name)
	if err != nil {
		return log.File.Evidence, err
	}
	var problem error
	var oldest time.Time
	for r, err := range m.Records(log, true) {
		if err != nil {
			if problem == nil {
				problem = err
			}
			if isDamage(err) {
				continue
			}
			break
		}
		oldest = r.Time
		// Clocks are set and records are written late: a day is more than either takes.
		if r.Time.Before(l.From.AddDate(0, 0, -1)) {
			return log.File.Evidence, problem
		}
		c, ok := say(r)
		if !ok {
			continue
		}
		if c.Time.IsZero() {
			c.Time = r.Time
		}
		c.Evidence = one(shownOnly(r))
		l.Add(c)
	}
	if problem == nil && oldest.After(l.From) {
		problem = errors.New("the log begins on " + oldest.UTC().Format(layoutSeconds))
	}
	return log.File.Evidence, problem
}

// shownOnly is an event as evidence of a change that has its time.
func shownOnly(r machine.Event) requirement.Evidence {
	ev := r.Shown("")
	ev.Note = r.Evidence.Note
	return ev
}

func (m *Machine) systemHistory(l *history.Log) (requirement.Evidence, error) {
	return m.eventHistory(l, machine.LogSystem, systemEvent)
}

// systemEvent says what an event of the log System changed.
func systemEvent(r machine.Event) (c history.Change, ok bool) {
	text := func(name string) string { return long(r.Text(name)) }
	words := insertions(r)
	switch {
	case r.Is(providerServices, 7045):
		c.Kind, c.Subject = history.Service, r.Text("ServiceName")
		c.What = "Service " + text("ServiceName") + " was installed"
		switch account := text("AccountName"); {
		case account == "":
			c.Kind, c.What = history.Driver, "Driver "+text("ServiceName")+" was installed"
		default:
			c.What += " with account " + account
		}
		if r.UserID != "" {
			c.What += " by " + r.UserID
		}
	case r.Is(providerServices, 7040):
		name := nth(words, 3)
		if name == "" {
			name = nth(words, 0)
		}
		c.Kind, c.Subject = history.Service, name
		c.What = fmt.Sprintf("The start type of service %s changed from %s to %s", name, nth(words, 1), nth(words, 2))
	case r.Is(providerUpdate, 19):
		c.Kind, c.Subject, c.What = history.Update, r.Text("updateTitle"), text("updateTitle")+" was installed"
	case r.Is(providerUpdate, 20):
		c.Kind, c.Subject = history.Update, r.Text("updateTitle")
		c.What = text("updateTitle") + " failed with " + text("errorCode")
	case r.Is(providerUpdate, 21, 22):
		c.Kind, c.What = history.Update, "Windows Update required a restart"
	case r.Is(providerKernel, 12):
		c.Kind, c.Time, c.What = history.Start, startTime(r), "Windows started"
		if build := text("BuildVersion"); build != "" {
			c.What += " with build " + build
		}
	case r.Is(providerKernel, 13):
		c.Kind, c.What = history.Start, "Windows shut down"
	case r.Is(providerPower, 41), r.Is(providerEventLog, 6008):
		c.Kind, c.Subject, c.What = history.Start, "unclean", "Windows had not shut down cleanly before this start"
	case r.Is("User32", 1074):
		program, _, _ := strings.Cut(path.Base(slashed(nth(words, 0))), " (") // the computer follows
		c.Kind, c.What = history.Start, fmt.Sprintf("%s requested a %s as %s: %s", program, nth(words, 4), nth(words, 6),
			nth(words, 2))
	case r.Is(providerEventLog, 6011):
		c.Kind, c.What = history.Setting, fmt.Sprintf("The computer name changed from %s to %s", nth(words, 0),
			nth(words, 1))
	case r.Is("Microsoft-Windows-Eventlog", 104):
		c.Kind, c.What = history.Setting, "An event log was cleared"
	case r.Is("Microsoft-Windows-UserPnp", 20001):
		driver := ""
		for _, d := range r.Data {
			if fold.HasSuffix(d.Name, "DriverName") {
				driver = prose.Short(d.Text)
			}
		}
		c.Kind, c.Subject, c.What = history.Driver, driver, "A device was installed with driver "+driver
	default:
		return c, false
	}
	return c, true
}

// insertions are the data of an event of the older kind, whose names differ between versions of Windows.
func insertions(r machine.Event) []string {
	var list []string
	for _, d := range r.Data {
		list = append(list, prose.Short(d.Text))
	}
	return list
}

func nth(list []string, n int) string {
	if n < len(list) {
		return list[n]
	}
	return ""
}

func slashed(s string) string { return strings.ReplaceAll(s, `\`, "/") }

func (m *Machine) setupHistory(l *history.Log) (requirement.Evidence, error) {
	return m.eventHistory(l, machine.LogSetup, func(r machine.Event) (c history.Change, ok bool) {
		name := servicingName(r)
		c.Kind, c.Subject = history.Update, name
		switch {
		case r.Is(providerServicing, 2):
			c.What = "Package " + long(name) + " was changed"
			switch state := r.Text("IntendedPackageState"); state { // 5000 and the state in CBS
			case "5112", "Installed":
				c.What = "Package " + long(name) + " was installed"
			case "5000", "Absent":
				c.What = "Package " + long(name) + " was removed"
			}
		case r.Is(providerServicing, 3):
			c.What = "Package " + long(name) + " failed with " + prose.Short(r.Text("ErrorCode"))
		case r.Is(providerServicing, 4, 13, 14):
			c.What = prose.Short(name) + " required a restart"
		case r.Is(providerServicing, 9):
			c.What = "Feature " + prose.Short(name) + " was turned on"
		case r.Is(providerServicing, 10):
			c.What = "Feature " + prose.Short(name) + " was turned off"
		default:
			return c, false
		}
		return c, true
	})
}

func (m *Machine) launchHistory(l *history.Log) (requirement.Evidence, error) {
	return m.eventHistory(l, machine.LogEC2Launch, func(r machine.Event) (c history.Change, ok bool) {
		if r.ID == 200 {
			return history.Change{Kind: history.Sysprep, What: "EC2Launch started Sysprep"}, true
		}
		return c, false
	})
}

func (m *Machine) updatesHistory(l *history.Log) (requirement.Evidence, error) {
	packages, err := m.Key(keyServicing + `\Packages`)
	if err != nil {
		return requirement.Evidence{}, err
	}
	list, err := m.SubkeysUpTo(packages, maxServicing)
	if err != nil {
		return packages.Evidence, err
	}
	var problem error
	for _, k := range list {
		high, err := m.DWord(k, "InstallTimeHigh")
		if err != nil {
			problem = err
			continue
		}
		low, err := m.DWord(k, "InstallTimeLow")
		if err != nil {
			problem = err
			continue
		}
		if !high.Present || !low.Present {
			continue
		}
		when := filetime.Time(uint64(high.Value)<<32 | uint64(low.Value))
		if !l.Within(when) {
			continue
		}
		state, err := m.DWord(k, "CurrentState")
		if err != nil {
			problem = err
			continue
		}
		ev := k.Evidence
		ev.Value = "InstallTimeHigh, InstallTimeLow"
		name, _, _ := strings.Cut(k.Name(), "~")
		what := "Package " + long(k.Name()) + " was processed"
		switch state.Value {
		case statePackageInstalled:
			what = "Package " + long(k.Name()) + " was installed"
		case stateInstallPending:
			what = "Package " + long(k.Name()) + " was staged; its installation is pending"
		}
		l.Add(history.Change{Time: when, Kind: history.Update, Subject: name, What: what, Evidence: one(ev)})
	}
	return packages.Evidence, problem
}

// appxHistory goes by when the keys of packages were last written.
func (m *Machine) appxHistory(l *history.Log) (requirement.Evidence, error) {
	store, err := m.Key(keyAppxStore)
	if err != nil || !store.Exists() {
		return store.Evidence, err
	}
	owners, err := m.Subkeys(store)
	if err != nil {
		return store.Evidence, err
	}
	for _, owner := range owners {
		var what string
		switch name := owner.Name(); {
		case strings.EqualFold(name, "Applications"):
			what = " was provisioned for all users"
		case fold.HasPrefix(name, "S-1-"):
			what = " was registered for " + name
		default:
			continue
		}
		packages, err := m.Subkeys(owner)
		if err != nil {
			return store.Evidence, err
		}
		for _, k := range packages {
			l.Add(history.Change{Time: k.Evidence.Time, Kind: history.Package, Subject: k.Name(),
				What: "AppX package " + long(k.Name()) + what, Evidence: one(k.Evidence)})
		}
	}
	return store.Evidence, nil
}

// repositoryHistory goes by the times of installation in the state repository, which are FILETIMEs (from observation).
func (m *Machine) repositoryHistory(l *history.Log) (requirement.Evidence, error) {
	env, err := m.Environment()
	if err != nil {
		return requirement.Evidence{}, err
	}
	v, name, err := m.Locate(env["PROGRAMDATA"] + appxRepository + appxDatabase)
	if err != nil {
		return requirement.Evidence{}, err
	}
	f, err := v.File(name)
	if err != nil || !f.Exists {
		return f.Evidence, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), appxTime)
	defer cancel()
	db, err := sqlitefs.Open(ctx, v.FS, name)
	if err != nil {
		return f.Evidence, err
	}
	defer db.Close()
	f.Evidence.Content, f.Evidence.Value = true, "PackageUser.InstallTime"
	if have, err := db.Columns("PackageUser"); err != nil || !fold.Contains(have, "InstallTime") {
		return f.Evidence, errors.Join(err, errors.New("the state repository has no times of installation"))
	}
	names := map[int64]string{}
	err = db.Rows("Package", []string{"_PackageID", "PackageFullName"}, maxAppxPackages, func(row []sqlitefs.Value) error {
		id := integer(row[0])
		if full, ok := row[1].(string); ok && id != nil && len(full) <= maxAppxName {
			names[*id] = full
		}
		return nil
	})
	if err != nil {
		return f.Evidence, err
	}
	users := map[int64]string{}
	err = db.Rows("User", []string{"_UserID", "UserSid"}, maxAppxUsers, func(row []sqlitefs.Value) error {
		if b, ok := row[1].([]byte); ok && integer(row[0]) != nil {
			if sid, err := machine.ParseSID(b); err == nil {
				users[*integer(row[0])] = sid
			}
		}
		return nil
	})
	if err != nil {
		return f.Evidence, err
	}
	columns := []string{"Package", "User", "InstallTime"}
	err = db.Rows("PackageUser", columns, maxAppxRows, func(row []sqlitefs.Value) error {
		id, user, when := integer(row[0]), integer(row[1]), integer(row[2])
		if id == nil || user == nil || when == nil || *when <= 0 || names[*id] == "" {
			return nil
		}
		what := "AppX package " + long(names[*id]) + " was installed"
		if sid := users[*user]; sid != "" {
			what += " for " + sid
		}
		l.Add(history.Change{Time: filetime.Time(uint64(*when)), Kind: history.Package, Subject: names[*id], What: what,
			Evidence: one(f.Evidence)})
		return nil
	})
	return f.Evidence, err
}

func (m *Machine) profilesHistory(l *history.Log) (requirement.Evidence, error) {
	ps, err := m.Profiles()
	if err != nil {
		return requirement.Evidence{}, err
	}
	var problem error
	for _, p := range ps.List {
		if !p.Person() && p.Kind != machine.ProfileAdministrator {
			continue
		}
		title := prose.Short(p.Title())
		l.Add(history.Change{Time: p.Evidence.Time, Kind: history.Profile, Subject: "key " + p.SID,
			What: "The entry of profile " + title + " was last changed", Evidence: one(p.Evidence)})
		if p.Path == "" || p.Gone {
			continue
		}
		f, err := m.File(p.Path)
		switch {
		case errors.Is(err, machine.ErrElsewhere):
		case err != nil:
			problem = err
		case f.Exists:
			l.Add(history.Change{Time: f.Created, Kind: history.Profile, Subject: "folder " + p.SID,
				What: "The folder of profile " + title + " was created", Evidence: one(f.Evidence)})
		}
	}
	return ps.Evidence, problem
}

func (m *Machine) applicationsHistory(l *history.Log) (looked requirement.Evidence, err error) {
	for _, view := range machine.SoftwareViews {
		parent, err := m.Key(view + machine.KeyWindows + `\Uninstall`)
		if err != nil {
			return looked, err
		}
		if looked.Path == "" {
			looked = parent.Evidence
		}
		keys, err := m.Subkeys(parent)
		if err != nil {
			return looked, err
		}
		for _, k := range keys {
			name, err := m.Text(k, "DisplayName")
			if err != nil {
				return looked, err
			}
			date, err := m.Text(k, "InstallDate")
			if err != nil {
				return looked, err
			}
			title := prose.Short(name.Value)
			if title == "" {
				title = prose.Short(k.Name())
			}
			c := history.Change{Time: k.Evidence.Time, Kind: history.Application, Subject: k.Name(),
				What: "The entry of application " + title + " was last changed", Evidence: one(k.Evidence)}
			// The key's time is that of the installation if it is of the same day; zones differ by less than one.
			if day, err := time.Parse("20060102", strings.TrimSpace(date.Value)); err == nil {
				if apart := k.Evidence.Time.Sub(day); apart < -maxAhead || apart > 24*time.Hour+maxBehind {
					l.Add(history.Change{Time: day, Precision: history.Day, Kind: history.Application, Subject: k.Name(),
						What: title + " was installed", Evidence: one(date.Evidence)})
				} else {
					c.What = title + " was installed"
				}
			}
			l.Add(c)
		}
	}
	return looked, nil
}

// driversHistory goes by when the folders of driver packages were made.
func (m *Machine) driversHistory(l *history.Log) (requirement.Evidence, error) {
	entries, f, err := m.List(`C:\` + m.SystemRoot + `\System32\DriverStore\FileRepository`)
	if err != nil {
		return f.Evidence, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return f.Evidence, err
		}
		sys, ok := info.Sys().(*volume.Entry)
		if !ok || !e.IsDir() || !l.Within(sys.Created) {
			continue
		}
		name, _, _ := strings.Cut(e.Name(), "_")
		ev := machine.EntryEvidence(f.Evidence.Source, path.Join(f.Evidence.Path, e.Name()), sys)
		l.Add(history.Change{Time: sys.Created, Kind: history.Driver, Subject: name,
			What: "Driver package " + long(e.Name()) + " was added", Evidence: one(ev)})
	}
	return f.Evidence, nil
}

// updatedOn is the local time in the name of a key "Source OS (Updated on 1/12/2026 09:14:22)".
var updatedOn = regexp.MustCompile(`\(Updated on (\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d{2}:\d{2})\)`)

func (m *Machine) upgradesHistory(l *history.Log) (requirement.Evidence, error) {
	u, err := m.Upgrades()
	if err != nil {
		return requirement.Evidence{}, err
	}
	zone, zoneErr := m.zone()
	for _, s := range u.Sources {
		c := history.Change{Time: s.Evidence.Time, Kind: history.Upgrade, Subject: "upgrade",
			What: "Windows was upgraded in place", Evidence: one(s.Evidence)}
		if s.From != "" {
			c.What += " from " + prose.Short(s.From)
		}
		if found := updatedOn.FindStringSubmatch(s.Name); found != nil && zoneErr == nil {
			if t, err := time.Parse("1/2/2006 15:04:05", found[1]); err == nil {
				c.Time, c.Precision = t.Add(zone), history.Local
			}
		}
		l.Add(c)
	}
	if j := u.Jump; j.After != nil {
		from, to := j.Before.Text("BuildVersion"), j.After.Text("BuildVersion")
		l.Add(history.Change{Time: startTime(*j.After), Kind: history.Upgrade, Subject: "upgrade",
			What:     fmt.Sprintf("Windows first started with build %s after build %s", to, from),
			Evidence: []requirement.Evidence{shownOnly(*j.After), shownOnly(*j.Before)}})
	}
	s, err := m.System()
	if err != nil {
		return u.Parent, err
	}
	k, err := m.Key(machine.KeyCurrentVersion)
	if err != nil {
		return u.Parent, err
	}
	ev := k.Evidence
	ev.Value = "InstallDate"
	l.Add(history.Change{Time: s.Installed, Kind: history.Upgrade, Subject: "installation",
		What: "This version of Windows was installed, or generalized by Sysprep", Evidence: one(ev)})
	return u.Parent, u.Err
}

func (m *Machine) reserveHistory(l *history.Log) (requirement.Evidence, error) {
	k, err := m.Key(machine.KeyMachineWindows + `\ReserveManager`)
	if err != nil || !k.Exists() {
		return k.Evidence, err
	}
	scenario, err := m.DWord(k, "ActiveScenario")
	if err != nil {
		return k.Evidence, err
	}
	l.Add(history.Change{Time: k.Evidence.Time, Kind: history.Setting, Subject: "reserved storage",
		What:     fmt.Sprintf("Reserved storage was last changed; ActiveScenario is %d", scenario.Value),
		Evidence: one(scenario.Evidence)})
	return k.Evidence, nil
}

// Runs returns the runs of Sysprep that the logs have, from the oldest to the newest. What is older than this
// installation of Windows happened to the image that it was made from, and is left out.
func (m *Machine) Runs() ([]history.Run, []history.Looked) {
	logs := m.SysprepLogs().Sysprep
	zone, zoneErr := m.zone()
	s, err := m.System()
	if err != nil {
		s = machine.System{}
	}
	last := lastRun{Zone: zone, ZoneErr: zoneErr}
	last.Tag, last.TagErr = m.File(`C:\` + m.SystemRoot + `\System32\Sysprep\Sysprep_succeeded.tag`)
	var looked []history.Looked
	var runs []history.Run
	for _, l := range logs {
		look := history.Looked{Name: "Sysprep " + path.Base(l.File.Evidence.Path), Evidence: l.File.Evidence}
		switch {
		case l.Err != nil:
			look.Problem = l.Err.Error()
		case zoneErr != nil:
			look.Problem = "the time zone is unknown, so that local time is shown as UTC: " + zoneErr.Error()
		}
		failed := slices.ContainsFunc(runs, func(r history.Run) bool { return r.Failed })
		for _, r := range l.runs() {
			// setuperr.log repeats the errors of setupact.log.
			if failed || len(r.Errors.Last) == 0 && r.Run.Number == 0 {
				continue
			}
			if one := r.history(l.File, zone, s); one != nil {
				// Errors do not stop every run: a tag that is newer says that it ended well.
				if begin := r.begin(); last.tagged(begin) {
					one.Failed = false
				}
				runs = append(runs, *one)
				look.Found++
			}
		}
		looked = append(looked, look)
	}
	slices.SortStableFunc(runs, func(a, b history.Run) int { return a.End.Compare(b.End) })
	return runs, looked
}

// begin is the first line of a run that has a time.
func (r loggedRun) begin() logLine {
	if r.Run.Number > 0 || len(r.Errors.Last) == 0 {
		return r.Run
	}
	return r.Errors.Last[0]
}

// history converts a run; nil if it is older than this installation.
func (r loggedRun) history(log machine.File, zone time.Duration, s machine.System) *history.Run {
	utc := func(line logLine) time.Time {
		if line.Time.IsZero() {
			return time.Time{}
		}
		return line.Time.Add(zone)
	}
	run := history.Run{Begin: utc(r.Run), Failed: len(r.Errors.Last) > 0}
	lines := r.Errors.Last
	if r.Run.Number > 0 {
		lines = append([]logLine{r.Run}, lines...)
	}
	if r.Ended.Number > 0 {
		lines = append(slices.Clip(lines), r.Ended)
	}
	for _, line := range lines {
		if ageOf(line, s) == ageBefore {
			return nil
		}
		run.Lines = append(run.Lines, history.Line{Time: utc(line), Precision: history.Local, Text: line.Text,
			Evidence: line.evidence(log)})
		if t := utc(line); !t.IsZero() {
			run.End = t
		}
	}
	if cause, line, ok := causeOf(r.Errors.Last); ok {
		run.Cause, run.Remedy = cause.says, cause.fix(s, line)
	}
	var packages []string
	for _, line := range r.Errors.Last {
		if line.Package != "" && !slices.Contains(packages, line.Package) {
			packages = append(packages, line.Package)
		}
	}
	if len(packages) > 0 {
		run.Cause = prose.Count(len(packages), "AppX package is", "AppX packages are") + " installed for a user but not " +
			"provisioned: " + prose.Some(packages) + "."
		run.Remedy = removePackages(s, packages)
	}
	return &run
}
