package report

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/source"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

var update = flag.Bool("update", false, "write the golden files again")

// exitCode is that of a program whose reports are compared.
func exitCode(v scanner.Verdict) int {
	return map[scanner.Verdict]int{scanner.Ready: 0, scanner.NotReady: 1, scanner.Inconclusive: 3}[v]
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s differs (-want +got; -update writes it again):\n%s", file, d)
	}
}

// Every sample in every format, as it is.
func TestGolden(t *testing.T) {
	for name, r := range withRuleBooks() {
		for _, f := range unsigned() {
			t.Run(name+"/"+f.Name, func(t *testing.T) {
				var b bytes.Buffer
				if err := f.Write(&b, r, options(name)); err != nil {
					t.Fatal(err)
				}
				golden(t, name+"."+f.Name, b.Bytes())
			})
		}
	}
}

// Nothing of an image reaches a terminal as a control sequence or turns the
// direction of the text, in no format that a person looks at.
func TestNoControlCharacters(t *testing.T) {
	for _, f := range unsigned() {
		var b bytes.Buffer
		if err := f.Write(&b, samples()["hostile"], options("hostile")); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			line = strings.TrimSuffix(line, "\n")
			if !utf8.ValidString(line) {
				t.Errorf("%s: not UTF-8: %q", f.Name, line)
			}
			for _, r := range line {
				// JSON escapes control characters only: its readers are programs.
				if unicode.IsControl(r) || !slices.Contains([]string{"json", "jsonl"}, f.Name) &&
					unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
					t.Errorf("%s: %U in %q", f.Name, r, line)
				}
			}
		}
	}
}

// A writer that fails makes every format fail with its error, whenever it
// fails.
func TestWriteErrors(t *testing.T) {
	full := errors.New("no space left")
	for _, f := range unsigned() {
		var whole bytes.Buffer
		if err := f.Write(&whole, samples()["failing"], options("failing")); err != nil {
			t.Fatal(err)
		}
		for _, room := range []int{0, 1, whole.Len() / 2, whole.Len() - 1} {
			err := f.Write(&limited{room: room, err: full}, samples()["failing"], options("failing"))
			if !errors.Is(err, full) {
				t.Errorf("%s into %d of %d bytes: %v", f.Name, room, whole.Len(), err)
			}
		}
	}
}

type limited struct {
	room int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.room {
		n := l.room
		l.room = 0
		return n, l.err
	}
	l.room -= len(p)
	return len(p), nil
}

// The name of the log is the time of the scan in UTC, wherever it ran.
func TestLogFile(t *testing.T) {
	f, ok := FormatNamed("log")
	if !ok {
		t.Fatal("no log")
	}
	started := time.Date(2026, 3, 1, 23, 59, 58, 0, time.FixedZone("", -3600))
	if got, want := f.DefaultFile(started), "coldcheck_20260302005958.log"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if _, ok := FormatNamed("Table"); ok {
		t.Error("names of formats are matched as they are written")
	}
}

// samples are results of scans that never were.
func samples() map[string]*scanner.Result {
	all := map[string]*scanner.Result{"failing": failing(), "ready": ready(), "inconclusive": inconclusive(),
		"hostile": hostile(), "cross-checked": crossChecked(), "waived": waived(), "linux-failing": linuxFailing(),
		"partial": partial(), "containers": inContainers(), "remote": remote()}
	for _, r := range all {
		because(r)
	}
	return all
}

// withRuleBooks are the samples, and one of a scan by several rule books.
func withRuleBooks() map[string]*scanner.Result {
	all := samples()
	all["rulebooks"] = ruleBooks()
	because(all["rulebooks"])
	return all
}

