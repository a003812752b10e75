package scanner

import (
	"slices"

	"github.com/coldcheck/coldcheck/scanner/disk"
)

// rootHint returns what to do where no volume contains a system. forced is the
// image that was named as the root, user the one that was named as the user
// volume; both may be nil.
func (vs *volumes) rootHint(forced, user *Source) string {
	isRoot := func(v *volume) bool {
		if v.fs == nil {
			return false
		}
		is, err := families[v.system].holdsSystem(v.raw())
		return is && err == nil
	}
	elsewhere := slices.IndexFunc(vs.list, func(v *volume) bool {
		return (forced != nil && !v.of(forced) || user != nil && v.of(user)) && isRoot(v)
	})
	users := slices.IndexFunc(vs.list, func(v *volume) bool {
		return v.fs != nil && families[v.system].holdsUsers(v.raw())
	})
	switch {
	case elsewhere >= 0 && user != nil && vs.list[elsewhere].of(user):
		return user.Name + ", given with --user, contains the system: " +
			"give it with --root, or omit --root and --user"
	case elsewhere >= 0:
		return vs.list[elsewhere].image.Name + " contains the system: give it with --root, or omit --root"
	case users >= 0:
		return vs.list[users].name() + " is a user volume: add the image of the root volume"
	}
	return "give the image of the root volume of a Windows or Linux WorkSpace"
}

// decryptHint returns how to make an encrypted root volume readable.
func decryptHint(v *volume) string {
	if v.Filesystem == disk.BitLocker {
		return "on the WorkSpace, run manage-bde -off C:, wait until manage-bde -status shows Fully Decrypted, " +
			"and take the image again"
	}
	return "you cannot create an image from this WorkSpace: use a WorkSpace without disk encryption, " +
		"or decrypt the volume before taking the snapshot"
}
