package windows

import (
	"crypto/sha1"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Certificate is an entry of a certificate store of the machine.
type Certificate struct {
	Store      string // "ROOT", "AuthRoot", "CA", "MY", "Disallowed"
	Thumbprint string // the name of its key: the SHA-1 of the certificate in upper-case hex

	Subject, Issuer pkix.Name
	SelfIssued      bool // subject and issuer are the same
	NotBefore       time.Time
	NotAfter        time.Time

	Evidence requirement.Evidence
	Err      error // why only Store and Thumbprint are known; nil if all is
}

// certificateStores are below each of certificatePlaces. Only certificates in
// the first two are trusted as roots.
var (
	certificateStores = []string{"ROOT", "AuthRoot", "CA", "MY", storeDisallowed}
	certificatePlaces = []string{
		`HKLM\SOFTWARE\Microsoft\SystemCertificates`,
		`HKLM\SOFTWARE\Policies\Microsoft\SystemCertificates`,
		`HKLM\SOFTWARE\Microsoft\EnterpriseCertificates`,
	}
)

const storeDisallowed = "Disallowed"

// maxCertificates bounds one store: one that trusts every authority there is
// holds about 500.
const maxCertificates = 10_000

// Certificates are the stores of the machine.
type Certificates struct {
	List   []Certificate
	Stores []requirement.Evidence // the stores that were looked at
}

func (m *Machine) readCertificates() (Certificates, error) {
	var c Certificates
	for _, place := range certificatePlaces {
		for _, store := range certificateStores {
			parent, err := m.Key(place + `\` + store + `\Certificates`)
			if err != nil {
				return c, err
			}
			keys, err := m.Subkeys(parent)
			if err != nil {
				return c, err
			}
			if len(keys) > maxCertificates {
				return c, fmt.Errorf("%s: %s: %d certificates, more than the limit of %d", parent.Evidence.Path,
					parent.Evidence.Key, len(keys), maxCertificates)
			}
			ev := parent.Evidence
			if parent.Exists() {
				ev.Data = prose.Count(len(keys), "certificate", "certificates")
			}
			c.Stores = append(c.Stores, ev)
			for _, k := range keys {
				c.List = append(c.List, m.readCertificate(store, k))
			}
		}
	}
	return c, nil
}

func (m *Machine) readCertificate(store string, k machine.Key) Certificate {
	blob, err := m.Binary(k, "Blob")
	if err != nil {
		return Certificate{Store: store, Thumbprint: strings.ToUpper(k.Name()), Evidence: k.Evidence, Err: err}
	}
	if !blob.Present {
		return Certificate{Store: store, Thumbprint: strings.ToUpper(k.Name()), Evidence: k.Evidence,
			Err: fmt.Errorf("%s: %s: value Blob is missing", k.Evidence.Path, k.Evidence.Key)}
	}
	c, err := parseCertificate(blob.Value, k.Name())
	c.Store, c.Evidence = store, blob.Evidence
	if err != nil {
		c.Err = fmt.Errorf("%s: %s: %w", k.Evidence.Path, k.Evidence.Key, err)
		return c
	}
	c.Evidence.Data = fmt.Sprintf("%s, valid until %s", certificateName(c.Subject),
		c.NotAfter.UTC().Format(time.DateOnly))
	return c
}

// parseCertificate reads the blob of a certificate store and the certificate
// in it, which the thumbprint has to fit.
func parseCertificate(blob []byte, thumbprint string) (Certificate, error) {
	c := Certificate{Thumbprint: strings.ToUpper(thumbprint)}
	der, err := certificateInBlob(blob)
	if err != nil {
		return c, err
	}
	if sum := sha1.Sum(der); !strings.EqualFold(hex.EncodeToString(sum[:]), thumbprint) {
		return c, fmt.Errorf("the certificate is damaged: its SHA-1 is %X", sum)
	}
	// x509.ParseCertificate refuses what Windows accepts, such as the negative
	// serial numbers of certificates that Windows itself disallows. Only names
	// and dates are needed (RFC 5280, 4.1).
	var outer struct {
		Signed struct {
			Version   int `asn1:"optional,explicit,default:0,tag:0"`
			Serial    asn1.RawValue
			Algorithm asn1.RawValue
			Issuer    asn1.RawValue
			Validity  struct{ NotBefore, NotAfter time.Time }
			Subject   asn1.RawValue
		}
		Algorithm asn1.RawValue
		Signature asn1.RawValue
	}
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return c, fmt.Errorf("the certificate cannot be read: %w", err)
	}
	signed := outer.Signed
	for raw, into := range map[*asn1.RawValue]*pkix.Name{&signed.Issuer: &c.Issuer, &signed.Subject: &c.Subject} {
		var sequence pkix.RDNSequence
		if _, err := asn1.Unmarshal(raw.FullBytes, &sequence); err != nil {
			return c, fmt.Errorf("a name in the certificate cannot be read: %w", err)
		}
		into.FillFromRDNSequence(&sequence)
	}
	c.SelfIssued = string(signed.Issuer.FullBytes) == string(signed.Subject.FullBytes)
	c.NotBefore, c.NotAfter = signed.Validity.NotBefore, signed.Validity.NotAfter
	return c, nil
}

// A blob is a row of properties: number, encoding (1), length (4 bytes each)
// and data. Property 32 is the certificate, property 3 its SHA-1 (wincrypt.h,
// CERT_*_PROP_ID).
const (
	propertyHeader      = 12
	propertyCertificate = 32
)

func certificateInBlob(blob []byte) ([]byte, error) {
	for rest := blob; len(rest) > 0; {
		if len(rest) < propertyHeader {
			return nil, fmt.Errorf("the certificate's blob is truncated: its last property has %d bytes",
				len(rest))
		}
		number, size := binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint32(rest[8:])
		rest = rest[propertyHeader:]
		if uint64(size) > uint64(len(rest)) {
			return nil, fmt.Errorf("property %d of the certificate's blob has %d bytes, but only %d are left", number,
				size, len(rest))
		}
		if number == propertyCertificate {
			return rest[:size], nil
		}
		rest = rest[size:]
	}
	return nil, errors.New("the certificate's blob contains no certificate")
}

// certificateName is what a person calls a certificate by.
func certificateName(n pkix.Name) string {
	switch {
	case n.CommonName != "":
		return n.CommonName
	case len(n.OrganizationalUnit) > 0:
		return n.OrganizationalUnit[0]
	}
	return n.String()
}

// serviceName says whether a name is one that Amazon's root authorities have:
// Amazon Root CA 1 to 4 and the Starfield roots before them.
func serviceName(n pkix.Name) bool {
	for _, o := range n.Organization {
		if o == "Amazon" || strings.HasPrefix(o, "Starfield Technologies") {
			return true
		}
	}
	for _, s := range append([]string{n.CommonName}, n.OrganizationalUnit...) {
		if strings.HasPrefix(s, "Amazon Root CA") || strings.HasPrefix(s, "Starfield ") {
			return true
		}
	}
	return false
}

// root says whether the certificate is trusted as a root of Amazon's.
func (c Certificate) root() bool {
	return c.Err == nil && c.SelfIssued && (c.Store == "ROOT" || c.Store == "AuthRoot") && serviceName(c.Subject)
}

// related says whether the certificate is worth naming.
func (c Certificate) related() bool {
	if serviceName(c.Subject) || serviceName(c.Issuer) {
		return true
	}
	names := strings.ToLower(c.Subject.String() + c.Issuer.String())
	return strings.Contains(names, "amazon") || strings.Contains(names, "workspaces") ||
		strings.Contains(names, "skylight")
}

var componentCertificates = entry{
	Requirement: required("win.component.certificates", "", "The AWS and WorkSpaces certificates must be installed.",
		sectionRequirements, explanation{
			Reads: `SOFTWARE: SystemCertificates (of the machine, its policies and the enterprise), stores ROOT, ` +
				`AuthRoot, CA, MY and Disallowed. The subject identifies root certificates of Amazon and Starfield.`,
			Live: `Get-ChildItem Cert:\LocalMachine\Root, Cert:\LocalMachine\AuthRoot | Where-Object Subject -Match ` +
				`'Amazon|Starfield' | Select-Object Subject, NotAfter`,
			Doubts: "AWS does not publish which certificates it requires. The requirement counts as met if at least one " +
				"root certificate of Amazon or Starfield is valid and none is disallowed.",
			Fix: "Download the Amazon root certificates from amazontrust.com/repository. For each file, run certutil " +
				"-addstore Root FILE in an elevated command prompt.",
		}),
	Judge: (*Machine).decideCertificates,
}

func (m *Machine) decideCertificates() requirement.Outcome {
	c, err := m.readCertificates()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeCertificates(c, m.in.Now)
}

// certificateRow is a row of the details of win.component.certificates.
type certificateRow struct {
	Store      string `json:"store"`
	Subject    string `json:"subject,omitempty"`
	Thumbprint string `json:"thumbprint"`
	Expires    string `json:"expires,omitempty"`
	Error      string `json:"error,omitempty"`
}

// judgeCertificates decides win.component.certificates at a point in time: at
// least one root is valid, and no certificate of Amazon or Starfield is
// disallowed. A certificate that cannot be read leaves the decision open only
// where it might change it: among the disallowed ones if a good root was found,
// anywhere if none was.
func judgeCertificates(c Certificates, now time.Time) requirement.Outcome {
	banned := map[string]bool{} // thumbprints and subjects in Disallowed
	var unread, unreadBanned error
	var disallowed []Certificate
	for _, cert := range c.List {
		switch {
		case cert.Store != storeDisallowed:
			if cert.Err != nil && unread == nil && cert.Store != "MY" {
				unread = cert.Err
			}
		case cert.Err != nil:
			banned[cert.Thumbprint] = true
			if unreadBanned == nil {
				unreadBanned = cert.Err
			}
		default:
			banned[cert.Thumbprint] = true
			if serviceName(cert.Subject) {
				disallowed = append(disallowed, cert)
			}
		}
	}
	var good, bad []Certificate
	var reasons []string
	var until time.Time // the last moment for which all of them are as valid as now
	for _, cert := range c.List {
		if cert.root() && !now.After(cert.NotAfter) {
			last := cert.NotAfter
			if now.Before(cert.NotBefore) {
				last = cert.NotBefore.Add(-1)
			}
			if until.IsZero() || last.Before(until) {
				until = last
			}
		}
		switch {
		case !cert.root():
		case banned[cert.Thumbprint]:
			bad, reasons = append(bad, cert), append(reasons, certificateName(cert.Subject)+" (disallowed)")
		case now.After(cert.NotAfter):
			bad, reasons = append(bad, cert), append(reasons,
				fmt.Sprintf("%s (expired on %s)", certificateName(cert.Subject),
					cert.NotAfter.UTC().Format(time.DateOnly)))
		case now.Before(cert.NotBefore):
			bad, reasons = append(bad, cert), append(reasons,
				fmt.Sprintf("%s (valid from %s)", certificateName(cert.Subject),
					cert.NotBefore.UTC().Format(time.DateOnly)))
		default:
			good = append(good, cert)
		}
	}
	slices.SortFunc(good, func(a, b Certificate) int {
		return strings.Compare(certificateName(a.Subject), certificateName(b.Subject))
	})
	var o requirement.Outcome
	switch {
	case len(good) > 0 && len(disallowed) > 0:
		o = requirement.Warn("Certificates of Amazon or Starfield are disallowed: "+someCertificates(disallowed),
			evidenceOfCertificates(good, disallowed)...).Also("Trusted root certificates: " + someCertificates(good))
		o.Remediation = allowCertificates(disallowed)
	case len(good) > 0 && unreadBanned != nil:
		o = requirement.Unreadable(fmt.Errorf("cannot tell whether a root certificate of Amazon is disallowed: %w",
			unreadBanned), evidenceOfCertificates(good)...)
	case len(good) > 0:
		o = requirement.Infer(fmt.Sprintf("%s trusted: %s",
			prose.Count(len(good), "root certificate of Amazon or Starfield is",
				"root certificates of Amazon or Starfield are"), someCertificates(good)),
			evidenceOfCertificates(good)...)
		o = o.Also(form(len(good), "It", "The last one") + " expires on " + lastExpiry(good).UTC().Format(time.DateOnly))
	case unread != nil:
		o = requirement.Unreadable(
			fmt.Errorf("found no valid root certificate of Amazon, but cannot read all certificates: %w", unread),
			c.Stores...)
	case len(bad) > 0:
		o = requirement.Fail("No root certificate of Amazon or Starfield is valid: "+prose.Some(reasons),
			evidenceOfCertificates(bad, disallowed)...)
		if len(disallowed) > 0 {
			o.Remediation = allowCertificates(disallowed)
		}
	default:
		o = requirement.Fail("The machine's stores contain no root certificate of Amazon or Starfield", c.Stores...)
	}
	var rows []certificateRow
	for _, cert := range c.List {
		row := certificateRow{Store: cert.Store, Thumbprint: cert.Thumbprint}
		switch {
		case cert.Err != nil:
			row.Error = cert.Err.Error()
		case cert.related():
			row.Subject, row.Expires = cert.Subject.String(), cert.NotAfter.UTC().Format(time.DateOnly)
		default:
			continue
		}
		rows = append(rows, row)
	}
	o.Details = struct {
		Certificates []certificateRow `json:"certificates,omitempty"`
	}{rows}
	o.Until = until
	return o
}

// allowCertificates says how to take certificates out of the store Disallowed.
func allowCertificates(disallowed []Certificate) string {
	var commands []string
	for _, c := range disallowed {
		commands = append(commands, "certutil -delstore Disallowed "+c.Thumbprint)
	}
	return "In an elevated command prompt, run " + prose.Some(commands) + "."
}

func someCertificates(list []Certificate) string {
	var names []string
	for _, c := range list {
		names = append(names, certificateName(c.Subject))
	}
	return prose.Some(names)
}

func evidenceOfCertificates(lists ...[]Certificate) []requirement.Evidence {
	var evidence []requirement.Evidence
	for _, list := range lists {
		for _, c := range list {
			evidence = append(evidence, c.Evidence)
		}
	}
	return evidence
}

func lastExpiry(list []Certificate) time.Time {
	var last time.Time
	for _, c := range list {
		if c.NotAfter.After(last) {
			last = c.NotAfter
		}
	}
	return last
}