// ruleBooks is a scan by two rule books, of which the second has more to say.
func ruleBooks() *scanner.Result {
	place := requirement.Evidence{Kind: requirement.KindValue, Source: "root", Path: "Windows/System32/config/SYSTEM",
		Key: `ControlSet001\Services\LanmanWorkstation`, Value: "Start", Type: "REG_DWORD", Data: "4", Found: true}
	work := row("pools.workstation-service", requirement.Required)
	second := result(
		requirement.Find(row("win.disk.c-free", requirement.Required), requirement.Pass("61.2 GiB free")),
		requirement.Find(work, requirement.Fail("the Workstation service is disabled", place)),
	)
	second.Verdict, second.PolicyVerdict = scanner.NotReady, scanner.NotReady
	because(second)
	r := result(requirement.Find(row("win.disk.c-free", requirement.Required), requirement.Pass("61.2 GiB free")))
	r.RuleBook = scanner.RuleBook{Name: "current", Title: "Create a custom image today", Source: "the guide",
		AsOf: "2026-08"}
	r.Verdict, r.PolicyVerdict = scanner.Ready, scanner.Ready
	r.Others = []scanner.Judgement{{
		RuleBook: scanner.RuleBook{Name: "pools", Title: "Create an image for a pool", Source: "the guide", AsOf: "2026-07"},
		Findings: second.Findings, Verdict: second.Verdict, PolicyVerdict: second.PolicyVerdict, Reasons: second.Reasons,
		NotChecked: []scanner.NotChecked{
			{Requirement: row("win.bp.mail", requirement.Recommended), Reason: "Named by --skip."},
		},
	}}
	return r
}

// because sets the reasons for the verdict of a result.
func because(r *scanner.Result) {
	ids := map[requirement.Status][]string{}
	for _, f := range r.Findings {
		if f.Counts {
			ids[f.Status] = append(ids[f.Status], f.ID)
		}
	}
	var left []string
	for _, n := range r.NotChecked {
		if n.Counts {
			left = append(left, n.ID)
		}
	}
	reasons := []scanner.VerdictReason{
		{Kind: scanner.ReasonFailed, IDs: ids[requirement.Failed]},
		{Kind: scanner.ReasonWarning, IDs: ids[requirement.Warning]},
	}
	if r.Verdict == scanner.Inconclusive {
		reasons = []scanner.VerdictReason{
			{Kind: scanner.ReasonUndetermined, IDs: ids[requirement.Undetermined]},
			{Kind: scanner.ReasonNotChecked, IDs: left},
		}
	}
	r.Reasons = slices.DeleteFunc(reasons, func(v scanner.VerdictReason) bool { return len(v.IDs) == 0 })
	for _, doubt := range []scanner.VerdictReason{
		{Kind: scanner.ReasonImageChanged, Messages: r.Changed}, {Kind: scanner.ReasonStaleBase, Messages: r.StaleBases},
		{Kind: scanner.ReasonImageHash, Messages: r.Unverified}, {Kind: scanner.ReasonDiskUnread, Messages: r.UnreadDisks},
	} {
		if len(doubt.Messages) > 0 {
			r.Reasons = append(r.Reasons, doubt)
		}
	}
}

// options are those with which the sample of that name is written.
func options(name string) Options {
	o := Options{Version: "v1.2.3", Commit: "0123abc", ExitCode: exitCode, Template: sampleTemplate()}
	switch name {
	case "partial":
		o.Arguments = []string{"scan", "win-root.img", "win-user.img", "--only", "win.disk.*"}
		o.Examination = Examination{CaseID: "2026-17", Examiner: "J. Doe", Note: "Copy of 1 March.", Host: "lab-3",
			User: "jdoe", Clock: start.In(time.FixedZone("CET", 3600))}
		o.Settings = []Setting{
			{Name: "fail-on", Value: "warning", Source: "default"},
			{Name: "hash", Value: true, Source: "variable"},
			{Name: "only", Value: []string{"win.disk.*"}, Source: "flag"},
			{Name: "strict", Value: false, Source: "file"},
		}
	case "hostile":
		const evil = "\x1b[2J\u202e<b>@all\n]]>\xff"
		o.Arguments = []string{evil}
		o.Examination = Examination{CaseID: evil, Examiner: evil, Note: evil, Host: evil, User: evil, Clock: start}
		o.Settings = []Setting{{Name: evil, Value: []string{evil, evil}, Source: evil}}
	}
	return o
}

