package scanner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/source"
	filesystem "github.com/coldcheck/coldcheck/scanner/volume"
)

// volumes are the images of a scan and the volumes on them.
type volumes struct {
	images []*Image
	given  []Source // what the images are of, in order
	sums   sums
	list   []*volume
	root   *volume
	user   *volume // nil if there is none
	noUser error   // why there is none
	layout layout  // of a Linux system
	forced bool    // user is what the caller named as such
	single bool    // the rule book is for machines without a user volume
	budget *memory.Budget
	reads  reads
	// snapshots are those that documents describe, by ID.
	snapshots map[string]*SnapshotDescription
}

// volume is a volume of one of the images.
type volume struct {
	*disk.Volume
	image   *Image
	number  int // of the image, from 0
	role    Role
	source  string            // how evidence names it, "" if it never does
	mounted []string          // where a Linux system mounts it
	system  filesystem.System // that uses such filesystems
	fs      filesystem.FS     // nil if it could not be opened or is not supported
	// asIs is the volume without its journal; nil unless the journal cannot be
	// replayed. It is good enough to identify the volume, but not for checks.
	asIs filesystem.FS
	err  error // why it could not be opened, or not be read as the kernel would see it
}

// name is the display name of the volume.
func (v *volume) name() string {
	switch {
	case v.LogicalVolume != "":
		return v.image.Name + ", logical volume " + v.LogicalVolume
	case v.Partition == 0:
		return v.image.Name
	}
	return fmt.Sprintf("%s, partition %d", v.image.Name, v.Partition)
}

// of says whether the volume is on an image of a source.
func (v *volume) of(s *Source) bool { return v.image.source.Name == s.Name }

// content is what a person wants to know of the volume where it is not what a
// scan needs.
func (v *volume) content() string {
	switch {
	case v.err != nil:
		return v.err.Error()
	case v.fs != nil:
		return string(v.Filesystem) + " without a system"
	case v.Filesystem == disk.Unknown:
		return "no filesystem"
	case v.Filesystem == disk.LVM2:
		return "LVM2 physical volume"
	case v.Filesystem == disk.Btrfs:
		return string(v.Filesystem) + ", which is not supported"
	}
	return string(v.Filesystem)
}

// filesystem is the filesystem as results name it.
func (v *volume) filesystem() string { return cmp.Or(string(v.Filesystem), "unknown") }

// encryption is the name of what encrypts the volume, "" if it is not.
func (v *volume) encryption() string {
	switch {
	case !v.Filesystem.Encrypted():
		return ""
	case v.Filesystem == disk.BitLocker:
		return "BitLocker"
	case v.Filesystem == disk.LUKS:
		return "LUKS"
	}
	return string(v.Filesystem)
}

// bare says whether the partition is of a kind that holds no filesystem.
func (v *volume) bare() bool {
	return slices.Contains([]string{"BIOS boot", "Microsoft reserved", "Linux reserved"}, v.TypeName)
}

// readable reports whether a scan can read the volume, if it is not damaged.
func (v *volume) readable() bool {
	return filesystem.Supported.Holds(v.Filesystem)
}

// mayHoldData says whether the volume may be the user volume of such a system.
// One that could not be opened, is damaged or encrypted, may.
func (v *volume) mayHoldData(system filesystem.System) bool {
	if !v.readable() && v.encryption() == "" && (v.Filesystem != disk.Unknown || v.bare()) || v.Hidden ||
		v.NoDriveLetter || strings.Contains(strings.ToLower(v.TypeName), "recovery") {
		return false
	}
	if v.fs == nil {
		return true
	}
	may := true // one that a defect keeps from being looked at, too
	guard(func() error { may = families[v.system].mayHoldData(v.raw()); return nil })
	return v.system == system && may
}

func (v *volume) holdsSystem() (is bool, err error) {
	err = guard(func() error { is, err = families[v.system].holdsSystem(v.raw()); return err })
	return is, err
}

func (v *volume) holdsUsers() (is bool) {
	guard(func() error { is = families[v.system].holdsUsers(v.raw()); return nil })
	return is
}

