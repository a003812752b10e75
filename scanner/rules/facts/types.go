package facts

import "time"

// Windows are the facts of a Windows system. The tags are the names and the
// descriptions of the parts.
type Windows struct {
	System         System        `json:"system" doc:"the version of Windows and the names of the computer"`
	Services       []Service     `json:"services" doc:"services and drivers"`
	Programs       []Program     `json:"programs" doc:"installed programs, as in Apps & features"`
	Packages       []Appx        `json:"packages" doc:"AppX packages"`
	Profiles       []Profile     `json:"profiles" doc:"profiles of users"`
	Accounts       []Account     `json:"accounts" doc:"local accounts"`
	Administrators []Member      `json:"administrators" doc:"members of the local group Administrators"`
	Volumes        []Drive       `json:"volumes" doc:"drives C and D"`
	Adapters       []Adapter     `json:"adapters" doc:"network adapters"`
	Certificates   []Certificate `json:"certificates" doc:"certificates in the stores of the computer"`
	Agents         Agents        `json:"agents" doc:"agents and drivers of AWS"`
	Policies       Policies      `json:"policies" doc:"policies that are in force"`

	Env map[string]string `json:"env" doc:"environment variables of the system, with names in upper case"`
}

// System is the version of Windows.
type System struct {
	From
	Name         string        `json:"name" doc:"product name: Windows Server 2019 Datacenter"`
	Version      string        `json:"version" doc:"version with build and revision: 10.0.17763.4737"`
	Build        int64         `json:"build" doc:"build number: 17763"`
	UBR          int64         `json:"ubr" doc:"revision of the last cumulative update: 4737"`
	Edition      string        `json:"edition" doc:"edition: ServerDatacenter"`
	Client       bool          `json:"client" doc:"true unless it is a server"`
	Installed    Field[Time]   `json:"installed" doc:"when this version was installed"`
	Architecture Field[string] `json:"architecture" doc:"amd64, x86 or arm64"`
	Language     Field[string] `json:"language" doc:"language of the installation as a number: 0409 is US English"`
	ComputerName Field[string] `json:"computer_name" doc:"NetBIOS name"`
	Domain       Field[string] `json:"domain" doc:"NetBIOS name of the domain, or null in a workgroup"`
}

// Time is a moment.
type Time = time.Time

// Service is a service or driver.
type Service struct {
	From
	Name        string        `json:"name" doc:"name of its key"`
	DisplayName string        `json:"display_name" doc:"name in services.msc; it may refer to a resource"`
	Driver      Field[bool]   `json:"driver" doc:"true for a driver of the kernel or of a filesystem"`
	Start       Field[string] `json:"start" doc:"boot, system, automatic, manual or disabled; null if it is missing"`
	Delayed     Field[bool]   `json:"delayed" doc:"an automatic start is delayed"`
	Account     Field[string] `json:"account" doc:"account that it runs under; null if none is set"`
	Image       Field[string] `json:"image" doc:"path of its program or library; null if none is set"`
	Command     Field[string] `json:"command" doc:"command line as it is written; null if none is set"`
	Exists      Field[bool]   `json:"exists" doc:"its program or library exists"`
}

// Program is an entry of the list of installed programs.
type Program struct {
	From
	Name      string        `json:"name" doc:"display name, or the name of its key if it has none"`
	Version   Field[string] `json:"version" doc:"display version"`
	Publisher Field[string] `json:"publisher" doc:"publisher"`
	Location  Field[string] `json:"location" doc:"folder that it is installed in"`
	Scope     string        `json:"scope" doc:"machine or user"`
	User      Field[string] `json:"user" doc:"SID of the user for the scope user, else null"`
	Hidden    bool          `json:"hidden" doc:"a component that Apps & features does not list"`
}

// Appx is an AppX package.
type Appx struct {
	Name        string   `json:"name" doc:"full name"`
	Family      string   `json:"family" doc:"family name"`
	Version     string   `json:"version" doc:"version in the full name"`
	Users       []string `json:"users" doc:"SIDs of users that have it installed"`
	Provisioned bool     `json:"provisioned" doc:"new users get a version of it"`
	System      bool     `json:"system" doc:"a part of Windows"`
}

// Profile is an entry of the ProfileList.
type Profile struct {
	From
	SID       string        `json:"sid" doc:"SID of its account"`
	User      string        `json:"user" doc:"name of the user, from the folder"`
	Path      Field[string] `json:"path" doc:"folder; null if none is set"`
	Kind      Field[string] `json:"kind" doc:"system, service, administrator, domain or local"`
	Temporary bool          `json:"temporary" doc:"Windows made it in the place of a damaged one"`
	Exists    Field[bool]   `json:"exists" doc:"its folder exists"`
}