// partial is a scan that leaves requirements out, of an image that changed.
func partial() *scanner.Result {
	r := result(requirement.Find(row("win.disk.c-free", requirement.Required),
		requirement.Pass("C: has 61.2 GiB free.", requirement.Evidence{Source: "root", Path: "$Bitmap"})))
	for _, id := range []string{"win.tls.tls12", "win.bp.updates"} {
		n := scanner.NotChecked{Requirement: row(id, requirement.Required), Reason: "Not named by --only.", Counts: true}
		if id == "win.bp.updates" {
			n.Severity, n.Counts = requirement.Recommended, false
		}
		r.NotChecked = append(r.NotChecked, n)
	}
	r.Changed = []string{"win-root.img has changed while it was read"}
	r.Files = []scanner.ImageFile{
		{Name: "win-root.img", Size: 85899345920, Modified: start,
			Sums: scanner.Sums{SHA1: strings.Repeat("01", 20), MD5: strings.Repeat("0a", 16)}},
		{Name: "win-user.img", Size: 21474836480, Sums: scanner.Sums{SHA256: strings.Repeat("0f", 32)}},
	}
	r.Verdict, r.PolicyVerdict = scanner.Inconclusive, scanner.Inconclusive
	return r
}

// remote is a scan of a snapshot and of an object, one of which was read with throttled
// requests.
func remote() *scanner.Result {
	r := result(requirement.Find(row("win.disk.c-free", requirement.Required),
		requirement.Pass("C: has 61.2 GiB free.", requirement.Evidence{Source: "root", Path: "$Bitmap"})))
	encrypted := true
	r.Images = []string{"ebs:snap-0123456789abcdef0", "s3://images/user.img"}
	r.Files = []scanner.ImageFile{
		{
			Name: r.Images[0], Size: 85899345920,
			Remote: &scanner.RemoteFile{
				Identity: source.Identity{Snapshot: "snap-0123456789abcdef0", VolumeSize: 85899345920},
				ReadSet:  &scanner.ReadSet{SHA256: strings.Repeat("0c", 32), Blocks: 1301, BlockSize: 524288},
				Described: &scanner.SnapshotDescription{Document: "snapshots.json", Snapshot: statement.Snapshot{
					SnapshotID: "snap-0123456789abcdef0", VolumeID: "vol-0123456789abcdef0", State: "completed",
					StartTime: "2026-03-01T06:00:00.000000+00:00", CompletionTime: "2026-03-01T06:12:00.000000+00:00",
					Encrypted: &encrypted, KMSKeyID: "arn:aws:kms:eu-west-1:012345678901:key/1", OwnerID: "012345678901",
				}},
			},
			Reading: &scanner.Reading{Bytes: 123000, Reads: 70, Remote: &source.Traffic{
				Requests: 1375, Lists: 2, Gets: 1373, Retries: 13, Throttled: 12, Bytes: 713031680, Blocks: 163840,
				Written: 81234, BlockSize: 524288, Fetched: 1360, Ahead: 520, Hits: 4321, Price: 4120200,
			}},
		},
		{
			Name: r.Images[1], Size: 21474836480, Modified: start,
			Remote: &scanner.RemoteFile{
				Identity: source.Identity{Version: "3HL4kqtJvjVBH40Nrjfkd", ETag: `"0123-5"`, Modified: start,
					RequesterPays: true},
				Unencrypted: true, ReadSet: &scanner.ReadSet{Blocks: 262144, BlockSize: 262144},
			},
			Reading: &scanner.Reading{Bytes: 456, Reads: 8, Remote: &source.Traffic{
				Requests: 12, Gets: 12, Bytes: 3145728, Blocks: 81920, Written: 81920, BlockSize: 262144, Fetched: 12,
				Hits: 3, Price: 4800,
			}},
		},
	}
	for n := range r.Volumes {
		r.Volumes[n].Image = r.Images[n]
	}
	r.Verdict, r.PolicyVerdict = scanner.Ready, scanner.Ready
	return r
}

