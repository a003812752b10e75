// Package dsse signs and verifies messages in envelopes of DSSE, the Dead Simple
// Signing Envelope (github.com/secure-systems-lab/dsse, protocol.md and envelope.md,
// version 1.0), with keys for ECDSA P-256 or Ed25519.
//
//	envelope, err := dsse.Sign(key, "application/vnd.in-toto+json", payload)
//	payload, err = dsse.Verify(envelope, key.Public(), "application/vnd.in-toto+json")
//
// Envelopes come from anywhere. Nothing in one is used before its signature is verified,
// except the type and the bytes that the signature covers.
package dsse

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
)

// MaxEnvelope is the size of the largest envelope that Verify reads, in bytes.
const MaxEnvelope = 16 << 20

// mostSignatures bounds the signatures of an envelope, each of which is tried.
const mostSignatures = 64

// Errors of Verify.
var (
	// ErrFormat is the error for what is not an envelope, or is one of another type.
	ErrFormat = errors.New("not a signed envelope")
	// ErrSignature is the error for an envelope without a valid signature of the key.
	ErrSignature = errors.New("no valid signature of this key")
)

// envelope is the JSON form (envelope.md, "Standard JSON envelope").
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     string      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"`
}

// Sign returns the envelope of a payload as one line of JSON. The error is ErrKey for a
// key of another kind than ParsePrivateKey returns.
func Sign(key crypto.Signer, payloadType string, payload []byte) ([]byte, error) {
	id, err := KeyID(key.Public())
	if err != nil {
		return nil, err
	}
	message := encode(payloadType, payload)
	var options crypto.SignerOpts = crypto.Hash(0) // Ed25519 hashes by itself
	if _, ok := key.Public().(*ecdsa.PublicKey); ok {
		sum := sha256.Sum256(message)
		message, options = sum[:], crypto.SHA256
	}
	sig, err := key.Sign(rand.Reader, message, options)
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	text, err := json.Marshal(envelope{
		payloadType, base64.StdEncoding.EncodeToString(payload),
		[]signature{{id, base64.StdEncoding.EncodeToString(sig)}},
	})
	return append(text, '\n'), err
}

// Verify returns the payload of an envelope that has a valid signature of the key. The
// error is ErrFormat or ErrSignature, or ErrKey for a key of another kind than
// ParsePublicKey returns.
func Verify(data []byte, key crypto.PublicKey, payloadType string) ([]byte, error) {
	if _, err := KeyID(key); err != nil {
		return nil, err
	}
	if len(data) > MaxEnvelope {
		return nil, fmt.Errorf("%w: it is larger than %d MiB", ErrFormat, MaxEnvelope>>20)
	}
	var e envelope
	if err := Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	switch n := len(e.Signatures); {
	case e.PayloadType != payloadType:
		return nil, fmt.Errorf("%w: the type of its payload is %q, not %s", ErrFormat, e.PayloadType, payloadType)
	case n == 0:
		return nil, fmt.Errorf("%w: it has no signature", ErrFormat)
	case n > mostSignatures:
		return nil, fmt.Errorf("%w: it has %d signatures, more than %d", ErrFormat, n, mostSignatures)
	}
	payload, err := decode(e.Payload)
	if err != nil {
		return nil, fmt.Errorf("%w: the payload is not base64", ErrFormat)
	}
	message := encode(payloadType, payload)
	for _, s := range e.Signatures { // the key id is a hint that nothing authenticates
		if sig, err := decode(s.Sig); err == nil && valid(key, message, sig) {
			return payload, nil
		}
	}
	return nil, ErrSignature
}

func valid(key crypto.PublicKey, message, sig []byte) bool {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(message)
		return ecdsa.VerifyASN1(key, sum[:], sig)
	case ed25519.PublicKey:
		return ed25519.Verify(key, message, sig)
	}
	return false
}

// encode is the pre-authentication encoding, PAE (protocol.md, "Signature Definition"):
// what is signed.
func encode(payloadType string, payload []byte) []byte {
	return append(fmt.Appendf(nil, "DSSEv1 %d %s %d ", len(payloadType), payloadType, len(payload)), payload...)
}

// decode reads base64 in the standard or the URL-safe alphabet; both are allowed
// (envelope.md).
func decode(text string) ([]byte, error) {
	data, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		data, err = base64.URLEncoding.Strict().DecodeString(text)
	}
	return data, err
}