// Close closes the volumes and the images.
func (vs *volumes) Close() error {
	var all error
	for _, v := range vs.list {
		if v.fs == nil {
			continue
		}
		all = errors.Join(all, v.fs.Close())
		if v.asIs != nil {
			all = errors.Join(all, v.asIs.Close())
		}
	}
	for _, i := range vs.images {
		all = errors.Join(all, i.Close())
	}
	return all
}

// readings returns what a scan has read of each image, but not to hash it. Requests over
// a network are added by traffic.
func (vs *volumes) readings() []Reading {
	list := make([]Reading, len(vs.images))
	vs.eachSource(func(n int, s *source.Source) {
		c, hashed := s.Counters(), vs.sums.read[s]
		list[n].Bytes += c.Bytes - hashed.Bytes
		list[n].Reads += c.Reads - hashed.Reads
	})
	return list
}

// traffic adds the requests over a network to readings.
func (vs *volumes) traffic(list []Reading) {
	vs.eachSource(func(n int, s *source.Source) {
		if r := s.Remote(); r != nil {
			if list[n].Remote == nil {
				list[n].Remote = &source.Traffic{}
			}
			list[n].Remote.Add(r.Traffic())
		}
	})
}

// eachSource calls f with each file of the images once, and with the number of the first
// image that it is of.
func (vs *volumes) eachSource(f func(n int, s *source.Source)) {
	seen := map[*source.Source]bool{}
	for n, i := range vs.images {
		for _, s := range i.sources() {
			if !seen[s] {
				seen[s] = true
				f(n, s)
			}
		}
	}
}

// openVolumes opens the images and the filesystems on them.
func openVolumes(ctx context.Context, in Input, budget *memory.Budget, trail *requirement.Trail) (*volumes, error) {
	vs, err := newVolumes(in, budget)
	if err != nil {
		return nil, err
	}
	err = vs.openImages(ctx, in)
	if err == nil {
		err = vs.open(ctx, in, trail)
	}
	if err = vs.unlessFailed(ctx, err); err != nil {
		vs.Close()
		return nil, err
	}
	return vs, nil
}

// newVolumes returns the volumes of the input, of which nothing is open yet.
func newVolumes(in Input, budget *memory.Budget) (*volumes, error) {
	sources := in.sources()
	if len(sources) == 0 {
		return nil, fail(ErrUsage, "name the images of the root and the user volume", "no image given")
	}
	for i, s := range sources {
		for _, other := range sources[:i] {
			if s.same(other) {
				return nil, fail(ErrUsage, "name each image once", "%s is given twice", s.Name)
			}
		}
	}
	if err := checkParents(sources, in.Parents); err != nil {
		return nil, err
	}
	return &volumes{budget: budget, given: sources, reads: newReads(in.parallelReads())}, nil
}

// unlessFailed returns err unless a remote image could not be read. That ends a scan
// wherever it happens, and is an ErrIO: what is missing then says nothing of the images.
func (vs *volumes) unlessFailed(ctx context.Context, err error) error {
	if failed := remoteFailure(ctx, allSources(vs.images)); failed != nil {
		return fail(ErrIO, hintOf(failed), "%w", failed)
	}
	return err
}

// remoteOptions are the options of images that are read over a network. With a limit of
// memory, the caches of all images and parents have at most a quarter of it.
func (vs *volumes) remoteOptions(in Input) source.Options {
	o := in.Remote
	if vs.budget != nil {
		share := in.MaxMemory / 4 / int64(len(vs.given)+len(in.Parents))
		o.CacheBytes, o.Reserve = min(share, source.DefaultCacheBytes), vs.budget.Reserve
	}
	return o
}

// assign finds which is the root and which the user volume, and what else the
// system mounts.
func (vs *volumes) assign(ctx context.Context, in Input) error {
	vs.forced = in.User != nil
	if err := vs.findRoot(in.Root, in.User); err != nil {
		return err
	}
	return vs.findOthers(ctx, in.User)
}

