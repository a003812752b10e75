package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/rules"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// verifyFlags are the flags of verify.
type verifyFlags struct {
	key          string
	images       []string
	ruleBook     string
	maxAge       time.Duration
	acceptWarned bool
	format       string
}

var verifyFormats = []string{"table", "json"}

func (p *program) verifyCommand() *cobra.Command {
	var flags verifyFlags
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Verify a signed result",
		Long: `Verify the signature of a result that 'coldcheck scan -o attestation=FILE --key KEY'
wrote, and show what it says: which images were scanned, when, and with which verdict.
The exit code is 0 only if the signature is valid and the result is PASSED. With --image,
the image must also be one of those that were scanned.`,
		Example: `coldcheck verify result.json --key key.pub
coldcheck verify result.json --key key.pub --image root.img --image user.img --max-age 24h
coldcheck verify result.json --key key.pub -o json`,
		Args:              arguments(1, 1),
		ValidArgsFunction: completeFiles("json"),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case flags.key == "":
				return usage("name the public key of the signer", "%s needs --key FILE", c.CommandPath())
			case c.Flags().Changed("max-age") && flags.maxAge <= 0:
				return usage("", "--max-age: a time such as 24h is required")
			}
			return p.verify(c.Context(), args[0], flags)
		},
	}
	f := c.Flags()
	f.StringVar(&flags.key, "key", "", "verify the signature with the public key in `FILE` (PEM)")
	check(c.RegisterFlagCompletionFunc("key", completeFiles("pem", "pub")))
	f.StringArrayVar(&flags.images, "image", nil,
		"require that `IMAGE` was scanned: hash it and compare; a snapshot (ebs:snap-…) is compared by its id; repeatable")
	f.StringVar(&flags.ruleBook, "rulebook", "", "require that the system was judged by the rule book `NAME`")
	check(c.RegisterFlagCompletionFunc("rulebook", complete(rules.Names()...)))
	f.DurationVar(&flags.maxAge, "max-age", 0, "do not accept a scan that ended more than `TIME` ago, such as 24h")
	f.BoolVar(&flags.acceptWarned, "accept-warned", false,
		"accept the result WARNED too: the policy of the scan accepts what is not met or not known")
	formatFlag(c, &flags.format, true, verifyFormats...)
	p.noProgressFlag(c)
	return c
}

func (p *program) verify(ctx context.Context, name string, flags verifyFlags) error {
	format, path, err := splitFormat(flags.format, verifyFormats...)
	if err != nil {
		return err
	}
	key, err := readPublicKey(flags.key)
	if err != nil {
		return err
	}
	for _, image := range flags.images {
		if err := checkComparable(image); err != nil {
			return err
		}
	}
	data, err := readUpTo(name, report.MaxAttestation)
	if err != nil {
		return err
	}
	a, err := report.ReadAttestation(data, key)
	switch {
	case errors.Is(err, report.ErrSignature):
		const hint = "the result was changed, or another key signed it: do not trust it"
		return notThatKind(hint, "%s: %w", name, err)
	case err != nil:
		return notThatKind("use a file that 'coldcheck scan -o attestation=FILE' wrote", "%s: %w", name, err)
	}
	var others error
	for _, image := range flags.images {
		sum := ""
		if !source.IsRemote(image) {
			if sum, err = p.imageSum(ctx, image); err != nil {
				return err
			}
		}
		if !a.Compare(image, sum) && others == nil {
			others = notThatKind("scan it, or verify the result of its scan",
				"%s is not one of the images that were scanned, or it has changed since", image)
		}
	}
	if flags.ruleBook != "" && !a.By(flags.ruleBook) && others == nil {
		others = notThatKind("scan with --rulebook "+flags.ruleBook, "the system was not judged by the rule book %q",
			flags.ruleBook)
	}
	note := report.AttestedNote{
		File: name, Compared: len(flags.images) > 0, Stale: a.StaleAt(time.Now(), flags.maxAge),
		AcceptWarned: flags.acceptWarned,
	}
	write := report.AttestedText
	if format == "json" {
		write = report.AttestedJSON
	}
	var b bytes.Buffer
	options := p.reportOptions()
	if others != nil {
		options.ExitCode = func(scanner.Verdict) int { return exitCode(others) }
	}
	if err := write(&b, a, note, options); err != nil {
		return err
	}
	p.progress.clear()
	if err := p.writeFile(path, b.Bytes(), append([]string{name, flags.key}, flags.images...)...); err != nil {
		return err
	}
	if others != nil {
		return others
	}
	return verdictError(note.Verdict(a))
}

// checkComparable refuses images that cannot be compared with what was scanned.
func checkComparable(image string) error {
	if !source.IsRemote(image) {
		return nil
	}
	if err := source.CheckName(image); err != nil {
		return usage("", "--image: %w", err)
	}
	if !strings.HasPrefix(image, "ebs:") {
		return usage("copy it to a file, and scan that",
			"--image: %s cannot be compared: only snapshots and local images can", source.ShownName(image))
	}
	return nil
}

// imageSum is the SHA-256 of an image.
func (p *program) imageSum(ctx context.Context, name string) (string, error) {
	s, err := source.Open(ctx, name, source.Options{})
	if err != nil {
		return "", err
	}
	defer s.Close()
	h := sha256.New()
	err = s.Sum(h, func(done int64) error {
		p.progress.show(scanner.Progress{Step: "hashing " + s.Name(), Unit: scanner.UnitBytes, Done: done, Total: s.Size()})
		return context.Cause(ctx)
	})
	if err == nil {
		err = s.Changed()
	}
	return hex.EncodeToString(h.Sum(nil)), err
}
