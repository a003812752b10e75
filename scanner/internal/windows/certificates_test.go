package windows

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/requirement/requirementtest"
)

var (
	amazon    = pkix.Name{CommonName: "Amazon Root CA 1", Organization: []string{"Amazon"}, Country: []string{"US"}}
	starfield = pkix.Name{OrganizationalUnit: []string{"Starfield Class 2 Certification Authority"},
		Organization: []string{"Starfield Technologies, Inc."}}
	stranger = pkix.Name{CommonName: "Amazonas Forestry Root", Organization: []string{"Amazonas Forestry"}}
)

func TestCertificates(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(subject pkix.Name, store, thumbprint string, until time.Time) Certificate {
		return Certificate{Store: store, Thumbprint: thumbprint, Subject: subject, Issuer: subject, SelfIssued: true,
			NotBefore: now.AddDate(-20, 0, 0), NotAfter: until, Evidence: evidence}
	}
	root := func(subject pkix.Name, store, thumbprint string) Certificate {
		return at(subject, store, thumbprint, now.AddDate(10, 0, 0))
	}
	damaged := func(store, thumbprint string) Certificate {
		return Certificate{Store: store, Thumbprint: thumbprint, Err: errors.New("the certificate is damaged"),
			Evidence: evidence}
	}
	intermediate := root(amazon, "ROOT", "01")
	intermediate.SelfIssued = false
	later := root(amazon, "ROOT", "01")
	later.NotBefore = now.Add(time.Second)
	began := later
	began.NotBefore = now
	for name, c := range map[string]struct {
		list []Certificate
		want verdict
		says string
	}{
		"amazon": {[]Certificate{root(amazon, "ROOT", "01")}, inferred,
			"1 root certificate of Amazon or Starfield is trusted: Amazon Root CA 1. It expires on 2036-03-01."},
		"amazon and starfield": {[]Certificate{root(amazon, "ROOT", "01"), root(starfield, "AuthRoot", "02")},
			inferred,
			"2 root certificates of Amazon or Starfield are trusted: Amazon Root CA 1, Starfield Class 2 Certification " +
				"Authority. The last one expires on"},
		"starfield alone": {[]Certificate{root(starfield, "AuthRoot", "02")}, inferred, "Starfield Class 2"},
		"none":            {nil, failed, "no root certificate"},
		"a stranger":      {[]Certificate{root(stranger, "ROOT", "03")}, failed, "no root certificate"},
		"where roots are not trusted": {[]Certificate{root(amazon, "CA", "01"), root(amazon, "MY", "01")}, failed,
			"no root certificate"},
		"no root":         {[]Certificate{intermediate}, failed, "no root certificate"},
		"valid until now": {[]Certificate{at(amazon, "ROOT", "01", now)}, inferred, "expires on 2026-03-01"},
		"expired a second ago": {[]Certificate{at(amazon, "ROOT", "01", now.Add(-time.Second))}, failed,
			"Amazon Root CA 1 (expired on 2026-03-01)"},
		"one of two expired": {[]Certificate{at(amazon, "ROOT", "01", now.Add(-time.Second)),
			root(starfield, "ROOT", "02")}, inferred, "1 root"},
		"not yet valid":  {[]Certificate{later}, failed, "valid from 2026-03-01"},
		"valid from now": {[]Certificate{began}, inferred, "1 root"},
		"disallowed": {[]Certificate{root(amazon, "ROOT", "01"), root(amazon, "Disallowed", "01")}, failed,
			"Amazon Root CA 1 (disallowed)"},
		"one of two disallowed": {[]Certificate{root(amazon, "ROOT", "01"), root(starfield, "ROOT", "02"),
			root(amazon, "Disallowed", "01")}, warning, "are disallowed: Amazon Root CA 1"},
		"another of its name": {[]Certificate{root(amazon, "ROOT", "01"), root(amazon, "Disallowed", "09")},
			warning, "are disallowed"},
		"a stranger disallowed": {[]Certificate{root(amazon, "ROOT", "01"), root(stranger, "Disallowed", "03")},
			inferred, "1 root"},
		"one unread beside it": {[]Certificate{root(amazon, "ROOT", "01"), damaged("ROOT", "04")}, inferred,
			"1 root"},
		"one unread, none found": {[]Certificate{damaged("AuthRoot", "04")}, undetermined,
			"cannot read all certificates"},
		"one unread, found one expired": {[]Certificate{at(amazon, "ROOT", "01", now.Add(-time.Second)),
			damaged("ROOT", "04")}, undetermined, "cannot read all"},
		"own one unread, none found": {[]Certificate{damaged("MY", "04")}, failed, "no root certificate"},
		"disallowed one unread": {[]Certificate{root(amazon, "ROOT", "01"), damaged("Disallowed", "04")}, undetermined,
			"whether a root certificate of Amazon is disallowed"},
		"itself disallowed, unread": {[]Certificate{root(amazon, "ROOT", "01"), damaged("Disallowed", "01")}, failed,
			"disallowed"},
	} {
		t.Run(name, func(t *testing.T) {
			certs := Certificates{List: c.list}
			certs.Stores = append(certs.Stores, evidence)
			o := judgeCertificates(certs, now)
			check(t, componentCertificates, o, c.want)
			if !strings.Contains(o.Message, c.says) {
				t.Errorf("%q does not say %q", o.Message, c.says)
			}
			requirementtest.Until(t, now, func(now time.Time) requirement.Outcome { return judgeCertificates(certs, now) })
		})
	}
}

