package machine

import (
	"fmt"
	"path"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Bounds of the search for tasks, far above what real systems have: 300 tasks of
// 4 KiB.
const (
	maxTaskFiles = 20_000 // entries of the folders that are looked through
	maxTask      = 1 << 20
	maxTaskBytes = 16 << 20 // of all tasks together
	maxTasks     = 20_000   // programs that they run
)

// Task is a program that the Task Scheduler runs.
type Task struct {
	Name      string // of its file
	Command   string
	Arguments string
	Folder    string // the working directory
	Disabled  bool
	Account   string // UserId of the principal it runs as, "" if none is written
	Group     string // GroupId: it runs for every member who signs in
	Evidence  requirement.Evidence
}

// Tasks lists the programs of the machine's scheduled tasks. A file that has
// several names is read once.
func (m *Machine) Tasks() ([]Task, error) { return m.tasks.Get(m.Next().readTasks) }

func (m *Machine) readTasks() ([]Task, error) {
	var tasks []Task
	seen := map[fact.ID]bool{}
	bytes := int64(0)
	err := m.Walk(`C:\`+m.SystemRoot+`\System32\Tasks`, maxTaskFiles, func(v *Drive, name string) error {
		f, err := v.File(name)
		if err != nil || seen[f.ID] {
			return err
		}
		seen[f.ID] = true
		data, f, err := v.read(name, maxTask)
		if err != nil {
			return err
		}
		if bytes += int64(len(data)); bytes > maxTaskBytes {
			return fmt.Errorf("%s volume: %w: tasks of more than %s", v.Role, ErrTooLarge, prose.Size(maxTaskBytes))
		}
		programs, err := parseTask(data)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if len(tasks)+len(programs) > maxTasks {
			return fmt.Errorf("%s volume: %w: tasks with more than %d programs", v.Role, ErrTooLarge, maxTasks)
		}
		for _, t := range programs {
			t.Name, t.Evidence = path.Base(name), f.Evidence
			t.Evidence.Data = prose.Short(strings.TrimSpace(t.Command + " " + t.Arguments))
			tasks = append(tasks, t)
		}
		return nil
	})
	return tasks, err
}

// parseTask returns the programs that a scheduled task runs, with the principal
// of its actions ([MS-TSCH] 2.5).
func parseTask(data []byte) ([]Task, error) {
	var task struct {
		Principals []struct {
			ID    string `xml:"id,attr"`
			User  string `xml:"UserId"`
			Group string `xml:"GroupId"`
		} `xml:"Principals>Principal"`
		Enabled string `xml:"Settings>Enabled"`
		Actions struct {
			Context string `xml:"Context,attr"`
			Exec    []struct {
				Command   string `xml:"Command"`
				Arguments string `xml:"Arguments"`
				Folder    string `xml:"WorkingDirectory"`
			} `xml:"Exec"`
		} `xml:"Actions"`
	}
	if err := DecodeXML(data, &task); err != nil {
		return nil, err
	}
	var programs []Task
	for _, e := range task.Actions.Exec {
		t := Task{Command: strings.TrimSpace(e.Command), Arguments: strings.TrimSpace(e.Arguments),
			Folder: strings.Trim(strings.TrimSpace(e.Folder), `"`)}
		enabled := strings.TrimSpace(task.Enabled)
		t.Disabled = strings.EqualFold(enabled, "false") || enabled == "0"
		for _, p := range task.Principals {
			if p.ID == task.Actions.Context || len(task.Principals) == 1 {
				t.Account, t.Group = strings.TrimSpace(p.User), strings.TrimSpace(p.Group)
			}
		}
		programs = append(programs, t)
	}
	return programs, nil
}