// openImages opens the images, at the same time as far as the reads allow, and finds
// the volumes on them.
func (vs *volumes) openImages(ctx context.Context, in Input) error {
	images := make([][]*Image, len(vs.given))
	errs := make([]error, len(vs.given))
	vs.reads.each(len(vs.given), func(i int) {
		errs[i] = guard(func() (err error) {
			images[i], err = OpenImages(ctx, vs.given[i], OpenOptions{Parents: in.Parents, source: vs.remoteOptions(in)})
			return err
		})
	})
	for n, disks := range images {
		for k, image := range disks {
			image.given, image.nth = n, k
		}
		vs.images = append(vs.images, disks...)
	}
	for _, err := range errs {
		switch {
		case errors.Is(err, disk.ErrNotImage), errors.Is(err, disk.ErrCorrupt):
			return fail(ErrNoSystem, hintOf(err), "%w", err)
		case err != nil:
			return fail(ErrIO, hintOf(err), "%w", err)
		}
	}
	if err := shared(vs.images); err != nil {
		return err
	}
	if err := UnusedParent(in.Parents, vs.images...); err != nil {
		return err
	}
	AssembleLVM(vs.images...)
	for n, image := range vs.images {
		for _, d := range image.Volumes() {
			v := &volume{Volume: d, image: image, number: n, role: Other}
			vs.list = append(vs.list, v)
		}
	}
	return nil
}

