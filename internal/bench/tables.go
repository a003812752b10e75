//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// session is one run of the measurements.
type session struct {
	ctx     context.Context
	files   files
	program string // coldcheck
	rounds  int
}

// table is a comparison: the first row is ours, and the others are put in
// proportion to it.
type table struct {
	title string
	note  string
	cold  bool // the page cache is dropped before each run
	rows  []row
}

type row struct {
	name string
	tool string // that has to be there
	slow bool   // it takes long, and is run once
	run  func(context.Context) (usage, error)

	runs []usage
	why  string // there are none
}

// limit is how long one run may take. Some of those we compare with never end.
const limit = 90 * time.Second

// tables lists the measurements.
func (s *session) tables() []table {
	scans := s.files.scans()
	windows, aged, linux, xfs := scans["windows"], scans["aged"], scans["linux"], scans["xfs"]
	hive := s.files.path("hives/SOFTWARE")

	sha := func(what, file string) row {
		return row{name: "sha256sum over " + what, tool: "sha256sum",
			run: commands([]string{"sha256sum", s.files.path(file)})}
	}
	dd := func(file string) row {
		return row{name: "dd of the same bytes", tool: "dd",
			run: commands([]string{"dd", "if=" + s.files.path(file), "of=/dev/null", "bs=1M"})}
	}
	fls := func(images ...string) row {
		return row{name: "fls -r", tool: "fls", slow: true, run: func(ctx context.Context) (usage, error) {
			var list [][]string
			for _, image := range images {
				args, err := partitionArgs(image)
				if err != nil {
					return usage{}, err
				}
				list = append(list, append([]string{"fls", "-r"}, args...))
			}
			return commands(list...)(ctx)
		}}
	}
	du := func(images ...string) row {
		return row{name: "ntfs-3g, du -s", tool: "ntfs-3g", slow: true, run: mountAndDu(images...)}
	}
	whole := func(images []string) row { return row{name: "coldcheck scan", run: scan(s.program, images...)} }
	// sized reads all inodes and folders of a Linux volume.
	sized := func(name string, images []string) row {
		return row{name: name, run: scan(s.program, append([]string{"--sizes"}, images...)...)}
	}
	latencies := func(images []string) (rows []row) {
		for _, delay := range []string{"0s", "1ms", "20ms"} {
			for _, parallel := range []string{"8", "1", "32"} {
				rows = append(rows, row{
					name: fmt.Sprintf("%s a read, %s at a time", delay, parallel), slow: delay != "0s",
					run: s.child(append([]string{"latency", delay, parallel}, images...)...),
				})
			}
		}
		return rows
	}

	return append([]table{
		{title: "Windows pair, warm", rows: []row{
			whole(windows), sha("both $MFT", "windows.mft"), sha("the same bytes", "windows.bytes"), fls(windows...),
			du(windows...),
		}},
		{title: "Windows pair, cold", cold: true, rows: []row{whole(windows), dd("windows.bytes")}},
		{title: "Windows pair with an aged user volume, warm", rows: []row{
			whole(aged), sha("its $MFT", "aged.mft"), fls(aged...), du(aged[1]),
		}},
		{title: "Windows pair with an aged user volume, cold", cold: true, rows: []row{whole(aged), dd("aged.bytes")}},
		{title: "Linux root, warm", rows: []row{
			sized("coldcheck scan --sizes", linux), sha("the same bytes", "linux.bytes"), fls(linux[0]), whole(linux),
		}},
		{title: "Linux root, cold", cold: true, rows: []row{
			sized("coldcheck scan --sizes", linux), dd("linux.bytes"), whole(linux),
		}},
		{title: "Linux root on XFS, warm", rows: []row{
			sized("coldcheck scan --sizes", xfs), sized("the same on ext4", linux), sha("the same bytes", "xfs.bytes"),
			whole(xfs),
		}},
		{title: "Linux root on XFS, cold", cold: true, rows: []row{
			sized("coldcheck scan --sizes", xfs), sized("the same on ext4", linux), dd("xfs.bytes"), whole(xfs),
		}},
		{title: "NTFS reader, aged user volume, warm", rows: []row{
			{name: "ntfs: open, add up all files", run: s.child("ntfs", aged[1])},
			sha("its $MFT", "aged.mft"), fls(aged[1]), du(aged[1]),
			{name: "go-ntfs, once through $MFT", slow: true, run: s.child("go-ntfs", aged[1])},
		}},
		{title: "ext4 reader, Linux root, warm", rows: []row{
			{name: "ext4: open, add up all files", run: s.child("ext4", linux[0])},
			fls(linux[0]),
			{name: "go-diskfs, every directory", slow: true, run: s.child("go-diskfs", linux[0])},
		}},
		{title: "XFS reader, Linux root, warm", rows: []row{
			{name: "xfs: open, add up all files", run: s.child("xfs", xfs[0])},
			{name: "ext4: the same files", run: s.child("ext4", linux[0])},
		}},
		{title: "One value of SOFTWARE, warm",
			note: "Only coldcheck reads the dirty hive with its log. The others read the recovered hive.", rows: []row{
				{name: "registry: open, recover, look up", run: s.child("registry", hive, hive+".LOG1", hive+".LOG2")},
				sha("the hive", "hives/SOFTWARE"),
				{name: "hivexget", tool: "hivexget", run: commands([]string{"hivexget", hive + ".clean", hiveKey, hiveValue})},
				{name: "reglookup -p", tool: "reglookup",
					run: commands([]string{"reglookup", "-p", "/" + strings.ReplaceAll(hiveKey, `\`, "/") + "/" + hiveValue,
						hive + ".clean"})},
				{name: "regparser", run: s.child("regparser", hive+".clean")},
			}},
		{title: "Windows pair, each read delayed", rows: latencies(windows)},
		{title: "Linux root, each read delayed", rows: latencies(linux)},
	}, s.containerTables()...)
}

// child is a row of this program itself.
func (s *session) child(args ...string) func(context.Context) (usage, error) {
	return commands(append([]string{"/proc/self/exe"}, args...))
}

// measure runs the rows of a table in turn.
func (s *session) measure(t *table) error {
	for i := range t.rows {
		if r := &t.rows[i]; r.tool != "" {
			if _, err := exec.LookPath(r.tool); err != nil {
				r.why = "not installed"
			}
		}
	}
	if !t.cold { // into the cache, and not counted
		if _, err := s.once(&t.rows[0]); err != nil {
			return fmt.Errorf("%s: %w", t.title, err)
		}
	}
	for round := range s.rounds {
		for i := range t.rows {
			r := &t.rows[i]
			if r.why != "" || r.slow && round > 0 {
				continue
			}
			fmt.Fprintf(os.Stderr, "%s, round %d: %s\n", t.title, round+1, r.name)
			if t.cold {
				if err := dropCaches(); err != nil {
					return err
				}
			}
			u, err := s.once(r)
			switch {
			case s.ctx.Err() != nil:
				return context.Cause(s.ctx)
			case err != nil && i == 0:
				return fmt.Errorf("%s: %w", t.title, err)
			case err != nil:
				r.why = err.Error()
			default:
				r.runs = append(r.runs, u)
			}
		}
	}
	return nil
}

func (s *session) once(r *row) (usage, error) {
	ctx, cancel := context.WithTimeoutCause(s.ctx, limit, fmt.Errorf("stopped after %s", limit))
	defer cancel()
	u, err := r.run(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return u, err
}

// markdown shows the table, with how much longer each program takes than that
// of the first row.
func (t *table) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", t.title)
	if t.note != "" {
		fmt.Fprintf(&b, "%s\n\n", t.note)
	}
	b.WriteString("| | wall | CPU | peak memory | read | reads | × wall of the first |\n" +
		"| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	first := t.rows[0].typical()
	for _, r := range t.rows {
		if len(r.runs) == 0 {
			fmt.Fprintf(&b, "| %s | %s | | | | | |\n", r.name, strings.ReplaceAll(r.why, "|", "/"))
			continue
		}
		u := r.typical()
		fmt.Fprintf(&b, "| %s | %s | %s | %.0f MiB | %.1f MB | %d | %.2f |\n", r.name, seconds(u.wall), seconds(u.cpu),
			float64(u.peak)/(1<<20), float64(u.read)/1e6, u.reads, float64(u.wall)/float64(first.wall))
	}
	return b.String()
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f s", d.Seconds()) }

// typical is the median of the times, and the largest of the rest.
func (r *row) typical() usage {
	var u usage
	for _, run := range r.runs {
		u = u.add(run)
	}
	u.read, u.reads = 0, 0
	var wall, cpu []time.Duration
	for _, run := range r.runs {
		u.read, u.reads = max(u.read, run.read), max(u.reads, run.reads)
		wall, cpu = append(wall, run.wall), append(cpu, run.cpu)
	}
	u.wall, u.cpu = median(wall), median(cpu)
	return u
}

func median(list []time.Duration) time.Duration {
	if len(list) == 0 {
		return 0
	}
	slices.SortFunc(list, cmp.Compare[time.Duration])
	return list[len(list)/2]
}

// machine says when and where this was measured.
func (s *session) machine() string {
	model := "an unknown processor"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
			}
		}
	}
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("Measured on %s: %d × %s, Linux %s, %s.", time.Now().UTC().Format(time.DateOnly),
		runtime.NumCPU(), model, strings.TrimSpace(string(release)), runtime.Version())
}
