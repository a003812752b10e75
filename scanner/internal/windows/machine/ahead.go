package machine

import (
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// ahead is a hive that is opened before anybody asks for it.
type ahead struct {
	done   chan struct{} // closed when the rest is there
	opened bool          // false if a defect ended it, which whoever asks meets too
	hive   *registry.Hive
	err    error
	trail  requirement.Trail // what opening it records, once it is needed
}

// openAhead begins to open the large hives of the machine, which every scan
// needs, at the same time. Their files are looked up in turn, so that what is
// read for that is read once.
func (m *Machine) openAhead() {
	m.ahead = map[string]*ahead{}
	var all []*ahead
	var files []string
	for _, name := range []string{"SYSTEM", "SOFTWARE"} {
		a := &ahead{done: make(chan struct{})}
		file := m.SystemRoot + "/System32/config/" + name
		m.ahead[file] = a
		all, files = append(all, a), append(files, file)
	}
	go func() {
		for i, a := range all {
			v := *m.volumes["C"]
			v.Trail, v.meter = &a.trail, nil
			var found *hiveFile
			a.try(func() { found, a.err = findHive(&v, files[i], m.in.Reserve) })
			if !a.opened || a.err != nil {
				close(a.done)
				continue
			}
			go func() {
				defer close(a.done)
				a.try(func() { a.hive, a.err = found.open(m.in.Context) })
			}()
		}
	}()
}

// try contains a defect.
func (a *ahead) try(step func()) {
	a.opened = false
	defer func() { _ = recover() }()
	step()
	a.opened = true
}

// load opens a hive, or waits until it is open.
func (m *Machine) load(v *Drive, file string) (*registry.Hive, error) {
	if a := m.ahead[file]; a != nil && v.Role == RoleRoot {
		if <-a.done; a.opened {
			events, _ := a.trail.Events()
			for _, e := range events {
				var attrs []string
				for _, attr := range e.Attrs {
					attrs = append(attrs, attr.Key, attr.Value)
				}
				v.Trail.Record(e.Name, attrs...)
			}
			return a.hive, a.err
		}
	}
	found, err := findHive(v, file, m.in.Reserve)
	if err != nil {
		return nil, err
	}
	return found.open(m.in.Context)
}
