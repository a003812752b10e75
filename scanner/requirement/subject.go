package requirement

// SubjectKind says what a Subject is.
type SubjectKind string

// The kinds of subjects.
const (
	SubjectProfile SubjectKind = "profile" // of a user of Windows: ID is the SID, Value the folder
	SubjectService SubjectKind = "service" // of Windows: ID is its name, Value what is wrong with it
	// of systemd: ID is its name with the suffix, Value what keeps it from starting
	SubjectUnit    SubjectKind = "unit"
	SubjectPackage SubjectKind = "package" // of AppX, rpm or dpkg: ID is its full name
	SubjectAdapter SubjectKind = "adapter" // of a network: ID is the GUID of the interface, or its name
	// an installed application, or what starts: ID is its name, or its path where it has none; Value is its path
	SubjectProgram  SubjectKind = "program"
	SubjectDrive    SubjectKind = "drive"    // ID is the letter, Value where it leads
	SubjectSetting  SubjectKind = "setting"  // ID is the name of the setting, Value what it is
	SubjectProtocol SubjectKind = "protocol" // of TLS: ID is its name, Value the side
	// of a network protocol: ID is "tcp/8200", Value the firewall or its profile
	SubjectPort SubjectKind = "port"
	// ID is the path on the volume, with "/"; Value is the volume where that is not the root
	SubjectFile   SubjectKind = "file"
	SubjectFolder SubjectKind = "folder" // as of a file
)

// Reason is a code for what a finding says of a subject.
type Reason string

// Reasons that programs act on. Other subjects have one that their requirement
// documents, or none.
const (
	ReasonExtra     Reason = "extra"      // there is one more than there may be
	ReasonTemporary Reason = "temporary"  // it stands in for one that does not load
	ReasonDamaged   Reason = "damaged"    // part of it is missing or contradicts the rest
	ReasonMissing   Reason = "missing"    // it is not there
	ReasonDisabled  Reason = "disabled"   // it does not start
	ReasonMasked    Reason = "masked"     // it cannot start
	ReasonEnabled   Reason = "enabled"    // it starts
	ReasonStartType Reason = "start_type" // it starts in another way than it must
	ReasonAccount   Reason = "account"    // it runs under an account that it must not have
	ReasonStatic    Reason = "static"     // its address is fixed
	ReasonMapped    Reason = "mapped"     // a user maps it from the network
	ReasonStaged    Reason = "staged"     // it is staged and not installed
	ReasonPolicy    Reason = "policy"     // a Group Policy or an environment variable sets it
	ReasonPresent   Reason = "present"    // it is there and must not be
	ReasonValue     Reason = "value"      // it has a value that it must not have
	ReasonAmbiguous Reason = "ambiguous"  // it may be what is meant or not: which, cannot be told
	ReasonBlocked   Reason = "blocked"    // something else keeps it from starting, or from being reached
	ReasonBoot      Reason = "boot"       // the boot loader's configuration keeps it from starting
	ReasonPulledIn  Reason = "pulled_in"  // it starts because another unit names it, not because it is enabled
	ReasonNoAddress Reason = "no_address" // it has no address and no way to get one
)

// Subject is a thing that a finding is about: what a program acts on, where a
// person reads the message. Its texts come from the disk.
type Subject struct {
	Kind   SubjectKind
	ID     string // what the system calls it
	Name   string // what a person calls it; "" where that is the ID
	Reason Reason
	Value  string // what is wrong with it, as the kind says; "" if that says nothing
}
