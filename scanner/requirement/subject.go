package requirement

// SubjectKind is the kind of a Subject.
type SubjectKind string

// The kinds of subjects.
const (
	SubjectProfile SubjectKind = "profile" // of a user of Windows: ID is the SID, Value the folder
	SubjectService SubjectKind = "service" // of Windows: ID is its name, Value the problem
	// of systemd: ID is its name with the suffix, Value the reason why it does
	// not start
	SubjectUnit    SubjectKind = "unit"
	SubjectPackage SubjectKind = "package" // of AppX, rpm or dpkg: ID is its full name
	SubjectAdapter SubjectKind = "adapter" // of a network: ID is the GUID of the interface, or its name
	// an installed application or a program that starts: ID is its name, or its
	// path if it has none; Value is its path
	SubjectProgram  SubjectKind = "program"
	SubjectDrive    SubjectKind = "drive"    // ID is the letter, Value its target
	SubjectSetting  SubjectKind = "setting"  // ID is the name of the setting, Value its value
	SubjectProtocol SubjectKind = "protocol" // of TLS: ID is its name, Value the side
	// of a network protocol: ID is "tcp/8200", Value the firewall or its profile
	SubjectPort SubjectKind = "port"
	// ID is the path on the volume, with "/"; Value is the volume if it is not
	// the root volume
	SubjectFile   SubjectKind = "file"
	SubjectFolder SubjectKind = "folder" // ID and Value as for a file
)

// Reason is a code for the problem with a subject.
type Reason string

// Reasons that programs act on. Other subjects have no reason, or one that
// their requirement documents.
const (
	ReasonExtra     Reason = "extra"      // there is one more than allowed
	ReasonTemporary Reason = "temporary"  // it replaces one that does not load
	ReasonDamaged   Reason = "damaged"    // part of it is missing or contradicts the rest
	ReasonMissing   Reason = "missing"    // it is missing
	ReasonDisabled  Reason = "disabled"   // it does not start
	ReasonMasked    Reason = "masked"     // it cannot start
	ReasonEnabled   Reason = "enabled"    // it starts
	ReasonStartType Reason = "start_type" // it starts in another way than it must
	ReasonAccount   Reason = "account"    // it runs under an account that is not allowed
	ReasonStatic    Reason = "static"     // its address is fixed
	ReasonMapped    Reason = "mapped"     // a user maps it from the network
	ReasonStaged    Reason = "staged"     // it is staged but not installed
	ReasonPolicy    Reason = "policy"     // a Group Policy or an environment variable sets it
	ReasonPresent   Reason = "present"    // it exists and must not
	ReasonValue     Reason = "value"      // it has a value that is not allowed
	ReasonAmbiguous Reason = "ambiguous"  // it cannot be identified for certain
	ReasonBlocked   Reason = "blocked"    // something else prevents it from starting or blocks access to it
	ReasonBoot      Reason = "boot"       // the boot loader's configuration prevents it from starting
	ReasonPulledIn  Reason = "pulled_in"  // it starts because another unit names it, not because it is enabled
	ReasonNoAddress Reason = "no_address" // it has no address and no way to get one
)

// Subject is a thing that a finding is about, in a form that programs can act
// on. Its strings come from the disk.
type Subject struct {
	Kind   SubjectKind
	ID     string // its identifier on the system
	Name   string // its display name; "" if that is the ID
	Reason Reason
	Value  string // detail whose meaning depends on the kind; "" if there is none
}