// open opens the filesystems on the volumes, at the same time as far as the reads allow.
func (vs *volumes) open(ctx context.Context, in Input, trail *requirement.Trail) error {
	in.progress.count(vs.images)
	in.progress.show(Progress{Step: "opening the volumes"})
	vs.reads.each(len(vs.list), func(i int) {
		v := vs.list[i]
		if err := guard(func() error { v.mount(ctx, vs.reads, vs.budget, in.progress); return nil }); err != nil {
			v.fs, v.asIs, v.err = nil, nil, err
		}
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, image := range vs.images {
		trail.Record("image", "name", image.Name, "format", image.Format, "size", fmt.Sprint(image.Size), "table",
			image.Table, "sector", fmt.Sprint(image.SectorSize))
		for _, v := range vs.list {
			if v.image == image {
				trail.Record("volume", "image", image.Name, "partition", fmt.Sprint(v.Partition), "offset", fmt.Sprint(v.Offset),
					"size", fmt.Sprint(v.Size), "filesystem", string(v.Filesystem), "error", errorText(v.err))
			}
		}
	}
	return nil
}

// mount opens the filesystem on the volume, if it can have a system.
func (v *volume) mount(ctx context.Context, reads reads, budget *memory.Budget, progress *progress) {
	if v.err = v.Volume.Err; v.err != nil {
		return
	}
	switch {
	case v.readable():
		v.err = v.open(ctx, reads, budget, progress)
	case v.Filesystem == disk.Unknown && !v.bare():
		v.err = errNoFilesystem
	}
	if v.readable() && v.err == nil && v.Declared > v.Size {
		v.err = kind.Mark(fmt.Errorf("the copy is truncated: %s of %s are missing",
			prose.Size(v.Declared-v.Size), prose.Size(v.Declared)), io.ErrUnexpectedEOF)
	}
}

// requestSize is how many bytes one request for the image returns at most, if that is read over a network; otherwise 0.
func (v *volume) requestSize() int64 {
	if r := v.image.remote(); r != nil {
		return r.RequestSize()
	}
	return 0
}

// readers is the number of concurrent reads of a table, each of 1 MiB. If a read takes several requests, fewer reads
// keep as many requests under way, and a block that two reads share is still in the cache for the second.
func (v *volume) readers(most int) int {
	const read = 1 << 20
	if request := v.requestSize(); request > 0 && request < read {
		return max(most*int(request)/read, 1)
	}
	return most
}

// open opens the filesystem. Of one whose journal cannot be replayed the error
// says so, and it is open all the same.
func (v *volume) open(ctx context.Context, reads reads, budget *memory.Budget, progress *progress) error {
	row, _ := filesystem.Supported.Row(v.Filesystem)
	r := reads.bound(ctx, budget.Reader(v.Volume))
	o := filesystem.Options{Readers: v.readers(reads.most()), Reserve: budget.Reserve, Progress: progress.volume(v)}
	fsys, err := row.Open(ctx, r, v.Size, o)
	if err != nil {
		return err
	}
	unreplayed := fsys.Info().Unreplayed
	if unreplayed != nil {
		o.Stale = true
		if v.asIs, err = row.Open(ctx, r, v.Size, o); err != nil {
			return errors.Join(err, fsys.Close())
		}
	}
	v.system, v.fs = row.System, fsys
	return unreplayed
}

// raw is the filesystem that identifies the volume.
func (v *volume) raw() filesystem.FS {
	if v.asIs != nil {
		return v.asIs
	}
	return v.fs
}

// openExtra opens the volumes that cannot have a system but that the system on
// the root volume may mount.
func (vs *volumes) openExtra(ctx context.Context) {
	for _, v := range vs.list {
		row, _ := filesystem.Supported.Row(v.Filesystem)
		if !row.Extra || row.System != vs.root.system || v.err != nil || v.fs != nil {
			continue
		}
		err := guard(func() error { return v.open(ctx, vs.reads, vs.budget, nil) })
		// One that is of no use to a system is left as it is.
		if err != nil && !errors.Is(err, kind.Unsupported) {
			v.err = err
		}
	}
}

// errNoFilesystem is the error of a volume that is empty, or damaged where the
// signature of a filesystem would be.
var errNoFilesystem = errors.New("no known filesystem")

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// findRoot finds the volume with the system. forced is the image that must have
// it, user one that must not; both may be nil.
func (vs *volumes) findRoot(forced, user *Source) error {
	found, err := vs.roots(forced, user, func(v *volume) (is bool, what string) {
		if v.fs == nil {
			return false, v.content()
		}
		is, err := v.holdsSystem()
		return is, cmp.Or(errorText(err), v.content())
	})
	switch {
	case err != nil:
		return err
	case len(found) > 1:
		return fail(ErrUsage, "scan one WorkSpace at a time, or name its root volume with --root",
			"two root volumes: %s and %s", found[0].name(), found[1].name())
	}
	vs.root = found[0]
	vs.root.role, vs.root.source = Root, string(Root)
	return nil
}

// roots returns the volumes that hold a system, at least one, or the error that there is
// none. holds says whether a volume does, and what it has otherwise.
func (vs *volumes) roots(
	forced, user *Source, holds func(v *volume) (is bool, what string),
) (found []*volume, err error) {
	var encrypted, tooLarge *volume
	var considered []string
	for _, v := range vs.list {
		if forced != nil && !v.of(forced) || user != nil && v.of(user) {
			continue
		}
		switch {
		case v.encryption() != "":
			encrypted = cmp.Or(encrypted, v)
		case errors.Is(v.err, kind.IO):
			return nil, fail(ErrIO, hintOf(v.err), "%s: %w", v.name(), v.err)
		default:
			if errors.Is(v.err, ErrMemory) {
				tooLarge = cmp.Or(tooLarge, v)
			}
			is, what := holds(v)
			if is {
				found = append(found, v)
			}
			considered = append(considered, v.name()+": "+what)
		}
	}
	switch {
	case len(found) > 0:
		return found, nil
	case encrypted != nil:
		err := fmt.Errorf("%s is encrypted with %s", encrypted.name(), encrypted.encryption())
		return nil, fail(ErrNoSystem, decryptHint(encrypted), "%w", kind.Mark(err, kind.Encrypted))
	case tooLarge != nil:
		return nil, fail(ErrNoSystem, "give the scan more memory with --max-memory", "%s: %w", tooLarge.name(), tooLarge.err)
	case len(considered) == 0:
		return nil, fail(ErrNoSystem, "", "the images contain no volume")
	}
	return nil, fail(ErrNoSystem, vs.rootHint(forced, user), "no supported system found: %s",
		strings.Join(considered, "; "))
}

// findOthers finds the user volume, and of a Linux system what it mounts.
func (vs *volumes) findOthers(ctx context.Context, forced *Source) error {
	if vs.single && forced != nil {
		return fail(ErrUsage, "", "%s is named as the user volume, but the rule book is for computers without one",
			forced.Name)
	}
	if vs.root.system == filesystem.Windows && vs.single {
		vs.noUser = errSingle
		return nil
	}
	if vs.root.system != filesystem.Linux {
		return vs.findUser(forced, func(*volume) bool { return true })
	}
	vs.openExtra(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	vs.layOut()
	return vs.findHome(forced)
}

// errSingle is the reason why no volume is used as drive D of a computer that is not a WorkSpace yet.
var errSingle = fact.NoUserVolume("the computer has no user volume")

// findUser finds the volume with the profiles or homes: on the image that is
// named, else the one that shows them, else the only other volume that may
// hold data, which may be encrypted or damaged. It is one that may be it.
func (vs *volumes) findUser(forced *Source, may func(*volume) bool) error {
	var users, others []*volume
	for _, v := range vs.list {
		if v == vs.root || forced != nil && !v.of(forced) || !v.mayHoldData(vs.root.system) {
			continue
		}
		if v.fs != nil {
			if is, err := v.holdsSystem(); is && err == nil {
				continue // the root of another machine
			}
		}
		if !may(v) {
			continue
		}
		if v.fs != nil {
			if v.holdsUsers() {
				users = append(users, v)
			}
		}
		others = append(others, v)
	}
	if len(users) > 1 {
		return fail(ErrUsage, "scan one WorkSpace at a time, or name its user volume with --user",
			"two user volumes: %s and %s", users[0].name(), users[1].name())
	}
	if len(users) == 0 {
		users = others
	}
	switch {
	case len(users) == 1:
		vs.take(users[0])
	case len(users) > 1:
		vs.noUser = fact.NoUserVolume("cannot tell which is the user volume: %s or %s. Name it with --user",
			users[0].name(), users[1].name())
	case forced != nil:
		return fail(ErrNoSystem, "", "%s contains no user volume", forced.Name)
	default:
		vs.noUser = fact.ErrNoUserVolume
	}
	return nil
}

// notify says what the reader of the report must know of the volumes.
func (vs *volumes) notify(trail *requirement.Trail) {
	for _, i := range vs.images {
		i.notify(trail, slices.Concat(i.atFirst, i.Image.Notes))
	}
	for _, n := range vs.layout.notices {
		trail.Notify(n)
	}
	for _, v := range vs.list {
		var notices []requirement.Notice
		if v.err != nil {
			notices = append(notices, requirement.Notice{Level: requirement.LevelError, Message: v.err.Error()})
		}
		if v.fs != nil {
			err := guard(func() error { notices = append(notices, asNotices(v.fs.Notices())...); return nil })
			if err != nil {
				notices = append(notices, requirement.Notice{Level: requirement.LevelError, Message: err.Error()})
			}
		}
		for _, n := range notices {
			n.Source, n.Message = cmp.Or(v.source, string(v.role)), v.name()+": "+n.Message
			trail.Notify(n)
		}
	}
}

// unreadDisks returns what is wrong with disks in archives that cannot be read, and
// notifies of them. All images of an archive have the same ones.
func (vs *volumes) unreadDisks(trail *requirement.Trail) (list []string) {
	for _, i := range vs.images {
		for _, err := range i.UnreadDisks() {
			if i.nth > 0 {
				continue
			}
			list = append(list, "a disk in "+i.source.Name+" cannot be read: "+err.Error())
			message := "A disk in " + i.source.Name + " cannot be read: " + err.Error() + "."
			if hint := hintOf(err); hint != "" {
				message += " " + prose.Sentence(hint)
			}
			trail.Notify(requirement.Notice{Level: requirement.LevelError, Message: message})
		}
	}
	return list
}

// notify notifies of notes on an image.
func (i *Image) notify(trail *requirement.Trail, notes []string) {
	for _, note := range notes {
		trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Message: i.Name + ": " + note})
	}
}

// notifyLate notifies of what was found out about containers by reading the disks in
// them. A note may count what was found: it is complete when everything is read.
func (vs *volumes) notifyLate(trail *requirement.Trail) {
	for _, i := range vs.images {
		known := func(note string) bool { return slices.Contains(i.atFirst, note) }
		i.notify(trail, slices.DeleteFunc(containerNotes(i.disk), known))
	}
}

// notifyDoubts says which names were asked for and are in doubt.
func (vs *volumes) notifyDoubts(trail *requirement.Trail) {
	for _, v := range vs.list {
		if v.fs == nil {
			continue
		}
		for _, n := range asNotices(v.fs.Doubts()) {
			n.Source, n.Message = string(v.role), v.name()+": "+n.Message
			trail.Notify(n)
		}
	}
}

// asNotices turns what a filesystem says into notices of the report.
func asNotices(list []filesystem.Notice) []requirement.Notice {
	levels := map[filesystem.Level]requirement.Level{
		filesystem.Note: requirement.LevelInfo, filesystem.Warning: requirement.LevelWarning,
		filesystem.Error: requirement.LevelError,
	}
	var notices []requirement.Notice
	for _, n := range list {
		notices = append(notices, requirement.Notice{Level: levels[n.Level], Message: n.Text})
	}
	return notices
}

// infer marks the findings as inferred that passed by a file on a volume whose log
// could not be applied: the last changes may be missing.
func (vs *volumes) infer(findings []requirement.Finding) {
	roles := map[string]bool{}
	for _, v := range vs.list {
		if v.fs == nil {
			continue
		}
		if info := v.fs.Info(); info.Journal.Err != nil && info.Unreplayed == nil {
			roles[string(v.role)] = true
		}
	}
	if len(roles) == 0 {
		return
	}
	for i := range findings {
		f := &findings[i]
		byFile := func(e requirement.Evidence) bool { return roles[e.Source] && e.Key == "" && e.Path != "" }
		if f.Status == requirement.Passed && f.Basis == requirement.Observed && slices.ContainsFunc(f.Evidence, byFile) {
			f.Basis = requirement.Inferred
		}
	}
}

// describe returns the volumes as reports show them.
func (vs *volumes) describe() []Volume {
	var list []Volume
	for _, v := range vs.list {
		d := Volume{
			Role: v.role, Source: v.source, Mounted: v.mounted, Image: v.image.Name, Format: v.image.Format,
			Partition: v.Partition, Logical: v.LogicalVolume,
			Offset: v.Offset, Size: v.Size, Free: -1, Filesystem: v.filesystem(),
		}
		if v.fs != nil {
			if err := guard(func() error { d.complete(v.fs); return nil }); err != nil {
				d.State = string(filesystem.StateUnknown)
			}
		}
		list = append(list, d)
	}
	return list
}

// complete adds what the filesystem says of the volume.
func (d *Volume) complete(fsys filesystem.FS) {
	info := fsys.Info()
	d.Filesystem, d.Label, d.Serial, d.State = string(info.Filesystem), info.Label, info.ID, string(info.State)
	if usage, err := fsys.Usage(); err == nil {
		d.Free = usage.Free
	}
}

// evidence is evidence of the volume itself.
func (v *volume) evidence() requirement.Evidence {
	return requirement.Evidence{
		Kind: requirement.KindVolume, Origin: requirement.OriginDisk, Found: true,
		Source: cmp.Or(v.source, string(v.role)), Data: v.name(),
	}
}

// judgeReadable decides win.volume.readable and linux.volume.readable: every
// volume of the images is complete and not encrypted.
func (vs *volumes) judgeReadable() requirement.Outcome {
	var good []requirement.Evidence
	var names []string
	var unread error
	for _, v := range vs.list {
		ev := v.evidence()
		switch e := v.encryption(); {
		case e != "":
			ev.Note = "encrypted with " + e
			return requirement.Fail(v.name()+" is encrypted with "+e+".", ev)
		case v.err != nil:
			unread = errors.Join(unread, fmt.Errorf("%s: %w", v.name(), v.err))
		default:
			good = append(good, ev)
			names = append(names, v.name())
		}
	}
	for _, i := range vs.images {
		if i.Incomplete != nil {
			unread = errors.Join(unread, fmt.Errorf("%s: %w", i.Name, i.Incomplete))
		}
	}
	if unread != nil {
		return requirement.Unreadable(unread, good...)
	}
	readable := prose.Count(len(good), "volume is readable and not encrypted", "volumes are readable and not encrypted")
	return requirement.Pass(readable+": "+prose.Some(names)+".", good...)
}
