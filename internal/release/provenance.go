package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// The types of in-toto's statement and envelope, and of SLSA's predicate
// (slsa.dev/spec/v1.0/provenance).
const (
	statementType = "https://in-toto.io/Statement/v1"
	predicateType = "https://slsa.dev/provenance/v1"
	payloadType   = "application/vnd.in-toto+json"

	buildType = project + "/blob/main/docs/release.md#build-type"
)

type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     provenance `json:"predicate"`
}

// resource is in-toto's ResourceDescriptor.
type resource struct {
	Name   string            `json:"name,omitempty"`
	URI    string            `json:"uri,omitempty"`
	Digest map[string]string `json:"digest,omitempty"`
}

type provenance struct {
	BuildDefinition struct {
		BuildType            string            `json:"buildType"`
		ExternalParameters   map[string]string `json:"externalParameters"`
		InternalParameters   internal          `json:"internalParameters"`
		ResolvedDependencies []resource        `json:"resolvedDependencies"`
	} `json:"buildDefinition"`
	RunDetails struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
	} `json:"runDetails"`
}

// internal are the parameters that the release program sets.
type internal struct {
	Go              string              `json:"go"`
	Flags           []string            `json:"flags"`
	Environment     map[string][]string `json:"environment"` // by platform
	SourceDateEpoch int64               `json:"sourceDateEpoch"`
}

func (r *release) provenanceName() string {
	return fmt.Sprintf("coldcheck_%s.intoto.jsonl", r.number)
}

// writeProvenance writes one line: the statement about all files of the release in an
// envelope (github.com/secure-systems-lab/dsse). Without a key the envelope has no
// signature.
func (r *release) writeProvenance(ctx context.Context, out string, builds []*build) error {
	subjects, err := sumsOf(out)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(r.statement(subjects, builds))
	if err != nil {
		return err
	}
	envelope := &dsse.Envelope{PayloadType: payloadType, Payload: base64.StdEncoding.EncodeToString(payload),
		Signatures: []dsse.Signature{}}
	if r.signer != nil {
		s, err := dsse.NewEnvelopeSigner(r.signer)
		if err != nil {
			return err
		}
		if envelope, err = s.SignPayload(ctx, payloadType, payload); err != nil {
			return err
		}
	}
	line, err := json.Marshal(envelope)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, r.provenanceName()), append(line, '\n'), 0o666)
}

func (r *release) statement(subjects []sum, builds []*build) statement {
	s := statement{Type: statementType, PredicateType: predicateType}
	for _, file := range subjects {
		s.Subject = append(s.Subject, resource{Name: file.name, Digest: map[string]string{"sha256": file.sha256}})
	}
	d := &s.Predicate.BuildDefinition
	d.BuildType = buildType
	d.ExternalParameters = map[string]string{"version": r.version}
	d.InternalParameters = internal{Flags: buildFlags(), Environment: map[string][]string{},
		SourceDateEpoch: r.date.Unix()}
	d.ResolvedDependencies = []resource{{URI: "git+" + project, Digest: map[string]string{"gitCommit": r.commit}}}
	seen := map[string]bool{}
	for _, b := range builds {
		d.InternalParameters.Go = b.info.GoVersion
		d.InternalParameters.Environment[b.String()] = b.buildEnv()
		for _, m := range b.modules {
			if seen[m.path] || m.path == standardLibrary {
				continue
			}
			seen[m.path] = true
			d.ResolvedDependencies = append(d.ResolvedDependencies,
				resource{URI: "pkg:golang/" + m.path + "@" + m.version, Digest: m.digest()})
		}
	}
	s.Predicate.RunDetails.Builder.ID = r.builder
	return s
}

// digest is the checksum of go.sum: in-toto's dirHash.
func (m *module) digest() map[string]string {
	hash, ok := strings.CutPrefix(m.sum, "h1:")
	raw, err := base64.StdEncoding.DecodeString(hash)
	if !ok || err != nil {
		return nil
	}
	return map[string]string{"dirHash": hex.EncodeToString(raw)}
}

// signer signs with a key that is in memory.
type signer struct{ key crypto.Signer }

// loadSigner reads a private key in PEM: ECDSA with the curve P-256, or Ed25519.
func loadSigner(path string) (dsse.Signer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the key: %w", err)
	}
	hint := "make one: openssl ecparam -name prime256v1 -genkey -noout -out key.pem"
	block, _ := pem.Decode(text)
	// openssl writes the parameters of a curve before its key.
	for block != nil && block.Type == "EC PARAMETERS" {
		block, text = pem.Decode(bytes.TrimSpace(text))
	}
	if block == nil {
		return nil, refusal{path + " contains no key in PEM", hint}
	}
	var key any
	if block.Type == "EC PRIVATE KEY" {
		key, err = x509.ParseECPrivateKey(block.Bytes)
	} else {
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, refusal{fmt.Sprintf("%s: %v", path, err), hint}
	}
	switch k := key.(type) {
	case *ecdsa.PrivateKey:
		if k.Curve == elliptic.P256() {
			return &signer{k}, nil
		}
	case ed25519.PrivateKey:
		return &signer{k}, nil
	}
	return nil, refusal{path + " is a key of another kind than ECDSA P-256 and Ed25519", hint}
}

// Sign signs the bytes of an envelope. The signature depends on nothing but them and the
// key: that of ECDSA is deterministic (RFC 6979).
func (s *signer) Sign(_ context.Context, data []byte) ([]byte, error) {
	if _, ok := s.key.(ed25519.PrivateKey); ok {
		return s.key.Sign(nil, data, crypto.Hash(0))
	}
	digest := sha256.Sum256(data)
	return s.key.Sign(nil, digest[:], crypto.SHA256)
}

// KeyID is the SHA-256 of the public key in DER, in hex.
func (s *signer) KeyID() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(der)
	return hex.EncodeToString(digest[:]), nil
}
