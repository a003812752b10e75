package linux

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/internal/packages"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func TestPercent(t *testing.T) {
	for _, c := range []struct {
		used, whole int64
		want        string
	}{
		{0, 1, "0.00%"}, {1, 1, "100.00%"}, {97, 100, "97.00%"}, {97<<40 - 1, 100 << 40, "96.99%"},
		{97<<40 + 1, 100 << 40, "97.00%"}, {1, 3, "33.33%"}, {1<<63 - 1, 1<<63 - 1, "100.00%"},
	} {
		if got := percent(c.used, c.whole); got != c.want {
			t.Errorf("%d of %d: %s, want %s", c.used, c.whole, got, c.want)
		}
	}
}

// TestPlain makes sure that no name from a disk reaches a command that a person pastes, if a shell would read more than
// a name in it.
func TestPlain(t *testing.T) {
	for word, want := range map[string]bool{
		"clamd@scan.service": true, "cloud-init=disabled": true, "/root/.cache": true, "ci.di.policy=disabled": true,
		"": false, "-rf": false, "a b": false, "a;b": false, "$(reboot)": false, "`x`": false, "a'b": false, `a\x2d`: false,
		"a\nb": false, "ä": false, "a>b": false,
	} {
		if got := plain("eth0", word); got != want {
			t.Errorf("%q: %v", word, got)
		}
	}
	if !plain() {
		t.Error("no word is not plain")
	}
}

func TestRemedies(t *testing.T) {
	at := func(source string, paths ...string) (list []requirement.Evidence) {
		for _, p := range paths {
			list = append(list, fileEvidence(source, p))
		}
		return list
	}
	const ifcfg = "etc/sysconfig/network-scripts/ifcfg-eth1"
	ports := []port{{"tcp", 8200}, {"udp", 4172}}
	for name, c := range map[string]struct{ got, want string }{
		"DHCP": {dhcpRemedy(at("root", ifcfg)),
			"Set BOOTPROTO=dhcp in /" + ifcfg + ", remove any fixed address there, and restart the WorkSpace."},
		"DHCP, twice in a file": {dhcpRemedy(at("root", "etc/netplan/x.yaml", "etc/netplan/x.yaml")),
			"Set dhcp4: true in /etc/netplan/x.yaml, remove any fixed address there, and restart the WorkSpace."},
		"DHCP, two files":        {dhcpRemedy(at("root", ifcfg, "etc/netplan/x.yaml")), ""},
		"DHCP, on another":       {dhcpRemedy(at("usr", "lib/netplan/x.yaml")), ""},
		"DHCP, an unknown file":  {dhcpRemedy(at("root", "etc/cloud/cloud.cfg")), ""},
		"ports of no known kind": {firewall{Name: "nftables"}.remedy(ports), "Add rules that accept TCP 8200, UDP 4172"},
		"ports of zones": {allowInZones([]string{"a", "b"}, ports[:1]), "Run 'sudo firewall-cmd --permanent --zone=a " +
			"--add-port=8200/tcp && sudo firewall-cmd --permanent --zone=b --add-port=8200/tcp && sudo firewall-cmd --reload'"},
		"ports of ufw": {firewall{Allow: allowInUFW}.remedy(ports),
			"Run 'sudo ufw allow 8200/tcp && sudo ufw allow 4172/udp'"},
	} {
		if !strings.HasPrefix(c.got, c.want) || c.want == "" && c.got != "" {
			t.Errorf("%s: %q, want %q", name, c.got, c.want)
		}
	}
}

func TestErrorTexts(t *testing.T) {
	torn := errors.New("torn")
	at := func(p string) error { return &fs.PathError{Op: "read", Path: p, Err: torn} }
	for _, c := range []struct {
		want string
		err  error
	}{
		{"cannot read /etc/x on the root volume: torn", &volumeError{"root", at("etc/x")}},
		{"cannot read / on the user volume: torn", &volumeError{"user", at(".")}},
		{"/etc/fstab: torn", &volumeError{"usr", &mountError{inFile("etc/fstab", torn)}}},
		{"user volume: torn", &volumeError{"user", torn}},
		{"/etc/x: torn", inFile("etc/x", inFile("/etc/x", torn))},
		{"root volume: torn", inFile("/etc/x", &volumeError{"root", torn})},
		{"the root volume has no package database", packagesError(packages.ErrNoDatabase)},
		{"cannot read the package database on the root volume: torn", packagesError(torn)},
	} {
		if c.err.Error() != c.want {
			t.Errorf("%q, want %q", c.err, c.want)
		}
	}
	if inFile("/etc/x", nil) != nil {
		t.Error("an error of none")
	}
	if !errors.Is(&volumeError{"root", &fs.PathError{Err: torn}}, torn) || !errors.Is(inFile("x", torn), torn) {
		t.Error("the cause is lost")
	}
}

// TestUnreadable makes sure that a message spells out no more than the first errors, and counts the others.
func TestUnreadable(t *testing.T) {
	list := func(n int) (err error) {
		for i := range n {
			err = joinErrors(err, fmt.Errorf("cannot read /etc/%d", i))
		}
		return err
	}
	const first = "cannot read /etc/0"
	for n, want := range map[int]string{
		1: first, 2: "Cannot read /etc/0. Cannot read /etc/1.",
		3: "Cannot read /etc/0. Cannot read /etc/1. 1 more error occurred.",
		9: "Cannot read /etc/0. Cannot read /etc/1. 7 more errors occurred.",
	} {
		if o := unreadable(list(n)); o.Message != want || o.Status != requirement.Undetermined {
			t.Errorf("%d errors: %s %q, want %q", n, o.Status, o.Message, want)
		}
	}
	if o := unreadable(errors.New(first), fileEvidence("root", "x")); o.Message != first || len(o.Evidence) != 1 {
		t.Errorf("one error: %+v", o)
	}
}
