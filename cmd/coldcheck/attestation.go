package main

import (
	"crypto"
	"os"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/internal/dsse"
	"github.com/coldcheck/coldcheck/report"
)

// attestationFormat is the format that --key is for.
const attestationFormat = "attestation"

// keyFlag declares --key of scan.
func keyFlag(c *cobra.Command, name *string) {
	c.Flags().StringVar(name, "key", "",
		"sign -o attestation with the private key in `FILE` (PEM; Ed25519 or ECDSA P-256)")
	check(c.RegisterFlagCompletionFunc("key", completeFiles("pem", "key")))
}

// loadKey reads the key, if one of the values of -o needs it.
func (p *program) loadKey(c *cobra.Command, name string, outputs []string) error {
	wanted := asksFor(outputs, attestationFormat)
	switch {
	case wanted && c.Flags().Lookup("key") == nil:
		return inFlag("output", usage("sign the result of a scan: coldcheck scan IMAGE -o attestation=FILE --key FILE",
			"%s writes no attestation: its images are built into the program", c.CommandPath()))
	case wanted && name == "":
		const hint = "add --key FILE; 'openssl genpkey -algorithm ed25519 -out FILE' makes a key"
		return inFlag("output", usage(hint, "-o attestation needs a key to sign with"))
	case !wanted && name != "":
		return inFlag("key", usage("add -o attestation=PATH", "--key is for the format attestation"))
	case !wanted:
		return nil
	}
	text, err := readUpTo(name, dsse.MaxKey)
	if err != nil {
		return inFlag("key", err)
	}
	p.inputs = append(p.inputs, name)
	key, err := dsse.ParsePrivateKey(text)
	if err != nil {
		return inFlag("key", usage(hintOf(err), "%s: %w", name, err))
	}
	if info, err := os.Stat(name); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o004 != 0 {
		p.notice("every user can read the private key in %s", name)
		p.hint("chmod 600 " + name)
	}
	p.key = key
	return nil
}

// readPublicKey reads the key of verify. A file without one is wrong usage.
func readPublicKey(name string) (crypto.PublicKey, error) {
	text, err := readUpTo(name, dsse.MaxKey)
	if err != nil {
		return nil, err
	}
	key, err := dsse.ParsePublicKey(text)
	if err != nil {
		return nil, usage(hintOf(err), "%s: %w", name, err)
	}
	return key, nil
}

// used notes a file that the scan uses besides the images, for attestations.
func (p *program) used(kind, name string, content []byte) {
	p.files = append(p.files, report.NewInputFile(kind, name, content))
}