// inContainers is a scan of images in containers: an overlay of two parents that is
// itself the base disk of another, a segmented image whose hash differs, and a disk of an
// archive.
func inContainers() *scanner.Result {
	offset, image, at, record, inFile := int64(4132), int64(1229604), int64(65536), int64(1230848), int64(77824)
	r := result(requirement.Find(row("win.disk.c-free", requirement.Required),
		requirement.Pass("C: has 61.2 GiB free.", requirement.Evidence{Source: "root", Path: "$Bitmap", Offset: &offset,
			ImageOffset: &image, File: "images/base%d.qcow2", FileOffset: &at,
			RecordOffset: &record, RecordFile: "images/middle-s001.vmdk", RecordFileOffset: &inFile})))
	sum := func(digits string) scanner.Sums { return scanner.Sums{SHA256: strings.Repeat(digits, 32)} }
	part := func(name string, size int64, digits string) scanner.Part {
		return scanner.Part{Name: name, Size: size, Modified: start, Sums: sum(digits)}
	}
	r.Files = []scanner.ImageFile{
		{
			Name: "images/root.qcow2", Size: 1 << 30, Modified: start, Sums: sum("01"), Container: "qcow2",
			Detail: "version 3, zstd", DiskSize: 85899345920, DiskSums: sum("02"),
			Parents: []scanner.ParentFile{
				{Part: part("images/middle.vmdk", 4096, "03"), Container: "vmdk", Detail: "twoGbMaxExtentSparse",
					DiskSize: 85899345920, Parts: []scanner.Part{part("images/middle-s001.vmdk", 2<<30, "04")}},
				{Part: part("images/base%d.qcow2", 8<<30, "05"), Container: "qcow2", Detail: "version 2", DiskSize: 85899345920},
			},
			Notes: []string{"its list of internal snapshots is ignored"},
		},
		{
			Name: "user.E01", Size: 1 << 30, Modified: start, Sums: sum("06"), Container: "ewf", Detail: "EnCase 6",
			DiskSize: 21474836480,
			DiskSums: scanner.Sums{SHA256: strings.Repeat("07", 32), SHA1: strings.Repeat("08", 20),
				MD5: strings.Repeat("09", 16)},
			Stated: []scanner.StatedSum{{Algorithm: scanner.MD5, Sum: strings.Repeat("0a", 16), Compared: true},
				{Algorithm: scanner.SHA1, Sum: strings.Repeat("08", 20), Compared: true, Matches: true}},
		},
		{
			Name: "machine.ova: disk3.vmdk", Member: "disk3.vmdk", Size: 3 << 30, Container: "vmdk", Detail: "streamOptimized",
			DiskSize: 1 << 30, Stated: []scanner.StatedSum{{Algorithm: scanner.SHA1, Sum: strings.Repeat("0b", 20)}},
		},
	}
	for n := range 25 {
		name := fmt.Sprintf("user.E%02d", n+2)
		r.Files[1].Parts = append(r.Files[1].Parts, part(name, 1<<30, fmt.Sprintf("%02d", n+10)))
	}
	r.Images = nil
	for _, f := range r.Files {
		r.Images = append(r.Images, f.Name)
	}
	for n := range r.Volumes {
		r.Volumes[n].Image, r.Volumes[n].Format = r.Files[n].Name, r.Files[n].Container
	}
	r.StaleBases = []string{"images/root.qcow2 is a base disk: newest.qcow2 has later changes to it"}
	r.Unverified = []string{"user.E01: the MD5 of the disk is " + strings.Repeat("09", 16) + ", and the image states " +
		strings.Repeat("0a", 16)}
	r.UnreadDisks = []string{"a disk in machine.ova cannot be read: machine.ova/b%d.qed: not a supported disk image: " +
		"a QED image"}
	r.Notices = []requirement.Notice{
		{Level: requirement.LevelWarning, Message: r.StaleBases[0] + "."},
		{Level: requirement.LevelError, Message: r.Unverified[0] + "."},
	}
	r.Verdict, r.PolicyVerdict = scanner.Inconclusive, scanner.Inconclusive
	return r
}

var start = time.Date(2026, 3, 2, 8, 0, 0, 123456789, time.UTC)

func row(id string, s requirement.Severity) requirement.Requirement {
	return requirement.Requirement{
		ID: id, Platform: requirement.Windows, Scope: requirement.Disk, Severity: s,
		Demand: "the demand of " + id, Live: "Get-It -Now", Remediation: "do what the demand says",
		Reference: "Requirements to Create Windows Custom Images",
	}
}

// count marks the findings that the verdict depends on, and those of them that
// are not met when no flag changes that. service are ids of findings that a
// document decided.
func count(findings []requirement.Finding, service ...string) {
	for i := range findings {
		f := &findings[i]
		f.Counts = f.Severity == requirement.Required && f.Scope == requirement.Disk || slices.Contains(service, f.ID)
		f.Unmet = f.Counts && f.Waiver == nil && (f.Status == requirement.Failed || f.Status == requirement.Warning)
		f.Open = f.Counts && f.Waiver == nil && f.Status == requirement.Undetermined && !f.Accepted
	}
}

