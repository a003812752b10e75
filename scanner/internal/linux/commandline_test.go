package linux

import (
	"slices"
	"strings"
	"testing"
)

// executed and data paths of command lines as a unit or crontab has them.
func TestCommandPaths(t *testing.T) {
	for _, c := range []struct{ command, executed, data string }{
		{"/usr/bin/x -a", "/usr/bin/x", ""},
		{`"/home/a b/x" -a`, "/home/a b/x", ""},
		{"env A=b -i /home/a/x", "env /home/a/x", ""},
		{"env -u X -C /home/a ./x", "env /home/a/x", ""},
		{"/bin/sh -c '/home/a/x; exit'", "/bin/sh /home/a/x exit", ""},
		{"/bin/sh -c 'cd /home/a && ./x'", "/bin/sh cd /home/a/x", "/home/a"},
		{"/bin/bash -lc 'exec /home/a/x --data=/home/d'", "/bin/bash exec /home/a/x", "/home/d"},
		{"/usr/bin/python3.9 -u /home/a/x.py /home/b", "/usr/bin/python3.9 /home/a/x.py", "/home/b"},
		{"/usr/bin/python3 -m http.server", "/usr/bin/python3", ""},
		{"/usr/bin/tar -cf /home/a /etc", "/usr/bin/tar", "/home/a /etc"},
		{"java -Xmx1g -jar '/home/a/app.jar' -x", "java /home/a/app.jar", ""},
		{"java -cp /home/a/lib/*:/opt/b.jar com.acme.Main /home/d", "java /home/a/lib /opt/b.jar", "/home/d"},
		{"/usr/bin/flock -n /run/x /home/acme/run.sh", "/usr/bin/flock /home/acme/run.sh", ""},
		{"/usr/bin/flock /run/x -c '/home/acme/run.sh'", "/usr/bin/flock /home/acme/run.sh", ""},
		{"timeout -k 5 30 nice -n 10 /home/a/x", "timeout nice /home/a/x", ""},
		{"ionice -c 3 nice /home/a/x", "ionice nice /home/a/x", ""},
		{"setpriv --reuid=1000 --clear-groups -- /home/a/x", "setpriv /home/a/x", ""},
		{"runuser -u acme -- /home/a/x /home/b", "runuser /home/a/x", "/home/b"},
		{"su - acme -c '/home/a/x >/home/a/log'", "su /home/a/x", ""},
		{"su acme -s /bin/sh -c \"cd /opt; nohup /home/a/x &\"", "su /bin/sh cd nohup /home/a/x", "/opt"},
		{"sudo -u acme -E /home/a/x", "sudo /home/a/x", ""},
		{"chroot /home/root /bin/x", "chroot /home/root/bin/x", ""},
		{"LD_PRELOAD=/home/a/x.so /usr/bin/y", "/home/a/x.so /usr/bin/y", ""},
		{"start-stop-daemon --start --exec /home/a/x -- -d /home/b", "start-stop-daemon /home/a/x", "/home/b"},
		{"node --require /home/a/pre.js /opt/s.js", "node /home/a/pre.js /opt/s.js", ""},
		{"find /home -name x -exec /home/a/y {} ;", "find /home/a/y", "/home"},
		{"/usr/bin/env -S python3 /home/a/x.py", "/usr/bin/env python3 /home/a/x.py", ""},
		{"systemd-run --unit=x --working-directory=/home/a ./y", "systemd-run /home/a/y", ""},
		{"/lib64/ld-linux-x86-64.so.2 --library-path /home/l /home/a/x", "/lib64/ld-linux-x86-64.so.2 /home/a/x", ""},
		{"bash /home/a/x.sh", "bash /home/a/x.sh", ""},
		{"mount /home/a.img /mnt", "mount", "/home/a.img /mnt"},
	} {
		words, err := splitWords(c.command)
		if err != nil {
			t.Fatal(err)
		}
		var argv, executed, data []string
		for _, w := range words {
			argv = append(argv, w.text)
		}
		found, err := commandPaths(argv, commandContext{})
		if err != nil {
			t.Errorf("%s: %v", c.command, err)
		}
		for _, p := range found {
			if p.Executed {
				executed = append(executed, p.Path)
			} else {
				data = append(data, p.Path)
			}
		}
		if got := strings.Join(executed, " "); got != c.executed {
			t.Errorf("%s: executes %q, want %q", c.command, got, c.executed)
		}
		if got := strings.Join(data, " "); got != c.data {
			t.Errorf("%s: names %q, want %q", c.command, got, c.data)
		}
	}
}

// What a relative program is in its working directory.
func TestCommandDirectory(t *testing.T) {
	found, _ := commandPaths([]string{"/usr/bin/python3", "app.py"}, commandContext{Dir: "/home/acme"})
	if !slices.Contains(found, commandPath{"/home/acme/app.py", true}) {
		t.Errorf("%v", found)
	}
	found, _ = commandPaths([]string{"/bin/x"}, commandContext{Root: "/home/root"})
	if !slices.Contains(found, commandPath{"/home/root/bin/x", true}) {
		t.Errorf("%v", found)
	}
}

