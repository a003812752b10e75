package scanner

import (
	"slices"

	"github.com/coldcheck/coldcheck/scanner/disk"
)

// rootHint says what may be wrong with the images where no volume holds a
// system. forced is the image that was named as the root, user the one that was
// named as the user volume; both may be nil.
func (vs *volumes) rootHint(forced, user *Image) string {
	isRoot := func(v *volume) bool {
		if v.fs == nil {
			return false
		}
		is, err := families[v.system].holdsSystem(v.raw())
		return is && err == nil
	}
	elsewhere := slices.IndexFunc(vs.list, func(v *volume) bool {
		return (forced != nil && v.image != forced || user != nil && v.image == user) && isRoot(v)
	})
	users := slices.IndexFunc(vs.list, func(v *volume) bool {
		return v.fs != nil && families[v.system].holdsUsers(v.raw())
	})
	switch {
	case elsewhere >= 0 && vs.list[elsewhere].image == user:
		return "the volumes are swapped: " + user.Name + ", given as the user volume, holds the system. " +
			"Without --root and --user it is found out which is which"
	case elsewhere >= 0:
		return vs.list[elsewhere].image.Name + " holds the system: name that as the root volume, or leave --root out"
	case users >= 0:
		return vs.list[users].name() + " is a user volume: give the image of the root volume too"
	}
	return "a scan needs the root volume of a Windows or Linux WorkSpace"
}

// decryptHint says how an encrypted root volume comes to be readable.
func decryptHint(v *volume) string {
	if v.Filesystem == disk.BitLocker {
		return "on the WorkSpace turn BitLocker off (manage-bde -off C:), " +
			"wait until manage-bde -status says that the volume is decrypted, then take the image again"
	}
	return "no image can be made of such a WorkSpace: " +
		"launch one without encryption of its own, or decrypt the volume before the snapshot is taken"
}