func result(findings ...requirement.Finding) *scanner.Result {
	count(findings)
	return &scanner.Result{
		Started: start, Finished: start.Add(1500 * time.Millisecond),
		Images: []string{"win-root.img", "win-user.img"}, BytesRead: 123456, Reads: 78,
		Platform: scanner.Platform{
			Family: "windows", Name: "Windows Server 2019 Datacenter", Version: "10.0.17763.4737",
			Architecture: "amd64", ComputerName: "WSAMZN-7F3K2Q1P", UserName: `CORP\jdoe`,
		},
		Volumes: []scanner.Volume{
			{Role: scanner.Root, Image: "win-root.img", Format: "raw", Partition: 2, Offset: 368050176, Size: 85531292672,
				Free: 65712226304, Filesystem: "ntfs", Label: "Windows", Serial: "4A21-0C55", State: "clean"},
			{Role: scanner.User, Image: "win-user.img", Format: "raw", Size: 21474836480, Free: -1, Filesystem: "ntfs",
				State: "dirty"},
		},
		Findings: findings,
	}
}

func failing() *scanner.Result {
	service := row("win.services.domain-account", requirement.Required)
	service.AWSErrorCode = "DomainAccountServicesFound"
	ssl := row("win.tls.ssl3", requirement.Required)
	state := row("ws.state.available", requirement.Required)
	state.Platform, state.Scope = requirement.Any, requirement.Service
	offset := int64(1229604)
	var many []requirement.Evidence
	for i := range 8 {
		many = append(many, requirement.Evidence{Source: "user",
			Path: fmt.Sprintf("Users/jdoe/AppData/Local/Cache/f_%06d", i), Data: "4.0 MiB"})
	}
	fail := requirement.Fail(`1 service runs under a domain account: Backup (automatic) as CORP\svc-backup`,
		requirement.Evidence{
			Source: "root", Path: "Windows/System32/config/SYSTEM", Key: `ControlSet001\Services\Backup`, Value: "ObjectName",
			Type: "REG_SZ",
			Data: `CORP\svc-backup`, Offset: &offset, Time: start.Add(-20 * time.Hour), Note: "from the transaction log",
		})
	fail.Details = map[string]any{
		"services": []map[string]any{
			{"name": "Backup", "account": `CORP\svc-backup`, "start": 2, "dependencies": []string{"RpcSs", "Tcpip"}},
			{"name": "Old Agent", "account": `CORP\svc agent`, "start": 4, "dependencies": []string{}},
		},
		"checked": 214, "complete": true, "owner": nil,
	}
	missing := requirement.Fail("the answer file is not there",
		requirement.Evidence{Source: "root", Path: "ProgramData/Amazon/EC2-Windows/Launch/Sysprep/Unattend.xml",
			Note: "not found"})
	missing.Remediation = "reinstall EC2Launch, or let AWS Support repair it; then run the scan again on new snapshots " +
		"of both volumes."
	findings := []requirement.Finding{
		requirement.Find(state, requirement.Unknown("only the service knows: give --with the output of describe-workspaces")),
		requirement.Find(row("win.disk.c-free", requirement.Required),
			requirement.Pass("61.2 GiB free, more than 12 are needed",
				requirement.Evidence{Source: "root", Path: "$Bitmap", Time: start})),
		requirement.Find(service, fail),
		requirement.Find(row("win.sysprep.file", requirement.Required), missing),
		requirement.Find(row("win.rearm.nonzero", requirement.Required),
			requirement.Unknown("the rearm count is not on the disk: give --with the output of slmgr /dlv")),
		requirement.Find(ssl, requirement.Infer("nothing is written: SSL 3.0 has its default, off since Windows 10 1607",
			requirement.Evidence{
				Source: "root", Path: "Windows/System32/config/SYSTEM",
				Key: `ControlSet001\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0`, Note: "not found",
			})),
		requirement.Find(row("win.winrm.auto", requirement.Required),
			requirement.Warn("it starts by hand", requirement.Evidence{
				Source: "user", Path: "Users/jdoe/NTUSER.DAT", Key: `Software\Example`, Type: "REG_DWORD", Data: "3",
			})),
		requirement.Find(row("win.wam.installed", requirement.Required),
			requirement.Skip("nothing of Amazon WAM is on the disk")),
		requirement.Find(row("win.bp.cache", requirement.Recommended), requirement.Warn("8 caches hold 32 MiB", many...)),
	}
	r := result(findings...)
	r.With = []string{"slm gr.txt"}
	r.Notices = []requirement.Notice{
		{Level: requirement.LevelInfo, Message: "SYSTEM was dirty: 2 log entries applied", Source: "root",
			Path: "Windows/System32/config/SYSTEM"},
		{Level: requirement.LevelWarning, Message: "the volume is marked dirty", Source: "user"},
		{Level: requirement.LevelError, Message: "3 records could not be read"},
	}
	r.Events = []requirement.Event{
		{Time: start.Add(time.Millisecond), Name: "open",
			Attrs: []requirement.Attr{{Key: "image", Value: "win-root.img"}, {Key: "size", Value: "85899345920"}}},
		{Time: start.Add(2 * time.Millisecond), Name: "value", Attrs: []requirement.Attr{
			{Key: "key", Value: `ControlSet001\Services\Old Agent`}, {Key: "value", Value: ""},
			{Key: "data", Value: `say "yes"`}, {Key: "un usual", Value: "a=b"},
		}},
	}
	r.Dropped = 12
	image, record := int64(1229604+368050176), int64(368050176+4096)
	findings[2].Evidence[0].RecordOffset = &record
	findings[6].Evidence[0].Offset, findings[6].Evidence[0].ImageOffset = &offset, &image
	r.Files = []scanner.ImageFile{
		{Name: "win-root.img", Size: 85899345920, Modified: start.Add(-time.Hour),
			Sums: scanner.Sums{SHA256: strings.Repeat("0123456789abcdef", 4)}},
		{Name: "win-user.img", Size: 21474836480, Modified: start.Add(-time.Hour)},
	}
	r.Hives = []scanner.Hive{
		{Source: "root", Path: "Windows/System32/config/SOFTWARE", State: "clean", Primary: 7, Secondary: 7},
		{Source: "root", Path: "Windows/System32/config/SYSTEM", State: "recovered", Primary: 13, Secondary: 12,
			Format: "new", Pages: 3,
			Applied: []scanner.HiveLog{{Name: "SYSTEM.LOG1", Entries: 2, First: 12, Last: 13}}},
	}
	r.Volumes[0].Journal = scanner.Journal{State: "not clean"}
	r.Volumes[0].Damaged, r.Volumes[0].Torn = 3, 2
	r.Verdict, r.PolicyVerdict = scanner.NotReady, scanner.NotReady
	return r
}

