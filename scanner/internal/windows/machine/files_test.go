package machine

import (
	"errors"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/volume"
)

func TestBehindLink(t *testing.T) {
	before, rest := []string{"Users", "jdoe"}, []string{"AppData", "x.txt"}
	for _, c := range []struct {
		link volume.Reparse
		want string // as splitDrive takes it apart
	}{
		{volume.Reparse{Substitute: `\??\D:\Users\jdoe`}, "D Users/jdoe/AppData/x.txt"},
		{volume.Reparse{Substitute: `\??\D:\`}, "D AppData/x.txt"},
		{volume.Reparse{Substitute: `data`, Relative: true}, "C Users/jdoe/data/AppData/x.txt"},
		{volume.Reparse{Substitute: `..\asmith\.`, Relative: true}, "C Users/asmith/AppData/x.txt"},
		{volume.Reparse{Substitute: `..\..\..\..\data`, Relative: true}, "C data/AppData/x.txt"},
		{volume.Reparse{Substitute: `\Data\jdoe`, Relative: true}, "C Data/jdoe/AppData/x.txt"},
	} {
		drive, name, err := splitDrive(behindLink("C", before, c.link, rest))
		if got := drive + " " + name; got != c.want || err != nil {
			t.Errorf("%+v leads to %s, %v", c.link, got, err)
		}
	}
	for _, target := range []string{`\??\Volume{8d6bc7c0-2f4e-4b1a-9b77-3e5d0c41a2f6}\`, `\??\UNC\server\share`, "/mnt/c",
		""} {
		if _, _, err := splitDrive(behindLink("C", before, volume.Reparse{Substitute: target}, rest)); !errors.Is(err,
			ErrElsewhere) {
			t.Errorf("%q: %v", target, err)
		}
	}
	if _, name, err := splitDrive(behindLink("C", nil, volume.Reparse{Substitute: `Data`, Relative: true},
		nil)); name != "Data" || err != nil {
		t.Errorf("from the root to %q, %v", name, err)
	}
}

// TestFollow goes through the junctions that every Windows has.
func TestFollow(t *testing.T) {
	m := fixture(t, "ready")
	for win, want := range map[string]string{
		`C:\Documents and Settings\Administrator\ntuser.dat`: "root Users/Administrator/NTUSER.DAT",
		`C:\Users\All Users\Amazon`:                          "root ProgramData/Amazon",
		`D:\Users\jdoe\My Documents`:                         "user Users/jdoe/Documents",
		`D:\Users\jdoe\AppData\Local\Application Data\x`:     "",
	} {
		f, err := m.File(win)
		if err != nil || f.Exists != (want != "") {
			t.Errorf("%s: %+v, %v", win, f, err)
		}
		if got := f.Evidence.Source + " " + f.Evidence.Path; f.Exists && !strings.EqualFold(got, want) {
			t.Errorf("%s is %s", win, got)
		}
	}
	m.volumes["D"].FS, m.volumes["D"].Err = nil, errors.New("not given")
	if _, err := m.File(`D:\Users`); err == nil || errors.Is(err, ErrElsewhere) {
		t.Errorf("a file on a volume that is not given: %v", err)
	}
	if _, err := m.File(`E:\Users`); !errors.Is(err, ErrElsewhere) {
		t.Errorf("a file on a drive that is not there: %v", err)
	}
}
