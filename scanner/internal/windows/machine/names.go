package machine

import (
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/utf16le"
)

// Names distinguishes local accounts from those of a domain.
type Names struct {
	Computer string   // NetBIOS name
	DNS      []string // its names in DNS, with the primary suffix where it has one
	Accounts
}

// Accounts are the SIDs that accounts of the machine and of its domain begin
// with.
type Accounts struct {
	Domain     string // NetBIOS name of the joined domain, "" in a workgroup
	DomainSID  string // "" in a workgroup
	MachineSID string
	SIDErr     error // why the others are not known; nil if they are
}

// Names reads the names and SIDs of the computer and its domain. With an error, what could be read is there.
func (m *Machine) Names() (Names, error) {
	n := Names{Accounts: m.Accounts()}
	var err error
	if n.Computer, err = m.ComputerName(); err == nil {
		n.DNS, err = m.dnsNames()
	}
	return n, err
}

// dnsNames returns the computer's names in DNS, as they are and as they will be
// after the next start: the host name, and with the primary suffix.
func (m *Machine) dnsNames() ([]string, error) {
	parameters, err := m.Key(KeyServices + `\Tcpip\Parameters`)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, prefix := range []string{"", "NV "} {
		host, err := m.Text(parameters, prefix+"Hostname")
		if err != nil {
			return nil, err
		}
		suffix, err := m.Text(parameters, prefix+"Domain")
		if err != nil {
			return nil, err
		}
		if host.Value == "" {
			continue
		}
		names = append(names, host.Value)
		if suffix.Value != "" {
			names = append(names, host.Value+"."+suffix.Value)
		}
	}
	return names, nil
}

// ComputerName is the machine's NetBIOS name, as it will be at the next start.
func (m *Machine) ComputerName() (string, error) {
	s, err := m.TextAt(KeyControl+`\ComputerName\ComputerName`, "ComputerName")
	return s.Value, err
}

// Accounts reads the domain and the two SIDs.
func (m *Machine) Accounts() Accounts {
	a, err := m.accounts.Get(m.Next().readAccounts)
	if err != nil {
		return Accounts{SIDErr: err}
	}
	return a
}

// readAccounts reads them from the LSA's policy. Each of its keys keeps its
// data in the default value.
func (m *Machine) readAccounts() (Accounts, error) {
	var a Accounts
	read := func(key string) ([]byte, error) {
		k, err := m.Key(`HKLM\SECURITY\Policy\` + key)
		if err != nil {
			return nil, err
		}
		if !k.Exists() {
			return nil, fmt.Errorf("%s: key %s not found", k.Evidence.Path, k.Evidence.Key)
		}
		s, err := m.Binary(k, "")
		return s.Value, err
	}
	domain, err := read("PolPrDmN")
	if err != nil {
		return a, err
	}
	if a.Domain, err = LSAString(domain); err != nil {
		return a, fmt.Errorf("PolPrDmN: %w", err)
	}
	sid, err := read("PolPrDmS")
	if err != nil {
		return a, err
	}
	if a.DomainSID, err = optionalSID(sid); err != nil {
		return a, err
	}
	if sid, err = read("PolAcDmS"); err != nil {
		return a, err
	}
	if a.DomainSID == "" {
		a.Domain = "" // what PolPrDmN holds then is the name of the workgroup
	}
	a.MachineSID, err = optionalSID(sid)
	return a, err
}

func optionalSID(b []byte) (string, error) {
	if len(b) == 0 {
		return "", nil
	}
	return ParseSID(b)
}

// LSAString decodes the UNICODE_STRING of an LSA policy value: length and
// maximum length (2 bytes each), offset (4 bytes) and then the characters.
func LSAString(b []byte) (string, error) {
	if len(b) == 0 {
		return "", nil
	}
	if len(b) < 8 || int(le.Uint16(b)) > len(b)-8 {
		return "", fmt.Errorf("%x is not a name", b[:min(len(b), 64)])
	}
	return utf16le.Decode(b[8 : 8+le.Uint16(b)]), nil
}

// An accountKind says where the account lives that a service runs under.
type accountKind int

const (
	accountBuiltIn accountKind = iota // LocalSystem, LocalService, NetworkService, virtual and pool accounts
	accountLocal                      // of this machine
	AccountBare                       // a name without a domain: looked up locally first
	AccountDomain                     // of a domain, or of another machine
)

// Classify finds what account a service has, with variables expanded, from its
// ObjectName. An empty name is LocalSystem.
func (n Names) Classify(account string) accountKind {
	account = strings.TrimSpace(account)
	upper := strings.ToUpper(account)
	switch upper {
	case "", "LOCALSYSTEM", `.\LOCALSYSTEM`, "S-1-5-18", "S-1-5-19", "S-1-5-20":
		return accountBuiltIn
	}
	if strings.HasPrefix(upper, "S-1-") {
		switch {
		case strings.HasPrefix(upper, "S-1-5-80-"), strings.HasPrefix(upper, "S-1-5-82-"),
			strings.HasPrefix(upper, "S-1-5-83-"):
			return accountBuiltIn
		case n.MachineSID != "" && strings.HasPrefix(upper, n.MachineSID+"-"), strings.HasPrefix(upper, "S-1-5-32-"):
			return accountLocal
		}
		return AccountDomain
	}
	domain, _, ok := strings.Cut(upper, `\`)
	switch {
	case !ok && strings.Contains(upper, "@"):
		return AccountDomain
	case !ok:
		return AccountBare
	case domain == "NT SERVICE", domain == "IIS APPPOOL":
		return accountBuiltIn
	case isAuthority(domain):
		return accountBuiltIn
	case domain == ".", domain == "BUILTIN", n.Computer != "" &&
		domain == strings.ToUpper(n.Computer), fold.Contains(n.DNS, domain):
		return accountLocal
	}
	return AccountDomain
}

// isAuthority recognizes NT AUTHORITY as the languages of Windows spell it,
// since ObjectName is written in the language of the system.
func isAuthority(domain string) bool {
	switch domain {
	case "NT AUTHORITY", "NT-AUTORITÄT", "AUTORITE NT", "AUTORITÀ NT", "NT-INSTANS", "NT INSTANS", "AUTORIDADE NT",
		"AUTORIDAD NT", "NT-MYNDIGHET", "NT-HALLINTA", "ZARZĄDZANIE NT", "NT-TEKINTÉLY":
		return true
	}
	return false
}
