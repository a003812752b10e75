package windows

import (
	"bufio"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

var byolFirmware = entry{
	Requirement: required("byol.boot.firmware", "UEFINotSupported",
		"Windows 10 must start from a BIOS, and Windows 11 must start from UEFI.", sectionBYOL, explanation{
			Reads: `The EFI system partition with \EFI\Microsoft\Boot\BCD and bootmgfw.efi; the active partition of an MBR ` +
				`with \Boot\BCD and \bootmgr. Without a disk: C:\Windows\Panther\setupact.log and SYSTEM: ` +
				`Control\PEFirmwareType.`,
			Live:   "msinfo32; bcdedit",
			Doubts: "The log shows how Windows was installed. It does not show a later conversion of the disk.",
			Fix: "Windows 11: run mbr2gpt /convert /allowFullOS and start in UEFI mode. Windows 10: install it in BIOS " +
				"mode.",
		}),
	Judge: (*Machine).decideFirmware,
}

// firmware is how Windows starts.
type firmware struct {
	Boots  []bootFiles
	Err    error // why Boots may lack some
	Looked requirement.Evidence

	Log  firmwareLine            // of the installation
	Type machine.Setting[uint32] // PEFirmwareType: 1 for a BIOS, 2 for UEFI
}

// A firmwareLine is the line of the log of Windows Setup that names the firmware.
type firmwareLine struct {
	Type   int // 1 for a BIOS, 2 for UEFI, 0 if there is no such line
	Line   logLine
	File   machine.File
	Unread error
}

// Values of PEFirmwareType, and of the line in the log (GetFirmwareType, FIRMWARE_TYPE).
const (
	firmwareBIOS = 1
	firmwareUEFI = 2
)

func (m *Machine) decideFirmware() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	var f firmware
	if f.Type, err = m.DWordAt(machine.KeyControl, "PEFirmwareType"); err != nil {
		return requirement.Unreadable(err)
	}
	f.Boots, f.Err = m.boots()
	for _, b := range f.Boots {
		f.Err = fact.Join(f.Err, b.Err)
	}
	if d := m.in.rootDisk(); d != nil {
		f.Looked = d.evidence(fmt.Sprintf("%s, %s", d.Name, prose.Count(len(d.Parts), "volume", "volumes")))
	}
	if !f.found() {
		f.Log = m.readFirmwareLine()
	}
	return judgeFirmware(s, f)
}

// found says whether a partition was found from which Windows starts.
func (f firmware) found() bool {
	return slices.ContainsFunc(f.Boots, func(b bootFiles) bool { return b.UEFI || b.BIOS })
}

