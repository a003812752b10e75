package machine

// Keys of HKLM that apply to the computer.
const (
	KeyCurrentVersion = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	KeyMachineWindows = `HKLM\SOFTWARE` + KeyWindows
	KeyGroupPolicy    = KeyMachineWindows + `\Group Policy`
	KeyControl        = `HKLM\SYSTEM\CurrentControlSet\Control`
	KeyEnvironment    = KeyControl + `\Session Manager\Environment`
	KeyServices       = `HKLM\SYSTEM\CurrentControlSet\Services`

	keyProfileList = KeyCurrentVersion + `\ProfileList`
)

// KeyWindows is where Windows keeps its settings below a view of the software, or below the Software key of a user.
const KeyWindows = `\Microsoft\Windows\CurrentVersion`

// SoftwareViews are the two places where software registers itself for all
// users: the second is that of 32-bit programs, and is not there on a 32-bit
// system.
var SoftwareViews = []string{`HKLM\SOFTWARE`, `HKLM\SOFTWARE\Wow6432Node`}