// Account is a local account.
type Account struct {
	From
	Name     string      `json:"name" doc:"name"`
	RID      int64       `json:"rid" doc:"last number of its SID: 500 is the built-in Administrator"`
	Disabled Field[bool] `json:"disabled" doc:"it cannot sign in"`
}

// Member is a member of a group.
type Member struct {
	From
	SID   string        `json:"sid" doc:"SID"`
	Name  Field[string] `json:"name" doc:"name; null for accounts of domains, whose names are not on the disk"`
	Local bool          `json:"local" doc:"an account of this computer"`
}

// Drive is a drive of a Windows system.
type Drive struct {
	From
	Letter     string        `json:"letter" doc:"C or D"`
	Role       string        `json:"role" doc:"root or user"`
	Filesystem string        `json:"filesystem" doc:"filesystem: NTFS"`
	Size       Field[int64]  `json:"size" doc:"size in bytes"`
	Free       Field[int64]  `json:"free" doc:"free space in bytes"`
	Encrypted  Field[bool]   `json:"encrypted" doc:"encrypted on the disk, or by the service according to a --with file"`
	Encryption Field[string] `json:"encryption" doc:"what encrypts it: BitLocker, LUKS or EBS; null if nothing does"`
}

// Adapter is a network adapter.
type Adapter struct {
	From
	Name        string      `json:"name" doc:"name of the connection"`
	Description string      `json:"description" doc:"name of the device"`
	GUID        string      `json:"guid" doc:"identifier of the interface"`
	Enabled     bool        `json:"enabled" doc:"the device is enabled and bound to TCP/IP"`
	Removed     bool        `json:"removed" doc:"the device is no longer there"`
	DHCP        Field[bool] `json:"dhcp" doc:"it uses DHCP; null if that is not set"`
	Addresses   []string    `json:"addresses" doc:"fixed addresses"`
	DNS         []string    `json:"dns" doc:"fixed name servers"`
}

// Certificate is a certificate in a store.
type Certificate struct {
	From
	Store      string        `json:"store" doc:"ROOT, AuthRoot, CA, MY or Disallowed"`
	Thumbprint string        `json:"thumbprint" doc:"SHA-1 in upper-case hex"`
	Subject    Field[string] `json:"subject" doc:"subject as a distinguished name"`
	Issuer     Field[string] `json:"issuer" doc:"issuer as a distinguished name"`
	NotBefore  Field[Time]   `json:"not_before" doc:"start of its validity"`
	NotAfter   Field[Time]   `json:"not_after" doc:"end of its validity"`
}

// Agents are the agents and drivers of AWS.
type Agents struct {
	SSM      Field[Agent] `json:"ssm" doc:"Amazon SSM Agent"`
	Skylight Field[Agent] `json:"skylight" doc:"agent of WorkSpaces (SkyLight)"`
	PVDriver Field[Agent] `json:"pv_driver" doc:"AWS PV drivers"`
	ENA      Field[Agent] `json:"ena" doc:"driver of the Elastic Network Adapter"`
	NVMe     Field[Agent] `json:"nvme" doc:"driver of NVMe volumes"`
	DCV      Field[Agent] `json:"dcv" doc:"Amazon DCV server"`
	PCoIP    Field[Agent] `json:"pcoip" doc:"PCoIP agent"`
}

// Agent is an agent or driver.
type Agent struct {
	From
	Installed bool          `json:"installed" doc:"it is installed"`
	Version   Field[string] `json:"version" doc:"version; null if it is not installed or states none"`
}

// Policies are policies of Windows.
type Policies struct {
	Firewall   Field[[]FirewallProfile] `json:"firewall" doc:"profiles of the firewall of Windows"`
	PowerShell Field[PowerShell]        `json:"powershell" doc:"Windows PowerShell"`
}

// FirewallProfile is what the firewall does on networks of a kind.
type FirewallProfile struct {
	From
	Profile      string `json:"profile" doc:"Domain, Private or Public"`
	Enabled      bool   `json:"enabled" doc:"the firewall is on"`
	BlockAll     bool   `json:"block_all" doc:"it blocks all inbound connections, whatever the rules say"`
	AllowInbound bool   `json:"allow_inbound" doc:"it allows inbound connections that no rule names"`
}

// PowerShell are the settings of Windows PowerShell.
type PowerShell struct {
	From
	Version            Field[string] `json:"version" doc:"version; null if it is not installed"`
	ScriptBlockLogging Field[bool]   `json:"script_block_logging" doc:"a policy logs script blocks"`
	Transcription      Field[bool]   `json:"transcription" doc:"a policy writes transcripts"`
	ExecutionPolicy    Field[string] `json:"execution_policy" doc:"policy of the computer; null if none is set"`
}

