//go:build linux

package mutate_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/internal/mutate"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Limits that no damaged image may break. Under the race detector memory is not bounded.
const (
	timeLimit   = 10 * time.Second // of processor time
	memoryLimit = 512 << 20        // bytes of the process
)

// The environment that make torture sets.
const (
	imagesVar = "COLDCHECK_TORTURE"      // how many damaged images are scanned
	seedVar   = "COLDCHECK_TORTURE_SEED" // the first seed of each case; 0 if it is not set
	caseVar   = "COLDCHECK_TORTURE_CASE" // the only case; all if it is not set
)

// fewImages is how many damaged images are scanned without make torture, of the
// cases that fail in many ways or are ready. Under the race detector, which makes
// a scan ten times slower, it is a tenth.
const fewImages = 240

// batch is how many images a child scans.
const batch = 250

// tortured are the cases, and how many shares of all images each has: those
// that fail in many ways, those that fail in one, one for each requirement, and
// those that are ready.
var tortured = []struct {
	share int
	names []string
}{
	{20, []string{"failing", "linux-failing"}},
	{8, []string{"ready", "linux-ready", "linux-xfs-failing"}},
	{2, []string{
		"dirty", "dirty-old-format", "windows7", "layout-one-disk", "appx-installed-system", "appx-checkpointed",
		"apps-driver-on-d", "certificates-none",
		"control-set-second", "drives-network", "execpolicy-restricted", "free-12-gib", "network-static",
		"path-no-powershell", "pcoip-missing", "powershell-none",
		"profile-defaultuser0", "profile-not-in-registry", "profile-on-c", "pv-file-missing", "rds-missing", "rearm-used-up",
		"reboot-packages-pending",
		"reboot-pending-xml", "services-domain-automatic", "size-above-10-gib", "skylight-missing", "stxhd-missing",
		"sysprep-domain-controller",
		"sysprep-file-missing", "tls-12-server-off", "trustedinstaller-missing", "upgrade-source-os",
		"linux-al2023-package-in-home", "linux-al2023-removed-in-log", "linux-apps-unit", "linux-cloud-init-kernel-argument",
		"linux-journal-user",
		"linux-one-disk", "linux-pcoip-none", "linux-skylight-package-missing", "linux-ubuntu-dcv-not-enabled",
		"linux-ubuntu-package-in-home",
		"linux-ubuntu-usage-above", "linux-usage-above", "linux-usage-journal",
	}},
}

// childVar makes the test binary a child that scans damaged images: it names a
// case and seeds.
const childVar = "COLDCHECK_TORTURE_CHILD"

func TestMain(m *testing.M) {
	if job := os.Getenv(childVar); job != "" {
		child(job)
		return
	}
	os.Exit(m.Run())
}

// report is what a child says of one damaged image, in one line. Done is false
// in the line that comes before the scan, so that a crash is known by its seed.
type report struct {
	Seed   uint64
	Done   bool
	Steps  []mutate.Step   `json:",omitempty"`
	Error  string          `json:",omitempty"` // why the scan was refused
	Moves  map[string]move `json:",omitempty"` // by requirement
	Panics []string        `json:",omitempty"` // that the scan contained
	Millis int64
	PeakKB int64
}

// move is what became of a requirement.
type move struct{ Was, Is requirement.Status }

// hangExit is how a child ends that took too long.
const hangExit = 3

// TestTorture is the fooling test: no damage makes a scan crash, hang, take much
// memory, or pass what is not so.
func TestTorture(t *testing.T) {
	images, groups := fewImages, tortured[:2]
	switch {
	case raceDetector:
		images /= 10
	case !testenv.Full():
		images /= 4
	}
	if n := os.Getenv(imagesVar); n != "" {
		var err error
		if images, err = strconv.Atoi(n); err != nil {
			t.Fatalf("%s: %v", imagesVar, err)
		}
		groups = tortured
	}
	first, err := strconv.ParseUint(cmp.Or(os.Getenv(seedVar), "0"), 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", seedVar, err)
	}
	shares := 0
	for _, group := range groups {
		shares += group.share * len(group.names)
	}
	var all tally
	for _, group := range groups {
		for _, name := range group.names {
			switch only := os.Getenv(caseVar); only {
			case "":
				all.torture(t, name, first, (images*group.share+shares-1)/shares)
			case name:
				all.torture(t, name, first, images)
			}
		}
	}
	t.Log(all.String())
}