func ready() *scanner.Result {
	state := row("ws.state.available", requirement.Required)
	state.Scope = requirement.Service
	r := result(
		requirement.Find(state, requirement.Outcome{Status: requirement.Passed, Basis: requirement.Stated,
			Message: "AVAILABLE", Evidence: []requirement.Evidence{{Source: "ws.json", Value: "State", Data: "AVAILABLE"}}}),
		requirement.Find(row("win.disk.c-free", requirement.Required),
			requirement.Pass("61.2 GiB free, more than 12 are needed")),
	)
	count(r.Findings, "ws.state.available")
	r.Platform = scanner.Platform{Family: "linux", Name: "Amazon Linux 2", Version: "2"}
	r.Verdict, r.PolicyVerdict = scanner.Ready, scanner.Ready
	return r
}

// linuxFailing is a scan of a Linux system, whose findings show what the image
// will not hold.
func linuxFailing() *scanner.Result {
	linux := func(id string, s requirement.Severity) requirement.Requirement {
		r := row(id, s)
		r.Platform = requirement.Linux
		return r
	}
	full := requirement.Find(linux("linux.disk.root-usage", requirement.Required),
		requirement.Fail("92 percent of the root volume are in use, less than 80 are asked for",
			requirement.Evidence{Source: "root", Data: "79672799232 of 85896200192 bytes"}))
	removed := requirement.Pass("1 of 2 paths exists and will be removed: 3 files, 224 bytes",
		requirement.Evidence{Source: "root", Path: "etc/sudoers.d", Data: "folder", Time: start})
	removed.Details = []map[string]any{
		{"path": "/etc/sudoers.d", "state": "present", "files": 3, "bytes": 224,
			"customer": []string{"/etc/sudoers.d/01-ws-admins", "/etc/sudoers.d/acme-engineers"}},
		{"path": "/var/backups", "state": "absent"},
	}
	shredded := requirement.Pass("1 key exists and will be shredded")
	shredded.Details = []map[string]any{{"pattern": "/etc/ssh/ssh_host_*_key",
		"files": []string{"/etc/ssh/ssh_host_rsa_key"}}}
	r := result(full,
		requirement.Find(linux("linux.contents.removed", requirement.Info), removed),
		requirement.Find(linux("linux.contents.shredded", requirement.Info), shredded))
	r.Platform = scanner.Platform{Family: "linux", Name: "Amazon Linux 2", Version: "2", Architecture: "amd64",
		ComputerName: "a-1k2m3n4p5q6r7"}
	r.Images = []string{"linux-root.img", "linux-user.img"}
	r.Volumes = []scanner.Volume{
		{Role: scanner.Root, Image: "linux-root.img", Format: "raw", Partition: 1, Offset: 2097152, Size: 85896200192,
			Free: 6223400960, Filesystem: "ext4", Label: "/", State: "journal replayed",
			Journal: scanner.Journal{State: "replayed", Transactions: 3, First: 7, Last: 9, Blocks: 12}},
		{Role: scanner.User, Image: "linux-user.img", Format: "raw", Partition: 1, Offset: 1048576, Size: 10734272512,
			Free: 10525261824, Filesystem: "ext4", Label: "home", State: "clean"},
	}
	r.Notices = []requirement.Notice{{Level: requirement.LevelInfo, Source: "root",
		Message: "the journal was replayed: 3 transactions (7 to 9), 12 blocks"}}
	r.Verdict, r.PolicyVerdict = scanner.NotReady, scanner.NotReady
	return r
}

