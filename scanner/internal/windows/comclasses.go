package windows

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/parallel"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
)

// keysCOM hold the COM classes of the machine, in both views.
var keysCOM = []string{`HKLM\SOFTWARE\Classes\CLSID`, `HKLM\SOFTWARE\Classes\Wow6432Node\CLSID`,
	`HKLM\SOFTWARE\Wow6432Node\Classes\CLSID`}

// maxServers bounds the COM servers that may not be on drive C. An ordinary
// machine has a few.
const maxServers = 20_000

// comServer is a server of a COM class that may not be on drive C.
type comServer struct {
	Class   string
	Library bool                    // loaded, not run
	Path    machine.Setting[string] // a file if Library, else a command line
}

// comClasses are the servers of the COM classes. A machine has tens of thousands
// of classes, and nothing else takes as long to read, so they are read while other
// requirements are judged.
type comClasses struct {
	once    sync.Once
	done    chan struct{} // closed when the rest is there
	read    bool          // false if a defect ended it, which whoever asks meets too
	servers []comServer
	err     error
}

// readClassesAhead begins to read the COM classes. It is called when the hive
// that holds them was opened.
func (m *Machine) readClassesAhead() {
	ahead := m.unheard() // the requirement that asks for them says so
	go m.com.once.Do(func() {
		defer close(m.com.done)
		defer func() { _ = recover() }()
		m.com.servers, m.com.err = ahead.readServers()
		m.com.read = true
	})
}

// comServers adds the servers of COM classes that are not on drive C.
func (m *Machine) comServers(env machine.Environment) ([]placed, error) {
	for _, name := range keysCOM {
		if _, err := m.Key(name); err != nil {
			return nil, err
		}
	}
	select {
	case <-m.com.done:
	case <-m.in.Context.Done():
		return nil, context.Cause(m.in.Context)
	}
	servers, err := m.com.servers, m.com.err
	if !m.com.read {
		servers, err = m.readServers()
	}
	if err != nil {
		return nil, err
	}
	var found []placed
	for _, s := range servers {
		place := m.placeLine
		if s.Library {
			place = m.place
		}
		if found, err = place(found, env, "COM class "+s.Class, s.Path); err != nil {
			return found, err
		}
	}
	return found, nil
}

func (m *Machine) readServers() ([]comServer, error) {
	var found []comServer
	for _, name := range keysCOM {
		parent, err := m.Key(name)
		if err != nil {
			return nil, err
		}
		if !parent.Exists() {
			continue
		}
		classes, err := m.listParts(parent)
		if err != nil {
			return nil, err
		}
		servers, err := m.serversOfAll(parent, classes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", parent.Evidence.Path, err)
		}
		if found = append(found, servers...); len(found) > maxServers {
			return nil, fmt.Errorf("%s: more than %d COM servers that may be on another drive: %w",
				parent.Evidence.Path, maxServers, machine.ErrTooLarge)
		}
	}
	return found, nil
}

// serversOfAll reads the servers of classes on all processors.
func (m *Machine) serversOfAll(parent machine.Key, classes []*registry.Key) ([]comServer, error) {
	chunks := slices.Collect(slices.Chunk(classes, len(classes)/runtime.GOMAXPROCS(0)+1))
	servers, errs := make([][]comServer, len(chunks)), make([]error, len(chunks))
	var group parallel.Group
	for i, chunk := range chunks {
		group.Go(func() { servers[i], errs[i] = m.serversOfSome(parent, chunk) })
	}
	group.Wait()
	return slices.Concat(servers...), fact.Join(errs...)
}

func (m *Machine) serversOfSome(parent machine.Key, classes []*registry.Key) ([]comServer, error) {
	var found []comServer
	for _, class := range classes {
		keys, err := class.Subkeys()
		if err != nil {
			return nil, err
		}
		if err := m.Meter.Steps(len(keys)); err != nil {
			return nil, err
		}
		for _, k := range keys {
			library := strings.EqualFold(k.Name(), "InprocServer32")
			if !library && !strings.EqualFold(k.Name(), "LocalServer32") {
				continue
			}
			if found, err = m.serversOf(found, parent, class, k, library); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// serversOf adds what a key of a class names as its server: the default value,
// and for a class of .NET the place of its code.
func (m *Machine) serversOf(found []comServer, parent machine.Key, class, k *registry.Key, library bool) ([]comServer,
	error) {
	values, err := k.Values()
	if err != nil {
		return nil, err
	}
	for _, v := range values {
		if name := v.Name(); name != "" && !strings.EqualFold(name, "CodeBase") {
			continue
		}
		if t := v.Type(); t != registry.SZ && t != registry.ExpandSZ {
			continue
		}
		if err := m.Meter.Bytes(int64(v.Size())); err != nil {
			return nil, err
		}
		text, err := v.String()
		if err != nil {
			return nil, err
		}
		if rest, ok := fold.CutPrefix(text, "file:///"); ok {
			text = strings.ReplaceAll(rest, "/", `\`)
		}
		if !mayLeaveC(text) {
			continue
		}
		if len(found) > maxServers {
			return found, nil // whoever counts them all says so
		}
		if library {
			text = machine.Quoted(strings.Trim(text, `"`))
		}
		found = append(found, comServer{class.Name(), library,
			machine.Setting[string]{Value: text, Present: true, Type: v.Type(),
				Evidence: m.partEvidence(parent, k, v)}})
	}
	return found, nil
}

// mayLeaveC says whether a command line may name a place that is not on drive C:
// another letter, a share, or a variable other than those of Windows.
func mayLeaveC(s string) bool {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == ':' && i > 0 && s[i-1]|0x20 != 'c':
			return true
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == '\\':
			return true
		case s[i] == '%':
			end := strings.IndexByte(s[i+1:], '%')
			if end < 0 {
				return false
			}
			switch strings.ToUpper(s[i+1 : i+1+end]) {
			case "SYSTEMROOT", "WINDIR", "PROGRAMFILES", "PROGRAMFILES(X86)", "COMMONPROGRAMFILES",
				"COMMONPROGRAMFILES(X86)", "PROGRAMDATA", "SYSTEMDRIVE":
			default:
				return true
			}
			i += end + 1
		}
	}
	return false
}