// tally adds up what became of the images.
type tally struct {
	images, undamaged, refused    int
	crashes, hangs, panics, wrong int
	explained                     int
	peakKB, slowest               int64
	moves                         map[move]int
	families                      map[string]*family
}

// family adds up what became of the images in which a structure of that family
// was damaged.
type family struct{ images, refused, unsettled int }

func (a *tally) torture(t *testing.T, name string, first uint64, count int) {
	var s *surveyed
	for count > 0 {
		last := a.child(t, name, first, min(count, batch), func(r report) {
			a.add(r)
			suspects := r.suspects()
			if suspects == nil {
				return
			}
			if s == nil {
				s = survey(findCase(name))
			}
			if t.Run(fmt.Sprintf("%s/%d", name, r.Seed), func(t *testing.T) { s.judge(t, r.Seed) }) {
				a.explained += len(suspects)
			} else {
				a.wrong += len(suspects)
			}
		})
		count -= int(last - first)
		first = last
	}
}

func (m move) String() string { return fmt.Sprintf("%s -> %s", m.Was, m.Is) }

// child runs a child and returns the seed to go on from: that behind a crash or
// a hang, if there was one.
func (a *tally) child(t *testing.T, name string, first uint64, count int, done func(report)) uint64 {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d %d", childVar, name, first, count))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	running, last := false, first
	for lines := json.NewDecoder(stdout); ; {
		var r report
		if lines.Decode(&r) != nil {
			break
		}
		last, running = r.Seed, !r.Done
		if r.Done {
			last++
			for _, p := range r.Panics {
				t.Errorf("%s %d: %s, %v", name, r.Seed, p, r.Steps)
			}
			if r.PeakKB > memoryLimit>>10 && !raceDetector {
				t.Errorf("%s %d: %d MiB of memory, %v", name, r.Seed, r.PeakKB>>10, r.Steps)
			}
			done(r)
		}
	}
	err = cmd.Wait()
	switch {
	case !running && err == nil && last == first+uint64(count):
		return last
	case !running:
		t.Fatalf("%s from seed %d: the child ended before its time: %v\n%s", name, first, err, tail(stderr.String()))
	case cmd.ProcessState.ExitCode() == hangExit:
		a.hangs++
		t.Errorf("%s %d: not done after %s\n%s", name, last, timeLimit, tail(stderr.String()))
	default:
		a.crashes++
		t.Errorf("%s %d: crash: %v\n%s", name, last, err, tail(stderr.String()))
	}
	return last + 1
}

// tail is as much of a stack as helps.
func tail(s string) string { return s[max(0, len(s)-8<<10):] }

// add adds what became of one image.
func (a *tally) add(r report) {
	if a.moves == nil {
		a.moves, a.families = map[move]int{}, map[string]*family{}
	}
	a.images++
	a.panics += len(r.Panics)
	a.peakKB, a.slowest = max(a.peakKB, r.PeakKB), max(a.slowest, r.Millis)
	if len(r.Steps) == 0 {
		a.undamaged++
	}
	if r.Error != "" {
		a.refused++
	}
	unsettled := false
	for _, m := range r.Moves {
		a.moves[m]++
		unsettled = unsettled || m.Is == requirement.Undetermined
	}
	seen := map[string]bool{}
	for _, step := range r.Steps {
		if seen[step.Family] {
			continue
		}
		seen[step.Family] = true
		f := a.families[step.Family]
		if f == nil {
			f = &family{}
			a.families[step.Family] = f
		}
		f.images++
		if unsettled {
			f.unsettled++
		}
		if r.Error != "" {
			f.refused++
		}
	}
}

