package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/remotetest"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// The exit code says whether the machine may become an image, and is 0 for nothing else.
func TestVerifyExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := file("key.pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	content := []byte("an image")
	image, other := file("root.img", content), file("other.img", []byte("another one"))
	sum := sha256.Sum256(content)
	evidence := requirement.Evidence{Kind: requirement.KindFile, Source: "root", Path: "x"}
	failed := requirement.Finding{
		Requirement: requirement.Requirement{ID: "x.y", Severity: requirement.Required}, Counts: true,
		Outcome: requirement.Fail("It is not.", evidence),
	}
	waived := failed
	waived.Waiver = &requirement.Waiver{ID: "x.y"}
	signed := func(name string, verdict, policy scanner.Verdict, findings ...requirement.Finding) string {
		t.Helper()
		var b bytes.Buffer
		r := &scanner.Result{
			Started: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Finished: time.Date(2020, 1, 1, 0, 0, 1, 0, time.UTC),
			RuleBook: scanner.RuleBook{Name: "image"}, Verdict: verdict, PolicyVerdict: policy, Findings: findings,
			Files: []scanner.ImageFile{
				{Name: "root.img", Sums: scanner.Sums{SHA256: hex.EncodeToString(sum[:])}},
				{Name: "ebs:snap-0123456789abcdef0", Remote: &scanner.RemoteFile{
					Identity: source.Identity{Snapshot: "snap-0123456789abcdef0"},
					ReadSet:  &scanner.ReadSet{SHA256: hex.EncodeToString(sum[:])},
				}},
			},
		}
		if err := report.Attestation(&b, r, report.Options{Key: key}); err != nil {
			t.Fatal(err)
		}
		return file(name, b.Bytes())
	}
	passed := signed("passed.json", scanner.Ready, scanner.Ready)
	accepted := signed("accepted.json", scanner.NotReady, scanner.Ready, waived)
	for _, c := range []struct {
		want int
		args []string
	}{
		{0, []string{passed}},
		{0, []string{passed, "--image", image}},
		{0, []string{passed, "--image", image, "--image", "ebs:snap-0123456789abcdef0", "-o", "json"}},
		{4, []string{passed, "--image", other}},
		{4, []string{passed, "--image", "ebs:snap-00000000000000001"}},
		{0, []string{passed, "--rulebook", "image"}},
		{4, []string{passed, "--rulebook", "byol"}},
		{0, []string{passed, "--max-age", "876000h"}},
		{3, []string{passed, "--max-age", "24h"}},
		{4, []string{passed, "--max-age", "24h", "--image", other}},
		{1, []string{accepted}},
		{0, []string{accepted, "--accept-warned"}},
		{3, []string{accepted, "--accept-warned", "--max-age", "1h"}},
		{1, []string{signed("failed.json", scanner.NotReady, scanner.NotReady, failed), "--accept-warned"}},
		{1, []string{signed("never.json", scanner.NotReady, scanner.Ready, failed), "--accept-warned"}},
		{3, []string{signed("open.json", scanner.Inconclusive, scanner.Inconclusive), "--accept-warned"}},
		{3, []string{signed("strict.json", scanner.Ready, scanner.Inconclusive), "--accept-warned"}},
	} {
		if got := code(t, coldcheck(t, append([]string{"verify", "--key", public}, c.args...)...).Run()); got != c.want {
			t.Errorf("%q ends with %d, want %d", c.args, got, c.want)
		}
	}
}

// The result of a scan of remote images is signed with the digests of what was read, and
// without the secrets of their names. A snapshot is known by its id.
func TestRemoteAttestation(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"key.pem": {Type: "PRIVATE KEY", Bytes: private}, "key.pub": {Type: "PUBLIC KEY", Bytes: public},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for where, r := range remoteCases(t, "failing") {
		file := filepath.Join(dir, where+".json")
		args := append([]string{"scan", "--no-progress", "-o", "attestation=" + file, "--key", filepath.Join(dir, "key.pem")},
			r.images...)
		if exit, output := r.run(t, args...); exit != 1 {
			t.Fatalf("%s: the scan ends with %d: %s", where, exit, output)
		}
		var envelope struct{ Payload []byte }
		if err := json.Unmarshal([]byte(read(t, file)), &envelope); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{urlSecret, remotetest.SecretKey, remotetest.SessionToken, remotetest.AccessKey} {
			if bytes.Contains(envelope.Payload, []byte(secret)) {
				t.Errorf("%s: the statement has %s", where, secret)
			}
		}
		if n := bytes.Count(envelope.Payload, []byte(report.ReadSetDigest)); n != 2 {
			t.Errorf("%s: the statement has %d digests of what was read", where, n)
		}
		verify := []string{"verify", file, "--key", filepath.Join(dir, "key.pub")}
		if where == "ebs" {
			verify = append(verify, "--image", "ebs:snap-1", "--image", "ebs:snap-0")
		}
		if exit, output := r.run(t, verify...); exit != 1 {
			t.Errorf("%s: verify ends with %d: %s", where, exit, output)
		}
	}
}
