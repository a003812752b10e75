package linux

import (
	"fmt"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// One file of netplan with 70,000 interfaces is read in seconds, has its right
// status, and makes a finding of bounded size.
func TestManyInterfaces(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		last string
		want requirement.Status
	}{
		"all with DHCP":       {"{dhcp4: true}", requirement.Passed},
		"one with an address": {"{addresses: [10.0.0.9/24]}", requirement.Warning},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b strings.Builder
			b.WriteString("-- etc/netplan/60-x.yaml --\nnetwork:\n  ethernets:\n")
			for i := range 69_999 {
				fmt.Fprintf(&b, "    ens%d: {dhcp4: true}\n", 1000+i)
			}
			fmt.Fprintf(&b, "    ens99999: %s\n", c.last)
			f := find(t, newMachine(t, b.String()), "linux.bp.network")
			if f.Status != c.want || len(f.Evidence) > mostEvidence || len(f.Message) > 1000 {
				t.Errorf("%s, %d pieces of evidence: %s", f.Status, len(f.Evidence), f.Message)
			}
		})
	}
}

// The value of an alias counts each time that it is used, up to the limit.
func TestAliases(t *testing.T) {
	t.Parallel()
	document := func(addresses, aliases int) []byte {
		var b strings.Builder
		b.WriteString("network:\n  ethernets:\n    a: &x {addresses: [" + strings.Repeat("10.0.0.9/24,", addresses) + "]}\n")
		for i := range aliases {
			fmt.Fprintf(&b, "    b%d: *x\n", i)
		}
		return []byte(b.String())
	}
	for aliases, whole := range map[int]bool{10: true, maxYAML/1000 - 50: true, maxYAML/1000 + 50: false} {
		p := netplan{byID: map[string]*netplanDefinition{}}
		if err := p.add(document(1000, aliases), requirement.Evidence{}); (err == nil) != whole {
			t.Errorf("%d aliases: %v", aliases, err)
		}
	}
}

// The files of one folder are read up to a limit on their total size.
func TestFolderLimit(t *testing.T) {
	t.Parallel()
	files := func(bytes int) string {
		var b strings.Builder
		for i := range 4 {
			b.WriteString(fmt.Sprintf("-- etc/netplan/%d.yaml --\n#", i) + strings.Repeat("x", bytes/4-2-1<<10) + "\n")
		}
		return b.String()
	}
	for bytes, want := range map[int]requirement.Status{maxFolder / 2: requirement.Passed,
		maxFolder - 8192: requirement.Passed, maxFolder + 8192: requirement.Undetermined} {
		if f := find(t, newMachine(t, files(bytes)), "linux.bp.network"); f.Status != want {
			t.Errorf("%d bytes: %s: %s", bytes, f.Status, f.Message)
		}
	}
}

// So many files are brought in by others, and no more.
func TestIncludeLimits(t *testing.T) {
	t.Parallel()
	interfaces := func(n int) string {
		var b strings.Builder
		b.WriteString(ifupdownOn + "-- etc/network/interfaces --\nsource /etc/network/interfaces.d/*\n")
		for i := range n - 1 {
			fmt.Fprintf(&b, "-- etc/network/interfaces.d/%d --\niface eth%d inet dhcp\n", i, i)
		}
		return b.String()
	}
	for n, want := range map[int]requirement.Status{maxSources - 1: requirement.Passed, maxSources: requirement.Passed,
		maxSources + 1: requirement.Undetermined} {
		if f := find(t, newMachine(t, interfaces(n)), "linux.bp.network"); f.Status != want {
			t.Errorf("%d files: %s: %s", n, f.Status, f.Message)
		}
	}
	rules := func(n int) string {
		var b strings.Builder
		b.WriteString(nftablesOn + "-- etc/nftables.conf --\ninclude \"/etc/nftables.d/*\"\n")
		for i := range n - 1 {
			fmt.Fprintf(&b, "-- etc/nftables.d/%d --\ntable ip t%d\n", i, i)
		}
		return b.String()
	}
	for n, want := range map[int]requirement.Status{maxIncludes - 1: requirement.Passed, maxIncludes: requirement.Passed,
		maxIncludes + 1: requirement.Undetermined} {
		if f := find(t, newMachine(t, rules(n)), "linux.bp.firewall"); f.Status != want {
			t.Errorf("%d files: %s: %s", n, f.Status, f.Message)
		}
	}
	// One that includes itself ends.
	if f := find(t, newMachine(t, nftablesOn+
		"-- etc/nftables.conf --\ninclude \"/etc/nftables.conf\"\ninclude \"/etc/nftables.conf\"\n"),
		"linux.bp.firewall"); f.Status != requirement.Undetermined {
		t.Errorf("%s: %s", f.Status, f.Message)
	}
	services := func(n int) string {
		var b strings.Builder
		b.WriteString(firewalldOn + "-- etc/firewalld/zones/public.xml --\n<zone target=\"ACCEPT\">")
		for i := range n {
			fmt.Fprintf(&b, "<service name=\"s%d\"/>", i)
		}
		return b.String() + "</zone>\n"
	}
	for n, want := range map[int]requirement.Status{maxServices - 1: requirement.Passed, maxServices: requirement.Passed,
		maxServices + 1: requirement.Undetermined} {
		if f := find(t, newMachine(t, services(n)), "linux.bp.firewall"); f.Status != want {
			t.Errorf("%d services: %s: %s", n, f.Status, f.Message)
		}
	}
}

// A variable that stands for itself many times over ends.
func TestVariables(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(nftablesOn + "-- etc/nftables.conf --\ndefine v0 = { 1, 2 }\n")
	for i := range 40 {
		fmt.Fprintf(&b, "define v%d = { $v%d, $v%d }\n", i+1, i, i)
	}
	b.WriteString("table ip f { chain i { type filter hook input priority 0; policy drop; tcp dport $v40 accept; } }\n")
	if f := find(t, newMachine(t, b.String()), "linux.bp.firewall"); f.Status != requirement.Undetermined {
		t.Errorf("%s: %s", f.Status, f.Message)
	}
}
