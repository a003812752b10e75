package dsse

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// MaxKey is the size of the largest key file, in bytes.
const MaxKey = 64 << 10

// ErrKey is the error for a key that cannot be used. It may have a method Hint() string.
var ErrKey = errors.New("key cannot be used")

// keyError says why a key cannot be used, and what to do.
type keyError struct{ message, hint string }

func (e keyError) Error() string   { return e.message }
func (e keyError) Hint() string    { return e.hint }
func (e keyError) Is(t error) bool { return t == ErrKey }

const (
	hintMake = "make a key: openssl genpkey -algorithm ed25519 -out key.pem"
	hintKind = "use a key for Ed25519, or for ECDSA with the curve P-256"
)

// ParsePrivateKey reads a private key in PEM: PKCS #8 (RFC 5958), or SEC 1 (RFC 5915) for
// ECDSA. It is for ECDSA P-256 or Ed25519. The error is ErrKey.
func ParsePrivateKey(text []byte) (crypto.Signer, error) {
	block, err := firstKey(text)
	if err != nil {
		return nil, err
	}
	var key any
	switch {
	case strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "":
		return nil, keyError{"the key is encrypted",
			"decrypt it to a file that only you can read: openssl pkey -in KEY -out NEW"}
	case block.Type == "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case block.Type == "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case block.Type == "PUBLIC KEY" || block.Type == "CERTIFICATE":
		return nil, keyError{"this is a public key, and a private key is required", ""}
	default:
		return nil, keyError{fmt.Sprintf("%q is not a private key that can be used", block.Type), hintKind}
	}
	if err != nil {
		return nil, keyError{"the key is damaged: " + err.Error(), hintMake}
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, keyError{"the key cannot sign", hintKind}
	}
	if _, err := KeyID(signer.Public()); err != nil {
		return nil, err
	}
	return signer, nil
}

// ParsePublicKey reads a public key in PEM (SubjectPublicKeyInfo, RFC 5280). It is for
// ECDSA P-256 or Ed25519. The error is ErrKey.
func ParsePublicKey(text []byte) (crypto.PublicKey, error) {
	block, err := firstKey(text)
	if err != nil {
		return nil, err
	}
	switch {
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, keyError{"this is a private key, and the public key is required",
			"make the public key: openssl pkey -in KEY -pubout -out PUB"}
	case block.Type != "PUBLIC KEY":
		return nil, keyError{fmt.Sprintf("%q is not a public key", block.Type),
			"the public key begins with -----BEGIN PUBLIC KEY-----"}
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, keyError{"the key is damaged: " + err.Error(), ""}
	}
	if _, err := KeyID(key); err != nil {
		return nil, err
	}
	return key, nil
}

// firstKey is the first block of PEM that is not the parameters of a curve, which some
// tools write before a key.
func firstKey(text []byte) (*pem.Block, error) {
	if len(text) > MaxKey {
		return nil, keyError{fmt.Sprintf("the key is larger than %d KiB", MaxKey>>10), ""}
	}
	for {
		block, rest := pem.Decode(text)
		switch {
		case block == nil:
			return nil, keyError{"there is no key in PEM in it", hintMake}
		case block.Type != "EC PARAMETERS":
			return block, nil
		}
		text = rest
	}
}

// KeyID identifies a public key: the SHA-256 of its SubjectPublicKeyInfo in hexadecimal
// digits. The error is ErrKey for a key that is not for ECDSA P-256 or Ed25519.
func KeyID(key crypto.PublicKey) (string, error) {
	if _, err := KeyKind(key); err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", keyError{err.Error(), ""}
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:]), nil
}

// KeyKind names the kind of a key. The error is ErrKey for a key that is not for ECDSA
// P-256 or Ed25519.
func KeyKind(key crypto.PublicKey) (string, error) {
	switch key := key.(type) {
	case ed25519.PublicKey:
		return "Ed25519", nil
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return "ECDSA P-256", nil
		}
		return "", keyError{"the key is for ECDSA with the curve " + key.Curve.Params().Name + ", and P-256 is required",
			hintKind}
	case *rsa.PublicKey:
		return "", keyError{"the key is for RSA", hintKind}
	}
	return "", keyError{fmt.Sprintf("the kind of the key is unknown (%T)", key), hintKind}
}