// String is the summary.
func (a *tally) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d images (%d of them as they were, %d refused): %d crashes, %d hangs, %d contained panics, %d "+
		"false verdicts, %d moves explained; at most %d MiB and %d ms\n",
		a.images, a.undamaged, a.refused, a.crashes, a.hangs, a.panics, a.wrong, a.explained, a.peakKB>>10, a.slowest)
	for _, m := range slices.SortedFunc(maps.Keys(a.moves),
		func(x, y move) int { return cmp.Compare(x.String(), y.String()) }) {
		fmt.Fprintf(&b, "%8d %s\n", a.moves[m], m)
	}
	fmt.Fprintf(&b, "%-20s %8s %8s %8s\n", "structure", "images", "refused", "with undetermined")
	for _, name := range slices.Sorted(maps.Keys(a.families)) {
		f := a.families[name]
		fmt.Fprintf(&b, "%-20s %8d %8d %8d\n", name, f.images, f.refused, f.unsettled)
	}
	return b.String()
}

// child scans damaged images of one case, "CASE FIRST COUNT" by the seeds.
func child(job string) {
	var name string
	var first uint64
	var count int
	if _, err := fmt.Sscan(job, &name, &first, &count); err != nil {
		panic(err)
	}
	s := survey(findCase(name))
	out := json.NewEncoder(os.Stdout)
	for i := range count {
		seed := first + uint64(i)
		must(out.Encode(report{Seed: seed}))
		debug.FreeOSMemory()
		resetPeak()
		stop := watch(func() {
			buf := make([]byte, 1<<20)
			fmt.Fprintf(os.Stderr, "%s\n", buf[:runtime.Stack(buf, true)])
			os.Exit(hangExit)
		})
		damaged := s.plan.Damage(seed)
		start := processorTime()
		r, _ := s.scan(damaged)
		r.Millis = (processorTime() - start).Milliseconds()
		stop()
		r.Seed, r.Done, r.Steps, r.PeakKB = seed, true, damaged.Steps, peak()
		must(out.Encode(r))
	}
}

// idle is how long a process may wait for something without the processor.
const idle = 5 * time.Minute

// watch calls over once this process has used the processor for timeLimit, or has
// not ended for a long time, as if it waits for ever. A busy machine is no
// reason. The returned function ends the watch.
func watch(over func()) (stop func()) {
	begun, from, done := time.Now(), processorTime(), make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
			if processorTime()-from > timeLimit || time.Since(begun) > idle {
				over()
				return
			}
		}
	}()
	return func() { close(done) }
}

// processorTime is what this process has used.
func processorTime() time.Duration {
	var u syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// must is for what only a broken test meets.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// resetPeak and peak measure how much memory the process took, in KiB.
func resetPeak() { os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600) }

func peak() int64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}

// findCase is for children, who have no *testing.T.
func findCase(name string) fixtures.Case {
	return testcases.Find(&testing.T{}, name)
}

// input is what a scan of the images of a case is given.
func input(c fixtures.Case, images []*mutate.Overlay) scanner.Input {
	in := scanner.Input{UserName: c.UserName, Now: func() time.Time { return fixtures.Now }}
	for i, image := range c.Images {
		in.Images = append(in.Images, scanner.Source{Name: image.Name,
			Open: func(ctx context.Context) (*source.Source, error) {
				return source.NewReader(ctx, image.Name, images[i], images[i].Size()), nil
			}})
	}
	for _, d := range c.With {
		in.With = append(in.With, scanner.Document{Name: d.Name, Data: d.Data})
	}
	return in
}

// undamaged are the images of a case as they are.
func undamaged(c fixtures.Case) (packs []pages, images []*mutate.Overlay) {
	for _, i := range c.Images {
		r, err := i.Open()
		must(err)
		packs = append(packs, r.(pages))
		images = append(images, mutate.NewOverlay(r, i.Size))
	}
	return packs, images
}

// surveyed is a case that was scanned undamaged, and whose damage is planned by
// what that scan read and rests on.
type surveyed struct {
	fixtures.Case
	packs  []pages
	images []*mutate.Overlay // undamaged
	result *scanner.Result   // of the undamaged images
	truth  map[string]requirement.Status
	plan   *mutate.Plan
}