func TestParseCrontab(t *testing.T) {
	jobs, err := parseCrontab("# c\nSHELL=/bin/bash\nPATH = \"/home/a/bin:/usr/bin\"\n*/5 * * * * root  /home/a/x %in\n"+
		"@reboot acme cd /home/a && ./y\\%z\n1 2 3 4\n", true)
	if err != nil || len(jobs) != 2 {
		t.Fatalf("%v, %v", jobs, err)
	}
	if j := jobs[0]; j.User != "root" || j.Command != "/home/a/x" && j.Command != "/home/a/x " ||
		j.Vars["PATH"] != "/home/a/bin:/usr/bin" || j.Line != 4 {
		t.Errorf("%+v", j)
	}
	if j := jobs[1]; j.User != "acme" || j.Command != "cd /home/a && ./y%z" {
		t.Errorf("%+v", j)
	}
	jobs, _ = parseCrontab("0 * * * * /home/a/x --every='*=1'\n", false)
	if len(jobs) != 1 || jobs[0].Command != "/home/a/x --every='*=1'" {
		t.Errorf("%+v", jobs)
	}
}

// PATH as a shell would set it.
func TestScriptPaths(t *testing.T) {
	for text, want := range map[string]string{
		"export PATH=\"$PATH:/home/a/bin\"":                         "/home/a/bin",
		"PATH=/home/a:$PATH; export PATH":                           "/home/a",
		"export PYTHONPATH=/home/alice/lib":                         "",
		"MANPATH=/home/a LD_LIBRARY_PATH=/home/b":                   "",
		"# PATH=/home/a":                                            "",
		"echo 'PATH=/home/a'":                                       "",
		"A=/home/a\nPATH=$A/bin:$PATH":                              "/home/a/bin",
		"A=/opt; PATH=${A}/bin":                                     "/opt/bin",
		"PATH=\"${PATH:+${PATH}:}/home/a\"":                         "/home/a",
		"PATH=$HOME/bin:$PATH":                                      "",
		"PATH=~/bin:$PATH":                                          "",
		"if [ -d /home/x ]; then\n  PATH=\"/home/x/bin:$PATH\"\nfi": "/home/x/bin",
		"pathmunge /home/a after":                                   "/home/a",
		"addpath() {\n  case \":$PATH:\" in *:\"$1\":*) ;; *) PATH=\"$1:$PATH\";; esac\n}\naddpath /home/a": "/home/a",
		"cat <<EOF\nPATH=/home/a\nEOF\nPATH=/opt":                                                           "/opt",
		"setenv PATH /home/a:${PATH}":                                                                       "/home/a",
		"for d in /home/a; do true; done":                                                                   "",
		"PATH+=:/home/a":                                                                                    "/home/a",
	} {
		var got []string
		commands, err := parseShell(text, nil)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		entries, _ := scriptPaths(commands, map[string]bool{})
		for _, e := range entries {
			got = append(got, e.Folder)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func FuzzShell(f *testing.F) {
	f.Add("a=$(b `c` ${d:-$e}) \"x $y\" | z <<E\nt\nE\n")
	f.Add("f() { PATH=\"$1:$PATH\"; }\ncase x in a|b) c;; esac\n")
	f.Fuzz(func(t *testing.T, text string) {
		commands, _ := parseShell(text, nil)
		if len(commands) > maxShellCommands {
			t.Errorf("%d commands", len(commands))
		}
		scriptPaths(commands, map[string]bool{})
	})
}

func FuzzCommand(f *testing.F) {
	f.Add("/usr/bin/flock -n /x env -S 'a b' su -c \"sh -c 'x'\"")
	f.Fuzz(func(t *testing.T, text string) {
		words, _ := splitWords(text)
		var argv []string
		for _, w := range words {
			argv = append(argv, w.text)
		}
		commandPaths(argv, commandContext{Dir: "/home/a", Vars: map[string]string{}})
		parseExec("ExecStart", text, 0, unitNames{Name: "a@b.service"})
	})
}

func FuzzCrontab(f *testing.F) {
	f.Add("A=b\n* * * * * root x\n@daily y z\n")
	f.Fuzz(func(t *testing.T, text string) {
		parseCrontab(text, true)
		parseCrontab(text, false)
	})
}

func FuzzUnit(f *testing.F) {
	f.Add("[Unit]\nConditionPathExists=|!/x\n[Service]\nExecStart=-@/a \\\n# c\n b \\x20 ; /c\nExecStart=\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, v := range []systemdVersion{0, 219, 252} {
			u := parseUnitFile(text, v)
			if len(u.Settings) > maxSettings {
				t.Errorf("%d settings", len(u.Settings))
			}
			readFacts(&fragment{Text: u}, []*fragment{{Text: u}}, v, unitNames{Name: "a-b@c.service"})
		}
	})
}
