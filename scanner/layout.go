package scanner

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/linux"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	filesystem "github.com/coldcheck/coldcheck/scanner/volume"
)

// layout is what a Linux system mounts where.
type layout struct {
	*linux.Layout
	others  []*volume // as ReadLayout has them
	home    error     // why what the user volume holds cannot be judged; nil if it can
	set     bool      // the layout has the volume at /home
	notices []requirement.Notice
}

// layOut reads what the system on the root volume mounts. Where a defect ends
// that, nothing is known of it.
func (vs *volumes) layOut() {
	var others []linux.Volume
	for _, v := range vs.list {
		if v != vs.root {
			vs.layout.others = append(vs.layout.others, v)
			others = append(others, v.linuxVolume())
		}
	}
	err := guard(func() error {
		vs.layout.Layout = linux.ReadLayout(vs.root.linuxVolume(), others)
		return nil
	})
	if err != nil {
		vs.layout.Layout = linux.UnknownLayout(vs.root.linuxVolume(), others, err)
		vs.layout.notices = append(vs.layout.notices,
			requirement.Notice{Level: requirement.LevelError, Source: string(Root),
				Message: vs.root.name() + ": " + err.Error()})
	}
	for _, n := range vs.layout.Notices {
		n.Message = vs.root.name() + ": " + n.Message
		vs.layout.notices = append(vs.layout.notices, n)
	}
	for i, v := range vs.layout.others {
		v.mounted = vs.layout.Points(i)
		v.source = vs.layout.Role(i)
	}
}

// linuxVolume is the volume as a Linux system sees it, with all that it may be
// named by.
func (v *volume) linuxVolume() linux.Volume {
	l := linux.Volume{Err: v.err}
	if v.fs != nil && v.system == filesystem.Linux {
		l = linuxVolume(v.fs)
	}
	if l.FS == nil && l.Err == nil {
		l.Err = errors.New(v.content())
	}
	if e := v.encryption(); e != "" {
		l.Err = fmt.Errorf("%s is encrypted with %s", v.name(), e)
	}
	l.Name, l.Logical, l.Disk, l.Partition = v.name(), v.LogicalVolume, v.number, v.Partition
	switch {
	case !v.GUID.IsZero():
		l.PartUUID, l.PartLabel = strings.ToLower(v.GUID.String()), v.Volume.Name
	case v.image.Table == "mbr" && v.image.DiskSignature != 0 && v.Partition > 0:
		l.PartUUID = fmt.Sprintf("%08x-%02x", v.image.DiskSignature, v.Partition)
	}
	return l
}

// findHome finds the user volume of a Linux system: the one that the system
// mounts at /home. Where nothing says which that is, it is the one that shows
// homes, or the only one that may hold data, as findUser says; but never one
// that is mounted elsewhere, or was.
func (vs *volumes) findHome(forced *Source) error {
	h := vs.layout.Home()
	if forced == nil && h.Volume >= 0 {
		vs.take(vs.layout.others[h.Volume])
		vs.layout.set = h.Set
		return nil
	}
	if forced == nil && h.Set {
		vs.layout.set = true
		vs.noUser = h.Err
		if h.Err == nil {
			vs.noUser = fact.NoUserVolume("no image is mounted at /home")
		}
		return nil
	}
	var elsewhere []string
	var strangers []*volume
	may := func(v *volume) bool {
		i := slices.Index(vs.layout.others, v)
		last := v.linuxVolume().LastMounted
		switch {
		case i < 0:
			return false
		case forced != nil:
			return true
		case len(v.mounted) > 0:
			elsewhere = append(elsewhere, fmt.Sprintf("%s is mounted at %s", v.name(), v.mounted[0]))
			return false
		case last != "" && last != "/home":
			elsewhere = append(elsewhere, fmt.Sprintf("%s was last mounted at %s", v.name(), last))
			return false
		case vs.layout.Unlike(i) != "":
			strangers = append(strangers, v)
			return false
		}
		return true
	}
	if err := vs.findUser(forced, may); err != nil {
		return err
	}
	switch {
	case vs.user != nil && forced == nil:
		if h.Named == "" {
			vs.layout.home = h.Err
		}
	case vs.user == nil && h.Err != nil && h.Named == "":
		vs.noUser = h.Err
	case vs.user != nil:
		if is := vs.layout.Unlike(slices.Index(vs.layout.others, vs.user)); is != "" {
			vs.layout.notice(vs.user,
				fmt.Sprintf("fstab mounts %s at /home, but this volume has the %s. It is the user volume because of --user.",
					h.Named, is))
		}
	case len(strangers) == 1:
		vs.take(strangers[0])
		is := vs.layout.Unlike(slices.Index(vs.layout.others, vs.user))
		vs.layout.home = fmt.Errorf("%s is another machine's user volume: fstab mounts %s at /home, but it has the %s",
			vs.user.name(), h.Named, is)
		vs.layout.notice(vs.user,
			fmt.Sprintf("this is another machine's user volume: fstab mounts %s at /home, but it has the %s.", h.Named, is))
	case len(strangers) > 1:
		vs.noUser = fact.NoUserVolume("fstab mounts %s at /home, and that volume was not given. Add its image", h.Named)
	case len(elsewhere) > 0:
		vs.noUser = fmt.Errorf("%w (%s)", vs.noUser, strings.Join(elsewhere[:min(len(elsewhere), 3)], ", "))
	}
	return nil
}

// take makes a volume the user volume.
func (vs *volumes) take(v *volume) {
	vs.user = v
	v.role, v.source = User, string(User)
}

func (l *layout) notice(v *volume, message string) {
	l.notices = append(l.notices, requirement.Notice{Level: requirement.LevelWarning, Source: string(User),
		Message: v.name() + ": " + message})
}

// homeVolume is the user volume for the Linux checks; zero if the layout has
// the volume at /home.
func (vs *volumes) homeVolume() linux.Volume {
	switch {
	case vs.layout.set:
		return linux.Volume{}
	case vs.layout.home != nil:
		return linux.Volume{Err: vs.layout.home}
	case vs.user == nil:
		return linux.Volume{Err: vs.noUser}
	}
	return vs.user.linuxVolume()
}