// selfSigned returns a certificate as it is stored: its blob and thumbprint.
func selfSigned(t testing.TB, subject pkix.Name, serial int64) (der []byte, thumbprint string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: subject,
		NotBefore: time.Date(2015, 5, 26, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2038, 1, 17, 0, 0, 0, 0, time.UTC)}
	der, err = x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return der, thumbprintOf(der)
}

func thumbprintOf(der []byte) string { return fmt.Sprintf("%X", sha1.Sum(der)) }

func property(number uint32, data []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, number)
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}

func TestCertificateBlob(t *testing.T) {
	der, thumbprint := selfSigned(t, amazon, 1)
	friendly := property(11, utf16LE("Amazon\x00"))
	whole := append(friendly[:len(friendly):len(friendly)], property(propertyCertificate, der)...)
	broken := append([]byte(nil), der...)
	broken[len(broken)-1] ^= 1
	garbage := []byte("no certificate at all")
	for name, c := range map[string]struct {
		blob       []byte
		thumbprint string
		err        string // "" if it is read
	}{
		"with properties":     {whole, thumbprint, ""},
		"lower-case name":     {whole, strings.ToLower(thumbprint), ""},
		"properties after it": {append(property(propertyCertificate, der), friendly...), thumbprint, ""},
		"empty":               {nil, thumbprint, "contains no certificate"},
		"without certificate": {friendly, thumbprint, "contains no certificate"},
		"cut in a header":     {friendly[:11], thumbprint, "is truncated: its last property has 11 bytes"},
		"cut in the data":     {whole[:len(whole)-1], thumbprint, "bytes, but only"},
		"length past the end": {[]byte{32, 0, 0, 0, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF}, thumbprint,
			"bytes, but only 0 are left"},
		"changed":              {property(propertyCertificate, broken), thumbprint, "is damaged"},
		"of another key":       {whole, strings.Repeat("0", 40), "is damaged"},
		"no certificate in it": {property(propertyCertificate, garbage), thumbprintOf(garbage), "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseCertificate(c.blob, c.thumbprint)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v, want %q", err, c.err)
				}
				return
			}
			if err != nil || got.Subject.CommonName != amazon.CommonName || !got.SelfIssued || !serviceName(got.Subject) ||
				got.NotAfter.Year() != 2038 || got.Thumbprint != thumbprint {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// Windows disallows some certificates with serial numbers that crypto/x509
// does not accept.
func TestCertificateWithNegativeSerial(t *testing.T) {
	der, _ := selfSigned(t, amazon, 5)
	serial := []byte{2, 1, 5}
	at := strings.Index(string(der), string(serial))
	der[at+2] = 0x85
	if _, err := x509.ParseCertificate(der); err == nil {
		t.Fatal("crypto/x509 accepts it: the test shows nothing")
	}
	c, err := parseCertificate(property(propertyCertificate, der), thumbprintOf(der))
	if err != nil || c.Subject.CommonName != amazon.CommonName {
		t.Errorf("%+v, %v", c, err)
	}
}

func FuzzCertificateBlob(f *testing.F) {
	for _, subject := range []pkix.Name{amazon, starfield, {}} {
		der, _ := selfSigned(f, subject, 1)
		f.Add(property(propertyCertificate, der))
		f.Add(append(property(3, []byte{1, 2, 3}), property(propertyCertificate, der[:len(der)/2])...))
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		der, err := certificateInBlob(blob)
		if err != nil {
			return
		}
		c, err := parseCertificate(blob, thumbprintOf(der))
		if err != nil {
			return
		}
		var any asn1.RawValue
		if _, err := asn1.Unmarshal(der, &any); err != nil {
			t.Errorf("read although it is no DER: %v", err)
		}
		c.root()
		c.related()
	})
}
