package linux

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	typed "github.com/coldcheck/coldcheck/scanner/rules/facts"
)

// TestSSHD reads configurations as sshd does: the first value outside Match blocks counts, then that of the first
// block that matches goes before it.
func TestSSHD(t *testing.T) {
	t.Parallel()
	const program = "-- usr/sbin/sshd --\nx\n"
	for name, c := range map[string]struct {
		config string
		value  string // of PermitRootLogin; "unknown" if it depends on the connection
		root   bool
		err    string
	}{
		"default":            {"UsePAM yes\n", "prohibit-password", true, ""},
		"no":                 {"PermitRootLogin no\n", "no", false, ""},
		"first counts":       {"PermitRootLogin no\nPermitRootLogin yes\n", "no", false, ""},
		"case and equals":    {"  permitROOTlogin=NO # comment\n", "no", false, ""},
		"equals and blanks":  {"PermitRootLogin = \"no\"\n", "no", false, ""},
		"commented":          {"#PermitRootLogin no\n", "prohibit-password", true, ""},
		"old name":           {"PermitRootLogin without-password\n", "prohibit-password", true, ""},
		"no value of sshd":   {"PermitRootLogin maybe\n", "", false, "maybe"},
		"open quote":         {"PermitRootLogin \"no\n", "", false, "quote"},
		"included first":     {"Include sshd_config.d/*.conf\nPermitRootLogin no\n", "yes", true, ""},
		"included last":      {"PermitRootLogin no\nInclude sshd_config.d/*.conf\n", "no", false, ""},
		"included in order":  {"Include /etc/ssh/sshd_config.d/*\n", "yes", true, ""},
		"hidden left out":    {"Include /etc/ssh/hidden.d/*\nPermitRootLogin no\n", "no", false, ""},
		"missing include":    {"Include none.d/*.conf\nPermitRootLogin no\n", "no", false, ""},
		"pattern of folders": {"Include */x.conf\n", "", false, "folders are not supported"},
		"include in a block": {"PermitRootLogin no\nMatch Address 10.0.0.0/8\n Include sshd_config.d/*.conf\n",
			"unknown", true, ""},
		"block ends with the file": {"Include match.d/*.conf\nPermitRootLogin no\n", "unknown", true, ""},
		"all":                      {"PermitRootLogin no\nMatch all\n PermitRootLogin yes\n", "yes", true, ""},
		"root":                     {"PermitRootLogin no\nMatch User root\n PermitRootLogin yes\n", "yes", true, ""},
		"root by a pattern":        {"PermitRootLogin no\nMatch User ro*\n PermitRootLogin yes\n", "yes", true, ""},
		"others":                   {"PermitRootLogin no\nMatch User alice,bob\n PermitRootLogin yes\n", "no", false, ""},
		"all but root":             {"PermitRootLogin no\nMatch User *,!root\n PermitRootLogin yes\n", "no", false, ""},
		"invalid users":            {"PermitRootLogin no\nMatch invalid-user\n PermitRootLogin yes\n", "no", false, ""},
		"an address":               {"PermitRootLogin no\nMatch Address 10.*\n PermitRootLogin yes\n", "unknown", true, ""},
		"an address, the same":     {"PermitRootLogin no\nMatch Address 10.*\n PermitRootLogin no\n", "no", false, ""},
		"root and an address":      {"Match User root Address 10.*\n PermitRootLogin no\n", "unknown", true, ""},
		"others and an address": {"PermitRootLogin no\nMatch User bob Address 10.*\n PermitRootLogin yes\n",
			"no", false, ""},
		"a block before root's": {"PermitRootLogin yes\nMatch Address 10.*\n PermitRootLogin no\n" +
			"Match User root\n PermitRootLogin no\n", "no", false, ""},
		"the first block that matches": {"Match User root\n PermitRootLogin no\nMatch all\n PermitRootLogin yes\n", "no",
			false, ""},
		"block without the setting": {"PermitRootLogin no\nMatch all\n X11Forwarding yes\n", "no", false, ""},
		"includes itself":           {"Include sshd_config\n", "", false, "included files"},
	} {
		m := newMachine(t, program+"-- etc/ssh/sshd_config --\n"+c.config+
			"-- etc/ssh/sshd_config.d/10-a.conf --\nPermitRootLogin yes\n"+
			"-- etc/ssh/sshd_config.d/20-b.conf --\nPermitRootLogin no\n"+
			"-- etc/ssh/hidden.d/.a --\nPermitRootLogin yes\n"+
			"-- etc/ssh/match.d/a.conf --\nMatch Address 10.*\n PermitRootLogin yes\n")
		r, err := m.Part(t.Context(), "sshd")
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sshd := typed.Convert(r.Value).(*typed.Object)
		value, unknown := sshd.Get("permit_root_login")
		if unknown != nil {
			value = "unknown"
		}
		root, _ := sshd.Get("root_login")
		if value != c.value || root != c.root {
			t.Errorf("%s: %v, %v", name, value, root)
		}
	}
}