func survey(c fixtures.Case) *surveyed {
	s := &surveyed{Case: c, truth: map[string]requirement.Status{}}
	s.packs, s.images = undamaged(c)
	var err error
	s.result, err = scanner.Scan(context.Background(), input(c, s.images))
	must(err)
	subject := mutate.Subject{Name: c.Name, Targets: targets(s.result)}
	_, earlier := undamaged(findCase(before(c.Name)))
	for i, image := range s.images {
		m := mutate.Image{R: image, Size: image.Size()}
		if i < len(earlier) && earlier[i].Size() == m.Size {
			m.Earlier = earlier[i]
		}
		subject.Images = append(subject.Images, m)
	}
	for _, v := range s.result.Volumes {
		i := slices.Index(s.result.Images, v.Image)
		subject.Volumes = append(subject.Volumes,
			mutate.Volume{Image: i, Role: string(v.Role), Offset: v.Offset, Size: v.Size, Filesystem: v.Filesystem})
	}
	s.plan, err = mutate.Survey(subject)
	must(err)
	for _, f := range s.result.Findings {
		s.truth[f.ID] = f.Status
	}
	maps.Copy(s.truth, c.Expect)
	return s
}

// before is the case whose images are those of another at an earlier time.
func before(name string) string {
	if strings.HasPrefix(name, "linux-xfs") {
		return "linux-xfs"
	}
	for _, base := range []string{"linux-ubuntu", "linux-al2023", "linux"} {
		if strings.HasPrefix(name, base) {
			if base == "linux" {
				base = "linux-ready"
			}
			return base
		}
	}
	for _, base := range []string{"windows7", "windows10", "windows11"} {
		if strings.HasPrefix(name, base) {
			return base
		}
	}
	return "ready"
}

// targets are what the scan read, and more so what its failures rest on.
func targets(r *scanner.Result) []mutate.Target {
	weights := map[mutate.Target]int{}
	add := func(t mutate.Target, weight int) {
		if t.Role != "" && t.Path != "" {
			weights[t] = max(weights[t], weight)
		}
	}
	for _, f := range r.Findings {
		for _, e := range f.Evidence {
			weight := 2
			if f.Status == requirement.Failed {
				weight = 8
			}
			add(mutate.Target{Role: e.Source, Path: e.Path, Key: e.Key, Value: e.Value}, weight)
		}
	}
	for _, e := range r.Events {
		a := map[string]string{}
		for _, attr := range e.Attrs {
			a[attr.Key] = attr.Value
		}
		t := mutate.Target{Role: a["source"], Path: a["path"], Key: a["key"]}
		switch e.Name {
		case "key":
			add(t, 1)
		case "value":
			t.Value = a["name"]
			add(t, 1)
		case "hive":
			add(t, 2)
			for _, log := range []string{".LOG1", ".LOG2"} {
				add(mutate.Target{Role: t.Role, Path: t.Path + log}, 3)
			}
			if strings.HasSuffix(t.Path, "/SYSTEM") {
				t.Key = "Select"
				add(t, 3)
			}
		case "database":
			add(t, 4)
			add(mutate.Target{Role: t.Role, Path: t.Path + "-wal"}, 4)
		case "packages":
			add(t, 8)
			add(mutate.Target{Role: t.Role, Path: t.Path + "-wal"}, 4)
		case "open", "file", "list", "follow":
			add(t, 1)
		}
	}
	var list []mutate.Target
	for t, weight := range weights {
		t.Weight = weight
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b mutate.Target) int {
		return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Key, b.Key),
			cmp.Compare(a.Value, b.Value))
	})
	return list
}

// scan scans damaged images and says what moved. There is no result if the
// scan was refused.
func (s *surveyed) scan(d *mutate.Damaged) (report, *scanner.Result) {
	result, err := scanner.Scan(context.Background(), input(s.Case, d.Images))
	if err != nil {
		r := report{Error: err.Error()}
		if !errors.Is(err, scanner.ErrNoSystem) {
			r.Panics = []string{"an error that damage must not make: " + r.Error}
		}
		return r, nil
	}
	r := report{Moves: map[string]move{}}
	for _, f := range result.Findings {
		if was := s.truth[f.ID]; was != f.Status {
			r.Moves[f.ID] = move{was, f.Status}
		}
		if strings.Contains(f.Message, "defect in coldcheck") || strings.Contains(f.Message, "not decided: ") {
			r.Panics = append(r.Panics, f.ID+": "+f.Message)
		}
	}
	return r, result
}