// readFirmwareLine reads the last line of the log of Windows Setup that names the firmware.
func (m *Machine) readFirmwareLine() (line firmwareLine) {
	win := `C:\` + m.SystemRoot + folderSetupLogs + "setupact.log"
	v, name, err := m.Locate(win)
	if err == nil {
		line.File, err = v.File(name)
	}
	switch {
	case err != nil:
		line.Unread = err
		return line
	case !line.File.Exists:
		return line
	case line.File.Size > maxLog:
		line.Unread = line.File.TooLarge(maxLog)
		return line
	}
	r, size, err := v.Open(name)
	if err == nil {
		err = m.Meter.File(size)
	}
	if err == nil {
		line.Type, line.Line, err = parseFirmwareLine(io.NewSectionReader(r, 0, size))
		line.File.Evidence.Content = true
	}
	line.Unread = err
	return line
}

// parseFirmwareLine finds the last line of a log that Windows Setup writes about the firmware, as
// "Callback_BootEnvironmentDetect: FirmwareType 2" or "… Detected boot environment: UEFI". Both are from observation.
func parseFirmwareLine(r io.Reader) (kind int, line logLine, err error) {
	scan := bufio.NewScanner(withoutZeros{decodeLog(r)})
	scan.Buffer(nil, maxLogLine)
	for number := 1; scan.Scan(); number++ {
		text := scan.Text()
		i := fold.Index(text, "Callback_BootEnvironmentDetect")
		if i < 0 {
			continue
		}
		found := 0
		switch rest := strings.TrimSpace(text[i:]); {
		case fold.HasSuffix(rest, "FirmwareType 1."), fold.HasSuffix(rest, "FirmwareType 1"), fold.HasSuffix(rest, " BIOS"):
			found = firmwareBIOS
		case fold.HasSuffix(rest, "FirmwareType 2."), fold.HasSuffix(rest, "FirmwareType 2"), fold.HasSuffix(rest, "EFI"):
			found = firmwareUEFI
		}
		if found != 0 {
			kind, line = found, logLine{Number: number, Time: lineTime(text), Text: short256(text)}
		}
	}
	return kind, line, scan.Err()
}

// firmwareNames are the kinds of firmware as messages name them.
var firmwareNames = map[int]string{firmwareBIOS: "a BIOS", firmwareUEFI: "UEFI"}

// judgeFirmware decides byol.boot.firmware.
func judgeFirmware(s machine.System, f firmware) requirement.Outcome {
	want := firmwareBIOS
	if eleven(s) {
		want = firmwareUEFI
	}
	var uefi, bios []string
	var evidence []requirement.Evidence
	for _, b := range f.Boots {
		ev := b.Part.Evidence
		if b.UEFI {
			uefi = append(uefi, b.Part.Name)
			ev.Note = `contains \EFI\Microsoft\Boot\BCD and bootmgfw.efi`
		}
		if b.BIOS {
			bios = append(bios, b.Part.Name)
			ev.Note = `contains \Boot\BCD and \bootmgr`
		}
		evidence = append(evidence, ev)
	}
	demand := s.Name() + " must start from " + firmwareNames[want]
	is := firmwareBIOS
	if len(uefi) > 0 {
		is = firmwareUEFI
	}
	from := prose.Some(append(slices.Clone(uefi), bios...))
	switch {
	case len(uefi) > 0 && len(bios) > 0:
		return requirement.Warn(fmt.Sprintf("The disk starts Windows from UEFI (%s) and from a BIOS (%s). %s.",
			prose.Some(uefi), prose.Some(bios), demand), evidence...)
	case len(uefi)+len(bios) > 0 && is != want:
		return requirement.Fail(fmt.Sprintf("Windows starts from %s (%s). %s.", firmwareNames[is], from, demand),
			evidence...)
	case len(uefi)+len(bios) > 0 && f.Err != nil:
		return requirement.Unreadable(fact.Because("cannot tell whether Windows also starts in another way", f.Err),
			evidence...)
	case len(uefi)+len(bios) > 0:
		return requirement.Pass(fmt.Sprintf("Windows starts from %s (%s).", firmwareNames[is], from), evidence...)
	case f.Err != nil && f.Err != errNotDisk:
		return requirement.Unreadable(fact.Because("cannot read how Windows starts", f.Err), f.Looked)
	}
	return judgeInstalledFirmware(f, want, demand)
}

// judgeInstalledFirmware decides byol.boot.firmware where the images show no partition from which Windows starts.
func judgeInstalledFirmware(f firmware, want int, demand string) requirement.Outcome {
	const none = "The images contain no partition from which Windows starts."
	looked := []requirement.Evidence{f.Log.File.Evidence, f.Type.Evidence}
	switch {
	case f.Log.Unread != nil:
		return requirement.Unreadable(f.Log.Unread, f.Type.Evidence).Also(none)
	case f.Log.Type == 0:
		return requirement.Unknown(none+" The log of Windows Setup does not name the firmware. Give an image of the disk.",
			looked...)
	case f.Log.Type != want || f.Type.Present && int(f.Type.Value) != want:
		return requirement.Unknown(fmt.Sprintf("%s %s, but Windows was installed from %s or last started from other "+
			"firmware. Give an image of the disk.", none, demand, firmwareNames[f.Log.Type]), looked...)
	}
	return requirement.Infer(fmt.Sprintf("%s Windows was installed from %s (setupact.log, line %d).", none,
		firmwareNames[want], f.Log.Line.Number), f.Log.Line.evidence(f.Log.File), f.Type.Evidence)
}

var byolBootSingle = entry{
	Requirement: required("byol.boot.single", "MultipleBootPartition",
		"The disk must have only one partition to start from.", sectionBYOLErrors, explanation{
			Reads: "The active flags of an MBR, the EFI system partitions, and the boot menu in the BCD.",
			Live:  "Get-Partition | Where-Object IsActive; bcdedit",
			Doubts: "The service's script counts partitions. That the boot menu has two entries of Windows is a warning: " +
				"VM Import does not support it.",
			Fix: "In diskmgmt.msc, leave one partition active, or delete the second EFI system partition. In msconfig, " +
				"delete the other systems.",
		}),
	Judge: (*Machine).decideBootSingle,
}

func (m *Machine) decideBootSingle() requirement.Outcome {
	d := m.in.rootDisk()
	if d == nil || d.Table == "none" {
		return requirement.Unreadable(errNotDisk)
	}
	boots, err := m.boots()
	return judgeBootSingle(d, boots, err)
}

// judgeBootSingle decides byol.boot.single.
func judgeBootSingle(d *Disk, boots []bootFiles, err error) requirement.Outcome {
	var names, menu []string
	var evidence []requirement.Evidence
	for _, p := range d.Parts {
		if p.Kind == PartEFI || p.Active && d.Table == "mbr" {
			names, evidence = append(names, p.Name), append(evidence, p.Evidence)
		}
	}
	for _, b := range boots {
		err = fact.Join(err, b.Err)
		for _, l := range b.Loaders {
			menu = append(menu, prose.Short(l.Name+" ("+l.Path+")"))
		}
	}
	looked := d.evidence(fmt.Sprintf("%s, %s", d.Name, prose.Count(len(d.Parts), "partition", "partitions")))
	switch {
	case len(names) > 1:
		return requirement.Fail("The disk has several partitions to start from: "+prose.Some(names)+".", evidence...)
	case len(menu) > 1:
		return requirement.Warn("The boot menu has several entries of Windows: "+prose.Some(menu)+".",
			append(evidence, looked)...)
	case d.Incomplete != nil:
		return requirement.Unreadable(fmt.Errorf("the partition table is damaged: %w", d.Incomplete), looked)
	case err != nil:
		return requirement.Unreadable(err, append(evidence, looked)...)
	case len(names) == 0:
		return requirement.Unknown("The disk has no active partition and no EFI system partition.", looked)
	}
	return requirement.Pass("The disk starts from one partition: "+names[0]+".", evidence...)
}

var byolShutdown = entry{
	Requirement: recommended("byol.shutdown.clean", "", "The computer should have been shut down before the export.",
		sectionBYOL, explanation{
			Reads: "The dirty flag of the root volume, the sequence numbers of SYSTEM and SOFTWARE, and the beginning of " +
				"hiberfil.sys. The event log System (Kernel-General 12, 13; EventLog 6006) is evidence.",
			Live: "shutdown /s /t 0",
			Fix:  "Shut Windows down with shutdown /s /t 0, which skips fast startup, and export the disk again.",
		}),
	Judge: (*Machine).decideShutdown,
}

// lastShutdown is what the disk shows of how Windows stopped.
type lastShutdown struct {
	State      volume.State // of the root volume
	Recovered  []string     // hives with changes that are only in their logs
	Hibernated bool         // hiberfil.sys contains a system to resume
	Hiberfil   requirement.Evidence
	Volume     requirement.Evidence
}

func (m *Machine) decideShutdown() requirement.Outcome {
	var l lastShutdown
	root := m.Drive("C")
	l.State = root.FS.Info().State
	l.Volume = requirement.Evidence{Kind: requirement.KindVolume, Origin: requirement.OriginDisk, Found: true,
		Source: root.Role, Data: string(l.State)}
	for _, key := range []string{keySetup, machine.KeyCurrentVersion} {
		if _, err := m.Key(key); err != nil {
			return requirement.Unreadable(err)
		}
	}
	for _, h := range m.OpenedHives() {
		name := path.Base(h.Path)
		if h.Source == machine.RoleRoot && (name == "SYSTEM" || name == "SOFTWARE") &&
			h.Recovery.State == registry.Recovered {
			l.Recovered = append(l.Recovered, h.Path)
		}
	}
	var err error
	if l.Hibernated, l.Hiberfil, err = m.hibernated(); err != nil {
		return requirement.Unreadable(err)
	}
	e, err := m.Events()
	if err != nil {
		e = Events{}
	}
	return withShutdown(judgeShutdown(l), e)
}

// withShutdown adds what the event log shows of the end of the last run. That it shows none proves nothing.
func withShutdown(o requirement.Outcome, e Events) requirement.Outcome {
	switch {
	case o.Status == requirement.Undetermined || e.Start == nil || e.System.Err != nil:
		return o
	case e.Stop != nil:
		return o.Also("The event log shows that Windows was shut down on " + e.Stop.Time.UTC().Format(layoutSeconds) + ".").
			With(e.Stop.Shown("Windows shut down"))
	}
	return o.Also("The event log does not show that Windows was shut down since it started on " +
		e.Started().Format(layoutSeconds) + ".").With(e.Start.Shown("Windows started"))
}

// hibernated says whether hiberfil.sys contains a system to resume. Windows overwrites its signature, "hibr" or "HIBR",
// when it has resumed (libyal, libhibr documentation).
func (m *Machine) hibernated() (bool, requirement.Evidence, error) {
	root := m.Drive("C")
	f, err := root.File("hiberfil.sys")
	if err != nil || !f.Exists || f.Size < 4 {
		return false, f.Evidence, err
	}
	r, _, err := root.Open("hiberfil.sys")
	if err != nil {
		return false, f.Evidence, err
	}
	signature := make([]byte, 4)
	if _, err := r.ReadAt(signature, 0); err != nil && err != io.EOF {
		return false, f.Evidence, root.Problem("hiberfil.sys", err)
	}
	f.Evidence.Data = fmt.Sprintf("begins with %q", signature)
	return strings.EqualFold(string(signature), "hibr"), f.Evidence, nil
}

func judgeShutdown(l lastShutdown) requirement.Outcome {
	var why []string
	evidence := []requirement.Evidence{l.Volume, l.Hiberfil}
	switch l.State {
	case volume.StateDirty, volume.StateErrors, volume.StateInUse:
		why = append(why, "the state of the volume is "+string(l.State))
	}
	if l.Hibernated {
		why = append(why, "hiberfil.sys contains a system to resume")
	}
	for _, hive := range l.Recovered {
		why = append(why, hive+" has changes that are only in its log")
		evidence = append(evidence, machine.FoundEvidence(machine.RoleRoot, hive, false))
	}
	switch {
	case len(why) > 0:
		return requirement.Warn("Windows was not shut down completely: "+prose.Some(why)+".", evidence...)
	case l.State != volume.StateClean:
		return requirement.Unknown("Cannot tell whether Windows was shut down: the state of the volume is "+
			string(l.State)+".", evidence...)
	}
	return requirement.Pass("Windows was shut down: the volume and its hives are clean.", evidence...)
}