func TestSSHDElsewhere(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "")
	r, err := m.Part(t.Context(), "sshd")
	if err != nil || r.Value.(typed.SSHD).Installed || r.Value.(typed.SSHD).RootLogin {
		t.Errorf("without sshd: %+v, %v", r, err)
	}
	for name, changes := range map[string]string{
		"no configuration": "-- usr/sbin/sshd --\nx\n",
		"arguments": "-- usr/sbin/sshd --\nx\n-- etc/ssh/sshd_config --\nPermitRootLogin no\n" +
			"-- etc/sysconfig/sshd --\nOPTIONS=\"-u0 -oPermitRootLogin=yes\"\n",
	} {
		if r, err := newMachine(t, changes).Part(t.Context(), "sshd"); err == nil {
			t.Errorf("%s: %+v", name, r)
		}
	}
	m = newMachine(t, "-- usr/sbin/sshd --\nx\n-- etc/ssh/sshd_config --\nPort 22\nPort 2222\nPasswordAuthentication no\n"+
		"-- etc/default/ssh --\nSSHD_OPTS=-u0\n")
	r, err = m.Part(t.Context(), "sshd")
	if err != nil {
		t.Fatal(err)
	}
	sshd := typed.Convert(r.Value).(*typed.Object)
	ports, _ := sshd.Get("ports")
	password, _ := sshd.Get("password_authentication")
	if fmt.Sprintf("%v %v", ports, password) != "[22 2222] no" {
		t.Errorf("%v %v", ports, password)
	}
}

func TestTimeSources(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ changes, want string }{
		"none": {"", ""},
		"chrony": {"-- etc/chrony.conf --\n# server a\nserver 169.254.169.123 prefer iburst\n pool b iburst\nmakestep 1 3\n" +
			"refclock PHC /dev/ptp0\n",
			"chrony server 169.254.169.123, chrony pool b, chrony refclock PHC:/dev/ptp0"},
		"chrony with folders": {"-- etc/chrony/chrony.conf --\nconfdir /etc/chrony/conf.d\nsourcedir /run/chrony-dhcp\n" +
			"sourcedir /etc/chrony/sources.d\ninclude /etc/chrony/x*.conf\n" +
			"-- etc/chrony/conf.d/a.conf --\nserver a\n-- etc/chrony/conf.d/a.txt --\nserver no\n" +
			"-- etc/chrony/sources.d/b.sources --\nserver b\n-- etc/chrony/x1.conf --\npeer c\n",
			"chrony server a, chrony server b, chrony peer c"},
		"ntpd": {"-- etc/ntp.conf --\nserver 0.pool iburst\npeer p\nrestrict default\n", "ntpd server 0.pool, ntpd peer p"},
		"timesyncd": {"-- etc/systemd/timesyncd.conf --\n[Time]\nNTP=a b\nFallbackNTP=f\n" +
			"-- usr/lib/systemd/timesyncd.conf.d/10.conf --\n[Time]\nNTP=\nNTP=c\n" +
			"-- usr/lib/systemd/timesyncd.conf.d/20.conf --\n[Time]\nNTP=hidden\n" +
			"-- etc/systemd/timesyncd.conf.d/20.conf --\n[Time]\nNTP=d\n",
			"timesyncd server c, timesyncd server d, timesyncd fallback f"},
	} {
		r, err := newMachine(t, c.changes).Part(t.Context(), "time_sources")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, s := range r.Value.([]typed.TimeSource) {
			got = append(got, s.Daemon+" "+s.Kind+" "+s.Address)
		}
		if strings.Join(got, ", ") != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	m := newMachine(t, "-- etc/chrony.conf --\ninclude /etc/chrony.conf\n")
	if r, err := m.Part(t.Context(), "time_sources"); err == nil {
		t.Errorf("a file that includes itself: %+v", r)
	}
}

