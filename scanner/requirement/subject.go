package requirement

// SubjectKind says what a Subject is.
type SubjectKind string

// The kinds of subjects.
const (
	SubjectProfile  SubjectKind = "profile"  // of a user of Windows: ID is the SID, Value the folder
	SubjectService  SubjectKind = "service"  // of Windows: ID is its name, Value what is wrong with it
	SubjectUnit     SubjectKind = "unit"     // of systemd: ID is its name with the suffix
	SubjectPackage  SubjectKind = "package"  // of AppX, rpm or dpkg: ID is its full name
	SubjectAdapter  SubjectKind = "adapter"  // of a network: ID is the GUID of the interface, or its name
	SubjectProgram  SubjectKind = "program"  // an installed application, or what starts: ID is its name, Value its path
	SubjectDrive    SubjectKind = "drive"    // ID is the letter, Value where it leads
	SubjectSetting  SubjectKind = "setting"  // ID is the name of the setting, Value what it is
	SubjectProtocol SubjectKind = "protocol" // of TLS: ID is its name, Value the side
	SubjectFile     SubjectKind = "file"     // ID is the path on the root volume, with "/"
	SubjectFolder   SubjectKind = "folder"   // ID is the path on the root volume, with "/"
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
	ReasonAmbiguous Reason = "ambiguous"  // it is one of several, of which one is meant
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
