package fleet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/remotetest"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// qcow2 is the header of an image of version 3 with a table of one entry.
func qcow2(change func(header []byte)) []byte {
	b := make([]byte, 3<<16)
	copy(b, "QFI\xfb")
	be := binary.BigEndian
	be.PutUint32(b[4:], 3)
	be.PutUint32(b[20:], 16)     // bits of a cluster
	be.PutUint64(b[24:], 64<<20) // the size of the disk
	be.PutUint32(b[36:], 1)      // entries of L1
	be.PutUint64(b[40:], 1<<16)  // L1
	be.PutUint64(b[48:], 2<<16)  // the refcount table
	be.PutUint32(b[56:], 1)
	be.PutUint32(b[96:], 4) // the order of refcounts
	be.PutUint32(b[100:], 104)
	change(b)
	return b
}

// TestErrorKinds: what ends a scan of a target is of its kind, and has the exit code of a
// scan.
func TestErrorKinds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	server, snapshots := remotetest.S3(t), remotetest.EBS(t)
	image := func(name, role string) string { // of a case, on a server
		c := testcases.Find(t, name)
		for _, i := range c.Images {
			if i.Role != role {
				continue
			}
			r, err := i.Open()
			if err != nil {
				t.Fatal(err)
			}
			server.PutLarge(i.Name, r, i.Size)
			return "s3://images/" + i.Name
		}
		t.Fatalf("%s has no %s", name, role)
		return ""
	}
	snapshots.Refuse("snap-denied",
		remotetest.Refusal{Status: 403, Code: "AccessDeniedException", Reason: "UNAUTHORIZED_ACCOUNT"})
	snapshots.Refuse("snap-expired", remotetest.Refusal{Status: 403, Code: "ExpiredTokenException"})
	text := file("text.img", []byte(strings.Repeat("a list of things to do\n", 1000)))
	var targets []Target
	want := map[string]struct {
		ErrorKind
		exit int
		hint bool
	}{}
	add := func(kind ErrorKind, exit int, hint bool, images ...string) {
		id := fmt.Sprintf("%s-%d", kind, len(targets))
		targets = append(targets, Target{ID: id, Images: images})
		want[id] = struct {
			ErrorKind
			exit int
			hint bool
		}{kind, exit, hint}
	}
	add(NotAnImage, 4, true, text)
	add(NotAnImage, 4, true, dir)
	add(NoSystem, 4, true, image("ready", "user"))
	add(Encrypted, 4, true, image("bitlocker", "root"))
	add(Encrypted, 4, true, file("luks.qcow2", qcow2(func(b []byte) { b[35] = 2 })))
	add(Unsupported, 4, false, file("new.qcow2", qcow2(func(b []byte) { b[72] = 1 })))
	add(Damaged, 4, false, file("damaged.qcow2", qcow2(func(b []byte) { b[40] = 0x7f })))
	add(Damaged, 4, false, file("short.qcow2", qcow2(func([]byte) {})[:1024]))
	add(Parent, 4, true, file("changes.qcow2", qcow2(func(b []byte) {
		b[14], b[15], b[19] = 1, 0, byte(copy(b[256:], "base.img"))
	})))
	add(Usage, 64, true, image("ready", "root"), image("failing", "root"))
	add(NotFound, 74, false, filepath.Join(dir, "missing.img"))
	add(NotFound, 74, true, "ebs:snap-missing")
	add(NotFound, 74, false, "s3://images/missing.img")
	add(Denied, 74, true, "ebs:snap-denied")
	s := folderOf(t)
	o := scans(nil)
	o.scan = nil
	o.Input.Remote = source.Options{AWS: server.AWS}
	forEBS := o
	forEBS.Input.Remote.AWS = snapshots.AWS
	isEBS := func(t Target) bool { return strings.HasPrefix(t.Images[0], "ebs:") }
	if got, err := Run(t.Context(), slices.DeleteFunc(slices.Clone(targets), isEBS), s, o); err != nil || got.Pending > 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	ebs := slices.DeleteFunc(slices.Clone(targets), func(t Target) bool { return !isEBS(t) })
	ebs = append(ebs, Target{ID: "expired", Images: []string{"ebs:snap-expired"}})
	if got, err := Run(t.Context(), ebs, s, forEBS); err != nil || got.Pending != 1 || got.Failed() != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for id, want := range want {
		r := recordOf(t, s, id)
		if r.Error == nil || r.Error.Kind != want.ErrorKind || r.ExitCode != want.exit || want.hint && r.Error.Hint == "" {
			t.Errorf("%s: %+v %+v", id, r, r.Error)
		}
	}
}

// TestClassify: kinds that take a defect or a limit to see.
func TestClassify(t *testing.T) {
	t.Parallel()
	both := func(errs ...error) error { return fmt.Errorf("x: %w", errors.Join(errs...)) }
	for _, tt := range []struct {
		err    error
		kind   ErrorKind
		exit   int
		passes bool
	}{
		{both(scanner.ErrNoSystem, scanner.ErrMemory), Limit, 4, false},
		{both(scanner.ErrIO, scanner.ErrMemory), Limit, 74, false},
		{both(scanner.ErrNoSystem, scanner.ErrDefect), Internal, 4, false},
		{errPanic, Internal, 74, false},
		{errors.New("unknown"), Internal, 74, false},
		{both(scanner.ErrIO, fs.ErrPermission), Denied, 74, false},
		{both(scanner.ErrIO, kind.IO), IO, 74, false},
		{both(scanner.ErrUsage, kind.Corrupt, fs.ErrNotExist), Usage, 64, false},
		{both(scanner.ErrIO, kind.Passing), IO, 74, true},
		{both(scanner.ErrIO, source.ErrChanged), IO, 74, true},
		{ErrTimeout, IO, 74, true},
		{both(scanner.ErrIO, os.ErrDeadlineExceeded), IO, 74, true},
	} {
		kind, exit := classify(tt.err)
		if kind != tt.kind || exit != tt.exit || passes(tt.err) != tt.passes {
			t.Errorf("%v: %s, %d, passes %t", tt.err, kind, exit, passes(tt.err))
		}
	}
	var r Record
	r.fail(hinted{errors.New(strings.Repeat("long ", 10_000))})
	if n := len(r.Error.Message); n < maxMessage || n > maxMessage+100 || r.Error.Hint != "do this" {
		t.Errorf("a message of %d bytes, hint %q", n, r.Error.Hint)
	}
}
