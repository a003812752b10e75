package linux

import (
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	typed "github.com/coldcheck/coldcheck/scanner/rules/facts"
)

// timeReader collects the sources of time in the configuration of programs.
type timeReader struct {
	m        *Machine
	list     []typed.TimeSource
	evidence []requirement.Evidence
	files    int
}

func (m *Machine) timeFacts() (typed.Reading, error) {
	r := &timeReader{m: m, list: []typed.TimeSource{}}
	for _, p := range []string{"/etc/chrony.conf", "/etc/chrony/chrony.conf"} {
		if err := r.servers("chrony", p, 0); err != nil {
			return typed.Reading{}, err
		}
	}
	for _, p := range []string{"/etc/ntp.conf", "/etc/ntpsec/ntp.conf"} {
		if err := r.servers("ntpd", p, 0); err != nil {
			return typed.Reading{}, err
		}
	}
	if err := r.timesyncd(); err != nil {
		return typed.Reading{}, err
	}
	return typed.Reading{Value: r.list, Evidence: r.evidence}, nil
}

// servers reads a file of chrony.conf(5) or ntp.conf(5), with the files that it includes.
func (r *timeReader) servers(daemon, p string, depth int) error {
	data, f, err := r.file(p, depth)
	if err != nil || !f.Exists {
		return err
	}
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) < 2 || strings.ContainsRune("#!;%", rune(words[0][0])) {
			continue
		}
		switch keyword := strings.ToLower(words[0]); keyword {
		case "server", "pool", "peer", "refclock":
			address := words[1]
			if keyword == "refclock" && len(words) > 2 {
				address += ":" + words[2]
			}
			r.list = append(r.list, typed.TimeSource{From: typed.From{f.Evidence}, Daemon: daemon, Kind: keyword,
				Address: address})
		case "include", "includefile":
			folder, name := path.Split(words[1])
			err = r.folder(daemon, folder, name, depth)
		case "confdir":
			err = r.folders(daemon, words[1:], "*.conf", depth)
		case "sourcedir":
			err = r.folders(daemon, words[1:], "*.sources", depth)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *timeReader) file(p string, depth int) ([]byte, File, error) {
	if r.files++; depth > maxConfigDepth || r.files > maxIncludedFiles {
		return nil, File{}, inFile(p, errTooLarge)
	}
	data, f, err := r.m.tree.read(p, maxConfig)
	if err == nil {
		r.evidence = append(r.evidence, f.Evidence)
	}
	return data, f, err
}

func (r *timeReader) folders(daemon string, folders []string, pattern string, depth int) error {
	for _, folder := range folders {
		if err := r.folder(daemon, folder, pattern, depth); err != nil {
			return err
		}
	}
	return nil
}

// folder reads the files of a folder that a pattern names. What is in /run exists only
// while the system runs.
func (r *timeReader) folder(daemon, folder, pattern string, depth int) error {
	if folder = path.Clean(folder); folder == "/run" || strings.HasPrefix(folder, "/run/") {
		return nil
	}
	entries, _, err := r.m.tree.list(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if ok, err := path.Match(pattern, e.Name()); err != nil || !ok {
			continue
		}
		if err := r.servers(daemon, path.Join(folder, e.Name()), depth+1); err != nil {
			return err
		}
	}
	return nil
}

// timesyncd reads timesyncd.conf(5) with its drop-ins: a later line adds to the servers,
// and an empty one removes those before.
func (r *timeReader) timesyncd() error {
	files := []string{"/etc/systemd/timesyncd.conf"}
	dropIns := map[string]string{} // by name; /etc goes before the others
	for _, folder := range []string{"/usr/lib/systemd/timesyncd.conf.d", "/usr/local/lib/systemd/timesyncd.conf.d",
		"/etc/systemd/timesyncd.conf.d"} {
		entries, _, err := r.m.tree.list(folder)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".conf") {
				dropIns[e.Name()] = path.Join(folder, e.Name())
			}
		}
	}
	var names []string
	for name := range dropIns {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		files = append(files, dropIns[name])
	}
	kinds := map[string]string{"NTP": "server", "FallbackNTP": "fallback"}
	found := map[string][]typed.TimeSource{}
	for _, p := range files {
		data, f, err := r.file(p, 0)
		if err != nil {
			return err
		}
		for _, setting := range parseUnit(string(data))["Time"] {
			kind, ok := kinds[setting[0]]
			switch {
			case !ok:
				continue
			case setting[1] == "":
				found[kind] = nil
			}
			for _, address := range strings.Fields(setting[1]) {
				found[kind] = append(found[kind], typed.TimeSource{From: typed.From{f.Evidence}, Daemon: "timesyncd",
					Kind: kind, Address: address})
			}
		}
	}
	r.list = append(append(r.list, found["server"]...), found["fallback"]...)
	return nil
}