func TestLinuxFacts(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "-- etc/passwd --\nroot:x:0:0:root:/root:/bin/bash\n+nis\nbroken:x:a:0::/:\n"+
		"bin:x:1:1::/:/sbin/nologin\nopen::5:5::/:\n-- etc/shadow --\nroot:$6$x:1::::::\nbin:*:1::::::\n"+
		"-- etc/group --\nwheel:x:10:alice, bob\nbroken\n"+
		"-- etc/app.ini --\nname = top\n[a]\nname=1\n; name=2\nname = \"3\"\n[b]\nname=4\n")
	part := func(name string) []any {
		r, err := m.Part(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return typed.Convert(r.Value).([]any)
	}
	get := func(v any, name string) any {
		got, err := v.(*typed.Object).Get(name)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	var users []string
	for _, u := range part("users") {
		users = append(users, fmt.Sprint(get(u, "name"), get(u, "uid"), get(u, "locked")))
	}
	if want := []string{"root0 false", "bin1 true", "open5 false"}; !slices.Equal(users, want) {
		t.Errorf("%q", users)
	}
	groups := part("groups")
	if len(groups) != 1 || fmt.Sprint(get(groups[0], "members")) != "[alice bob]" {
		t.Errorf("%v", groups)
	}
	if volumes := part("volumes"); len(volumes) != 2 || get(volumes[0], "free") != int64(50) {
		t.Errorf("%v", volumes)
	}
	for _, c := range []struct {
		function  string
		arguments []string
		want      any
	}{
		{"ini", []string{"/etc/app.ini", "a", "name"}, "3"},
		{"ini", []string{"/etc/app.ini", "", "name"}, "top"},
		{"ini", []string{"/etc/app.ini", "b", "other"}, nil},
		{"ini", []string{"/etc/none.ini", "b", "other"}, nil},
		{"text", []string{"/etc/group"}, "wheel:x:10:alice, bob\nbroken\n"},
		{"text", []string{"/etc/none"}, nil},
	} {
		r, err := m.Call(t.Context(), c.function, c.arguments)
		if err != nil || r.Value != c.want || len(r.Evidence) != 1 {
			t.Errorf("%s %q: %v, %v", c.function, c.arguments, r, err)
		}
	}
	for _, wrong := range []string{"etc/group", ""} {
		if r, err := m.Call(t.Context(), "file", []string{wrong}); err == nil {
			t.Errorf("%q: %v", wrong, r)
		}
	}
	if r, err := m.Call(t.Context(), "text", []string{"/etc"}); err == nil {
		t.Errorf("a folder: %v", r)
	}
	r, err := m.Call(t.Context(), "file", []string{"/etc/none"})
	if err != nil || r.Value.(typed.File).Exists {
		t.Errorf("%v, %v", r, err)
	}
}