func inconclusive() *scanner.Result {
	unknown := requirement.Find(row("win.rearm.nonzero", requirement.Required),
		requirement.Unknown("the rearm count is not on the disk: give --with the output of slmgr /dlv",
			requirement.Evidence{Source: "root", Path: "Windows/Panther/setupact.log", Note: "cannot be read"}))
	accepted := requirement.Find(row("win.sysprep.compatible", requirement.Required),
		requirement.Unknown("setuperr.log is damaged"))
	accepted.Accepted = true
	// Two that are unknown for the same reason share one paragraph.
	first := requirement.Find(row("win.tls.tls12", requirement.Required),
		requirement.Unknown("hive SYSTEM is not there",
			requirement.Evidence{Source: "root", Path: "Windows/System32/config"}))
	second := requirement.Find(row("win.rds.enabled", requirement.Required),
		requirement.Unknown("hive SYSTEM is not there"))
	second.AWSErrorCode = "RemoteDesktopServicesDisabled"
	r := result(first, unknown, accepted, second)
	for i := range 11 {
		r.Notices = append(r.Notices, requirement.Notice{Level: requirement.LevelWarning,
			Message: fmt.Sprintf("record %d is torn", i), Source: "root"})
	}
	second.Status = requirement.Failed
	r.ImageErrors = []scanner.ImageError{
		{Document: "images.json", ImageID: "wsi-8zrgkv1c2", ImageName: "Design", Code: "RemoteDesktopServicesDisabled",
			Message: "Enable Remote Desktop Services.", Explained: true, Findings: []requirement.Finding{second}},
		{Document: "images.json", ImageID: "wsi-8zrgkv1c2", Code: "ReservedStorageInUse"},
	}
	r.Verdict, r.PolicyVerdict = scanner.Inconclusive, scanner.Ready
	return r
}

// waived is a scan whose findings that are not met have waivers, but for one.
func waived() *scanner.Result {
	r := failing()
	r.Findings[2].Waiver = &requirement.Waiver{ID: r.Findings[2].ID, Reason: "the backup is moved to the new agent in May",
		Owner: "backup team <backup@example.com>", Expiry: start.AddDate(0, 2, 0).Truncate(24 * time.Hour),
		Source: "waivers.yaml:2"}
	r.Findings[4].Waiver = &requirement.Waiver{ID: r.Findings[4].ID, Target: "WSAMZN-7F3K2Q1P", Reason: "counted by hand",
		Owner: "jdoe", Expiry: start.Truncate(24 * time.Hour), Undetermined: true, Source: "waivers.yaml:9"}
	r.Findings[8].Waiver = &requirement.Waiver{ID: r.Findings[8].ID, Reason: "caches\x1b[2J stay", Owner: "jdoe",
		Expiry: start.Truncate(24 * time.Hour)}
	count(r.Findings)
	return r
}

