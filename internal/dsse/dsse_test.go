package dsse

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

const kind = "application/vnd.in-toto+json"

func ed() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
}

func ec(t testing.TB, c elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// The encoding of the example in the protocol (protocol.md, "Test Vectors").
func TestEncode(t *testing.T) {
	if got, want := string(encode("http://example.com/HelloWorld", []byte("hello world"))),
		"DSSEv1 29 http://example.com/HelloWorld 11 hello world"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// change decodes an envelope, changes it, and encodes it.
func change(t *testing.T, data []byte, with func(e *envelope)) []byte {
	t.Helper()
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		t.Fatal(err)
	}
	with(&e)
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What was signed is returned; anything else is refused, with the kind of its error.
func TestVerify(t *testing.T) {
	t.Parallel()
	payload := []byte(`{"a": 1}`)
	other := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	for name, key := range map[string]crypto.Signer{"Ed25519": ed(), "ECDSA P-256": ec(t, elliptic.P256())} {
		good, err := Sign(key, kind, payload)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.TrimSpace(string(good))
		base64Text := base64.StdEncoding.EncodeToString(payload)
		for what, c := range map[string]struct {
			data []byte
			edit func(e *envelope) // of the good one, if there is no data
			key  crypto.PublicKey
			want error
		}{
			"as signed":                     {data: good},
			"white space after it":          {data: append(bytes.Clone(good), " \n\n"...)},
			"an unknown field":              {data: []byte(`{"x": 1, ` + text[1:])},
			"the wrong key id":              {edit: func(e *envelope) { e.Signatures[0].KeyID = "00" }},
			"URL-safe base64":               {edit: func(e *envelope) { e.Signatures[0].Sig = urlSafe(e.Signatures[0].Sig) }},
			"another signature before it":   {edit: func(e *envelope) { e.add(1) }},
			"the most signatures":           {edit: func(e *envelope) { e.add(mostSignatures - 1) }},
			"one signature more":            {edit: func(e *envelope) { e.add(mostSignatures) }, want: ErrFormat},
			"another Ed25519 key":           {data: good, key: other.Public(), want: ErrSignature},
			"another ECDSA key":             {data: good, key: ec(t, elliptic.P256()).Public(), want: ErrSignature},
			"a key of another kind":         {data: good, key: ec(t, elliptic.P384()).Public(), want: ErrKey},
			"another payload":               {edit: func(e *envelope) { e.Payload = "e30=" }, want: ErrSignature},
			"an empty payload":              {edit: func(e *envelope) { e.Payload = "" }, want: ErrSignature},
			"a payload that is not base64":  {edit: func(e *envelope) { e.Payload = "?" }, want: ErrFormat},
			"another type":                  {edit: func(e *envelope) { e.PayloadType = "text/plain" }, want: ErrFormat},
			"no type":                       {edit: func(e *envelope) { e.PayloadType = "" }, want: ErrFormat},
			"no signatures":                 {edit: func(e *envelope) { e.Signatures = nil }, want: ErrFormat},
			"an empty signature":            {edit: func(e *envelope) { e.Signatures[0].Sig = "" }, want: ErrSignature},
			"a changed signature":           {edit: func(e *envelope) { flip(&e.Signatures[0]) }, want: ErrSignature},
			"a longer signature":            {edit: func(e *envelope) { lengthen(&e.Signatures[0]) }, want: ErrSignature},
			"a payload twice":               {data: []byte(`{"payload": "` + base64Text + `", ` + text[1:]), want: ErrFormat},
			"a payload twice in upper case": {data: []byte(`{"PAYLOAD": "e30=", ` + text[1:]), want: ErrFormat},
			"a payload with a long s":       {data: []byte(`{"ſignatures": [], ` + text[1:]), want: ErrFormat},
			"a signature's field twice":     {data: []byte(strings.Replace(text, `"sig"`, `"sig": "", "sig"`, 1)), want: ErrFormat},
			"something after it":            {data: append(bytes.Clone(good), "{}"...), want: ErrFormat},
			"half of it":                    {data: good[:len(good)/2], want: ErrFormat},
			"nothing":                       {want: ErrFormat},
			"an array":                      {data: []byte("[" + text + "]"), want: ErrFormat},
			"not UTF-8":                     {data: []byte("{\"\xff\": 1, " + text[1:]), want: ErrFormat},
			"the deepest nesting":           {data: []byte(`{"x": ` + nested(maxDepth-1) + `, ` + text[1:])},
			"nesting that is too deep":      {data: []byte(`{"x": ` + nested(maxDepth) + `, ` + text[1:]), want: ErrFormat},
			"the largest size":              {data: padded(good, MaxEnvelope)},
			"a byte more":                   {data: padded(good, MaxEnvelope+1), want: ErrFormat},
		} {
			if c.key == nil {
				c.key = key.Public()
			}
			if c.edit != nil {
				c.data = change(t, good, c.edit)
			}
			got, err := Verify(c.data, c.key, kind)
			switch {
			case c.want == nil && (err != nil || !bytes.Equal(got, payload)):
				t.Errorf("%s, %s: %q, %v", name, what, got, err)
			case c.want != nil && (!errors.Is(err, c.want) || got != nil):
				t.Errorf("%s, %s: %q, %v; want %v", name, what, got, err, c.want)
			}
		}
	}
}

// add puts empty signatures before those of the envelope.
func (e *envelope) add(n int) { e.Signatures = append(make([]signature, n), e.Signatures...) }

// padded appends spaces up to a size.
func padded(data []byte, size int) []byte {
	return append(bytes.Clone(data), bytes.Repeat([]byte(" "), size-len(data))...)
}

func urlSafe(s string) string { return strings.NewReplacer("+", "-", "/", "_").Replace(s) }

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func flip(s *signature) { s.Sig = base64.StdEncoding.EncodeToString(invert(s.bytes())) }

func lengthen(s *signature) { s.Sig = base64.StdEncoding.EncodeToString(append(s.bytes(), 0)) }

func invert(data []byte) []byte {
	data[len(data)-1] ^= 1
	return data
}

func (s *signature) bytes() []byte {
	data, err := decode(s.Sig)
	if err != nil {
		panic(err)
	}
	return data
}

// openssl makes keys, and verifies what they sign by the encoding of the protocol: it is
// another implementation of everything but the envelope.
func TestOpenSSL(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "openssl")
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command("openssl", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	read := func(name string) []byte {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	// The last one has the parameters of its curve before the key.
	for name, make := range map[string][]string{
		"ed25519.pem": {"genpkey", "-algorithm", "ed25519", "-out", "ed25519.pem"},
		"p256.pem":    {"genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "p256.pem"},
		"sec1.pem":    {"ecparam", "-name", "prime256v1", "-genkey", "-out", "sec1.pem"},
	} {
		run(make...)
		run("pkey", "-in", name, "-pubout", "-out", "pub.pem")
		run("pkey", "-pubin", "-in", "pub.pem", "-outform", "DER", "-out", "pub.der")
		run("dgst", "-sha256", "-r", "-out", "id", "pub.der")
		key, err := ParsePrivateKey(read(name))
		if err != nil {
			t.Fatal(name, err)
		}
		public, err := ParsePublicKey(read("pub.pem"))
		if err != nil {
			t.Fatal(name, err)
		}
		signed, err := Sign(key, kind, []byte(`{}`))
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := Verify(signed, public, kind); err != nil {
			t.Error(name, err)
		}
		var e envelope
		if err := json.Unmarshal(signed, &e); err != nil {
			t.Fatal(err)
		}
		if id, _, _ := strings.Cut(string(read("id")), " "); e.Signatures[0].KeyID != id {
			t.Errorf("%s: key id %s, want %s", name, e.Signatures[0].KeyID, id)
		}
		sig, err := decode(e.Signatures[0].Sig)
		if err != nil {
			t.Fatal(err)
		}
		for file, data := range map[string][]byte{"sig": sig, "message": []byte("DSSEv1 28 " + kind + " 2 {}")} {
			if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if name == "ed25519.pem" {
			run("pkeyutl", "-verify", "-pubin", "-inkey", "pub.pem", "-rawin", "-in", "message", "-sigfile", "sig")
		} else {
			run("dgst", "-sha256", "-verify", "pub.pem", "-signature", "sig", "message")
		}
	}
}

// A key of another kind, or none, is refused with what is wrong with it.
func TestKeys(t *testing.T) {
	t.Parallel()
	block := func(kind string, der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	pkcs8 := func(key any) []byte {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return block("PRIVATE KEY", der, err)
	}
	spki := func(key any) []byte {
		der, err := x509.MarshalPKIXPublicKey(key)
		return block("PUBLIC KEY", der, err)
	}
	sec1, err := x509.MarshalECPrivateKey(ec(t, elliptic.P256()))
	rsaKey, rsaErr := rsa.GenerateKey(rand.Reader, 2048)
	if rsaErr != nil {
		t.Fatal(rsaErr)
	}
	locked := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1,
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-256-CBC,00"}})
	for name, c := range map[string]struct {
		text            []byte
		private, public string // parts of the errors; "" for none
	}{
		"Ed25519":             {pkcs8(ed()), "", "this is a private key"},
		"P-256":               {pkcs8(ec(t, elliptic.P256())), "", "this is a private key"},
		"P-256 in SEC 1":      {block("EC PRIVATE KEY", sec1, err), "", "this is a private key"},
		"public Ed25519":      {spki(ed().Public()), "this is a public key", ""},
		"public P-256":        {spki(ec(t, elliptic.P256()).Public()), "this is a public key", ""},
		"P-384":               {pkcs8(ec(t, elliptic.P384())), "curve P-384", "this is a private key"},
		"public P-384":        {spki(ec(t, elliptic.P384()).Public()), "this is a public key", "curve P-384"},
		"RSA":                 {pkcs8(rsaKey), "for RSA", "this is a private key"},
		"public RSA":          {spki(rsaKey.Public()), "this is a public key", "for RSA"},
		"RSA in PKCS #1":      {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil), "RSA", "private"},
		"encrypted":           {block("ENCRYPTED PRIVATE KEY", sec1, nil), "the key is encrypted", "private"},
		"encrypted by cosign": {block("ENCRYPTED SIGSTORE PRIVATE KEY", sec1, nil), "the key is encrypted", "private"},
		"encrypted in SEC 1":  {locked, "the key is encrypted", "private"},
		"certificate":         {block("CERTIFICATE", sec1, nil), "this is a public key", "not a public key"},
		"damaged":             {block("PRIVATE KEY", sec1[:8], nil), "the key is damaged", "private"},
		"public damaged":      {block("PUBLIC KEY", sec1[:8], nil), "this is a public key", "the key is damaged"},
		"empty":               {nil, "no key in PEM", "no key in PEM"},
		"text":                {[]byte("secret"), "no key in PEM", "no key in PEM"},
		"the largest size":    {append(pkcs8(ed()), make([]byte, MaxKey-len(pkcs8(ed())))...), "", "private"},
		"a byte more":         {append(pkcs8(ed()), make([]byte, MaxKey+1-len(pkcs8(ed())))...), "larger", "larger"},
	} {
		_, private := ParsePrivateKey(c.text)
		_, public := ParsePublicKey(c.text)
		for _, e := range []struct {
			err  error
			want string
		}{{private, c.private}, {public, c.public}} {
			switch {
			case e.want == "" && e.err != nil:
				t.Errorf("%s: %v", name, e.err)
			case e.want != "" && (!errors.Is(e.err, ErrKey) || !strings.Contains(e.err.Error(), e.want)):
				t.Errorf("%s: %v, want %q", name, e.err, e.want)
			}
		}
	}
	if _, err := Sign(rsaKey, kind, nil); !errors.Is(err, ErrKey) {
		t.Errorf("signed with RSA: %v", err)
	}
}

// No input makes Verify or the parsers of keys fail in another way than by their errors,
// and none has a signature that its key did not make.
func FuzzVerify(f *testing.F) {
	key := ed()
	good, err := Sign(key, kind, []byte(`{"a": [1, {"b": null}]}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"payloadType": "application/vnd.in-toto+json", "payload": "", "signatures": [{}]}`))
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		payload, err := Verify(data, key.Public(), kind)
		switch {
		case err == nil && string(payload) != `{"a": [1, {"b": null}]}`:
			t.Fatalf("verified %q", payload)
		case err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrSignature):
			t.Fatal(err)
		}
		if _, err := ParsePrivateKey(data); err != nil && !errors.Is(err, ErrKey) {
			t.Fatal(err)
		}
		if _, err := ParsePublicKey(data); err != nil && !errors.Is(err, ErrKey) {
			t.Fatal(err)
		}
		var a, b any
		if Unmarshal(data, &a) == nil && json.Unmarshal(data, &b) != nil {
			t.Fatal("accepted what is not JSON")
		}
	})
}