// File is a file or folder.
type File struct {
	Exists bool         `json:"exists" doc:"it exists"`
	Folder bool         `json:"folder" doc:"it is a folder"`
	Size   Field[int64] `json:"size" doc:"size in bytes; null if it does not exist"`
	MTime  Field[Time]  `json:"mtime" doc:"time of the last change; null if it does not exist"`
}

// Linux are the facts of a Linux system.
type Linux struct {
	System      LinuxSystem  `json:"system" doc:"the distribution and the name of the computer"`
	Packages    []Package    `json:"packages" doc:"installed packages"`
	Units       []Unit       `json:"units" doc:"units of systemd"`
	Users       []User       `json:"users" doc:"accounts in /etc/passwd"`
	Groups      []Group      `json:"groups" doc:"groups in /etc/group"`
	Volumes     []Filesystem `json:"volumes" doc:"the root and the user volume"`
	SSHD        SSHD         `json:"sshd" doc:"the configuration of the OpenSSH server"`
	TimeSources []TimeSource `json:"time_sources" doc:"time servers in the configuration of chrony, timesyncd and ntpd"`
}

// LinuxSystem is which Linux it is.
type LinuxSystem struct {
	From
	ID           string `json:"id" doc:"distribution: amzn, ubuntu, rhel or rocky"`
	Version      string `json:"version" doc:"version: 2 or 22.04"`
	Name         string `json:"name" doc:"name: Amazon Linux 2"`
	Architecture string `json:"architecture" doc:"amd64, arm64 or 386; empty if it is not known"`
	ComputerName string `json:"computer_name" doc:"host name; empty if none is set"`
}

// Package is an installed package.
type Package struct {
	Name      string `json:"name" doc:"name"`
	Epoch     int64  `json:"epoch" doc:"epoch; 0 if it has none"`
	Version   string `json:"version" doc:"version without epoch and release"`
	Release   string `json:"release" doc:"release, or the Debian revision"`
	Arch      string `json:"arch" doc:"architecture"`
	Manager   string `json:"manager" doc:"rpm or dpkg"`
	Installed Time   `json:"installed" doc:"when it was installed"`
}

// Unit is a unit of systemd.
type Unit struct {
	From
	Name    string        `json:"name" doc:"name with its suffix: sshd.service"`
	State   Field[string] `json:"state" doc:"state: enabled, disabled, static, masked, missing and others"`
	Enabled Field[bool]   `json:"enabled" doc:"it starts at boot"`
	Masked  Field[bool]   `json:"masked" doc:"it cannot start"`
}

// User is an account.
type User struct {
	From
	Name  string `json:"name" doc:"name"`
	UID   int64  `json:"uid" doc:"number"`
	GID   int64  `json:"gid" doc:"number of its first group"`
	Home  string `json:"home" doc:"home folder"`
	Shell string `json:"shell" doc:"shell; empty for /bin/sh"`
	// Locked is read from /etc/shadow.
	Locked Field[bool] `json:"locked" doc:"it has no password that works"`
}

// Group is a group.
type Group struct {
	From
	Name    string   `json:"name" doc:"name"`
	GID     int64    `json:"gid" doc:"number"`
	Members []string `json:"members" doc:"names of users for whom it is an additional group"`
}

// Filesystem is a volume of a Linux system.
type Filesystem struct {
	From
	Role       string        `json:"role" doc:"root or user"`
	Path       string        `json:"path" doc:"where it is mounted: / or /home"`
	Filesystem string        `json:"filesystem" doc:"filesystem: ext4 or xfs"`
	Size       Field[int64]  `json:"size" doc:"size in bytes"`
	Free       Field[int64]  `json:"free" doc:"space in bytes that users may still take"`
	Encrypted  Field[bool]   `json:"encrypted" doc:"encrypted on the disk, or by the service according to a --with file"`
	Encryption Field[string] `json:"encryption" doc:"what encrypts it: LUKS or EBS; null if nothing does"`
}

// SSHD is the configuration of the OpenSSH server.
type SSHD struct {
	From
	Installed              bool          `json:"installed" doc:"/usr/sbin/sshd exists"`
	PermitRootLogin        Field[string] `json:"permit_root_login" doc:"value for root; unknown if connections differ"`
	RootLogin              bool          `json:"root_login" doc:"PermitRootLogin is not no on every connection"`
	PasswordAuthentication Field[string] `json:"password_authentication" doc:"PasswordAuthentication outside Match blocks"`
	Ports                  []int64       `json:"ports" doc:"ports that it listens on"`
}

// TimeSource is a server that the system takes its time from.
type TimeSource struct {
	From
	Daemon  string `json:"daemon" doc:"chrony, timesyncd or ntpd"`
	Kind    string `json:"kind" doc:"server, pool, peer or fallback"`
	Address string `json:"address" doc:"name or address"`
}