// crossChecked is a scan whose evidence was read again.
func crossChecked() *scanner.Result {
	pass := requirement.Find(row("win.rds.enabled", requirement.Required), requirement.Pass("it starts by hand",
		requirement.Evidence{
			Source: "root", Path: "Windows/System32/config/SYSTEM", Key: `ControlSet001\Services\TermService`, Value: "Start",
			Type: "REG_DWORD", Data: "3",
			CrossCheck: requirement.CrossCheck{State: requirement.CrossConfirmed,
				Readers: "go-ntfs v0.2.1, regparser v0.0.0-20250203141505-31e704a67ef7"},
		},
		requirement.Evidence{
			Source: "root", Path: "Windows/System32/config/SYSTEM", Key: `ControlSet001\Services\Backup`, Value: "ObjectName",
			Note: "from the transaction log",
			CrossCheck: requirement.CrossCheck{State: requirement.CrossNotAsked,
				Reason: "it is from the transaction log, which regparser does not apply"},
		}))
	fail := requirement.Find(row("win.reboot.pending", requirement.Required), requirement.Fail("pending.xml is there",
		requirement.Evidence{Source: "root", Path: "Windows/WinSxS/pending.xml", Data: "383 bytes",
			CrossCheck: requirement.CrossCheck{State: requirement.CrossDiffers, Reason: "its size is 383, and 0 to go-ntfs"}},
		requirement.Evidence{Source: "root", Path: "Windows/WinSxS", Data: "folder",
			CrossCheck: requirement.CrossCheck{State: requirement.CrossFailed,
				Reason: "the second reader ended: no answer in time"}}))
	r := result(pass, fail)
	r.Notices = []requirement.Notice{{
		Level: requirement.LevelWarning, Source: "root", Path: "Windows/WinSxS/pending.xml",
		Message: "cross-check: Windows/WinSxS/pending.xml: its size is 383, and 0 to go-ntfs",
	}}
	r.CrossCheck = &scanner.CrossCheck{Pieces: 4, Confirmed: 1, Differ: 1, Failed: 1, NotAsked: 1}
	r.Verdict, r.PolicyVerdict = scanner.NotReady, scanner.NotReady
	return r
}

// hostile is a scan of an image whose every name is an attack or is awkward.
func hostile() *scanner.Result {
	esc := "\x1b]0;owned\x07\x1b[2J"
	bidi := "exe.\u202etxt\u2066"
	long := strings.Repeat("x", 300) + `\` + strings.Repeat("業務アプリ", 60)
	f := requirement.Fail("service "+esc+" runs as "+bidi+"\r\nverdict: READY", requirement.Evidence{
		Source: "root", Path: "Users/\xff\xfe/\u200bname\u3164", Key: long, Value: "a\nb\u2028c\x9bd", Type: "REG_SZ",
		Data: "日本語のサービス名 " + long + " <U+001B> <b>\ue000", Note: "\ttab",
		Time: time.Date(30828, 9, 14, 2, 48, 5, 0, time.UTC),
	})
	f.Details = map[string]any{"ke\ny": "\x1b[31m", "list": []any{"\u202e", map[string]string{"a b": "\x00"}, []string{}}}
	r := result(
		requirement.Find(row("win.services.domain-account", requirement.Required), f),
		requirement.Find(row("win.apps.on-c", requirement.Required), requirement.Unknown(strings.Repeat("あ", 3000)+esc)),
	)
	r.Images = []string{"a\x1bb.img", strings.Repeat("dir/", 60) + "x.img"}
	r.Volumes[1].Image = r.Images[1]
	r.Platform.ComputerName = "PC" + esc
	r.Platform.UserName = bidi
	r.Notices = []requirement.Notice{{Level: requirement.LevelWarning, Message: "file " + bidi + " is damaged", Path: esc}}
	r.Events = []requirement.Event{{Time: start, Name: "open\nx",
		Attrs: []requirement.Attr{{Key: "a\nb", Value: "x\ny" + esc}}}}
	r.Verdict, r.PolicyVerdict = scanner.NotReady, scanner.NotReady
	return r
}
